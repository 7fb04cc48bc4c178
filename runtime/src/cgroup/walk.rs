//! Visiting a cgroup and its descendants.
//!
//! A container that may make cgroups can nest them deeper than a path is long or a process has
//! descriptors, to hide processes or to make itself indelible. So the walk holds one descriptor at
//! a time and goes up by `..`, which no container can redirect: cgroupfs has no links, and a
//! cgroup is never moved to another parent.

use super::file::read_open;
use crate::error::{At, Result};
use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::Mode;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Flags for opening a directory of cgroupfs.
const DIRECTORY: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC).union(OFlag::O_NOFOLLOW);

/// Calls `enter` for `root` and each descendant, parents first, and `leave` for each descendant
/// with its parent, children first. A cgroup that goes away meanwhile is passed over.
pub(super) fn walk(
    root: &Path,
    enter: &mut dyn FnMut(BorrowedFd<'_>) -> Result<()>,
    leave: &mut dyn FnMut(BorrowedFd<'_>, &CStr) -> Result<()>,
) -> Result<()> {
    let mut here =
        openat(AT_FDCWD, root, DIRECTORY, Mode::empty()).at(|| format!("open {root:?}"))?;
    let within = || format!("walking the cgroups below {root:?}");
    enter(here.as_fd()).at(within)?;
    let mut pending = children(here.as_fd()).at(within)?;
    let mut path: Vec<(CString, Vec<CString>)> = Vec::new();
    loop {
        if let Some(name) = pending.pop() {
            let child = match openat(&here, name.as_c_str(), DIRECTORY, Mode::empty()) {
                Err(Errno::ENOENT) => continue,
                other => other.at(within)?,
            };
            enter(child.as_fd()).at(within)?;
            let below = children(child.as_fd()).at(within)?;
            path.push((name, std::mem::replace(&mut pending, below)));
            here = child;
        } else if let Some((name, rest)) = path.pop() {
            here = openat(&here, "..", DIRECTORY, Mode::empty()).at(within)?;
            leave(here.as_fd(), &name).at(within)?;
            pending = rest;
        } else {
            return Ok(());
        }
    }
}

/// The names of the cgroups in `dir`.
fn children(dir: BorrowedFd<'_>) -> Result<Vec<CString>> {
    let again: OwnedFd =
        openat(dir, ".", DIRECTORY, Mode::empty()).or_else(|errno| match errno {
            // Removed meanwhile: openat(2) of "." still works on the descriptor itself.
            Errno::ENOENT | Errno::ENODEV => dir.try_clone_to_owned().map_err(|_| errno),
            _ => Err(errno),
        })?;
    let mut names = Vec::new();
    for entry in Dir::from_fd(again)?.iter() {
        let entry = match entry {
            Err(Errno::ENOENT | Errno::ENODEV) => break,
            other => other?,
        };
        let name = entry.file_name();
        if entry.file_type() == Some(Type::Directory) && !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// The processes in `root`, with `recursive` those of its descendants too.
pub(super) fn pids(root: &Path, recursive: bool) -> Result<Vec<i32>> {
    let mut pids = Vec::new();
    if !recursive {
        let dir =
            openat(AT_FDCWD, root, DIRECTORY, Mode::empty()).at(|| format!("open {root:?}"))?;
        add_pids(dir.as_fd(), &mut pids)?;
        return Ok(pids);
    }
    walk(root, &mut |dir| add_pids(dir, &mut pids), &mut |_, _| Ok(()))?;
    Ok(pids)
}

/// Adds the processes in `dir`.
fn add_pids(dir: BorrowedFd<'_>, pids: &mut Vec<i32>) -> Result<()> {
    let text = match procs(dir, "cgroup.procs") {
        // A threaded cgroup (v2) lists its threads only.
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
            procs(dir, "cgroup.threads")
        }
        other => other,
    };
    match text {
        Ok(text) => {
            // 0 is a process outside of this pid namespace: kill(2) would take it for the caller.
            let all = text.lines().filter_map(|line| line.parse::<i32>().ok());
            pids.extend(all.filter(|&pid| pid > 0));
            Ok(())
        }
        Err(error) if super::file::gone(&error) => Ok(()),
        Err(error) => Err(error).at(|| "read \"cgroup.procs\""),
    }
}

/// The content of one of the lists of processes.
fn procs(dir: BorrowedFd<'_>, name: &str) -> std::io::Result<String> {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    read_open(&mut File::from(openat(dir, name, flags, Mode::empty())?))
}
