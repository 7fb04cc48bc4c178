//! Where the hierarchies are mounted, and where in them a process is.

use super::Cgroup;
use crate::error::{At, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// One mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hierarchy {
    /// v1 controllers (`name=…` included); empty for v2.
    controllers: Vec<String>,
    /// The directory of the hierarchy that is mounted, "/" outside of containers.
    root: String,
    at: PathBuf,
}

/// All mounted hierarchies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout(Vec<Hierarchy>);

impl Layout {
    /// Reads this process's mounts.
    ///
    /// # Errors
    /// /proc/self/mountinfo can't be read.
    pub fn read() -> Result<Self> {
        let path = "/proc/self/mountinfo";
        fs::read_to_string(path).at(|| format!("read {path}")).map(|text| Self::parse(&text))
    }

    /// Reads the text of a mountinfo file (proc_pid_mountinfo(5)).
    pub fn parse(mountinfo: &str) -> Self {
        let mut list: Vec<Hierarchy> = Vec::new();
        for line in mountinfo.lines() {
            let Some((before, after)) = line.split_once(" - ") else { continue };
            let before: Vec<&str> = before.split(' ').collect();
            let after: Vec<&str> = after.split(' ').collect();
            let (Some(root), Some(at), Some(kind), Some(options)) =
                (before.get(3), before.get(4), after.first(), after.get(2))
            else {
                continue;
            };
            let controllers = match *kind {
                "cgroup2" => Vec::new(),
                "cgroup" => options
                    .split(',')
                    .filter(|option| !matches!(*option, "rw" | "ro" | "xattr" | "clone_children"))
                    .map(str::to_owned)
                    .collect(),
                _ => continue,
            };
            let found = Hierarchy { controllers, root: (*root).to_owned(), at: at.into() };
            // A hierarchy may be mounted again elsewhere, in a container's rootfs say.
            if !list.iter().any(|known| known.controllers == found.controllers) {
                list.push(found);
            }
        }
        Self(list)
    }

    /// The mount points.
    pub fn roots(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(|hierarchy| hierarchy.at.as_path())
    }

    /// The groups a text of `/proc/PID/cgroup` tells of (cgroups(7)).
    pub fn locate(&self, text: &str) -> Option<Cgroup> {
        let mut v1 = Vec::new();
        let mut v2 = None;
        for line in text.lines() {
            let mut parts = line.splitn(3, ':').skip(1);
            let (Some(names), Some(path)) = (parts.next(), parts.next()) else { continue };
            if path == "/" || path.starts_with("/..") {
                continue;
            }
            let Some(dir) = self.directory(names, path) else { continue };
            if names.is_empty() {
                v2 = Some(dir);
            } else {
                v1.extend(names.split(',').map(|name| (name.to_owned(), dir.clone())));
            }
        }
        // On a hybrid layout the controllers are v1's. A named hierarchy counts for no figures,
        // and lists processes only where nothing better does.
        v1.sort_by_key(|(name, _)| name.starts_with("name="));
        let only_names = v1.iter().all(|(name, _)| name.starts_with("name="));
        match v2 {
            Some(dir) if only_names => Some(Cgroup::V2(dir)),
            _ if v1.is_empty() => None,
            _ => Some(Cgroup::V1(v1)),
        }
    }

    fn directory(&self, names: &str, path: &str) -> Option<PathBuf> {
        let wanted: Vec<&str> = names.split(',').filter(|name| !name.is_empty()).collect();
        let hierarchy = self.0.iter().find(|hierarchy| {
            hierarchy.controllers.is_empty() == wanted.is_empty()
                && wanted.iter().all(|name| hierarchy.controllers.iter().any(|own| own == name))
        })?;
        let below = path.strip_prefix(hierarchy.root.trim_end_matches('/'))?;
        Some(hierarchy.at.join(below.trim_start_matches('/')))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
30 25 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755
31 30 0:27 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw,nsdelegate
32 30 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
33 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
34 30 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
90 50 0:30 /c /var/rootfs/sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
";

    #[test]
    fn a_hybrid_layout_gives_v1_directories() {
        let text = "3:cpu,cpuacct:/c\n2:memory:/c/deep\n1:name=systemd:/c\n0::/c\n";
        let Some(Cgroup::V1(list)) = Layout::parse(HYBRID).locate(text) else { panic!("not v1") };
        let dir = |name: &str| list.iter().find(|(known, _)| known == name).unwrap().1.clone();
        assert_eq!(dir("cpuacct"), Path::new("/sys/fs/cgroup/cpu,cpuacct/c"));
        assert_eq!(dir("memory"), Path::new("/sys/fs/cgroup/memory/c/deep"));
        assert_eq!(list.last().unwrap().0, "name=systemd");
    }

    #[test]
    fn v2_gives_one_directory() {
        let layout = Layout::parse("31 30 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n");
        let found = layout.locate("0::/pod/c.scope\n");
        assert_eq!(found, Some(Cgroup::V2("/sys/fs/cgroup/pod/c.scope".into())));
    }

    #[test]
    fn a_mounted_part_of_a_hierarchy_is_the_root_of_paths() {
        let layout = Layout::parse("31 30 0:27 /outer /sys/fs/cgroup rw - cgroup2 cgroup rw\n");
        let found = layout.locate("0::/outer/c\n");
        assert_eq!(found, Some(Cgroup::V2("/sys/fs/cgroup/c".into())));
    }

    #[test]
    fn the_machines_own_group_is_not_a_containers() {
        let layout = Layout::parse(HYBRID);
        assert_eq!(layout.locate("2:memory:/\n1:name=systemd:/\n0::/\n"), None);
        assert_eq!(layout.locate("2:memory:/../x\n"), None);
    }
}
