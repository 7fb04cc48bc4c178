//! ioctls of terminals (ioctl_tty(2)).
#![allow(unsafe_code, reason = "ioctl(2)")]

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc::{self, c_int, c_uint};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Rows and columns of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    /// Height in characters.
    pub rows: u16,
    /// Width in characters.
    pub columns: u16,
}

/// Unlocks the slave of a new pty (TIOCSPTLCK).
///
/// # Errors
/// ENOTTY when this is no pty master.
pub fn unlock(master: BorrowedFd<'_>) -> Result<(), Errno> {
    let locked: c_int = 0;
    // SAFETY: the argument is a pointer to int.
    let answer = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const locked) };
    Errno::result(answer).map(drop)
}

/// The pty's number in its devpts (TIOCGPTN).
///
/// # Errors
/// ENOTTY when this is no pty master.
pub fn number(master: BorrowedFd<'_>) -> Result<u32, Errno> {
    let mut number: c_uint = 0;
    // SAFETY: the argument is a pointer to unsigned int.
    let answer = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTN, &raw mut number) };
    Errno::result(answer)?;
    Ok(number)
}

/// Opens the slave of this very master (TIOCGPTPEER, Linux 4.13).
///
/// # Errors
/// ENOTTY when this is no pty master.
pub fn peer(master: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    // SAFETY: the argument is a number, open(2) flags.
    let answer = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags.bits()) };
    let fd = Errno::result(answer)?;
    // SAFETY: a new descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Makes the terminal the controlling one of the calling session leader (TIOCSCTTY).
///
/// # Errors
/// EPERM when the caller leads no session or has a terminal, or the terminal belongs to another.
pub fn set_controlling(terminal: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: the argument is a number; 0: do not steal it from another session.
    Errno::result(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, 0) }).map(drop)
}

/// The terminal's size (TIOCGWINSZ).
///
/// # Errors
/// ENOTTY.
pub fn size(terminal: BorrowedFd<'_>) -> Result<Size, Errno> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the argument is a pointer to winsize.
    let answer = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
    Errno::result(answer)?;
    Ok(Size { rows: size.ws_row, columns: size.ws_col })
}

/// Sets the terminal's size (TIOCSWINSZ); its foreground group gets SIGWINCH when it changes.
///
/// # Errors
/// ENOTTY.
pub fn set_size(terminal: BorrowedFd<'_>, size: Size) -> Result<(), Errno> {
    let size =
        libc::winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the argument is a pointer to winsize.
    let answer = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
    Errno::result(answer).map(drop)
}
