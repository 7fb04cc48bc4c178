//! Layers: from a compressed archive to a tree in the store.

use crate::error::{At, Error, Result};
use crate::image::apply::{self, Options, Root, Whiteouts};
use crate::image::decompress;
use crate::image::digest::Hasher;
use crate::image::store::{Staging, Store, files};
use crate::image::{Digest, apply::Applied};
use crate::privileges;
use std::collections::BTreeSet;
use std::fs::{DirBuilder, File};
use std::io::Read;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A layer unpacked in a staging directory.
pub struct Unpacked {
    staging: Staging,
    /// Digest of the plain archive.
    pub diff: Digest,
    /// Bytes of file content.
    pub size: u64,
    implied: BTreeSet<PathBuf>,
}

/// Smallest unpacked size that may look like a bomb.
const BOMB_SIZE: u64 = 8 << 30;
/// The ratio that makes it one: gzip's own bound is 1032, real layers stay below 50.
const BOMB_RATIO: u64 = 500;

/// Unpacks a layer, compressed or not, and computes its diff id.
pub fn unpack(store: &Store, raw: Box<dyn Read + Send + '_>) -> Result<Unpacked> {
    let staging = store.staging()?;
    let diff = staging.path().join("diff");
    DirBuilder::new().mode(0o755).create(&diff).at(|| format!("mkdir {}", diff.display()))?;
    let root = Root::open(&diff)?;
    let compressed = Arc::new(AtomicU64::new(0));
    let counted = Counted { reader: raw, count: Arc::clone(&compressed) };
    let (diff, Applied { size, implied, .. }) = privileges::files(|| {
        let plain = decompress::reader(Box::new(counted))?;
        let mut hashed = Hashed::new(plain, compressed, BOMB_SIZE);
        let options = Options::layer(Whiteouts::Overlay);
        let applied = apply::apply(&root, &mut hashed, &options)?;
        Ok((hashed.hasher.finish(), applied))
    })?;
    Ok(Unpacked { staging, diff, size, implied })
}

impl Unpacked {
    /// The tree, before it is moved.
    pub fn tree(&self) -> PathBuf {
        self.staging.path().join("diff")
    }

    /// Moves the synced tree to its place in the store.
    pub fn place(&self, store: &Store, chain: &Digest) -> Result<()> {
        // Without a row it is the rest of a process that was killed here.
        files::remove_tree(&store.layer(chain))?;
        std::fs::rename(self.staging.path(), store.layer(chain))
            .at(|| format!("rename layer {chain}"))
    }

    /// Gives directories the archive only implied the owner and mode of the lower layers'; `below`
    /// are the trees under this one, nearest first.
    pub fn take_after(&self, below: &[PathBuf]) -> Result<()> {
        take_after(&self.tree(), below, &self.implied)
    }
}

fn take_after(tree: &Path, below: &[PathBuf], implied: &BTreeSet<PathBuf>) -> Result<()> {
    if implied.is_empty() || below.is_empty() {
        return Ok(());
    }
    let root = Root::open(tree)?;
    let lower = below.iter().map(|path| Root::open(path)).collect::<Result<Vec<_>>>()?;
    for path in implied {
        let Some(dir) = lower.iter().find_map(|root| root.open_dir(path).ok()) else { continue };
        let Ok(own) = root.open_dir(path) else { continue };
        let meta = File::from(dir).metadata().at(|| format!("stat {}", path.display()))?;
        let (uid, gid) = (meta.uid().into(), meta.gid().into());
        let failed = |errno| root.failed("set metadata of", path, errno);
        nix::unistd::fchownat(&own, ".", Some(uid), Some(gid), nix::fcntl::AtFlags::empty())
            .map_err(failed)?;
        let mode = nix::sys::stat::Mode::from_bits_truncate(meta.permissions().mode());
        let follow = nix::sys::stat::FchmodatFlags::FollowSymlink;
        nix::sys::stat::fchmodat(&own, ".", mode, follow).map_err(failed)?;
    }
    Ok(())
}

/// Counts what is read.
struct Counted<R> {
    reader: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.count.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Hashes what is read, and ends bombs.
struct Hashed<R> {
    reader: R,
    hasher: Hasher,
    count: u64,
    compressed: Arc<AtomicU64>,
    suspicious: u64,
}

impl<R> Hashed<R> {
    /// `compressed` counts what the reader is made of; below `suspicious` bytes nothing is a bomb.
    fn new(reader: R, compressed: Arc<AtomicU64>, suspicious: u64) -> Self {
        Self { reader, hasher: Hasher::sha256(), count: 0, compressed, suspicious }
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.count += count as u64;
        if self.count > self.suspicious
            && self.count / BOMB_RATIO > self.compressed.load(Ordering::Relaxed)
        {
            let message = "archive: unpacks to more than 500 times its size";
            return Err(std::io::Error::other(Error::invalid(message)));
        }
        Ok(count)
    }
}

/// Ends reading when the future that asked for it is dropped.
#[derive(Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Sets it when dropped.
    pub fn guard(&self) -> CancelGuard {
        CancelGuard(Arc::clone(&self.0))
    }

    /// A reader that ends with an error once cancelled.
    pub fn reader<R: Read>(&self, reader: R) -> Cancelled<R> {
        Cancelled { reader, cancel: self.clone() }
    }

    /// An error once cancelled.
    pub fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
            return Err(Error::internal("cancelled"));
        }
        Ok(())
    }
}

/// See [`Cancel::guard`].
pub struct CancelGuard(Arc<AtomicBool>);

impl Drop for CancelGuard {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// See [`Cancel::reader`].
pub struct Cancelled<R> {
    reader: R,
    cancel: Cancel,
}

impl<R: Read> Read for Cancelled<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.cancel.check().map_err(std::io::Error::other)?;
        self.reader.read(buffer)
    }
}

/// Runs blocking work; dropping the future cancels it.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce(&Cancel) -> Result<T> + Send + 'static,
) -> Result<T> {
    let cancel = Cancel::default();
    let _guard = cancel.guard();
    tokio::task::spawn_blocking(move || work(&cancel))
        .await
        .map_err(|error| Error::internal(format!("worker: {error}")))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bombs_end_soon_after_they_look_like_one() {
        let reads = |compressed: u64, bytes: u64| {
            let compressed = Arc::new(AtomicU64::new(compressed));
            let mut hashed = Hashed::new(std::io::repeat(0).take(bytes), compressed, 1 << 20);
            let result = std::io::copy(&mut hashed, &mut std::io::sink());
            (result, hashed.count)
        };
        let (result, count) = reads(1000, 1 << 40);
        assert!(result.unwrap_err().to_string().contains("500 times"));
        assert!(count < 2 << 20, "{count}");
        // What is small, and what is packed as layers are, goes through.
        assert!(reads(1, 1 << 20).0.is_ok());
        assert!(reads(1 << 16, 8 << 20).0.is_ok());
    }
}
