//! `hull create`.

use super::args::CreateArgs;
use super::exit_code::ExitCode;
use super::global::{Global, Rootless};
use super::inherited::Inherited;
use super::terminal;
use crate::error::{At, Result};
use crate::launch::{Request, launch};
use crate::spec::load::Bundle;
use crate::spec::{Hooks, Linux};
use crate::{host, notify_socket};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Carries the command out.
#[inline(never)]
pub fn run(global: &Global, args: &CreateArgs, inherited: &Inherited) -> Result<ExitCode> {
    let prepared = prepare(global, args, inherited)?;
    let wants = prepared.terminal();
    let console = terminal::detached(wants, args.console_socket.as_deref())?;
    launch(Request { console, wait_for_start: true, ..prepared.request(args) })?;
    Ok(ExitCode::SUCCESS)
}

/// What `create` and `run` have in common: the bundle, and paths made absolute.
pub struct Prepared<'a> {
    global: &'a Global,
    bundle: Bundle,
    pid_file: Option<PathBuf>,
    preserved: u32,
    notify: Option<OsString>,
}

/// Reads the bundle.
///
/// # Errors
/// No or a broken bundle, or options this build can't honour.
pub fn prepare<'a>(
    global: &'a Global,
    args: &CreateArgs,
    inherited: &Inherited,
) -> Result<Prepared<'a>> {
    crate::container::id::check(&args.id)?;
    let directory = args.bundle.as_deref().unwrap_or(Path::new("."));
    let mut bundle = Bundle::open(directory)?;
    if let Some(process) = &mut bundle.spec.process {
        process.env.extend(inherited.environment.iter().cloned());
    }
    let notify = notify_socket::of_this_process();
    if notify.is_some() {
        bundle.spec.mounts.push(notify_socket::mount(&global.root.join(&args.id))?);
        if let Some(process) = &mut bundle.spec.process {
            process.env.push(notify_socket::variable());
        }
    }
    let pid_file =
        args.pid_file.as_deref().map(std::path::absolute).transpose().at(|| "--pid-file")?;
    Ok(Prepared { global, bundle, pid_file, preserved: inherited.count, notify })
}

impl Prepared<'_> {
    /// The process wants a terminal.
    pub fn terminal(&self) -> bool {
        self.bundle.spec.process.as_ref().is_some_and(|process| process.terminal)
    }

    /// The user and group that root of the container is on the host.
    pub fn root_ids(&self) -> (u32, u32) {
        self.bundle.spec.linux.as_ref().map_or((0, 0), Linux::root_ids)
    }

    /// The configured hooks.
    pub fn hooks(&self) -> Option<&Hooks> {
        self.bundle.spec.hooks.as_ref()
    }

    /// The request for [`launch`], without what depends on who attends the process.
    pub fn request<'b>(&'b self, args: &'b CreateArgs) -> Request<'b> {
        Request {
            id: &args.id,
            root: &self.global.root,
            bundle: &self.bundle,
            no_pivot: args.no_pivot,
            no_new_keyring: args.no_new_keyring,
            rootless: rootless(self.global),
            systemd: self.global.systemd_cgroup,
            pid_file: self.pid_file.as_deref(),
            pidfd_socket: args.pidfd_socket.as_deref(),
            console: None,
            preserved: self.preserved,
            wait_for_start: false,
            stdio: None,
            signals: None,
            notify: self.notify.as_deref(),
        }
    }
}

/// Whether missing permissions on cgroups are put up with.
pub(super) fn rootless(global: &Global) -> bool {
    match global.rootless {
        Rootless::True => true,
        Rootless::False => false,
        Rootless::Auto => !nix::unistd::geteuid().is_root() || host::in_user_namespace(),
    }
}
