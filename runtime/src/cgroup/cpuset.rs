//! cpuset of cgroup v1: a new cgroup has neither CPUs nor memory nodes, and takes no process
//! before it has both (cpuset(7)). They are copied from the parent.

use super::file::{gone, read_raw, write};
use crate::error::{At, Result};
use std::path::Path;

/// Both files, and their names in a hierarchy mounted with `noprefix`.
const FILES: [[&str; 2]; 2] = [["cpuset.cpus", "cpus"], ["cpuset.mems", "mems"]];

/// Fills the empty files of `path` and its parents below `mount`. A `new` directory is known to be
/// empty (or has, by `cgroup.clone_children`, what its parent has).
pub(super) fn inherit(path: &Path, mount: &Path, new: bool) -> Result<()> {
    FILES.iter().try_for_each(|names| fill(names, path, mount, new))
}

/// Fills one of the files from the nearest parent that has a value, parents first.
fn fill(names: &[&str; 2], path: &Path, mount: &Path, new: bool) -> Result<()> {
    let mut empty = Vec::new();
    for level in path.ancestors().take_while(|level| level.starts_with(mount)) {
        if new && level == path {
            empty.push(level);
            continue;
        }
        let (name, text) = read_either(names, level)?;
        let value = text.trim_end();
        if value.is_empty() {
            empty.push(level);
            continue;
        }
        return empty.into_iter().rev().try_for_each(|level| write(level, name, value));
    }
    Ok(())
}

/// The content of whichever of the two files there is.
fn read_either<'a>(names: &[&'a str; 2], level: &Path) -> Result<(&'a str, String)> {
    let [prefixed, plain] = *names;
    match read_raw(level, prefixed) {
        Ok(text) => Ok((prefixed, text)),
        Err(error) if gone(&error) => {
            let text = read_raw(level, plain).at(|| format!("read {:?}", level.join(prefixed)))?;
            Ok((plain, text))
        }
        Err(error) => Err(error).at(|| format!("read {:?}", level.join(prefixed))),
    }
}
