//! Removing what nothing refers to.

use super::{Store, files};
use crate::error::{At, Result};
use crate::image::Digest;
use crate::store::images;
use crate::store::write;
use std::collections::BTreeSet;
use std::path::Path;

impl Store {
    /// Removes garbage and gives the bytes of blobs freed. While somebody adds content nothing is
    /// done: who adds it sweeps at its end.
    ///
    /// # Errors
    /// The database or the disk fails.
    pub fn sweep(&self) -> Result<u64> {
        let Some(_alone) = self.alone()? else { return Ok(0) };
        let live = {
            let mut db = self.db();
            let transaction = write(&mut db)?;
            let live = images::collect(&transaction)?;
            transaction.commit()?;
            live
        };
        let mut freed = 0;
        for algorithm in ["sha256", "sha512"] {
            let dir = self.root().join("blobs").join(algorithm);
            let keep: BTreeSet<&str> = live.blobs.iter().map(Digest::hex).collect();
            freed += sweep_dir(&dir, |name| keep.contains(name))?;
        }
        let keep: BTreeSet<&str> = live.layers.iter().map(Digest::hex).collect();
        sweep_dir(&self.root().join("layers"), |name| keep.contains(name))?;
        let keep: BTreeSet<&str> = live.layers.iter().map(Digest::short).collect();
        sweep_dir(&self.root().join("l"), |name| keep.contains(name))?;
        sweep_dir(&self.root().join("snapshots"), |name| live.snapshots.contains(name))?;
        sweep_dir(&self.root().join("staging"), |_| false)?;
        sweep_dir(&self.root().join("lock"), |name| name == "store")?;
        Ok(freed)
    }

    /// Removes downloads that were cut: a prune does, for nothing says they will be resumed.
    pub fn sweep_partial(&self) -> Result<u64> {
        match self.alone()? {
            Some(_alone) => sweep_dir(&self.root().join("partial"), |_| false),
            None => Ok(0),
        }
    }
}

/// Removes the entries of a directory that are not to be kept; gives the bytes of plain files.
fn sweep_dir(dir: &Path, keep: impl Fn(&str) -> bool) -> Result<u64> {
    let mut freed = 0;
    for entry in std::fs::read_dir(dir).at(|| format!("read {}", dir.display()))? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(&keep) {
            continue;
        }
        let path = entry.path();
        let meta = std::fs::symlink_metadata(&path).at(|| format!("stat {}", path.display()))?;
        if meta.is_dir() {
            files::remove_tree(&path)?;
        } else {
            freed += meta.len();
            std::fs::remove_file(&path).at(|| format!("remove {}", path.display()))?;
        }
    }
    Ok(freed)
}
