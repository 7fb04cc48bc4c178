//! Making device nodes and the links of /dev (config-linux.md "Devices").
//!
//! Runs in: init, before pivot_root, with umask 0. Where mknod(2) is not allowed, as in a user
//! namespace, the host's nodes are bound instead.

use super::target;
use crate::error::{At, Error, Result};
use crate::plan::devices::{DeviceOp, LINKS};
use crate::sys::fd::{CWD, leave_to_execve, open_at};
use crate::sys::mount;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, ResolveFlag};
use nix::libc;
use nix::sys::stat::{Mode, SFlag, fstat, mknodat};
use nix::unistd::{UnlinkatFlags, fchownat, symlinkat, unlinkat};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Nodes, then links.
///
/// # Errors
/// The first node or link that can't be made.
pub fn make_all(root: BorrowedFd<'_>, ops: &[DeviceOp], bind: bool) -> Result<()> {
    let dev = target::make_directory(root, c"/dev").at(|| "error creating device nodes: /dev")?;
    for op in ops {
        make(root, dev.as_fd(), op, bind)
            .at(|| format!("error creating device node {:?}", op.path.to_string_lossy()))?;
    }
    for (name, link) in LINKS {
        make_link(dev.as_fd(), name, link)
            .at(|| format!("error setting up /dev symlinks: {name:?}"))?;
    }
    // /proc/kcore is there on kernels built with it; a dangling link would be noise.
    if nix::unistd::access(c"/proc/kcore", nix::unistd::AccessFlags::F_OK).is_ok() {
        make_link(dev.as_fd(), c"core", c"/proc/kcore")
            .at(|| "error setting up /dev symlinks: \"core\"")?;
    }
    leave_to_execve(dev);
    Ok(())
}

/// What stands there already stays, but for ptmx: a node of that name would be the host's
/// multiplexer, not that of the container's own devpts.
fn make_link(dev: BorrowedFd<'_>, name: &CStr, link: &CStr) -> Result<()> {
    match symlinkat(link, dev, name) {
        Err(Errno::EEXIST) if name == c"ptmx" => {
            unlinkat(dev, name, UnlinkatFlags::NoRemoveDir).at(|| "unlinkat")?;
            symlinkat(link, dev, name).at(|| "symlinkat")
        }
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err(errno).at(|| "symlinkat"),
    }
}

fn make(root: BorrowedFd<'_>, dev: BorrowedFd<'_>, op: &DeviceOp, bind: bool) -> Result<()> {
    let bytes = op.path.to_bytes_with_nul();
    let in_dev = bytes
        .strip_prefix(b"/dev/")
        .filter(|name| !name.contains(&b'/'))
        .and_then(|name| CStr::from_bytes_with_nul(name).ok());
    if let Some(name) = in_dev {
        return make_in(dev, name, op, bind);
    }
    let (parent, name) = target::make_parent(root, &op.path).at(|| "parent directory")?;
    make_in(parent.as_fd(), &name, op, bind)
}

fn make_in(parent: BorrowedFd<'_>, name: &CStr, op: &DeviceOp, bind: bool) -> Result<()> {
    let is_fifo = op.mode & libc::S_IFMT == libc::S_IFIFO;
    if bind && !is_fifo {
        return bind_node(parent, name, op);
    }
    let kind = SFlag::from_bits_truncate(op.mode & libc::S_IFMT);
    let mode = Mode::from_bits_truncate(op.mode & 0o7777);
    match mknodat(parent, name, kind, mode, op.rdev) {
        Ok(()) if op.uid == 0 && op.gid == 0 => Ok(()),
        Ok(()) => own(parent, name, op),
        Err(Errno::EEXIST) => existing(parent, name, op),
        // In a container of another runtime: no CAP_MKNOD, or a cgroup that doesn't allow it.
        Err(Errno::EPERM) if !is_fifo => bind_node(parent, name, op),
        Err(errno) => Err(errno).at(|| "mknodat"),
    }
}

fn open_node(parent: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd> {
    let below = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
    open_at(parent, name, OFlag::O_PATH | OFlag::O_NOFOLLOW, 0, below).at(|| "openat2")
}

/// Another container that shares the directory may have swapped the node since it was made, so
/// the owner is changed by descriptor and only of what was asked for.
fn own(parent: BorrowedFd<'_>, name: &CStr, op: &DeviceOp) -> Result<()> {
    let node = open_node(parent, name)?;
    same_device(node.as_fd(), op)?;
    let (uid, gid) = (op.uid.into(), op.gid.into());
    fchownat(&node, c"", Some(uid), Some(gid), AtFlags::AT_EMPTY_PATH).at(|| "fchownat")
}

/// A file that the image brings is used if it is the device asked for (config-linux.md: "The
/// runtime MAY use a file that already exists … MUST generate an error" when it doesn't match).
fn existing(parent: BorrowedFd<'_>, name: &CStr, op: &DeviceOp) -> Result<()> {
    let node = open_node(parent, name)?;
    same_device(node.as_fd(), op)
}

fn same_device(node: BorrowedFd<'_>, op: &DeviceOp) -> Result<()> {
    let status = fstat(node).at(|| "fstat")?;
    let same_type = status.st_mode & libc::S_IFMT == op.mode & libc::S_IFMT;
    let is_fifo = op.mode & libc::S_IFMT == libc::S_IFIFO;
    if same_type && (is_fifo || status.st_rdev == op.rdev) {
        return Ok(());
    }
    Err(Error::config("the path holds another file than the device asked for"))
}

fn bind_node(parent: BorrowedFd<'_>, name: &CStr, op: &DeviceOp) -> Result<()> {
    let tree = mount::clone_tree(CWD, &op.path, false)
        .at(|| format!("open_tree({:?} of the host)", op.path.to_string_lossy()))?;
    same_device(tree.as_fd(), op).at(|| "the host's node")?;
    let below = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
    let flags = OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let target = match open_at(parent, name, flags | OFlag::O_EXCL, 0, below) {
        Err(Errno::EEXIST) => open_node(parent, name)?,
        other => other.at(|| "openat2(O_CREAT)")?,
    };
    mount::attach(tree.as_fd(), target.as_fd()).at(|| "move_mount")
}
