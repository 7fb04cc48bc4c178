//! What the host says about a process: is it still the one that was started?

use nix::unistd::{AccessFlags, access};
use std::fs;

/// This boot's id (random(4)): pids and start times mean nothing across reboots.
pub fn boot_id() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_string()
}

/// A process' start time in clock ticks since boot, unless it is gone or a zombie.
pub fn start_time(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(&stat)
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
        assert!(start_time(i32::try_from(std::process::id()).unwrap()).is_some());
    }
}
