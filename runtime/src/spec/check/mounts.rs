//! `mounts` (config.md#mounts).

use super::{Problems, has_namespace};
use crate::spec::{Mount, Spec};

pub(super) fn check(spec: &Spec, problems: &mut Problems) {
    for (i, mount) in spec.mounts.iter().enumerate() {
        let at = || format!("mounts[{i}]");
        if mount.destination.is_empty() {
            problems.add(at() + ".destination", "must not be empty");
        }
        problems.text(|| at() + ".destination", &mount.destination);
        problems.text(|| at() + ".source", &mount.source);
        problems.text(|| at() + ".type", &mount.typ);
        for (j, option) in mount.options.iter().enumerate() {
            problems.text(|| format!("{}.options[{j}]", at()), option);
        }
        // A relative source is taken from the bundle; an empty one would be the bundle itself.
        if is_bind(mount) && mount.source.is_empty() {
            problems.add(at() + ".source", "a bind mount needs a source");
        }
        id_mappings(mount, spec, &at(), problems);
    }
}

/// "A mount is a bind mount if it has either `bind` or `rbind` in the options."
fn is_bind(mount: &Mount) -> bool {
    mount.options.iter().any(|option| option == "bind" || option == "rbind")
}

/// config.md#posix-platform-mounts, and `idmap` in #linux-mount-options.
fn id_mappings(mount: &Mount, spec: &Spec, at: &str, problems: &mut Problems) {
    let wanted = mount.options.iter().any(|option| option == "idmap" || option == "ridmap");
    let (uids, gids) = (!mount.uid_mappings.is_empty(), !mount.gid_mappings.is_empty());
    if !wanted && !uids && !gids {
        return;
    }
    // mount_setattr(2) could do more, but the mapping of a new file system is its user namespace's.
    if !is_bind(mount) {
        problems.add(at, "id-mapped mounts are only supported for bind-mounts");
    }
    if uids != gids {
        // "it MUST be specified along with" the other
        problems.add(at, "id-mapped mounts must have both uid and gid mappings specified");
    } else if !uids && !has_namespace(spec, "user") {
        // "If there are no uidMappings and gidMappings specified and the container isn't using user
        // namespaces, an error MUST be returned."
        problems.add(at, "an idmap option needs mappings, or a user namespace to take them from");
    }
    problems.mappings(&format!("{at}.uidMappings"), &mount.uid_mappings);
    problems.mappings(&format!("{at}.gidMappings"), &mount.gid_mappings);
}

/// "For compatibility with old tools and configurations, it MAY be a relative path".
pub(super) fn warnings(mounts: &[Mount], problems: &mut Problems) {
    for (i, mount) in mounts.iter().enumerate() {
        let destination = &mount.destination;
        if !destination.is_empty() && !destination.starts_with('/') {
            problems.add(
                format!("mounts[{i}].destination"),
                format!("{destination:?} is relative, which is deprecated; it is taken from /"),
            );
        }
    }
}
