//! From the plan to a running init: the first irreversible steps.
//!
//! Runs as: the runtime, in the host's namespaces. What init will need of the host is opened
//! before the clone ([`Staged`]); what must not outlive a failure is undone by [`Sandbox`]'s drop.

pub mod attend;
pub mod channel;
pub mod idmap;
pub mod namespaces;
pub mod sources;

use crate::cgroup::{Cgroup, Join};
use crate::console::Receiver;
use crate::error::{At, Error, Kind, Result};
use crate::init::stdio::Statuses;
use crate::intel_rdt::{RdtPlan, RdtState};
use crate::plan::Plan;
use crate::plan::namespaces::NamespaceType;
use crate::seccomp::Filter;
use crate::sys::child;
use crate::sys::clone::{Cloned, fork_into};
use crate::sys::exec::{Vector, exit_child};
use channel::{Channel, Message};
use namespaces::{Away, Opened};
use nix::libc::{self, pid_t};
use std::os::fd::{AsFd, OwnedFd};

/// What init inherits: the plan and open descriptors. Init borrows all of it from the memory it
/// shares with the runtime by copy-on-write.
pub struct Staged<'a> {
    /// What is to be done.
    pub plan: &'a Plan<'a>,
    /// argv.
    pub arguments: Vector,
    /// User namespaces of id-mapped mounts, by mount index.
    pub mappings: Vec<Option<OwnedFd>>,
    /// Namespaces to join.
    pub namespaces: Opened,
    /// The host's /proc, verified.
    pub proc: OwnedFd,
    /// The filter.
    pub filter: Option<Filter>,
    /// `exec.fifo`; none for `run`.
    pub fifo: Option<OwnedFd>,
    /// Where the terminal's master goes.
    pub console: Option<Receiver>,
    /// Descriptors from 3 on that the program inherits.
    pub preserved: u32,
    /// Blocked signals to restore.
    pub signals: Option<&'a crate::foreground::Signals>,
    /// stdin, stdout and stderr, if not the caller's own.
    pub stdio: Option<[OwnedFd; 3]>,
    /// What these, or the caller's own, are.
    pub streams: Statuses,
    /// State for the hooks that init runs.
    pub state: crate::container::State,
    /// How to get into the cgroup.
    pub join: Join,
    /// Highest capability of the kernel.
    pub last_capability: u32,
    /// Resctrl groups to make.
    pub rdt: Option<RdtPlan>,
}

/// A container being made: dropped before [`Sandbox::release`], everything is undone.
pub struct Sandbox {
    /// Init.
    pub pid: pid_t,
    /// Init, whatever happens to the number.
    pub pidfd: OwnedFd,
    /// The way to talk to it.
    pub channel: Channel,
    /// Its cgroup.
    pub cgroup: Option<Cgroup>,
    /// Its resctrl groups.
    pub rdt: Option<RdtState>,
    released: bool,
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if self.released {
            return;
        }
        // Best effort: the error that led here is the one to report.
        let _ = child::signal(self.pidfd.as_fd(), libc::SIGKILL);
        let _ = child::wait(self.pidfd.as_fd());
        if let Some(rdt) = &self.rdt {
            let _ = crate::intel_rdt::destroy(rdt);
        }
        if let Some(cgroup) = self.cgroup.take() {
            let _ = cgroup.kill_all();
            let _ = cgroup.undo();
        }
    }
}

impl Sandbox {
    /// A process that joins an existing container: only it is undone, not the container.
    pub fn of_exec(pid: pid_t, pidfd: OwnedFd, channel: Channel) -> Self {
        Self { pid, pidfd, channel, cgroup: None, rdt: None, released: false }
    }

    /// The container is complete and stays.
    pub fn release(&mut self) {
        self.released = true;
    }
}

/// Clones init, maps its ids, and lets it set up the container.
///
/// # Errors
/// The clone, the maps; what init does is heard in [`attend`].
pub fn init(staged: &Staged<'_>, cgroup: Cgroup) -> Result<Sandbox> {
    let spawn = &staged.plan.spawn;
    let (mut sandbox, away) = match clone(staged) {
        Ok(cloned) => cloned,
        Err(error) => {
            // Best effort: the error that led here is the one to report.
            let _ = cgroup.undo();
            return Err(error);
        }
    };
    sandbox.cgroup = Some(cgroup);
    away.leave()?;
    if let Some((unit, below)) = &staged.join.unit {
        unit.attach(below, sandbox.pid)?;
    }
    if spawn.intermediate {
        adopt(&mut sandbox)?;
    } else if staged.plan.namespaces.creates(NamespaceType::User) {
        idmap::write(sandbox.pid, &staged.plan.namespaces).at(|| "writing the id maps")?;
        sandbox.channel.go_on()?;
    }
    Ok(sandbox)
}

/// Clones init from the namespaces it has to be born in; the way back is for the caller to go.
fn clone(staged: &Staged<'_>) -> Result<(Sandbox, Away)> {
    let (ours, theirs) = Channel::pair()?;
    let spawn = &staged.plan.spawn;
    let _score = attend::lend_oom_score(&staged.plan.process, staged.proc.as_fd())?;
    let away = staged.namespaces.enter(&spawn.runtime_enters)?;
    let first = if spawn.intermediate { 0 } else { spawn.clone };
    let into = staged.join.into.as_ref().map(AsFd::as_fd);
    match fork_into(first, into, false).at(|| clone_hint(staged.plan)) {
        Ok(Cloned::Child) => {
            drop(ours);
            exit_child(crate::init::main(staged, &theirs))
        }
        Ok(Cloned::Parent { pid, pidfd }) => {
            let (channel, released) = (ours, false);
            Ok((Sandbox { pid, pidfd, channel, cgroup: None, rdt: None, released }, away))
        }
        Err(error) => {
            away.leave()?;
            Err(error)
        }
    }
}

/// Takes over from the intermediate: its clone is our child by CLONE_PARENT.
pub(crate) fn adopt(sandbox: &mut Sandbox) -> Result<()> {
    let pid = match sandbox.channel.receive()? {
        Message::Pid(pid) => pid,
        Message::Failure(text) => return Err(Error::new(Kind::Init, text)),
        other => {
            return Err(Error::new(Kind::Init, format!("the intermediate process sent {other:?}")));
        }
    };
    let pidfd = child::open(pid).at(|| format!("pidfd_open({pid})"))?;
    let intermediate = std::mem::replace(&mut sandbox.pidfd, pidfd);
    sandbox.pid = pid;
    child::wait(intermediate.as_fd()).at(|| "waiting for the intermediate")?;
    sandbox.channel.go_on()
}

fn clone_hint(plan: &Plan<'_>) -> String {
    let mut kinds = Vec::new();
    for kind in crate::plan::namespaces::ALL {
        if plan.spawn.clone & kind.flag() != 0 {
            kinds.push(kind.name());
        }
    }
    format!(
        "clone3({}) (see /proc/sys/user/max_*_namespaces if it says no space left)",
        kinds.join(", ")
    )
}

/// The name runc gives a kind of namespace in its state.
pub fn namespace_key(kind: NamespaceType) -> String {
    let name = match kind {
        NamespaceType::User => "NEWUSER",
        NamespaceType::Pid => "NEWPID",
        NamespaceType::Network => "NEWNET",
        NamespaceType::Ipc => "NEWIPC",
        NamespaceType::Uts => "NEWUTS",
        NamespaceType::Cgroup => "NEWCGROUP",
        NamespaceType::Time => "NEWTIME",
        NamespaceType::Mount => "NEWNS",
    };
    name.to_owned()
}
