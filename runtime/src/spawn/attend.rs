//! Serving init until it is ready, and hearing whether it executed.
//!
//! Runs as: the runtime, between the clone and the end of `create` or `run`.

use super::{Sandbox, Staged, sources};
use crate::container::{Slot, State, Status, process};
use crate::error::{At, Error, Kind, Result};
use crate::plan::namespaces::ALL;
use crate::plan::process::ProcessPlan;
use crate::spawn::channel::Message;
use crate::sys::fd::open_at;
use crate::sys::sched::set_rlimit;
use crate::{hooks, netdev, seccomp};
use nix::fcntl::{OFlag, ResolveFlag};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::geteuid;
use std::os::fd::{AsFd, OwnedFd};

/// Sets the resource limits of the process for it: raising one takes CAP_SYS_RESOURCE of the
/// initial user namespace.
///
/// # Errors
/// prlimit(2): EPERM when the runtime may not either.
pub fn limits(pid: i32, process: &ProcessPlan) -> Result<()> {
    for limit in &process.rlimits {
        set_rlimit(pid, limit.resource, limit.soft, limit.hard).at(|| {
            format!(
                "error setting rlimits: {} (soft {}, hard {})",
                limit.name, limit.soft, limit.hard
            )
        })?;
    }
    Ok(())
}

/// Puts the runtime's own OOM score back.
pub struct OwnOomScore {
    file: OwnedFd,
    score: String,
}

impl Drop for OwnOomScore {
    fn drop(&mut self) {
        // It was so before; if the kernel minds, the runtime ends soon.
        let _ = nix::unistd::write(&self.file, self.score.as_bytes());
    }
}

/// Without privileges the score is inherited: the /proc/PID of a process that can't be looked into
/// is root's (`proc_pid(5)`), while everybody may raise their own.
///
/// # Errors
/// Writing /proc/self/oom_score_adj; lowering takes `CAP_SYS_RESOURCE`.
pub fn lend_oom_score(process: &ProcessPlan, proc: impl AsFd) -> Result<Option<OwnOomScore>> {
    let Some(score) = process.oom_score_adj.filter(|_| !geteuid().is_root()) else {
        return Ok(None);
    };
    let own = std::fs::read_to_string("/proc/self/oom_score_adj").at(|| "reading oomScoreAdj")?;
    let resolve = ResolveFlag::RESOLVE_BENEATH
        | ResolveFlag::RESOLVE_NO_XDEV
        | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let path = c"self/oom_score_adj";
    let file = open_at(proc.as_fd(), path, OFlag::O_WRONLY, 0, resolve)
        .at(|| "setting oomScoreAdj: open(/proc/self/oom_score_adj)")?;
    nix::unistd::write(&file, score.to_string().as_bytes())
        .at(|| format!("setting oomScoreAdj to {score}"))?;
    Ok(Some(OwnOomScore { file, score: own.trim_end().to_owned() }))
}

/// Sets the OOM score, which in a user namespace only the runtime may lower; without privileges it
/// has been inherited ([`lend_oom_score`]).
///
/// # Errors
/// Writing /proc/PID/oom_score_adj.
pub fn oom_score(pid: i32, process: &ProcessPlan, proc: impl AsFd) -> Result<()> {
    let Some(score) = process.oom_score_adj.filter(|_| geteuid().is_root()) else {
        return Ok(());
    };
    let path = std::ffi::CString::new(format!("{pid}/oom_score_adj")).unwrap_or_default();
    crate::init::write_proc(proc.as_fd(), &path, score.to_string().as_bytes())
        .at(|| "setting oomScoreAdj")
}

/// Serves init's requests until it is ready.
///
/// # Errors
/// What init reports, a hook that fails, or init's death.
pub fn until_ready(
    sandbox: &Sandbox,
    staged: &Staged<'_>,
    slot: &Slot,
    state: &mut State,
) -> Result<()> {
    loop {
        match sandbox.channel.receive()? {
            Message::Network => {
                let path = format!("/proc/{}/ns/net", sandbox.pid);
                let netns = std::fs::File::open(&path).at(|| format!("open({path})"))?;
                netdev::attach(&staged.plan.net_devices, netns.as_fd())?;
                sandbox.channel.go_on()?;
            }
            Message::Source(index) => {
                sources::serve(staged, index, sandbox.pidfd.as_fd(), &sandbox.channel)?;
            }
            Message::Mounted => {
                record(sandbox, slot, state)?;
                create_hooks(sandbox, staged, state)?;
                sandbox.channel.go_on()?;
            }
            Message::Courier => {
                let listener = staged.plan.seccomp.as_ref().and_then(|plan| plan.listener);
                notify(sandbox, listener.as_ref(), state, Status::Creating)?;
                sandbox.channel.go_on()?;
            }
            Message::Limits => {
                limits(sandbox.pid, &staged.plan.process)?;
                sandbox.channel.go_on()?;
            }
            Message::Ready => return record(sandbox, slot, state),
            other => return Err(ended(sandbox, other)),
        }
    }
}

/// Waits until the program has been executed.
///
/// # Errors
/// What init reports.
pub fn until_executed(sandbox: &Sandbox) -> Result<()> {
    match sandbox.channel.receive()? {
        Message::End => Ok(()),
        other => Err(ended(sandbox, other)),
    }
}

/// Remembers init on disk, so that it can be found whatever happens to this process.
fn record(sandbox: &Sandbox, slot: &Slot, state: &mut State) -> Result<()> {
    if state.init_process_pid == sandbox.pid {
        return Ok(());
    }
    let identity = process::identify(sandbox.pid)
        .ok_or_else(|| Error::new(Kind::Init, "init died while it was set up"))?;
    state.init_process_pid = identity.pid;
    state.init_process_start = identity.start;
    for kind in ALL {
        if let Some(path) = state.namespace_paths.get_mut(&super::namespace_key(kind)) {
            *path = format!("/proc/{}/ns/{}", sandbox.pid, kind.proc_name()).into();
        }
    }
    slot.save_state(state)
}

fn create_hooks(sandbox: &Sandbox, staged: &Staged<'_>, state: &State) -> Result<()> {
    let json = state.oci_json(Status::Creating, sandbox.pid);
    let list = &staged.plan.hooks;
    let env = hooks::DefaultEnv::Inherit;
    hooks::run(&list.prestart, "prestart", &json, env)?;
    hooks::run(&list.create_runtime, "createRuntime", &json, env)
}

/// Hands the seccomp listener, which init's courier sends, to the agent.
///
/// # Errors
/// The agent can't be reached.
pub fn notify(
    sandbox: &Sandbox,
    listener: Option<&crate::plan::seccomp::Listener<'_>>,
    state: &State,
    status: Status,
) -> Result<()> {
    let listener =
        listener.ok_or_else(|| Error::new(Kind::Init, "init has a listener nobody asked for"))?;
    let fd = sandbox.channel.await_listener()?;
    let oci = state.oci(status, sandbox.pid);
    seccomp::notify::send(
        listener,
        fd.as_fd(),
        crate::container::state::OCI_VERSION,
        sandbox.pid,
        &oci,
    )
}

/// The error behind a message that is not the expected one.
pub fn ended(sandbox: &Sandbox, message: Message) -> Error {
    match message {
        Message::Failure(text) => Error::new(Kind::Init, text),
        Message::Refused(text) => Error::new(Kind::Execve, text),
        Message::End => {
            let status = waitid(
                Id::PIDFd(sandbox.pidfd.as_fd()),
                WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT,
            );
            let how = match status {
                Ok(WaitStatus::Signaled(_, nix::sys::signal::Signal::SIGKILL, _)) => {
                    "init was killed while it was set up (memory limit too low?)".to_owned()
                }
                Ok(status) => format!("init died while it was set up: {status:?}"),
                Err(errno) => format!("init died while it was set up: {}", errno.desc()),
            };
            Error::new(Kind::Init, how)
        }
        other => Error::new(Kind::Init, format!("init sent {other:?} out of turn")),
    }
}
