//! Mounts whose ids on disk appear mapped: mount_setattr(2) with MOUNT_ATTR_IDMAP.

use super::options::{Plan, shorten};
use super::{effect, in_directory, unmount_all};
use crate::error::{At, Error, Result};
use crate::proto::Mount;
use crate::sys_mount::{clone_tree, map_ids, move_to, user_namespace};
use std::fmt::Write;
use std::fs;
use std::os::fd::AsFd;
use std::path::Path;

/// Mounts `entry` at `target` with its ids mapped.
///
/// Overlay takes no map itself: its lower layers are mapped instead, at once through the
/// directory they have in common. The upper layer is written with mapped ids anyway.
pub fn mount(entry: &Mount, plan: &Plan, uids: &str, gids: &str, target: &Path) -> Result<()> {
    let space = user_namespace(&table(uids)?, &table(gids)?)?;
    if entry.r#type != "overlay" {
        effect(entry, plan, target)?;
        let tree = clone_tree(target)?;
        map_ids(tree.as_fd(), space.as_fd(), false)?;
        return move_to(tree.as_fd(), target);
    }
    let (dir, data) = shorten(&plan.data).ok_or_else(|| {
        Error::invalid("an overlay with mapped ids needs lower layers below one directory")
    })?;
    let tree = clone_tree(Path::new(&dir))?;
    map_ids(tree.as_fd(), space.as_fd(), true)?;
    let place = target.with_file_name("idmapped");
    fs::create_dir_all(&place).at(|| format!("make {}", place.display()))?;
    let done = move_to(tree.as_fd(), &place).and_then(|()| {
        let plan = Plan { data, ..plan.clone() };
        in_directory(&place, || effect(entry, &plan, target))
    });
    unmount_all(&place)?;
    fs::remove_dir(&place).at(|| format!("remove {}", place.display()))?;
    done
}

/// `CONTAINER:HOST:SIZE` and more after commas, as lines of a uid_map (user_namespaces(7)).
fn table(map: &str) -> Result<String> {
    let mut lines = String::new();
    for entry in map.split(',') {
        let numbers: Vec<u32> = entry.split(':').filter_map(|word| word.parse().ok()).collect();
        let [inside, outside, size] = numbers[..] else {
            return Err(Error::invalid(format!("id map {entry:?}: not CONTAINER:HOST:SIZE")));
        };
        let _ = writeln!(lines, "{inside} {outside} {size}");
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_become_the_kernels_lines() {
        assert_eq!(table("0:1000:10,10:5000:1").unwrap(), "0 1000 10\n10 5000 1\n");
        for wrong in ["", "0:1000", "0:-1:1", "a:b:c", "0:0:1:1"] {
            assert!(table(wrong).is_err(), "{wrong:?}");
        }
    }
}
