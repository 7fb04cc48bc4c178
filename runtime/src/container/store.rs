//! The directory of containers (`--root`) and a container's place in it.
//!
//! Everything below a slot is reached from its descriptor, and files are never followed through
//! links.

use super::state::{FORMAT, State};
use super::{Container, id, summary};
use crate::error::{At, Error, Kind, Result};
use crate::sys::dir::names;
use crate::sys::fd::{Locked, open_at, open_path, read_bounded};
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, ResolveFlag, readlinkat, renameat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, symlinkat, unlinkat};
use std::ffi::{CStr, CString};
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The container's state.
pub const STATE: &CStr = c"state.json";
/// The configuration as create read it.
pub const CONFIG: &CStr = c"config.json";
/// The compiled seccomp filter.
pub const SECCOMP: &CStr = c"seccomp";
/// Where init waits for `start`.
pub const FIFO: &CStr = c"exec.fifo";

/// No file of a slot is larger.
const MAX_FILE: usize = 64 << 20;

/// All containers of one `--root`.
pub struct Store {
    path: PathBuf,
    dir: OwnedFd,
}

/// One container's directory.
pub struct Slot {
    /// Absolute path, for messages and for what takes only paths.
    pub path: PathBuf,
    dir: OwnedFd,
}

fn below() -> ResolveFlag {
    ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS
}

impl Store {
    /// Opens `root`, making it if it isn't there.
    ///
    /// # Errors
    /// mkdir(2), open(2).
    pub fn create(root: &Path) -> Result<Self> {
        match Self::open(root) {
            Err(error) if error.errno() == Some(Errno::ENOENT) => {}
            other => return other,
        }
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(root)
            .at(|| format!("creating the state directory {}", root.display()))?;
        Self::open(root)
    }

    /// Opens `root` to look for container `id`: where there is no directory there is none.
    ///
    /// # Errors
    /// An invalid id, or no such container.
    pub fn open_for(root: &Path, id: &str) -> Result<Self> {
        id::check(id)?;
        Self::open(root).map_err(|error| match error.errno() {
            Some(Errno::ENOENT) => not_found(id),
            _ => error,
        })
    }

    /// Opens `root`.
    ///
    /// # Errors
    /// ENOENT when no container was ever made there.
    pub fn open(root: &Path) -> Result<Self> {
        let dir = open_path(root, OFlag::O_RDONLY | OFlag::O_DIRECTORY)
            .at(|| format!("opening the state directory {}", root.display()))?;
        Ok(Self { path: root.to_owned(), dir })
    }

    /// A new slot for `id`; the one who makes the directory owns the id.
    ///
    /// # Errors
    /// An invalid or used id.
    pub fn reserve(&self, id: &str) -> Result<Slot> {
        id::check(id)?;
        match mkdirat(&self.dir, id, Mode::from_bits_truncate(0o700)) {
            Ok(()) => self.slot(id),
            Err(Errno::EEXIST) => Err(Error::new(
                Kind::Exists,
                format!("container with given ID already exists: {id}"),
            )),
            Err(errno) => Err(errno).at(|| format!("mkdir({}/{id})", self.path.display())),
        }
    }

    /// The slot of `id`, whatever is in it.
    ///
    /// # Errors
    /// An invalid id, or no such container.
    pub fn slot(&self, id: &str) -> Result<Slot> {
        id::check(id)?;
        let name = CString::new(id).map_err(|_| Errno::EINVAL)?;
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        match open_at(self.dir.as_fd(), &name, flags, 0, below()) {
            Ok(dir) => Ok(Slot { path: self.path.join(id), dir }),
            Err(Errno::ENOENT) => Err(not_found(id)),
            Err(errno) => Err(errno).at(|| format!("open({}/{id})", self.path.display())),
        }
    }

    /// Container `id`.
    ///
    /// # Errors
    /// No such container, or a damaged slot.
    pub fn load(&self, id: &str) -> Result<Container> {
        let slot = self.slot(id)?;
        let state = slot.load_state().map_err(|error| match error.errno() {
            Some(Errno::ENOENT) => not_found(id),
            _ => error,
        })?;
        Ok(Container::new(slot, state))
    }

    /// The ids of all slots, sorted.
    ///
    /// # Errors
    /// Reading the directory.
    pub fn ids(&self) -> Result<Vec<String>> {
        let dir = open_at(self.dir.as_fd(), c".", OFlag::O_RDONLY | OFlag::O_DIRECTORY, 0, below())
            .and_then(|dir| names(dir.as_fd()))
            .at(|| format!("reading {}", self.path.display()))?;
        // Names that can't be ids are no containers (`,seccomp`, the filter cache).
        let ids = dir.into_iter().filter_map(|name| name.into_string().ok());
        let mut ids: Vec<String> = ids.filter(|name| id::check(name).is_ok()).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// The summary of container `id`; nothing if it has none.
    pub fn summary(&self, id: &str) -> Option<String> {
        let path = [id.as_bytes(), b"/", summary::NAME.to_bytes()].concat();
        readlinkat(&self.dir, path.as_slice()).ok()?.into_string().ok()
    }

    /// Removes the slot `id` and what is in it.
    ///
    /// # Errors
    /// unlink(2), rmdir(2).
    pub fn remove(&self, id: &str) -> Result<()> {
        match self.slot(id) {
            Err(error) if error.kind() == Kind::NotFound => Ok(()),
            other => self.remove_slot(&other?),
        }
    }

    /// Removes `slot`, one of this store, and what is in it.
    ///
    /// # Errors
    /// unlink(2), rmdir(2).
    pub fn remove_slot(&self, slot: &Slot) -> Result<()> {
        let name = slot.path.file_name().unwrap_or_default();
        let rmdir = || unlinkat(&self.dir, name, UnlinkatFlags::RemoveDir);
        // The summary first: what it tells must not outlive the state.
        slot.unlink(&[summary::NAME, STATE, CONFIG])?;
        let mut answer = rmdir();
        if answer == Err(Errno::ENOTEMPTY) {
            slot.unlink(&[SECCOMP])?;
            answer = rmdir();
        }
        if answer == Err(Errno::ENOTEMPTY) {
            slot.clear()?;
            answer = rmdir();
        }
        answer
            .or_else(|errno| if errno == Errno::ENOENT { Ok(()) } else { Err(errno) })
            .at(|| format!("rmdir({})", slot.path.display()))
    }
}

fn not_found(id: &str) -> Error {
    Error::new(Kind::NotFound, format!("container does not exist: {id}"))
}

impl Slot {
    /// The directory.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// The user who made the container.
    ///
    /// # Errors
    /// fstat(2).
    pub fn owner(&self) -> Result<u32> {
        Ok(nix::sys::stat::fstat(&self.dir)
            .at(|| format!("fstat({})", self.path.display()))?
            .st_uid)
    }

    /// The whole content of a file of the slot.
    ///
    /// # Errors
    /// open(2), read(2); EFBIG for one that can't be ours.
    pub fn read(&self, name: &CStr) -> Result<Vec<u8>> {
        open_at(self.as_fd(), name, OFlag::O_RDONLY | OFlag::O_NONBLOCK, 0, below())
            .and_then(|file| read_bounded(file.as_fd(), MAX_FILE))
            .at(|| format!("reading {}/{}", self.path.display(), name.to_string_lossy()))
    }

    /// Writes a file of the slot that is there from then on.
    ///
    /// # Errors
    /// open(2), write(2): ENOSPC and the like.
    pub fn write(&self, name: &CStr, data: &[u8]) -> Result<()> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC;
        let file = open_at(self.as_fd(), name, flags, 0o600, below());
        file.map_err(Error::from)
            .and_then(|file| Ok(std::fs::File::from(file).write_all(data)?))
            .at(|| format!("writing {}/{}", self.path.display(), name.to_string_lossy()))
    }

    /// Replaces state.json: readers see the old or the new one, whole.
    ///
    /// # Errors
    /// As of [`Self::write`]; ENOENT when somebody deleted the container meanwhile.
    pub fn save_state(&self, state: &State) -> Result<()> {
        let json = serde_json::to_vec(state)
            .map_err(|error| Error::config(format!("state can't be written as JSON: {error}")))?;
        self.write(c".state.json", &json)?;
        renameat(self.as_fd(), c".state.json", self.as_fd(), STATE)
            .at(|| format!("rename(state.json) in {}", self.path.display()))
    }

    /// Adds the summary of a container that has been started. Without one `list` takes longer, and
    /// nothing else depends on it: an error is of no interest.
    pub fn summarise(&self, state: &State) {
        let text = self.owner().ok().and_then(|owner| summary::compose(state, owner));
        let _ = text.map(|text| symlinkat(text.as_str(), self.as_fd(), summary::NAME));
    }

    fn load_state(&self) -> Result<State> {
        let json = self.read(STATE)?;
        let parsed = match std::str::from_utf8(&json) {
            Ok(text) => serde_json::from_str::<State>(text).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let state = parsed.map_err(|error| {
            let path = self.path.display();
            Error::config(format!(
                "{path}/state.json is damaged: {error} (what it recorded, processes and cgroups, \
                 has to be removed by hand; then remove {path})"
            ))
        })?;
        if state.hull > FORMAT {
            return Err(Error::unsupported(format!(
                "{} was written by a newer version of hull",
                self.path.display()
            )));
        }
        Ok(state)
    }

    /// Keeps other commands that change this container waiting until the guard is dropped.
    ///
    /// # Errors
    /// flock(2).
    pub fn lock(&self) -> Result<Locked<'_>> {
        let lock = Locked::new(self.as_fd());
        lock.at(|| format!("flock({})", self.path.display()))
    }

    /// Whether the directory has been removed.
    ///
    /// # Errors
    /// fstat(2).
    pub fn is_gone(&self) -> Result<bool> {
        let status = nix::sys::stat::fstat(&self.dir);
        Ok(status.at(|| format!("fstat({})", self.path.display()))?.st_nlink == 0)
    }

    /// Removes these files, as far as they are there.
    fn unlink(&self, names: &[&CStr]) -> Result<()> {
        for name in names {
            match unlinkat(self.as_fd(), *name, UnlinkatFlags::NoRemoveDir) {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(errno) => {
                    return Err(errno)
                        .at(|| format!("unlink({name:?}) in {}", self.path.display()));
                }
            }
        }
        Ok(())
    }

    /// Removes every file of the slot.
    fn clear(&self) -> Result<()> {
        let dir = open_at(self.as_fd(), c".", OFlag::O_RDONLY | OFlag::O_DIRECTORY, 0, below())
            .and_then(Dir::from_fd)
            .at(|| format!("reading {}", self.path.display()))?;
        for entry in dir {
            let entry = entry.at(|| format!("reading {}", self.path.display()))?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            match unlinkat(self.as_fd(), name, UnlinkatFlags::NoRemoveDir) {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(Errno::EISDIR | Errno::EPERM) => {
                    std::fs::remove_dir_all(self.path.join(name.to_string_lossy().as_ref()))
                        .at(|| format!("removing {name:?} in {}", self.path.display()))?;
                }
                Err(errno) => {
                    return Err(errno)
                        .at(|| format!("unlink({name:?}) in {}", self.path.display()));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserve_load_list_remove() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(&dir.path().join("root")).unwrap();
        let slot = store.reserve("one").unwrap();
        assert_eq!(store.reserve("one").err().unwrap().kind(), Kind::Exists);
        assert_eq!(store.load("one").err().unwrap().kind(), Kind::NotFound);
        slot.save_state(&State { id: "one".into(), ..State::default() }).unwrap();
        assert_eq!(store.load("one").unwrap().state.id, "one");
        assert_eq!(store.ids().unwrap(), ["one"]);
        store.remove("one").unwrap();
        assert_eq!(store.load("one").err().unwrap().kind(), Kind::NotFound);
        store.remove("one").unwrap();
    }

    #[test]
    fn the_summary_goes_before_the_state() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path()).unwrap();
        let slot = store.reserve("one").unwrap();
        assert_eq!(store.summary("one"), None);
        let state = State { id: "one".into(), init_process_pid: 7, ..State::default() };
        slot.summarise(&state);
        let summary = store.summary("one");
        assert!(summary.as_deref().and_then(summary::Summary::parse).is_some(), "{summary:?}");
        // What can't be unlinked stops the removal.
        std::fs::create_dir(dir.path().join("one/state.json")).unwrap();
        assert!(store.remove("one").is_err());
        assert_eq!(store.summary("one"), None);
        std::fs::remove_dir(dir.path().join("one/state.json")).unwrap();
        slot.summarise(&state);
        store.remove("one").unwrap();
        assert!(!dir.path().join("one").exists());
    }

    #[test]
    fn damaged_and_newer_states_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path()).unwrap();
        let slot = store.reserve("x").unwrap();
        slot.write(STATE, b"{").unwrap();
        assert!(store.load("x").err().unwrap().to_string().contains("damaged"));
        slot.save_state(&State { hull: FORMAT + 1, ..State::default() }).unwrap();
        assert!(store.load("x").err().unwrap().to_string().contains("newer"));
        assert!(store.load("../x").is_err());
    }
}
