//! `create` and `run`: from a bundle to a container.
//!
//! The order is that of runtime.md "Lifecycle", with one addition: what will be made is written
//! down before it is made, so that `delete` can clean up after a `create` that was killed.

use crate::cgroup::{Cgroup, Join, Layout};
use crate::checkpoint::outside;
use crate::console::Receiver;
use crate::container::{Slot, State, Store, delete, process, start, state, store};
use crate::error::{At, Error, Result};
use crate::foreground::Signals;
use crate::init::stdio::{self, Statuses};
use crate::intel_rdt::RdtPlan;
use crate::notify_socket::NotifySocket;
use crate::plan::identity::Identity;
use crate::plan::namespaces::{ALL, NamespaceType};
use crate::plan::{Host, Options, Plan};
use crate::spawn::{self, Sandbox, Staged, attend};
use crate::spec::load::Bundle;
use crate::sys::exec::Vector;
use crate::sys::fd::{CWD, leave_to_exit, open_at};
use crate::systemd::scope::{self, Scope};
use crate::{console, host, intel_rdt, notify_socket, pid_file, seccomp, spec};
use nix::fcntl::{OFlag, ResolveFlag};
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// What the command line asks for.
pub struct Request<'a> {
    /// The container's id.
    pub id: &'a str,
    /// `--root`.
    pub root: &'a Path,
    /// The bundle, read.
    pub bundle: &'a Bundle,
    /// `--no-pivot`.
    pub no_pivot: bool,
    /// `--no-new-keyring`.
    pub no_new_keyring: bool,
    /// cgroup failures are tolerated as far as nothing was asked for.
    pub rootless: bool,
    /// systemd makes the cgroup.
    pub systemd: bool,
    /// `--pid-file`, absolute.
    pub pid_file: Option<&'a Path>,
    /// `--pidfd-socket`.
    pub pidfd_socket: Option<&'a Path>,
    /// Where the terminal's master goes.
    pub console: Option<Receiver>,
    /// Descriptors from 3 on that the program inherits.
    pub preserved: u32,
    /// Init waits for `start` when it is ready.
    pub wait_for_start: bool,
    /// stdin, stdout and stderr of the container, if not the caller's own.
    pub stdio: Option<[OwnedFd; 3]>,
    /// Blocked signals that init has to restore.
    pub signals: Option<&'a Signals>,
    /// `NOTIFY_SOCKET` of the runtime: the container gets a socket of its own.
    pub notify: Option<&'a OsStr>,
}

/// A container with its init.
pub struct Launched {
    /// Where its slot is.
    pub store: Store,
    /// Its slot.
    pub slot: Slot,
    /// Its state.
    pub state: State,
    /// Its init.
    pub sandbox: Sandbox,
    /// Where a container that is already started says that it is ready.
    pub notify: Option<NotifySocket>,
}

/// Removes a slot again unless the container comes to be.
pub(crate) struct Reserved<'a> {
    store: &'a Store,
    id: &'a str,
    /// It has come to be.
    pub(crate) kept: bool,
}

impl<'a> Reserved<'a> {
    /// The slot `id` of the store, which has just been made.
    pub(crate) fn new(store: &'a Store, id: &'a str) -> Self {
        Self { store, id, kept: false }
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if !self.kept {
            // Best effort: the error that led here is the one to report.
            let _ = self.store.remove(self.id);
        }
    }
}

/// Facts of the host for a plan.
///
/// # Errors
/// /proc can't be read.
pub fn probe(spec: &spec::Spec) -> Result<Host> {
    let path = spec.linux.as_ref().map_or("", |linux| linux.cgroups_path.as_str());
    Ok(host_with(Layout::detect(!path.starts_with('/'))?))
}

/// The facts of this host, with cgroups as given.
pub fn host_with(layout: Layout) -> Host {
    Host {
        layout,
        last_capability: crate::sys::cap::last(),
        in_user_namespace: host::in_user_namespace(),
    }
}

/// Makes the container up to the point where its program is executed, or waits for `start`.
///
/// # Errors
/// Everything that was made is undone.
pub fn launch(request: Request<'_>) -> Result<Launched> {
    let spec = &request.bundle.spec;
    let host = probe(spec)?;
    let plan = plan(&request, &host)?;
    check_host(&plan, spec)?;
    let store = Store::create(request.root)?;
    let (filter, proc) = (filter(&request, &plan)?, open_proc()?);
    let namespaces = spawn::namespaces::open(&plan.namespaces.join)?;
    let rdt = spec.linux.as_ref().and_then(|linux| linux.intel_rdt.as_ref());
    let rdt = intel_rdt::plan(rdt, request.id)?;
    let mappings = spawn::sources::mappings(&plan, &namespaces)?;
    let streams = stdio::statuses(request.stdio.as_ref())?;
    let slot = store.reserve(request.id)?;
    let mut reserved = Reserved::new(&store, request.id);
    let state = remember(&request, &plan, &slot, filter.as_ref(), rdt.as_ref(), &streams)?;

    let fifo = if request.wait_for_start { Some(start::prepare(&slot)?) } else { None };
    let notify = notify(&request, &slot)?;
    Cgroup::refuse_used_before(&plan.cgroup)?;
    let mut scope = plan.cgroup.unit.as_ref().map(Scope::start).transpose()?;
    let cgroup = Cgroup::create(&plan.cgroup).at(|| "unable to apply cgroup configuration")?;
    let (cgroup, mut join) = joinable(cgroup)?;
    // Not all of the plan, where it may not be made.
    let state = State { cgroup_paths: cgroup.paths(), ..state };
    if let Some(scope) = &scope {
        join = scope.join(join, plan.namespaces.creates(NamespaceType::User))?;
    }
    let finish = Finish { pid_file: request.pid_file, pidfd_socket: request.pidfd_socket };
    let staged = Staged {
        arguments: Vector::new(plan.process.argv.clone()),
        plan: &plan,
        mappings,
        namespaces,
        proc,
        filter,
        fifo,
        console: request.console,
        preserved: request.preserved,
        signals: request.signals,
        stdio: request.stdio,
        streams,
        state,
        rdt,
        join,
        last_capability: host.last_capability,
    };
    let mut sandbox = spawn::init(&staged, cgroup)?;
    crate::log::debug(format_args!("init has pid {}; it sets up the container", sandbox.pid));
    let mut state = staged.state.clone();
    let settled = scope.as_mut().map_or(Ok(()), |scope| scope.settle(sandbox.cgroup.as_ref()));
    let completed = settled
        .and_then(|()| complete(&mut sandbox, &staged, &finish, &slot, &mut state))
        .inspect(|()| scope.iter_mut().for_each(Scope::keep));
    if let Err(error) = completed {
        drop((sandbox, reserved));
        // What the hooks of the creation have made outside, these remove (runtime.md "Lifecycle").
        delete::poststop(&plan.hooks, &state);
        return Err(error);
    }
    reserved.kept = true;
    drop(reserved);
    // The heap does not give back: only descriptors are worth dropping.
    drop(scope);
    let Staged { state: first, arguments, filter, .. } = staged;
    leave_to_exit((plan, host, first, arguments, filter));
    Ok(Launched { store, slot, state, sandbox, notify })
}

/// The plan, with its warnings logged.
pub(crate) fn plan<'a>(request: &Request<'a>, host: &Host) -> Result<Plan<'a>> {
    let facts = request.systemd.then(|| scope::facts(request.rootless)).transpose()?;
    let options = Options {
        id: request.id,
        bundle: &request.bundle.path,
        no_pivot: request.no_pivot,
        keyring: !request.no_new_keyring,
        rootless: request.rootless,
        systemd: facts.as_ref(),
    };
    let plan = Plan::new(&request.bundle.spec, &options, host)
        .map_err(|found| spec::check::problems_to_error(&found))?;
    for warning in &plan.warnings {
        crate::log::warn(format_args!("{warning}"));
    }
    Ok(plan)
}

/// The directory of the container's notify socket, and for `run` the socket as well: `start` binds
/// its own.
fn notify(request: &Request<'_>, slot: &Slot) -> Result<Option<NotifySocket>> {
    let Some(host) = request.notify else { return Ok(None) };
    notify_socket::make_directory(&slot.path)?;
    if request.wait_for_start {
        return Ok(None);
    }
    NotifySocket::bind(&slot.path, host).map(Some)
}

/// A new cgroup with the way into it.
pub(crate) fn joinable(cgroup: Cgroup) -> Result<(Cgroup, Join)> {
    match cgroup.join() {
        Ok(join) => Ok((cgroup, join)),
        Err(error) => {
            // Best effort: the error that led here is the one to report.
            let _ = cgroup.undo();
            Err(error)
        }
    }
}

/// What is told to the outside when init is ready.
struct Finish<'a> {
    pid_file: Option<&'a Path>,
    pidfd_socket: Option<&'a Path>,
}

/// From a cloned init to a container that stays.
fn complete(
    sandbox: &mut Sandbox,
    staged: &Staged<'_>,
    finish: &Finish<'_>,
    slot: &Slot,
    state: &mut State,
) -> Result<()> {
    settle(sandbox, staged, slot, state)?;
    crate::log::debug(format_args!("init is ready"));
    if let Some(path) = finish.pidfd_socket {
        console::send_pidfd(path, sandbox.pidfd.as_fd(), "standard")?;
    }
    if let Some(path) = finish.pid_file {
        pid_file::write(path, sandbox.pid)?;
    }
    sandbox.channel.execute()?;
    if staged.fifo.is_none() {
        attend::until_executed(sandbox)?;
        crate::log::debug(format_args!("init has executed its program"));
        slot.summarise(state);
    }
    sandbox.release();
    Ok(())
}

/// From a cloned init to one that is ready, with everything on it that the runtime applies.
fn settle(
    sandbox: &mut Sandbox,
    staged: &Staged<'_>,
    slot: &Slot,
    state: &mut State,
) -> Result<()> {
    if let Some(rdt) = &staged.rdt {
        // Recorded as intended before; what was really made is what a failure undoes.
        state.intel_rdt = Some(rdt.apply(sandbox.pid)?);
        sandbox.rdt.clone_from(&state.intel_rdt);
    }
    attend::until_ready(sandbox, staged, slot, state)?;
    attend::oom_score(sandbox.pid, &staged.plan.process, &staged.proc)
}

/// Asked for and missing is an error, never less protection in silence.
pub(crate) fn check_host(plan: &Plan<'_>, spec: &spec::Spec) -> Result<()> {
    let mount_label = spec.linux.as_ref().is_some_and(|linux| !linux.mount_label.is_empty());
    check_labels(&plan.identity, mount_label)?;
    let root = Path::new(OsStr::from_bytes(plan.rootfs.path.to_bytes()));
    let status = root.symlink_metadata().at(|| format!("root.path {}", root.display()))?;
    if !status.is_dir() {
        return Err(Error::config(format!("root.path {} is not a directory", root.display())));
    }
    Ok(())
}

/// LSM labels need their module.
///
/// # Errors
/// The module is not enabled.
pub fn check_labels(identity: &Identity, mount_label: bool) -> Result<()> {
    if identity.apparmor_profile.is_some() && !host::apparmor_enabled() {
        return Err(Error::unsupported(
            "apparmor profile is specified in config, but apparmor is not enabled on this host",
        ));
    }
    if (identity.selinux_label.is_some() || mount_label) && !host::selinux_enabled() {
        return Err(Error::unsupported(
            "selinux label is specified in config, but selinux is disabled or not supported",
        ));
    }
    Ok(())
}

pub(crate) fn filter(request: &Request<'_>, plan: &Plan<'_>) -> Result<Option<seccomp::Filter>> {
    let Some(filter) = &plan.seccomp else { return Ok(None) };
    crate::log::debug(format_args!("seccomp filter flags: {}", filter.flags));
    let cache = request.root.join(",seccomp");
    seccomp::filter(Some(&cache), filter, &mut |name| {
        crate::log::debug(format_args!("unknown seccomp syscall {name:?} ignored"));
    })
    .map(Some)
}

/// The host's /proc, after a look that it is one.
pub fn open_proc() -> Result<OwnedFd> {
    let proc = open_at(CWD, c"/proc", OFlag::O_PATH | OFlag::O_DIRECTORY, 0, ResolveFlag::empty())
        .at(|| "open(\"/proc\")")?;
    if fstatfs(&proc).at(|| "fstatfs(\"/proc\")")?.filesystem_type() != PROC_SUPER_MAGIC {
        return Err(Error::unsupported("/proc is not a proc file system"));
    }
    Ok(proc)
}

/// Writes down what is about to be made.
pub(crate) fn remember(
    request: &Request<'_>,
    plan: &Plan<'_>,
    slot: &Slot,
    filter: Option<&seccomp::Filter>,
    rdt: Option<&RdtPlan>,
    streams: &Statuses,
) -> Result<State> {
    let kinds = ALL.into_iter().filter(|kind| plan.namespaces.has(*kind));
    let hooks = request.bundle.spec.hooks.as_ref();
    let state = State {
        hull: state::FORMAT,
        id: request.id.to_owned(),
        creator: process::identify_self().unwrap_or_default(),
        created: crate::log::now(),
        bundle: request.bundle.path.clone(),
        rootfs: PathBuf::from(OsStr::from_bytes(plan.rootfs.path.to_bytes())),
        annotations: request.bundle.spec.annotations.clone(),
        cgroup_paths: plan.cgroup.paths(),
        namespace_paths: kinds.map(|kind| (spawn::namespace_key(kind), PathBuf::new())).collect(),
        own_pid_namespace: plan.namespaces.creates(NamespaceType::Pid),
        no_new_keyring: request.no_new_keyring,
        rootless: request.rootless,
        unit: plan.cgroup.unit.as_ref().map(|plan| plan.unit.clone()),
        poststart: hooks.is_some_and(|hooks| !hooks.poststart.is_empty()),
        poststop: hooks.is_some_and(|hooks| !hooks.poststop.is_empty()),
        intel_rdt: rdt.map(RdtPlan::intent),
        external_descriptors: outside::pipes(streams),
        ..State::default()
    };
    slot.save_state(&state)?;
    slot.write(store::CONFIG, &request.bundle.raw)?;
    if let Some(filter) = filter {
        slot.write(store::SECCOMP, &filter.to_bytes())?;
    }
    Ok(state)
}
