//! The standard streams as the container's user sees them.
//!
//! Runs as: init, inside the new root.

use super::target;
use crate::error::{At, Error, Result};
use crate::sys::fd::{dup_onto, leave_to_execve, stdio};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::stat::{FileStat, SFlag, fstat};
use nix::unistd::{Gid, Uid, fchown};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Puts these in the place of stdin, stdout and stderr.
///
/// # Errors
/// dup3(2).
pub fn replace(streams: &[OwnedFd; 3]) -> Result<()> {
    for (stream, number) in streams.iter().zip(0..) {
        dup_onto(stream.as_fd(), number).at(|| format!("dup3({number})"))?;
    }
    Ok(())
}

/// What the three are.
pub type Statuses = [FileStat; 3];

/// What these are, or this process' own.
///
/// # Errors
/// fstat(2).
pub fn statuses(given: Option<&[OwnedFd; 3]>) -> Result<Statuses> {
    let status = |number: usize| {
        let fd = match given.and_then(|given| given.get(number)) {
            Some(fd) => fd.as_fd(),
            None => stdio(i32::try_from(number).unwrap_or_default()),
        };
        fstat(fd).at(|| format!("fstat({number})"))
    };
    Ok([status(0)?, status(1)?, status(2)?])
}

/// Pipes and sockets are given to the container's user, who could otherwise not reopen
/// /dev/stdout; the host's /dev/null is replaced by the container's own, which is there under
/// its name. Devices and files of the host keep their owner. `found` is what the streams are, as
/// this process' user namespace has it.
///
/// # Errors
/// A /dev/null in the container that is something else.
pub fn adopt(root: BorrowedFd<'_>, found: &Statuses, uid: u32, own_dev: bool) -> Result<()> {
    let mut null = None;
    for (status, number) in found.iter().zip(0..) {
        let fd = stdio(number);
        let kind = target::file_type(status);
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

fn open_null(root: BorrowedFd<'_>) -> Result<OwnedFd> {
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
