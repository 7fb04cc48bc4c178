//! Counting system calls and the peak of memory of a command and all its descendants, by ptrace(2).
//!
//! The peak is read at each process' exit and before each of its execve(2)s would forget it, from
//! /proc/PID/status: rusage's figure also counts the program that forked.

use crate::measure;
use nix::sys::ptrace::{self, Event, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::Serialize;
use std::collections::HashMap;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// What was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// System calls of all processes.
    pub syscalls: u64,
    /// Peak resident memory of the largest process, KiB.
    pub peak: u64,
    /// Processes.
    pub processes: u64,
}

/// Runs `command` to its end under trace.
///
/// # Errors
/// It can't be started or traced.
pub fn count(command: &mut Command) -> io::Result<Counts> {
    let first = start(command, Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACEEXIT)?;
    // The tracer waits for whatever comes next; that something comes is another thread's business.
    let pidfd = measure::pidfd(first.as_raw())?;
    std::thread::spawn(move || measure::end_after(&pidfd, measure::PATIENCE));
    ptrace::syscall(first, None)?;
    Tracer { first, counts: Counts { processes: 1, ..Counts::default() }, inside: HashMap::new() }
        .follow()
}

/// Starts `command` traced and stopped, and its descendants with it; `more` than their coming, their
/// execve(2)s and the end of all with this process.
///
/// # Errors
/// It can't be started or traced.
pub fn start(command: &mut Command, more: Options) -> io::Result<Pid> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // SAFETY: ptrace(2) alone, which is async-signal-safe.
    #[allow(unsafe_code, reason = "the child asks to be traced")]
    unsafe {
        command.pre_exec(|| ptrace::traceme().map_err(Into::into));
    }
    let child = command.spawn()?;
    let first = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
    waitpid(first, None)?;
    ptrace::setoptions(
        first,
        Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_EXITKILL
            | more,
    )?;
    Ok(first)
}

struct Tracer {
    first: Pid,
    counts: Counts,
    /// Processes that are in a system call, which stops them again when it returns.
    inside: HashMap<Pid, bool>,
}

impl Tracer {
    fn follow(mut self) -> io::Result<Counts> {
        loop {
            let signal = match waitpid(None, Some(WaitPidFlag::__WALL)) {
                Ok(WaitStatus::Signaled(pid, signal, _)) if pid == self.first => {
                    return Err(io::Error::other(format!("it was ended by {signal}")));
                }
                Ok(WaitStatus::Exited(pid, _)) if pid == self.first => return Ok(self.counts),
                Ok(WaitStatus::PtraceSyscall(pid)) => {
                    let inside = self.inside.entry(pid).or_insert(false);
                    *inside = !*inside;
                    if *inside {
                        self.counts.syscalls += 1;
                    }
                    (pid, None)
                }
                Ok(WaitStatus::PtraceEvent(pid, _, event)) => {
                    self.event(pid, event);
                    (pid, None)
                }
                // A new tracee announces itself with a SIGSTOP that is not for it.
                Ok(WaitStatus::Stopped(pid, Signal::SIGSTOP)) => (pid, None),
                Ok(WaitStatus::Stopped(pid, signal)) => (pid, Some(signal)),
                Err(nix::errno::Errno::ECHILD) => return Ok(self.counts),
                Ok(_) | Err(nix::errno::Errno::EINTR) => continue,
                Err(errno) => return Err(errno.into()),
            };
            // It may have been killed meanwhile; then its end is the next thing heard of it.
            let _ = ptrace::syscall(signal.0, signal.1);
        }
    }

    fn event(&mut self, pid: Pid, event: i32) {
        if event == Event::PTRACE_EVENT_EXIT as i32 {
            self.counts.peak = self.counts.peak.max(peak(pid).unwrap_or_default());
        } else if event != Event::PTRACE_EVENT_EXEC as i32 {
            self.counts.processes += 1;
        }
    }
}

/// Peak resident memory of a process so far, KiB (proc_pid_status(5), VmHWM).
pub fn peak(pid: Pid) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_with_a_child() {
        let _turn = crate::measure::CHILDREN.lock();
        let counts = count(Command::new("/bin/sh").args(["-c", "/bin/true; /bin/true"])).unwrap();
        assert!(counts.syscalls > 20, "{counts:?}");
        assert!(counts.peak > 100, "{counts:?}");
        assert!(counts.processes >= 2, "{counts:?}");
    }
}
