//! One blob from a registry into the store, and its layer unpacked on the way.

use crate::error::{At, Error, Result};
use crate::image::Digest;
use crate::image::ingest::{self, unpack_file};
use crate::image::layers::{Unpacked, blocking, unpack};
use crate::image::manifest::Descriptor;
use crate::image::progress::{Progress, Sink};
use crate::image::registry::Repository;
use crate::image::registry::blob::BlobStream;
use crate::image::store::Store;
use crate::image::store::blobs::BlobWriter;
use crate::image::store::files;
use crate::image::store::lock::Lock;
use hyper::body::Bytes;
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Held by work on blocking threads: it outlives the future that asked for it, and who lets go of
/// the store's lock has to know when it is over.
pub type Busy = Sender<()>;

/// Pieces under way between network and disk, some ten KiB each.
const QUEUE: usize = 16;
/// Bytes between two progress lines.
const STEP: u64 = 512 << 10;

/// A blob to fetch, and the layers it is to be unpacked as: several when an image has the same
/// layer twice.
#[derive(Debug, Clone)]
pub struct Job {
    /// The blob.
    pub descriptor: Descriptor,
    /// Chain ids.
    pub chains: Vec<Digest>,
}

impl Job {
    /// A job without layers yet.
    pub fn new(descriptor: &Descriptor) -> Self {
        Self { descriptor: descriptor.clone(), chains: Vec::new() }
    }
}

/// Fetches a small blob into memory.
///
/// # Errors
/// It is larger than `most`, or not what its descriptor says.
pub async fn small(repository: &Repository, blob: &Descriptor, most: u64) -> Result<Vec<u8>> {
    if blob.size > most {
        return Err(Error::invalid(format!("blob {}: larger than {most} bytes", blob.digest)));
    }
    let mut stream = BlobStream::new(repository.clone(), blob.clone(), 0);
    let mut bytes = Vec::new();
    let mut hasher = blob.digest.hasher();
    while let Some(piece) = stream.next().await? {
        hasher.update(&piece);
        bytes.extend_from_slice(&piece);
    }
    let digest = hasher.finish();
    if digest != blob.digest {
        let message = format!("blob verification failed for digest {}: got {digest}", blob.digest);
        return Err(Error::invalid(message));
    }
    Ok(bytes)
}

/// Fetches a layer's blob, unless it is here, and unpacks it. One process at a time works on a
/// blob; the others wait for it and use what it fetched.
///
/// # Errors
/// The registry fails, the content is not what the descriptor says, or can't be unpacked.
pub async fn layer(
    store: &Arc<Store>,
    repository: &Repository,
    job: &Job,
    busy: &Busy,
    sink: &Sink,
) -> Result<BTreeMap<Digest, Unpacked>> {
    let digest = &job.descriptor.digest;
    let id = digest.short();
    let lock =
        Lock::wait(|| store.try_work("blob", digest), || sink(Progress::layer(id, "Waiting")))
            .await?;
    let mut unpacked = BTreeMap::new();
    let mut chains = job.chains.clone();
    if !store.has_blob(digest) {
        let first = chains.first().cloned();
        let made =
            download(store, repository, &job.descriptor, first.is_some(), busy, sink).await?;
        if let (Some(chain), Some(made)) = (first, made) {
            chains.remove(0);
            unpacked.insert(chain, made);
        }
    }
    drop(lock);
    sink(Progress::layer(id, "Download complete"));
    for chain in chains {
        let (store, sink) = (Arc::clone(store), Sink::clone(sink));
        let job = ingest::Job {
            chain: chain.clone(),
            id: id.to_owned(),
            path: store.blob(digest),
            size: job.descriptor.size,
        };
        let busy = Busy::clone(busy);
        let made = blocking(move |cancel| {
            let made = unpack_file(&store, &job, cancel, "Extracting", &sink);
            drop(busy);
            made
        });
        unpacked.insert(chain, made.await?);
    }
    sink(Progress::layer(id, "Pull complete"));
    Ok(unpacked)
}

/// How a download ended that went wrong in its content.
enum Outcome {
    Done(Option<Unpacked>),
    /// What an earlier run left was no part of it: once more from the start.
    Stale,
}

async fn download(
    store: &Arc<Store>,
    repository: &Repository,
    descriptor: &Descriptor,
    wanted: bool,
    busy: &Busy,
    sink: &Sink,
) -> Result<Option<Unpacked>> {
    loop {
        match attempt(store, repository, descriptor, wanted, busy, sink).await? {
            Outcome::Done(unpacked) => return Ok(unpacked),
            Outcome::Stale => {}
        }
    }
}

async fn attempt(
    store: &Arc<Store>,
    repository: &Repository,
    descriptor: &Descriptor,
    wanted: bool,
    busy: &Busy,
    sink: &Sink,
) -> Result<Outcome> {
    let path = store.partial(&descriptor.digest);
    let mut writer = BlobWriter::resume(&path, descriptor.digest.hasher())?;
    let mut resumed = writer.on_disk()?;
    if resumed > descriptor.size {
        writer.restart(descriptor.digest.hasher())?;
        resumed = 0;
    }
    let (sender, receiver) = channel(QUEUE);
    let pipe = Arc::new(Mutex::new(Pipe::new(writer, receiver, descriptor, sink)));
    let work = {
        let (store, descriptor) = (Arc::clone(store), descriptor.clone());
        let (sink, busy) = (Sink::clone(sink), Busy::clone(busy));
        blocking(move |_| {
            let outcome = consume(&store, &pipe, &descriptor, wanted, resumed, &sink);
            drop(busy);
            outcome
        })
    };
    let mut stream = BlobStream::new(repository.clone(), descriptor.clone(), resumed);
    let feed = async move {
        while let Some(piece) = stream.next().await? {
            if sender.send(piece).await.is_err() {
                // The worker gave up: it says why.
                return Ok(());
            }
        }
        // The end, said: a channel that just closes is a download that broke.
        let _ = sender.send(Bytes::new()).await;
        Ok(())
    };
    let (fed, done): (Result<()>, Result<Outcome>) = tokio::join!(feed, work);
    if fed.as_ref().is_err_and(|error| error.status == 400) {
        // Not broken off, but wrong: nothing to go on with.
        std::fs::remove_file(&path).at(|| format!("remove {}", path.display()))?;
    }
    fed?;
    done
}

/// Unpacks what comes, stores the blob, and checks that it is what was asked for.
fn consume(
    store: &Store,
    pipe: &Arc<Mutex<Pipe>>,
    descriptor: &Descriptor,
    wanted: bool,
    resumed: u64,
    sink: &Sink,
) -> Result<Outcome> {
    let unpacked = if wanted {
        unpack(store, Box::new(PipeReader(Arc::clone(pipe)))).map(Some)
    } else {
        Ok(None)
    };
    // The rest: all of it without a layer to unpack, after the archive's end, or after an error,
    // to know whether the content is to blame.
    let drained = std::io::copy(&mut PipeReader(Arc::clone(pipe)), &mut std::io::sink());
    let path = store.partial(&descriptor.digest);
    if drained.is_err() {
        // The connection broke for good; what came stays for the next pull.
        return Err(unpacked.err().unwrap_or_else(|| Error::internal("download broke")));
    }
    sink(Progress::layer(descriptor.digest.short(), "Verifying Checksum"));
    let digest = lock(pipe).digest();
    if digest != descriptor.digest {
        std::fs::remove_file(&path).at(|| format!("remove {}", path.display()))?;
        if resumed > 0 {
            return Ok(Outcome::Stale);
        }
        return Err(Error::invalid(format!(
            "filesystem layer verification failed for digest {}: got {digest}",
            descriptor.digest
        )));
    }
    if let Err(error) = unpacked {
        std::fs::remove_file(&path).at(|| format!("remove {}", path.display()))?;
        return Err(Error::new(
            error.status,
            format!("failed to register layer {}: {}", descriptor.digest.short(), error.message),
        ));
    }
    std::fs::File::open(&path)
        .and_then(|file| file.sync_all())
        .at(|| format!("sync {}", path.display()))?;
    files::rename(&path, &store.blob(&descriptor.digest))?;
    unpacked.map(Outcome::Done)
}

/// From the network to the disk and the unpacker.
struct Pipe {
    writer: BlobWriter,
    /// What an earlier run wrote comes first.
    reading_back: bool,
    receiver: Receiver<Bytes>,
    piece: Bytes,
    ended: bool,
    told: u64,
    id: String,
    total: u64,
    sink: Sink,
    hasher: crate::image::digest::Hasher,
}

impl Pipe {
    fn new(
        writer: BlobWriter,
        receiver: Receiver<Bytes>,
        descriptor: &Descriptor,
        sink: &Sink,
    ) -> Self {
        Self {
            writer,
            reading_back: true,
            receiver,
            piece: Bytes::new(),
            ended: false,
            told: 0,
            id: descriptor.digest.short().to_owned(),
            total: descriptor.size,
            sink: Sink::clone(sink),
            hasher: descriptor.digest.hasher(),
        }
    }

    /// The digest of all that passed; once, at the end.
    fn digest(&mut self) -> Digest {
        let empty = self.hasher.clone();
        self.writer.take_digest(empty)
    }

    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.reading_back {
            let count = self.writer.read_back(buffer).map_err(std::io::Error::other)?;
            if count > 0 {
                return Ok(count);
            }
            self.reading_back = false;
        }
        if self.piece.is_empty() && !self.ended {
            match self.receiver.blocking_recv() {
                None => return Err(std::io::Error::other(Error::internal("download broke"))),
                Some(piece) if piece.is_empty() => self.ended = true,
                Some(piece) => {
                    self.writer.append(&piece).map_err(std::io::Error::other)?;
                    self.piece = piece;
                    self.tell();
                }
            }
        }
        let count = self.piece.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.piece.split_to(count));
        Ok(count)
    }

    fn tell(&mut self) {
        let current = self.writer.length();
        if current - self.told >= STEP || current == self.total {
            self.told = current;
            (self.sink)(Progress::Bytes {
                id: self.id.clone(),
                status: "Downloading",
                current,
                total: self.total,
            });
        }
    }
}

/// The unpacker's end.
struct PipeReader(Arc<Mutex<Pipe>>);

impl Read for PipeReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        lock(&self.0).read(buffer)
    }
}

fn lock(pipe: &Mutex<Pipe>) -> MutexGuard<'_, Pipe> {
    // One thread uses it.
    pipe.lock().unwrap_or_else(PoisonError::into_inner)
}
