//! `pull`.

use super::split_tag;
use crate::cli::auth;
use crate::cli::client::Call;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::output::line;
use crate::cli::progress::{self, Show};
use crate::cli::session::Session;
use crate::image::Reference;
use clap::Args;

/// Options of `pull`.
#[derive(Args)]
pub struct Pull {
    /// All tags of the repository
    #[arg(short, long)]
    all_tags: bool,
    /// Platform: OS[/ARCH[/VARIANT]]
    #[arg(long)]
    platform: Option<String>,
    /// Print only the name
    #[arg(short, long)]
    quiet: bool,
    /// Image
    image: String,
}

/// Runs `pull`.
pub async fn pull(session: &Session, args: Pull) -> Outcome {
    // Before a word is said of tags: what is no name has no default.
    args.image.parse::<Reference>()?;
    let (name, tag) = split_tag(&args.image);
    if args.all_tags && (tag.is_some() || name.contains('@')) {
        return Err(Failure::new("tag can't be used with --all-tags/-a"));
    }
    if args.all_tags {
        stream(session, name, None, args.platform.as_deref(), show(args.quiet, false)).await?;
        return line(canonical(name));
    }
    let whole = with_default_tag(&args.image);
    if whole != args.image && !args.quiet {
        line("Using default tag: latest")?;
    }
    pull_image(session, &whole, args.platform.as_deref(), args.quiet, false).await?;
    line(canonical(&whole))
}

fn show(quiet: bool, error: bool) -> Show {
    match (quiet, error) {
        (true, _) => Show::Nothing,
        (false, true) => Show::Error,
        (false, false) => Show::Output,
    }
}

/// Pulls one image.
///
/// # Errors
/// The engine's or the registry's.
pub async fn pull_image(
    session: &Session,
    name: &str,
    platform: Option<&str>,
    quiet: bool,
    error: bool,
) -> Outcome {
    let (repository, tag) = match name.split_once('@') {
        Some((repository, digest)) => (split_tag(repository).0, Some(digest)),
        None => split_tag(name),
    };
    stream(session, repository, tag, platform, show(quiet, error)).await
}

async fn stream(
    session: &Session,
    repository: &str,
    tag: Option<&str>,
    platform: Option<&str>,
    show: Show,
) -> Outcome {
    let registry = auth::registry_of(repository);
    let call = Call::post("/images/create")
        .query("fromImage", repository)
        .query_some("tag", tag)
        .query_some("platform", platform)
        .header("x-registry-auth", auth::header(&session.settings, &registry)?);
    let response = session.client.send(call).await?;
    progress::show(response.into_body(), show).await.map(drop)
}

/// A name with `:latest` where it has neither tag nor digest.
pub fn with_default_tag(name: &str) -> String {
    if name.contains('@') || split_tag(name).1.is_some() {
        name.to_owned()
    } else {
        format!("{name}:latest")
    }
}

/// A name with its registry: what `pull` prints last.
fn canonical(name: &str) -> String {
    match name.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
        None => format!("docker.io/library/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(with_default_tag("a"), "a:latest");
        assert_eq!(with_default_tag("h:5/a"), "h:5/a:latest");
        assert_eq!(with_default_tag("a@sha256:0"), "a@sha256:0");
        assert_eq!(canonical("a:1"), "docker.io/library/a:1");
        assert_eq!(canonical("b/a:1"), "docker.io/b/a:1");
        assert_eq!(canonical("h:5/a:1"), "h:5/a:1");
    }
}
