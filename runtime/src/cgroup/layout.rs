//! How this host's control groups are arranged: cgroup v2, or v1 hierarchies (with or without the
//! unified one beside them).

use super::file::read_open;
use crate::error::{At, Error, Result};
use crate::sys::dir;
use crate::sys::fd::open_path;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, FsType, statfs};
use std::ffi::CString;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// Where control groups are mounted on every host that follows the file hierarchy of systemd.
pub(super) const ROOT: &str = "/sys/fs/cgroup";
/// Where the unified hierarchy is on hybrid hosts.
pub(super) const HYBRID: &str = "/sys/fs/cgroup/unified";

/// The controllers of cgroup v2 (cgroups(7)).
const V2: [&str; 8] = ["cpu", "cpuset", "hugetlb", "io", "memory", "misc", "pids", "rdma"];

/// The v1 controllers a container is put under; other named hierarchies belong to somebody else.
const KNOWN_V1: [&str; 15] = [
    "cpuset",
    "devices",
    "memory",
    "cpu",
    "cpuacct",
    "pids",
    "blkio",
    "hugetlb",
    "net_cls",
    "net_prio",
    "perf_event",
    "freezer",
    "rdma",
    "misc",
    "name=systemd",
];

/// The arrangement of the host's control groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// cgroup v2 alone.
    V2(Unified),
    /// cgroup v1, pure or hybrid.
    V1 {
        /// The mounted hierarchies that have a known controller, in the order of
        /// /proc/self/cgroup.
        hierarchies: Vec<Hierarchy>,
        /// The unified hierarchy of a hybrid host: its mount point.
        unified: Option<PathBuf>,
    },
}

/// The cgroup v2 hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unified {
    /// Mount point.
    pub root: PathBuf,
    /// Controllers available at the mount point.
    pub controllers: Vec<String>,
    /// This process' own cgroup below the mount point; absent when it was not asked for.
    pub own_path: Option<String>,
}

/// One cgroup v1 hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// Its controllers; `name=systemd` for the named one.
    pub controllers: Vec<String>,
    /// Mount point.
    pub mount: PathBuf,
    /// This process' own cgroup below the mount point.
    pub own_path: String,
}

impl Layout {
    /// A cgroup v2 host with these controllers.
    pub fn v2(root: impl Into<PathBuf>, controllers: &[&str], own_path: Option<&str>) -> Self {
        Self::V2(Unified {
            root: root.into(),
            controllers: controllers.iter().map(|&name| name.to_owned()).collect(),
            own_path: own_path.map(str::to_owned),
        })
    }

    /// A cgroup v1 host with one hierarchy for each entry of `hierarchies`, which are controllers
    /// joined by commas, each mounted below `root` by that name.
    pub fn v1(root: impl AsRef<Path>, hierarchies: &[&str], hybrid: bool) -> Self {
        let root = root.as_ref();
        let hierarchy = |list: &&str| Hierarchy {
            controllers: list.split(',').map(str::to_owned).collect(),
            mount: root.join(list.trim_start_matches("name=")),
            own_path: "/".to_owned(),
        };
        Self::V1 {
            hierarchies: hierarchies.iter().map(hierarchy).collect(),
            unified: hybrid.then(|| root.join("unified")),
        }
    }

    /// Looks at this host. `own_path` says whether this process' own cgroups matter, which they do
    /// for a cgroupsPath that is not absolute; otherwise they are not looked for.
    ///
    /// On cgroup v2 this is one statfs(2) and one file read, on v1 a file and a directory read; the
    /// mount table is read only if a hierarchy is not at its usual place. What is at its usual
    /// place is a mount: nothing else is made in that directory.
    pub fn detect(own_path: bool) -> Result<Self> {
        let root = Path::new(ROOT);
        if filesystem(root)? == Some(CGROUP2_SUPER_MAGIC) {
            return detect_v2(root, own_path);
        }
        let own = read_proc("/proc/self/cgroup")?;
        let present = entries(root)?;
        let mut mounts = Mounts::Unread;
        let mut hierarchies = Vec::new();
        let mut unified = None;
        for (controllers, path) in membership(&own) {
            if controllers.is_empty() {
                // The unified hierarchy: always at this name on hybrid hosts.
                let mount = PathBuf::from(HYBRID);
                unified = (filesystem(&mount)? == Some(CGROUP2_SUPER_MAGIC)).then_some(mount);
                continue;
            }
            let known: Vec<String> = controllers
                .split(',')
                .filter(|name| KNOWN_V1.contains(name))
                .map(str::to_owned)
                .collect();
            if known.is_empty() {
                continue;
            }
            if let Some((mount, own_path)) =
                locate(root, &present, controllers, path, own_path, &mut mounts)?
            {
                hierarchies.push(Hierarchy { controllers: known, mount, own_path });
            }
        }
        if hierarchies.is_empty() {
            return Err(Error::unsupported(format!(
                "no cgroup mount found: systemd makes one at {ROOT}, without it mount cgroup2 there"
            )));
        }
        Ok(Self::V1 { hierarchies, unified })
    }

    /// What most hosts have: cgroup v2, with every controller.
    pub fn usual() -> Self {
        Self::V2(Unified {
            root: ROOT.into(),
            controllers: V2.map(str::to_owned).into(),
            own_path: Some("/".to_owned()),
        })
    }
}

/// cgroup v2 mounted at `root`.
fn detect_v2(root: &Path, own_path: bool) -> Result<Layout> {
    let file = root.join("cgroup.controllers");
    let controllers = std::fs::read_to_string(&file).at(|| format!("read {file:?}"))?;
    let own_path = if own_path {
        let own = read_proc("/proc/self/cgroup")?;
        let unified = membership(&own).find(|(controllers, _)| controllers.is_empty());
        Some(unified.map_or("/", |(_, path)| path).to_owned())
    } else {
        None
    };
    Ok(Layout::V2(Unified {
        root: root.to_owned(),
        controllers: controllers.split_ascii_whitespace().map(str::to_owned).collect(),
        own_path,
    }))
}

/// The mount point of the hierarchy of `controllers` and this process' own cgroup below it.
fn locate(
    root: &Path,
    present: &[CString],
    controllers: &str,
    own: &str,
    own_matters: bool,
    mounts: &mut Mounts,
) -> Result<Option<(PathBuf, String)>> {
    let below = |mount: &Path| mount.join(own.trim_start_matches('/'));
    // Controllers mounted together have one directory named after all of them, and a link each.
    let name = controllers.trim_start_matches("name=");
    let first = name.split(',').next().unwrap_or(name);
    for name in [name, first] {
        let mount = root.join(name);
        // The own cgroup has to be visible as well. In a container without a cgroup namespace it
        // isn't: the path is the host's.
        let visible =
            !own_matters || own == "/" || filesystem(&below(&mount))? == Some(CGROUP_SUPER_MAGIC);
        if visible && present.iter().any(|entry| entry.to_bytes() == name.as_bytes()) {
            return Ok(Some((mount, own.to_owned())));
        }
        if name == first {
            break;
        }
    }
    let mount = mounts.read()?.iter().find(|mount| mount.has(controllers));
    Ok(mount.map(|mount| (mount.point.clone(), visible(own, &mount.root))))
}

/// `own`, a path from the root of the hierarchy, below a mount of the cgroup `root` of it.
fn visible(own: &str, root: &str) -> String {
    let below = Path::new(own).strip_prefix(root).unwrap_or(Path::new(""));
    format!("/{}", below.display())
}

/// The host's cgroup v1 mounts, read when first needed.
enum Mounts {
    Unread,
    Read(Vec<Mount>),
}

/// One cgroup v1 mount.
struct Mount {
    point: PathBuf,
    root: String,
    options: Vec<String>,
}

impl Mount {
    /// Whether this is the hierarchy of the comma-separated `controllers`.
    fn has(&self, controllers: &str) -> bool {
        controllers.split(',').all(|name| self.options.iter().any(|option| option == name))
    }
}

impl Mounts {
    fn read(&mut self) -> Result<&[Mount]> {
        if let Self::Unread = self {
            let table = procfs::process::Process::myself()
                .and_then(|process| process.mountinfo())
                .map_err(|error| Error::unsupported(error.to_string()))
                .at(|| "read /proc/self/mountinfo")?;
            let mounts = table.into_iter().filter(|mount| mount.fs_type == "cgroup");
            *self = Self::Read(
                mounts
                    .map(|mount| Mount {
                        point: mount.mount_point,
                        root: mount.root,
                        options: options(mount.super_options),
                    })
                    .collect(),
            );
        }
        match self {
            Self::Unread => Ok(&[]),
            Self::Read(mounts) => Ok(mounts),
        }
    }
}

/// Mount options as they were written.
fn options(parsed: std::collections::HashMap<String, Option<String>>) -> Vec<String> {
    parsed
        .into_iter()
        .map(|(name, value)| match value {
            Some(value) => format!("{name}={value}"),
            None => name,
        })
        .collect()
}

/// The lines of /proc/PID/cgroup (cgroups(7)) as controllers and path.
pub(super) fn membership(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        rest.split_once(':')
    })
}

/// The cgroups of a process, controllers and path of each hierarchy.
///
/// # Errors
/// Reading /proc/PID/cgroup.
pub fn memberships(pid: i32) -> Result<Vec<(String, String)>> {
    let text = read_proc(&format!("/proc/{pid}/cgroup"))?;
    Ok(membership(&text).map(|(list, path)| (list.to_owned(), path.to_owned())).collect())
}

/// The names in the directory `path`.
fn entries(path: &Path) -> Result<Vec<CString>> {
    open_path(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY)
        .and_then(|directory| dir::names(directory.as_fd()))
        .at(|| format!("read {path:?}"))
}

/// The type of the filesystem `path` is on; nothing if there is no such path.
fn filesystem(path: &Path) -> Result<Option<FsType>> {
    match statfs(path) {
        Ok(stat) => Ok(Some(stat.filesystem_type())),
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES) => Ok(None),
        // A hierarchy that is there must not be taken for one that is not.
        Err(errno) => Err(errno).at(|| format!("statfs {path:?}")),
    }
}

/// A file of /proc.
pub(super) fn read_proc(path: &str) -> Result<String> {
    open_path(Path::new(path), OFlag::O_RDONLY)
        .map_err(Into::into)
        .and_then(|file| read_open(&mut file.into()))
        .at(|| format!("read {path:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn membership_splits_at_the_first_two_colons() {
        let text = "9:name=systemd:/\n4:cpu,cpuacct:/a:b\n0::/user.slice\n";
        let lines: Vec<_> = membership(text).collect();
        assert_eq!(lines, [("name=systemd", "/"), ("cpu,cpuacct", "/a:b"), ("", "/user.slice")]);
    }

    #[test]
    fn own_cgroup_in_a_container_without_a_namespace() {
        let table = [
            ("/docker/x", "/docker/x", "/"),
            ("/docker/x/sub", "/docker/x", "/sub"),
            ("/docker/xy", "/docker/x", "/"),
            ("/a", "/", "/a"),
            ("/", "/", "/"),
        ];
        for (own, root, expected) in table {
            assert_eq!(visible(own, root), expected, "{own} below {root}");
        }
    }

    #[test]
    fn a_mount_is_found_by_all_its_controllers() {
        let mount = |options: &[&str]| Mount {
            point: PathBuf::from("/m"),
            root: "/".to_owned(),
            options: options.iter().map(|&option| option.to_owned()).collect(),
        };
        assert!(mount(&["rw", "cpu", "cpuacct"]).has("cpu,cpuacct"));
        assert!(mount(&["rw", "name=systemd"]).has("name=systemd"));
        assert!(!mount(&["rw", "cpuset"]).has("cpu"));
    }

    #[test]
    fn fixtures() {
        let Layout::V1 { hierarchies, unified } =
            Layout::v1("/c", &["cpu,cpuacct", "name=systemd"], true)
        else {
            unreachable!()
        };
        assert_eq!(hierarchies[0].mount, Path::new("/c/cpu,cpuacct"));
        assert_eq!(hierarchies[1].mount, Path::new("/c/systemd"));
        assert_eq!(unified.as_deref(), Some(Path::new("/c/unified")));
    }

    #[test]
    fn this_host_has_control_groups_where_it_says() {
        let Ok(layout) = Layout::detect(true) else {
            eprintln!("skipped: no cgroups on this host");
            return;
        };
        match layout {
            Layout::V2(unified) => assert!(unified.root.join("cgroup.controllers").exists()),
            Layout::V1 { hierarchies, .. } => {
                for hierarchy in hierarchies {
                    let own = hierarchy.own_path.trim_start_matches('/');
                    assert!(hierarchy.mount.join(own).join("tasks").exists(), "{hierarchy:?}");
                }
            }
        }
    }
}
