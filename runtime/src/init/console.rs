//! The container's terminal (config.md "Process": `terminal`, `consoleSize`).
//!
//! Runs as: init or an exec'd process, session leader, inside the container's root.

use super::target;
use crate::console::{self, Pty, Receiver};
use crate::error::{At, Result};
use crate::sys::fd::open_at;
use crate::sys::mount;
use crate::sys::tty::Size;
use nix::errno::Errno;
use nix::fcntl::{OFlag, ResolveFlag};
use std::os::fd::{AsFd, BorrowedFd};

/// Makes a pty in the container's devpts, gives its master to `receiver`, and makes the other side the controlling terminal and the standard streams. With `bind` it becomes
/// /dev/console as well.
///
/// # Errors
/// No devpts, or a call that failed.
pub fn attach(
    root: BorrowedFd<'_>,
    receiver: &Receiver,
    size: Option<Size>,
    uid: u32,
    bind: bool,
) -> Result<()> {
    let pty = console::allocate(root)?;
    if let Some(size) = size {
        pty.resize(size)?;
    }
    pty.give_to(uid)?;
    if bind {
        bind_console(root, &pty).at(|| "setting up /dev/console")?;
    }
    if receiver.shown {
        // Before the program can write its first line.
        console::clear_onlcr(pty.master.as_fd())?;
    }
    console::send_fd(receiver.socket.as_fd(), pty.master.as_fd(), pty.name.as_bytes())
        .at(|| "sending the terminal's master")?;
    console::make_controlling(pty.peer.as_fd())
}

/// Binds the terminal itself, by descriptor: its path could be exchanged for a link
/// (CVE-2025-52565).
fn bind_console(root: BorrowedFd<'_>, pty: &Pty) -> Result<()> {
    let dev = target::make_directory(root, c"/dev").at(|| "open(/dev)")?;
    let below = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
    let made = open_at(dev.as_fd(), c"console", OFlag::O_CREAT | OFlag::O_EXCL, 0o600, below);
    let console = match made {
        Err(Errno::EEXIST) => {
            open_at(dev.as_fd(), c"console", OFlag::O_PATH | OFlag::O_NOFOLLOW, 0, below)
        }
        other => other,
    }
    .at(|| "open(/dev/console)")?;
    let tree = mount::clone_tree(pty.peer.as_fd(), c"", false).at(|| "open_tree(pty)")?;
    mount::attach(tree.as_fd(), console.as_fd()).at(|| "move_mount")
}
