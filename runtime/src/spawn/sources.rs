//! What bind mounts need of the runtime: user namespaces that carry an id map, and sources that
//! init, as another user in its namespace, can't open or may not map.

use super::channel::{Channel, Tree};
use super::namespaces::{Opened, own};
use super::{Staged, idmap};
use crate::error::{At, Error, Kind, Result};
use crate::init::mounts::set_propagation;
use crate::plan::Plan;
use crate::plan::mounts::{IdMap, MountKind};
use crate::plan::namespaces::NamespaceType;
use crate::sys::child;
use crate::sys::clone::{Cloned, fork_into, setns};
use crate::sys::exec::exit_child;
use crate::sys::fd::CWD;
use crate::sys::mount::{MOUNT_ATTR_IDMAP, MountAttr, clone_tree, set_attr};
use nix::errno::Errno;
use nix::libc;
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// The user namespaces of id-mapped mounts, by mount index.
///
/// Runs as: the runtime, before the clone.
///
/// # Errors
/// A map that can't be made, with its mount.
pub fn mappings(plan: &Plan<'_>, joined: &Opened) -> Result<Vec<Option<OwnedFd>>> {
    let mut mappings = Vec::new();
    for op in &plan.mounts {
        let MountKind::Bind { idmap: Some(idmap), .. } = &op.kind else { continue };
        let mapping = mapping(idmap, plan, joined).at(|| format!("mounts[{}]", op.index))?;
        mappings.resize_with(mappings.len().max(op.index + 1), || None);
        if let Some(place) = mappings.get_mut(op.index) {
            *place = Some(mapping);
        }
    }
    Ok(mappings)
}

fn mapping(idmap: &IdMap, plan: &Plan<'_>, joined: &Opened) -> Result<OwnedFd> {
    match (&idmap.maps, joined.get(NamespaceType::User)) {
        (Some((uids, gids)), _) => idmap::namespace(uids, gids),
        (None, Some(joined)) => joined.try_clone_to_owned().at(|| "dup(user namespace)"),
        (None, None) => idmap::namespace(&plan.namespaces.uid_map, &plan.namespaces.gid_map),
    }
}

/// Maps the ids of a detached mount.
///
/// # Errors
/// mount_setattr(2): EINVAL when the file system can't.
pub fn map(tree: BorrowedFd<'_>, idmap: &IdMap, mapping: BorrowedFd<'_>) -> Result<()> {
    let attr = MountAttr {
        set: MOUNT_ATTR_IDMAP,
        userns_fd: u64::try_from(mapping.as_raw_fd()).unwrap_or_default(),
        ..MountAttr::default()
    };
    set_attr(tree, &attr, idmap.recursive).at(|| "mount_setattr(MOUNT_ATTR_IDMAP)")
}

/// Opens the source of one bind mount for init, from a child: joining a mount namespace gives up
/// the own root and working directory.
///
/// Runs as: the runtime, with its own privileges.
///
/// # Errors
/// The child. What it fails to open, it tells init.
pub fn serve(
    staged: &Staged<'_>,
    index: u32,
    init: BorrowedFd<'_>,
    channel: &Channel,
) -> Result<()> {
    match fork_into(0, None, false).at(|| "clone3(for a bind source)")? {
        Cloned::Child => {
            let told = channel.give_tree(open(staged, index, init));
            exit_child(i32::from(told.is_err()))
        }
        Cloned::Parent { pidfd, .. } => {
            let exit = child::wait(pidfd.as_fd()).at(|| "waiting for a bind source")?;
            if exit.code() == 0 {
                return Ok(());
            }
            Err(Error::new(Kind::Init, "the child that opens a bind source died"))
        }
    }
}

fn open(staged: &Staged<'_>, index: u32, init: BorrowedFd<'_>) -> Result<Tree> {
    let index = usize::try_from(index).unwrap_or(usize::MAX);
    let op = staged.plan.mounts.iter().find(|op| op.index == index);
    let Some(MountKind::Bind { source, recursive, idmap }) = op.map(|op| &op.kind) else {
        return Err(Error::new(Kind::Init, "init asked for a source that is none"));
    };
    let tree = clone(source, *recursive, init)?;
    if let (Some(idmap), Some(Some(mapping))) = (idmap, staged.mappings.get(index)) {
        map(tree.mount.as_fd(), idmap, mapping.as_fd())?;
    }
    Ok(tree)
}

/// From init's copy of the mount table, where earlier mounts of the container are and where the
/// host's have their flags locked; from the host's if that copy does not give it away.
fn clone(source: &CStr, recursive: bool, init: BorrowedFd<'_>) -> Result<Tree> {
    let host = own(NamespaceType::Mount)?;
    setns(init, NamespaceType::Mount.flag()).at(|| "setns(mount namespace of init)")?;
    let what = || format!("open_tree({:?})", source.to_string_lossy());
    match clone_tree(CWD, source, recursive) {
        Ok(mount) => return Ok(Tree { mount, locked: true }),
        // A single mount would uncover what others cover in it (mount_namespaces(7)).
        Err(Errno::EINVAL) if !recursive => {}
        Err(errno) => return Err(errno).at(what),
    }
    setns(host.as_fd(), NamespaceType::Mount.flag()).at(|| "setns(own mount namespace)")?;
    let mount = clone_tree(CWD, source, recursive).at(what)?;
    // As in init's own copy of the mount table: events come from the host, none go back.
    set_propagation(mount.as_fd(), libc::MS_SLAVE | libc::MS_REC)?;
    Ok(Tree { mount, locked: false })
}
