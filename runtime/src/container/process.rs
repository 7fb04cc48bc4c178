//! What /proc tells about a process, as little as is needed.
//!
//! /proc shows times since boot in the reader's time namespace (time_namespaces(7)), so what is
//! recorded is the initial one's time: else a container made in one namespace would be taken for
//! dead in another.

use crate::sys::fd::open_path;
use nix::fcntl::{OFlag, readlink};
use nix::libc::pid_t;
use std::path::Path;
use std::sync::OnceLock;

/// The initial time namespace's inode (`PROC_TIME_INIT_INO`, `TIME_NS_INIT_INO` in linux/nsfs.h).
const INITIAL: &str = "time:[4026531834]";
/// A clock tick, which /proc counts in: `USER_HZ` is 100 everywhere.
const TICK: i128 = 10_000_000;

/// A process that can be told from a later one with the same number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Identity {
    /// Process id in the runtime's pid namespace.
    pub pid: pid_t,
    /// Start time in clock ticks since boot (proc_pid_stat(5), field 22), as the initial time
    /// namespace has it.
    pub start: u64,
}

fn read(path: &str, buffer: &mut [u8]) -> Option<usize> {
    let file = open_path(Path::new(path), OFlag::O_RDONLY).ok()?;
    nix::unistd::read(&file, buffer).ok()
}

/// State letter and start time of a process, in this process' time namespace.
fn stat(pid: pid_t) -> Option<(u8, u64)> {
    let mut buffer = [0u8; 1024];
    let length = read(&format!("/proc/{pid}/stat"), &mut buffer)?;
    parse(buffer.get(..length)?)
}

/// What this process' time namespace adds to the time since boot, in nanoseconds. Nobody changes it
/// once a process is in it.
fn offset() -> i128 {
    static OFFSET: OnceLock<i128> = OnceLock::new();
    *OFFSET.get_or_init(|| {
        // One system call where nothing is shifted. Kernels without time namespaces have no link.
        if readlink("/proc/self/ns/time").is_ok_and(|name| name == INITIAL) {
            return 0;
        }
        let mut buffer = [0u8; 256];
        let length = read("/proc/self/timens_offsets", &mut buffer).unwrap_or_default();
        buffer.get(..length).and_then(parse_offset).unwrap_or_default()
    })
}

/// The line of CLOCK_BOOTTIME: seconds and nanoseconds (time_namespaces(7)). Names of older kernels
/// are the clock's number, 7.
fn parse_offset(text: &[u8]) -> Option<i128> {
    let text = std::str::from_utf8(text).ok()?;
    let mut words = text
        .lines()
        .map(str::split_ascii_whitespace)
        .find_map(|mut words| matches!(words.next(), Some("boottime" | "7")).then_some(words))?;
    let (seconds, rest): (i64, i64) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    Some(i128::from(seconds) * 1_000_000_000 + i128::from(rest))
}

/// A start time as the initial time namespace has it. An offset may lie between two ticks: the
/// result is the tick it began in, or the one after.
fn unshifted(start: u64, offset: i128) -> u64 {
    // Before boot nothing was started.
    u64::try_from(i128::from(start) - offset.div_euclid(TICK)).unwrap_or_default()
}

/// Whether a start time seen with an offset is the one recorded. Where a tick of one namespace is no
/// tick of another, neighbours may be the same, whether it is the recorder's or this one; a number
/// does not come round to another process within a tick.
fn is_same(recorded: u64, seen: u64, offset: i128) -> bool {
    unshifted(seen, offset).abs_diff(recorded) <= 1
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
    stat(pid).map(|(_, start)| Identity { pid, start: unshifted(start, offset()) })
}

/// The identity of this process.
pub fn identify_self() -> Option<Identity> {
    let mut buffer = [0u8; 1024];
    let length = read("/proc/self/stat", &mut buffer)?;
    let line = buffer.get(..length)?;
    let pid = line.split(|byte| *byte == b' ').next()?;
    let pid = std::str::from_utf8(pid).ok()?.parse().ok()?;
    let (_, start) = parse(line)?;
    Some(Identity { pid, start: unshifted(start, offset()) })
}

/// The state of a process (proc_pid_stat(5), field 3); nothing if it isn't there, isn't the one
/// that started at `start`, or is a zombie.
pub fn state(pid: pid_t, start: u64) -> Option<u8> {
    let (state, seen) = if pid > 0 { stat(pid)? } else { return None };
    // The offset is asked for last: what is recorded and seen in the initial namespace agrees.
    let same = seen == start || is_same(start, seen, offset());
    (same && !matches!(state, b'Z' | b'X')).then_some(state)
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
    fn offsets() {
        let text = b"monotonic           0         0\nboottime    -86400       500\n";
        assert_eq!(parse_offset(text), Some(-86_400_000_000_000 + 500));
        assert_eq!(parse_offset(b"1 5 0\n7 3 0\n"), Some(3_000_000_000));
        assert_eq!(parse_offset(b"monotonic 1 0\n"), None);
    }

    #[test]
    fn start_times_of_other_namespaces_agree() {
        let second = 1_000_000_000;
        // What one in a namespace sees of a process that began 42.42 s after boot.
        let seen = |offset: i128| u64::try_from((42_420_000_000 + 9_999_999 + offset) / TICK);
        let offsets = [0, 7, 86_400 * second, -10 * second, 3 * second + 5_000_000, -1];
        for recorder in offsets {
            let recorded = unshifted(seen(recorder).unwrap(), recorder);
            for reader in offsets {
                let seen = seen(reader).unwrap();
                assert!(is_same(recorded, seen, reader), "{recorder} {reader}");
                assert!(!is_same(recorded + 3, seen, reader), "{recorder} {reader}");
            }
        }
        assert_eq!(unshifted(4242 + 8_640_000, 86_400 * second), 4242);
    }

    #[test]
    fn this_process() {
        let pid = std::process::id().cast_signed();
        let me = identify(pid).unwrap();
        assert_eq!(identify_self(), Some(me));
        assert!(is_alive(pid, me.start));
        // The first thread's: it waits for this one.
        assert!(matches!(state(pid, me.start), Some(b'S' | b'R')));
        assert!(!is_alive(pid, me.start + 2));
        assert!(!is_alive(0, me.start));
    }
}
