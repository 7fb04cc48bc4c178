//! Making content part of the store: the one way images come in, whoever brings them.
//!
//! Files first, synced, under their final names; then the rows, in one transaction.

use crate::error::{At, Error, Result};
use crate::image::layers::{Cancel, Unpacked, unpack};
use crate::image::manifest::Descriptor;
use crate::image::progress::{Progress, Sink};
use crate::image::remove::now;
use crate::image::store::lock::Lock;
use crate::image::store::{Store, files};
use crate::image::{Digest, ImageConfig, Reference, config};
use crate::store::images::{self, ImageRow, LayerRow};
use crate::store::write;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// An image about to be stored.
pub struct NewImage {
    /// The configuration's bytes.
    pub config: Vec<u8>,
    /// The manifest's bytes.
    pub manifest: Vec<u8>,
    /// The manifest's media type.
    pub media_type: String,
    /// The layers' blobs.
    pub layers: Vec<Descriptor>,
    /// Files to become blobs: verified, on the store's file system.
    pub blobs: BTreeMap<Digest, PathBuf>,
    /// Layers the store did not have, by chain id.
    pub unpacked: BTreeMap<Digest, Unpacked>,
    /// The locks of those layers: held until the rows are written.
    pub locks: BTreeMap<Digest, Lock>,
    /// Tagged names to give it.
    pub tags: Vec<Reference>,
    /// Repositories and the digests they know it by.
    pub digests: Vec<(String, Digest)>,
    /// The image it was committed on.
    pub parent: Option<Digest>,
}

/// Stores an image, and gives its id. The caller holds the store's lock.
///
/// # Errors
/// The layers are not those of the configuration; the disk or the database fails.
pub fn store(store: &Store, image: &NewImage) -> Result<Digest> {
    let config = ImageConfig::parse(&image.config)?;
    let diffs = &config.rootfs.diff_ids;
    if diffs.len() != image.layers.len() {
        return Err(Error::invalid(format!(
            "image: {} layers in the manifest, {} in the configuration",
            image.layers.len(),
            diffs.len()
        )));
    }
    let chains = config::chain_ids(diffs);
    let rows = settle_layers(store, image, &chains, diffs)?;
    if !image.unpacked.is_empty() || !image.blobs.is_empty() {
        files::sync_filesystem(store.root())?;
    }
    place(store, image)?;
    let id = Digest::of(&image.config);
    let manifest = Digest::of(&image.manifest);
    store.put_blob_as(&id, &image.config)?;
    store.put_blob_as(&manifest, &image.manifest)?;
    let mut blobs: Vec<Digest> = image.layers.iter().map(|layer| layer.digest.clone()).collect();
    let content: u64 = image.layers.iter().map(|layer| layer.size).sum();
    blobs.extend([id.clone(), manifest.clone()]);
    let row = ImageRow {
        id: id.clone(),
        manifest,
        media_type: image.media_type.clone(),
        manifest_size: image.manifest.len() as u64,
        content_size: content + (image.manifest.len() + image.config.len()) as u64,
        config: image.config.clone(),
        created: config.created_seconds(),
        last_tagged: 0,
        parent: image.parent.clone(),
    };
    let mut db = store.db();
    let transaction = write(&mut db)?;
    rows.iter().try_for_each(|row| images::add_layer(&transaction, row))?;
    images::put_image(&transaction, &row, &chains, &blobs)?;
    for tag in &image.tags {
        images::set_tag(&transaction, &tag.to_string(), &id, now())?;
    }
    for (name, digest) in &image.digests {
        images::set_digest(&transaction, name, digest, &id)?;
    }
    transaction.commit()?;
    Ok(id)
}

/// Checks the diff ids, completes the trees, and gives the rows of the new layers.
fn settle_layers(
    store: &Store,
    image: &NewImage,
    chains: &[Digest],
    diffs: &[Digest],
) -> Result<Vec<LayerRow>> {
    let mut rows = Vec::new();
    // The trees so far, nearest first: staged ones, and those in the store already.
    let mut below: Vec<PathBuf> = Vec::new();
    for (position, (chain, diff)) in chains.iter().zip(diffs).enumerate() {
        let Some(unpacked) = image.unpacked.get(chain) else {
            below.insert(0, store.diff(chain));
            continue;
        };
        if !image.locks.contains_key(chain) {
            return Err(Error::internal(format!("layer {chain}: stored without its lock")));
        }
        if unpacked.diff != *diff {
            return Err(Error::invalid(format!(
                "layer {diff} of the image's configuration unpacks to {}",
                unpacked.diff
            )));
        }
        unpacked.take_after(&below)?;
        below.insert(0, unpacked.tree());
        rows.push(LayerRow {
            chain: chain.clone(),
            diff: diff.clone(),
            parent: position.checked_sub(1).map(|below| chains[below].clone()),
            size: unpacked.size,
        });
    }
    Ok(rows)
}

/// Moves synced files and trees to their names.
fn place(store: &Store, image: &NewImage) -> Result<()> {
    for (digest, path) in &image.blobs {
        std::fs::rename(path, store.blob(digest)).at(|| format!("store blob {digest}"))?;
    }
    for (chain, unpacked) in &image.unpacked {
        unpacked.place(store, chain)?;
    }
    if !image.blobs.is_empty() {
        files::sync_dir(&store.root().join("blobs/sha256"))?;
        files::sync_dir(&store.root().join("blobs/sha512"))?;
    }
    if !image.unpacked.is_empty() {
        files::sync_dir(&store.root().join("layers"))?;
    }
    Ok(())
}

/// Locks the layers of a stack that are not in the store, lowest first: whoever shares a part of
/// the stack meets at its lowest missing layer, so nobody waits in a circle.
pub fn lock_missing(
    store: &Store,
    chains: &[Digest],
    cancel: &Cancel,
    busy: &mut dyn FnMut(usize),
) -> Result<BTreeMap<Digest, Lock>> {
    let mut locks = BTreeMap::new();
    for (position, chain) in chains.iter().enumerate() {
        if images::layer(&store.db(), chain)?.is_some() {
            continue;
        }
        let mut told = false;
        let lock = Lock::wait_blocking(|| {
            cancel.check()?;
            let lock = store.try_work("layer", chain)?;
            if lock.is_none() && !told {
                busy(position);
                told = true;
            }
            Ok(lock)
        })?;
        // Made while we waited?
        if images::layer(&store.db(), chain)?.is_none() {
            locks.insert(chain.clone(), lock);
        }
    }
    Ok(locks)
}

/// A layer to unpack.
pub struct Job {
    /// Its chain id.
    pub chain: Digest,
    /// What progress calls it.
    pub id: String,
    /// The archive, compressed or not.
    pub path: PathBuf,
    /// Its bytes.
    pub size: u64,
}

/// Unpacks several layers at once.
///
/// # Errors
/// The first failure; the others' work is thrown away.
pub fn unpack_all(
    store: &Store,
    jobs: &[Job],
    cancel: &Cancel,
    status: &'static str,
    sink: &Sink,
) -> Result<BTreeMap<Digest, Unpacked>> {
    let next = AtomicUsize::new(0);
    let done: Mutex<BTreeMap<Digest, Unpacked>> = Mutex::new(BTreeMap::new());
    let failure: Mutex<Option<Error>> = Mutex::new(None);
    let threads = std::thread::available_parallelism().map_or(2, usize::from).clamp(1, 4);
    std::thread::scope(|scope| {
        for _ in 0..threads.min(jobs.len()) {
            scope.spawn(|| {
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match unpack_file(store, job, cancel, status, sink) {
                        Ok(unpacked) => {
                            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                            done.insert(job.chain.clone(), unpacked);
                        }
                        Err(error) => {
                            next.store(jobs.len(), Ordering::Relaxed);
                            let mut first = failure.lock().unwrap_or_else(PoisonError::into_inner);
                            first.get_or_insert(error);
                        }
                    }
                }
            });
        }
    });
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(done.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}

/// Unpacks one stored archive.
pub fn unpack_file(
    store: &Store,
    job: &Job,
    cancel: &Cancel,
    status: &'static str,
    sink: &Sink,
) -> Result<Unpacked> {
    let file = std::fs::File::open(&job.path).at(|| format!("open {}", job.path.display()))?;
    let counted = Counted::new(cancel.reader(file), &job.id, status, job.size, sink);
    unpack(store, Box::new(counted)).at(|| format!("layer {}", job.id))
}

/// Bytes between two progress lines of a layer.
const STEP: u64 = 512 << 10;

/// Tells how far reading came.
pub struct Counted<R> {
    reader: R,
    id: String,
    status: &'static str,
    total: u64,
    current: u64,
    told: u64,
    sink: Sink,
}

impl<R> Counted<R> {
    /// Tells it as bytes of a layer.
    pub fn new(reader: R, id: &str, status: &'static str, total: u64, sink: &Sink) -> Self {
        let (id, sink) = (id.to_owned(), Sink::clone(sink));
        Self { reader, id, status, total, current: 0, told: 0, sink }
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.current += count as u64;
        let end = count == 0 && self.told < self.current;
        if end || self.current - self.told >= STEP {
            self.told = self.current;
            (self.sink)(Progress::Bytes {
                id: self.id.clone(),
                status: self.status,
                current: self.current,
                total: self.total,
            });
        }
        Ok(count)
    }
}
