//! Running a command and reading what the kernel says it cost.

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Serialize;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What one command cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Cost {
    /// Milliseconds from before the start to after the end.
    pub wall: f64,
    /// Milliseconds of processor time, user and system, of the command and of every descendant
    /// that was waited for.
    pub cpu: f64,
    /// Context switches, voluntary and not.
    pub switches: i64,
    /// Minor page faults.
    pub faults: i64,
}

/// No command that is measured takes so long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `command`, which must succeed.
///
/// # Errors
/// It can't be started, or fails: its standard error is in the message.
pub fn run(command: &mut Command) -> io::Result<Cost> {
    let (status, cost) = run_any(command)?;
    if libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0 {
        return Ok(cost);
    }
    if libc::WIFSIGNALED(status) {
        let signal = libc::WTERMSIG(status);
        return Err(io::Error::other(format!("{command:?} was ended by signal {signal}")));
    }
    let again = command.stderr(Stdio::piped()).output();
    let text = again.map(|output| String::from_utf8_lossy(&output.stderr).into_owned());
    Err(io::Error::other(format!(
        "{command:?} ended with wait status {status:#x}; once more it said: {}",
        text.unwrap_or_default().trim()
    )))
}

/// Runs `command`; its wait status and cost.
///
/// # Errors
/// It can't be started.
pub fn run_any(command: &mut Command) -> io::Result<(i32, Cost)> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let child = command.spawn()?;
    let pid = libc::pid_t::try_from(child.id()).map_err(io::Error::other)?;
    end_after(&pidfd(pid)?, PATIENCE)?;
    let (status, mut cost) = wait(pid)?;
    cost.wall = start.elapsed().as_secs_f64() * 1e3;
    Ok((status, cost))
}

/// A child that has not been waited for, as a descriptor.
///
/// # Errors
/// pidfd_open(2).
pub fn pidfd(child: libc::pid_t) -> io::Result<OwnedFd> {
    // SAFETY: the call takes two numbers and makes a descriptor that nothing else knows.
    #[allow(unsafe_code, reason = "pidfd_open(2) has no wrapper")]
    unsafe {
        let fd = Errno::result(libc::syscall(libc::SYS_pidfd_open, child, 0))?;
        Ok(OwnedFd::from_raw_fd(RawFd::try_from(fd).map_err(io::Error::other)?))
    }
}

/// Waits for a process' end, and kills it when that doesn't come: not every runtime notices each
/// time that its container is over.
///
/// # Errors
/// poll(2), pidfd_send_signal(2).
pub fn end_after(pidfd: &OwnedFd, patience: Duration) -> io::Result<()> {
    let timeout = PollTimeout::try_from(patience).map_err(io::Error::other)?;
    loop {
        match poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], timeout) {
            Err(Errno::EINTR) => {}
            Ok(0) => break,
            other => return Ok(other.map(drop)?),
        }
    }
    let (fd, signal, info) = (pidfd.as_raw_fd(), libc::SIGKILL, std::ptr::null::<u8>());
    // SAFETY: an open descriptor, two numbers and no structure.
    #[allow(unsafe_code, reason = "pidfd_send_signal(2) has no wrapper")]
    let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, info, 0) };
    Ok(Errno::result(sent).map(drop)?)
}

/// Waits for a child: its status, and what it and its descendants cost.
///
/// # Errors
/// It is no child.
pub fn wait(pid: libc::pid_t) -> io::Result<(i32, Cost)> {
    let mut status = 0;
    // SAFETY: all zeroes is a valid rusage.
    #[allow(unsafe_code, reason = "wait4(2) has no wrapper that gives the usage")]
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both out parameters live through the call.
        #[allow(unsafe_code, reason = "as above")]
        let done = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
        match Errno::result(done) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
            Ok(_) => break,
        }
    }
    #[allow(clippy::cast_precision_loss, reason = "milliseconds of a short command")]
    let ms = |time: libc::timeval| time.tv_sec as f64 * 1e3 + time.tv_usec as f64 / 1e3;
    let cost = Cost {
        wall: 0.0,
        cpu: ms(usage.ru_utime) + ms(usage.ru_stime),
        switches: usage.ru_nvcsw + usage.ru_nivcsw,
        faults: usage.ru_minflt,
    };
    Ok((status, cost))
}

/// Processor time in milliseconds that a running process has had so far
/// (Documentation/scheduler/sched-stats.rst).
///
/// # Errors
/// It has ended.
pub fn cpu_so_far(pid: libc::pid_t) -> io::Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat"))?;
    let nanoseconds = text.split(' ').next().and_then(|field| field.parse::<f64>().ok());
    nanoseconds.map(|ns| ns / 1e6).ok_or_else(|| io::Error::other("unexpected schedstat"))
}

/// A command at a higher priority than what else this machine may be doing.
pub fn urgent(command: &mut Command) {
    // SAFETY: setpriority(2) alone, which is async-signal-safe; without permission nothing happens.
    #[allow(unsafe_code, reason = "the child sets its own priority")]
    unsafe {
        command.pre_exec(|| {
            libc::setpriority(libc::PRIO_PROCESS, 0, -10);
            Ok(())
        });
    }
}

/// Lets the machine come to rest, so that the next measurement is of an isolated command.
pub fn rest(gap: Duration) {
    if !gap.is_zero() {
        std::thread::sleep(gap);
    }
}

/// The middle of some figures, and the quartiles around it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Spread {
    /// Lower quartile.
    pub low: f64,
    /// Median.
    pub median: f64,
    /// Upper quartile.
    pub high: f64,
}

/// Median and quartiles; all zero without figures.
pub fn spread(mut figures: Vec<f64>) -> Spread {
    figures.sort_by(f64::total_cmp);
    let at = |part: usize| {
        let index = (figures.len().saturating_sub(1) * part + 2) / 4;
        figures.get(index).copied().unwrap_or_default()
    };
    Spread { low: at(1), median: at(2), high: at(3) }
}

/// The tracer waits for any child: tests with children take turns.
#[cfg(test)]
pub static CHILDREN: std::sync::Mutex<()> = std::sync::Mutex::new(());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles() {
        let spread = spread(vec![5.0, 1.0, 4.0, 2.0, 3.0]);
        assert_eq!(spread, Spread { low: 2.0, median: 3.0, high: 4.0 });
    }

    #[test]
    fn failures_are_told() {
        let _turn = CHILDREN.lock();
        let error = run(Command::new("/bin/sh").args(["-c", "echo why >&2; exit 3"])).unwrap_err();
        assert!(error.to_string().contains("why"), "{error}");
        assert!(run(&mut Command::new("/bin/true")).unwrap().wall > 0.0);
    }

    #[test]
    #[allow(clippy::zombie_processes, reason = "wait4(2) reaps it")]
    fn what_does_not_end_is_ended() {
        let _turn = CHILDREN.lock();
        let child = Command::new("/bin/sleep").arg("1000").spawn().unwrap();
        let pid = libc::pid_t::try_from(child.id()).unwrap();
        end_after(&pidfd(pid).unwrap(), Duration::from_millis(10)).unwrap();
        let (status, _) = wait(pid).unwrap();
        assert_eq!(libc::WTERMSIG(status), libc::SIGKILL);
    }
}
