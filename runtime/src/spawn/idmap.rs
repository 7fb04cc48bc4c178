//! Writing the id maps of a new user namespace (user_namespaces(7)), and user namespaces made
//! only to carry the map of an id-mapped mount (mount_setattr(2)).
//!
//! Runs as: the runtime, after the clone; init waits.

use crate::error::{At, Error, Kind, Result};
use crate::plan::namespaces::NamespacePlan;
use crate::sys::child;
use crate::sys::clone::{Cloned, fork_into};
use crate::sys::exec::exit_child;
use nix::errno::Errno;
use nix::libc::{self, pid_t};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};

/// Writes gid and uid map of process `pid`; by newuidmap(1) and newgidmap(1) if the kernel does
/// not let this user.
///
/// # Errors
/// EINVAL (overlapping or too many ranges), EPERM (ids this user may not map).
pub fn write(pid: pid_t, namespaces: &NamespacePlan) -> Result<()> {
    map(pid, "gid_map", "newgidmap", &namespaces.gid_map)?;
    map(pid, "uid_map", "newuidmap", &namespaces.uid_map)
}

fn map(pid: pid_t, file: &str, helper: &str, text: &str) -> Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    match proc_write(pid, file, text) {
        Err(error) if matches!(error.errno(), Some(Errno::EPERM | Errno::EACCES)) => {}
        other => return other,
    }
    let group = file == "gid_map";
    let own = if group { nix::unistd::getegid().as_raw() } else { nix::unistd::geteuid().as_raw() };
    if is_only(text, own) {
        // The caller's own id needs no helper, nor an account that the helper would ask for; a gid
        // may be mapped once setgroups(2) is given up (user_namespaces(7)).
        if group {
            proc_write(pid, "setgroups", "deny")?;
        }
        return proc_write(pid, file, text);
    }
    match helped(pid, helper, text) {
        Err(error) if error.errno() == Some(Errno::ENOENT) => {
            Err(error).at(|| format!("{helper} is not installed"))
        }
        other => other,
    }
}

/// Whether the map holds this one id of the host and no other.
fn is_only(text: &str, id: u32) -> bool {
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    matches!(fields[..], [_, host, "1"] if host == id.to_string())
}

fn proc_write(pid: pid_t, file: &str, text: &str) -> Result<()> {
    let path = format!("/proc/{pid}/{file}");
    let open = File::options().write(true).open(&path);
    open.and_then(|mut file| file.write_all(text.as_bytes()))
        .at(|| format!("write({path}, {:?})", text.trim_end()))
}

fn helped(pid: pid_t, helper: &str, text: &str) -> Result<()> {
    let output = std::process::Command::new(helper)
        .arg(pid.to_string())
        .args(text.split_ascii_whitespace())
        .output()
        .at(|| helper.to_owned())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::new(Kind::Kernel(Errno::EPERM), format!("{helper}: {}", said.trim())))
}

/// A user namespace with these maps: that of a child that only waits to be killed.
///
/// # Errors
/// The clone, or the maps.
pub fn namespace(uid_map: &str, gid_map: &str) -> Result<OwnedFd> {
    let flags = u64::from(libc::CLONE_NEWUSER.cast_unsigned());
    match fork_into(flags, None, false).at(|| "clone3(user) for an id-mapped mount")? {
        Cloned::Child => loop {
            // Dies with the runtime, or by it.
            if crate::sys::cap::set_parent_death_signal(libc::SIGKILL).is_err() {
                exit_child(1);
            }
            nix::unistd::pause();
        },
        Cloned::Parent { pid, pidfd } => {
            let maps = NamespacePlan {
                uid_map: uid_map.to_owned(),
                gid_map: gid_map.to_owned(),
                ..NamespacePlan::default()
            };
            let opened = write(pid, &maps)
                .and_then(|()| File::open(format!("/proc/{pid}/ns/user")).at(|| "open(ns/user)"));
            let _ = child::signal(pidfd.as_fd(), libc::SIGKILL);
            let _ = child::wait(pidfd.as_fd());
            Ok(opened?.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ones_own_id_is_told_from_others() {
        assert!(is_only("0 1000 1\n", 1000));
        assert!(!is_only("0 1001 1\n", 1000));
        assert!(!is_only("0 1000 2\n", 1000));
        assert!(!is_only("0 1000 1\n1 100000 65536\n", 1000));
    }
}
