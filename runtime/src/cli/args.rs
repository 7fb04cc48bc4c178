//! What each command takes: its flags, its operands, and the typed form of both.
//!
//! One [`Entry`] per command is the only place that says what the command is called and takes; the
//! parser, the help and the errors are made from it. Only the entry in use is turned into clap
//! definitions, for building those of all commands costs more than `state` does.

use super::events::{self, EventsArgs};
use super::exec_args::{self, ExecArgs};
use super::update::{self, UpdateArgs};
use crate::error::{Error, Kind, Result};
use clap::{Arg, ArgAction, ArgMatches};
use std::path::PathBuf;
use std::str::FromStr as _;

/// A command with its arguments.
#[derive(Debug)]
pub enum Command {
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

/// A command's place on the command line.
#[derive(Debug)]
pub struct Entry {
    /// `hull` and the command's name.
    pub title: &'static str,
    /// One line of help.
    pub about: &'static str,
    /// Operands as help shows them.
    pub operands: &'static str,
    /// Fewest and most operands.
    pub arity: (usize, usize),
    /// The first operand ends the flags.
    pub until_operand: bool,
    /// A command line that works.
    pub example: &'static str,
    /// What errors of the command begin with.
    pub prefix: Option<&'static str>,
    /// Exit code of errors.
    pub code: u8,
    pub(super) flags: fn() -> Vec<Arg>,
    pub(super) read: fn(&mut ArgMatches, &mut Operands) -> Result<Command>,
}

impl Entry {
    /// The command's name.
    pub fn name(&self) -> &'static str {
        self.title.trim_start_matches("hull ")
    }
}

/// What most entries are like.
const PLAIN: Entry = Entry {
    title: "",
    about: "",
    operands: "<container-id>",
    arity: (1, 1),
    until_operand: false,
    example: "",
    prefix: None,
    code: 1,
    flags: Vec::new,
    read: |_, _| Err(usage("no such command")),
};

/// All commands, in alphabetical order.
pub static ENTRIES: [Entry; 16] = [
    Entry {
        title: "hull create",
        about: "create a container from a bundle; its process waits for start",
        example: "hull create --bundle /var/lib/web --pid-file /run/web.pid web",
        prefix: Some("hull create failed"),
        flags: create_flags,
        read: |m, o| Ok(Command::Create(create(m, o))),
        ..PLAIN
    },
    Entry {
        title: "hull delete",
        about: "remove what a stopped container leaves",
        example: "hull delete --force web",
        flags: || vec![switch("force", "Kill the container first").short('f')],
        read: |m, o| Ok(Command::Delete(DeleteArgs { id: o.one(), force: m.get_flag("force") })),
        ..PLAIN
    },
    Entry {
        title: "hull events",
        about: "print usage, regularly, and processes killed for want of memory, as JSON lines",
        example: "hull events --interval 10s web\n   hull events --stats web",
        flags: events::flags,
        read: events::read,
        ..PLAIN
    },
    Entry {
        title: "hull exec",
        about: "run one more process in a container",
        operands: "<container-id> <command> [args...]",
        arity: (1, usize::MAX),
        until_operand: true,
        example: "hull exec --tty --env TERM=xterm web sh\n   \
                  hull exec --process process.json --detach web",
        prefix: Some("exec failed"),
        code: 255,
        flags: exec_args::flags,
        read: |m, o| Ok(Command::Exec(Box::new(exec_args::read(m, o)?))),
    },
    Entry {
        title: "hull explain",
        about: "print what create would do, without doing it",
        operands: "",
        arity: (0, 0),
        example: "hull explain --bundle /var/lib/web",
        flags: || vec![bundle(), format("text")],
        read: |m, _| {
            Ok(Command::Explain(ExplainArgs {
                bundle: m.remove_one("bundle"),
                format: read_format(m, "text")?,
            }))
        },
        ..PLAIN
    },
    Entry {
        title: "hull features",
        about: "print what this build supports, as runtime-spec features JSON",
        operands: "",
        arity: (0, 0),
        example: "hull features",
        read: |_, _| Ok(Command::Features),
        ..PLAIN
    },
    Entry {
        title: "hull kill",
        about: "send a signal (default: SIGTERM) to a container's init",
        operands: "<container-id> [signal]",
        arity: (1, 2),
        until_operand: true,
        example: "hull kill web KILL",
        flags: || vec![switch("all", "Obsolete").short('a').hide(true)],
        read: |m, o| {
            Ok(Command::Kill(KillArgs {
                id: o.one(),
                signal: o.rest.next().map_or(Ok(libc::SIGTERM), |s| signal(&s))?,
                all: m.get_flag("all"),
            }))
        },
        ..PLAIN
    },
    Entry {
        title: "hull list",
        about: "list the containers under --root",
        operands: "",
        arity: (0, 0),
        example: "hull list --format json",
        flags: || vec![format("table").short('f'), switch("quiet", "Print ids only").short('q')],
        read: |m, _| {
            Ok(Command::List(ListArgs {
                format: read_format(m, "table")?,
                quiet: m.get_flag("quiet"),
            }))
        },
        ..PLAIN
    },
    Entry {
        title: "hull pause",
        about: "stop all processes of a container where they are",
        example: "hull pause web",
        read: |_, o| Ok(Command::Pause { id: o.one() }),
        ..PLAIN
    },
    Entry {
        title: "hull ps",
        about: "list the processes of a container",
        operands: "<container-id> [ps options]",
        arity: (1, usize::MAX),
        until_operand: true,
        example: "hull ps web -o pid,rss,args",
        flags: || vec![format("table").short('f')],
        read: |m, o| {
            let format = read_format(m, "table")?;
            Ok(Command::Ps(PsArgs { id: o.one(), format, args: o.rest.by_ref().collect() }))
        },
        ..PLAIN
    },
    Entry {
        title: "hull resume",
        about: "let the processes of a paused container go on",
        example: "hull resume web",
        read: |_, o| Ok(Command::Resume { id: o.one() }),
        ..PLAIN
    },
    Entry {
        title: "hull run",
        about: "create and start a container, and wait for it",
        example: "hull run --bundle /var/lib/web web",
        prefix: Some("hull run failed"),
        flags: run_flags,
        read: |m, o| {
            Ok(Command::Run(RunArgs {
                create: create(m, o),
                detach: m.get_flag("detach"),
                keep: m.get_flag("keep"),
                no_subreaper: m.get_flag("no-subreaper"),
            }))
        },
        ..PLAIN
    },
    Entry {
        title: "hull spec",
        about: "write a config.json to start from",
        operands: "",
        arity: (0, 0),
        example: "mkdir -p web/rootfs && hull spec --bundle web",
        flags: || vec![bundle(), switch("rootless", "For a user without privileges")],
        read: |m, _| {
            Ok(Command::Spec(SpecArgs {
                bundle: m.remove_one("bundle"),
                rootless: m.get_flag("rootless"),
            }))
        },
        ..PLAIN
    },
    Entry {
        title: "hull start",
        about: "let the process of a created container run",
        example: "hull start web",
        read: |_, o| Ok(Command::Start { id: o.one() }),
        ..PLAIN
    },
    Entry {
        title: "hull state",
        about: "print the state of a container as JSON",
        example: "hull state web",
        read: |_, o| Ok(Command::State { id: o.one() }),
        ..PLAIN
    },
    Entry {
        title: "hull update",
        about: "change the limits of a container",
        example: "hull update --memory 512m --pids-limit 100 web\n   \
                  hull update --resources limits.json web",
        flags: update::flags,
        read: update::read,
        ..PLAIN
    },
];

/// The operands of a command, of which there are as many as its entry asks for.
pub struct Operands {
    /// Those not taken yet.
    pub rest: std::vec::IntoIter<String>,
}

impl Operands {
    /// The next one.
    pub fn one(&mut self) -> String {
        self.rest.next().unwrap_or_default()
    }
}

pub(super) fn usage(message: impl Into<String>) -> Error {
    Error::new(Kind::Usage, message)
}

pub(super) fn switch(long: &'static str, help: &'static str) -> Arg {
    Arg::new(long).long(long).action(ArgAction::SetTrue).help(help)
}

pub(super) fn value(long: &'static str, name: &'static str, help: &'static str) -> Arg {
    Arg::new(long).long(long).value_name(name).help(help)
}

pub(super) fn path(long: &'static str, name: &'static str, help: &'static str) -> Arg {
    value(long, name, help).value_parser(clap::value_parser!(PathBuf))
}

fn bundle() -> Arg {
    path("bundle", "DIR", "The bundle [default: the current directory]").short('b')
}

fn format(people: &'static str) -> Arg {
    let help = match people {
        "text" => "How to print: text (default) or json",
        _ => "How to print: table (default) or json",
    };
    value("format", "FORMAT", help)
}

fn read_format(matches: &mut ArgMatches, people: &str) -> Result<Format> {
    match matches.remove_one::<String>("format").as_deref() {
        None => Ok(Format::Table),
        Some(name) if name == people => Ok(Format::Table),
        Some("json") => Ok(Format::Json),
        Some(other) => Err(usage(format!("invalid format option {other:?}"))),
    }
}

/// Flags that everything that starts a process has.
pub(super) fn process_flags() -> [Arg; 4] {
    [
        path("console-socket", "SOCKET", "Unix socket that gets the terminal's master end"),
        path("pidfd-socket", "SOCKET", "Unix socket that gets a pidfd of the process"),
        path("pid-file", "FILE", "Write the process id to FILE"),
        value("preserve-fds", "N", "Pass N descriptors after the standard ones and $LISTEN_FDS")
            .value_parser(clap::value_parser!(u32)),
    ]
}

fn create_flags() -> Vec<Arg> {
    let mut flags = vec![
        bundle(),
        switch("no-pivot", "Don't pivot_root; for a root file system on a ramdisk"),
        switch("no-new-keyring", "Keep the caller's session keyring"),
    ];
    flags.extend(process_flags());
    flags
}

fn run_flags() -> Vec<Arg> {
    let mut flags = create_flags();
    flags.extend([
        switch("detach", "Return as soon as the container runs").short('d'),
        switch("keep", "Don't delete the container when it has exited"),
        switch("no-subreaper", "Don't adopt orphans of the container"),
    ]);
    flags
}

fn create(matches: &mut ArgMatches, operands: &mut Operands) -> CreateArgs {
    CreateArgs {
        id: operands.one(),
        bundle: matches.remove_one("bundle"),
        console_socket: matches.remove_one("console-socket"),
        pidfd_socket: matches.remove_one("pidfd-socket"),
        pid_file: matches.remove_one("pid-file"),
        no_pivot: matches.get_flag("no-pivot"),
        no_new_keyring: matches.get_flag("no-new-keyring"),
        preserve_fds: matches.remove_one("preserve-fds").unwrap_or(0),
    }
}

/// A signal by number, or by name with or without SIG in any case.
fn signal(text: &str) -> Result<i32> {
    let unknown = || usage(format!("unknown signal {text:?}"));
    if let Ok(number) = text.parse::<i32>() {
        // 0 only asks whether the process is there; 64 is SIGRTMAX (signal(7)).
        return if (0..=64).contains(&number) { Ok(number) } else { Err(unknown()) };
    }
    let upper = text.to_ascii_uppercase();
    let name = match upper.strip_prefix("SIG").unwrap_or(&upper) {
        // Synonyms of signal(7).
        "CLD" => "CHLD",
        "POLL" => "IO",
        "IOT" => "ABRT",
        name => name,
    };
    let signal = nix::sys::signal::Signal::from_str(&format!("SIG{name}"));
    signal.map(|signal| signal as i32).map_err(|_| unknown())
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
