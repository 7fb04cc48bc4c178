//! `save`, and receiving an archive.

use crate::cli::client::{Call, write_body};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::session::Session;
use crate::cli::term;
use clap::Args;
use std::path::{Path, PathBuf};

/// Options of `save`.
#[derive(Args)]
pub struct Save {
    /// File to write instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Platform: OS[/ARCH[/VARIANT]]
    #[arg(long)]
    platform: Option<String>,
    /// Images
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

/// Runs `save`.
pub async fn save(session: &Session, args: Save) -> Outcome {
    let mut call = Call::get("/images/get");
    for image in &args.images {
        call = call.query("names", image);
    }
    if let Some(platform) = &args.platform {
        call = call.query("platform", super::platform_json(platform));
    }
    receive(session, call, args.output.as_deref()).await
}

/// Writes an answer to a file, which appears only when it is whole, or to standard output.
///
/// # Errors
/// Standard output is a terminal; the engine's; the file can't be written.
pub async fn receive(session: &Session, call: Call, output: Option<&Path>) -> Outcome {
    let Some(path) = output else {
        if term::stdout_is() {
            return Err(Failure::new(
                "cowardly refusing to save to a terminal. Use the -o flag or redirect",
            ));
        }
        let body = session.client.send(call).await?.into_body();
        let mut out = tokio::io::stdout();
        return Ok(write_body(body, &mut out).await?);
    };
    let wrong = |error: std::io::Error| Failure::new(format!("write {}: {error}", path.display()));
    let body = session.client.send(call).await?.into_body();
    // A device or a pipe is written as it is; a file appears whole or not at all.
    let special = std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
    let partial = if special {
        path.to_path_buf()
    } else {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        PathBuf::from(name)
    };
    let written = async {
        let mut file = tokio::fs::File::create(&partial).await?;
        write_body(body, &mut file).await?;
        if !special {
            file.sync_all().await?;
            tokio::fs::rename(&partial, path).await?;
        }
        Ok(())
    };
    let result = written.await;
    if result.is_err() && !special {
        // Half an archive is of no use.
        let _ = std::fs::remove_file(&partial);
    }
    result.map_err(wrong)
}
