//! Control groups: making a container's cgroups, putting processes into them, and everything done
//! with them afterwards.
//!
//! What to make and what to write is decided by [`crate::plan::cgroup`]; here it is carried out.
//! cgroup v1 has one directory for each hierarchy, v2 has one altogether; a hybrid host has both,
//! the v2 directory without controllers.

#![allow(
    clippy::unnecessary_debug_formatting,
    reason = "paths in messages are quoted and escaped, so that a message is one line"
)]

mod attach;
mod cpuset;
mod create;
mod destroy;
pub mod devices;
mod file;
mod freezer;
mod join;
mod kill;
pub mod layout;
mod oom;
pub mod program;
pub mod stats;
mod update;
mod wait;
mod walk;

pub use join::Join;
pub use layout::Layout;
pub use oom::{Occurrence, OomWatch};
pub use update::Undo;

use crate::error::Result;
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// The cgroups of a container.
#[derive(Debug)]
pub struct Cgroup {
    places: Vec<Place>,
    /// Directories that [`Cgroup::create`] made, parents first.
    made: Vec<PathBuf>,
    /// The device program that [`Cgroup::create`] attached to a directory that was there before.
    program: Option<OwnedFd>,
}

/// One directory of a [`Cgroup`].
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    /// Controllers of a v1 hierarchy.
    controllers: Vec<String>,
    path: PathBuf,
    /// Whether this is a cgroup v2 directory.
    unified: bool,
}

impl Cgroup {
    /// The cgroups that were recorded as `paths` when they were made.
    pub fn open(paths: &BTreeMap<String, PathBuf>) -> Self {
        let mut places: Vec<Place> = Vec::new();
        // The unified one, whose name is empty and sorts first, goes last: while the others are
        // removed it tells when their processes are gone.
        for (controller, path) in paths.iter().rev() {
            let unified = controller.is_empty();
            let known = places
                .iter_mut()
                .find(|place| !unified && place.path.as_os_str() == path.as_os_str());
            match known {
                Some(place) => place.controllers.push(controller.clone()),
                None => places.push(Place {
                    controllers: if unified { Vec::new() } else { vec![controller.clone()] },
                    path: path.clone(),
                    unified,
                }),
            }
        }
        Self { places, made: Vec::new(), program: None }
    }

    /// The directories by controller; one with an empty name for the unified hierarchy.
    pub fn paths(&self) -> BTreeMap<String, PathBuf> {
        let mut paths = BTreeMap::new();
        for place in &self.places {
            if place.unified {
                paths.insert(String::new(), place.path.clone());
            }
            for controller in &place.controllers {
                paths.insert(controller.clone(), place.path.clone());
            }
        }
        paths
    }

    /// Whether the cgroup is there.
    pub fn exists(&self) -> bool {
        self.main().is_some_and(Path::exists)
    }

    /// The processes of the cgroup, as seen from this process' pid namespace (those outside of it
    /// are left out); with `recursive`, those of its descendants too.
    pub fn pids(&self, recursive: bool) -> Result<Vec<i32>> {
        self.main().map_or(Ok(Vec::new()), |path| walk::pids(path, recursive))
    }

    /// Whether the unified directory is all there is.
    pub fn is_v2(&self) -> bool {
        matches!(self.places.as_slice(), [place] if place.unified)
    }

    /// The cgroup v2 directory, which a hybrid host has too.
    fn unified(&self) -> Option<&Path> {
        self.places.iter().find(|place| place.unified).map(|place| place.path.as_path())
    }

    /// The directory for `controller`.
    fn place(&self, controller: &str) -> Option<&Path> {
        let of = |place: &&Place| place.controllers.iter().any(|name| name == controller);
        let place = if self.is_v2() { self.places.first() } else { self.places.iter().find(of) };
        place.map(|place| place.path.as_path())
    }

    /// The directory that stands for all where one is enough: that of the devices controller,
    /// because a container can't do without it.
    fn main(&self) -> Option<&Path> {
        self.place("devices").or_else(|| self.places.first().map(|place| place.path.as_path()))
    }
}
