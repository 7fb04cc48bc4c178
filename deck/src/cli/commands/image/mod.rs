//! Commands of images.

mod history;
mod import;
mod load;
pub mod login;
pub mod ls;
mod prune;
pub mod pull;
mod push;
pub mod rm;
pub mod save;
mod search;
mod tag;

use super::system::inspect::{self, Kind, Only};
use crate::cli::client::escape;
use crate::cli::failure::Outcome;
use crate::cli::session::Session;
use clap::Subcommand;

/// Commands that are there with and without `image` before them.
#[derive(Subcommand)]
pub enum Shared {
    /// Show how an image was made
    #[command(after_help = "Example: deck history --no-trunc debian")]
    History(history::History),
    /// Make an image of a root file system's archive
    #[command(after_help = "Example: deck import rootfs.tar.gz mine:1")]
    Import(import::Import),
    /// Load images from an archive
    #[command(after_help = "Example: deck load < images.tar.gz")]
    Load(load::Load),
    /// Download an image
    #[command(after_help = "Example: deck pull debian:bookworm")]
    Pull(pull::Pull),
    /// Upload an image
    #[command(after_help = "Example: deck push registry.example/mine:1")]
    Push(push::Push),
    /// Write images to an archive
    #[command(after_help = "Example: deck save -o images.tar debian nginx")]
    Save(save::Save),
    /// Give an image a further name
    #[command(after_help = "Example: deck tag debian registry.example/debian:1")]
    Tag(tag::Tag),
}

/// Commands without `image` before them.
#[derive(Subcommand)]
pub enum Common {
    #[command(flatten)]
    Shared(Shared),
    /// Log in to a registry
    #[command(after_help = "Example: deck login -u me --password-stdin registry.example < secret")]
    Login(login::Login),
    /// Forget a registry's credentials
    #[command(after_help = "Example: deck logout registry.example")]
    Logout(login::Logout),
    /// Search Docker Hub, or a registry's catalog
    #[command(after_help = "Example: deck search --limit 5 nginx")]
    Search(search::Search),
}

/// `deck image …`
#[derive(Subcommand)]
pub enum Command {
    #[command(flatten)]
    Shared(Shared),
    /// Show details of images
    #[command(after_help = "Example: deck image inspect debian")]
    Inspect(Only),
    /// List images
    #[command(alias = "list", after_help = "Example: deck image ls --digests")]
    Ls(ls::Ls),
    /// Remove unused images
    #[command(after_help = "Example: deck image prune -a -f")]
    Prune(prune::Prune),
    /// Remove images
    #[command(alias = "remove", after_help = "Example: deck image rm debian")]
    Rm(rm::Rm),
}

/// Runs a command.
pub async fn run(session: &Session, command: Command) -> Outcome {
    match command {
        Command::Shared(command) => shared(session, command).await,
        Command::Inspect(args) => inspect::only(session, args, Kind::Image).await,
        Command::Ls(args) => ls::ls(session, args).await,
        Command::Prune(args) => prune::prune(session, args).await,
        Command::Rm(args) => rm::rm(session, args).await,
    }
}

/// Runs a command.
pub async fn common(session: &Session, command: Common) -> Outcome {
    match command {
        Common::Shared(command) => shared(session, command).await,
        Common::Login(args) => login::login(session, args).await,
        Common::Logout(args) => login::logout(session, &args),
        Common::Search(args) => search::search(session, args).await,
    }
}

async fn shared(session: &Session, command: Shared) -> Outcome {
    match command {
        Shared::History(args) => history::history(session, args).await,
        Shared::Import(args) => import::import(session, args).await,
        Shared::Load(args) => load::load(session, args).await,
        Shared::Pull(args) => pull::pull(session, args).await,
        Shared::Push(args) => push::push(session, args).await,
        Shared::Save(args) => save::save(session, args).await,
        Shared::Tag(args) => tag::tag(session, args).await,
    }
}

/// The API's path of an image: its name's slashes stay.
pub fn path(name: &str) -> String {
    let parts: Vec<_> = name.split('/').map(escape).collect();
    format!("/images/{}", parts.join("/"))
}

/// A platform as the API takes it: JSON.
fn platform_json(text: &str) -> String {
    let mut parts = text.splitn(3, '/');
    let mut part = || parts.next().unwrap_or("").to_owned();
    let (os, architecture, variant) = (part(), part(), part());
    let mut platform = serde_json::json!({"os": os, "architecture": architecture});
    if !variant.is_empty() {
        platform["variant"] = variant.into();
    }
    platform.to_string()
}

/// A name and its tag.
pub fn split_tag(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') && !repository.contains('@') => {
            (repository, Some(tag))
        }
        _ => (name, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(split_tag("a:1"), ("a", Some("1")));
        assert_eq!(split_tag("h:5000/a"), ("h:5000/a", None));
        assert_eq!(split_tag("a@sha256:00"), ("a@sha256:00", None));
        assert_eq!(path("h:5000/a b"), "/images/h%3A5000/a%20b");
    }
}
