//! The privileges a server gives up.
//!
//! Only capabilities: a system call filter is inherited by every child for good (seccomp(2)), so
//! the server's would be its containers' too. A program that root executes has all capabilities of
//! the bounding set again (capabilities(7)), so engines and loggers lose nothing.
//!
//! Deck's processes that run its engine do the same with a list of their own.

use crate::error::{At, Result};
use crate::sys;
use nix::unistd::geteuid;

/// What the server itself uses, by the numbers of linux/capability.h.
const KEPT: [(&str, u32); 14] = [
    // Root file systems, bundles, streams and cgroups of other users.
    ("CAP_CHOWN", 0),
    ("CAP_DAC_OVERRIDE", 1),
    ("CAP_DAC_READ_SEARCH", 2),
    ("CAP_FOWNER", 3),
    ("CAP_FSETID", 4),
    // Signals to processes of other users.
    ("CAP_KILL", 5),
    // Id maps of mounts.
    ("CAP_SETGID", 6),
    ("CAP_SETUID", 7),
    ("CAP_SETFCAP", 31),
    // Processes of other users in /proc.
    ("CAP_SYS_PTRACE", 19),
    // Mounts.
    ("CAP_SYS_ADMIN", 21),
    // The OOM score of the server.
    ("CAP_SYS_RESOURCE", 24),
    // What overlayfs does for a container it does as the one who mounted it (overlayfs.rst,
    // "Permission model"): device nodes, and files that can't be changed.
    ("CAP_LINUX_IMMUTABLE", 9),
    ("CAP_MKNOD", 27),
];

/// The mask of what the shim keeps, a bit for each number of linux/capability.h.
pub fn kept() -> u64 {
    KEPT.iter().fold(0, |mask, (_, number)| mask | 1 << number)
}

/// Gives up all effective and permitted capabilities of this thread, and of those it will start,
/// but those in `mask`; an ordinary user has none to give up.
///
/// # Errors
/// capget(2), capset(2).
pub fn keep_to(mask: u64) -> Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    sys::limit_capabilities(mask).at(|| "give up capabilities".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dangerous_ones_are_not_kept() {
        // CAP_NET_ADMIN, CAP_SYS_MODULE, CAP_SYS_RAWIO, CAP_SYS_BOOT, CAP_SYS_TIME, CAP_BPF.
        for number in [12, 16, 17, 22, 25, 39] {
            assert_eq!(kept() & 1 << number, 0, "{number}");
        }
        assert_eq!(kept().count_ones(), 14);
    }
}
