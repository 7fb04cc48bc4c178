//! What the host says about a process: is it still the one that was started?

use nix::unistd::{AccessFlags, access};
use std::fs;
use std::sync::OnceLock;

/// A clock tick in nanoseconds, which /proc counts in: `USER_HZ` is 100 everywhere.
const TICK: i128 = 10_000_000;

/// This boot's id (random(4)): pids and start times mean nothing across reboots.
pub fn boot_id() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_string()
}

/// A process' start time in clock ticks since boot, unless it is gone or a zombie. It is the initial
/// time namespace's: /proc shows the reader's (time_namespaces(7)), and what is recorded here is read
/// by a deck in another one as well.
pub fn start_time(pid: i32) -> Option<u64> {
    seen(pid).map(|start| unshifted(start, offset()))
}

/// Whether a process is there, no zombie, and the one that began at `start` ([`start_time`]).
pub fn is_alive(pid: i32, start: u64) -> bool {
    pid > 0 && seen(pid).is_some_and(|seen| is_same(start, seen, offset()))
}

/// The start time of a process that is no zombie, in this process' time namespace.
fn seen(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(&stat)
}

/// What this process' time namespace adds to the time since boot, in nanoseconds; nobody changes it
/// once a process is in it. Kernels without time namespaces have no such file.
fn offset() -> i128 {
    static OFFSET: OnceLock<i128> = OnceLock::new();
    *OFFSET.get_or_init(|| {
        let text = fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
        parse_offset(&text).unwrap_or_default()
    })
}

/// The line of `CLOCK_BOOTTIME`: seconds and nanoseconds (time_namespaces(7)).
fn parse_offset(text: &str) -> Option<i128> {
    let mut words = text
        .lines()
        .map(str::split_ascii_whitespace)
        // Before Linux 5.11 a clock's name is its number.
        .find_map(|mut words| matches!(words.next(), Some("boottime" | "7")).then_some(words))?;
    let (seconds, rest): (i64, i64) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    Some(i128::from(seconds) * 1_000_000_000 + i128::from(rest))
}

/// A start time as the initial time namespace has it: the tick it began in, or the one after where
/// the offset lies between two ticks.
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

/// Whether containers can be put into cgroups: by root of the user namespace that came with the boot
/// (user_namespaces(7)), or where a hierarchy was handed to this one.
pub fn may_make_cgroups() -> bool {
    let first = fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| is_whole(&map));
    first
        || ["/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/pids/cgroup.procs"]
            .iter()
            .any(|path| access(*path, AccessFlags::W_OK).is_ok())
}

/// Whether a map is the one of all ids.
fn is_whole(map: &str) -> bool {
    map.split_ascii_whitespace().eq(["0", "0", "4294967295"])
}

/// State and start time of proc_pid_stat(5); the name may hold anything, so fields count from its
/// last parenthesis.
fn parse_stat(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X" | "x") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_of_ids() {
        assert!(is_whole("         0          0 4294967295\n"));
        assert!(!is_whole("         0       1000          1\n         1     100000      65536\n"));
        assert!(!is_whole(""));
    }

    #[test]
    fn stat_lines() {
        let line = |state: &str| {
            format!("7 (a) Z 1) {state} 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4242 1 2")
        };
        assert_eq!(parse_stat(&line("S")), Some(4242));
        assert_eq!(parse_stat(&line("Z")), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn this_process() {
        let pid = std::process::id().cast_signed();
        let start = start_time(pid).unwrap();
        assert!(is_alive(pid, start));
        assert!(!is_alive(pid, start + 2));
        assert!(!is_alive(0, start));
    }

    #[test]
    fn offsets() {
        let text = "monotonic           0         0\nboottime    -86400       500\n";
        assert_eq!(parse_offset(text), Some(-86_400_000_000_000 + 500));
        assert_eq!(parse_offset("1 5 0\n7 3 0\n"), Some(3_000_000_000));
        assert_eq!(parse_offset("monotonic 1 0\n"), None);
    }

    #[test]
    fn time_namespaces_agree_on_a_start() {
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
    }
}
