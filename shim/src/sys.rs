//! The few calls that need `unsafe`, each with its contract.
#![allow(unsafe_code, reason = "inherited descriptors, pre_exec, TIOCSWINSZ, CMSG")]

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::SigSet;
use std::ffi::OsStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The descriptor the listening socket is inherited as.
pub const LISTENER: RawFd = 3;

/// Takes over descriptor 3, if it is open; call once, before anything opens descriptors.
pub fn inherited_listener() -> Option<OwnedFd> {
    // SAFETY: F_SETFD with FD_CLOEXEC touches no memory; it fails with EBADF if 3 is not open.
    if unsafe { libc::fcntl(LISTENER, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return None;
    }
    // SAFETY: it is open, and by the caller's promise nothing in this process owns it yet.
    Some(unsafe { OwnedFd::from_raw_fd(LISTENER) })
}

/// A command to be run with no signal blocked. The loop's mask would be inherited otherwise
/// (sigprocmask(2)), by an engine and from it by its container, which SIGTERM could not end.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    let body = || Ok(SigSet::empty().thread_set_mask()?);
    // SAFETY: the closure makes one system call and allocates nothing.
    unsafe { command.pre_exec(body) };
    command
}

/// Has the kernel kill the child when this process dies.
pub fn die_with_parent(command: &mut Command) {
    let parent = std::process::id();
    let body = move || {
        // SAFETY: prctl(2) with plain integers; async-signal-safe.
        Errno::result(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) })?;
        // The parent may have died before the call above.
        // SAFETY: getppid(2) has no preconditions and can't fail.
        if unsafe { libc::getppid() }.cast_unsigned() != parent {
            return Err(Errno::ESRCH.into());
        }
        Ok(())
    };
    // SAFETY: the closure makes two system calls and allocates nothing.
    unsafe { command.pre_exec(body) };
}

/// Puts descriptors at 3, 4, … of the child, open across execve(2).
///
/// The numbers of `fds` must be above those targets: this process's own descriptors from 3 on
/// are taken by the loop's epoll and signal descriptors, which are opened first.
pub fn pass(command: &mut Command, fds: Vec<OwnedFd>) {
    let body = move || {
        // Away from the targets first, so that no dup3 hits a source.
        let top = libc::c_int::try_from(fds.len()).unwrap_or(0) + LISTENER;
        for (index, fd) in fds.iter().enumerate() {
            let target = LISTENER + libc::c_int::try_from(index).unwrap_or(0);
            if fd.as_raw_fd() < top && fd.as_raw_fd() != target {
                return Err(Errno::EBADF.into());
            }
            let done = if fd.as_raw_fd() == target {
                // SAFETY: plain integers; async-signal-safe.
                unsafe { libc::fcntl(target, libc::F_SETFD, 0) }
            } else {
                // SAFETY: plain integers; async-signal-safe.
                unsafe { libc::dup2(fd.as_raw_fd(), target) }
            };
            Errno::result(done)?;
        }
        Ok(())
    };
    // SAFETY: the closure makes system calls on descriptors it owns and allocates nothing.
    unsafe { command.pre_exec(body) };
}

/// kill(2), with any signal's number.
///
/// # Errors
/// kill(2): EINVAL, ESRCH, EPERM.
pub fn kill_by_number(pid: i32, number: i32) -> Result<(), Errno> {
    // SAFETY: plain integers.
    Errno::result(unsafe { libc::kill(pid, number) }).map(drop)
}

/// Sets a terminal's size in characters.
///
/// # Errors
/// ioctl_tty(2): ENOTTY.
pub fn resize(terminal: BorrowedFd<'_>, width: u16, height: u16) -> Result<(), Errno> {
    let size = libc::winsize { ws_row: height, ws_col: width, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCSWINSZ reads one winsize, which outlives the call.
    Errno::result(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) })
        .map(drop)
}

/// Receives the one descriptor that comes with a message on `socket` (unix(7), SCM_RIGHTS).
///
/// # Errors
/// recvmsg(2): EAGAIN when none came yet; EBADMSG for a message without a descriptor.
pub fn receive_descriptor(socket: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
    let mut name = [0; 4096];
    let mut space = nix::cmsg_space!([RawFd; 2]);
    let mut pieces = [std::io::IoSliceMut::new(&mut name)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut pieces, Some(&mut space), flags)?;
    let mut received = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = control {
            for number in numbers {
                // SAFETY: the kernel has just made this descriptor for us, and we alone own it.
                received.push(unsafe { OwnedFd::from_raw_fd(number) });
            }
        }
    }
    if received.len() != 1 {
        return Err(Errno::EBADMSG);
    }
    received.pop().ok_or(Errno::EBADMSG)
}

/// The layout of capget(2) and capset(2), version 3: two halves of 32 bits.
#[repr(C)]
#[derive(Default, Clone, Copy)]
struct CapData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Leaves of the effective and permitted capabilities of this thread those in `mask`.
pub fn limit_capabilities(mask: u64) -> Result<(), Errno> {
    /// `_LINUX_CAPABILITY_VERSION_3`.
    const VERSION_3: u32 = 0x2008_0522;
    let mut header = [VERSION_3, 0];
    let mut data = [CapData::default(); 2];
    // SAFETY: version 3 reads and writes two structures of this layout; pid 0 is the caller.
    let got = unsafe { libc::syscall(libc::SYS_capget, header.as_mut_ptr(), data.as_mut_ptr()) };
    Errno::result(got)?;
    for (half, data) in data.iter_mut().enumerate() {
        let mask = u32::try_from(mask >> (32 * half) & u64::from(u32::MAX)).unwrap_or(0);
        data.effective &= mask;
        data.permitted &= mask;
    }
    // SAFETY: as above; capset only reads them.
    let set = unsafe { libc::syscall(libc::SYS_capset, header.as_mut_ptr(), data.as_ptr()) };
    Errno::result(set).map(drop)
}
