//! The container's first process, from the clone to the execve.
//!
//! Runs as: a child of the runtime that shares its memory by copy-on-write, at first as
//! privileged as the runtime, at last as the user's program. It owns no policy: it carries out
//! the plan, step by step, and reports the first failure over the channel.

pub mod console;
pub mod devices;
pub mod exec;
pub mod identity;
pub mod listener;
pub mod mounts;
pub mod namespaces;
pub mod network;
pub mod process;
pub mod rootfs;
pub mod stdio;
pub mod target;
pub mod tmpcopyup;

use crate::container::{Status, start};
use crate::error::{At, Kind, Result};
use crate::hooks;
use crate::plan::Plan;
use crate::plan::namespaces::NamespaceType;
use crate::spawn::Staged;
use crate::spawn::channel::{Channel, Message};
use crate::sys::fd::leave_to_execve;
use crate::sys::{cap, sched, uts};
use nix::fcntl::{OFlag, ResolveFlag};
use nix::libc;
use nix::sys::stat::{Mode, umask};
use std::convert::Infallible;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Runs init; returns only when something failed, with the status to exit with.
pub fn main(staged: &Staged<'_>, channel: &Channel) -> i32 {
    match run(staged, channel) {
        Ok(never) => match never {},
        Err(error) => {
            let text = error.to_string();
            let message = match error.kind() {
                Kind::Execve => Message::Refused(text),
                _ => Message::Failure(text),
            };
            if channel.send(&message).is_err() {
                // create has long returned: `start` listens at the other end of the fifo.
                if let Some(fifo) = &staged.fifo {
                    start::fail(fifo.as_fd(), &error);
                }
            }
            1
        }
    }
}

fn run(staged: &Staged<'_>, channel: &Channel) -> Result<Infallible> {
    let plan = staged.plan;
    join_cgroups(&staged.join.tasks)?;
    // The caller's own restriction is not the container's.
    sched::reset_affinity().at(|| "sched_setaffinity(all)")?;
    die_with_runtime()?;
    if let Some(signals) = staged.signals {
        signals.restore()?;
    }
    namespaces::settle(staged, channel)?;
    nix::unistd::setsid().at(|| "setsid")?;
    process::session_keyring(plan)?;
    network::set_up(staged, channel)?;
    umask(Mode::empty());
    let root = root_file_system(staged, channel)?;
    let kept = enter(staged, root.as_fd())?;
    name(plan)?;
    process::sysctls(plan, staged.proc.as_fd())?;
    if plan.rootfs.entry != crate::plan::rootfs::Entry::ChrootOnly {
        rootfs::protect(root.as_fd(), plan, kept.null.as_ref().map(AsFd::as_fd))?;
    }
    umask(Mode::from_bits_truncate(plan.process.umask));
    process::attributes(&plan.process)?;
    leave_to_execve(root);
    kept.null.into_iter().for_each(leave_to_execve);
    exec::execute(&exec::Execution::of(staged), channel)
}

/// cgroup v1: a thread that writes `0` to a `tasks` file moves itself, without the grace period
/// (some ten milliseconds) that moving a whole process by `cgroup.procs` waits for.
pub fn join_cgroups(tasks: &[OwnedFd]) -> Result<()> {
    for file in tasks {
        nix::unistd::write(file, b"0").at(|| "joining the container's cgroup: write(tasks)")?;
    }
    Ok(())
}

/// A killed runtime takes an unfinished init along; the channel's end of file is the second
/// guard, for a runtime that died before this call.
pub fn die_with_runtime() -> Result<()> {
    cap::set_parent_death_signal(libc::SIGKILL).at(|| "prctl(PR_SET_PDEATHSIG)")
}

/// Mounts, devices and the hooks between them and pivot_root.
fn root_file_system(staged: &Staged<'_>, channel: &Channel) -> Result<OwnedFd> {
    let plan = staged.plan;
    let root =
        rootfs::prepare(&plan.rootfs, !plan.mounts.is_empty()).at(|| "error preparing rootfs")?;
    mounts::mount_all(root.as_fd(), staged, channel)?;
    if let Some(devices) = &plan.devices {
        devices::make_all(root.as_fd(), devices, plan.bind_devices)?;
    }
    if !plan.hooks.prestart.is_empty() || !plan.hooks.create_runtime.is_empty() {
        channel.send(&Message::Mounted)?;
        channel.await_go_on()?;
    }
    if !plan.hooks.create_container.is_empty() {
        // Inside its namespaces init knows itself by another pid (runtime.md "State").
        let state = staged.state.oci_json(Status::Creating, nix::unistd::getpid().as_raw());
        // Where such hooks of other runtimes find themselves.
        nix::unistd::fchdir(&root).at(|| "fchdir(rootfs)")?;
        hooks::run(
            &plan.hooks.create_container,
            "createContainer",
            &state,
            hooks::DefaultEnv::Inherit,
        )?;
    }
    Ok(root)
}

/// What is kept from before pivot_root.
struct Kept {
    null: Option<OwnedFd>,
}

/// Takes what is needed of the host, makes the new root the root, and attaches the terminal.
fn enter(staged: &Staged<'_>, root: BorrowedFd<'_>) -> Result<Kept> {
    let plan = staged.plan;
    if let Some(theirs) = &staged.stdio {
        stdio::replace(theirs)?;
    }
    let needs_null = !plan.masked_paths.is_empty();
    let null = if needs_null { Some(rootfs::host_null()?) } else { None };
    rootfs::enter(root, &plan.rootfs).at(|| "error jailing process inside rootfs")?;
    process::make_cwd(root, &plan.process)?;
    if let Some(receiver) = &staged.console {
        let size = plan.process.console_size;
        console::attach(root, receiver, size, plan.identity.uid, plan.devices.is_some())?;
    }
    // The runtime has looked at its own, and sees them as this process does unless ids are mapped.
    let known = staged.console.is_none() && !plan.namespaces.has(NamespaceType::User);
    let fresh = if known { None } else { Some(stdio::statuses(None)?) };
    let found = fresh.as_ref().unwrap_or(&staged.streams);
    stdio::adopt(root, found, plan.identity.uid, plan.devices.is_some())?;
    Ok(Kept { null })
}

fn name(plan: &Plan<'_>) -> Result<()> {
    if let Some(name) = &plan.hostname {
        uts::set_host_name(name.as_bytes()).at(|| format!("sethostname({name:?})"))?;
    }
    if let Some(name) = &plan.domainname {
        uts::set_domain_name(name.as_bytes()).at(|| format!("setdomainname({name:?})"))?;
    }
    Ok(())
}

/// Opens a file below a trusted /proc and writes one value; no link is followed and nothing that
/// is mounted there is crossed (CVE-2019-16884, CVE-2025-52881).
pub fn write_proc(proc: BorrowedFd<'_>, path: &std::ffi::CStr, value: &[u8]) -> Result<()> {
    let resolve = ResolveFlag::RESOLVE_BENEATH
        | ResolveFlag::RESOLVE_NO_XDEV
        | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let file = crate::sys::fd::open_at(proc, path, OFlag::O_WRONLY, 0, resolve)
        .at(|| format!("open(/proc/{})", path.to_string_lossy()))?;
    nix::unistd::write(&file, value).at(|| {
        format!("write(/proc/{}, {:?})", path.to_string_lossy(), String::from_utf8_lossy(value))
    })?;
    Ok(())
}
