//! pidfds and waitid(2).
//!
//! nix's wait functions turn a death by a realtime signal into EINVAL after they have reaped the
//! process, and so lose its status; here statuses stay numbers.
#![allow(unsafe_code, reason = "pidfd system calls, and waitid(2) without loss")]

use nix::errno::Errno;
use nix::libc::{self, c_int, pid_t};
use nix::sys::signal::{
    SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction, signal as signal_action,
};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this status.
    Status(i32),
    /// A signal with this number killed it.
    Signal(i32),
}

impl Exit {
    /// The status a shell would report: 128 and more for signals.
    pub fn code(self) -> i32 {
        match self {
            Self::Status(status) => status,
            Self::Signal(signal) => 128 + signal,
        }
    }
}

/// pidfd_open(2) for a child that has not been waited for, or any other process known to live.
///
/// # Errors
/// ESRCH.
pub fn open(pid: pid_t) -> Result<OwnedFd, Errno> {
    // SAFETY: plain integers.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    let fd = RawFd::try_from(fd).map_err(|_| Errno::EBADF)?;
    // SAFETY: a new descriptor (always close-on-exec, pidfd_open(2)) that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// pidfd_send_signal(2).
///
/// # Errors
/// ESRCH when the process has been waited for, EPERM.
pub fn signal(pidfd: BorrowedFd<'_>, signal: c_int) -> Result<(), Errno> {
    let info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: integers, and the null siginfo the manual page allows.
    Errno::result(unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, info, 0)
    })
    .map(drop)
}

/// Lets the program start with no signal blocked, whatever this process has blocked: a mask is
/// inherited over execve(2), and std leaves it alone.
pub fn unblock_signals(command: &mut Command) {
    // Nothing to do is common, and leaves std the faster posix_spawn(3).
    if SigSet::thread_get_mask().is_ok_and(|mask| mask == SigSet::empty()) {
        return;
    }
    let unblock = || Ok(SigSet::empty().thread_set_mask()?);
    // SAFETY: sigprocmask(2) alone, which is async-signal-safe.
    unsafe { command.pre_exec(unblock) };
}

/// Gives SIGPIPE its default action back.
///
/// # Errors
/// None known.
pub fn default_sigpipe() -> Result<(), Errno> {
    // SAFETY: the default action is no function of this program.
    unsafe { signal_action(Signal::SIGPIPE, SigHandler::SigDfl) }.map(drop)
}

/// Gives SIGCHLD its default action back, unless it is ignored.
///
/// # Errors
/// None known.
pub fn default_sigchld() -> Result<(), Errno> {
    children_end(SaFlags::empty())
}

/// Lets the kernel reap children as they end; execve(2) takes that back.
///
/// # Errors
/// None known.
pub fn reap_by_kernel() -> Result<(), Errno> {
    children_end(SaFlags::SA_NOCLDWAIT)
}

/// What is ignored is so on purpose, and inherited by the program; children are then reaped too.
fn children_end(flags: SaFlags) -> Result<(), Errno> {
    let action = |handler| SigAction::new(handler, flags, SigSet::empty());
    // SAFETY: the default action is no function of this program.
    let before = unsafe { sigaction(Signal::SIGCHLD, &action(SigHandler::SigDfl)) }?;
    if matches!(before.handler(), SigHandler::SigIgn) {
        // SAFETY: no function is involved.
        unsafe { sigaction(Signal::SIGCHLD, &before) }?;
    }
    Ok(())
}

/// Gives those signals their default action back that shells ignore for a command in the background
/// and nohup(1) for any: what is ignored stays so over execve(2), and a container does not depend on
/// how its runtime was called.
///
/// # Errors
/// None known.
pub fn default_terminal_signals() -> Result<(), Errno> {
    for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT] {
        // SAFETY: the default action is no function of this program.
        unsafe { signal_action(signal, SigHandler::SigDfl) }?;
    }
    Ok(())
}

/// Lets this process, if it is the first of a pid namespace, be ended by the signals that ask for
/// it: without a handler the kernel keeps them from it (pid_namespaces(7)). execve(2) takes the
/// handler away again.
///
/// # Errors
/// None known.
pub fn end_by_signals() -> Result<(), Errno> {
    extern "C" fn end(signal: c_int) {
        // SAFETY: _exit(2) is async-signal-safe and returns to nothing.
        unsafe { libc::_exit(128 + signal) }
    }
    if nix::unistd::getpid().as_raw() != 1 {
        return Ok(());
    }
    for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM] {
        // SAFETY: `end` calls nothing but what a handler may.
        let before = unsafe { signal_action(signal, SigHandler::Handler(end)) }?;
        if matches!(before, SigHandler::SigIgn) {
            // The program is to inherit what the caller ignores.
            // SAFETY: no function is involved.
            unsafe { signal_action(signal, before) }?;
        }
    }
    Ok(())
}

/// Waits for the child and reaps it.
///
/// # Errors
/// ECHILD when it is not a child of the caller.
pub fn wait(pidfd: BorrowedFd<'_>) -> Result<Exit, Errno> {
    let id = libc::id_t::try_from(pidfd.as_raw_fd()).map_err(|_| Errno::EBADF)?;
    // Ended children only, so there is always one to report.
    waitid(libc::P_PIDFD, id, libc::WEXITED)?.map(|(_, exit)| exit).ok_or(Errno::ECHILD)
}

/// The pid of a child that has ended, which stays a zombie.
///
/// # Errors
/// ECHILD without any child.
pub fn peek() -> Result<Option<pid_t>, Errno> {
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    Ok(waitid(libc::P_ALL, 0, flags)?.map(|(pid, _)| pid))
}

/// Reaps the child `pid` that has ended.
///
/// # Errors
/// ECHILD when it is not a child of the caller.
pub fn reap(pid: pid_t) -> Result<(), Errno> {
    let id = libc::id_t::try_from(pid).map_err(|_| Errno::ECHILD)?;
    waitid(libc::P_PID, id, libc::WEXITED | libc::WNOHANG).map(drop)
}

fn waitid(
    kind: libc::idtype_t,
    id: libc::id_t,
    flags: c_int,
) -> Result<Option<(pid_t, Exit)>, Errno> {
    loop {
        // SAFETY: all zeroes is a valid siginfo_t, and says "no child" (waitid(2), WNOHANG).
        let mut info: libc::siginfo_t = unsafe { MaybeUninit::zeroed().assume_init() };
        // SAFETY: `info` outlives the call. __WALL: also children without an exit signal.
        let answer = unsafe { libc::waitid(kind, id, &raw mut info, flags | libc::__WALL) };
        match Errno::result(answer) {
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno),
            Ok(_) => {}
        }
        // SAFETY: waitid fills the SIGCHLD members, or leaves the zeroes.
        let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
        if pid == 0 {
            return Ok(None);
        }
        let exit = if info.si_code == libc::CLD_EXITED {
            Exit::Status(status)
        } else {
            Exit::Signal(status)
        };
        return Ok(Some((pid, exit)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::process::Stdio;

    fn run(script: &str) -> Exit {
        let child = Command::new("/bin/sh").args(["-c", script]).stdin(Stdio::null()).spawn();
        let pid = pid_t::try_from(child.unwrap().id()).unwrap();
        wait(open(pid).unwrap().as_fd()).unwrap()
    }

    #[test]
    fn statuses_survive() {
        assert_eq!(run("exit 7"), Exit::Status(7));
        assert_eq!(run("kill -9 $$").code(), 137);
        // A realtime signal, which nix::sys::wait cannot represent.
        assert_eq!(run("kill -40 $$"), Exit::Signal(40));
    }

    #[test]
    fn signals_reach_the_process_behind_the_descriptor() {
        let mut child = Command::new("/bin/sleep").arg("100").spawn().unwrap();
        let pidfd = open(pid_t::try_from(child.id()).unwrap()).unwrap();
        signal(pidfd.as_fd(), libc::SIGTERM).unwrap();
        assert_eq!(wait(pidfd.as_fd()), Ok(Exit::Signal(libc::SIGTERM)));
        assert_eq!(signal(pidfd.as_fd(), 0), Err(Errno::ESRCH));
        assert_eq!(wait(pidfd.as_fd()), Err(Errno::ECHILD));
        // Reaped above, so std finds nothing.
        assert!(child.wait().is_err());
    }
}
