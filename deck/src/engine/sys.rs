//! pidfds, and descriptors in the event loop: the calls that have no safe wrapper.
#![expect(unsafe_code, reason = "no wrapper of pidfd_open, pidfd_send_signal, AsyncFd::register")]

use crate::error::{At, Error, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;

/// A descriptor of a process (`pidfd_open(2)`, Linux 5.3); it can be read from when it ended.
///
/// # Errors
/// `ESRCH` when there is no such process.
pub fn pidfd_open(pid: i32) -> nix::Result<OwnedFd> {
    // SAFETY: the call takes two integers and touches no memory of this process.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = i32::try_from(Errno::result(fd)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel just made this descriptor (with O_CLOEXEC) and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sends a signal to a process that was checked to be the right one.
///
/// # Errors
/// The kernel refuses; a process that is gone is no error.
pub fn send_signal(pid: i32, signal: i32) -> Result<()> {
    let fd = match pidfd_open(pid) {
        Err(Errno::ESRCH) => return Ok(()),
        other => other.at(|| format!("open process {pid}"))?,
    };
    let info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a null siginfo is what kill(2) would make; the other arguments are integers.
    let result =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd.as_raw_fd(), signal, info, 0) };
    match Errno::result(result) {
        Ok(_) | Err(Errno::ESRCH) => Ok(()),
        Err(errno) => Err(errno).at(|| format!("signal {signal} to process {pid}")),
    }
}

/// Waits for a process' end, for ever without a limit. Answers whether it ended.
///
/// # Errors
/// poll(2) fails.
pub fn wait_for_end(pid: i32, limit: Option<Duration>) -> Result<bool> {
    let fd = match pidfd_open(pid) {
        Err(Errno::ESRCH) => return Ok(true),
        other => other.at(|| format!("open process {pid}"))?,
    };
    let until = limit.map(|limit| Instant::now() + limit);
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let timeout = left.map_or(PollTimeout::NONE, |left| {
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        });
        let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, timeout) {
            Ok(0) if left.is_some_and(|left| left < Duration::from_millis(1)) => return Ok(false),
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(errno) => return Err(errno).at(|| format!("wait for process {pid}")),
        }
    }
}

/// A descriptor for the event loop of the calling task.
///
/// # Errors
/// epoll(7) doesn't take it.
pub fn async_fd(fd: OwnedFd) -> Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is the same open descriptor from here until it is dropped, and the
    // `AsyncFd` that owns it takes it out of the event loop before that.
    unsafe { AsyncFd::register(fd) }
        .map_err(|error| Error::internal(format!("watch a descriptor: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_seen_and_a_signal_ends() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        assert!(!wait_for_end(pid, Some(Duration::ZERO)).unwrap());
        send_signal(pid, 9).unwrap();
        assert!(wait_for_end(pid, None).unwrap());
        child.wait().unwrap();
        assert!(wait_for_end(pid, None).unwrap());
        send_signal(pid, 9).unwrap();
    }
}
