//! The commands, one file each, by what they work on.

pub mod container;
pub mod host;
pub mod image;
pub mod network;
pub mod system;
pub mod volume;

use super::args::Command;
use super::client::Call;
use super::failure::{Failure, Outcome};
use super::output::{line, note, print};
use super::session::Session;

/// Runs a command that needs an engine.
pub async fn run(session: &Session, command: Command) -> Outcome {
    match command {
        Command::Container(command) => Box::pin(container::common(session, command)).await,
        Command::Containers(command) => Box::pin(container::run(session, command)).await,
        Command::Image(command) => image::common(session, command).await,
        Command::ImageGroup(command) => image::run(session, command).await,
        Command::Images(command) => image::ls::ls(session, command).await,
        Command::Rmi(command) => image::rm::rm(session, command).await,
        Command::Inspect(command) => system::inspect::inspect(session, command).await,
        Command::Network(command) => network::run(session, command).await,
        Command::System(command) => system::common(session, command).await,
        Command::SystemGroup(command) => system::run(session, command).await,
        Command::Volume(command) => volume::run(session, command).await,
        Command::Host(command) => host::run(session, command).await,
    }
}

/// Asks before something is lost; without a terminal the answer is no, as Docker's.
///
/// # Errors
/// The answer is not yes.
pub fn confirm(force: bool, warning: &str) -> Outcome {
    if force {
        return Ok(());
    }
    print(&format!("WARNING! {warning}\nAre you sure you want to continue? [y/N] "))?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    if matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(Failure::new("nothing was removed: it was not confirmed"))
}

/// Does something to each name, printing those it was done to; all errors are told at the end.
///
/// # Errors
/// Those of the names, one a line.
pub async fn each<F>(names: &[String], work: impl Fn(String) -> F) -> Outcome
where
    F: Future<Output = crate::Result<()>>,
{
    let mut errors = Vec::new();
    for name in names {
        match work(name.clone()).await {
            Ok(()) => line(name)?,
            Err(error) => errors.push(error.message),
        }
    }
    super::failure::all(&errors)
}

/// Removes each name, printing those that went. Where `force` is set, what isn't there is only
/// told, as Docker's commands do.
///
/// # Errors
/// Those of the names, one a line.
pub async fn remove(
    session: &Session,
    names: &[String],
    force: bool,
    call: impl Fn(&str) -> Call,
) -> Outcome {
    let mut errors = Vec::new();
    for name in names {
        match session.client.run(call(name)).await {
            Ok(()) => line(name)?,
            Err(error) if force && error.status == 404 => note(&error.message),
            Err(error) => errors.push(error.message),
        }
    }
    super::failure::all(&errors)
}
