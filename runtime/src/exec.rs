//! `exec`: one more process in a running container.
//!
//! The process gets what the container's first one has (namespaces, cgroup, filter, keyring), and
//! its user, capabilities and the rest from the process object, by the same last steps
//! ([`crate::init::exec`]).

use crate::cgroup::{Cgroup, Join};
use crate::console::{self, Receiver};
use crate::container::{Container, Status, store};
use crate::error::{At, Error, Kind, Result};
use crate::foreground::Signals;
use crate::init::{self, exec::Execution, process as init_process, stdio};
use crate::launch::{check_labels, open_proc};
use crate::pid_file;
use crate::plan::identity::{self, Identity};
use crate::plan::namespaces::NamespaceType;
use crate::plan::process::{self, ProcessPlan};
use crate::plan::seccomp::FilterPlan;
use crate::seccomp::Filter;
use crate::spawn::channel::{Channel, Message};
use crate::spawn::namespaces::own;
use crate::spawn::{Sandbox, attend, namespace_key};
use crate::spec::{Process, check};
use crate::sys::clone::{Cloned, fork_into, setns};
use crate::sys::exec::{Vector, exit_child};
use crate::sys::fd::{CWD, leave_to_exit, open_at};
use crate::sys::{cap, child, sched};
use crate::systemd::scope;
use nix::errno::Errno;
use nix::fcntl::{OFlag, ResolveFlag};
use nix::sys::stat::{Mode, umask};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// What the command line asks for.
pub struct Request<'a> {
    /// The process object.
    pub process: &'a Process,
    /// The file it was read from, for messages.
    pub source: &'a Path,
    /// `--cgroup`: cgroups below the container's, by controller.
    pub cgroup: &'a BTreeMap<String, String>,
    /// `--ignore-paused`.
    pub ignore_paused: bool,
    /// `--pid-file`, absolute.
    pub pid_file: Option<&'a Path>,
    /// `--pidfd-socket`.
    pub pidfd_socket: Option<&'a Path>,
    /// Where the terminal's master goes.
    pub console: Option<Receiver>,
    /// Descriptors from 3 on that the program inherits.
    pub preserved: u32,
    /// stdin, stdout and stderr of the process, if not the caller's own.
    pub stdio: Option<[OwnedFd; 3]>,
    /// Blocked signals that the process has to restore.
    pub signals: Option<&'a Signals>,
}

/// What the child borrows.
struct Prepared<'a> {
    request: &'a Request<'a>,
    process: ProcessPlan,
    identity: Identity,
    arguments: Vector,
    filter: Option<Filter>,
    proc: OwnedFd,
    pidfd: OwnedFd,
    namespaces: u64,
    joins_user: bool,
    keyring: Option<std::ffi::CString>,
    join: Join,
    last_capability: u32,
}

/// Runs the process; on return its program has been executed.
///
/// # Errors
/// A container that isn't running; whatever failed on the way to the program.
pub fn exec(container: &Container, request: &Request<'_>) -> Result<Sandbox> {
    let pidfd = running(container, request.ignore_paused)?;
    let mut prepared = prepare(container, request, pidfd)?;
    // Opened after the next call, its file would be root's (proc_pid(5)).
    let score = attend::lend_oom_score(&prepared.process, prepared.proc.as_fd())?;
    // The child must not be looked into by the container's processes before it is one of them
    // (CVE-2016-9962); it inherits this.
    cap::set_dumpable(false).at(|| "prctl(PR_SET_DUMPABLE)")?;
    let mut sandbox = match clone(&prepared) {
        // The container has given controllers on: nobody can join its own cgroup any more.
        Err(error) if error.errno() == Some(Errno::EBUSY) && request.cgroup.is_empty() => {
            let (root, pid) =
                (container.cgroup()?.unified_root(), container.state.init_process_pid);
            prepared.join.into = Cgroup::join_process(root, pid)?.into.take();
            clone(&prepared)
        }
        other => other,
    }?;
    drop(score);
    crate::log::debug(format_args!("process {} joins the container", sandbox.pid));
    if let Some((unit, below)) = &prepared.join.unit {
        unit.attach(below, sandbox.pid)?;
    }
    attend_child(&sandbox, &prepared, container)?;
    if let Some(path) = request.pidfd_socket {
        console::send_pidfd(path, sandbox.pidfd.as_fd(), "setns")?;
    }
    if let Some(path) = request.pid_file {
        pid_file::write(path, sandbox.pid)?;
    }
    sandbox.channel.execute()?;
    attend::until_executed(&sandbox)?;
    sandbox.release();
    // The heap does not give back: only descriptors are worth dropping.
    let Prepared { process, identity, arguments, filter, .. } = prepared;
    leave_to_exit((process, identity, arguments, filter));
    Ok(sandbox)
}

fn running(container: &Container, ignore_paused: bool) -> Result<OwnedFd> {
    let refused = |what: &str| Err(Error::new(Kind::State, what));
    match container.status()? {
        Status::Stopped => return refused("cannot exec in a stopped container"),
        Status::Creating => return refused("cannot exec in a container that is being created"),
        Status::Paused if !ignore_paused => {
            return refused("cannot exec in a paused container (use --ignore-paused to override)");
        }
        Status::Paused | Status::Created | Status::Running => {}
    }
    match container.init_pidfd()? {
        Some(pidfd) => Ok(pidfd),
        None => Err(Error::new(Kind::State, "cannot exec in a stopped container")),
    }
}

fn prepare<'a>(
    container: &Container,
    request: &'a Request<'a>,
    pidfd: OwnedFd,
) -> Result<Prepared<'a>> {
    let last_capability = cap::last();
    let source = request.source.display().to_string();
    let problems = |problems: Vec<_>| check::problems_in(&source, &problems);
    let found = check::check_process(request.process, "process");
    if !found.is_empty() {
        return Err(problems(found));
    }
    let joining = container.joining()?;
    let process = process::plan(request.process, joining.linux.as_ref()).map_err(problems)?;
    let identity = identity::plan(request.process, last_capability).map_err(problems)?;
    check_labels(&identity, false)?;
    for warning in &identity.warnings {
        crate::log::warn(format_args!("{warning}"));
    }
    let filter = if joining.has_seccomp {
        Some(Filter::from_bytes(&container.slot.read(store::SECCOMP)?)?)
    } else {
        None
    };
    let state = &container.state;
    let has = |kind: NamespaceType| state.namespace_paths.contains_key(&namespace_key(kind));
    let kinds = crate::plan::namespaces::ALL.into_iter().filter(|kind| has(*kind));
    Ok(Prepared {
        arguments: Vector::new(process.argv.clone()),
        filter,
        proc: open_proc()?,
        namespaces: kinds.fold(0, |flags, kind| flags | kind.flag()),
        joins_user: has(NamespaceType::User),
        keyring: (!state.no_new_keyring)
            .then(|| std::ffi::CString::new(format!("_ses.{}", state.id)).unwrap_or_default()),
        join: join(container, request)?,
        request,
        process,
        identity,
        pidfd,
        last_capability,
    })
}

/// The container's cgroup, or one below it; where the container's init has been moved by others,
/// the one init is in.
fn join(container: &Container, request: &Request<'_>) -> Result<Join> {
    let cgroup = container.cgroup()?;
    let unit = container.state.unit.as_ref();
    if !request.cgroup.is_empty() {
        let below = request.cgroup.get("").map_or("", String::as_str);
        return Ok(scope::of_user(cgroup.join_sub(request.cgroup)?, unit, below));
    }
    match cgroup.join().map(|join| scope::of_user(join, unit, "")) {
        Err(error) if error.errno() == Some(Errno::ENOENT) && cgroup.is_v2() => {
            Cgroup::join_process(cgroup.unified_root(), container.state.init_process_pid)
        }
        // On v1 a cgroup with a process in it can't be removed: an ordinary user's container was
        // never put into one, and neither is what joins it.
        Err(error) if error.errno() == Some(Errno::ENOENT) && !nix::unistd::geteuid().is_root() => {
            Ok(Join::default())
        }
        other => other,
    }
}

/// Clones the child; it is in the container's pid namespace from its first instruction on, for
/// which the runtime enters that namespace for the moment. Where it may not (rootless), or could not
/// come back since the runtime's own belongs to a user namespace above its own (setns(2): both need
/// CAP_SYS_ADMIN there), the child enters all namespaces itself and clones the process as its
/// sibling.
fn clone(prepared: &Prepared<'_>) -> Result<Sandbox> {
    let (ours, theirs) = Channel::pair()?;
    let pid_flag = prepared.namespaces & NamespaceType::Pid.flag();
    let home = own(NamespaceType::Pid)?;
    let entered = pid_flag == 0
        || (setns(home.as_fd(), pid_flag).is_ok()
            && setns(prepared.pidfd.as_fd(), pid_flag).is_ok());
    let into = prepared.join.into.as_ref().map(AsFd::as_fd);
    let cloned = fork_into(0, into, false).at(|| "clone3");
    if let Ok(Cloned::Child) = cloned {
        drop(ours);
        exit_child(main(prepared, &theirs, !entered));
    }
    drop(theirs);
    if pid_flag != 0 && entered {
        setns(home.as_fd(), pid_flag).at(|| "returning to the own pid namespace: setns")?;
    }
    match cloned? {
        Cloned::Child => Err(Error::new(Kind::Init, "the child returned")),
        Cloned::Parent { pid, pidfd } => {
            let mut sandbox = Sandbox::of_exec(pid, pidfd, ours);
            if !entered {
                crate::spawn::adopt(&mut sandbox)?;
            }
            Ok(sandbox)
        }
    }
}

fn attend_child(sandbox: &Sandbox, prepared: &Prepared<'_>, container: &Container) -> Result<()> {
    loop {
        match sandbox.channel.receive()? {
            Message::Courier => {
                let linux = container.config()?.spec.linux.as_ref();
                let profile = linux.and_then(|linux| linux.seccomp.as_ref());
                let plan: Option<FilterPlan<'_>> =
                    profile.and_then(|profile| crate::plan::seccomp::plan(profile).ok());
                let listener = plan.as_ref().and_then(|plan| plan.listener);
                let state = &container.state;
                attend::notify(sandbox, listener.as_ref(), state, Status::Running)?;
                sandbox.channel.go_on()?;
            }
            Message::Limits => {
                attend::limits(sandbox.pid, &prepared.process)?;
                sandbox.channel.go_on()?;
            }
            Message::Ready => {
                return attend::oom_score(sandbox.pid, &prepared.process, &prepared.proc);
            }
            other => return Err(attend::ended(sandbox, other)),
        }
    }
}

/// Runs as: the child.
fn main(prepared: &Prepared<'_>, channel: &Channel, intermediate: bool) -> i32 {
    match become_process(prepared, channel, intermediate) {
        Ok(never) => match never {},
        Err(error) => {
            // The runtime reports it; without a runtime there is nobody to tell.
            let _ = channel.send(&Message::Failure(error.to_string()));
            1
        }
    }
}

fn become_process(
    prepared: &Prepared<'_>,
    channel: &Channel,
    intermediate: bool,
) -> Result<Infallible> {
    if let Some(mask) = &prepared.process.initial_affinity {
        sched::sched_setaffinity(mask).at(|| "execCPUAffinity.initial: sched_setaffinity")?;
    }
    init::join_cgroups(&prepared.join.tasks)?;
    match (&prepared.process.initial_affinity, &prepared.process.final_affinity) {
        (_, Some(mask)) => {
            sched::sched_setaffinity(mask).at(|| "execCPUAffinity.final: sched_setaffinity")?;
        }
        (Some(_), None) => {}
        (None, None) => sched::reset_affinity().at(|| "sched_setaffinity(all)")?,
    }
    init::die_with_runtime()?;
    if let Some(signals) = prepared.request.signals {
        signals.restore()?;
    }
    enter_namespaces(prepared, channel, intermediate)?;
    nix::unistd::setsid().at(|| "setsid")?;
    if let Some(name) = &prepared.keyring {
        init_process::join_keyring(name)?;
    }
    let root = open_at(CWD, c"/", OFlag::O_PATH | OFlag::O_DIRECTORY, 0, ResolveFlag::empty())
        .at(|| "open(\"/\")")?;
    if let Some(theirs) = &prepared.request.stdio {
        stdio::replace(theirs)?;
    }
    if let Some(receiver) = &prepared.request.console {
        let size = prepared.process.console_size;
        init::console::attach(root.as_fd(), receiver, size, prepared.identity.uid, false)?;
    }
    stdio::adopt(root.as_fd(), &stdio::statuses(None)?, prepared.identity.uid, false)?;
    drop(root);
    umask(Mode::from_bits_truncate(prepared.process.umask));
    init_process::attributes(&prepared.process)?;
    let execution = Execution {
        arguments: &prepared.arguments,
        environment: &prepared.process.envp,
        process: &prepared.process,
        identity: &prepared.identity,
        filter: prepared.filter.as_ref(),
        proc: prepared.proc.as_fd(),
        fifo: None,
        hooks: None,
        preserved: prepared.request.preserved,
        last_capability: prepared.last_capability,
    };
    init::exec::execute(&execution, channel)
}

/// All namespaces at once by init's pidfd (setns(2), Linux 5.8).
fn enter_namespaces(prepared: &Prepared<'_>, channel: &Channel, intermediate: bool) -> Result<()> {
    let pid_flag = NamespaceType::Pid.flag();
    let flags = if intermediate { prepared.namespaces } else { prepared.namespaces & !pid_flag };
    if flags != 0 {
        enter(prepared, flags)?;
    }
    if prepared.joins_user {
        init::namespaces::become_root()?;
    }
    if intermediate {
        init::namespaces::clone_sibling(0, channel)?;
    }
    Ok(())
}

/// Those of the namespaces that the container shares with the runtime's user namespace have to be
/// joined before the user namespace takes the privileges for it; the rest after.
fn enter(prepared: &Prepared<'_>, flags: u64) -> Result<()> {
    let user = NamespaceType::User.flag();
    match setns(prepared.pidfd.as_fd(), flags) {
        Err(Errno::EPERM) if flags & user != 0 => {}
        other => return other.at(|| "joining the container's namespaces: setns"),
    }
    let mut later = Vec::new();
    for kind in
        crate::plan::namespaces::ALL.into_iter().filter(|kind| flags & kind.flag() & !user != 0)
    {
        match setns(prepared.pidfd.as_fd(), kind.flag()) {
            Err(Errno::EPERM) => later.push(kind),
            other => other.at(|| format!("joining the {kind} namespace: setns"))?,
        }
    }
    setns(prepared.pidfd.as_fd(), user).at(|| "joining the user namespace: setns")?;
    for kind in later {
        setns(prepared.pidfd.as_fd(), kind.flag())
            .at(|| format!("joining the {kind} namespace: setns"))?;
    }
    Ok(())
}

/// Ends a process that was started but could not be attended.
pub fn abandon(sandbox: &Sandbox) {
    // Best effort: the error that led here is the one to report.
    let _ = child::signal(sandbox.pidfd.as_fd(), nix::libc::SIGKILL);
}
