//! Putting a new process into cgroups.
//!
//! Whoever writes a pid to cgroup.procs waits for an RCU grace period, 8 to 13 milliseconds on an
//! idle machine. On cgroup v2 clone3(2) with CLONE_INTO_CGROUP makes the process where it belongs.
//! On v1 the process itself, while it has one thread, writes `0` to the `tasks` file of each
//! hierarchy, which moves a thread and needs no such wait.

use super::Cgroup;
use super::layout::{HYBRID, ROOT, membership, read_proc};
use crate::error::{At, Error, Result};
use crate::sys::fd::{close_all, open_path};
use crate::systemd::Unit;
use nix::fcntl::OFlag;
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// What a process needs to get into a container's cgroups.
#[derive(Debug, Default)]
pub struct Join {
    /// The cgroup v2 directory, for `clone_args.cgroup` of clone3(2).
    pub into: Option<OwnedFd>,
    /// The `tasks` file of each v1 hierarchy, for the new process to write `0` to.
    pub tasks: Vec<OwnedFd>,
    /// The unit into which systemd has to put it, and the path of the cgroup below the unit's.
    pub unit: Option<(Unit, String)>,
}

impl Drop for Join {
    fn drop(&mut self) {
        close_all(std::mem::take(&mut self.tasks));
    }
}

impl Cgroup {
    /// What the container's first process needs.
    pub fn join(&self) -> Result<Join> {
        self.join_sub(&BTreeMap::new())
    }

    /// What another process needs to get into the cgroup, or into descendants of it: `sub` has a
    /// path below the cgroup by controller, or one for all under the empty name.
    pub fn join_sub(&self, sub: &BTreeMap<String, String>) -> Result<Join> {
        for controller in sub.keys() {
            if !controller.is_empty() && (self.is_v2() || self.place(controller).is_none()) {
                return Err(Error::config(format!("unknown controller {controller} in --cgroup")));
            }
        }
        let mut join = Join::default();
        for place in &self.places {
            let own = place.controllers.iter().find_map(|controller| sub.get(controller));
            let path = match own.or_else(|| sub.get("")) {
                Some(sub) => below(&place.path, sub)?,
                None => place.path.clone(),
            };
            if place.unified {
                join.into = Some(directory(&path)?);
            } else {
                let path = path.join("tasks");
                let file = open_path(&path, OFlag::O_WRONLY);
                join.tasks.push(file.at(|| format!("error adding pid to cgroup: open {path:?}"))?);
            }
        }
        Ok(join)
    }

    /// Where the host has its unified hierarchy.
    pub fn unified_root(&self) -> &'static Path {
        Path::new(if self.is_v2() { ROOT } else { HYBRID })
    }

    /// What another process needs to get where the container's first process `pid` is now, below
    /// the cgroup v2 mount point `root`. It may have moved: with a cgroup file system of its own a
    /// container can make sub-cgroups with controllers, and then nobody can join the cgroup above
    /// them any more.
    pub fn join_process(root: &Path, pid: i32) -> Result<Join> {
        let text = read_proc(&format!("/proc/{pid}/cgroup"))?;
        let (_, path) = membership(&text)
            .find(|(controllers, _)| controllers.is_empty())
            .ok_or_else(|| Error::unsupported(format!("process {pid} is in no cgroup v2")))?;
        let path = below(root, path)?;
        Ok(Join { into: Some(directory(&path)?), tasks: Vec::new(), unit: None })
    }
}

/// A v2 directory as clone3(2) wants it.
fn directory(path: &Path) -> Result<OwnedFd> {
    open_path(path, OFlag::O_PATH | OFlag::O_DIRECTORY).at(|| format!("open {path:?}"))
}

/// `base`/`sub`, which must not lead out of `base`.
fn below(base: &Path, sub: &str) -> Result<PathBuf> {
    let mut components = Vec::new();
    for component in sub.split('/') {
        match component {
            "" | "." => {}
            ".." => {
                components
                    .pop()
                    .ok_or_else(|| Error::config(format!("bad sub cgroup path: {sub}")))?;
            }
            name => components.push(name),
        }
    }
    Ok(base.iter().chain(components.iter().map(std::ffi::OsStr::new)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sub_cgroups_stay_below() {
        let base = Path::new("/sys/fs/cgroup/foo");
        assert_eq!(below(base, "/").unwrap(), base);
        assert_eq!(below(base, "a/../b/.//c").unwrap(), base.join("b/c"));
        for bad in ["..", "../foobar", "a/../../foobar", "/.."] {
            assert!(below(base, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn unknown_controllers_are_refused() {
        let cgroup = Cgroup::open(&[("cpu".to_owned(), PathBuf::from("/none"))].into());
        let error = cgroup.join_sub(&[("memory".to_owned(), "x".to_owned())].into()).unwrap_err();
        assert_eq!(error.to_string(), "unknown controller memory in --cgroup");
    }
}
