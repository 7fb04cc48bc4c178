//! `start`: letting a created container's init execute its program.
//!
//! Init holds `exec.fifo` open for reading and writing and waits to read one byte from it. The
//! starter opens both ends, writes the byte, removes the name and waits until init's end is
//! closed: by execve (the descriptor is close-on-exec), or by its death. If init could not
//! execute, it leaves the reason in the pipe before it dies. No process but init has the other
//! end, so the end of file can't be missed, and no name inside the container is involved.

use super::{Container, Slot, Status, store};
use crate::error::{At, Error, Kind, Result};
use crate::sys::fd::open_at;
use nix::errno::Errno;
use nix::fcntl::{OFlag, ResolveFlag};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, mkfifoat, unlinkat};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The byte that lets init go.
pub const GO: u8 = b'g';
/// What a hook's failure begins with in the fifo; other failures begin with [`FAILED`].
const HOOK_FAILED: u8 = b'h';
const FAILED: u8 = b'f';

fn open(slot: &Slot, flags: OFlag) -> std::result::Result<OwnedFd, Errno> {
    let below = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
    open_at(slot.as_fd(), store::FIFO, flags | OFlag::O_NONBLOCK, 0, below)
}

/// Makes the fifo and returns init's end.
///
/// # Errors
/// mkfifo(3), open(2).
pub fn prepare(slot: &Slot) -> Result<OwnedFd> {
    mkfifoat(slot.as_fd(), store::FIFO, Mode::from_bits_truncate(0o600))
        .at(|| "mkfifo(exec.fifo)")?;
    let fifo = open(slot, OFlag::O_RDWR).at(|| "open(exec.fifo)")?;
    // Reading is what init waits in.
    nix::fcntl::fcntl(&fifo, nix::fcntl::FcntlArg::F_SETFL(OFlag::empty()))
        .at(|| "fcntl(exec.fifo)")?;
    Ok(fifo)
}

/// Init still waits: the fifo is there and has a reader.
pub fn is_waiting(slot: &Slot) -> bool {
    open(slot, OFlag::O_WRONLY).is_ok()
}

/// Starts the container; on return its program has been executed.
///
/// # Errors
/// A container that is not created; the reason why init could not execute.
pub fn start(container: &Container) -> Result<()> {
    let _guard = container.slot.lock()?;
    match container.status()? {
        Status::Created => {}
        Status::Stopped => return refuse("cannot start a container that has stopped"),
        Status::Running => return refuse("cannot start an already running container"),
        Status::Paused => return refuse("cannot start a container in the paused state"),
        Status::Creating => return refuse("cannot start a container that is being created"),
    }
    let reader = open(&container.slot, OFlag::O_RDONLY).at(|| "open(exec.fifo)")?;
    let writer = open(&container.slot, OFlag::O_WRONLY).at(|| "open(exec.fifo)")?;
    nix::unistd::write(&writer, &[GO]).at(|| "write(exec.fifo)")?;
    drop(writer);
    match unlinkat(container.slot.as_fd(), store::FIFO, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(errno) => return Err(errno).at(|| "unlink(exec.fifo)"),
    }
    container.slot.summarise(&container.state);
    outcome(reader.as_fd())
}

fn refuse(message: &str) -> Result<()> {
    Err(Error::new(Kind::State, message))
}

/// Waits until init has closed its end, then reads what it left.
fn outcome(reader: BorrowedFd<'_>) -> Result<()> {
    loop {
        // POLLHUP is always reported: the last writer is gone.
        let mut ends = [PollFd::new(reader, PollFlags::empty())];
        match poll(&mut ends, PollTimeout::NONE) {
            Ok(_) => break,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).at(|| "poll(exec.fifo)"),
        }
    }
    read_failure(reader)
}

fn read_failure(reader: BorrowedFd<'_>) -> Result<()> {
    let mut buffer = [0u8; 4096];
    match nix::unistd::read(reader, &mut buffer) {
        Ok(0) | Err(Errno::EAGAIN) => Ok(()),
        Ok(length) => {
            let left = buffer.get(..length).unwrap_or_default();
            let text = |text| String::from_utf8_lossy(text).into_owned();
            Err(match left.split_first() {
                // The byte was never taken: init died first.
                Some((&GO, _)) => Error::new(Kind::Init, "init died before it was started"),
                Some((&HOOK_FAILED, rest)) => Error::new(Kind::Hook, text(rest)),
                Some((_, rest)) => Error::new(Kind::Init, text(rest)),
                None => Error::new(Kind::Init, "init left nothing"),
            })
        }
        Err(errno) => Err(errno).at(|| "read(exec.fifo)"),
    }
}

/// Init's side: waits for the byte.
///
/// # Errors
/// read(2).
pub fn wait(fifo: BorrowedFd<'_>) -> Result<()> {
    let mut byte = [0u8; 1];
    loop {
        match nix::unistd::read(fifo, &mut byte) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).at(|| "read(exec.fifo)"),
        }
    }
}

/// Init's side: leaves the reason why it could not execute. Nobody hears a failure of this.
pub fn fail(fifo: BorrowedFd<'_>, error: &Error) {
    let kind = if error.kind() == Kind::Hook { HOOK_FAILED } else { FAILED };
    let mut message = vec![kind];
    message.extend_from_slice(error.to_string().as_bytes());
    let _ = nix::unistd::write(fifo, &message);
}

#[cfg(test)]
mod tests {
    use super::super::Store;
    use super::*;

    #[test]
    fn starter_sees_success_and_failure() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path()).unwrap();
        let slot = store.reserve("x").unwrap();
        let init = prepare(&slot).unwrap();
        assert!(is_waiting(&slot));
        let reader = open(&slot, OFlag::O_RDONLY).unwrap();
        let writer = open(&slot, OFlag::O_WRONLY).unwrap();
        nix::unistd::write(&writer, &[GO]).unwrap();
        drop(writer);
        wait(init.as_fd()).unwrap();
        for kind in [Kind::Init, Kind::Hook] {
            fail(init.as_fd(), &Error::new(kind, "exec /x: no such file or directory"));
            let heard = read_failure(reader.as_fd()).unwrap_err();
            assert_eq!(heard.to_string(), "exec /x: no such file or directory");
            assert_eq!(heard.kind(), kind);
        }
        drop(init);
        assert!(outcome(reader.as_fd()).is_ok());
        // The starter's own end is a reader as well.
        drop(reader);
        assert!(!is_waiting(&slot));
    }
}
