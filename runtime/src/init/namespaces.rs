//! Init's way into its namespaces, as [`crate::plan::namespaces::SpawnPlan`] says.
//!
//! Runs as: init, or the intermediate that clones it.

use super::write_proc;
use crate::error::{At, Result};
use crate::plan::namespaces::NamespaceType;
use crate::spawn::Staged;
use crate::spawn::channel::{Channel, Message};
use crate::sys::cap;
use crate::sys::clone::{Cloned, fork_into, setns, unshare};
use crate::sys::exec::exit_child;
use crate::sys::fd::open_at;
use nix::errno::Errno;
use nix::fcntl::{OFlag, ResolveFlag};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use std::os::fd::AsFd;

/// On return the process is in all its namespaces, as their root, and can't be looked into.
///
/// # Errors
/// The call that failed.
pub fn settle(staged: &Staged<'_>, channel: &Channel) -> Result<()> {
    let spawn = &staged.plan.spawn;
    let plan = &staged.plan.namespaces;
    if spawn.child_joins.contains(&NamespaceType::User) {
        join_with_user(staged)?;
    } else {
        for kind in &spawn.child_joins {
            staged.namespaces.join(*kind)?;
        }
    }
    if plan.creates(NamespaceType::User) {
        channel.await_go_on()?;
    }
    // Before the ids change: that makes /proc/self root's of the initial namespace (proc_pid(5)).
    if plan.creates(NamespaceType::Time) {
        time(staged)?;
    }
    if plan.has(NamespaceType::User) {
        become_root()?;
    }
    if spawn.intermediate {
        clone_sibling(staged.plan.spawn.clone, channel)?;
    }
    if spawn.unshare != 0 {
        unshare(spawn.unshare).at(|| "unshare")?;
    }
    if plan.creates(NamespaceType::Cgroup) {
        unshare(NamespaceType::Cgroup.flag()).at(|| "unshare(cgroup)")?;
    }
    // Other processes of a joined pid namespace must not reach into this one (CVE-2016-9962).
    cap::set_dumpable(false).at(|| "prctl(PR_SET_DUMPABLE)")
}

/// Namespaces that belong to the user namespace left behind can only be joined before it is left,
/// those of the joined one only after: try before, then again.
fn join_with_user(staged: &Staged<'_>) -> Result<()> {
    let kinds = &staged.plan.spawn.child_joins;
    let mut refused = Vec::new();
    for kind in kinds.iter().filter(|kind| **kind != NamespaceType::User) {
        match staged.namespaces.join(*kind) {
            Err(error) if error.errno() == Some(Errno::EPERM) => refused.push(*kind),
            other => other?,
        }
    }
    staged.namespaces.join(NamespaceType::User)?;
    refused.into_iter().try_for_each(|kind| staged.namespaces.join(kind))
}

/// Root of the user namespace. Capabilities are full after entering it; ids are not.
///
/// # Errors
/// Id 0 is not mapped.
pub fn become_root() -> Result<()> {
    let (uid, gid) = (Uid::from_raw(0), Gid::from_raw(0));
    setresgid(gid, gid, gid).at(|| "setresgid(0) in the user namespace (is gid 0 mapped?)")?;
    match setgroups(&[]) {
        // Given up for an unprivileged gid map (user_namespaces(7)).
        Ok(()) | Err(Errno::EPERM) => {}
        Err(errno) => return Err(errno).at(|| "setgroups([])"),
    }
    setresuid(uid, uid, uid).at(|| "setresuid(0) in the user namespace (is uid 0 mapped?)")?;
    super::die_with_runtime()
}

/// The intermediate's last act: the process as its sibling, in these new namespaces. It goes on only
/// when the runtime knows its pid: both write to one channel.
///
/// # Errors
/// clone3(2).
pub fn clone_sibling(namespaces: u64, channel: &Channel) -> Result<()> {
    match fork_into(namespaces, None, true).at(|| "clone3(init)")? {
        Cloned::Child => {
            super::die_with_runtime()?;
            channel.await_go_on()
        }
        Cloned::Parent { pid, .. } => {
            let told = channel.send(&Message::Pid(pid));
            exit_child(i32::from(told.is_err()))
        }
    }
}

/// A new time namespace takes its offsets before anybody is in it (time_namespaces(7)).
fn time(staged: &Staged<'_>) -> Result<()> {
    unshare(NamespaceType::Time.flag()).at(|| "unshare(time)")?;
    let offsets = &staged.plan.namespaces.time_offsets;
    if !offsets.is_empty() {
        write_proc(staged.proc.as_fd(), c"self/timens_offsets", offsets.as_bytes())?;
    }
    let path = c"self/ns/time_for_children";
    let fd = open_at(staged.proc.as_fd(), path, OFlag::O_RDONLY, 0, ResolveFlag::empty())
        .at(|| format!("open(/proc/{})", path.to_string_lossy()))?;
    setns(fd.as_fd(), NamespaceType::Time.flag()).at(|| "setns(time)")
}
