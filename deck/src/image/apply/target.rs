//! One directory that paths are resolved in, and nowhere else.

use super::path;
use crate::error::{At, Error, Result};
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{FileStat, Mode, SFlag, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Deepest tree removed: deeper ones can't come of paths of 4096 bytes.
const MAX_DEPTH: usize = 2048;

/// A root directory.
#[derive(Debug)]
pub struct Root {
    dir: OwnedFd,
    shown: PathBuf,
}

impl Root {
    /// Opens a directory of the host, not hostile itself.
    pub fn open(path: &Path) -> Result<Self> {
        let dir = File::open(path).at(|| format!("open {}", path.display()))?.into();
        Ok(Self { dir, shown: path.to_owned() })
    }

    /// The directory.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Opens a path below; links are followed as in a chroot, but not the last component's.
    pub fn open_at(&self, path: &Path, flags: OFlag) -> Result<OwnedFd, Errno> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        retry(|| openat2(&self.dir, path, how))
    }

    /// Opens a directory below, through links.
    pub fn open_dir(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let how = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        retry(|| openat2(&self.dir, path, how))
    }

    /// Opens a regular file below, through links, for reading; never waits for a fifo or a device.
    ///
    /// # Errors
    /// ENOENT, and so on; EINVAL when it is no regular file.
    pub fn open_file(&self, path: &Path) -> Result<File, Errno> {
        let how = OpenHow::new()
            .flags(OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOCTTY)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        // Looked at before it is opened: opening a device can have effects.
        let probe = how.flags(OFlag::O_PATH | OFlag::O_CLOEXEC);
        let regular = |fd: &OwnedFd| -> Result<(u64, u64), Errno> {
            let stat = nix::sys::stat::fstat(fd)?;
            let file = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG;
            if file { Ok((stat.st_dev, stat.st_ino)) } else { Err(Errno::EINVAL) }
        };
        let before = regular(&retry(|| openat2(&self.dir, path, probe))?)?;
        let file = retry(|| openat2(&self.dir, path, how))?;
        if regular(&file)? != before {
            return Err(Errno::EINVAL);
        }
        Ok(file.into())
    }

    /// Opens the directory `path`, making what is missing (mode 0755) and telling `made`.
    pub fn make_dirs(&self, path: &Path, made: &mut dyn FnMut(&Path)) -> Result<OwnedFd> {
        match self.open_dir(path) {
            Ok(dir) => return Ok(dir),
            Err(Errno::ENOENT | Errno::ENOTDIR) => {}
            Err(errno) => return Err(self.failed("open", path, errno)),
        }
        let Some((parent, last)) = path::split(path) else {
            return Err(self.failed("open", path, Errno::ENOENT));
        };
        let parent = self.make_dirs(parent, made)?;
        let place = Place { dir: Rc::new(parent), name: last.to_owned() };
        let failed = |errno| self.failed("mkdir", path, errno);
        // Something below a name this layer whites out: only lower layers' is hidden.
        let hidden = place.stat().map_err(failed)?.as_ref().is_some_and(is_whiteout);
        if hidden {
            place.remove().map_err(failed)?;
        }
        mkdirat(place.dir.as_fd(), last, Mode::from_bits_truncate(0o755)).map_err(failed)?;
        if hidden {
            set_opaque(&place).map_err(failed)?;
        }
        made(path);
        self.open_dir(path).map_err(|errno| self.failed("open", path, errno))
    }

    /// An error that names the path within the root.
    pub fn failed(&self, verb: &str, path: &Path, errno: Errno) -> Error {
        let message = format!("{verb} {} in {}: {errno}", path.display(), self.shown.display());
        // The disk's faults are ours; what the archive's shape brings about is its giver's.
        match errno {
            Errno::ENOSPC
            | Errno::EIO
            | Errno::EROFS
            | Errno::EDQUOT
            | Errno::EMFILE
            | Errno::ENFILE
            | Errno::ENOMEM
            | Errno::EPERM
            | Errno::EACCES
            | Errno::ENOSYS => Error::internal(message),
            _ => Error::invalid(message),
        }
    }
}

/// RESOLVE_IN_ROOT gives EAGAIN when anything was renamed meanwhile (openat2(2)).
fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    for _ in 0..128 {
        match call() {
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            result => return result,
        }
    }
    Err(Errno::EAGAIN)
}

/// An open parent directory and a name in it.
#[derive(Debug, Clone)]
pub struct Place {
    /// The directory.
    pub dir: Rc<OwnedFd>,
    /// The last component.
    pub name: std::ffi::OsString,
}

impl Place {
    /// What is there, links not followed.
    pub fn stat(&self) -> Result<Option<FileStat>, Errno> {
        match fstatat(self.dir.as_fd(), self.name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// A path of this process that leads to it, for calls that take no descriptor.
    pub fn proc_path(&self) -> PathBuf {
        use std::os::fd::AsRawFd;
        Path::new("/proc/self/fd").join(self.dir.as_raw_fd().to_string()).join(&self.name)
    }

    /// Removes what is there, with all below it.
    pub fn remove(&self) -> Result<(), Errno> {
        remove(self.dir.as_fd(), &self.name, 0)
    }
}

/// Whether a stat is of a directory.
pub fn is_dir(stat: &FileStat) -> bool {
    kind(stat) == SFlag::S_IFDIR
}

/// Whether a stat is of an overlay whiteout: a character device 0:0.
pub fn is_whiteout(stat: &FileStat) -> bool {
    kind(stat) == SFlag::S_IFCHR && stat.st_rdev == 0
}

fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
}

/// Marks a directory so that overlay shows nothing of lower layers in it.
pub fn set_opaque(place: &Place) -> Result<(), Errno> {
    xattr::set(place.proc_path(), "trusted.overlay.opaque", b"y")
        .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))
}

/// Removes a name and what is below it, without following links.
fn remove(dir: BorrowedFd, name: &OsStr, depth: usize) -> Result<(), Errno> {
    if depth > MAX_DEPTH {
        return Err(Errno::ENAMETOOLONG);
    }
    match unlinkat(dir, name, UnlinkatFlags::NoRemoveDir) {
        Err(Errno::EISDIR | Errno::EPERM) => {}
        Err(Errno::ENOENT) => return Ok(()),
        result => return result,
    }
    clear(dir, name, depth)?;
    unlinkat(dir, name, UnlinkatFlags::RemoveDir)
}

/// Removes everything in the directory `name` of `dir`.
pub fn clear(dir: BorrowedFd, name: &OsStr, depth: usize) -> Result<(), Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut open = Dir::openat(dir, name, flags, Mode::empty())?;
    // Names first: removing while reading may skip some.
    let mut names = Vec::new();
    for entry in open.iter() {
        let entry = entry?;
        let bytes = entry.file_name().to_bytes();
        if bytes != b"." && bytes != b".." {
            names.push(OsStr::from_bytes(bytes).to_owned());
        }
    }
    names.iter().try_for_each(|name| remove(open.as_fd(), name, depth + 1))
}
