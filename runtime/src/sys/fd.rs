//! Descriptors: openat2(2), close_range(2), and reading small files.
#![allow(unsafe_code, reason = "close_range(2), dup3(2) and inherited descriptors")]

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::libc;
use nix::sys::stat::Mode;
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// `AT_FDCWD` as a borrowed descriptor.
pub const CWD: BorrowedFd<'static> = nix::fcntl::AT_FDCWD;

/// openat2(2) with O_CLOEXEC added.
///
/// # Errors
/// openat2(2): ENOENT, ELOOP (a refused link), EXDEV (left the tree), EAGAIN (a race, retried).
pub fn open_at(
    dir: BorrowedFd<'_>,
    path: &CStr,
    flags: OFlag,
    mode: u32,
    resolve: ResolveFlag,
) -> Result<OwnedFd, Errno> {
    let how = OpenHow::new()
        .flags(flags | OFlag::O_CLOEXEC)
        .mode(Mode::from_bits_truncate(mode))
        .resolve(resolve);
    loop {
        match openat2(dir, path, how) {
            // EAGAIN: a rename or mount elsewhere raced with a scoped lookup (openat2(2)).
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            other => return other,
        }
    }
}

/// open(2) of a path of the host, as the caller of hull could; with O_CLOEXEC added.
///
/// openat2(2) rather than open(2): musl's open(2) sets close-on-exec a second time, by fcntl(2).
///
/// # Errors
/// As of open(2); EINVAL for a path with a NUL byte.
pub fn open_path(path: &Path, flags: OFlag) -> Result<OwnedFd, Errno> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    open_at(CWD, &path, flags, 0, ResolveFlag::empty())
}

/// Closes descriptors, those with consecutive numbers by one system call.
pub fn close_all(fds: Vec<OwnedFd>) {
    let mut numbers: Vec<RawFd> = fds.into_iter().map(IntoRawFd::into_raw_fd).collect();
    numbers.sort_unstable();
    for run in numbers.chunk_by(|one, next| *next == one + 1) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
        // SAFETY: every number in between was owned by one of `fds`, and is nobody's now.
        unsafe { libc::syscall(libc::SYS_close_range, *first, *last, 0) };
    }
}

/// Leaves a descriptor of a process that is about to execute a program to that execve(2), which
/// closes it with all others in one go. Only so many: the limit on open files may be low.
pub fn leave_to_execve(fd: OwnedFd) {
    const MANY: RawFd = 256;
    if fd.as_raw_fd() < MANY {
        std::mem::forget(fd);
    }
}

/// Leaves to exit(2) what a command that is about to end has open, blocked or in memory: each would
/// be a system call or a page written for nothing.
pub fn leave_to_exit<T>(value: T) {
    std::mem::forget(value);
}

/// Marks every descriptor from `first` on close-on-exec.
///
/// # Errors
/// close_range(2): ENOSYS before Linux 5.9, EINVAL for CLOEXEC before 5.11.
pub fn mark_from(first: RawFd) -> Result<(), Errno> {
    const CLOSE_RANGE_CLOEXEC: libc::c_uint = 4;
    close_range(first, RawFd::MAX, CLOSE_RANGE_CLOEXEC)
}

/// Closes every descriptor from `first` on but those in `kept`, for a process that is about to
/// execute another program or to exit, and in which no owner of a descriptor is dropped any more.
///
/// # Errors
/// close_range(2): ENOSYS before Linux 5.9.
pub fn close_from(first: RawFd, kept: &mut [RawFd]) -> Result<(), Errno> {
    kept.sort_unstable();
    let mut next = first;
    for fd in kept.iter().copied().filter(|fd| *fd >= first) {
        if fd > next {
            close_range(next, fd - 1, 0)?;
        }
        next = fd + 1;
    }
    close_range(next, RawFd::MAX, 0)
}

fn close_range(first: RawFd, last: RawFd, flags: libc::c_uint) -> Result<(), Errno> {
    // SAFETY: plain integers. Closing (not marking) is only done right before execve or _exit,
    // when no owner of a descriptor runs any more.
    Errno::result(unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) }).map(drop)
}

/// Whether descriptor `fd` is open, without touching it.
pub fn is_open(fd: RawFd) -> bool {
    // SAFETY: F_GETFD takes no argument and changes nothing.
    unsafe { libc::fcntl(fd, libc::F_GETFD) >= 0 }
}

/// Sets or clears close-on-exec on a number.
///
/// # Errors
/// EBADF.
pub fn set_cloexec(fd: RawFd, on: bool) -> Result<(), Errno> {
    let flags = if on { libc::FD_CLOEXEC } else { 0 };
    // SAFETY: changes one flag of a descriptor by number.
    Errno::result(unsafe { libc::fcntl(fd, libc::F_SETFD, flags) }).map(drop)
}

/// dup3(2) onto a chosen number, without close-on-exec.
///
/// # Errors
/// EBADF, EBUSY.
pub fn dup_onto(fd: BorrowedFd<'_>, target: RawFd) -> Result<(), Errno> {
    if fd.as_raw_fd() == target {
        return set_cloexec(target, false);
    }
    // SAFETY: the caller picks numbers (0 to 2, or preserved ones) that no OwnedFd owns.
    Errno::result(unsafe { libc::dup3(fd.as_raw_fd(), target, 0) }).map(drop)
}

/// Takes ownership of an inherited descriptor number.
///
/// # Errors
/// EBADF when it is not open.
pub fn adopt(fd: RawFd) -> Result<OwnedFd, Errno> {
    if !is_open(fd) {
        return Err(Errno::EBADF);
    }
    // SAFETY: open, inherited from the caller of hull, and adopted once.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A borrowed view of stdin, stdout or stderr (0, 1, 2).
pub fn stdio(fd: RawFd) -> BorrowedFd<'static> {
    // SAFETY: `entry` opens /dev/null on closed numbers 0 to 2; they stay open for good.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

/// A lock on the file behind a descriptor (flock(2)), until it is dropped.
#[derive(Debug)]
pub struct Locked<'a>(BorrowedFd<'a>);

impl<'a> Locked<'a> {
    /// Waits for the lock.
    ///
    /// # Errors
    /// flock(2).
    pub fn new(fd: BorrowedFd<'a>) -> Result<Self, Errno> {
        loop {
            // SAFETY: plain integers.
            match Errno::result(unsafe { libc::flock(fd.as_raw_fd(), libc::LOCK_EX) }) {
                Err(Errno::EINTR) => {}
                other => return other.map(|_| Self(fd)),
            }
        }
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // SAFETY: plain integers. Of a lock that is held it can't fail.
        unsafe { libc::flock(self.0.as_raw_fd(), libc::LOCK_UN) };
    }
}

/// As [`read_expected`], of a file that is likely to be small.
///
/// # Errors
/// As of that.
pub fn read_bounded(fd: BorrowedFd<'_>, limit: usize) -> Result<Vec<u8>, Errno> {
    const SMALL: usize = 4095;
    read_expected(fd, SMALL.min(limit), limit)
}

/// Reads a regular file that is expected to hold `size` bytes from its start; more than `limit`
/// bytes are an error. A read that brings less than was asked for was the last (read(2)).
///
/// # Errors
/// EFBIG above the limit; read(2).
pub fn read_expected(fd: BorrowedFd<'_>, size: usize, limit: usize) -> Result<Vec<u8>, Errno> {
    if size > limit {
        return Err(Errno::EFBIG);
    }
    // One byte more, so that the read that fills the buffer also finds the end.
    let mut data = vec![0; size + 1];
    let mut length = 0;
    loop {
        let space = data.get_mut(length..).unwrap_or_default();
        let asked = space.len();
        match nix::unistd::read(fd, space) {
            Ok(n) => {
                length += n;
                if length > limit {
                    return Err(Errno::EFBIG);
                }
                if n < asked {
                    data.truncate(length);
                    return Ok(data);
                }
                data.resize(length + length.max(512), 0);
            }
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_all_closes_these_and_no_others() {
        let open = || open_path(Path::new("/dev/null"), OFlag::O_RDONLY).unwrap();
        let (one, kept, two, three) = (open(), open(), open(), open());
        let numbers = [&one, &two, &three].map(AsRawFd::as_raw_fd);
        // Other tests open files at the same time: numbers are compared by what they refer to.
        let name = |fd| std::fs::read_link(format!("/proc/self/fd/{fd}")).ok();
        assert!(numbers.iter().all(|fd| name(*fd).is_some()));
        close_all(vec![three, one, two]);
        assert_eq!(name(kept.as_raw_fd()).unwrap(), Path::new("/dev/null"));
    }
}
