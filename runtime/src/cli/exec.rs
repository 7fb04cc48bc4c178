//! `hull exec`.

use super::exec_args::ExecArgs;
use super::exit_code::ExitCode;
use super::global::Global;
use super::inherited::Inherited;
use super::{status, terminal};
use crate::container::{Container, Store};
use crate::error::{At, Error, Kind, Result};
use crate::exec::{self, Request};
use crate::foreground::{self, Foreground, Signals};
use crate::plan::overrides::Overrides;
use crate::spec::load::load_process;
use crate::spec::{Linux, Process};
use crate::sys::fd::leave_to_exit;
use std::os::fd::AsFd;
use std::path::Path;

/// Carries the command out; the exit code in the foreground is the program's.
#[inline(never)]
pub fn run(global: &Global, args: &ExecArgs, inherited: &Inherited) -> Result<ExitCode> {
    let container = Store::open_for(&global.root, &args.id)?.load(&args.id)?;
    let mut process = process(&container, args)?;
    process.env.extend(inherited.environment.iter().cloned());
    let pid_file =
        args.pid_file.as_deref().map(std::path::absolute).transpose().at(|| "--pid-file")?;
    let request = Request {
        process: &process,
        source: args.process.as_deref().unwrap_or(Path::new("config.json")),
        cgroup: &args.cgroup,
        ignore_paused: args.ignore_paused,
        pid_file: pid_file.as_deref(),
        pidfd_socket: args.pidfd_socket.as_deref(),
        console: None,
        preserved: inherited.count,
        stdio: None,
        signals: None,
    };
    let socket = args.console_socket.as_deref();
    if args.detach {
        let console = terminal::detached(process.terminal, socket)?;
        exec::exec(&container, &Request { console, ..request })?;
        return Ok(ExitCode::SUCCESS);
    }
    let attended = terminal::foreground(process.terminal, socket, root_ids(&container)?)?;
    let signals = Signals::block()?;
    let (console, stdio, incoming, io) = attended.split();
    let sandbox =
        exec::exec(&container, &Request { console, stdio, signals: Some(&signals), ..request })?;
    let code = terminal::relayed(incoming, io)
        .and_then(|io| {
            let process = Foreground { pid: sandbox.pid, pidfd: sandbox.pidfd.as_fd() };
            foreground::attend(process, &signals, io, None)
        })
        .inspect_err(|_| exec::abandon(&sandbox))
        .map(status);
    leave_to_exit((container, process, sandbox, signals));
    code
}

fn root_ids(container: &Container) -> Result<(u32, u32)> {
    Ok(container.joining()?.linux.as_ref().map_or((0, 0), Linux::root_ids))
}

/// The process object: from `--process`, or the configuration's with the flags applied.
fn process(container: &Container, args: &ExecArgs) -> Result<Process> {
    if let Some(path) = &args.process {
        return load_process(path);
    }
    let process = container
        .joining()?
        .process
        .clone()
        .ok_or_else(|| Error::new(Kind::Config, "process property must not be empty"))?;
    let overrides = Overrides {
        args: args.command.clone(),
        cwd: args.cwd.clone(),
        env: args.env.clone(),
        terminal: args.tty,
        user: args.user,
        additional_gids: args.additional_gids.clone(),
        selinux_label: args.process_label.clone(),
        apparmor_profile: args.apparmor.clone(),
        no_new_privileges: args.no_new_privs.then_some(true),
        capabilities: args.cap.clone(),
    };
    Ok(overrides.apply(process))
}
