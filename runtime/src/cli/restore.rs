//! `hull restore`.

use super::args::{Command, CreateArgs, RestoreArgs};
use super::checkpoint::{read_shared, shared_flags};
use super::create::{Prepared, prepare};
use super::exit_code::ExitCode;
use super::flags::{Operands, bundle, path, switch, value};
use super::global::Global;
use super::inherited::Inherited;
use super::{status, terminal};
use crate::checkpoint::Options;
use crate::checkpoint::restore::{Restored, restore};
use crate::console::HostTerminal;
use crate::container::{Container, Store, delete};
use crate::error::{At, Error, Kind, Result};
use crate::foreground::{self, Foreground, Io, Signals};
use crate::launch::Request;
use crate::sys::cap;
use clap::{Arg, ArgMatches};
use std::os::fd::{AsFd, OwnedFd};

/// The flags.
pub(super) fn flags() -> Vec<Arg> {
    let mut flags = vec![
        bundle(),
        path("console-socket", "SOCKET", "Unix socket that gets the terminal's master end"),
        path("pid-file", "FILE", "Write the process id to FILE"),
        switch("detach", "Return as soon as the container runs").short('d'),
        switch("no-subreaper", "Don't adopt orphans of the container"),
        switch("no-pivot", "Accepted: CRIU enters the root in its own way"),
    ];
    flags.extend(shared_flags("Take the images from DIR [default: checkpoint]"));
    flags.extend([
        switch("tcp-close", "Restore TCP connections closed"),
        value("lsm-profile", "TYPE:NAME", "AppArmor or SELinux profile in place of the saved one"),
        value("lsm-mount-context", "LABEL", "SELinux label of mounts in place of the saved one"),
    ]);
    flags
}

/// Takes the arguments from what clap read.
pub(super) fn read(matches: &mut ArgMatches, operands: &mut Operands) -> Result<Command> {
    let shared = read_shared(matches)?;
    let options = Options {
        tcp_close: matches.get_flag("tcp-close"),
        lsm_profile: matches.remove_one("lsm-profile"),
        lsm_mount_context: matches.remove_one("lsm-mount-context"),
        ..shared
    };
    let create = CreateArgs {
        id: operands.one(),
        bundle: matches.remove_one("bundle"),
        console_socket: matches.remove_one("console-socket"),
        pidfd_socket: None,
        pid_file: matches.remove_one("pid-file"),
        no_pivot: matches.get_flag("no-pivot"),
        no_new_keyring: false,
        preserve_fds: 0,
    };
    Ok(Command::Restore(Box::new(RestoreArgs {
        create,
        options,
        detach: matches.get_flag("detach"),
        no_subreaper: matches.get_flag("no-subreaper"),
    })))
}

/// Carries the command out; the exit code in the foreground is the program's.
#[inline(never)]
pub fn run(global: &Global, args: &RestoreArgs) -> Result<ExitCode> {
    let prepared = prepare(global, &args.create, &Inherited::default())?;
    if args.detach { detached(&prepared, args) } else { attended(global, &prepared, args) }
}

fn detached(prepared: &Prepared<'_>, args: &RestoreArgs) -> Result<ExitCode> {
    let socket = args.create.console_socket.as_deref();
    let console = terminal::detached(prepared.terminal(), socket)?;
    let request = Request { console, ..prepared.request(&args.create) };
    restore(&request, &args.options)?;
    Ok(ExitCode::SUCCESS)
}

fn attended(global: &Global, prepared: &Prepared<'_>, args: &RestoreArgs) -> Result<ExitCode> {
    let socket = args.create.console_socket.as_deref();
    // A restored terminal comes from CRIU and not over the socket made here.
    let attended = terminal::foreground(prepared.terminal(), socket, prepared.root_ids())?;
    if !args.no_subreaper {
        cap::set_child_subreaper().at(|| "prctl(PR_SET_CHILD_SUBREAPER)")?;
    }
    // Before anything is cloned: a SIGCHLD in between would be lost.
    let signals = Signals::block()?;
    let (_, stdio, _, io) = attended.split();
    let request = Request { stdio, signals: Some(&signals), ..prepared.request(&args.create) };
    let mut restored = restore(&request, &args.options)?;
    // The container has these, and the end of its output must be seen.
    drop(request);
    let outcome = relayed(prepared.terminal(), restored.master.take(), io).and_then(|io| {
        let process = Foreground { pid: restored.pid, pidfd: restored.pidfd.as_fd() };
        foreground::attend(process, &signals, io, None)
    });
    if outcome.is_err() {
        delete::delete(&Store::open(&global.root)?, &args.create.id, true)?;
    } else {
        let Restored { slot, state, .. } = restored;
        let container = Container::new(slot, state);
        delete::delete_own(&Store::open(&global.root)?, &container, prepared.hooks())?;
    }
    outcome.map(status)
}

/// The streams to relay while the process runs.
fn relayed(terminal: bool, master: Option<OwnedFd>, io: Io) -> Result<Io> {
    match master {
        Some(master) if terminal => Ok(Io::Terminal { host: HostTerminal::find()?, master }),
        None if terminal => Err(Error::new(Kind::Init, "the images have no terminal")),
        _ => Ok(io),
    }
}
