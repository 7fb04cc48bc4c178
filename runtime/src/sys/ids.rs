//! The user, group and groups of the process, by system call.
//!
//! The C library's functions of these names have every thread of the process do the same, with
//! four more system calls each; Hull has one thread.
#![allow(unsafe_code, reason = "setgroups(2), setresgid(2) and setresuid(2) as system calls")]

use nix::errno::Errno;
use nix::libc;

/// setgroups(2).
///
/// # Errors
/// EPERM, EINVAL (too many).
pub fn set_groups(groups: &[u32]) -> Result<(), Errno> {
    // SAFETY: as many 32-bit ids as the length says.
    Errno::result(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) })
        .map(drop)
}

/// Real, effective and saved group id.
///
/// # Errors
/// EPERM, EINVAL (not mapped).
pub fn set_gid(gid: u32) -> Result<(), Errno> {
    // SAFETY: plain integers.
    Errno::result(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) }).map(drop)
}

/// Real, effective and saved user id.
///
/// # Errors
/// EPERM, EINVAL (not mapped), EAGAIN (RLIMIT_NPROC).
pub fn set_uid(uid: u32) -> Result<(), Errno> {
    // SAFETY: plain integers.
    Errno::result(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) }).map(drop)
}
