//! Hearing of processes that the kernel killed for want of memory, and of the end of a cgroup.

use super::Cgroup;
use super::file::{gone, open_write, read_open, write_open};
use crate::error::{At, Result};
use nix::poll::{PollFd, PollFlags};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::fs::File;
use std::io::Seek as _;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::{Path, PathBuf};

/// What was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occurrence {
    /// A process was killed.
    Oom,
    /// Nothing of interest.
    Nothing,
    /// The cgroup was removed (v1) or has no processes any more (v2).
    Gone,
}

/// Listens to a cgroup.
#[derive(Debug)]
pub enum OomWatch {
    /// cgroup v1, memory.txt "Memory pressure" and "OOM Control": an eventfd that is signalled for
    /// each kill, and when the cgroup is removed.
    V1 {
        /// The eventfd.
        event: EventFd,
        /// Must stay open as long as events are wanted.
        control: File,
        /// The cgroup's directory.
        path: PathBuf,
    },
    /// cgroup v2: the kernel wakes poll(2) at changes of these files.
    V2 {
        /// memory.events, unless the controller is not enabled.
        memory: Option<File>,
        /// cgroup.events.
        cgroup: File,
        /// `oom_kill` of memory.events so far.
        kills: u64,
    },
}

impl Cgroup {
    /// Listens from now on; nothing if there is no cgroup that could tell.
    pub fn watch_oom(&self) -> Result<Option<OomWatch>> {
        if self.is_v2() {
            return self.unified().map(watch_v2).transpose();
        }
        self.place("memory").map(watch_v1).transpose()
    }
}

fn watch_v1(path: &Path) -> Result<OomWatch> {
    let at = |file: &'static str| move || format!("open {:?}", path.join(file));
    let control = File::open(path.join("memory.oom_control")).at(at("memory.oom_control"))?;
    let event =
        EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).at(|| "eventfd")?;
    let line = format!("{} {}", event.as_raw_fd(), control.as_raw_fd());
    open_write(path, "cgroup.event_control")
        .and_then(|mut file| write_open(&mut file, &line))
        .at(|| format!("write {line:?} to {:?}", path.join("cgroup.event_control")))?;
    Ok(OomWatch::V1 { event, control, path: path.to_owned() })
}

fn watch_v2(path: &Path) -> Result<OomWatch> {
    let open = |name: &str| File::open(path.join(name));
    let mut memory = match open("memory.events") {
        Ok(file) => Some(file),
        Err(error) if gone(&error) => None,
        Err(error) => return Err(error).at(|| format!("open {:?}", path.join("memory.events"))),
    };
    let cgroup = open("cgroup.events").at(|| format!("open {:?}", path.join("cgroup.events")))?;
    let kills = memory.as_mut().and_then(|file| number(file, "oom_kill")).unwrap_or(0);
    Ok(OomWatch::V2 { memory, cgroup, kills })
}

/// The number behind `key` in a file that is read from its start; nothing once the cgroup is gone.
fn number(file: &mut File, key: &str) -> Option<u64> {
    file.rewind().ok()?;
    let text = read_open(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))?;
    line.parse().ok()
}

impl OomWatch {
    /// What to wait for before the next [`OomWatch::heard`].
    pub fn poll_fds(&self) -> Vec<PollFd<'_>> {
        match self {
            Self::V1 { event, .. } => vec![PollFd::new(event.as_fd(), PollFlags::POLLIN)],
            Self::V2 { memory, cgroup, .. } => memory
                .iter()
                .chain([cgroup])
                .map(|file| PollFd::new(file.as_fd(), PollFlags::POLLPRI))
                .collect(),
        }
    }

    /// What has happened since the last call.
    pub fn heard(&mut self) -> Occurrence {
        match self {
            Self::V1 { event, control: _, path } => match event.read() {
                Err(_) => Occurrence::Nothing,
                // The kernel signals the removal too (memcg_event_remove).
                Ok(_) if !path.join("memory.oom_control").exists() => Occurrence::Gone,
                Ok(_) => Occurrence::Oom,
            },
            Self::V2 { memory, cgroup, kills } => {
                let now = memory.as_mut().and_then(|file| number(file, "oom_kill"));
                // Before the end is looked at: a kill may be what ended the container.
                if let Some(now) = now.filter(|now| *now > *kills) {
                    *kills = now;
                    return Occurrence::Oom;
                }
                match number(cgroup, "populated") {
                    Some(1..) => Occurrence::Nothing,
                    _ => Occurrence::Gone,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(dir: &Path, memory: &str, cgroup: &str) -> OomWatch {
        std::fs::write(dir.join("memory.events"), memory).unwrap();
        std::fs::write(dir.join("cgroup.events"), cgroup).unwrap();
        watch_v2(dir).unwrap()
    }

    #[test]
    fn kills_are_told_before_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let mut watch = watch(dir.path(), "oom 1\noom_kill 1\n", "populated 1\nfrozen 0\n");
        assert_eq!(watch.heard(), Occurrence::Nothing);
        std::fs::write(dir.path().join("memory.events"), "oom 2\noom_kill 2\n").unwrap();
        std::fs::write(dir.path().join("cgroup.events"), "populated 0\nfrozen 0\n").unwrap();
        assert_eq!(watch.heard(), Occurrence::Oom);
        assert_eq!(watch.heard(), Occurrence::Gone);
    }

    #[test]
    fn without_the_controller_the_end_is_heard() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("cgroup.events"), "populated 1\n").unwrap();
        let mut watch = watch_v2(dir.path()).unwrap();
        assert_eq!(watch.poll_fds().len(), 1);
        assert_eq!(watch.heard(), Occurrence::Nothing);
        std::fs::write(dir.path().join("cgroup.events"), "populated 0\n").unwrap();
        assert_eq!(watch.heard(), Occurrence::Gone);
    }
}
