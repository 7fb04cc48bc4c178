//! `hull run`: create, start, and in the foreground attend and delete.

use super::args::RunArgs;
use super::create::{Prepared, prepare};
use super::exit_code::ExitCode;
use super::global::Global;
use super::inherited::Inherited;
use super::{status, terminal};
use crate::container::{Container, Status, Store, delete};
use crate::error::{At, Error, Result};
use crate::foreground::{self, Foreground, Signals};
use crate::hooks;
use crate::launch::{Launched, Request, launch};
use crate::sys::cap;
use crate::sys::fd::leave_to_exit;
use std::os::fd::AsFd;

/// Carries the command out; the exit code in the foreground is the program's.
#[inline(never)]
pub fn run(global: &Global, args: &RunArgs, inherited: &Inherited) -> Result<ExitCode> {
    let prepared = prepare(global, &args.create, inherited)?;
    let code = if args.detach {
        detached(global, &prepared, args)
    } else {
        attended(global, &prepared, args)
    };
    leave_to_exit(prepared);
    code
}

fn detached(global: &Global, prepared: &Prepared<'_>, args: &RunArgs) -> Result<ExitCode> {
    let socket = args.create.console_socket.as_deref();
    let console = terminal::detached(prepared.terminal(), socket)?;
    let launched = launch(Request { console, ..prepared.request(&args.create) })?;
    poststart(global, prepared, &launched)?;
    if let Some(notify) = &launched.notify {
        let pid = launched.sandbox.pid.cast_unsigned();
        notify.wait(launched.sandbox.pidfd.as_fd(), pid)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn attended(global: &Global, prepared: &Prepared<'_>, args: &RunArgs) -> Result<ExitCode> {
    let socket = args.create.console_socket.as_deref();
    let attended = terminal::foreground(prepared.terminal(), socket, prepared.root_ids())?;
    if !args.no_subreaper {
        cap::set_child_subreaper().at(|| "prctl(PR_SET_CHILD_SUBREAPER)")?;
    }
    // Before the clone: a SIGCHLD in between would be lost.
    let signals = Signals::block()?;
    let (console, stdio, incoming, io) = attended.split();
    let request =
        Request { console, stdio, signals: Some(&signals), ..prepared.request(&args.create) };
    let mut launched = launch(request)?;
    let notify = launched.notify.take();
    let outcome = terminal::relayed(incoming, io).and_then(|io| {
        poststart(global, prepared, &launched)?;
        let process =
            Foreground { pid: launched.sandbox.pid, pidfd: launched.sandbox.pidfd.as_fd() };
        foreground::attend(process, &signals, io, notify)
    });
    match &outcome {
        Err(_) => remove(global, &args.create.id)?,
        Ok(_) if args.keep => {}
        Ok(_) => {
            let Launched { store, slot, state, sandbox, .. } = launched;
            let container = Container::new(slot, state);
            delete::delete_own(&store, &container, prepared.hooks())?;
            leave_to_exit((store, container, sandbox));
        }
    }
    leave_to_exit(signals);
    outcome.map(status)
}

/// Runs the poststart hooks; if one fails, the container goes (runtime.md "Lifecycle").
fn poststart(global: &Global, prepared: &Prepared<'_>, launched: &Launched) -> Result<()> {
    let Some(hooks) = prepared.hooks().filter(|hooks| !hooks.poststart.is_empty()) else {
        return Ok(());
    };
    let json = launched.state.oci_json(Status::Running, launched.sandbox.pid);
    hooks::run(&hooks.poststart, "poststart", &json, hooks::DefaultEnv::Inherit).map_err(|error| {
        match remove(global, &launched.state.id) {
            Ok(()) => error,
            Err(second) => Error::new(error.kind(), format!("{error}; then: {second}")),
        }
    })
}

fn remove(global: &Global, id: &str) -> Result<()> {
    delete::delete(&Store::open(&global.root)?, id, true)
}
