//! The calls behind mounts with mapped ids: open_tree(2), mount_setattr(2), move_mount(2), and a
//! user namespace to take the map from.
#![allow(unsafe_code, reason = "system calls without a wrapper, and clone(2)")]

use crate::error::{At, Error, Result};
use nix::errno::Errno;
use nix::libc;
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use std::ffi::CString;
use std::fs::{self, File};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

fn c_path(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| Error::invalid(format!("a path with a zero byte: {}", path.display())))
}

/// A detached copy of the mounts at and below `path`.
///
/// # Errors
/// open_tree(2).
pub fn clone_tree(path: &Path) -> Result<OwnedFd> {
    let name = c_path(path)?;
    let flags = libc::OPEN_TREE_CLONE
        | libc::OPEN_TREE_CLOEXEC
        | libc::c_uint::try_from(libc::AT_RECURSIVE).unwrap_or(0);
    // SAFETY: `name` ends with a zero and outlives the call.
    let number =
        unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, name.as_ptr(), flags) };
    let number = Errno::result(number).at(|| format!("open_tree {}", path.display()))?;
    let number = RawFd::try_from(number).map_err(|_| Error::unknown("open_tree: no descriptor"))?;
    // SAFETY: the kernel has just made it, and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Maps the ids of a detached tree by a user namespace, and makes it read-only if asked.
///
/// # Errors
/// mount_setattr(2): EINVAL for a file system that can't be mapped.
pub fn map_ids(tree: BorrowedFd<'_>, space: BorrowedFd<'_>, read_only: bool) -> Result<()> {
    let read_only = if read_only { libc::MOUNT_ATTR_RDONLY } else { 0 };
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_IDMAP | read_only,
        attr_clr: 0,
        propagation: libc::MS_PRIVATE,
        userns_fd: u64::try_from(space.as_raw_fd()).unwrap_or(u64::MAX),
    };
    // SAFETY: an empty path, and a structure of the size given that outlives the call.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | libc::AT_RECURSIVE,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    Errno::result(done).map(drop).at(|| "mount_setattr with an id map".to_owned())
}

/// Attaches a detached tree.
///
/// # Errors
/// move_mount(2).
pub fn move_to(tree: BorrowedFd<'_>, target: &Path) -> Result<()> {
    let name = c_path(target)?;
    // SAFETY: two strings that end with a zero and outlive the call.
    let done = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            name.as_ptr(),
            libc::MOVE_MOUNT_F_EMPTY_PATH,
        )
    };
    Errno::result(done).map(drop).at(|| format!("move_mount to {}", target.display()))
}

/// A user namespace with these maps, which lives as long as the descriptor.
///
/// # Errors
/// clone(2), or maps the kernel refuses.
pub fn user_namespace(uids: &str, gids: &str) -> Result<OwnedFd> {
    let flags = libc::CLONE_NEWUSER | libc::SIGCHLD;
    // SAFETY: without CLONE_VM and with no stack this is fork(2): the child has a copy of
    // everything. There is one thread, and the child makes only async-signal-safe calls.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    let pid = Errno::result(pid).at(|| "clone a user namespace".to_owned())?;
    if pid == 0 {
        loop {
            // SAFETY: pause(2) has no preconditions; the child is killed below, or by the kernel
            // should its parent die.
            unsafe {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                libc::pause();
            }
        }
    }
    let pid = Pid::from_raw(i32::try_from(pid).unwrap_or(i32::MAX));
    let made = mapped(pid, uids, gids);
    let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
    let _ = waitpid(pid, None);
    made
}

fn mapped(pid: Pid, uids: &str, gids: &str) -> Result<OwnedFd> {
    for (file, table) in [("uid_map", uids), ("gid_map", gids)] {
        let path = format!("/proc/{pid}/{file}");
        fs::write(&path, table).at(|| format!("write {table:?} to {path}"))?;
    }
    let path = format!("/proc/{pid}/ns/user");
    File::open(&path).at(|| format!("open {path}")).map(OwnedFd::from)
}
