//! `pause` and `resume`.

use super::{Container, Status};
use crate::error::{At, Error, Kind, Result};

/// Freezes all processes of the container; on return none of them runs.
///
/// # Errors
/// `container not running` unless it is created or running; a host without a freezer.
pub fn pause(container: &Container) -> Result<()> {
    match container.status()? {
        Status::Created | Status::Running => {}
        _ => return Err(Error::new(Kind::State, "container not running")),
    }
    container.cgroup()?.freeze().at(|| "pausing the container")
}

/// Lets the processes of a paused container go on.
///
/// # Errors
/// `container not paused`.
pub fn resume(container: &Container) -> Result<()> {
    if container.status()? != Status::Paused {
        return Err(Error::new(Kind::State, "container not paused"));
    }
    container.cgroup()?.thaw().at(|| "resuming the container")
}
