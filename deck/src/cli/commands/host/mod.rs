//! Commands of this host: they need no engine, or are one.

mod bundle;
mod check;
mod enter;
mod generate;
mod probe;
mod serve;

use crate::cli::args::{self, Cli};
use crate::cli::failure::Outcome;
use crate::cli::session::{Session, config_root};
use clap::Subcommand;

/// Commands of this host.
#[derive(Subcommand)]
pub enum Command {
    /// Make a bundle of an image, for use with hull
    #[command(after_help = "Example: deck bundle debian ./bundle && hull run -b ./bundle box")]
    Bundle(Box<bundle::Bundle>),
    /// Show what this host offers containers, and what to do about what is missing
    #[command(after_help = "Example: deck check --format json")]
    Check(check::Check),
    /// Run a command in a container's namespaces, with this host's privileges, as nsenter(1) does
    #[command(after_help = "Example: deck enter web ps aux")]
    Enter(enter::Enter),
    /// Print manual pages or completions
    #[command(after_help = "Example: deck generate bash > /etc/bash_completion.d/deck")]
    Generate(generate::Generate),
    /// Serve the Docker Engine API
    #[command(after_help = "Example: deck serve -H unix:///run/deck.sock")]
    Serve(serve::Serve),
}

/// Runs a command that needs no engine; gives back what does.
///
/// # Errors
/// The command's.
pub fn local(cli: Cli) -> Outcome<Option<Cli>> {
    match cli.command {
        args::Command::Host(Command::Bundle(args)) => {
            let config_root = config_root(&cli.global);
            crate::cli::block_on(bundle::bundle(&config_root, *args)).map(|()| None)
        }
        args::Command::Host(Command::Check(args)) => check::check(&args).map(|()| None),
        args::Command::Host(Command::Generate(args)) => generate::generate(&args).map(|()| None),
        args::Command::Host(Command::Serve(args)) => serve::serve(&cli.global, args).map(|()| None),
        command => Ok(Some(Cli { command, ..cli })),
    }
}

/// Runs a command that asks an engine.
pub async fn run(session: &Session, command: Command) -> Outcome {
    match command {
        Command::Enter(args) => enter::enter(session, args).await,
        // Done by `local`.
        Command::Bundle(_) | Command::Check(_) | Command::Generate(_) | Command::Serve(_) => Ok(()),
    }
}
