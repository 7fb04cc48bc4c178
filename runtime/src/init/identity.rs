//! Becoming the user: groups, ids, capabilities, no_new_privs, labels and the filter.
//!
//! Runs as: init or an exec'd process, from privileged to what the configuration asks for. The
//! order is forced: labels need /proc and privileges; the bounding set needs CAP_SETPCAP; ids
//! need CAP_SETUID; a filter without no_new_privs needs CAP_SYS_ADMIN, so it comes before the
//! capabilities are dropped, and with no_new_privs after, as the very last.

use super::write_proc;
use crate::error::{At, Result};
use crate::plan::identity::Identity;
use crate::sys::{cap, ids};
use nix::errno::Errno;
use std::os::fd::BorrowedFd;

/// LSM labels for the execve to come (proc_pid_attr(5)).
///
/// # Errors
/// The kernel has no such module or profile: never run with less than what was asked for.
pub fn labels(identity: &Identity, proc: BorrowedFd<'_>) -> Result<()> {
    if let Some(profile) = &identity.apparmor_profile {
        let value = format!("exec {profile}");
        let first = write_proc(proc, c"thread-self/attr/apparmor/exec", value.as_bytes());
        match first {
            // Before Linux 5.8 there was only the file all modules share.
            Err(error) if error.errno() == Some(Errno::ENOENT) => {
                write_proc(proc, c"thread-self/attr/exec", value.as_bytes())
            }
            other => other,
        }
        .at(|| format!("unable to apply apparmor profile {profile:?}"))?;
    }
    if let Some(label) = &identity.selinux_label {
        write_proc(proc, c"thread-self/attr/exec", label.as_bytes())
            .at(|| format!("can't set process label {label:?}"))?;
    }
    Ok(())
}

/// Bounding set, groups and ids; the permitted set is kept for [`finish`].
///
/// # Errors
/// The call that failed: a capability that can't be dropped is fatal.
pub fn become_user(identity: &Identity, last_capability: u32) -> Result<()> {
    for capability in 0..=last_capability {
        if identity.capabilities.bounding & (1 << capability) == 0 {
            cap::drop_bounding(capability)
                .at(|| format!("prctl(PR_CAPBSET_DROP, {capability})"))?;
        }
    }
    groups(identity)?;
    let (uid, gid) = (identity.uid, identity.gid);
    ids::set_gid(gid).at(|| format!("setresgid({gid})"))?;
    if identity.uid != 0 {
        cap::keep_on_setuid(true).at(|| "prctl(PR_SET_KEEPCAPS)")?;
        ids::set_uid(uid).at(|| format!("setresuid({uid})"))?;
        cap::keep_on_setuid(false).at(|| "prctl(PR_SET_KEEPCAPS)")?;
        // Changing ids cleared it, and with it the tie to the runtime (prctl(2)).
        super::die_with_runtime()?;
    } else {
        ids::set_uid(uid).at(|| format!("setresuid({uid})"))?;
    }
    Ok(())
}

/// Whether the user may execute a file depends on the capabilities it will have; changing ids took
/// them all out of the effective set.
///
/// # Errors
/// capset(2).
pub fn act_as(identity: &Identity) -> Result<()> {
    let wanted = identity.capabilities.effective;
    if identity.uid == 0 || wanted == 0 {
        return Ok(());
    }
    let permitted = cap::permitted().at(|| "capget")?;
    cap::set(wanted & permitted, permitted, 0).at(|| "capset(effective)")
}

fn groups(identity: &Identity) -> Result<()> {
    match ids::set_groups(&identity.groups) {
        // In a user namespace where it was given up there are no groups to lose, but none can be
        // set either.
        Err(Errno::EPERM) if identity.groups.is_empty() => Ok(()),
        other => other.at(|| format!("setgroups({:?})", identity.groups)),
    }
}

/// no_new_privs, the capability sets and the filter.
///
/// # Errors
/// The call that failed.
pub fn finish(identity: &Identity, load_filter: &dyn Fn() -> Result<()>) -> Result<()> {
    if identity.no_new_privileges {
        cap::set_no_new_privs().at(|| "prctl(PR_SET_NO_NEW_PRIVS)")?;
        capabilities(identity)?;
        return load_filter();
    }
    if identity.uid != 0 {
        // setresuid took the effective set; loading a filter needs CAP_SYS_ADMIN in it.
        let permitted = cap::permitted().at(|| "capget")?;
        cap::set(permitted, permitted, 0).at(|| "capset(all)")?;
    }
    load_filter()?;
    capabilities(identity)
}

/// Exactly the sets of the configuration; nothing inheritable or ambient unasked
/// (CVE-2022-29162). What this process does not have itself can't be given, which is no error
/// (config.md "Linux Process": "SHOULD NOT fail").
fn capabilities(identity: &Identity) -> Result<()> {
    let sets = &identity.capabilities;
    let mine = cap::permitted().at(|| "capget")?;
    let permitted = sets.permitted & mine;
    let (effective, inheritable) = (sets.effective & permitted, sets.inheritable & mine);
    // What is not inheritable can't be ambient, the kernel sees to that (capabilities(7)).
    if inheritable != 0 {
        cap::clear_ambient().at(|| "prctl(PR_CAP_AMBIENT_CLEAR_ALL)")?;
    }
    cap::set(effective, permitted, inheritable).at(|| {
        format!(
            "can't apply capabilities: capset({effective:#x}, {permitted:#x}, {inheritable:#x})"
        )
    })?;
    let ambient = sets.ambient & permitted & inheritable;
    for capability in (0..64).filter(|bit| ambient & (1 << bit) != 0) {
        cap::raise_ambient(capability)
            .at(|| format!("prctl(PR_CAP_AMBIENT_RAISE, {capability})"))?;
    }
    Ok(())
}
