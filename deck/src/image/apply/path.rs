//! Names in archives, made safe; pure.

use crate::error::{Error, Result};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Longest path taken (PATH_MAX).
const MAX: usize = 4096;

/// A relative path of normal components: empty for the root itself. A leading `/` and `.` go.
pub fn clean(name: &[u8]) -> Result<PathBuf> {
    let shown = || String::from_utf8_lossy(&name[..name.len().min(200)]).into_owned();
    if name.contains(&0) || name.len() > MAX {
        return Err(Error::invalid(format!("archive: malformed name {:?}", shown())));
    }
    let mut path = OsString::new();
    for component in name.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => {
                let message = format!("archive: name {:?} leads out of the root", shown());
                return Err(Error::invalid(message));
            }
            component => {
                if !path.is_empty() {
                    path.push("/");
                }
                path.push(OsStr::from_bytes(component));
            }
        }
    }
    Ok(PathBuf::from(path))
}

/// Splits into directory and last component; `None` for the root.
pub fn split(path: &Path) -> Option<(&Path, &OsStr)> {
    Some((path.parent()?, path.file_name()?))
}

/// Joins a name to a directory.
pub fn join(dir: &Path, name: &[u8]) -> PathBuf {
    dir.join(OsString::from_vec(name.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_stay_below_the_root() {
        assert_eq!(clean(b"./a//b/").unwrap(), Path::new("a/b"));
        assert_eq!(clean(b"/etc/passwd").unwrap(), Path::new("etc/passwd"));
        assert_eq!(clean(b"./").unwrap(), Path::new(""));
        for bad in [&b"../a"[..], b"a/../b", b"/..", b"a\0b", &[b'a'; 5000]] {
            assert!(clean(bad).is_err());
        }
    }

    proptest! {
        #[test]
        fn every_clean_name_has_only_normal_components(name in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(path) = clean(&name) {
                let normal = |c: std::path::Component| matches!(c, std::path::Component::Normal(_));
                prop_assert!(path.components().all(normal));
            }
        }
    }
}
