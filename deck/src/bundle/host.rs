//! What a spec depends on of the host it will run on.

use crate::error::{At, Result};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Facts about the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Host {
    /// Capabilities this process can pass on: its bounding set, a bit each.
    pub capabilities: u64,
    /// Cgroup v2 is the only hierarchy.
    pub unified: bool,
    /// The machine in Go's words: `amd64`.
    pub machine: String,
    /// The kernel's release: major and minor.
    pub kernel: (u32, u32),
    /// The group of terminals, 5, has no id in this process' user namespace.
    pub no_tty_group: bool,
    /// Device nodes of the host's /dev, for privileged containers.
    pub devices: Vec<HostDevice>,
}

/// A device node of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostDevice {
    /// Its path.
    pub path: PathBuf,
    /// `c`, `b`.
    pub kind: char,
    /// Major number.
    pub major: u64,
    /// Minor number.
    pub minor: u64,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// The group that terminals belong to (devpts, Filesystem Hierarchy Standard's `tty`).
const TTY_GROUP: u64 = 5;

/// Below /dev, what is no device of the host: mounts each container has for itself.
const OWN: &[&str] = &[
    "/dev/pts",
    "/dev/shm",
    "/dev/fd",
    "/dev/mqueue",
    "/dev/.lxc",
    "/dev/.lxd-mounts",
    "/dev/.udev",
];

impl Host {
    /// Looks at this host.
    ///
    /// # Errors
    /// /proc or /dev can't be read.
    pub fn read() -> Result<Self> {
        let status = fs::read_to_string("/proc/self/status").at(|| "read /proc/self/status")?;
        let bounding = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
        let release = fs::read_to_string("/proc/sys/kernel/osrelease")
            .at(|| "read /proc/sys/kernel/osrelease")?;
        let mut host = Self {
            capabilities: bounding
                .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
                .unwrap_or(0),
            unified: Path::new("/sys/fs/cgroup/cgroup.controllers").exists(),
            machine: crate::image::Platform::host().architecture,
            kernel: release_of(&release),
            no_tty_group: fs::read_to_string("/proc/self/gid_map")
                .is_ok_and(|map| !has_id(&map, TTY_GROUP)),
            devices: Vec::new(),
        };
        find_devices(Path::new("/dev"), 0, &mut host.devices)?;
        host.devices.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(host)
    }

    /// The device node at a path.
    ///
    /// # Errors
    /// There is none.
    pub fn device(path: &Path) -> Result<Option<HostDevice>> {
        let meta = fs::metadata(path).at(|| format!("device {}", path.display()))?;
        Ok(describe(path, &meta))
    }

    /// The device nodes in a directory, or the one node.
    ///
    /// # Errors
    /// The path is not there, or neither.
    pub fn devices_at(path: &Path) -> Result<Vec<HostDevice>> {
        if path.is_dir() {
            let mut found = Vec::new();
            find_devices(path, 0, &mut found)?;
            return Ok(found);
        }
        Ok(Self::device(path)?.into_iter().collect())
    }
}

/// Whether an id inside of a user namespace is in its map (user_namespaces(7)).
fn has_id(map: &str, id: u64) -> bool {
    map.lines().any(|line| {
        let mut numbers = line.split_ascii_whitespace().map(str::parse::<u64>);
        match (numbers.next(), numbers.nth(1)) {
            (Some(Ok(first)), Some(Ok(count))) => (first..first + count).contains(&id),
            _ => false,
        }
    })
}

fn release_of(text: &str) -> (u32, u32) {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().ok());
    let mut next = || numbers.next().flatten().unwrap_or(0);
    (next(), next())
}

fn find_devices(dir: &Path, depth: u8, found: &mut Vec<HostDevice>) -> Result<()> {
    if depth > 8 {
        return Ok(());
    }
    for entry in fs::read_dir(dir).at(|| format!("read {}", dir.display()))? {
        let path = entry?.path();
        if OWN.iter().any(|own| path == Path::new(own)) || path == Path::new("/dev/console") {
            continue;
        }
        // Gone meanwhile: hot-plugged.
        let Ok(meta) = path.symlink_metadata() else { continue };
        if meta.is_dir() {
            find_devices(&path, depth + 1, found)?;
        } else {
            found.extend(describe(&path, &meta));
        }
    }
    Ok(())
}

fn describe(path: &Path, meta: &fs::Metadata) -> Option<HostDevice> {
    let kind = match meta.file_type() {
        kind if kind.is_char_device() => 'c',
        kind if kind.is_block_device() => 'b',
        _ => return None,
    };
    Some(HostDevice {
        path: path.to_owned(),
        kind,
        major: nix::sys::stat::major(meta.rdev()),
        minor: nix::sys::stat::minor(meta.rdev()),
        mode: meta.mode() & 0o777,
        uid: meta.uid(),
        gid: meta.gid(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_looked_up_in_maps() {
        assert!(has_id("         0          0 4294967295\n", 5));
        assert!(has_id("0 1000 1\n1 100000 65536\n", 5));
        assert!(!has_id("         0       1000          1\n", 5));
        assert!(!has_id("", 0));
    }

    #[test]
    fn releases_of_vendors_are_read() {
        assert_eq!(release_of("6.18.5-cloud\n"), (6, 18));
        assert_eq!(release_of("5.10"), (5, 10));
        assert_eq!(release_of(""), (0, 0));
    }
}
