//! Pushing: blobs first, then the manifest as it is stored, so digests stay the same.

use crate::error::{Error, Result};
use crate::image::manifest::{Descriptor, Document, MAX_MANIFEST};
use crate::image::progress::{Progress, Sink};
use crate::image::registry::upload::{Pushed, Sent};
use crate::image::registry::{Repository, Scope};
use crate::image::store::Store;
use crate::image::types::Auth;
use crate::image::{Digest, Images, Reference, query};
use crate::store::images;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Blobs sent at once.
const PARALLEL: usize = 4;
/// Bytes between two progress lines.
const STEP: u64 = 512 << 10;

/// See [`Images::push`].
pub async fn push(
    all: &Images,
    reference: &Reference,
    auth: Option<&Auth>,
    sink: &Sink,
) -> Result<()> {
    let store = Arc::clone(&all.store);
    // Nothing that is sent may be swept away.
    let _share = crate::image::layers::blocking(move |_| store.share()).await?;
    let tags = tags(&all.store, reference)?;
    let familiar = reference.familiar_name();
    sink(Progress::status(format!("The push refers to repository [{familiar}]")));
    let repository = Repository::open(&all.config, reference, auth, Scope::Push)?;
    for (tag, id) in tags {
        push_one(all, &repository, reference, &tag, &id, sink).await?;
    }
    Ok(())
}

/// The tags to push: the one named, or all of the repository.
fn tags(store: &Store, reference: &Reference) -> Result<Vec<(String, Digest)>> {
    if reference.digest.is_some() {
        return Err(Error::invalid("cannot push a digest reference"));
    }
    let db = store.db();
    if reference.tag.is_some() {
        let id = images::by_tag(&db, &reference.to_string())?.ok_or_else(|| missing(reference))?;
        return Ok(vec![(reference.tag.clone().unwrap_or_default(), id)]);
    }
    let found = query::tags_of(&db, reference)?;
    if found.is_empty() { Err(missing(reference)) } else { Ok(found) }
}

fn missing(reference: &Reference) -> Error {
    let name = reference.familiar_name();
    Error::not_found(format!("An image does not exist locally with the tag: {name}"))
}

async fn push_one(
    all: &Images,
    repository: &Repository,
    reference: &Reference,
    tag: &str,
    id: &Digest,
    sink: &Sink,
) -> Result<()> {
    let row = images::image(&all.store.db(), id)?.ok_or_else(|| missing(reference))?;
    let bytes = all.store.read_blob(&row.manifest, MAX_MANIFEST)?;
    let Document::Manifest(manifest) = Document::parse(&bytes, None)? else {
        return Err(Error::internal(format!("manifest of {id} is an index")));
    };
    for layer in manifest.layers.iter().rev() {
        sink(Progress::layer(layer.digest.short(), "Preparing"));
    }
    let mut tasks = JoinSet::new();
    let permits = Arc::new(Semaphore::new(PARALLEL));
    let mut seen = BTreeSet::new();
    for layer in manifest.layers.iter().rev().filter(|layer| seen.insert(&layer.digest)) {
        let sources = images::sources(&all.store.db(), &layer.digest, repository.registry())?;
        let (store, repository) = (Arc::clone(&all.store), repository.clone());
        let (layer, sink, permits) = (layer.clone(), Sink::clone(sink), Arc::clone(&permits));
        tasks.spawn(async move {
            let _permit = permits.acquire().await;
            push_layer(&store, &repository, &layer, &sources, &sink).await
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.map_err(|error| Error::internal(format!("push: {error}")))??;
    }
    let store = Arc::clone(&all.store);
    let config = manifest.config.digest.clone();
    let open = move || store.open_blob(&config);
    let quiet: Sent = Arc::new(|_| {});
    repository.push_blob(&manifest.config, &[], &open, &quiet).await?;
    repository.push_manifest(tag, &row.media_type, &bytes).await?;
    let (digest, size) = (row.manifest, bytes.len() as u64);
    {
        let db = all.store.db();
        images::set_digest(&db, &reference.name(), &digest, id)?;
        for layer in &manifest.layers {
            images::add_source(&db, &layer.digest, repository.registry(), repository.name())?;
        }
    }
    sink(Progress::status(format!("{tag}: digest: {digest} size: {size}")));
    sink(Progress::Aux { tag: tag.to_owned(), digest, size });
    Ok(())
}

async fn push_layer(
    store: &Arc<Store>,
    repository: &Repository,
    layer: &Descriptor,
    sources: &[String],
    sink: &Sink,
) -> Result<()> {
    let id = layer.digest.short().to_owned();
    let told = AtomicU64::new(0);
    let (total, name, bytes) = (layer.size, id.clone(), Sink::clone(sink));
    let sent: Sent = Arc::new(move |current| {
        let last = told.load(Ordering::Relaxed);
        if current < last || current - last >= STEP || current == total {
            told.store(current, Ordering::Relaxed);
            bytes(Progress::Bytes { id: name.clone(), status: "Pushing", current, total });
        }
    });
    let open = || store.open_blob(&layer.digest);
    let status = match repository.push_blob(layer, sources, &open, &sent).await? {
        Pushed::Exists => "Layer already exists".to_owned(),
        Pushed::Mounted(from) => format!("Mounted from {from}"),
        Pushed::Sent => "Pushed".to_owned(),
    };
    sink(Progress::layer(&id, status));
    Ok(())
}
