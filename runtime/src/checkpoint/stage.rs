//! The root file system as CRIU wants to find it: a mount, with the container's mount points made.
//!
//! Runs as: the process that becomes CRIU, in a mount namespace of its own, so that nothing of this
//! is seen on the host and nothing has to be undone.

use crate::error::{At, Result};
use crate::init::mounts::set_propagation;
use crate::init::target;
use crate::plan::Plan;
use crate::plan::mounts::{MountKind, MountOp};
use crate::sys::clone::unshare;
use crate::sys::fd::{CWD, open_path};
use crate::sys::mount;
use nix::fcntl::OFlag;
use nix::libc;
use nix::mount::{MntFlags, umount2};
use nix::sys::stat::SFlag;
use nix::unistd::{chdir, fchdir};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Attaches the root file system at `place`, an empty directory, and makes the mount points in it.
///
/// # Errors
/// unshare(2), the mount calls, a mount point that can't be made.
pub fn root(plan: &Plan<'_>, place: &Path) -> Result<()> {
    unshare(libc::CLONE_NEWNS.cast_unsigned().into()).at(|| "unshare(mount)")?;
    let top = open_path(Path::new("/"), OFlag::O_PATH | OFlag::O_DIRECTORY).at(|| "open(\"/\")")?;
    set_propagation(top.as_fd(), libc::MS_SLAVE | libc::MS_REC).at(|| "\"/\"")?;
    let tree = mount::clone_tree(CWD, &plan.rootfs.path, true)
        .at(|| format!("open_tree(rootfs {:?})", plan.rootfs.path))?;
    let below = open_path(place, OFlag::O_PATH | OFlag::O_DIRECTORY)
        .at(|| format!("open({})", place.display()))?;
    mount::attach(tree.as_fd(), below.as_fd()).at(|| "move_mount(rootfs)")?;
    // CRIU mounts anew what is mounted here only to make the mount points below it.
    let mut mounted = Vec::new();
    for (index, op) in plan.mounts.iter().enumerate() {
        let before = plan.mounts.get(..index).unwrap_or_default();
        if is_made_by_criu(op, before) {
            continue;
        }
        make_point(tree.as_fd(), op, &mut mounted)
            .at(|| format!("mount point {:?}", op.destination.to_string_lossy()))?;
    }
    while let Some(tree) = mounted.pop() {
        fchdir(&tree).at(|| "fchdir(mount)")?;
        umount2(".", MntFlags::MNT_DETACH).at(|| "umount2(mount)")?;
    }
    chdir("/").at(|| "chdir(\"/\")")
}

/// Mount points in what another mount brings along, CRIU has in its images: in a tmpfs as its
/// content, in the others because the kernel makes them. Cgroups are among these.
fn is_made_by_criu(op: &MountOp, before: &[MountOp]) -> bool {
    let destination = op.destination.as_c_str();
    if destination == c"/"
        || matches!(op.kind, MountKind::Cgroup { .. } | MountKind::Remount { .. })
    {
        return true;
    }
    // The last mount above it is the one it lies in.
    let above = before.iter().rev().find(|other| is_below(destination, &other.destination));
    above.is_some_and(|other| !matches!(other.kind, MountKind::Bind { .. }))
}

/// Whether `path` is below `directory`.
fn is_below(path: &CStr, directory: &CStr) -> bool {
    let rest = path.to_bytes().strip_prefix(directory.to_bytes());
    rest.is_some_and(|rest| rest.first() == Some(&b'/') || directory.to_bytes() == b"/")
}

fn make_point(root: BorrowedFd<'_>, op: &MountOp, mounted: &mut Vec<OwnedFd>) -> Result<()> {
    let MountKind::Bind { source, recursive, .. } = &op.kind else {
        return target::make_directory(root, &op.destination).map(drop).at(|| "mkdirat");
    };
    let tree = mount::clone_tree(CWD, source, *recursive)
        .at(|| format!("open_tree({:?})", source.to_string_lossy()))?;
    let point = if target::kind(&tree).at(|| "fstat(source)")? == SFlag::S_IFDIR {
        target::make_directory(root, &op.destination)
    } else {
        target::make_file(root, &op.destination)
    }
    .at(|| "create mount destination")?;
    if target::kind(&tree).at(|| "fstat(source)")? == SFlag::S_IFDIR {
        mount::attach(tree.as_fd(), point.as_fd()).at(|| "move_mount")?;
        mounted.push(tree);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_is_by_whole_components() {
        for (path, directory, expected) in [
            (c"/dev/pts", c"/dev", true),
            (c"/dev", c"/dev", false),
            (c"/devices", c"/dev", false),
            (c"/dev", c"/", true),
        ] {
            assert_eq!(is_below(path, directory), expected, "{path:?} {directory:?}");
        }
    }
}
