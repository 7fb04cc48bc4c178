//! A container's root file system on the host, for looking and copying: mounted when the container
//! doesn't run, its own mount namespace when it does.
//!
//! What is inside is hostile: paths are resolved by openat2(2) with `RESOLVE_IN_ROOT`, trees are
//! read by a thread that has its root there.

use super::record::Container;
use super::{Engine, host_state};
use crate::error::{At, Error, Result};
use crate::image::apply;
use crate::image::pack::{Pack, pack};
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::libc;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{FileStat, Mode, fstat, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// A container's root, open.
pub struct Root {
    fd: OwnedFd,
    /// Mounts made for this look, to be taken away with it.
    mounted: Option<Mounted>,
}

/// A temporary mount; goes when dropped.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
        drop(std::fs::remove_dir(&self.0));
    }
}

impl Engine {
    /// A container's root: the running one's as it sees it, else the snapshot and its volumes
    /// mounted for the moment. The caller holds the container's lock.
    ///
    /// # Errors
    /// The mounts can't be made.
    pub(super) fn open_root(&self, container: &Container) -> Result<Root> {
        if container.state.status.is_alive() {
            let path = format!("/proc/{}/root", container.state.pid);
            let fd = open_directory(Path::new(&path)).at(|| format!("open {path}"))?;
            return Ok(Root { fd, mounted: None });
        }
        let root = self.mount_root(container)?;
        for point in container.mounts.iter().filter(|point| point.kind != "tmpfs") {
            let source = match point.kind.as_str() {
                "volume" => self.volume_source(point)?,
                _ => PathBuf::from(&point.source),
            };
            // Before the first start nothing is there to mount it on, unless the image has it.
            let destination = Path::new(&point.destination);
            let missing = root.open(&point.destination).err() == Some(Errno::ENOENT);
            if missing && source.is_dir() {
                let made = root.inside(|| {
                    std::fs::create_dir_all(destination)
                        .at(|| format!("mkdir {}", destination.display()))
                });
                made?;
            }
            let Ok(target) = root.open(&point.destination) else { continue };
            // Over the opened directory, wherever its name leads by now.
            let target = fd_path(target.as_fd());
            let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
            let _ = mount(Some(&source), &target, None::<&str>, flags, None::<&str>);
        }
        // Mounts on it are seen through a descriptor opened after them.
        match &root.mounted {
            Some(Mounted(path)) => Ok(Root { fd: open_directory(path)?, ..root }),
            None => Ok(root),
        }
    }

    /// The snapshot alone, mounted for the moment.
    ///
    /// # Errors
    /// The mount can't be made.
    pub(super) fn mount_root(&self, container: &Container) -> Result<Root> {
        let directory = self.config.exec_root.join("mnt").join(temporary_name()?);
        std::fs::create_dir_all(&directory).at(|| format!("mkdir {}", directory.display()))?;
        let mounted = Mounted(directory.clone());
        self.mount_snapshot(&container.id, &directory)?;
        Ok(Root { fd: open_directory(&directory)?, mounted: Some(mounted) })
    }

    /// Takes away the temporary mounts of processes that were killed while they looked. Called
    /// where something else is taken away; what can't be is there for the next call.
    pub(super) fn sweep_mounts(&self) {
        let directory = self.config.exec_root.join("mnt");
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            if is_abandoned(&entry.file_name().to_string_lossy(), host_state::is_alive) {
                drop(Mounted(entry.path()));
            }
        }
    }

    /// Mounts a container's snapshot.
    pub(super) fn mount_snapshot(&self, id: &str, target: &Path) -> Result<()> {
        for wanted in self.images.snapshots().mounts(id)? {
            let (mut flags, mut data) = (MsFlags::empty(), Vec::new());
            for option in &wanted.options {
                match option.as_str() {
                    "rbind" => flags |= MsFlags::MS_BIND | MsFlags::MS_REC,
                    "bind" => flags |= MsFlags::MS_BIND,
                    "ro" => flags |= MsFlags::MS_RDONLY,
                    "rw" => {}
                    other => data.push(other),
                }
            }
            mount(
                Some(wanted.source.as_str()),
                target,
                Some(wanted.kind.as_str()),
                flags,
                Some(data.join(",").as_str()),
            )
            .at(|| format!("mount {} on {}", wanted.kind, target.display()))?;
        }
        Ok(())
    }
}

impl Root {
    /// A directory as a root.
    ///
    /// # Errors
    /// It can't be opened.
    pub fn at(path: &Path) -> Result<Self> {
        Ok(Self { fd: open_directory(path)?, mounted: None })
    }

    /// Opens a path in the container; links lead where they would for its processes.
    pub fn open(&self, path: &str) -> nix::Result<OwnedFd> {
        self.open_with(path, OFlag::O_PATH)
    }

    /// Opens a path with flags; `O_NOFOLLOW` keeps a link at its end.
    pub fn open_with(&self, path: &str, flags: OFlag) -> nix::Result<OwnedFd> {
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        openat2(self.fd.as_fd(), path.trim_start_matches('/').trim_end_matches('/').or_dot(), how)
    }

    /// Whether a path is a directory, links followed.
    pub fn is_directory(&self, path: &str) -> bool {
        self.open_with(path, OFlag::O_PATH | OFlag::O_DIRECTORY).is_ok()
    }

    /// What is at a path, a link at its end not followed.
    pub fn stat(&self, path: &str) -> nix::Result<FileStat> {
        fstat(self.open_with(path, OFlag::O_PATH | OFlag::O_NOFOLLOW)?.as_fd())
    }

    /// Runs `work` on a thread whose root directory is the container's: no path leads out, and there
    /// is nothing it can do but work on files.
    ///
    /// # Errors
    /// chroot(2) fails, or the filter can't be set; those of the work.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                unshare(CloneFlags::CLONE_FS).at(|| "unshare(CLONE_FS)")?;
                nix::unistd::fchdir(self.fd.as_fd()).at(|| "enter the container's root")?;
                nix::unistd::chroot(".").at(|| "chroot to the container's root")?;
                crate::privileges::only_files()?;
                work()
            });
            thread.join().unwrap_or_else(|_| Err(Error::internal("a worker died")))
        })
    }

    /// Copies a directory's content, with all attributes, into a new directory on the host.
    ///
    /// # Errors
    /// The tree can't be read, the disk fails.
    pub fn copy_out(&self, source: &str, target: &Path) -> Result<()> {
        let from = self.open_with(source, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?;
        let stat = fstat(from.as_fd())?;
        std::fs::create_dir(target).at(|| format!("mkdir {}", target.display()))?;
        let (reader, writer) = std::io::pipe()?;
        let into = apply::Root::open(target)?;
        let options = apply::Options::layer(apply::Whiteouts::Literal);
        std::thread::scope(|scope| {
            let packed = scope.spawn(|| {
                self.inside(move || {
                    pack(Path::new(source), Path::new(""), writer, Pack::default()).map(drop)
                })
            });
            let mut reader = reader;
            let applied = apply::apply(&into, &mut reader, &options);
            drop(reader);
            packed.join().unwrap_or_else(|_| Err(Error::internal("a worker died")))?;
            applied
        })?;
        let owner = (Some(stat.st_uid.into()), Some(stat.st_gid.into()));
        nix::unistd::chown(target, owner.0, owner.1)
            .at(|| format!("chown {}", target.display()))?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(stat.st_mode & 0o7777);
        std::fs::set_permissions(target, mode).at(|| format!("chmod {}", target.display()))
    }
}

/// A directory in a volume, and nothing outside of it: openat2 with `RESOLVE_BENEATH`.
///
/// # Errors
/// It isn't there, or leads out.
pub fn subpath(volume: &Path, subpath: &str) -> Result<PathBuf> {
    let directory = open_directory(volume)?;
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let found = openat2(directory.as_fd(), subpath, how)?;
    // The place itself, not its name: the runtime binds what is there when it looks, so links
    // are resolved here.
    Ok(std::fs::read_link(fd_path(found.as_fd()))?)
}

/// `.` for an empty path.
trait OrDot {
    fn or_dot(&self) -> &str;
}

impl OrDot for str {
    fn or_dot(&self) -> &str {
        if self.is_empty() { "." } else { self }
    }
}

/// Removes the mount point of a bundle's root. A creation that went on after its shim was killed may
/// have made its own mount points in the bare directory, once the root was gone: empty files and
/// directories, which go too. Whatever else is there stays, and so does what is mounted.
///
/// # Errors
/// `ENOTEMPTY`, `EXDEV` and `EBUSY` for what stays; none where there is nothing.
pub fn remove_mount_point(bundle: &Path) -> nix::Result<()> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let removed = open(bundle, flags, Mode::empty())
        .and_then(|bundle| remove_empty(bundle.as_fd(), c"rootfs"));
    removed.or_else(|errno| if errno == Errno::ENOENT { Ok(()) } else { Err(errno) })
}

/// Removes a directory of nothing but empty files, links and such directories.
fn remove_empty(parent: BorrowedFd, name: &CStr) -> nix::Result<()> {
    match unlinkat(parent, name, UnlinkatFlags::RemoveDir) {
        Err(Errno::ENOTEMPTY) => {}
        other => return other,
    }
    let how =
        OpenHow::new().flags(OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC).resolve(
            ResolveFlag::RESOLVE_BENEATH
                | ResolveFlag::RESOLVE_NO_XDEV
                | ResolveFlag::RESOLVE_NO_SYMLINKS,
        );
    let mut dir = Dir::from_fd(openat2(parent, name, how)?)?;
    let names = dir.iter().map(|entry| Ok(entry?.file_name().to_owned()));
    let names = names.collect::<nix::Result<Vec<CString>>>()?;
    for name in names.iter().filter(|name| ![c".", c".."].contains(&name.as_c_str())) {
        let stat = fstatat(&dir, name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW)?;
        match stat.st_mode & libc::S_IFMT {
            libc::S_IFDIR => remove_empty(dir.as_fd(), name)?,
            libc::S_IFREG if stat.st_size > 0 => return Err(Errno::ENOTEMPTY),
            libc::S_IFREG | libc::S_IFLNK => {
                unlinkat(&dir, name.as_c_str(), UnlinkatFlags::NoRemoveDir)?;
            }
            _ => return Err(Errno::ENOTEMPTY),
        }
    }
    unlinkat(parent, name, UnlinkatFlags::RemoveDir)
}

/// A name for a temporary mount of this process: its pid, its start time
/// ([`host_state::start_time`]) and what makes it unique.
fn temporary_name() -> Result<String> {
    let pid = std::process::id().cast_signed();
    let start = host_state::start_time(pid).unwrap_or_default();
    Ok(format!("{pid}-{start}-{}", super::text::new_id()?))
}

/// Whether the process that made a temporary mount of this name is gone. Other names are not ours.
fn is_abandoned(name: &str, is_alive: impl Fn(i32, u64) -> bool) -> bool {
    let mut parts = name.splitn(3, '-');
    let pid = parts.next().and_then(|text| text.parse().ok());
    let start = parts.next().and_then(|text| text.parse::<u64>().ok());
    match (pid, start, parts.next()) {
        (Some(pid), Some(start), Some(_)) => !is_alive(pid, start),
        _ => false,
    }
}

/// Opens a directory of the host.
pub fn open_directory(path: &Path) -> Result<OwnedFd> {
    open(path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
        .at(|| format!("open {}", path.display()))
}

/// The path of a descriptor of this process.
pub fn fd_path(fd: BorrowedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_empty_goes_with_a_mount_point() {
        let bundle = tempfile::tempdir().unwrap();
        let rootfs = bundle.path().join("rootfs");
        assert_eq!(remove_mount_point(bundle.path()), Ok(()));
        std::fs::create_dir_all(rootfs.join("dev/pts")).unwrap();
        std::fs::create_dir_all(rootfs.join("etc")).unwrap();
        std::fs::write(rootfs.join("etc/hosts"), "").unwrap();
        std::os::unix::fs::symlink("/nowhere", rootfs.join("mtab")).unwrap();
        assert_eq!(remove_mount_point(bundle.path()), Ok(()));
        assert!(!rootfs.exists());
        std::fs::create_dir_all(rootfs.join("data")).unwrap();
        std::fs::write(rootfs.join("data/precious"), "x").unwrap();
        assert_eq!(remove_mount_point(bundle.path()), Err(Errno::ENOTEMPTY));
        assert!(rootfs.join("data/precious").exists());
        assert_eq!(remove_mount_point(&bundle.path().join("none")), Ok(()));
    }

    #[test]
    fn mounts_of_dead_processes_are_known_by_their_names() {
        let is_alive = |pid, start| (pid, start) == (7, 100);
        assert!(!is_abandoned("7-100-x", is_alive));
        assert!(is_abandoned("7-99-x", is_alive));
        assert!(is_abandoned("8-100-x", is_alive));
        for other in ["", "x", "8", "8-100", "-8-100", "8-x-y"] {
            assert!(!is_abandoned(other, is_alive), "{other}");
        }
        let mine = temporary_name().unwrap();
        assert!(!is_abandoned(&mine, host_state::is_alive));
    }

    #[test]
    fn a_subpath_stays_in_its_volume() {
        let volume = tempfile::tempdir().unwrap();
        std::fs::create_dir(volume.path().join("a")).unwrap();
        std::os::unix::fs::symlink("/etc", volume.path().join("out")).unwrap();
        assert_eq!(subpath(volume.path(), "a").unwrap(), volume.path().join("a"));
        for path in ["..", "out", "a/../..", "/etc", "nothing"] {
            assert!(subpath(volume.path(), path).is_err(), "{path}");
        }
    }

    #[test]
    fn paths_stay_in_the_root() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("etc")).unwrap();
        std::fs::write(directory.path().join("etc/passwd"), "inside").unwrap();
        std::os::unix::fs::symlink("/../../etc", directory.path().join("link")).unwrap();
        let root = Root { fd: open_directory(directory.path()).unwrap(), mounted: None };
        assert!(root.is_directory("/link"));
        assert!(root.is_directory("/"));
        let stat = root.stat("/link/../../etc/passwd").unwrap();
        assert_eq!(stat.st_size, 6);
    }
}
