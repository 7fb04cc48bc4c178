//! `create`, and what `run` shares with it: pulling, creating, the id file.

use crate::cli::client::Call;
use crate::cli::commands::image::pull;
use crate::cli::failure::{ENGINE, Failure, Outcome};
use crate::cli::json::Fields;
use crate::cli::options::create::{Attached, Create};
use crate::cli::output::{line, note};
use crate::cli::session::Session;
use clap::Args;
use serde_json::Value;
use std::fs;
use std::io::Write as _;
use std::path::Path;

/// Options of `create`.
#[derive(Args)]
pub struct CreateArgs {
    #[command(flatten)]
    create: Create,
}

/// Runs `create`.
pub async fn create(session: &Session, args: CreateArgs) -> Outcome {
    let create = &args.create;
    let engine = |failure: Failure| failure.with_code(ENGINE);
    // Docker's `create` says which streams a later `start -a` may take.
    let attached = create.attached(false).map_err(|text| engine(Failure::new(text)))?;
    let id = container(session, create, attached).await.map_err(engine)?;
    line(id)
}

/// Creates a container; gives its id.
///
/// # Errors
/// The options can't be meant, the image can't be had, the engine refuses.
pub async fn container(session: &Session, create: &Create, attached: Attached) -> Outcome<String> {
    let version = session.client.version().await?;
    let mut body = create.body(attached, version).map_err(Failure::new)?;
    if create.tty
        && let Some((rows, columns)) = crate::cli::term::size()
    {
        body["HostConfig"]["ConsoleSize"] = serde_json::json!([rows, columns]);
    }
    let id_file = create.cidfile.as_deref().map(IdFile::new).transpose()?;
    if create.pull == "always" {
        pull_image(session, create).await?;
    }
    let answer = match request(session, create, &body).await {
        Err(error) if error.status == 404 && create.pull == "missing" && names_image(&error) => {
            if !create.quiet {
                let name = pull::with_default_tag(create.image());
                note(format!("Unable to find image '{name}' locally"));
            }
            pull_image(session, create).await?;
            request(session, create, &body).await?
        }
        other => other?,
    };
    for warning in answer.list("Warnings").iter().filter_map(Value::as_str) {
        note(format!("WARNING: {warning}"));
    }
    let id = answer.text("Id").to_owned();
    if let Some(file) = id_file {
        file.write(&id)?;
    }
    Ok(id)
}

/// 404 comes for networks and volumes too.
fn names_image(error: &crate::Error) -> bool {
    error.message.to_lowercase().contains("no such image")
}

async fn request(session: &Session, create: &Create, body: &Value) -> crate::Result<Value> {
    let call = Call::post("/containers/create")
        .query_some("name", create.name.as_deref())
        .query_some("platform", create.platform.as_deref())
        .json(body);
    session.client.json(call).await
}

async fn pull_image(session: &Session, create: &Create) -> Outcome {
    let name = pull::with_default_tag(create.image());
    // Standard output belongs to the container.
    pull::pull_image(session, &name, create.platform.as_deref(), create.quiet, true).await
}

/// `--cidfile`: made before the container, so that two never share one.
struct IdFile<'p> {
    path: &'p Path,
    file: fs::File,
    written: bool,
}

impl<'p> IdFile<'p> {
    fn new(path: &'p Path) -> Outcome<Self> {
        let made = fs::OpenOptions::new().write(true).create_new(true).open(path);
        let file = made.map_err(|error| {
            if error.kind() == std::io::ErrorKind::AlreadyExists {
                Failure::new(format!(
                    "container ID file found, make sure the other container isn't running or \
                     delete {}",
                    path.display()
                ))
            } else {
                Failure::new(format!("create {}: {error}", path.display()))
            }
        })?;
        Ok(Self { path, file, written: false })
    }

    fn write(mut self, id: &str) -> Outcome {
        self.file
            .write_all(id.as_bytes())
            .map_err(|error| Failure::new(format!("write {}: {error}", self.path.display())))?;
        self.written = true;
        Ok(())
    }
}

impl Drop for IdFile<'_> {
    fn drop(&mut self) {
        if !self.written {
            // No container came of it; an empty file would be in the way of the next try.
            let _ = fs::remove_file(self.path);
        }
    }
}
