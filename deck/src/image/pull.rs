//! Pulling: layers are unpacked in a stream as they come, several at once.

use crate::error::{Error, Result};
use crate::image::fetch::{self, Busy, Job};
use crate::image::ingest::{self, NewImage};
use crate::image::layers::{Unpacked, blocking};
use crate::image::manifest::{Document, MAX_CONFIG, Manifest};
use crate::image::progress::{Progress, Sink};
use crate::image::registry::{Fetched, Repository, Scope};
use crate::image::remove::now;
use crate::image::store::Store;
use crate::image::types::{Auth, Image};
use crate::image::{Digest, ImageConfig, Images, Platform, Reference, query};
use crate::store::images;
use crate::store::write;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Layers fetched at once.
const PARALLEL: usize = 4;

/// See [`Images::pull`].
pub async fn pull(
    all: &Images,
    reference: &Reference,
    platform: Option<&Platform>,
    auth: Option<&Auth>,
    sink: &Sink,
) -> Result<Image> {
    let reference = reference.clone().or_latest();
    let repository = Repository::open(&all.config, &reference, auth, Scope::Pull)?;
    pull_from(all, &repository, &reference, platform, sink).await
}

/// See [`Images::pull_all`].
pub async fn pull_all(
    all: &Images,
    reference: &Reference,
    platform: Option<&Platform>,
    auth: Option<&Auth>,
    sink: &Sink,
) -> Result<Vec<Image>> {
    let repository = Repository::open(&all.config, reference, auth, Scope::Pull)?;
    let mut images = Vec::new();
    for tag in repository.tags().await? {
        let named = reference.with_tag(&tag)?;
        images.push(pull_from(all, &repository, &named, platform, sink).await?);
    }
    Ok(images)
}

async fn pull_from(
    all: &Images,
    repository: &Repository,
    reference: &Reference,
    platform: Option<&Platform>,
    sink: &Sink,
) -> Result<Image> {
    let top = repository.manifest(reference.target()).await?;
    sink(Progress::Status {
        status: format!("Pulling from {}", reference.repository),
        id: Some(reference.target().to_owned()),
    });
    let wanted = platform.cloned().unwrap_or_else(Platform::host);
    let (fetched, manifest) = choose(repository, &top, &wanted).await?;
    let names = Names { reference, top: &top.digest };
    let id = manifest.config.digest.clone();
    let known = known(&all.store, &id, &fetched.digest, &names)?;
    if !known {
        let store = Arc::clone(&all.store);
        let share = blocking(move |_| store.share()).await?;
        let added = async {
            let image = assemble(all, repository, &fetched, &manifest, &names, sink).await?;
            let store = Arc::clone(&all.store);
            blocking(move |_| ingest::store(&store, &image)).await
        };
        let added = added.await;
        drop(share);
        // Who removed images meanwhile left the sweep to us; and of an image that is refused nothing
        // stays, while after a fault of the network or the disk the next pull goes on with it.
        if added.as_ref().err().is_none_or(|error| error.status < 500) {
            let store = Arc::clone(&all.store);
            blocking(move |_| store.sweep()).await?;
        }
        added?;
    }
    sink(Progress::status(format!("Digest: {}", top.digest)));
    let news = if known { "Image is up to date for" } else { "Downloaded newer image for" };
    sink(Progress::status(format!("Status: {news} {}", reference.familiar())));
    query::image(&all.store.db(), &id)
}

/// What a pulled image is called.
struct Names<'a> {
    reference: &'a Reference,
    top: &'a Digest,
}

/// The image's manifest: what came, or the one of an index that serves the platform.
async fn choose(
    repository: &Repository,
    top: &Fetched,
    platform: &Platform,
) -> Result<(Fetched, Manifest)> {
    let same = || Fetched {
        bytes: top.bytes.clone(),
        media_type: top.media_type.clone(),
        digest: top.digest.clone(),
    };
    match Document::parse(&top.bytes, top.media_type.as_deref())? {
        Document::Manifest(manifest) => Ok((same(), manifest)),
        Document::Index(index) => {
            let entry = index.choose(platform)?;
            let fetched = repository.manifest(entry.digest.as_str()).await?;
            if fetched.bytes.len() as u64 != entry.size {
                return Err(Error::invalid(format!(
                    "manifest {}: {} bytes, not {} as its index says",
                    entry.digest,
                    fetched.bytes.len(),
                    entry.size
                )));
            }
            match Document::parse(&fetched.bytes, fetched.media_type.as_deref())? {
                Document::Manifest(manifest) => Ok((fetched, manifest)),
                Document::Index(_) => Err(Error::invalid("manifest: index within an index")),
            }
        }
    }
}

/// Whether the image is here; if so it gets its names.
fn known(store: &Store, id: &Digest, manifest: &Digest, names: &Names) -> Result<bool> {
    let mut db = store.db();
    let Some(row) = images::image(&db, id)? else { return Ok(false) };
    if row.manifest != *manifest {
        // The same image in another wrapping: its blobs are others.
        return Ok(false);
    }
    let transaction = write(&mut db)?;
    images::set_digest(&transaction, &names.reference.name(), names.top, id)?;
    if names.reference.tag.is_some() && names.reference.digest.is_none() {
        images::set_tag(&transaction, &names.reference.to_string(), id, now())?;
    }
    transaction.commit()?;
    Ok(true)
}

/// Fetches what is missing of an image.
async fn assemble(
    all: &Images,
    repository: &Repository,
    fetched: &Fetched,
    manifest: &Manifest,
    names: &Names<'_>,
    sink: &Sink,
) -> Result<NewImage> {
    let config = fetch::small(repository, &manifest.config, MAX_CONFIG).await?;
    let parsed = ImageConfig::parse(&config)?;
    let diffs = &parsed.rootfs.diff_ids;
    if diffs.len() != manifest.layers.len() {
        return Err(Error::invalid(format!(
            "image: {} layers in the manifest, {} in the configuration",
            manifest.layers.len(),
            diffs.len()
        )));
    }
    let chains = parsed.chain_ids();
    for layer in &manifest.layers {
        sink(Progress::layer(layer.digest.short(), "Pulling fs layer"));
    }
    let locks = {
        let (store, chains, sink) = (Arc::clone(&all.store), chains.clone(), Sink::clone(sink));
        let ids: Vec<String> =
            manifest.layers.iter().map(|layer| layer.digest.short().to_owned()).collect();
        blocking(move |cancel| {
            ingest::lock_missing(&store, &chains, cancel, &mut |position| {
                sink(Progress::layer(&ids[position], "Waiting"));
            })
        })
        .await?
    };
    let mut jobs: BTreeMap<Digest, Job> = BTreeMap::new();
    for (layer, chain) in manifest.layers.iter().zip(&chains) {
        let missing = locks.contains_key(chain);
        if !missing && all.store.has_blob(&layer.digest) {
            sink(Progress::layer(layer.digest.short(), "Already exists"));
            continue;
        }
        let job = jobs.entry(layer.digest.clone()).or_insert_with(|| Job::new(layer));
        if missing {
            job.chains.push(chain.clone());
        }
    }
    let unpacked = run(all, repository, jobs, sink).await?;
    remember(&all.store, repository, manifest)?;
    let tagged = names.reference.digest.is_none();
    Ok(NewImage {
        config,
        manifest: fetched.bytes.clone(),
        media_type: media_type(fetched, manifest),
        layers: manifest.layers.clone(),
        blobs: BTreeMap::new(),
        unpacked,
        locks,
        tags: tagged.then(|| names.reference.clone()).into_iter().collect(),
        digests: vec![(names.reference.name(), names.top.clone())],
        parent: None,
    })
}

fn media_type(fetched: &Fetched, manifest: &Manifest) -> String {
    match &fetched.media_type {
        Some(kind) if manifest.media_type.is_empty() && !kind.is_empty() => kind.clone(),
        _ => manifest.kind().to_owned(),
    }
}

/// Runs the jobs; the first failure ends the others.
async fn run(
    all: &Images,
    repository: &Repository,
    jobs: BTreeMap<Digest, Job>,
    sink: &Sink,
) -> Result<Layers> {
    let permits = Arc::new(Semaphore::new(PARALLEL));
    let mut tasks = JoinSet::new();
    let (busy, mut over) = tokio::sync::mpsc::channel(1);
    for (_, job) in jobs {
        let (store, repository) = (Arc::clone(&all.store), repository.clone());
        let (permits, sink) = (Arc::clone(&permits), Sink::clone(sink));
        let busy = Busy::clone(&busy);
        tasks.spawn(async move {
            let _permit = permits.acquire().await;
            fetch::layer(&store, &repository, &job, &busy, &sink).await
        });
    }
    drop(busy);
    let result = collect(&mut tasks).await;
    tasks.shutdown().await;
    // Nobody sends: it ends with the last of the blocking threads.
    let _ = over.recv().await;
    result
}

async fn collect(tasks: &mut JoinSet<Result<Layers>>) -> Result<Layers> {
    let mut unpacked = Layers::new();
    while let Some(done) = tasks.join_next().await {
        let done = done.map_err(|error| Error::internal(format!("pull: {error}")))?;
        unpacked.extend(done?);
    }
    Ok(unpacked)
}

type Layers = BTreeMap<Digest, Unpacked>;

/// Remembers which repository has these blobs: pushes to the same registry can mount them.
fn remember(store: &Store, repository: &Repository, manifest: &Manifest) -> Result<()> {
    let db = store.db();
    for layer in &manifest.layers {
        images::add_source(&db, &layer.digest, repository.registry(), repository.name())?;
    }
    Ok(())
}
