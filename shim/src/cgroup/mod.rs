//! Control groups: where a container's are, who is in them, and their figures.

mod layout;
mod parse;
mod v1;
mod v2;

pub use layout::Layout;

use crate::error::{At, Error, Result};
use crate::proto::{Any, stats_v1, stats_v2};
use nix::errno::Errno;
use std::fs;
use std::path::{Path, PathBuf};

/// How deep below a container's control group processes are looked for.
const DEPTH: usize = 16;

/// Counts of events of memory on v2.
const EVENTS: &str = "memory.events";

/// What is known of a container's memory while its control group is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pressure {
    /// It has met its limit.
    pub limit_met: bool,
    /// OOM kills in the group above and below it.
    pub kills_around: u64,
}

/// The control groups of one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cgroup {
    /// cgroup v1: a directory per controller.
    V1(Vec<(String, PathBuf)>),
    /// cgroup v2: one directory.
    V2(PathBuf),
}

impl Cgroup {
    /// The control groups of a process, by its `/proc/PID/cgroup`. `None` if it has none of its
    /// own: figures of the whole machine would not be the container's.
    pub fn of(pid: u32, layout: &Layout) -> Option<Self> {
        layout.locate(&fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?)
    }

    /// The directory of a v1 controller.
    fn controller(&self, name: &str) -> Option<&Path> {
        match self {
            Self::V1(list) => {
                list.iter().find(|(controller, _)| controller == name).map(|(_, dir)| dir.as_path())
            }
            Self::V2(_) => None,
        }
    }

    /// The processes in it and below.
    pub fn pids(&self) -> Vec<u32> {
        let dir = match self {
            Self::V1(list) => list.first().map(|(_, dir)| dir.as_path()),
            Self::V2(dir) => Some(dir.as_path()),
        };
        let mut pids = Vec::new();
        if let Some(dir) = dir {
            collect(dir, DEPTH, &mut pids);
        }
        pids
    }

    /// The memory directory: where OOM kills are counted.
    pub fn memory(&self) -> Option<&Path> {
        match self {
            Self::V1(_) => self.controller("memory"),
            Self::V2(dir) => Some(dir),
        }
    }

    /// OOM kills so far, `None` if the kernel does not say (or the group is gone).
    pub fn oom_kills(&self) -> Option<u64> {
        let file = match self {
            Self::V1(_) => "memory.oom_control",
            Self::V2(_) => EVENTS,
        };
        let text = fs::read_to_string(self.memory()?.join(file)).ok()?;
        parse::keyed(&text, "oom_kill")
    }

    /// What the groups of v2 say of memory, `None` on v1 or when they are gone.
    pub fn pressure(&self) -> Option<Pressure> {
        let Self::V2(dir) = self else { return None };
        let text = fs::read_to_string(dir.join(EVENTS)).ok()?;
        Some(Pressure {
            limit_met: parse::keyed(&text, "max")? > 0,
            kills_around: self.kills_around()?,
        })
    }

    /// OOM kills in the group above and all below it, `None` on v1. They stay counted there when
    /// a group below is removed (cgroup-v2.rst, memory.events).
    pub fn kills_around(&self) -> Option<u64> {
        let Self::V2(dir) = self else { return None };
        let text = fs::read_to_string(dir.parent()?.join(EVENTS)).ok()?;
        parse::keyed(&text, "oom_kill")
    }

    /// The group above, if it is a pod's or the like. A group at the top of the hierarchy has
    /// nothing but the root above it, which counts no events; it holds others' containers, too.
    pub fn pod(&self) -> Option<&Path> {
        let Self::V2(dir) = self else { return None };
        let above = dir.parent()?;
        above.parent()?.join(EVENTS).exists().then_some(above)
    }

    /// The figures, as the message containerd has for this version of control groups.
    pub fn stats(&self) -> Any {
        match self {
            Self::V1(_) => Any::pack(stats_v1::METRICS, &v1::metrics(self)),
            Self::V2(dir) => Any::pack(stats_v2::METRICS, &v2::metrics(dir)),
        }
    }
}

fn collect(dir: &Path, depth: usize, pids: &mut Vec<u32>) {
    // "threaded" groups of v2 refuse cgroup.procs; their processes are listed above them.
    let text = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
    if depth == 0 {
        return;
    }
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&entry.path(), depth - 1, pids);
        }
    }
}

/// Moves a process into a control group, named by its path below each hierarchy's root.
///
/// # Errors
/// No such group, or no right to it.
pub fn join(path: &str, pid: u32) -> Result<()> {
    let layout = Layout::read()?;
    let mut joined = false;
    for root in layout.roots() {
        let dir = root.join(path.trim_start_matches('/'));
        if path.split('/').any(|part| part == "..") {
            return Err(Error::invalid(format!("shim_cgroup {path:?} leads upwards")));
        }
        match fs::write(dir.join("cgroup.procs"), pid.to_string()) {
            Ok(()) => joined = true,
            Err(error) if error.raw_os_error() == Some(Errno::ENOENT as i32) => {}
            Err(error) => return Err(error).at(|| format!("join {}", dir.display())),
        }
    }
    if joined {
        return Ok(());
    }
    Err(Error::invalid(format!("shim_cgroup {path:?}: no hierarchy has such a group")))
}
