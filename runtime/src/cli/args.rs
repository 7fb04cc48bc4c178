//! What each command is asked to do, typed.

use super::events::EventsArgs;
use super::exec_args::ExecArgs;
use super::update::UpdateArgs;
use crate::checkpoint::Options;
use std::path::PathBuf;

/// A command with its arguments.
#[derive(Debug)]
pub enum Command {
    /// `hull checkpoint`
    Checkpoint(Box<CheckpointArgs>),
    /// `hull create`
    Create(CreateArgs),
    /// `hull delete`
    Delete(DeleteArgs),
    /// `hull events`
    Events(EventsArgs),
    /// `hull exec`
    Exec(Box<ExecArgs>),
    /// `hull explain`
    Explain(ExplainArgs),
    /// `hull features`
    Features,
    /// `hull kill`
    Kill(KillArgs),
    /// `hull list`
    List(ListArgs),
    /// `hull pause`
    Pause {
        /// Container id.
        id: String,
    },
    /// `hull ps`
    Ps(PsArgs),
    /// `hull restore`
    Restore(Box<RestoreArgs>),
    /// `hull resume`
    Resume {
        /// Container id.
        id: String,
    },
    /// `hull run`
    Run(RunArgs),
    /// `hull spec`
    Spec(SpecArgs),
    /// `hull start`
    Start {
        /// Container id.
        id: String,
    },
    /// `hull state`
    State {
        /// Container id.
        id: String,
    },
    /// `hull update`
    Update(Box<UpdateArgs>),
}

/// Arguments of `create`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateArgs {
    /// Container id.
    pub id: String,
    /// Bundle directory; none: the current directory.
    pub bundle: Option<PathBuf>,
    /// Unix socket that gets the terminal's master end.
    pub console_socket: Option<PathBuf>,
    /// Unix socket that gets a pidfd of init.
    pub pidfd_socket: Option<PathBuf>,
    /// File that gets init's pid.
    pub pid_file: Option<PathBuf>,
    /// The root is moved and chrooted into instead of pivoted to.
    pub no_pivot: bool,
    /// The container keeps the caller's session keyring.
    pub no_new_keyring: bool,
    /// How many descriptors after standard error (and LISTEN_FDS) the container gets.
    pub preserve_fds: u32,
}

/// Arguments of `run`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunArgs {
    /// What `create` takes.
    pub create: CreateArgs,
    /// Return as soon as the container runs.
    pub detach: bool,
    /// The container isn't deleted when it has exited.
    pub keep: bool,
    /// Orphans of the container aren't adopted.
    pub no_subreaper: bool,
}

/// Arguments of `delete`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteArgs {
    /// Container id.
    pub id: String,
    /// Kill it first; an absent container is no error.
    pub force: bool,
}

/// Arguments of `kill`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KillArgs {
    /// Container id.
    pub id: String,
    /// Signal number, 0 to 64.
    pub signal: i32,
    /// Obsolete `--all`: a container that doesn't run is no error.
    pub all: bool,
}

/// How `list`, `ps` and `explain` print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Arguments of `list`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListArgs {
    /// How to print.
    pub format: Format,
    /// Print ids only.
    pub quiet: bool,
}

/// Arguments of `ps`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PsArgs {
    /// Container id.
    pub id: String,
    /// How to print.
    pub format: Format,
    /// Arguments for ps(1); empty: `-ef`.
    pub args: Vec<String>,
}

/// Arguments of `spec`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecArgs {
    /// Bundle directory; none: the current directory.
    pub bundle: Option<PathBuf>,
    /// For a user without privileges.
    pub rootless: bool,
}

/// Arguments of `explain`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplainArgs {
    /// Bundle directory; none: the current directory.
    pub bundle: Option<PathBuf>,
    /// How to print; [`Format::Table`] is `text` here.
    pub format: Format,
}

/// Arguments of `checkpoint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointArgs {
    /// Container id.
    pub id: String,
    /// What CRIU is told.
    pub options: Options,
}

/// Arguments of `restore`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreArgs {
    /// What `create` takes, of which restore has some.
    pub create: CreateArgs,
    /// What CRIU is told.
    pub options: Options,
    /// Return as soon as the container runs.
    pub detach: bool,
    /// Orphans of the container aren't adopted.
    pub no_subreaper: bool,
}
