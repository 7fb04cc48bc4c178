//! clone3(2) used as a fork, pidfds and namespaces.
#![allow(unsafe_code, reason = "clone3(2) and pidfd system calls have no safe wrapper")]

use nix::errno::Errno;
use nix::libc;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// The namespace flag of a time namespace; not in every libc.
pub const CLONE_NEWTIME: u64 = 0x80;
/// The child uses the very table of descriptors of its parent; not in every libc as an unsigned
/// number.
pub const CLONE_FILES: u64 = 0x400;
/// Place the child in the cgroup given by fd (Linux 5.7).
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Which side of the clone the caller is on.
pub enum Cloned {
    /// The caller; the child and a pidfd for it.
    Parent {
        /// Process id in the caller's pid namespace.
        pid: libc::pid_t,
        /// Refers to the child whatever happens to the number.
        pidfd: OwnedFd,
    },
    /// The new process.
    Child,
}

#[repr(C, align(8))]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Makes a child like fork(2) does, in new namespaces and, on cgroup v2, in another cgroup. `flags`
/// are those of the namespaces, or [`CLONE_FILES`].
///
/// The process must be single-threaded, which Hull is from `main` to `execve`: then the child may
/// go on using everything the parent had, as its copy.
///
/// # Errors
/// clone3(2): ENOSPC (namespace limits), EPERM, EBUSY/EOPNOTSUPP (cgroup), ENOMEM, EAGAIN.
pub fn fork_into(
    flags: u64,
    cgroup: Option<BorrowedFd<'_>>,
    sibling: bool,
) -> Result<Cloned, Errno> {
    let mut pidfd: RawFd = -1;
    let mut flags = flags | libc::CLONE_PIDFD as u64;
    if sibling {
        flags |= libc::CLONE_PARENT as u64;
    }
    let mut args = CloneArgs {
        pidfd: (&raw mut pidfd) as u64,
        // With CLONE_PARENT the child keeps the caller's own exit signal; the field must be 0.
        exit_signal: if sibling { 0 } else { libc::SIGCHLD as u64 },
        ..CloneArgs::default()
    };
    if let Some(cgroup) = cgroup {
        flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::try_from(cgroup.as_raw_fd()).unwrap_or_default();
    }
    args.flags = flags;
    // SAFETY: without CLONE_VM and with a null stack the child runs on a copy of this stack, as
    // after fork(2); `args` and `pidfd` live through the call; the process has one thread.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) };
    match Errno::result(pid)? {
        0 => Ok(Cloned::Child),
        pid => Ok(Cloned::Parent {
            pid: libc::pid_t::try_from(pid).unwrap_or_default(),
            // SAFETY: on success the kernel stored a new descriptor, owned by nobody else.
            pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) },
        }),
    }
}

/// setns(2) with namespace or pidfd.
///
/// # Errors
/// EINVAL for a wrong type, EPERM.
pub fn setns(fd: BorrowedFd<'_>, namespaces: u64) -> Result<(), Errno> {
    let flags = libc::c_int::try_from(namespaces).map_err(|_| Errno::EINVAL)?;
    // SAFETY: plain integers.
    Errno::result(unsafe { libc::setns(fd.as_raw_fd(), flags) }).map(drop)
}

/// unshare(2).
///
/// # Errors
/// ENOSPC (namespace limits), EPERM, EINVAL.
pub fn unshare(namespaces: u64) -> Result<(), Errno> {
    let flags = libc::c_int::try_from(namespaces).map_err(|_| Errno::EINVAL)?;
    // SAFETY: plain integers; single-threaded process.
    Errno::result(unsafe { libc::unshare(flags) }).map(drop)
}

/// The `CLONE_NEW…` value of a namespace descriptor (ioctl_ns(2) NS_GET_NSTYPE).
///
/// # Errors
/// ENOTTY when the descriptor is not a namespace.
pub fn namespace_type(fd: BorrowedFd<'_>) -> Result<u64, Errno> {
    const NS_GET_NSTYPE: libc::c_ulong = 0xb703;
    // The request's type differs between libcs (c_ulong, c_int).
    #[allow(
        clippy::useless_conversion,
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap
    )]
    let request = NS_GET_NSTYPE as _;
    // SAFETY: NS_GET_NSTYPE takes no argument.
    let kind = Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), request) })?;
    Ok(u64::try_from(kind).unwrap_or_default())
}
