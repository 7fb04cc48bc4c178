//! What each command is called and takes: its flags, its operands, and how they are read.
//!
//! One [`Entry`] per command is the only place that says so; the parser, the help, the manual pages
//! and the errors are made from it. Only the entry in use is turned into clap definitions, for
//! building those of all commands costs more than `state` does.

use super::args::{
    Command, CreateArgs, DeleteArgs, ExplainArgs, KillArgs, ListArgs, PsArgs, RunArgs, SpecArgs,
};
use super::flags::{Operands, bundle, format, process_flags, read_format, signal, switch, usage};
use super::{checkpoint, events, exec_args, restore, update};
use crate::error::Result;
use clap::{Arg, ArgMatches};

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
pub static ENTRIES: [Entry; 18] = [
    Entry {
        title: "hull checkpoint",
        about: "save the processes of a container as files, by CRIU",
        example: "hull checkpoint --image-path /var/lib/web/images web\n   \
                  hull checkpoint --image-path images --leave-running --tcp-established web",
        flags: checkpoint::flags,
        read: checkpoint::read,
        ..PLAIN
    },
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
        title: "hull restore",
        about: "make a container from saved processes",
        example: "hull restore --bundle /var/lib/web --image-path /var/lib/web/images web\n   \
                  hull restore --detach --pid-file /run/web.pid web",
        flags: restore::flags,
        read: restore::read,
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

#[cfg(test)]
#[path = "entries_tests.rs"]
mod tests;
