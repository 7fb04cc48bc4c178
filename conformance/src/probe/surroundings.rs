//! Reads a process' surroundings. What can't be read stays empty.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsFd;

use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;

use crate::observation::{Mount, Observation};
use crate::sys;

/// The resources of setrlimit(2) in the kernel's numbering on x86 and ARM.
pub const RLIMITS: [&str; 16] = [
    "RLIMIT_CPU",
    "RLIMIT_FSIZE",
    "RLIMIT_DATA",
    "RLIMIT_STACK",
    "RLIMIT_CORE",
    "RLIMIT_RSS",
    "RLIMIT_NPROC",
    "RLIMIT_NOFILE",
    "RLIMIT_MEMLOCK",
    "RLIMIT_AS",
    "RLIMIT_LOCKS",
    "RLIMIT_SIGPENDING",
    "RLIMIT_MSGQUEUE",
    "RLIMIT_NICE",
    "RLIMIT_RTPRIO",
    "RLIMIT_RTTIME",
];

const NAMESPACES: [&str; 8] = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];

/// Everything seen from here.
pub fn observe() -> Observation {
    // First: nothing opened below must be among them.
    let fds = descriptors();
    let status = status();
    let ids = |name: &str| numbers(status.get(name));
    let uname = nix::sys::utsname::uname().ok();
    let stdin = std::io::stdin();
    let mask = nix::sys::stat::umask(nix::sys::stat::Mode::empty());
    nix::sys::stat::umask(mask);
    let mut groups = ids("Groups");
    groups.sort_unstable();
    Observation {
        pid: nix::unistd::getpid().as_raw(),
        ppid: nix::unistd::getppid().as_raw(),
        sid: nix::unistd::getsid(None).map_or(-1, Pid::as_raw),
        uids: ids("Uid"),
        gids: ids("Gid"),
        groups,
        umask: mask.bits(),
        args: std::env::args().collect(),
        env: environment(),
        cwd: std::env::current_dir()
            .map_or_else(|e| e.to_string(), |dir| dir.display().to_string()),
        hostname: uname.as_ref().map_or_else(String::new, |u| lossy(u.nodename())),
        domainname: uname.as_ref().map_or_else(String::new, |u| lossy(u.domainname())),
        rlimits: rlimits(),
        mounts: mounts(&text("/proc/self/mountinfo")),
        namespaces: namespaces(),
        cgroups: lines("/proc/self/cgroup"),
        oom_score_adj: text("/proc/self/oom_score_adj").trim().into(),
        uid_map: lines("/proc/self/uid_map"),
        gid_map: lines("/proc/self/gid_map"),
        timens_offsets: lines("/proc/self/timens_offsets"),
        scheduler: sys::scheduler().unwrap_or_default(),
        ioprio: sys::ioprio(),
        personality: sys::personality(),
        keyring: sys::session_keyring().unwrap_or_else(|errno| errno.to_string()),
        affinity: affinity(),
        mempolicy: sys::mempolicy().unwrap_or((-1, Vec::new())),
        terminal: sys::terminal_size(stdin.as_fd()),
        tty: nix::unistd::ttyname(stdin.as_fd())
            .map_or_else(|_| String::new(), |name| name.display().to_string()),
        interfaces: interfaces(),
        tries: BTreeMap::new(),
        fds,
        status,
    }
}

fn lossy(text: &std::ffi::OsStr) -> String {
    text.to_string_lossy().into_owned()
}

fn text(path: &str) -> String {
    fs::read(path).map_or_else(|_| String::new(), |b| String::from_utf8_lossy(&b).into_owned())
}

/// The lines of a file, runs of blanks as one.
fn lines(path: &str) -> Vec<String> {
    let join = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    text(path).lines().map(join).collect()
}

/// As the kernel laid it out: std drops entries it can't parse.
fn environment() -> Vec<String> {
    let raw = text("/proc/self/environ");
    if raw.is_empty() {
        return std::env::vars_os()
            .map(|(name, value)| format!("{}={}", lossy(&name), lossy(&value)))
            .collect();
    }
    raw.split_terminator('\0').map(str::to_owned).collect()
}

fn status() -> BTreeMap<String, String> {
    let text = text("/proc/self/status");
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
}

fn numbers(field: Option<&String>) -> Vec<u32> {
    let words = field.into_iter().flat_map(|field| field.split_whitespace());
    words.filter_map(|word| word.parse().ok()).collect()
}

fn rlimits() -> BTreeMap<String, (u64, u64)> {
    let named = (0_u32..).zip(RLIMITS);
    named.filter_map(|(number, name)| Some((name.to_owned(), sys::rlimit(number)?))).collect()
}

fn descriptors() -> BTreeMap<i32, String> {
    let Ok(directory) = fs::read_dir("/proc/self/fd") else { return BTreeMap::new() };
    let entries = directory.flatten().filter_map(|entry| {
        let number = entry.file_name().to_str()?.parse().ok()?;
        // The directory's own descriptor is gone by the time its link is read.
        Some((number, entry.path()))
    });
    let listed: Vec<_> = entries.collect();
    let read = |(number, path): (i32, std::path::PathBuf)| {
        fs::read_link(path).ok().map(|target| (number, target.display().to_string()))
    };
    listed.into_iter().filter_map(read).collect()
}

fn namespaces() -> BTreeMap<String, String> {
    let read = |name: &str| {
        let link = fs::read_link(format!("/proc/self/ns/{name}")).ok()?;
        Some((name.to_owned(), link.display().to_string()))
    };
    NAMESPACES.iter().filter_map(|name| read(name)).collect()
}

fn affinity() -> Vec<usize> {
    let Ok(set) = sched_getaffinity(Pid::from_raw(0)) else { return Vec::new() };
    (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or(false)).collect()
}

/// /proc/self/net is of the process' own namespace, whatever sysfs is mounted.
fn interfaces() -> Vec<String> {
    let table = text("/proc/self/net/dev");
    let names = table.lines().filter_map(|line| line.split_once(':'));
    names.map(|(name, _)| name.trim().to_owned()).collect()
}

fn mounts(mountinfo: &str) -> Vec<Mount> {
    mountinfo.lines().filter_map(mount).collect()
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
fn mount(line: &str) -> Option<Mount> {
    let (head, tail) = line.split_once(" - ")?;
    let head: Vec<&str> = head.split(' ').collect();
    let tail: Vec<&str> = tail.split(' ').collect();
    let options = |text: &str| text.split(',').map(str::to_owned).collect();
    Some(Mount {
        root: unescape(head.get(3)?),
        target: unescape(head.get(4)?),
        options: options(head.get(5)?),
        propagation: head.get(6..)?.iter().map(|&word| word.to_owned()).collect(),
        fstype: (*tail.first()?).to_owned(),
        source: unescape(tail.get(1)?),
        super_options: options(tail.get(2)?),
    })
}

/// Blanks, tabs, line ends and backslashes stand as `\NNN`.
fn unescape(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mountinfo_line_is_taken_apart() {
        let line = "36 35 98:0 /a\\040b /m rw,noatime master:1 shared:2 - tmpfs none rw,size=8k";
        let mount = mount(line).unwrap();
        assert_eq!((mount.root.as_str(), mount.target.as_str()), ("/a b", "/m"));
        assert!(mount.has("noatime") && !mount.has("ro") && mount.super_has("size=8k"));
        assert_eq!(mount.propagation, ["master:1", "shared:2"]);
    }

    #[test]
    fn this_process_sees_itself() {
        let seen = observe();
        assert_eq!(seen.pid, nix::unistd::getpid().as_raw());
        assert_eq!(seen.uids.len(), 4);
        assert!(seen.rlimits.contains_key("RLIMIT_NOFILE") && seen.namespaces.contains_key("mnt"));
    }
}
