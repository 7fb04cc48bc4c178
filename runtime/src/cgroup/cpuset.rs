//! cpuset of cgroup v1: a new cgroup has neither CPUs nor memory nodes, and takes no process
//! before it has both (cpuset(7)). They are copied from the parent.

use super::file::{gone, read_raw, write_raw};
use crate::error::{At, Result};
use std::path::Path;

/// Both files, and their names in a hierarchy mounted with `noprefix`.
const FILES: [[&str; 2]; 2] = [["cpuset.cpus", "cpus"], ["cpuset.mems", "mems"]];

/// Fills the empty files of `path` and its parents below `mount`.
pub(super) fn inherit(path: &Path, mount: &Path) -> Result<()> {
    FILES.iter().try_for_each(|names| fill(names, path, mount).map(drop))
}

/// The value of a file in `path`, which is filled from the parent's if it is empty.
fn fill(names: &[&str; 2], path: &Path, mount: &Path) -> Result<String> {
    // Parents first: the deepest directory that has a value, then down again.
    let mut empty = Vec::new();
    let mut value = String::new();
    for level in path.ancestors().take_while(|level| level.starts_with(mount)) {
        let (name, text) = read_either(names, level)?;
        if !text.trim_end().is_empty() {
            text.trim_end().clone_into(&mut value);
            break;
        }
        empty.push((level, name));
    }
    for (level, name) in empty.into_iter().rev() {
        write_raw(level, name, &value)
            .at(|| format!("write {value:?} to {:?}", level.join(name)))?;
    }
    Ok(value)
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
