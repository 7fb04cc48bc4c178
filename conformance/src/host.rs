//! What this machine offers.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::kernel::Kernel;

/// Facts of the machine, looked up once.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Host {
    /// Effective user id of the suite.
    pub euid: u32,
    /// Mount points of cgroup v1 hierarchies by controller, `name=…` included.
    pub cgroup_v1: BTreeMap<String, PathBuf>,
    /// Mount point of the unified hierarchy when it has controllers.
    pub cgroup_v2: Option<PathBuf>,
    /// Mount point of the unified hierarchy, controllers or not.
    pub unified: Option<PathBuf>,
    /// Controllers of the unified hierarchy.
    pub controllers: Vec<String>,
    /// What the kernel can do.
    pub kernel: Kernel,
}

impl Host {
    /// Looks; the kernel is left to [`Kernel::look`], which needs the probe.
    pub fn look() -> Self {
        let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mut host = Self { euid: nix::unistd::geteuid().as_raw(), ..Self::default() };
        for line in mountinfo.lines() {
            host.take_mount(line);
        }
        if host.cgroup_v1.keys().any(|name| !name.starts_with("name=")) {
            // The hybrid layout: v1 carries the controllers runtimes use.
            host.cgroup_v2 = None;
            host.controllers.clear();
        }
        host
    }

    /// Kernel, cgroup version and user, for a report.
    pub fn summary(&self) -> String {
        let uname = nix::sys::utsname::uname();
        let field = |field: &std::ffi::OsStr| field.to_string_lossy().into_owned();
        let kernel = uname.map_or_else(
            |_| "Unknown kernel".into(),
            |u| format!("{} {} {}", field(u.sysname()), field(u.release()), field(u.machine())),
        );
        let cgroup = match (self.is_v1(), &self.cgroup_v2) {
            (_, Some(_)) => "cgroup v2",
            (true, None) => "cgroup v1",
            (false, None) => "no cgroup hierarchy",
        };
        let user = if self.euid == 0 { "root".into() } else { format!("user {}", self.euid) };
        format!("{kernel}, {cgroup}, as {user}")
    }

    fn take_mount(&mut self, line: &str) {
        let Some((head, tail)) = line.split_once(" - ") else { return };
        let Some(target) = head.split(' ').nth(4) else { return };
        let mut tail = tail.split(' ');
        let (fstype, options) = (tail.next(), tail.nth(1).unwrap_or_default());
        match fstype {
            Some("cgroup") => {
                let general = ["rw", "ro", "relatime", "xattr", "noprefix", "clone_children"];
                for option in options.split(',').filter(|option| !general.contains(option)) {
                    self.cgroup_v1.entry(option.into()).or_insert_with(|| target.into());
                }
            }
            Some("cgroup2") => {
                self.unified = Some(target.into());
                let listed = fs::read_to_string(Path::new(target).join("cgroup.controllers"));
                let controllers: Vec<String> =
                    listed.unwrap_or_default().split_whitespace().map(str::to_owned).collect();
                if !controllers.is_empty() {
                    self.cgroup_v2 = Some(target.into());
                    self.controllers = controllers;
                }
            }
            _ => {}
        }
    }

    /// Whether cgroup v1 carries the controllers.
    pub fn is_v1(&self) -> bool {
        self.cgroup_v2.is_none() && !self.cgroup_v1.is_empty()
    }

    /// Whether a controller is available in either version.
    pub fn has_controller(&self, name: &str) -> bool {
        self.cgroup_v1.contains_key(name) || self.controllers.iter().any(|have| have == name)
    }

    /// Every cgroup hierarchy's mount point, once.
    pub fn hierarchies(&self) -> Vec<PathBuf> {
        let mut all: Vec<PathBuf> = self.cgroup_v1.values().cloned().collect();
        all.extend(self.unified.clone());
        all.sort();
        all.dedup();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn co_mounted_controllers_share_a_mount_point() {
        let mut host = Host::default();
        host.take_mount("1 2 0:3 / /c rw - cgroup cgroup rw,cpu,cpuacct");
        host.take_mount("1 2 0:3 / /s rw - cgroup cgroup rw,xattr,name=systemd");
        assert!(host.is_v1() && host.has_controller("cpuacct") && !host.has_controller("xattr"));
        assert_eq!(host.cgroup_v1["name=systemd"], Path::new("/s"));
    }
}
