//! New images of a container's changes, and of plain root file systems.

use crate::error::{At, Error, Result};
use crate::image::ingest::{self, Job, NewImage};
use crate::image::layers::{Cancel, blocking};
use crate::image::manifest::{Descriptor, MAX_CONFIG, OCI_CONFIG, OCI_MANIFEST};
use crate::image::pack::{Pack, pack};
use crate::image::progress::Sink;
use crate::image::store::blobs::create;
use crate::image::store::{Staging, Store};
use crate::image::types::{Commit, Image};
use crate::image::{Digest, History, ImageConfig, Images, Platform, config, query};
use crate::store::images;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Media type of the layers made here.
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// See [`Images::commit`].
pub async fn commit(all: &Images, commit: &Commit) -> Result<Image> {
    let row = images::snapshot(&all.store.db(), &commit.snapshot)?
        .ok_or_else(|| Error::not_found(format!("no snapshot {:?}", commit.snapshot)))?;
    if row.copied && row.chain.is_some() {
        return Err(Error::unsupported(
            "commit of a root file system that is a copy: it has no record of its changes",
        ));
    }
    let upper = all.snapshots().upper(&commit.snapshot)?;
    let (store, commit) = (Arc::clone(&all.store), commit.clone());
    blocking(move |cancel| {
        let _share = store.share()?;
        let staging = store.staging()?;
        let layer = pack_layer(&staging, &upper)?;
        let parent = match commit.parent.as_ref().or(row.image.as_ref()) {
            Some(id) => Some(Parent::read(&store, id)?),
            None => None,
        };
        let step = History {
            created: Some(timestamp()),
            created_by: commit.created_by.clone(),
            author: commit.author.clone(),
            comment: commit.comment.clone(),
            empty_layer: false,
        };
        let mut config = parent.as_ref().map_or_else(fresh, |parent| parent.config.clone());
        config.config = commit.config.clone();
        config.author.clone_from(&commit.author);
        config.comment.clone_from(&commit.comment);
        let tags = commit.name.iter().cloned().map(super::Reference::or_latest).collect();
        add_layer(&store, &layer, config, parent, step, tags, cancel)
    })
    .await
}

/// The image below.
pub struct Parent {
    id: Digest,
    config: ImageConfig,
    layers: Vec<Descriptor>,
}

impl Parent {
    fn read(store: &Store, id: &Digest) -> Result<Self> {
        let row = images::image(&store.db(), id)?
            .ok_or_else(|| Error::not_found(format!("No such image: {id}")))?;
        let bytes = store.read_blob(&row.manifest, super::manifest::MAX_MANIFEST)?;
        let super::manifest::Document::Manifest(manifest) =
            super::manifest::Document::parse(&bytes, None)?
        else {
            return Err(Error::internal(format!("manifest of {id} is an index")));
        };
        let config = ImageConfig::parse(&row.config)?;
        Ok(Self { id: id.clone(), config, layers: manifest.layers })
    }
}

/// A configuration for this host with nothing in it.
pub fn fresh() -> ImageConfig {
    let platform = Platform::host();
    ImageConfig {
        architecture: platform.architecture,
        os: platform.os,
        variant: platform.variant,
        rootfs: config::RootFs { kind: "layers".to_owned(), diff_ids: Vec::new() },
        ..ImageConfig::default()
    }
}

/// Now, as RFC 3339.
pub fn timestamp() -> String {
    jiff::Timestamp::now().to_string()
}

/// A layer's blob in a staging directory.
pub struct LayerBlob {
    /// Where.
    pub path: PathBuf,
    /// What.
    pub descriptor: Descriptor,
}

/// Packs and compresses a tree.
fn pack_layer(staging: &Staging, tree: &Path) -> Result<LayerBlob> {
    let path = staging.path().join("layer");
    let hashing =
        Hashing { file: create(&path)?, hasher: super::digest::Hasher::sha256(), size: 0 };
    let buffered = BufWriter::with_capacity(256 << 10, hashing);
    let gzip = flate2::write::GzEncoder::new(buffered, flate2::Compression::new(4));
    let gzip = pack(tree, Path::new(""), gzip, Pack { whiteouts: true })?;
    let hashing = gzip
        .finish()
        .and_then(|buffered| buffered.into_inner().map_err(std::io::IntoInnerError::into_error))
        .at(|| "compress layer")?;
    let (digest, size) = (hashing.hasher.finish(), hashing.size);
    let media_type = LAYER.to_owned();
    let descriptor = Descriptor { media_type, digest, size, platform: None, annotations: None };
    Ok(LayerBlob { path, descriptor })
}

/// Hashes what is written.
struct Hashing {
    file: std::fs::File,
    hasher: super::digest::Hasher,
    size: u64,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// Stores a layer on top of a parent as a new image. The caller holds the store's lock.
///
/// # Errors
/// The layer is malformed, or the disk fails.
pub fn add_layer(
    store: &Store,
    layer: &LayerBlob,
    mut config: ImageConfig,
    parent: Option<Parent>,
    step: History,
    tags: Vec<super::Reference>,
    cancel: &Cancel,
) -> Result<Image> {
    // Unpacked from the blob, not copied: what is stored is what others will unpack.
    let descriptor = layer.descriptor.clone();
    let silent: Sink = Arc::new(|_| {});
    let job = Job {
        chain: descriptor.digest.clone(),
        id: descriptor.digest.short().to_owned(),
        path: layer.path.clone(),
        size: descriptor.size,
    };
    let unpacked = ingest::unpack_file(store, &job, cancel, "Extracting", &silent)?;
    config.created.clone_from(&step.created);
    config.rootfs.diff_ids.push(unpacked.diff.clone());
    config.history.push(step);
    let chains = config.chain_ids();
    let locks = ingest::lock_missing(store, &chains, cancel, &mut |_| {})?;
    let mut layers = Vec::new();
    let mut parent_id = None;
    if let Some(parent) = parent {
        layers = parent.layers;
        parent_id = Some(parent.id);
    }
    layers.push(descriptor.clone());
    let config = serde_json::to_vec(&config)
        .map_err(|error| Error::internal(format!("image configuration: {error}")))?;
    if config.len() as u64 > MAX_CONFIG {
        return Err(Error::invalid("image configuration: larger than 8 MiB"));
    }
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": OCI_CONFIG, "digest": Digest::of(&config), "size": config.len()},
        "layers": layers,
    });
    let mut blobs = BTreeMap::new();
    if !store.has_blob(&descriptor.digest) {
        blobs.insert(descriptor.digest, layer.path.clone());
    }
    let top = chains.last().filter(|chain| locks.contains_key(*chain)).cloned();
    let image = NewImage {
        config,
        manifest: manifest.to_string().into_bytes(),
        media_type: OCI_MANIFEST.to_owned(),
        layers,
        blobs,
        unpacked: top.map(|chain| (chain, unpacked)).into_iter().collect(),
        locks,
        tags,
        digests: Vec::new(),
        parent: parent_id,
    };
    let id = ingest::store(store, &image)?;
    query::image(&store.db(), &id)
}
