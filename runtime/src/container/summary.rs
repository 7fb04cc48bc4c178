//! What `list` tells of a container that has been started, as the target of a symbolic link in its
//! slot.
//!
//! `list` asks this of every container there is. readlinkat(2) is one system call where a file
//! takes three, and lines are split where JSON is parsed. Nothing of it changes once a container
//! has been started, and state.json says it as well: that is what counts where there is no summary.
//! There is none before `start`, none by earlier versions, and none where a value has a line break
//! or all of them are too long for a link.

use super::process::{self, Identity};
use super::{State, Status};
use crate::cgroup::Cgroup;
use crate::error::{At, Result};
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::path::PathBuf;

/// The link's name in a slot.
pub const NAME: &CStr = c"summary";

/// The first line; the digit is the version of the form.
const MAGIC: &str = "hull summary 1";

/// How many lines there are.
const LINES: usize = 10;

/// A container as its summary tells of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Summary<'a> {
    /// The init.
    pub init: Identity,
    /// The user who made the container.
    pub owner: u32,
    /// RFC 3339.
    pub created: &'a str,
    /// Absolute path of the bundle.
    pub bundle: &'a str,
    /// Absolute path of the root file system.
    pub rootfs: &'a str,
    /// From the configuration, as JSON; empty if there are none.
    annotations: &'a str,
    /// The controller of the cgroup that can be frozen, which is empty for cgroup v2, and its
    /// directory; both empty if there is none.
    freezer: (&'a str, &'a str),
}

/// The summary of a container made by the user `owner`; none if it has no such form.
pub fn compose(state: &State, owner: u32) -> Option<String> {
    let cgroup = Cgroup::open(&state.cgroup_paths);
    let (controller, directory) = match cgroup.freezer_place() {
        Some((controller, path)) => (controller, path.to_str()?),
        None => ("", ""),
    };
    let annotations = if state.annotations.is_empty() {
        String::new()
    } else {
        serde_json::to_string(&state.annotations).ok()?
    };
    let lines: [&str; LINES] = [
        MAGIC,
        &state.init_process_pid.to_string(),
        &state.init_process_start.to_string(),
        &owner.to_string(),
        &state.created,
        state.bundle.to_str()?,
        state.rootfs.to_str()?,
        controller,
        directory,
        &annotations,
    ];
    let one_each = lines.iter().all(|line| !line.contains('\n'));
    one_each.then(|| lines.join("\n"))
}

impl<'a> Summary<'a> {
    /// Takes [`compose`]'s text apart; nothing if it is of another version, or damaged.
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut lines = text.split('\n');
        if lines.next()? != MAGIC {
            return None;
        }
        let summary = Self {
            init: Identity { pid: lines.next()?.parse().ok()?, start: lines.next()?.parse().ok()? },
            owner: lines.next()?.parse().ok()?,
            created: lines.next()?,
            bundle: lines.next()?,
            rootfs: lines.next()?,
            freezer: (lines.next()?, lines.next()?),
            annotations: lines.next()?,
        };
        lines.next().is_none().then_some(summary)
    }

    /// The annotations of the configuration; nothing if they are damaged.
    pub fn annotations(&self) -> Option<BTreeMap<String, String>> {
        if self.annotations.is_empty() {
            return Some(BTreeMap::new());
        }
        serde_json::from_str(self.annotations).ok()
    }

    /// The status now; as of [`super::Container::status`], of a container that no longer waits.
    ///
    /// # Errors
    /// When the freezer can't be read.
    pub fn status(&self) -> Result<Status> {
        let Some(state) = process::state(self.init.pid, self.init.start) else {
            return Ok(Status::Stopped);
        };
        let (controller, directory) = self.freezer;
        if directory.is_empty() {
            return Ok(Status::Running);
        }
        let place = (controller.to_owned(), PathBuf::from(directory));
        let frozen = Cgroup::open(&BTreeMap::from([place])).is_frozen_around(state);
        let frozen = frozen.at(|| "reading the freezer's state")?;
        Ok(if frozen { Status::Paused } else { Status::Running })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        State {
            id: "web".into(),
            init_process_pid: 4242,
            init_process_start: 77,
            created: "2026-11-23T16:01:02.12Z".into(),
            bundle: "/b".into(),
            rootfs: "/b/rootfs".into(),
            cgroup_paths: [("", "/c/unified/web"), ("cpu", "/c/cpu/web"), ("freezer", "/c/f/web")]
                .map(|(name, path)| (name.to_owned(), path.into()))
                .into(),
            ..State::default()
        }
    }

    #[test]
    fn what_is_composed_is_parsed() {
        let text = compose(&state(), 1000).unwrap();
        let summary = Summary::parse(&text).unwrap();
        let expected = Summary {
            init: Identity { pid: 4242, start: 77 },
            owner: 1000,
            created: "2026-11-23T16:01:02.12Z",
            bundle: "/b",
            rootfs: "/b/rootfs",
            annotations: "",
            freezer: ("freezer", "/c/f/web"),
        };
        assert_eq!(summary, expected);
        assert!(summary.annotations().unwrap().is_empty());
    }

    #[test]
    fn the_freezer_is_that_of_the_container() {
        let freezer = |paths: &[(&str, &str)]| {
            let paths = paths.iter().map(|(name, path)| ((*name).to_owned(), path.into()));
            let text = compose(&State { cgroup_paths: paths.collect(), ..state() }, 0).unwrap();
            let (controller, directory) = Summary::parse(&text).unwrap().freezer;
            (controller.to_owned(), directory.to_owned())
        };
        assert_eq!(freezer(&[("", "/c/web")]), (String::new(), "/c/web".into()));
        assert_eq!(freezer(&[("", "/c/u"), ("cpu", "/c/cpu")]), (String::new(), "/c/u".into()));
        assert_eq!(freezer(&[("cpu", "/c/cpu")]), (String::new(), String::new()));
        assert_eq!(freezer(&[]), (String::new(), String::new()));
    }

    #[test]
    fn annotations_may_hold_anything() {
        let annotations = BTreeMap::from([("a\nb".to_owned(), "\"\n\u{1f6a2}".to_owned())]);
        let text = compose(&State { annotations: annotations.clone(), ..state() }, 0).unwrap();
        assert_eq!(Summary::parse(&text).unwrap().annotations(), Some(annotations));
    }

    #[test]
    fn no_summary_rather_than_a_wrong_one() {
        assert_eq!(compose(&State { bundle: "/b\n/c".into(), ..state() }, 0), None);
        assert_eq!(compose(&State { created: "\n".into(), ..state() }, 0), None);
        let whole = compose(&state(), 0).unwrap();
        for bad in ["", "hull summary 2", MAGIC, &whole.replace("4242", "x"), &format!("{whole}\n")]
        {
            assert_eq!(Summary::parse(bad), None, "{bad}");
        }
        // Every prefix that lacks a line.
        for (end, _) in whole.match_indices('\n') {
            assert_eq!(Summary::parse(&whole[..end]), None);
        }
    }

    #[test]
    fn a_stopped_container() {
        let text = compose(&State { init_process_pid: i32::MAX, ..state() }, 0).unwrap();
        assert_eq!(Summary::parse(&text).unwrap().status().unwrap(), Status::Stopped);
    }
}
