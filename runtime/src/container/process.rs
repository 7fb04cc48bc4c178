//! What /proc tells about a process, as little as is needed.

use crate::sys::fd::open_path;
use nix::fcntl::OFlag;
use nix::libc::pid_t;
use std::path::Path;

/// A process that can be told from a later one with the same number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Identity {
    /// Process id in the runtime's pid namespace.
    pub pid: pid_t,
    /// Start time in clock ticks since boot (proc_pid_stat(5), field 22).
    pub start: u64,
}

/// State letter and start time of a process.
fn stat(pid: pid_t) -> Option<(u8, u64)> {
    let mut buffer = [0u8; 1024];
    let path = format!("/proc/{pid}/stat");
    let file = open_path(Path::new(&path), OFlag::O_RDONLY).ok()?;
    let length = nix::unistd::read(&file, &mut buffer).ok()?;
    parse(buffer.get(..length)?)
}

/// The command's name may contain anything, so the fields are counted from its last `)`.
fn parse(line: &[u8]) -> Option<(u8, u64)> {
    let end = line.iter().rposition(|byte| *byte == b')')?;
    let mut fields = std::str::from_utf8(line.get(end + 1..)?).ok()?.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    // Field 3 is the state; 22 is the nineteenth after it.
    let start = fields.nth(18)?.parse().ok()?;
    Some((state, start))
}

/// The identity of a running process.
pub fn identify(pid: pid_t) -> Option<Identity> {
    stat(pid).map(|(_, start)| Identity { pid, start })
}

/// The state of a process (proc_pid_stat(5), field 3); nothing if it isn't there, isn't the one
/// that started at `start`, or is a zombie.
pub fn state(pid: pid_t, start: u64) -> Option<u8> {
    let (state, now) = if pid > 0 { stat(pid)? } else { return None };
    (now == start && !matches!(state, b'Z' | b'X')).then_some(state)
}

/// The process is there, is the one that started at `start`, and is no zombie.
pub fn is_alive(pid: pid_t, start: u64) -> bool {
    state(pid, start).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names() {
        let line = b"7 (a) R 1 (b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20\n";
        assert_eq!(parse(line), Some((b'S', 4242)));
        assert_eq!(parse(b"7 (x"), None);
    }

    #[test]
    fn this_process() {
        let pid = std::process::id().cast_signed();
        let me = identify(pid).unwrap();
        assert!(is_alive(pid, me.start));
        // The first thread's: it waits for this one.
        assert!(matches!(state(pid, me.start), Some(b'S' | b'R')));
        assert!(!is_alive(pid, me.start + 1));
        assert!(!is_alive(0, me.start));
    }
}
