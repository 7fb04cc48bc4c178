//! Waiting for a cgroup to become frozen or empty.

use super::file::{gone, read_open};
use crate::error::{At, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::File;
use std::io::Seek;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

/// Waits until `cgroup.events` of a v2 directory has the line `line`, or for `limit`; whether it
/// came. The kernel wakes poll(2) at each change of the file. A cgroup that goes away meanwhile
/// has no more events to wait for.
pub(super) fn for_event(dir: &Path, line: &str, limit: Duration) -> Result<bool> {
    let place = || format!("read {:?}", dir.join("cgroup.events"));
    let end = Instant::now() + limit;
    let mut file = match File::open(dir.join("cgroup.events")) {
        Err(error) if gone(&error) => return Ok(true),
        other => other.at(place)?,
    };
    loop {
        let text = match read_open(&mut file) {
            Err(error) if gone(&error) => return Ok(true),
            other => other.at(place)?,
        };
        if text.lines().any(|own| own == line) {
            return Ok(true);
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        // Rounded up, so that the last turn does not spin.
        let timeout =
            PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
        file.rewind().at(place)?;
        match poll(&mut [PollFd::new(file.as_fd(), PollFlags::POLLPRI)], timeout) {
            Err(nix::errno::Errno::EINTR) => {}
            other => drop(other.at(|| "poll \"cgroup.events\"")?),
        }
    }
}
