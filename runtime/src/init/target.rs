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

use crate::sys::fd::{leave_to_execve, open_at};

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

/// The directory at `path`, made with its parents (mode 0755) where they don't exist. Links that
/// lead nowhere are followed into being, inside the root.
///
/// # Errors
/// ENOTDIR; ELOOP for too many links, or links that appear in between.
pub fn make_directory(root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd, Errno> {
    match open_at(root, path, OFlag::O_PATH | OFlag::O_DIRECTORY, 0, in_root()) {
        Err(Errno::ENOENT) => {}
        other => return other,
    }
    // Mostly only the last component is missing.
    if let Ok((parent, name)) = open_parent(root, path) {
        match make_new_directory(parent.as_fd(), &name) {
            Err(Errno::ELOOP) => {}
            other => return other,
        }
    }
    make_directories(root, &resolve(root, path)?)
}

/// The directory that the last mount point was made in: the next one is often made beside it
/// (`/dev/pts`, `/dev/shm`, `/dev/mqueue`), and then neither is looked up again.
///
/// It holds as long as nothing is mounted but on directories that were made in it just now, which
/// can't cover it under any name.
#[derive(Default)]
pub struct Siblings(Option<(CString, OwnedFd)>);

impl Siblings {
    /// The directory at `path` if it is a new one beside the last.
    pub fn make_beside(&self, path: &CStr) -> Option<OwnedFd> {
        let (known, directory) = self.0.as_ref()?;
        let (parent, name) = split(path).ok()?;
        if *known != parent {
            return None;
        }
        mkdirat(directory, name.as_c_str(), NEW_DIRECTORY).ok()?;
        open_at(directory.as_fd(), &name, OFlag::O_PATH | OFlag::O_DIRECTORY, 0, plainly()).ok()
    }

    /// As the function [`make_directory`].
    ///
    /// # Errors
    /// As of that.
    pub fn make_directory(&mut self, root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd, Errno> {
        if let Some(new) = self.make_beside(path) {
            return Ok(new);
        }
        self.forget();
        match open_at(root, path, OFlag::O_PATH | OFlag::O_DIRECTORY, 0, in_root()) {
            Err(Errno::ENOENT) => {}
            other => return other,
        }
        if let Ok((directory, _)) = open_parent(root, path) {
            self.0 = Some((split(path)?.0, directory));
            if let Some(new) = self.make_beside(path) {
                return Ok(new);
            }
            self.forget();
        }
        make_directory(root, path)
    }

    /// Something else is mounted than what is made here.
    pub fn forget(&mut self) {
        if let Some((_, directory)) = self.0.take() {
            leave_to_execve(directory);
        }
    }
}

/// The mode of directories that the image lacks.
const NEW_DIRECTORY: Mode = Mode::from_bits_truncate(0o755);

/// An open parent directory and the last component of `path`.
fn open_parent(root: BorrowedFd<'_>, path: &CStr) -> Result<(OwnedFd, CString), Errno> {
    let (parent, name) = split(path)?;
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
    Ok((open_at(root, &parent, flags, 0, in_root())?, name))
}

fn split(path: &CStr) -> Result<(CString, CString), Errno> {
    let bytes = path.to_bytes();
    let slash = bytes.iter().rposition(|byte| *byte == b'/').ok_or(Errno::EINVAL)?;
    let (parent, name) = bytes.split_at(slash + 1);
    if name.is_empty() {
        return Err(Errno::EINVAL);
    }
    Ok((c_string(parent)?, c_string(name)?))
}

/// Makes what is missing of a path without links.
fn make_directories(root: BorrowedFd<'_>, parts: &[Vec<u8>]) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
    let mut current = open_at(root, c".", flags, 0, in_root())?;
    for part in parts {
        let name = c_string(part)?;
        current = match open_at(current.as_fd(), &name, flags, 0, plainly()) {
            Err(Errno::ENOENT) => make_new_directory(current.as_fd(), &name)?,
            other => other?,
        };
    }
    Ok(current)
}

/// Right below, whatever is found there.
fn plainly() -> ResolveFlag {
    ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS
}

/// The components of `path` with the links in it followed as inside the root, also where they lead
/// to what does not exist. What this finds is only a name: whoever opens it must not follow links,
/// should there be new ones by then.
fn resolve(root: BorrowedFd<'_>, path: &CStr) -> Result<Vec<Vec<u8>>, Errno> {
    // path_resolution(7)
    const MAX_LINKS: usize = 40;
    let mut links = 0;
    let mut found: Vec<Vec<u8>> = Vec::new();
    let mut left = components(path.to_bytes());
    left.reverse();
    while let Some(part) = left.pop() {
        if part == b".." {
            found.pop();
            continue;
        }
        found.push(part);
        let name = c_string(&found.join(&b'/'))?;
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW;
        let entry = match open_at(root, &name, flags, 0, in_root()) {
            Err(Errno::ENOENT) => continue,
            other => other?,
        };
        if kind(&entry)? != SFlag::S_IFLNK {
            continue;
        }
        links += 1;
        if links > MAX_LINKS {
            return Err(Errno::ELOOP);
        }
        let target = nix::fcntl::readlinkat(&entry, c"")?.into_encoded_bytes();
        found.pop();
        if target.starts_with(b"/") {
            found.clear();
        }
        left.extend(components(&target).into_iter().rev());
    }
    Ok(found)
}

fn components(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty() && *part != b".")
        .map(<[u8]>::to_vec)
        .collect()
}

/// The directory `name` right below `parent`, made if nothing has that name.
///
/// # Errors
/// ENOTDIR, ELOOP when `name` is something else by now.
pub fn make_new_directory(parent: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    match mkdirat(parent, name, NEW_DIRECTORY) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(errno) => return Err(errno),
    }
    open_at(parent, name, OFlag::O_PATH | OFlag::O_DIRECTORY, 0, plainly())
}

/// An open parent directory and the last component of `path`, parents made where needed.
///
/// # Errors
/// EINVAL when there is no last component.
pub fn make_parent(root: BorrowedFd<'_>, path: &CStr) -> Result<(OwnedFd, CString), Errno> {
    let (parent, name) = split(path)?;
    Ok((make_directory(root, &parent)?, name))
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
    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
    if let Ok((parent, name)) = open_parent(root, path) {
        match open_at(parent.as_fd(), &name, flags, 0o644, plainly()) {
            Err(Errno::EEXIST) => {}
            other => return other,
        }
    }
    let parts = resolve(root, path)?;
    let (name, parents) = parts.split_last().ok_or(Errno::EINVAL)?;
    let parent = make_directories(root, parents)?;
    open_at(parent.as_fd(), &c_string(name)?, flags, 0o644, plainly())
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
        let outer = tempfile::tempdir().unwrap();
        let dir = outer.path().join("root");
        fs::create_dir(&dir).unwrap();
        symlink("/", dir.join("top")).unwrap();
        symlink("../../../../etc", dir.join("up")).unwrap();
        symlink("/up/./more/", dir.join("chain")).unwrap();
        let root = root(&dir);
        make_directory(root.as_fd(), c"/top/a/b").unwrap();
        assert!(dir.join("a/b").is_dir());
        // Links that lead nowhere are followed as inside the container.
        make_directory(root.as_fd(), c"/chain/x").unwrap();
        assert!(dir.join("etc/more/x").is_dir());
        make_directory(root.as_fd(), c"/a/../../../y/../z").unwrap();
        assert!(dir.join("z").is_dir() && !dir.join("y").exists());
        assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 1);
    }

    #[test]
    fn siblings_are_made_beside_the_last() {
        let dir = tempfile::tempdir().unwrap();
        let root = root(dir.path());
        fs::create_dir(dir.path().join("dev")).unwrap();
        let mut siblings = Siblings::default();
        assert!(siblings.make_beside(c"/dev/pts").is_none());
        siblings.make_directory(root.as_fd(), c"/dev/pts").unwrap();
        // Where the name leads is not looked at again.
        fs::rename(dir.path().join("dev"), dir.path().join("moved")).unwrap();
        siblings.make_directory(root.as_fd(), c"/dev/shm").unwrap();
        assert!(dir.path().join("moved/shm").is_dir());
        // What exists may be anything, so nothing holds from then on.
        assert!(siblings.make_beside(c"/dev/shm").is_none());
        siblings.make_directory(root.as_fd(), c"/moved/shm").unwrap();
        siblings.make_directory(root.as_fd(), c"/dev/mqueue").unwrap();
        assert!(dir.path().join("dev/mqueue").is_dir());
        siblings.forget();
        assert!(siblings.make_beside(c"/dev/new").is_none());
    }

    #[test]
    fn files_are_made_behind_links() {
        let dir = tempfile::tempdir().unwrap();
        let root = root(dir.path());
        symlink("/tmp/x/hosts", dir.path().join("hosts")).unwrap();
        make_file(root.as_fd(), c"/hosts").unwrap();
        assert!(dir.path().join("tmp/x/hosts").is_file());
        symlink("loop", dir.path().join("loop")).unwrap();
        assert_eq!(make_file(root.as_fd(), c"/loop").err(), Some(Errno::ELOOP));
        assert_eq!(make_directory(root.as_fd(), c"/loop/x").err(), Some(Errno::ELOOP));
        fs::write(dir.path().join("file"), "").unwrap();
        assert_eq!(make_directory(root.as_fd(), c"/file/x").err(), Some(Errno::ENOTDIR));
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
