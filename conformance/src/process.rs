//! Children: started with their output in files, waited for with a limit, reaped when orphaned.
//!
//! Containers outlive the runtime that made them and become children of the case's process, which
//! is a subreaper. Left as zombies they would look alive to a runtime that polls with signal 0, so
//! every wait here reaps whatever has ended.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::sys;

/// How long orphans may take to end, on a machine however busy.
const SETTLED: Duration = Duration::from_secs(20);

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It exited.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
    /// It ended, but as another process' child.
    Unknown,
}

static ENDED: Mutex<Option<HashMap<i32, Exit>>> = Mutex::new(None);

/// Takes note of every child that has ended.
fn reap() {
    let Ok(mut guard) = ENDED.lock() else { return };
    let ended = guard.get_or_insert_default();
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) => ended.insert(pid.as_raw(), Exit::Code(code)),
            Ok(WaitStatus::Signaled(pid, signal, _)) => {
                ended.insert(pid.as_raw(), Exit::Signal(signal as i32))
            }
            Err(Errno::EINTR) => continue,
            _ => break,
        };
    }
}

fn ended(pid: i32) -> Option<Exit> {
    ENDED.lock().ok()?.as_mut()?.remove(&pid)
}

/// Waits until the process ends; `None` when it lives on after `limit`.
pub fn wait(pid: i32, limit: Duration) -> Option<Exit> {
    let deadline = Instant::now() + limit;
    // Opened before reaping: the number can't have passed to another process yet.
    let handle = sys::pidfd(pid);
    loop {
        reap();
        if let Some(exit) = ended(pid) {
            return Some(exit);
        }
        let Ok(handle) = &handle else { return Some(Exit::Unknown) };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        let slice = u16::try_from(left.as_millis().clamp(1, 50)).unwrap_or(50);
        let mut polled = [PollFd::new(handle.as_fd(), PollFlags::POLLIN)];
        if poll(&mut polled, PollTimeout::from(slice)) == Ok(1) {
            reap();
            return Some(ended(pid).unwrap_or(Exit::Unknown));
        }
    }
}

/// Kills the process, if it is still there.
pub fn kill(pid: i32) {
    if let Ok(handle) = sys::pidfd(pid) {
        // It may end on its own meanwhile: nothing is left to do then.
        let _ = sys::signal(&handle, libc::SIGKILL);
    }
}

/// Kills the process group the process leads.
pub fn kill_group(leader: i32) {
    // Gone already: nothing is left to do.
    let _ = nix::sys::signal::killpg(Pid::from_raw(leader), nix::sys::signal::Signal::SIGKILL);
}

/// Waits until the living children are as wanted; `false` when they never are.
pub fn settles(wanted: impl Fn(&[i32]) -> bool) -> bool {
    let deadline = Instant::now() + SETTLED;
    while !wanted(&living_children()) {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    true
}

/// The children of this process that still live, in a process without threads.
pub fn living_children() -> Vec<i32> {
    reap();
    children()
}

/// The children of this process.
pub fn children() -> Vec<i32> {
    let own = std::process::id();
    let Ok(directory) = std::fs::read_dir("/proc") else { return Vec::new() };
    let numbers = directory.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter(|pid| parent(*pid) == Some(own)).collect()
}

fn parent(pid: i32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Kills and reaps children, and what becomes children by that, save those in `spared`.
pub fn kill_children(spared: &[i32]) -> usize {
    let mut killed = 0;
    for _ in 0..50 {
        let found: Vec<i32> = children().into_iter().filter(|pid| !spared.contains(pid)).collect();
        if found.is_empty() {
            break;
        }
        killed += found.len();
        for pid in found {
            kill(pid);
            // Named: a thread of the runner waits for the others.
            let _ = waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    killed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_process_has_no_parent() {
        assert_eq!(parent(0), None);
        assert!(parent(i32::try_from(std::process::id()).unwrap()).is_some());
    }
}
