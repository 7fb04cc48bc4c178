//! Descriptors of another process.
#![allow(unsafe_code, reason = "pidfd_getfd(2) is not in nix")]

use nix::errno::Errno;
use nix::libc;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// pidfd_getfd(2): a duplicate of descriptor `number` of the process.
///
/// # Errors
/// EPERM, EBADF.
pub fn descriptor_of(pidfd: BorrowedFd<'_>, number: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: integers; the result is checked.
    let fd = Errno::result(unsafe {
        libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), number, 0)
    })?;
    // SAFETY: a new descriptor (close-on-exec by definition), owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).unwrap_or(-1)) })
}
