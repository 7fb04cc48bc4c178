//! The container's root: making it a mount of its own, entering it, hiding and protecting paths
//! (config.md "Root", config-linux.md "Rootfs Mount Propagation", "Masked Paths", "Readonly
//! Paths").
//!
//! Runs in: init, in the container's mount namespace.

use super::{mounts, target};
use crate::error::{At, Error, Result};
use crate::plan::Plan;
use crate::plan::rootfs::{Entry, RootfsPlan};
use crate::sys::fd::{CWD, leave_to_execve, open_at};
use crate::sys::mount::{self, MountAttr};
use nix::errno::Errno;
use nix::fcntl::{OFlag, ResolveFlag};
use nix::libc;
use nix::mount::{MntFlags, MsFlags, umount2};
use nix::sys::stat::SFlag;
use nix::unistd::{chdir, chroot, fchdir, pivot_root};
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Cuts the namespace off from the host as far as asked and turns the root directory into a
/// mount, without a mount namespace only if there are `mounts` to be made in it. The descriptor
/// returned is the root of everything that follows.
///
/// # Errors
/// The call that failed.
pub fn prepare(plan: &RootfsPlan, mounts: bool) -> Result<OwnedFd> {
    if plan.entry == Entry::ChrootOnly {
        // All that is mounted goes with the one mount below it, when somebody unmounts that.
        return if mounts { attach_root(plan) } else { open_root(plan) };
    }
    let flags = propagation(plan);
    set_path_propagation(c"/", flags)?;
    // pivot_root(2) refuses a parent mount that is shared; and the container's mounts must not
    // reach the host through it.
    make_parent_private(plan, flags)?;
    attach_root(plan)
}

fn attach_root(plan: &RootfsPlan) -> Result<OwnedFd> {
    let tree = mount::clone_tree(CWD, &plan.path, true)
        .at(|| format!("open_tree(rootfs {:?})", plan.path))?;
    mount::attach_below(tree.as_fd(), CWD, &plan.path)
        .at(|| format!("move_mount(rootfs {:?})", plan.path))?;
    Ok(tree)
}

/// What becomes of the host's mounts in the namespace first.
fn propagation(plan: &RootfsPlan) -> libc::c_ulong {
    plan.propagation.unwrap_or(libc::MS_SLAVE | libc::MS_REC)
}

/// Nothing that is done to any of the host's mounts here reaches the host.
fn cut_off(flags: libc::c_ulong) -> bool {
    flags & libc::MS_REC != 0 && flags & (libc::MS_SLAVE | libc::MS_PRIVATE) != 0
}

fn open_root(plan: &RootfsPlan) -> Result<OwnedFd> {
    // The path was checked by the runtime; as the host's it may run through links.
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
    open_at(CWD, &plan.path, flags, 0, ResolveFlag::empty())
        .at(|| format!("open rootfs {:?}", plan.path))
}

fn set_path_propagation(path: &std::ffi::CStr, flags: u64) -> Result<()> {
    let none: Option<&std::ffi::CStr> = None;
    nix::mount::mount(none, path, none, MsFlags::from_bits_retain(flags), none)
        .at(|| format!("mount({path:?}, propagation {flags:#x})"))
}

/// The mount the root directory lies on is found by trying, upwards: only a mount's own root
/// takes a propagation change. A recursive slave or private change of `/` has done it already.
fn make_parent_private(plan: &RootfsPlan, flags: u64) -> Result<()> {
    if cut_off(flags) {
        return Ok(());
    }
    let wanted = if flags & libc::MS_SLAVE != 0 { libc::MS_SLAVE } else { libc::MS_PRIVATE };
    let mut path = plan.path.to_string_lossy().into_owned();
    loop {
        let c_path = CString::new(path.as_str()).map_err(|_| Errno::EINVAL)?;
        match set_path_propagation(&c_path, wanted) {
            Err(error) if error.errno() == Some(Errno::EINVAL) && path != "/" => {
                let parent = path.rfind('/').unwrap_or(0).max(1);
                path.truncate(parent);
            }
            other => return other,
        }
    }
}

/// Makes `root` the process' root directory for good.
///
/// # Errors
/// The call that failed.
pub fn enter(root: BorrowedFd<'_>, plan: &RootfsPlan) -> Result<()> {
    match plan.entry {
        Entry::Pivot => pivot(root, plan)?,
        Entry::Move => move_root(root, plan)?,
        Entry::ChrootOnly => {
            fchdir(root).at(|| "fchdir(rootfs)")?;
            chroot(".").at(|| "chroot(rootfs)")?;
            chdir("/").at(|| "chdir(\"/\")")?;
        }
    }
    // MS_SHARED and MS_UNBINDABLE are for the root as the container sees it; before pivot_root
    // they would have changed the host's side.
    match plan.propagation {
        Some(flags) if flags & (libc::MS_PRIVATE | libc::MS_SLAVE) == 0 => {
            set_path_propagation(c"/", flags).at(|| "root propagation")
        }
        _ => Ok(()),
    }
}

/// Puts the old root on top of the new one and drops it there: with `.` for both, the working
/// directory leads to the old one afterwards (pivot_root(2), "pivot_root(\".\", \".\")").
fn pivot(root: BorrowedFd<'_>, plan: &RootfsPlan) -> Result<()> {
    fchdir(root).at(|| "fchdir(rootfs)")?;
    pivot_root(".", ".").at(|| "pivot_root(rootfs)")?;
    if !cut_off(propagation(plan)) {
        // Unmounting must not propagate to the host.
        set_path_propagation(c".", libc::MS_SLAVE | libc::MS_REC).at(|| "old root")?;
    }
    umount2(".", MntFlags::MNT_DETACH).at(|| "umount2(old root)")?;
    chdir("/").at(|| "chdir(\"/\")")
}

/// For root file systems that pivot_root(2) refuses, such as an initramfs. The old root stays
/// mounted below, so full views of /proc and /sys are removed from it first: a container that
/// found a way to them could use them to mount unmasked ones (mount_namespaces(7), MNT_LOCKED).
fn move_root(root: BorrowedFd<'_>, plan: &RootfsPlan) -> Result<()> {
    let rootfs = plan.path.to_string_lossy().into_owned();
    let table = procfs::process::Process::myself()
        .and_then(|process| process.mountinfo())
        .map_err(|error| Error::unsupported(format!("reading /proc/self/mountinfo: {error}")))?;
    for entry in table.0.iter().rev() {
        let point = entry.mount_point.to_string_lossy();
        let full = entry.root == "/" && matches!(entry.fs_type.as_str(), "proc" | "sysfs");
        if !full || point.starts_with(&rootfs) {
            continue;
        }
        let path = CString::new(point.as_bytes()).map_err(|_| Errno::EINVAL)?;
        match set_path_propagation(&path, libc::MS_SLAVE | libc::MS_REC) {
            Err(error) if error.errno() == Some(Errno::ENOENT) => continue,
            other => other?,
        }
        match umount2(path.as_c_str(), MntFlags::MNT_DETACH) {
            Ok(()) => {}
            // A locked mount can't go away, but it can be covered.
            Err(Errno::EINVAL | Errno::EPERM) => cover(&path)?,
            Err(errno) => return Err(errno).at(|| format!("umount2({path:?})")),
        }
    }
    fchdir(root).at(|| "fchdir(rootfs)")?;
    let none: Option<&std::ffi::CStr> = None;
    nix::mount::mount(Some(c"."), c"/", none, MsFlags::MS_MOVE, none)
        .at(|| "mount(rootfs, MS_MOVE)")?;
    chroot(".").at(|| "chroot(rootfs)")?;
    chdir("/").at(|| "chdir(\"/\")")
}

fn cover(path: &CString) -> Result<()> {
    let none: Option<&std::ffi::CStr> = None;
    nix::mount::mount(Some(c"tmpfs"), path.as_c_str(), Some(c"tmpfs"), MsFlags::MS_RDONLY, none)
        .at(|| format!("mount(tmpfs on {path:?})"))
}

/// Read-only and masked paths, late read-only mounts, and the root itself.
///
/// # Errors
/// The first path that can't be protected; one that does not exist is fine.
pub fn protect(root: BorrowedFd<'_>, plan: &Plan, null: Option<BorrowedFd<'_>>) -> Result<()> {
    for path in &plan.readonly_paths {
        readonly_path(root, path)
            .at(|| format!("can't make {:?} read-only", path.to_string_lossy()))?;
    }
    let mut hidden: Option<OwnedFd> = None;
    for path in &plan.masked_paths {
        mask(root, path, null, &mut hidden, plan)
            .at(|| format!("can't mask path {:?}", path.to_string_lossy()))?;
    }
    hidden.into_iter().for_each(leave_to_execve);
    mounts::finish_read_only(root, &plan.mounts)?;
    if plan.rootfs.readonly {
        mounts::read_only(root, false).at(|| "error setting rootfs as readonly")?;
    }
    Ok(())
}

fn readonly_path(root: BorrowedFd<'_>, path: &std::ffi::CStr) -> Result<()> {
    let below = match target::open(root, path) {
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(()),
        other => other.at(|| "openat2")?,
    };
    let attr = MountAttr { set: mount::MOUNT_ATTR_RDONLY, ..MountAttr::default() };
    let tree = mount::clone_tree_with(below.as_fd(), c"", true, &attr, true)
        .at(|| "open_tree_attr(read-only)")?;
    mount::attach(tree.as_fd(), below.as_fd()).at(|| "move_mount")?;
    leave_to_execve(tree);
    leave_to_execve(below);
    Ok(())
}

/// A directory is covered by an empty read-only tmpfs, one for all of them; anything else by
/// /dev/null, taken from the host before its root was left, so that no /dev/null of the image
/// can stand in for it (CVE-2025-31133).
fn mask(
    root: BorrowedFd<'_>,
    path: &std::ffi::CStr,
    null: Option<BorrowedFd<'_>>,
    hidden: &mut Option<OwnedFd>,
    plan: &Plan,
) -> Result<()> {
    let below = match target::open(root, path) {
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(()),
        other => other.at(|| "openat2")?,
    };
    if target::kind(&below).at(|| "fstat")? != SFlag::S_IFDIR {
        let null = null.ok_or_else(|| Error::unsupported("the host has no /dev/null"))?;
        let tree = match mount::clone_tree(null, c"", false) {
            // Before Linux 6.15 a mount that is attached nowhere could not be cloned.
            Err(Errno::EINVAL) => own_null(root)?,
            other => other.at(|| "open_tree(/dev/null)")?,
        };
        mount::attach(tree.as_fd(), below.as_fd()).at(|| "move_mount(/dev/null)")?;
        leave_to_execve(tree);
        leave_to_execve(below);
        return Ok(());
    }
    if let Some(first) = hidden {
        let tree = mount::clone_tree(first.as_fd(), c"", false).at(|| "open_tree(tmpfs)")?;
        mount::attach(tree.as_fd(), below.as_fd()).at(|| "move_mount(tmpfs)")?;
        leave_to_execve(tree);
        leave_to_execve(below);
        return Ok(());
    }
    fchdir(&below).at(|| "fchdir")?;
    let data = plan.tmpfs_label.as_deref();
    nix::mount::mount(Some(c"tmpfs"), c".", Some(c"tmpfs"), MsFlags::MS_RDONLY, data)
        .at(|| "mount(tmpfs)")?;
    // The working directory is set when all is hidden.
    *hidden = Some(target::open(root, path).at(|| "openat2")?);
    leave_to_execve(below);
    Ok(())
}

/// The container's /dev/null as a detached mount, checked to be the real one: what the image has
/// there may be anything.
fn own_null(root: BorrowedFd<'_>) -> Result<OwnedFd> {
    let node = target::open(root, c"/dev/null").at(|| "openat2(/dev/null)")?;
    let tree = mount::clone_tree(node.as_fd(), c"", false).at(|| "open_tree(/dev/null)")?;
    check_null(&tree)?;
    Ok(tree)
}

fn check_null(node: &OwnedFd) -> Result<()> {
    let status = nix::sys::stat::fstat(node).at(|| "fstat(\"/dev/null\")")?;
    if target::file_type(&status) != SFlag::S_IFCHR || status.st_rdev != libc::makedev(1, 3) {
        return Err(Error::unsupported("/dev/null is not the null device"));
    }
    Ok(())
}

/// /dev/null of the host as a detached mount, checked to be the real one.
///
/// # Errors
/// An error when it is something else than character device 1:3.
pub fn host_null() -> Result<OwnedFd> {
    // What the container may do with it is the node's business, not this mount's.
    let private = MountAttr { propagation: libc::MS_PRIVATE, ..MountAttr::default() };
    let tree = mount::clone_tree_with(CWD, c"/dev/null", false, &private, false)
        .at(|| "open_tree_attr(\"/dev/null\")")?;
    check_null(&tree)?;
    Ok(tree)
}
