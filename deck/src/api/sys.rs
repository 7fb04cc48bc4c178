//! The one thing of the API that needs `unsafe`: taking over descriptors passed by number.
#![expect(unsafe_code, reason = "descriptors passed by systemd have no owner yet")]

use crate::error::{Error, Result};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use std::os::fd::{FromRawFd, OwnedFd};

/// First descriptor systemd passes (sd_listen_fds(3)).
const FIRST: i32 = 3;
/// More than any unit has.
const MOST: u32 = 64;

/// Takes the descriptors 3, 4, … that systemd passed; call once, before anything else opens one.
///
/// # Errors
/// The number is absurd, or a descriptor isn't open.
pub fn take_listen_fds(count: u32) -> Result<Vec<OwnedFd>> {
    if count > MOST {
        return Err(Error::invalid(format!("LISTEN_FDS={count}: more than {MOST}")));
    }
    let mut fds = Vec::new();
    for number in (FIRST..).take(count as usize) {
        // SAFETY: the number is only borrowed to see whether it is open.
        let borrowed = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
        fcntl(borrowed, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))
            .map_err(|error| Error::invalid(format!("LISTEN_FDS: descriptor {number}: {error}")))?;
        // SAFETY: it is open, systemd gave it to this process alone, and nothing here owns it.
        fds.push(unsafe { OwnedFd::from_raw_fd(number) });
    }
    Ok(fds)
}
