//! Finding and making paths inside the container's root, by descriptor.
//!
//! Runs in: init, in the container's mount namespace, privileged. The root file system is
//! hostile: every lookup is an openat2(2) scoped to the root's descriptor, so that neither links
//! nor `..` lead out of it, nor can another container that shares a volume swap a component in
//! between (CVE-2021-30465, CVE-2024-45310).

use nix::errno::Errno;
use nix::fcntl::{OFlag, ResolveFlag};
use nix::libc;
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, mkdirat};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::sys::fd::open_at;

/// Lookups stay below the root and never follow /proc's magic links.
pub fn in_root() -> ResolveFlag {
    ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS
}

/// The file or directory at `path`, links followed inside the root.
///
/// # Errors
/// ENOENT; ELOOP for magic links.
pub fn open(root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd, Errno> {
    open_at(root, path, OFlag::O_PATH, 0, in_root())
}

/// The file type bits of an open file.
///
/// # Errors
/// fstat(2).
pub fn kind(fd: impl AsFd) -> Result<SFlag, Errno> {
    fstat(fd).map(|status| file_type(&status))
}

/// The file type bits of a stat result.
pub fn file_type(status: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(status.st_mode & libc::S_IFMT)
}

/// The directory at `path`, made with its parents (mode 0755) where they don't exist.
///
/// # Errors
/// ENOTDIR, ENOENT for a dangling link (it is not followed into being).
pub fn make_directory(root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd, Errno> {
    match open_at(root, path, OFlag::O_PATH | OFlag::O_DIRECTORY, 0, in_root()) {
        Err(Errno::ENOENT) => make_directories(root, path),
        other => other,
    }
}

fn make_directories(root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd, Errno> {
    let mut current: Option<OwnedFd> = None;
    let bytes = path.to_bytes();
    let mut end = 0;
    for part in bytes.split(|byte| *byte == b'/') {
        end += part.len() + 1;
        if part.is_empty() {
            continue;
        }
        // The whole prefix is resolved from the root each time: a component may be a link whose
        // target is absolute inside the container.
        let prefix = c_string(bytes.get(..end - 1).unwrap_or(bytes))?;
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
        // The whole path is known not to exist.
        let found = if end > bytes.len() {
            Err(Errno::ENOENT)
        } else {
            open_at(root, &prefix, flags, 0, in_root())
        };
        let next = match found {
            Err(Errno::ENOENT) => {
                let parent = current.as_ref().map_or(root, AsFd::as_fd);
                make_new_directory(parent, &c_string(part)?)?
            }
            other => other?,
        };
        current = Some(next);
    }
    match current {
        Some(directory) => Ok(directory),
        None => open_at(root, c".", OFlag::O_PATH | OFlag::O_DIRECTORY, 0, in_root()),
    }
}

/// The directory `name` right below `parent`, made if nothing has that name.
///
/// # Errors
/// ENOTDIR, ELOOP when `name` is something else by now.
pub fn make_new_directory(parent: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    match mkdirat(parent, name, Mode::from_bits_truncate(0o755)) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(errno) => return Err(errno),
    }
    let below = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
    open_at(parent, name, OFlag::O_PATH | OFlag::O_DIRECTORY, 0, below)
}

/// An open parent directory and the last component of `path`, parents made where needed.
///
/// # Errors
/// EINVAL when there is no last component.
pub fn make_parent(root: BorrowedFd<'_>, path: &CStr) -> Result<(OwnedFd, CString), Errno> {
    let bytes = path.to_bytes();
    let slash = bytes.iter().rposition(|byte| *byte == b'/').ok_or(Errno::EINVAL)?;
    let (parent, name) = bytes.split_at(slash + 1);
    if name.is_empty() {
        return Err(Errno::EINVAL);
    }
    Ok((make_directory(root, c_string(parent)?.as_c_str())?, c_string(name)?))
}

/// The file at `path` as a mount point: made empty, with its parents, where it doesn't exist.
///
/// # Errors
/// As of [`make_directory`].
pub fn make_file(root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd, Errno> {
    match open(root, path) {
        Err(Errno::ENOENT) => {}
        other => return other,
    }
    let (parent, name) = make_parent(root, path)?;
    let below = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
    open_at(parent.as_fd(), &name, flags, 0o644, below)
}

fn c_string(bytes: &[u8]) -> Result<CString, Errno> {
    CString::new(bytes).map_err(|_| Errno::EINVAL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn root(dir: &std::path::Path) -> OwnedFd {
        fs::File::open(dir).unwrap().into()
    }

    #[test]
    fn links_stay_inside() {
        let dir = tempfile::tempdir().unwrap();
        symlink("/", dir.path().join("top")).unwrap();
        symlink("../../../../etc", dir.path().join("up")).unwrap();
        let root = root(dir.path());
        make_directory(root.as_fd(), c"/top/a/b").unwrap();
        assert!(dir.path().join("a/b").is_dir());
        // The link points to /etc of the container, which does not exist: nothing is made.
        assert!(make_directory(root.as_fd(), c"/up/x").is_err());
        assert!(!dir.path().join("etc").exists());
    }

    #[test]
    fn files_are_made_with_parents() {
        let dir = tempfile::tempdir().unwrap();
        let root = root(dir.path());
        make_file(root.as_fd(), c"/run/x/file").unwrap();
        assert!(dir.path().join("run/x/file").is_file());
        make_file(root.as_fd(), c"/run/x/file").unwrap();
    }
}
