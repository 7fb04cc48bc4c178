//! What the probe sees inside a container: the one document it prints.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Everything a process in a container can see of its surroundings.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Observation {
    /// Process, parent, group and session ids.
    pub pid: i32,
    /// Parent's id.
    pub ppid: i32,
    /// Session's id.
    pub sid: i32,
    /// Real, effective, saved and file system user id.
    pub uids: Vec<u32>,
    /// The same of the group.
    pub gids: Vec<u32>,
    /// Supplementary groups, sorted.
    pub groups: Vec<u32>,
    /// File mode creation mask.
    pub umask: u32,
    /// Arguments, the program's name first.
    pub args: Vec<String>,
    /// `NAME=value`, in order.
    pub env: Vec<String>,
    /// Working directory.
    pub cwd: String,
    /// UTS names.
    pub hostname: String,
    /// UTS domain name.
    pub domainname: String,
    /// The `Name: value` lines of /proc/self/status.
    pub status: BTreeMap<String, String>,
    /// Soft and hard limit by the name `RLIMIT_…`.
    pub rlimits: BTreeMap<String, (u64, u64)>,
    /// /proc/self/mountinfo.
    pub mounts: Vec<Mount>,
    /// Open file descriptors and what they refer to.
    pub fds: BTreeMap<i32, String>,
    /// `name:[inode]` of each namespace.
    pub namespaces: BTreeMap<String, String>,
    /// Lines of /proc/self/cgroup.
    pub cgroups: Vec<String>,
    /// /proc/self/oom_score_adj.
    pub oom_score_adj: String,
    /// /proc/self/uid_map, fields by single spaces.
    pub uid_map: Vec<String>,
    /// /proc/self/gid_map.
    pub gid_map: Vec<String>,
    /// /proc/self/timens_offsets.
    pub timens_offsets: Vec<String>,
    /// Scheduling attributes.
    pub scheduler: Scheduler,
    /// `ioprio_get(2)`: class << 13 | level.
    pub ioprio: i64,
    /// `personality(0xffffffff)`.
    pub personality: i64,
    /// Description of the session keyring.
    pub keyring: String,
    /// CPUs it may run on.
    pub affinity: Vec<usize>,
    /// Mode with flags, and nodes, of `get_mempolicy(2)`.
    pub mempolicy: (i64, Vec<usize>),
    /// Columns and rows when standard output is a terminal.
    pub terminal: Option<(u16, u16)>,
    /// `/dev/pts/N`-like name of the terminal on standard input.
    pub tty: String,
    /// Names of the network interfaces.
    pub interfaces: Vec<String>,
    /// What came of the requests on its command line.
    pub tries: BTreeMap<String, Tried>,
}

/// A line of mountinfo (proc_pid_mountinfo(5)).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Mount {
    /// Root of the mount within its file system.
    pub root: String,
    /// Where it is mounted.
    pub target: String,
    /// Per-mount options.
    pub options: Vec<String>,
    /// `shared:N`, `master:N`, `unbindable`.
    pub propagation: Vec<String>,
    /// File system type.
    pub fstype: String,
    /// Source.
    pub source: String,
    /// Per-superblock options.
    pub super_options: Vec<String>,
}

impl Mount {
    /// Whether the mount has this per-mount option.
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|have| have == option)
    }

    /// Whether the superblock has this option.
    pub fn super_has(&self, option: &str) -> bool {
        self.super_options.iter().any(|have| have == option)
    }
}

/// `sched_getattr(2)`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Scheduler {
    /// Policy number.
    pub policy: u32,
    /// `SCHED_FLAG_…`.
    pub flags: u64,
    /// Nice value.
    pub nice: i32,
    /// Real time priority.
    pub priority: u32,
    /// Deadline parameters in nanoseconds.
    pub runtime: u64,
    /// Deadline parameters in nanoseconds.
    pub deadline: u64,
    /// Deadline parameters in nanoseconds.
    pub period: u64,
}

/// What came of a request.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Tried {
    /// The errno's name when it failed, else empty.
    pub errno: String,
    /// What it gave.
    pub value: Value,
}

impl Tried {
    /// Whether it worked.
    pub fn worked(&self) -> bool {
        self.errno.is_empty()
    }
}

impl Observation {
    /// The mount on top at `target`.
    pub fn mount(&self, target: &str) -> Option<&Mount> {
        self.mounts.iter().rev().find(|mount| mount.target == target)
    }

    /// What came of a request; an errno of its own when it was not made.
    pub fn tried(&self, request: &str) -> Tried {
        let absent = || Tried { errno: "not tried".into(), value: Value::Null };
        self.tries.get(request).cloned().unwrap_or_else(absent)
    }

    /// A capability set of /proc/self/status, as bits: `CapEff` …
    pub fn caps(&self, set: &str) -> Option<u64> {
        u64::from_str_radix(self.status.get(set)?, 16).ok()
    }

    /// A field of /proc/self/status.
    pub fn field(&self, name: &str) -> &str {
        self.status.get(name).map_or("", String::as_str)
    }

    /// The value of an environment variable.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.env.iter().find_map(|entry| entry.strip_prefix(name)?.strip_prefix('='))
    }
}
