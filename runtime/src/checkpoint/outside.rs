//! What of a container comes from the outside, so that CRIU does not look for it in the container
//! when it dumps, and is told where it is when it restores.
//!
//! A mount from the outside is dumped under a name and restored from the source that belongs to
//! the name. The names are the destinations of the configuration; for masked files, `/dev/null`.

use crate::container::State;
use crate::error::{At, Error, Kind, Result};
use crate::init::stdio::Statuses;
use crate::init::target;
use crate::plan::cgroup_mount::CgroupMount;
use crate::plan::mounts::{Context, MountKind, MountOp};
use crate::plan::namespaces::{NamespacePlan, NamespaceType};
use crate::plan::{Plan, devices, mounts};
use crate::spec::{Linux, Spec};
use crate::sys::fd::open_path;
use nix::errno::Errno;
use nix::fcntl::{OFlag, readlink};
use nix::libc;
use nix::sys::stat::{SFlag, fstat, stat};
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt};
use std::path::{Path, PathBuf};

/// A mount for CRIU: mount point and name, or name and source.
pub type External = (Vec<u8>, Vec<u8>);

const NULL: &[u8] = b"/dev/null";

/// A mount point of a process.
struct Mounted {
    point: PathBuf,
    fstype: String,
}

fn table(pid: i32) -> Result<Vec<Mounted>> {
    let table = procfs::process::Process::new(pid).and_then(|process| process.mountinfo());
    let table = table.map_err(|error| {
        Error::new(Kind::Unsupported, format!("reading /proc/{pid}/mountinfo: {error}"))
    })?;
    let mounted = table.0.into_iter();
    Ok(mounted.map(|it| Mounted { point: it.mount_point, fstype: it.fs_type }).collect())
}

/// The mounts of a running container that come from the outside, by mount point.
///
/// # Errors
/// Reading /proc/PID.
pub fn dumped(spec: &Spec, state: &State, slot: &Path) -> Result<Vec<External>> {
    let pid = state.init_process_pid;
    let root = Path::new("/proc").join(pid.to_string()).join("root");
    let root = open_path(&root, OFlag::O_PATH | OFlag::O_DIRECTORY)
        .at(|| format!("open({})", root.display()))?;
    let table = table(pid)?;
    let own = Linux::default();
    let linux = spec.linux.as_ref().unwrap_or(&own);
    let context = Context {
        bundle: &state.bundle,
        root: &state.rootfs,
        mount_label: &linux.mount_label,
        has_user_namespace: false,
    };
    // It was checked when the container was made.
    let ops = mounts::plan(&spec.mounts, &context, &mut Vec::new());
    let own_cgroups = linux.namespaces.iter().any(|namespace| namespace.typ == "cgroup");
    let mut found = Vec::new();
    for op in &ops {
        match &op.kind {
            MountKind::Bind { recursive, .. } => {
                bound(root.as_fd(), op, *recursive, &table, &mut found)?;
            }
            MountKind::Cgroup { .. } if !own_cgroups => {
                hierarchies(root.as_fd(), op, &table, &mut found)?;
            }
            _ => {}
        }
    }
    for path in &linux.masked_paths {
        masked(root.as_fd(), path, &mut found)?;
    }
    for op in devices::plan(&linux.devices, &mut Vec::new()) {
        let path = Path::new(op.path.to_str().unwrap_or_default());
        if table.iter().any(|mounted| mounted.point == path) {
            found.push((op.path.to_bytes().to_vec(), op.path.to_bytes().to_vec()));
        }
    }
    if slot.join("notify").exists() {
        let name = crate::notify_socket::CONTAINER_DIRECTORY.as_bytes().to_vec();
        found.push((name.clone(), name));
    }
    Ok(found)
}

/// Where `path` of the container really is: links followed, inside its root.
fn resolved(root: BorrowedFd<'_>, path: &CStr) -> Result<Option<(PathBuf, OwnedFd)>> {
    let fd = match target::open(root, path) {
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES) => return Ok(None),
        other => other.at(|| format!("open({path:?}) in the container"))?,
    };
    let name = readlink(Path::new(&format!("/proc/self/fd/{}", fd.as_raw_fd())))
        .at(|| "readlink(/proc/self/fd)")?;
    Ok(Some((PathBuf::from(name), fd)))
}

/// A bind mount, with those it has brought along.
fn bound(
    root: BorrowedFd<'_>,
    op: &MountOp,
    recursive: bool,
    table: &[Mounted],
    found: &mut Vec<External>,
) -> Result<()> {
    let Some((point, _)) = resolved(root, &op.destination)? else { return Ok(()) };
    let name = op.destination.to_bytes();
    if recursive {
        for mounted in table {
            let Ok(rest) = mounted.point.strip_prefix(&point) else { continue };
            if rest.as_os_str().is_empty() {
                continue;
            }
            let below = [name, b"/", rest.as_os_str().as_encoded_bytes()].concat();
            found.push((bytes(&mounted.point), below));
        }
    }
    found.push((bytes(&point), name.to_vec()));
    Ok(())
}

/// cgroup v1 without a namespace: binds of the hierarchies on a tmpfs.
fn hierarchies(
    root: BorrowedFd<'_>,
    op: &MountOp,
    table: &[Mounted],
    found: &mut Vec<External>,
) -> Result<()> {
    let Some((top, _)) = resolved(root, &op.destination)? else { return Ok(()) };
    for mounted in table.iter().filter(|it| it.fstype.starts_with("cgroup")) {
        if mounted.point.parent() == Some(&top) {
            found.push((bytes(&mounted.point), bytes(&mounted.point)));
        }
    }
    Ok(())
}

fn masked(root: BorrowedFd<'_>, path: &str, found: &mut Vec<External>) -> Result<()> {
    let Ok(path) = std::ffi::CString::new(mounts::clean(path)) else { return Ok(()) };
    let Some((point, fd)) = resolved(root, &path)? else { return Ok(()) };
    let status = fstat(&fd).at(|| "fstat(masked path)")?;
    if target::file_type(&status) == SFlag::S_IFCHR && status.st_rdev == libc::makedev(1, 3) {
        found.push((bytes(&point), NULL.to_vec()));
    }
    Ok(())
}

fn bytes(path: &Path) -> Vec<u8> {
    path.as_os_str().as_encoded_bytes().to_vec()
}

/// The same mounts for a restore, by name.
///
/// # Errors
/// Reading /proc/self/mountinfo.
pub fn sources(plan: &Plan<'_>) -> Result<Vec<External>> {
    let mut table_of_host = None;
    let mut found: Vec<External> = Vec::new();
    for op in &plan.mounts {
        let name = op.destination.to_bytes();
        match &op.kind {
            MountKind::Bind { source, recursive, .. } => {
                found.push((name.to_vec(), followed(source)));
                if *recursive {
                    let table = match &mut table_of_host {
                        Some(table) => table,
                        none => none.insert(table(nix::unistd::getpid().as_raw())?),
                    };
                    brought(name, source, table, &mut found);
                }
            }
            MountKind::Cgroup { .. } => {
                if let CgroupMount::Hierarchies { binds, .. } = &plan.cgroup_mount {
                    for hierarchy in binds.iter().filter(|hierarchy| hierarchy.data.is_none()) {
                        let name = [name, b"/", hierarchy.name.to_bytes()].concat();
                        found.push((name, hierarchy.source.to_bytes().to_vec()));
                    }
                }
            }
            _ => {}
        }
    }
    found.push((NULL.to_vec(), NULL.to_vec()));
    for device in plan.devices.iter().flatten().filter(|_| plan.bind_devices) {
        found.push((device.path.to_bytes().to_vec(), device.path.to_bytes().to_vec()));
    }
    Ok(found)
}

/// The source without links, which CRIU does not follow. One that does not exist is left to CRIU
/// to complain of.
fn followed(source: &CStr) -> Vec<u8> {
    let path = Path::new(std::ffi::OsStr::from_bytes(source.to_bytes()));
    std::fs::canonicalize(path).map_or_else(|_| source.to_bytes().to_vec(), |path| bytes(&path))
}

/// The mounts of the host below `source`.
fn brought(name: &[u8], source: &CStr, table: &[Mounted], found: &mut Vec<External>) {
    let Ok(source) = std::fs::canonicalize(source.to_string_lossy().as_ref()) else { return };
    for mounted in table {
        let Ok(rest) = mounted.point.strip_prefix(&source) else { continue };
        if !rest.as_os_str().is_empty() {
            let below = [name, b"/", rest.as_os_str().as_encoded_bytes()].concat();
            found.push((below, bytes(&mounted.point)));
        }
    }
}

/// Network and pid namespaces that were joined: CRIU leaves them alone when it dumps.
///
/// # Errors
/// The namespace is gone.
pub fn dumped_namespaces(namespaces: &NamespacePlan) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for join in namespaces.join.iter().filter(|join| is_left_alone(join.kind)) {
        let status = stat(join.path.as_c_str()).at(|| format!("stat({:?})", join.path))?;
        let (kind, key) = (join.kind.proc_name(), namespace_key(join.kind));
        found.push(format!("{kind}[{}]:{key}", status.st_ino));
    }
    Ok(found)
}

/// The namespaces of a restore.
#[derive(Default)]
pub struct Namespaces {
    /// Those that CRIU left alone, by key.
    pub inherited: Vec<(String, OwnedFd)>,
    /// The others to join, with their paths.
    pub joined: Vec<(String, String)>,
}

/// Opens and lists the namespaces to join.
///
/// # Errors
/// One that does not exist; a cgroup namespace, which CRIU can't join.
pub fn namespaces(plan: &NamespacePlan) -> Result<Namespaces> {
    let mut found = Namespaces::default();
    for join in &plan.join {
        let path = join.path.to_string_lossy().into_owned();
        if is_left_alone(join.kind) {
            let fd = open_path(Path::new(&path), OFlag::O_RDONLY)
                .at(|| format!("{} namespace path {path:?}", join.kind))?;
            found.inherited.push((namespace_key(join.kind), fd));
        } else if join.kind == NamespaceType::Cgroup {
            return Err(Error::unsupported(
                "a container that joins a cgroup namespace can't be restored: criu has no way to \
                 join one",
            ));
        } else {
            found.joined.push((join.kind.proc_name().to_owned(), path));
        }
    }
    Ok(found)
}

fn is_left_alone(kind: NamespaceType) -> bool {
    matches!(kind, NamespaceType::Network | NamespaceType::Pid)
}

/// The name of an external namespace in the images, as runc chooses it.
fn namespace_key(kind: NamespaceType) -> String {
    let name = if kind == NamespaceType::Pid { "Pid" } else { "Net" };
    format!("extRoot{name}NS")
}

/// What standard input, output and error of a new container are: `pipe:[INODE]` for pipes, which
/// CRIU takes for the container's own unless it is told.
pub fn pipes(streams: &Statuses) -> [String; 3] {
    streams.each_ref().map(|status| match target::file_type(status) {
        SFlag::S_IFIFO => format!("pipe:[{}]", status.st_ino),
        _ => String::new(),
    })
}

/// The content of a link in /proc/PID/ns.
pub fn namespace_of(pid: i32, kind: NamespaceType) -> Option<Vec<u8>> {
    let path = format!("/proc/{pid}/ns/{}", kind.proc_name());
    readlink(Path::new(&path)).ok().map(OsStringExt::into_vec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::namespaces::Join;

    #[test]
    fn mounts_below_a_recursive_bind_come_along() {
        let mounted = |point: &str| Mounted { point: point.into(), fstype: "tmpfs".into() };
        let dir = tempfile::tempdir().unwrap();
        let source = std::fs::canonicalize(dir.path()).unwrap();
        let point = |rest: &str| format!("{}{rest}", source.display());
        let table =
            [mounted("/"), mounted(&point("")), mounted(&point("/a/b")), mounted(&point("x"))];
        let mut found = Vec::new();
        let text = std::ffi::CString::new(point("")).unwrap();
        brought(b"/data", &text, &table, &mut found);
        assert_eq!(found, [(b"/data/a/b".to_vec(), point("/a/b").into_bytes())]);
    }

    #[test]
    fn links_to_a_source_are_followed() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/usr", &link).unwrap();
        let text = |path: &Path| std::ffi::CString::new(bytes(path)).unwrap();
        assert_eq!(followed(&text(&link)), b"/usr");
        assert_eq!(followed(c"/no/such"), b"/no/such");
    }

    #[test]
    fn joined_namespaces_are_left_alone_or_joined_again() {
        let join = |kind: NamespaceType| Join {
            kind,
            path: std::ffi::CString::new(format!("/proc/self/ns/{}", kind.proc_name())).unwrap(),
        };
        let list = vec![join(NamespaceType::Network), join(NamespaceType::Ipc)];
        let plan = NamespacePlan { join: list, ..NamespacePlan::default() };
        let dumped = dumped_namespaces(&plan).unwrap();
        assert_eq!(dumped.len(), 1);
        assert!(dumped[0].starts_with("net[") && dumped[0].ends_with("]:extRootNetNS"));
        let found = namespaces(&plan).unwrap();
        assert_eq!(found.joined, [("ipc".to_owned(), "/proc/self/ns/ipc".to_owned())]);
        assert_eq!(found.inherited[0].0, "extRootNetNS");
        let list = vec![join(NamespaceType::Cgroup)];
        assert!(namespaces(&NamespacePlan { join: list, ..NamespacePlan::default() }).is_err());
    }

    #[test]
    fn only_pipes_are_from_the_outside() {
        let (reader, writer) = std::io::pipe().unwrap();
        let null: OwnedFd = std::fs::File::open("/dev/null").unwrap().into();
        let names = pipes(
            &crate::init::stdio::statuses(Some(&[reader.into(), writer.into(), null])).unwrap(),
        );
        assert!(names[0].starts_with("pipe:[") && names[0] == names[1], "{names:?}");
        assert_eq!(names[2], "");
    }
}
