//! The two names of a UTS namespace.
#![allow(unsafe_code, reason = "setdomainname(2) is not in nix")]

use nix::errno::Errno;
use nix::libc;

/// sethostname(2).
///
/// # Errors
/// EPERM, EINVAL (longer than 64 bytes).
pub fn set_host_name(name: &[u8]) -> Result<(), Errno> {
    // SAFETY: pointer and length of one slice.
    Errno::result(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) }).map(drop)
}

/// setdomainname(2).
///
/// # Errors
/// EPERM, EINVAL (longer than 64 bytes).
pub fn set_domain_name(name: &[u8]) -> Result<(), Errno> {
    // SAFETY: pointer and length of one slice.
    Errno::result(unsafe { libc::setdomainname(name.as_ptr().cast(), name.len()) }).map(drop)
}
