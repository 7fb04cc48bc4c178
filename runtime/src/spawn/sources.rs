//! Bind sources that the runtime opens for init: where ids are mapped, and where init, as another
//! user in its namespace, may not be able to reach them.
//!
//! Runs as: the runtime, before the clone, in the host's mount namespace.

use super::idmap;
use super::namespaces::Opened;
use crate::error::{At, Result};
use crate::init::mounts::{keep_bind_flags, set_bind_flags, set_propagation};
use crate::plan::Plan;
use crate::plan::mounts::{IdMap, MountKind, MountOp};
use crate::plan::namespaces::NamespaceType;
use crate::sys::fd::CWD;
use crate::sys::mount::{MOUNT_ATTR_IDMAP, MountAttr, clone_tree, set_attr};
use nix::libc;
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// One entry for each mount; absent where init opens the source itself.
///
/// # Errors
/// A source that can't be opened or mapped, with its mount.
pub fn open(plan: &Plan<'_>, joined: &Opened) -> Result<Vec<Option<OwnedFd>>> {
    let has_user = plan.namespaces.has(NamespaceType::User);
    let privileged = nix::unistd::geteuid().is_root();
    let mut sources = Vec::new();
    for op in &plan.mounts {
        let MountKind::Bind { source, recursive, idmap } = &op.kind else { continue };
        if idmap.is_none() && !(has_user && privileged) {
            continue;
        }
        let tree = open_one(op, source, *recursive, idmap.as_ref(), plan, joined)
            .at(|| format!("bind source {:?} (mounts[{}])", source.to_string_lossy(), op.index))?;
        if sources.len() <= op.index {
            sources.resize_with(op.index + 1, || None);
        }
        if let Some(place) = sources.get_mut(op.index) {
            *place = Some(tree);
        }
    }
    Ok(sources)
}

fn open_one(
    op: &MountOp,
    source: &CStr,
    recursive: bool,
    idmap: Option<&IdMap>,
    plan: &Plan<'_>,
    joined: &Opened,
) -> Result<OwnedFd> {
    let tree = clone_tree(CWD, source, recursive).at(|| "open_tree")?;
    // As in init's own copy of the mount table: events come from the host, none go back.
    set_propagation(tree.as_fd(), libc::MS_SLAVE | libc::MS_REC)?;
    if let Some(idmap) = idmap {
        // The attributes come first, as whoever owns the mapping does not matter to them.
        if plan.namespaces.has(NamespaceType::User) {
            keep_bind_flags(tree.as_fd(), op)?;
        } else {
            set_bind_flags(tree.as_fd(), op)?;
        }
        map(&tree, idmap, plan, joined)?;
    }
    Ok(tree)
}

fn map(tree: &OwnedFd, idmap: &IdMap, plan: &Plan<'_>, joined: &Opened) -> Result<()> {
    let (uids, gids) = match &idmap.maps {
        Some((uids, gids)) => (uids.as_str(), gids.as_str()),
        None => (plan.namespaces.uid_map.as_str(), plan.namespaces.gid_map.as_str()),
    };
    let made;
    let namespace =
        if let Some(joined) = joined.get(NamespaceType::User).filter(|_| idmap.maps.is_none()) {
            joined
        } else {
            made = idmap::namespace(uids, gids)?;
            made.as_fd()
        };
    let attr = MountAttr {
        set: MOUNT_ATTR_IDMAP,
        userns_fd: u64::try_from(namespace.as_raw_fd()).unwrap_or_default(),
        ..MountAttr::default()
    };
    set_attr(tree.as_fd(), &attr, idmap.recursive).at(|| "mount_setattr(MOUNT_ATTR_IDMAP)")
}
