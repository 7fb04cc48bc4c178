//! Keeping the runtime's own binary out of the container's reach (CVE-2019-5736).
//!
//! Init is still this program while it is already visible in the container, and a container may
//! make it execute itself as the user's program (`#!/proc/self/exe`); whoever then reopens
//! /proc/PID/exe for writing, once nobody executes it, would write to the host's binary. So
//! `create`, `run` and `exec` run from a detached read-only clone of the mount the binary lies
//! on: a mount that is in no mount namespace can't be remounted writable by anybody.

use crate::error::{At, Error, Result};
use crate::sys::entry;
use crate::sys::exec::{Vector, execute_fd};
use crate::sys::fd::{CWD, open_at};
use crate::sys::mount::{self, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY, MountAttr};
use nix::errno::Errno;
use nix::fcntl::{OFlag, ResolveFlag, SealFlag};
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use nix::sys::statvfs::FsFlags;
use std::ffi::{CStr, CString};
use std::io::{Seek, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

/// The binary this process runs (proc(5)).
const EXE: &CStr = c"/proc/self/exe";

/// Returns when this process runs from a binary nobody can write through /proc/PID/exe; if it
/// doesn't yet, it executes itself anew from one.
///
/// # Errors
/// When no way to protect the binary works.
pub fn ensure() -> Result<()> {
    if is_sealed()? {
        return Ok(());
    }
    let sealed = match read_only_clone() {
        Ok(clone) => clone,
        // Not privileged in the mount namespace, or an old kernel: a sealed copy in memory.
        Err(Errno::EPERM | Errno::ENOSYS | Errno::EINVAL | Errno::EACCES) => copy()?,
        Err(errno) => return Err(errno).at(|| "protecting the runtime's binary: open_tree"),
    };
    let arguments = entry::arguments()
        .iter()
        .map(|argument| CString::new(argument.as_bytes()))
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|_| Error::config("an argument contains a NUL byte"))?;
    match execute_fd(sealed.as_fd(), &Vector::new(arguments)) {
        Ok(never) => match never {},
        Err(errno) => Err(errno).at(|| "protecting the runtime's binary: execveat"),
    }
}

/// Read-only mount, or a memory file sealed against writing.
fn is_sealed() -> Result<bool> {
    let filesystem = statfs(EXE).at(|| format!("statfs({EXE:?})"))?;
    if filesystem.flags().contains(FsFlags::ST_RDONLY) {
        return Ok(true);
    }
    // Memory files are files of a tmpfs that nobody mounted.
    if filesystem.filesystem_type() != TMPFS_MAGIC {
        return Ok(false);
    }
    let Ok(file) = open_at(CWD, EXE, OFlag::O_RDONLY, 0, ResolveFlag::empty()) else {
        return Ok(false);
    };
    // A file of a mounted tmpfs answers EINVAL, or that it is not sealed.
    let seals = nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_GET_SEALS).unwrap_or(0);
    Ok(SealFlag::from_bits_truncate(seals).contains(SealFlag::F_SEAL_WRITE))
}

fn read_only_clone() -> std::result::Result<OwnedFd, Errno> {
    let attr = MountAttr {
        set: MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
        propagation: nix::libc::MS_PRIVATE,
        ..MountAttr::default()
    };
    // The kernel follows its own link to the file itself, by whatever name it can't be reached.
    mount::clone_tree_with(CWD, EXE, false, &attr, false)
}

fn copy() -> Result<OwnedFd> {
    use nix::sys::memfd::{MFdFlags, memfd_create};
    let mut source = std::fs::File::open("/proc/self/exe").at(|| "open(\"/proc/self/exe\")")?;
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let memory = memfd_create("hull", flags).at(|| "memfd_create")?;
    let mut target = std::fs::File::from(memory);
    std::io::copy(&mut source, &mut target).at(|| "copying the runtime's binary")?;
    target.seek(SeekFrom::Start(0)).at(|| "lseek")?;
    let seals = SealFlag::F_SEAL_SEAL
        | SealFlag::F_SEAL_SHRINK
        | SealFlag::F_SEAL_GROW
        | SealFlag::F_SEAL_WRITE;
    nix::fcntl::fcntl(&target, nix::fcntl::FcntlArg::F_ADD_SEALS(seals))
        .at(|| "fcntl(F_ADD_SEALS)")?;
    Ok(target.into())
}
