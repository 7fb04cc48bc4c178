//! The standard streams as the container's user sees them.
//!
//! Runs as: init, inside the new root.

use super::target;
use crate::error::{At, Error, Result};
use crate::sys::fd::{dup_onto, leave_to_execve, stdio};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::stat::{SFlag, fstat};
use nix::unistd::{Gid, Uid, fchown};
use std::os::fd::{AsFd, BorrowedFd};

/// Puts these in the place of stdin, stdout and stderr.
///
/// # Errors
/// dup3(2).
pub fn replace(streams: &[std::os::fd::OwnedFd; 3]) -> Result<()> {
    for (stream, number) in streams.iter().zip(0..) {
        dup_onto(stream.as_fd(), number).at(|| format!("dup3({number})"))?;
    }
    Ok(())
}

/// Pipes and sockets are given to the container's user, who could otherwise not reopen
/// /dev/stdout; the host's /dev/null is replaced by the container's own, which is there under
/// its name. Devices and files of the host keep their owner.
///
/// # Errors
/// A /dev/null in the container that is something else.
pub fn adopt(root: BorrowedFd<'_>, uid: u32, own_dev: bool) -> Result<()> {
    let mut null = None;
    for number in 0..3 {
        let fd = stdio(number);
        let status = fstat(fd).at(|| format!("fstat({number})"))?;
        let kind = target::file_type(&status);
        if kind == SFlag::S_IFCHR && status.st_rdev == libc::makedev(1, 3) && own_dev {
            let null = match &null {
                Some(open) => open,
                None => null.insert(open_null(root)?),
            };
            dup_onto(null.as_fd(), number).at(|| "dup3(/dev/null)")?;
        } else if matches!(kind, SFlag::S_IFIFO | SFlag::S_IFSOCK) && status.st_uid != uid {
            give(fd, uid).at(|| format!("fchown({number})"))?;
        }
    }
    null.into_iter().for_each(leave_to_execve);
    Ok(())
}

fn open_null(root: BorrowedFd<'_>) -> Result<std::os::fd::OwnedFd> {
    let null = crate::sys::fd::open_at(root, c"/dev/null", OFlag::O_RDWR, 0, target::in_root())
        .at(|| "open(/dev/null)")?;
    let status = fstat(&null).at(|| "fstat(/dev/null)")?;
    if target::file_type(&status) != SFlag::S_IFCHR || status.st_rdev != libc::makedev(1, 3) {
        return Err(Error::config("the container's /dev/null is not the null device"));
    }
    Ok(null)
}

fn give(fd: BorrowedFd<'_>, uid: u32) -> std::result::Result<(), Errno> {
    match fchown(fd, Some(Uid::from_raw(uid)), None::<Gid>) {
        // Not ours to give, or on a read-only mount: then the stream can't be reopened by name.
        Ok(()) | Err(Errno::EPERM | Errno::EROFS | Errno::EINVAL | Errno::ENOSYS) => Ok(()),
        Err(errno) => Err(errno),
    }
}
