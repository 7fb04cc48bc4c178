//! Small file operations that are safe against crashes.

use crate::error::{At, Result};
use std::fs::{DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Makes a private directory if it is missing.
pub fn make_dir(path: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .at(|| format!("mkdir {}", path.display()))
}

/// Removes a tree; one that is not there is no error. Links are not followed.
pub fn remove_tree(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result.at(|| format!("remove {}", path.display())),
    }
}

/// Writes the directory's entries to disk: a rename counts only after it.
pub fn sync_dir(path: &Path) -> Result<()> {
    File::open(path).and_then(|dir| dir.sync_all()).at(|| format!("sync {}", path.display()))
}

/// Renames and makes it last.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to).at(|| format!("rename {} to {}", from.display(), to.display()))?;
    to.parent().map_or(Ok(()), sync_dir)
}

/// Writes everything of the file system `path` is on to disk: one call for thousands of files.
pub fn sync_filesystem(path: &Path) -> Result<()> {
    let dir = File::open(path).at(|| format!("open {}", path.display()))?;
    nix::unistd::syncfs(&dir).at(|| format!("sync the file system of {}", path.display()))
}
