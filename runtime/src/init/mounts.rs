//! Carrying out the planned mounts (config.md "Mounts").
//!
//! Runs in: init, in the container's mount namespace before pivot_root, so that host paths can
//! still be named; targets only by descriptor (see [`super::target`]).

use super::target::{self, Siblings};
use super::tmpcopyup;
use crate::error::{At, Error, Result};
use crate::plan::cgroup_mount::{CgroupMount, Hierarchy};
use crate::plan::mounts::{IdMap, MountKind, MountOp, bind_attr, bind_attr_locked};
use crate::plan::namespaces::NamespaceType;
use crate::spawn::channel::{Channel, Message, Tree};
use crate::spawn::{Staged, sources};
use crate::sys::fd::{CWD, leave_to_execve};
use crate::sys::mount::{self, MountAttr, clone_tree};
use nix::errno::Errno;
use nix::libc;
use nix::mount::MsFlags;
use nix::sys::stat::{Mode, SFlag, fstat, mkdirat};
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Makes every mount of the plan below `root`.
///
/// # Errors
/// The first that fails, with its index and destination.
pub fn mount_all(root: BorrowedFd<'_>, staged: &Staged<'_>, channel: &Channel) -> Result<()> {
    let mut siblings = Siblings::default();
    for op in &staged.plan.mounts {
        mount_one(root, op, &mut siblings, staged, channel).at(|| describe(op))?;
    }
    siblings.forget();
    Ok(())
}

fn describe(op: &MountOp) -> String {
    let source = match &op.kind {
        MountKind::Bind { source, .. }
        | MountKind::Kernel { source, .. }
        | MountKind::Tmpfs { source, .. }
        | MountKind::Filesystem { source, .. } => source.as_c_str(),
        MountKind::Cgroup { .. } => c"cgroup",
        MountKind::Remount { .. } => c"remount",
    };
    format!(
        "error mounting {:?} to rootfs at {:?} (mounts[{}])",
        source.to_string_lossy(),
        op.destination.to_string_lossy(),
        op.index
    )
}

fn mount_one(
    root: BorrowedFd<'_>,
    op: &MountOp,
    siblings: &mut Siblings,
    staged: &Staged<'_>,
    channel: &Channel,
) -> Result<()> {
    match &op.kind {
        MountKind::Bind { source, recursive, idmap } => {
            refuse_root(op)?;
            let tree = open_source(op, source, *recursive, idmap.as_ref(), staged, channel)?;
            bind(root, op, siblings, &tree)
        }
        MountKind::Kernel { fstype, source, data } => {
            let target = plain_directory(root, op, siblings, fstype)?;
            filesystem(target.as_fd(), fstype, source, op.flags, data)?;
            leave_to_execve(target);
            finish(root, op)
        }
        MountKind::Tmpfs { source, data, copy_up } => {
            tmpfs(root, op, siblings, &Tmpfs { source, data, copy_up: *copy_up })?;
            finish(root, op)
        }
        MountKind::Cgroup { data } => cgroup(root, op, siblings, data, staged),
        MountKind::Filesystem { fstype, source, data } => {
            let target = directory(root, op, siblings)?;
            filesystem(target.as_fd(), fstype, source, writable_dev(op), data)?;
            leave_to_execve(target);
            finish(root, op)
        }
        MountKind::Remount { data } => {
            siblings.forget();
            let target = target::open(root, &op.destination).at(|| "mount destination")?;
            filesystem(target.as_fd(), c"", c"", op.flags | libc::MS_REMOUNT, data)?;
            finish(root, op)
        }
    }
}

/// /dev gets its nodes after it is mounted, so it becomes read-only only at the end.
fn writable_dev(op: &MountOp) -> u64 {
    if op.destination.as_c_str() == c"/dev" { op.flags & !libc::MS_RDONLY } else { op.flags }
}

fn directory(root: BorrowedFd<'_>, op: &MountOp, siblings: &mut Siblings) -> Result<OwnedFd> {
    refuse_root(op)?;
    siblings.make_directory(root, &op.destination).at(|| "create mount destination")
}

fn refuse_root(op: &MountOp) -> Result<()> {
    if op.destination.as_c_str() == c"/" {
        return Err(Error::config("mount destination is the root of the container"));
    }
    Ok(())
}

/// proc and sysfs go only onto what is a directory without following any link: a container that
/// plants a link could otherwise place them elsewhere and fake them (CVE-2019-19921,
/// CVE-2023-27561).
fn plain_directory(
    root: BorrowedFd<'_>,
    op: &MountOp,
    siblings: &mut Siblings,
    fstype: &CStr,
) -> Result<OwnedFd> {
    use nix::fcntl::{OFlag, ResolveFlag};
    refuse_root(op)?;
    siblings.forget();
    let resolve = target::in_root() | ResolveFlag::RESOLVE_NO_SYMLINKS;
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
    match crate::sys::fd::open_at(root, &op.destination, flags, 0, resolve) {
        Ok(fd) => Ok(fd),
        Err(Errno::ENOENT) => directory(root, op, siblings),
        Err(Errno::ELOOP | Errno::ENOTDIR) => Err(Error::config(format!(
            "filesystem {fstype:?} must be mounted on ordinary directory"
        ))),
        Err(errno) => Err(errno).at(|| "mount destination"),
    }
}

/// mount(2) on a directory by way of the working directory: needs neither /proc nor a path.
fn filesystem(
    target: BorrowedFd<'_>,
    fstype: &CStr,
    source: &CStr,
    flags: u64,
    data: &CStr,
) -> Result<()> {
    nix::unistd::fchdir(target).at(|| "fchdir(mount destination)")?;
    let flags = MsFlags::from_bits_retain(flags);
    let option = |text: &'_ CStr| if text.is_empty() { None } else { Some(text.to_owned()) };
    nix::mount::mount(Some(source), c".", option(fstype).as_deref(), flags, option(data).as_deref())
        .at(|| format!("mount({fstype:?}, flags {:#x}, data {data:?})", flags.bits()))
}

/// Propagation and whole-tree attributes of a mount that has just been made.
fn finish(root: BorrowedFd<'_>, op: &MountOp) -> Result<()> {
    if op.propagation.is_empty() && op.recursive.is_none() {
        return Ok(());
    }
    let mounted = target::open(root, &op.destination).at(|| "mount destination")?;
    change(mounted.as_fd(), op)
}

fn change(mounted: BorrowedFd<'_>, op: &MountOp) -> Result<()> {
    for propagation in &op.propagation {
        set_propagation(mounted, *propagation)?;
    }
    if let Some(attr) = &op.recursive {
        mount::set_attr(mounted, attr, true)
            .at(|| format!("mount_setattr(recursive, {:#x})", attr.set))?;
    }
    Ok(())
}

/// Sets the propagation type of the mount `fd` is on; MS_REC for the tree.
pub fn set_propagation(fd: BorrowedFd<'_>, flags: u64) -> Result<()> {
    let attr = MountAttr { propagation: flags & !libc::MS_REC, ..MountAttr::default() };
    mount::set_attr(fd, &attr, flags & libc::MS_REC != 0)
        .at(|| format!("mount_setattr(propagation {flags:#x})"))
}

/// The source as a mount of its own: by init itself where it may, else by the runtime.
fn open_source(
    op: &MountOp,
    source: &CStr,
    recursive: bool,
    idmap: Option<&IdMap>,
    staged: &Staged<'_>,
    channel: &Channel,
) -> Result<Tree> {
    let has_user = staged.plan.namespaces.has(NamespaceType::User);
    let ask = || {
        channel.send(&Message::Source(u32::try_from(op.index).unwrap_or(u32::MAX)))?;
        channel.await_tree()
    };
    if idmap.is_some() && has_user {
        return ask();
    }
    let mount = match clone_tree(CWD, source, recursive) {
        // EINVAL: a single mount would uncover what the host covers in it.
        Err(Errno::EACCES | Errno::EINVAL) if has_user => return ask(),
        other => other.at(|| format!("open_tree({:?})", source.to_string_lossy()))?,
    };
    if let (Some(idmap), Some(Some(mapping))) = (idmap, staged.mappings.get(op.index)) {
        sources::map(mount.as_fd(), idmap, mapping.as_fd())?;
    }
    Ok(Tree { mount, locked: true })
}

fn bind(root: BorrowedFd<'_>, op: &MountOp, siblings: &mut Siblings, tree: &Tree) -> Result<()> {
    let mount = tree.mount.as_fd();
    let kind = target::kind(mount).at(|| "fstat(source)")?;
    if op.destination.as_c_str() == c"/proc" {
        let magic = fstatfs(mount).at(|| "fstatfs(source)")?.filesystem_type();
        if magic != PROC_SUPER_MAGIC {
            return Err(Error::config(
                "\"/proc\" cannot be mounted because it is not of type proc",
            ));
        }
    }
    set_bind_flags(mount, op, tree.locked)?;
    let target = if kind == SFlag::S_IFDIR {
        siblings.make_directory(root, &op.destination)
    } else {
        siblings.forget();
        target::make_file(root, &op.destination)
    }
    .at(|| "create mount destination")?;
    mount::attach(mount, target.as_fd()).at(|| "move_mount")?;
    leave_to_execve(target);
    change(mount, op)
}

/// The flags of the entry on the top mount of a detached tree. What a more privileged namespace
/// forbids stays forbidden (mount_namespaces(7)); where the kernel does not see to that, as the
/// host's root has cloned the tree, this does.
fn set_bind_flags(tree: BorrowedFd<'_>, op: &MountOp, locked: bool) -> Result<()> {
    let Some(attr) = bind_attr(op.flags, op.cleared) else { return Ok(()) };
    let what = "failed to set user-requested vfs flags on bind-mount";
    if locked {
        match mount::set_attr(tree, &attr, false) {
            Err(Errno::EPERM) => {}
            other => return other.at(|| format!("{what}: mount_setattr({:#x})", attr.set)),
        }
    }
    let source = mount::flags(tree).at(|| "fstatfs(source)")?;
    let attr = match bind_attr_locked(op.flags, op.cleared, source) {
        Ok(attr) => attr,
        Err(flags) => {
            return Err(Errno::EPERM)
                .at(|| format!("{what}: the host has locked the source's {flags}"));
        }
    };
    mount::set_attr(tree, &attr, false).at(|| format!("{what}: mount_setattr({:#x})", attr.set))
}

/// What a tmpfs is mounted with.
struct Tmpfs<'a> {
    source: &'a CStr,
    data: &'a CStr,
    copy_up: bool,
}

fn tmpfs(
    root: BorrowedFd<'_>,
    op: &MountOp,
    siblings: &mut Siblings,
    tmpfs: &Tmpfs<'_>,
) -> Result<()> {
    refuse_root(op)?;
    let (target, existed) = tmpfs_target(root, op, siblings)?;
    let mut data = tmpfs.data.to_owned();
    if existed {
        // The covered directory's mode is kept unless the options say otherwise.
        let mode = fstat(&target).at(|| "fstat(mount destination)")?.st_mode & 0o7777;
        let text = data.to_str().unwrap_or_default();
        let joined = if text.is_empty() {
            format!("mode={mode:04o}")
        } else {
            format!("mode={mode:04o},{text}")
        };
        data = CString::new(joined).unwrap_or_default();
    }
    let flags = op.flags & !libc::MS_RDONLY;
    filesystem(target.as_fd(), c"tmpfs", tmpfs.source, flags, &data)?;
    if tmpfs.copy_up {
        let mounted = target::open(root, &op.destination).at(|| "mount destination")?;
        tmpcopyup::copy(target.as_fd(), mounted.as_fd()).at(|| "tmpcopyup")?;
    }
    leave_to_execve(target);
    Ok(())
}

/// Where a tmpfs goes, and whether that was there already.
fn tmpfs_target(
    root: BorrowedFd<'_>,
    op: &MountOp,
    siblings: &mut Siblings,
) -> Result<(OwnedFd, bool)> {
    if let Some(new) = siblings.make_beside(&op.destination) {
        return Ok((new, false));
    }
    match target::open(root, &op.destination) {
        Ok(existing) => {
            siblings.forget();
            Ok((existing, true))
        }
        Err(Errno::ENOENT) => Ok((directory(root, op, siblings)?, false)),
        Err(errno) => Err(errno).at(|| "mount destination"),
    }
}

/// tmpfs mounts and /dev that were asked to be read-only become so when nothing is to be made in
/// them any more.
pub fn finish_read_only(root: BorrowedFd<'_>, ops: &[MountOp]) -> Result<()> {
    for op in ops {
        let late =
            matches!(op.kind, MountKind::Tmpfs { .. }) || op.destination.as_c_str() == c"/dev";
        if !late || op.flags & libc::MS_RDONLY == 0 || matches!(op.kind, MountKind::Bind { .. }) {
            continue;
        }
        let mounted = target::open(root, &op.destination).at(|| describe(op))?;
        read_only(mounted.as_fd(), false).at(|| describe(op))?;
    }
    Ok(())
}

/// Makes the mount `fd` is on, or the whole tree, read-only.
pub fn read_only(fd: BorrowedFd<'_>, recursive: bool) -> Result<()> {
    let attr = MountAttr { set: mount::MOUNT_ATTR_RDONLY, ..MountAttr::default() };
    mount::set_attr(fd, &attr, recursive).at(|| "mount_setattr(read-only)")
}

fn cgroup(
    root: BorrowedFd<'_>,
    op: &MountOp,
    siblings: &mut Siblings,
    data: &CStr,
    staged: &Staged<'_>,
) -> Result<()> {
    let target = directory(root, op, siblings)?;
    match &staged.plan.cgroup_mount {
        CgroupMount::Unified { fallback } => {
            let mounted = filesystem(target.as_fd(), c"cgroup2", c"cgroup", op.flags, data);
            match mounted {
                // A user namespace without its own cgroup namespace may not mount it: show the
                // same files by a bind mount.
                Err(error) if matches!(error.errno(), Some(Errno::EPERM | Errno::EBUSY)) => {
                    bind_cgroup(target.as_fd(), c"", fallback, op)?;
                }
                other => other?,
            }
            finish(root, op)
        }
        CgroupMount::Hierarchies { binds, links } => {
            let quiet = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
            filesystem(target.as_fd(), c"tmpfs", c"tmpfs", quiet, c"mode=755")?;
            let top = target::open(root, &op.destination).at(|| "mount destination")?;
            for hierarchy in binds {
                show_hierarchy(top.as_fd(), hierarchy, op)
                    .at(|| format!("hierarchy {:?}", hierarchy.name))?;
            }
            for (name, target) in links {
                nix::unistd::symlinkat(target.as_c_str(), top.as_fd(), name.as_c_str())
                    .at(|| format!("symlinkat({name:?})"))?;
            }
            if op.flags & libc::MS_RDONLY != 0 {
                read_only(top.as_fd(), false)?;
            }
            leave_to_execve(target);
            change(top.as_fd(), op)?;
            leave_to_execve(top);
            Ok(())
        }
    }
}

/// One cgroup v1 hierarchy below the tmpfs `top`, which was mounted just now: nobody else has
/// anything in it.
fn show_hierarchy(top: BorrowedFd<'_>, hierarchy: &Hierarchy, op: &MountOp) -> Result<()> {
    let Some(data) = &hierarchy.data else {
        mkdirat(top, hierarchy.name.as_c_str(), Mode::from_bits_truncate(0o755))
            .at(|| "mkdirat")?;
        return match bind_cgroup(top, &hierarchy.name, &hierarchy.source, op) {
            Err(error) if error.errno() == Some(Errno::ENOENT) => {
                bind_cgroup(top, &hierarchy.name, &hierarchy.own, op)
            }
            other => other,
        };
    };
    let below = target::make_new_directory(top, &hierarchy.name).at(|| "mkdirat")?;
    let quiet = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    let flags = quiet | (op.flags & libc::MS_RDONLY);
    filesystem(below.as_fd(), c"cgroup", &hierarchy.source, flags, data)
}

/// Binds `source` on `name` in `parent`, or on `parent` itself when there is no name.
fn bind_cgroup(parent: BorrowedFd<'_>, name: &CStr, source: &CStr, op: &MountOp) -> Result<()> {
    let attr = bind_attr(op.flags, op.cleared).unwrap_or_default();
    let tree = match mount::clone_tree_with(CWD, source, false, &attr, false) {
        // Some of the flags are locked.
        Err(Errno::EPERM) => {
            let tree = clone_tree(CWD, source, false).at(|| format!("open_tree({source:?})"))?;
            set_bind_flags(tree.as_fd(), op, true)?;
            tree
        }
        other => other.at(|| format!("open_tree_attr({source:?})"))?,
    };
    mount::attach_below(tree.as_fd(), parent, name).at(|| "move_mount")?;
    leave_to_execve(tree);
    Ok(())
}
