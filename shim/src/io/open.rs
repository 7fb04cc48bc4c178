//! Opening the ends of streams, without ever waiting for another side.

use crate::error::{At, Result};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, fchown, pipe2};
use std::fs::{DirBuilder, File};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt};
use std::path::Path;

/// Owner and group for what a container gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The user, as the host numbers it.
    pub uid: u32,
    /// The group, as the host numbers it.
    pub gid: u32,
}

impl Owner {
    /// Gives a stream away; user 0 is the owner already.
    pub fn give(self, fd: &OwnedFd) -> Result<()> {
        if self.uid == 0 && self.gid == 0 {
            return Ok(());
        }
        fchown(fd, Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)))
            .at(|| format!("give a stream to {}:{}", self.uid, self.gid))
    }
}

/// The container's writing end of a client's fifo, and a reading end that is only held: without
/// it a client that dies would kill the container by SIGPIPE. `None` for what is no fifo.
pub fn fifo_out(path: &Path) -> Result<(OwnedFd, Option<OwnedFd>)> {
    let named = || format!("open {}", path.display());
    let kind = path.metadata().at(named)?.file_type();
    let flags = OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    if !kind.is_fifo() {
        let end = open(path, flags | OFlag::O_WRONLY | OFlag::O_APPEND, Mode::empty()).at(named)?;
        wait_again(&end)?;
        return Ok((end, None));
    }
    // A reading end opens at once (fifo(7)), and then so does a writing end.
    let held = open(path, flags | OFlag::O_RDONLY, Mode::empty()).at(named)?;
    let end = open(path, flags | OFlag::O_WRONLY, Mode::empty()).at(named)?;
    wait_again(&end)?;
    Ok((end, Some(held)))
}

/// The container's reading end of a client's fifo, and a writing end that is held until the
/// client asks for the input to be closed. `None` for what is no fifo.
pub fn fifo_in(path: &Path) -> Result<(OwnedFd, Option<OwnedFd>)> {
    let named = || format!("open {}", path.display());
    let kind = path.metadata().at(named)?.file_type();
    let flags = OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    let end = open(path, flags | OFlag::O_RDONLY, Mode::empty()).at(named)?;
    let held = if kind.is_fifo() {
        Some(open(path, flags | OFlag::O_WRONLY, Mode::empty()).at(named)?)
    } else {
        None
    };
    wait_again(&end)?;
    Ok((end, held))
}

/// Both ends of a fifo in one descriptor, for writing without waiting and without SIGPIPE.
pub fn fifo_both(path: &Path) -> Result<OwnedFd> {
    let flags = OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_RDWR;
    open(path, flags, Mode::empty()).at(|| format!("open {}", path.display()))
}

/// A file that is appended to; it and its directory are made if missing.
pub fn append(path: &Path) -> Result<OwnedFd> {
    if let Some(dir) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(dir)
            .at(|| format!("make {}", dir.display()))?;
    }
    let flags = OFlag::O_CLOEXEC | OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_CREAT;
    open(path, flags, Mode::from_bits_truncate(0o644)).at(|| format!("open {}", path.display()))
}

/// A pipe both of whose ends go elsewhere: `(reading, writing)`.
pub fn plain_pipe() -> Result<(OwnedFd, OwnedFd)> {
    pipe2(OFlag::O_CLOEXEC).at(|| "make a pipe".to_owned())
}

/// A pipe whose end on this side does not wait: `(reading, writing)`.
pub fn pipe(ours_reads: bool) -> Result<(OwnedFd, OwnedFd)> {
    let (reading, writing) = plain_pipe()?;
    no_wait(if ours_reads { &reading } else { &writing })?;
    Ok((reading, writing))
}

/// Makes reads and writes return EAGAIN instead of waiting.
pub fn no_wait(fd: impl AsFd) -> Result<()> {
    set_flag(fd, true)
}

fn wait_again(fd: &OwnedFd) -> Result<()> {
    set_flag(fd, false)
}

fn set_flag(fd: impl AsFd, on: bool) -> Result<()> {
    let fd = fd.as_fd();
    let change = || {
        let mut flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
        flags.set(OFlag::O_NONBLOCK, on);
        fcntl(fd, FcntlArg::F_SETFL(flags))
    };
    change().map(drop).at(|| "set O_NONBLOCK".to_owned())
}

/// Reads what there is. `Ok(None)`: nothing now; `Ok(Some(0))`: the end, which a terminal's
/// master tells by EIO (ioctl_tty(2)).
pub fn read_some(fd: impl AsFd, buffer: &mut [u8]) -> Result<Option<usize>, Errno> {
    match nix::unistd::read(fd, buffer) {
        Ok(length) => Ok(Some(length)),
        Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
        Err(Errno::EIO) => Ok(Some(0)),
        Err(errno) => Err(errno),
    }
}

/// Writes as much as there is room for.
pub fn write_some(fd: impl AsFd, bytes: &[u8]) -> Result<usize, Errno> {
    match nix::unistd::write(fd, bytes) {
        Err(Errno::EAGAIN | Errno::EINTR) => Ok(0),
        other => other,
    }
}

/// `/dev/null`, for a stream that goes nowhere.
pub fn null() -> Result<OwnedFd> {
    File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map(OwnedFd::from)
        .at(|| "open /dev/null".to_owned())
}
