//! The mount system calls by descriptor: open_tree(2), move_mount(2), mount_setattr(2).
#![allow(unsafe_code, reason = "the new mount API has no safe wrapper")]

use nix::errno::Errno;
use nix::libc;
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// mount_setattr(2): the mount is read-only.
pub const MOUNT_ATTR_RDONLY: u64 = 0x1;
/// Set-user-ID bits and file capabilities are ignored.
pub const MOUNT_ATTR_NOSUID: u64 = 0x2;
/// Device files can't be opened.
pub const MOUNT_ATTR_NODEV: u64 = 0x4;
/// Programs can't be executed.
pub const MOUNT_ATTR_NOEXEC: u64 = 0x8;
/// Mask of the access time policy.
pub const MOUNT_ATTR_ATIME: u64 = 0x70;
/// Access times relative to modification.
pub const MOUNT_ATTR_RELATIME: u64 = 0x0;
/// No access times.
pub const MOUNT_ATTR_NOATIME: u64 = 0x10;
/// Access times always.
pub const MOUNT_ATTR_STRICTATIME: u64 = 0x20;
/// No access times on directories.
pub const MOUNT_ATTR_NODIRATIME: u64 = 0x80;
/// Id-mapped mount.
pub const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;
/// Symbolic links aren't followed.
pub const MOUNT_ATTR_NOSYMFOLLOW: u64 = 0x0020_0000;

const AT_EMPTY_PATH: libc::c_uint = 0x1000;
const AT_RECURSIVE: libc::c_uint = 0x8000;

/// The argument of mount_setattr(2).
#[repr(C)]
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct MountAttr {
    /// Attributes to set.
    pub set: u64,
    /// Attributes to clear.
    pub clear: u64,
    /// `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE`, `MS_UNBINDABLE` or 0.
    pub propagation: u64,
    /// User namespace of an id-mapped mount.
    pub userns_fd: u64,
}

fn owned(result: libc::c_long) -> Result<OwnedFd, Errno> {
    let fd = Errno::result(result)?;
    // SAFETY: a successful call returned a new descriptor, owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(RawFd::try_from(fd).unwrap_or(-1)) })
}

/// A detached copy of the mount, or of the whole mount tree, at `path`.
///
/// # Errors
/// open_tree(2): ENOENT, EACCES, EPERM, EINVAL (unbindable).
pub fn clone_tree(dir: BorrowedFd<'_>, path: &CStr, recursive: bool) -> Result<OwnedFd, Errno> {
    let flags = tree_flags(path, recursive);
    // SAFETY: `path` is NUL-terminated and outlives the call.
    owned(unsafe { libc::syscall(libc::SYS_open_tree, dir.as_raw_fd(), path.as_ptr(), flags) })
}

/// As [`clone_tree`], with attributes set on the copy, and on the whole of it when `recursive`
/// (which needs the copy to be): one system call since Linux 6.15, two before.
///
/// # Errors
/// As of [`clone_tree`] and [`set_attr`].
pub fn clone_tree_with(
    dir: BorrowedFd<'_>,
    path: &CStr,
    recursive: bool,
    attr: &MountAttr,
    attr_recursive: bool,
) -> Result<OwnedFd, Errno> {
    const SYS_OPEN_TREE_ATTR: libc::c_long = 467;
    // One recursive flag serves both halves of the call.
    if recursive == attr_recursive {
        let flags = tree_flags(path, recursive);
        // SAFETY: `path` is NUL-terminated, the structure's size is passed with it, and both
        // outlive the call.
        let made = owned(unsafe {
            libc::syscall(
                SYS_OPEN_TREE_ATTR,
                dir.as_raw_fd(),
                path.as_ptr(),
                flags,
                std::ptr::from_ref(attr),
                size_of::<MountAttr>(),
            )
        });
        match made {
            // Also what a seccomp profile around the runtime may say of a call it does not know.
            Err(Errno::ENOSYS | Errno::EPERM) => {}
            other => return other,
        }
    }
    let tree = clone_tree(dir, path, recursive)?;
    set_attr(tree.as_fd(), attr, attr_recursive)?;
    Ok(tree)
}

fn tree_flags(path: &CStr, recursive: bool) -> libc::c_uint {
    const OPEN_TREE_CLONE: libc::c_uint = 1;
    let mut flags = OPEN_TREE_CLONE | libc::O_CLOEXEC.cast_unsigned();
    if recursive {
        flags |= AT_RECURSIVE;
    }
    if path.is_empty() {
        flags |= AT_EMPTY_PATH;
    }
    flags
}

/// Attaches the mount `tree` on the directory or file `target` refers to.
///
/// # Errors
/// move_mount(2): EPERM, ENOTDIR (directory on file or the reverse), EINVAL.
pub fn attach(tree: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<(), Errno> {
    attach_below(tree, target, c"")
}

/// Attaches the mount `tree` on `name`, seen from the directory `parent`; a link as its last
/// component is not followed.
///
/// # Errors
/// As of [`attach`].
pub fn attach_below(
    tree: BorrowedFd<'_>,
    parent: BorrowedFd<'_>,
    name: &CStr,
) -> Result<(), Errno> {
    const F_EMPTY_PATH: libc::c_uint = 0x4;
    const T_EMPTY_PATH: libc::c_uint = 0x40;
    let flags = F_EMPTY_PATH | if name.is_empty() { T_EMPTY_PATH } else { 0 };
    // SAFETY: both paths are NUL-terminated and outlive the call.
    Errno::result(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree.as_raw_fd(),
            c"".as_ptr(),
            parent.as_raw_fd(),
            name.as_ptr(),
            flags,
        )
    })
    .map(drop)
}

/// The flags of the mount `fd` is on, as those of mount(2).
///
/// # Errors
/// fstatvfs(3).
pub fn flags(fd: BorrowedFd<'_>) -> Result<u64, Errno> {
    // Not every libc names it, and wrappers drop what they don't know.
    const ST_RELATIME: u64 = 0x1000;
    // These have the same value in both calls.
    const SHARED: u64 = libc::MS_RDONLY
        | libc::MS_NOSUID
        | libc::MS_NODEV
        | libc::MS_NOEXEC
        | libc::MS_NOATIME
        | libc::MS_NODIRATIME;
    let mut status = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the call fills the structure, which outlives it.
    Errno::result(unsafe { libc::fstatvfs(fd.as_raw_fd(), status.as_mut_ptr()) })?;
    // SAFETY: the call succeeded.
    let bits = unsafe { status.assume_init() }.f_flag;
    let policy = match (bits & libc::MS_NOATIME, bits & ST_RELATIME) {
        (0, 0) => libc::MS_STRICTATIME,
        (0, _) => libc::MS_RELATIME,
        _ => 0,
    };
    Ok(bits & SHARED | policy)
}

/// Changes attributes of the mount `fd` is on, or of the tree below it.
///
/// # Errors
/// mount_setattr(2): EPERM (locked flags), EINVAL, EBUSY (writers), ENOSYS before 5.12.
pub fn set_attr(fd: BorrowedFd<'_>, attr: &MountAttr, recursive: bool) -> Result<(), Errno> {
    let flags = AT_EMPTY_PATH | if recursive { AT_RECURSIVE } else { 0 };
    // SAFETY: the structure's size is passed with it.
    Errno::result(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(attr),
            size_of::<MountAttr>(),
        )
    })
    .map(drop)
}
