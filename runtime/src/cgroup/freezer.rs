//! Freezing and thawing.

use super::file::{gone, read_optional, write, write_raw};
use super::{Cgroup, wait};
use crate::error::{At, Error, Kind, Result};
use crate::host;
use std::path::Path;
use std::time::Duration;

/// How long a v2 cgroup may take to freeze.
const LIMIT: Duration = Duration::from_secs(10);

/// How often the freezer of cgroup v1 is asked. It is known to miss processes that are just being
/// forked; asking again catches them, thawing for a moment helps where that goes on.
const ATTEMPTS: u32 = 1000;

/// How long a v1 cgroup may be between states when it is only looked at, in milliseconds.
const SETTLING: u32 = 1000;

/// A directory that can be frozen.
enum Freezer<'a> {
    V1(&'a Path),
    V2(&'a Path),
}

impl Cgroup {
    /// Stops all processes of the cgroup and its descendants, and returns when they are stopped.
    pub fn freeze(&self) -> Result<()> {
        match self.freezer().ok_or_else(no_freezer)? {
            Freezer::V2(path) => freeze_v2(path),
            Freezer::V1(path) => freeze_v1(path).inspect_err(|_| {
                // A half-frozen cgroup can neither work nor be killed.
                let _ = write_raw(path, "freezer.state", "THAWED");
            }),
        }
    }

    /// Lets the processes go on. In a cgroup that is gone there are none: systemd removes a scope
    /// when the last one has ended. Without a freezer nothing is frozen.
    pub fn thaw(&self) -> Result<()> {
        let (path, file, value) = match self.freezer() {
            Some(Freezer::V2(path)) => (path, "cgroup.freeze", "0"),
            Some(Freezer::V1(path)) => (path, "freezer.state", "THAWED"),
            None => return Ok(()),
        };
        match write_raw(path, file, value) {
            Err(error) if gone(&error) => Ok(()),
            other => other.at(|| format!("write {value:?} to {:?}", path.join(file))),
        }
    }

    /// Whether the cgroup itself, not an ancestor, is frozen; false for one that is gone.
    pub fn is_frozen(&self) -> Result<bool> {
        match self.freezer() {
            None => Ok(false),
            Some(Freezer::V1(path)) => is_frozen_v1(path),
            Some(Freezer::V2(path)) => {
                let state = read_optional(path, "cgroup.freeze")?;
                Ok(state.is_some_and(|state| state.trim_end() == "1"))
            }
        }
    }

    /// [`Self::is_frozen`] of a cgroup with a process in this state (proc_pid_stat(5), field 3),
    /// which is mostly enough to tell that it isn't.
    ///
    /// The processes of a frozen v1 cgroup are in uninterruptible sleep, as Linux tells it now: up
    /// to 6.0 those that slept at some places were left in that sleep, and for some time after that
    /// they were told to run (f718863aca46). Those of a v2 cgroup seem to sleep like any other.
    pub fn is_frozen_around(&self, state: u8) -> Result<bool> {
        const SINCE: (u32, u32) = (6, 12);
        let is_v1 = matches!(self.freezer(), Some(Freezer::V1(_)));
        if is_v1 && state != b'D' && host::kernel_version() >= SINCE {
            return Ok(false);
        }
        self.is_frozen()
    }

    /// The directory that is frozen by [`Self::freeze`], with the name of its controller: none in
    /// cgroup v2.
    pub fn freezer_place(&self) -> Option<(&'static str, &Path)> {
        self.freezer().map(|freezer| match freezer {
            Freezer::V1(path) => ("freezer", path),
            Freezer::V2(path) => ("", path),
        })
    }

    /// The freezer of cgroup v1, or the unified directory where there is none.
    fn freezer(&self) -> Option<Freezer<'_>> {
        let v1 = self.place("freezer").filter(|_| !self.is_v2());
        v1.map(Freezer::V1).or_else(|| self.unified().map(Freezer::V2))
    }
}

fn no_freezer() -> Error {
    Error::unsupported("the container has no freezer cgroup")
}

fn freeze_v2(path: &Path) -> Result<()> {
    write(path, "cgroup.freeze", "1")?;
    if wait::for_event(path, "frozen 1", LIMIT)? {
        return Ok(());
    }
    write(path, "cgroup.freeze", "0")?;
    Err(Error::new(Kind::State, format!("unable to freeze {path:?} within {}s", LIMIT.as_secs())))
}

fn freeze_v1(path: &Path) -> Result<()> {
    for attempt in 1..=ATTEMPTS {
        if attempt % 50 == 0 {
            write(path, "freezer.state", "THAWED")?;
            std::thread::sleep(Duration::from_millis(10));
        }
        write(path, "freezer.state", "FROZEN")?;
        if attempt % 25 == 0 {
            std::thread::sleep(Duration::from_micros(10));
        }
        match read_optional(path, "freezer.state")?.as_deref().map(str::trim_end) {
            Some("FROZEN") => return Ok(()),
            Some("FREEZING") => {}
            other => return Err(unexpected(path, other)),
        }
    }
    Err(Error::new(Kind::State, format!("unable to freeze {path:?}")))
}

fn is_frozen_v1(path: &Path) -> Result<bool> {
    for _ in 0..SETTLING {
        match read_optional(path, "freezer.state")?.as_deref().map(str::trim_end) {
            None | Some("THAWED") => return Ok(false),
            // Frozen by an ancestor is not this container's doing.
            Some("FROZEN") => {
                let own = read_optional(path, "freezer.self_freezing")?;
                return Ok(own.is_none_or(|own| own.trim_end() == "1"));
            }
            Some("FREEZING") => std::thread::sleep(Duration::from_millis(1)),
            other => return Err(unexpected(path, other)),
        }
    }
    Err(Error::new(Kind::State, format!("{path:?} stays in state FREEZING")))
}

fn unexpected(path: &Path, state: Option<&str>) -> Error {
    let state = state.unwrap_or("(gone)");
    super::file::malformed(path, "freezer.state", state)
}
