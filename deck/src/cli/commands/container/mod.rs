//! Commands of containers.

mod attach;
mod commit;
mod cp;
mod create;
mod diff;
mod exec;
mod export;
mod lifecycle;
mod logs;
mod port;
pub mod prune;
pub mod ps;
mod rename;
mod run;
mod start;
mod stats;
mod status;
mod top;
mod update;

use super::system::inspect::{self, Kind, Only};
use crate::cli::client::escape;
use crate::cli::failure::Outcome;
use crate::cli::session::Session;
use clap::Subcommand;

/// Commands that are there with and without `container` before them.
#[derive(Subcommand)]
pub enum Common {
    /// Connect to a running container's streams
    #[command(after_help = "Example: deck attach --detach-keys ctrl-x web")]
    Attach(attach::Attach),
    /// Make an image of a container's changes
    #[command(after_help = "Example: deck commit -m 'with vim' web web:vim")]
    Commit(commit::Commit),
    /// Copy files between a container and this host
    #[command(after_help = "Example: deck cp web:/etc/nginx ./nginx")]
    Cp(cp::Cp),
    /// Create a container without starting it
    #[command(after_help = "Example: deck create --name web -p 8080:80 nginx")]
    Create(Box<create::CreateArgs>),
    /// Show what changed in a container's file system
    #[command(after_help = "Example: deck diff web")]
    Diff(diff::Diff),
    /// Run a command in a running container
    #[command(after_help = "Example: deck exec -it web sh")]
    Exec(exec::Exec),
    /// Write a container's file system as a tar archive
    #[command(after_help = "Example: deck export web | tar t")]
    Export(export::Export),
    /// Send a signal to running containers
    #[command(after_help = "Example: deck kill $(deck ps -q)")]
    Kill(lifecycle::Kill),
    /// Show a container's logs
    #[command(after_help = "Example: deck logs -f --tail 20 web")]
    Logs(logs::Logs),
    /// Stop all processes of containers for a while
    #[command(after_help = "Example: deck pause web")]
    Pause(lifecycle::Names),
    /// List published ports
    #[command(after_help = "Example: deck port web 80/tcp")]
    Port(port::Port),
    /// List containers
    #[command(
        alias = "ls",
        alias = "list",
        after_help = "Example: deck ps -a --filter status=exited"
    )]
    Ps(ps::Ps),
    /// Give a container another name
    #[command(after_help = "Example: deck rename web old-web")]
    Rename(rename::Rename),
    /// Stop and start containers
    #[command(after_help = "Example: deck restart --time 3 web")]
    Restart(lifecycle::Stop),
    /// Remove containers
    #[command(alias = "remove", after_help = "Example: deck rm -f $(deck ps -a -q)")]
    Rm(lifecycle::Rm),
    /// Create and start a container
    #[command(after_help = "Example: deck run -d --name web -p 8080:80 nginx")]
    Run(Box<run::Run>),
    /// Start stopped containers
    #[command(after_help = "Example: deck start -ai shell")]
    Start(start::Start),
    /// Show what containers use
    #[command(after_help = "Example: deck stats --no-stream web")]
    Stats(stats::Stats),
    /// Stop running containers
    #[command(after_help = "Example: deck stop --time 3 web")]
    Stop(lifecycle::Stop),
    /// Show a container's processes
    #[command(after_help = "Example: deck top web -o pid,comm")]
    Top(top::Top),
    /// Let paused containers go on
    #[command(after_help = "Example: deck unpause web")]
    Unpause(lifecycle::Names),
    /// Change limits and restart policies
    #[command(after_help = "Example: deck update --memory 512m --memory-swap 1g web")]
    Update(Box<update::Update>),
    /// Wait until containers end; print their exit codes
    #[command(after_help = "Example: deck wait web")]
    Wait(lifecycle::Names),
}

/// `deck container …`
#[derive(Subcommand)]
pub enum Command {
    #[command(flatten)]
    Common(Common),
    /// Show details of containers
    #[command(after_help = "Example: deck container inspect web")]
    Inspect(Only),
    /// Remove all stopped containers
    #[command(after_help = "Example: deck container prune -f --filter until=24h")]
    Prune(prune::Prune),
}

/// Runs a command.
pub async fn run(session: &Session, command: Command) -> Outcome {
    match command {
        Command::Common(command) => Box::pin(common(session, command)).await,
        Command::Inspect(args) => inspect::only(session, args, Kind::Container).await,
        Command::Prune(args) => prune::prune(session, args).await,
    }
}

/// Runs a command.
pub async fn common(session: &Session, command: Common) -> Outcome {
    use lifecycle::Action;
    match command {
        Common::Attach(args) => attach::attach(session, args).await,
        Common::Commit(args) => commit::commit(session, args).await,
        Common::Cp(args) => cp::cp(session, args).await,
        Common::Create(args) => create::create(session, *args).await,
        Common::Diff(args) => diff::diff(session, args).await,
        Common::Exec(args) => exec::exec(session, args).await,
        Common::Export(args) => export::export(session, args).await,
        Common::Kill(args) => lifecycle::kill(session, args).await,
        Common::Logs(args) => logs::logs(session, args).await,
        Common::Pause(args) => lifecycle::act(session, args, Action::Pause).await,
        Common::Port(args) => port::port(session, args).await,
        Common::Ps(args) => ps::ps(session, args).await,
        Common::Rename(args) => rename::rename(session, args).await,
        Common::Restart(args) => lifecycle::stop(session, args, "restart").await,
        Common::Rm(args) => lifecycle::rm(session, args).await,
        Common::Run(args) => Box::pin(run::run(session, *args)).await,
        Common::Start(args) => start::start(session, args).await,
        Common::Stats(args) => stats::stats(session, args).await,
        Common::Stop(args) => lifecycle::stop(session, args, "stop").await,
        Common::Top(args) => top::top(session, args).await,
        Common::Unpause(args) => lifecycle::act(session, args, Action::Unpause).await,
        Common::Update(args) => update::update(session, *args).await,
        Common::Wait(args) => lifecycle::wait(session, args).await,
    }
}

/// The API's path of a container.
fn path(name: &str) -> String {
    format!("/containers/{}", escape(name))
}
