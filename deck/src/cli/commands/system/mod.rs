//! Commands of the whole.

mod df;
mod events;
mod info;
pub mod inspect;
mod prune;
mod version;

use crate::cli::failure::Outcome;
use crate::cli::session::Session;
use clap::Subcommand;

/// Commands that are there with and without `system` before them.
#[derive(Subcommand)]
pub enum Shared {
    /// Show what happens
    #[command(after_help = "Example: deck events --since 10m --filter event=die")]
    Events(events::Events),
    /// Show the engine and its host
    #[command(after_help = "Example: deck info --format '{{.Driver}}'")]
    Info(info::Info),
}

/// Commands without `system` before them.
#[derive(Subcommand)]
pub enum Common {
    #[command(flatten)]
    Shared(Shared),
    /// Show the versions of deck and the engine
    #[command(after_help = "Example: deck version --format '{{.Server.Version}}'")]
    Version(version::Version),
}

/// `deck system …`
#[derive(Subcommand)]
pub enum Command {
    #[command(flatten)]
    Shared(Shared),
    /// Show what images, containers and volumes take of the disk
    #[command(after_help = "Example: deck system df -v")]
    Df(df::Df),
    /// Remove what is not used
    #[command(after_help = "Example: deck system prune --volumes")]
    Prune(prune::Prune),
}

/// Runs a command.
pub async fn run(session: &Session, command: Command) -> Outcome {
    match command {
        Command::Shared(command) => shared(session, command).await,
        Command::Df(args) => df::df(session, args).await,
        Command::Prune(args) => prune::prune(session, args).await,
    }
}

/// Runs a command.
pub async fn common(session: &Session, command: Common) -> Outcome {
    match command {
        Common::Shared(command) => shared(session, command).await,
        Common::Version(args) => version::version(session, args).await,
    }
}

async fn shared(session: &Session, command: Shared) -> Outcome {
    match command {
        Shared::Events(args) => events::events(session, args).await,
        Shared::Info(args) => info::info(session, args).await,
    }
}
