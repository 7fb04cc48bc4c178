//! Attributes of the process that need privileges (config.md "Linux Process", config-linux.md
//! "Sysctl", "Personality", "Memory policy").
//!
//! Runs as: init, still privileged.

use super::{target, write_proc};
use crate::error::{At, Result};
use crate::plan::Plan;
use crate::plan::process::ProcessPlan;
use crate::sys::sched;
use nix::errno::Errno;
use std::os::fd::BorrowedFd;

/// A session keyring of its own, so that the container neither sees nor keeps the caller's
/// (keyrings(7)); the container's uid may search it.
pub fn session_keyring(plan: &Plan<'_>) -> Result<()> {
    let Some(name) = &plan.keyring else { return Ok(()) };
    join_keyring(name)
}

/// Joins the session keyring `name`, or makes it.
///
/// # Errors
/// keyctl(2); a kernel without keyrings has none to leak.
pub fn join_keyring(name: &std::ffi::CStr) -> Result<()> {
    /// `KEY_USR_SEARCH`: the owner of the keyring, whoever that becomes, finds keys in it.
    const KEY_USR_SEARCH: u32 = 0x0008_0000;
    match sched::join_session_keyring(name) {
        Err(nix::errno::Errno::ENOSYS) => Ok(()),
        Err(errno) => Err(errno).at(|| "unable to join session keyring"),
        Ok(key) => sched::grant_on_key(key, KEY_USR_SEARCH)
            .at(|| "unable to change the keyring's permissions"),
    }
}

/// Writes the kernel parameters of the container's namespaces.
pub fn sysctls(plan: &Plan<'_>, proc: BorrowedFd<'_>) -> Result<()> {
    for sysctl in &plan.sysctls {
        write_proc(proc, &sysctl.path, sysctl.value.as_bytes())
            .at(|| format!("setting sysctl {:?}", sysctl.name))?;
    }
    Ok(())
}

/// The working directory is made where the image does not have it.
pub fn make_cwd(root: BorrowedFd<'_>, process: &ProcessPlan) -> Result<()> {
    if process.cwd.to_bytes() == b"/" {
        return Ok(());
    }
    target::make_directory(root, &process.cwd)
        .map(drop)
        .at(|| format!("mkdir(cwd {:?})", process.cwd.to_string_lossy()))
}

/// Scheduling, I/O priority, personality, memory policy.
pub fn attributes(process: &ProcessPlan) -> Result<()> {
    if let Some(attr) = &process.scheduler {
        let set = sched::sched_setattr(attr).at(|| "error setting scheduler: sched_setattr");
        match set {
            // sched_setattr(2): a deadline needs all processors of the system.
            Err(error) if error.errno() == Some(Errno::EPERM) && process.limited_cpus => Err(error)
                .at(|| "process scheduler can't be used together with AllowedCPUs (cpuset)"),
            other => other,
        }?;
    }
    if let Some(value) = process.io_priority {
        sched::ioprio_set(value).at(|| "failed to set io priority: ioprio_set")?;
    }
    if let Some(domain) = process.personality {
        sched::personality(domain.into()).at(|| "personality")?;
    }
    if let Some(policy) = &process.memory_policy {
        sched::set_mempolicy(policy.mode, &policy.nodes).at(|| "set_mempolicy")?;
    }
    Ok(())
}
