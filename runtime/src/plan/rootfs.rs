//! `root` and `linux.rootfsPropagation` (config.md "Root", config-linux.md).

use crate::spec::{Problem, Spec};
use nix::libc;
use std::ffi::CString;
use std::path::Path;

/// How init makes the root directory its root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// pivot_root(2).
    Pivot,
    /// mount(2) with MS_MOVE, then chroot(2): `--no-pivot`.
    Move,
    /// chroot(2) alone: the container has no mount namespace of its own.
    ChrootOnly,
}

/// The container's root file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootfsPlan {
    /// Absolute path on the host.
    pub path: CString,
    /// Read-only inside the container.
    pub readonly: bool,
    /// mount(2) propagation flags, if configured.
    pub propagation: Option<u64>,
    /// How it is entered.
    pub entry: Entry,
}

/// Plans the root of the bundle at `bundle`.
pub fn plan(
    spec: &Spec,
    bundle: &Path,
    own_mount_namespace: bool,
    no_pivot: bool,
    problems: &mut Vec<Problem>,
) -> RootfsPlan {
    let root = spec.root.clone().unwrap_or_default();
    let path = bundle.join(&root.path);
    let name = spec.linux.as_ref().map_or("", |linux| linux.rootfs_propagation.as_str());
    let path = CString::new(path.as_os_str().as_encoded_bytes()).unwrap_or_else(|_| {
        problems.push(Problem::new("root.path", "contains a NUL byte"));
        CString::default()
    });
    let entry = match (own_mount_namespace, no_pivot) {
        (false, _) => Entry::ChrootOnly,
        (true, true) => Entry::Move,
        (true, false) => Entry::Pivot,
    };
    RootfsPlan { path, readonly: root.readonly, propagation: propagation(name, problems), entry }
}

fn propagation(name: &str, problems: &mut Vec<Problem>) -> Option<u64> {
    if name.is_empty() {
        return None;
    }
    let (kind, recursive) = match name.strip_prefix('r') {
        Some(kind) => (kind, libc::MS_REC),
        None => (name, 0),
    };
    let flag = match kind {
        "shared" => libc::MS_SHARED,
        "slave" => libc::MS_SLAVE,
        "private" => libc::MS_PRIVATE,
        "unbindable" => libc::MS_UNBINDABLE,
        _ => {
            let what = format!("{name:?} is not one of shared, slave, private, unbindable");
            problems.push(Problem::new("linux.rootfsPropagation", what));
            return None;
        }
    };
    Some(flag | recursive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn propagation_names() {
        let mut problems = Vec::new();
        assert_eq!(propagation("rslave", &mut problems), Some(libc::MS_SLAVE | libc::MS_REC));
        assert_eq!(propagation("shared", &mut problems), Some(libc::MS_SHARED));
        assert_eq!(propagation("", &mut problems), None);
        assert!(problems.is_empty());
        assert_eq!(propagation("rubbish", &mut problems), None);
        assert_eq!(problems.len(), 1);
    }
}
