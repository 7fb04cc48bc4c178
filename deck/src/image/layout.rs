//! What an archive's members mean: Docker's manifest.json, or an OCI layout; pure but for small
//! reads of spooled members.

use crate::error::{At, Error, Result};
use crate::image::decompress::{Compression, detect};
use crate::image::load::{Members, Spooled};
use crate::image::manifest::{
    self, DOCKER_CONFIG, Descriptor, Document, Index, MAX_CONFIG, MAX_MANIFEST, OCI_CONFIG,
    OCI_LAYER, OCI_MANIFEST,
};
use crate::image::{Digest, Platform, Reference};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Read;

/// An image found in an archive.
#[derive(Debug)]
pub struct Archived {
    /// The configuration.
    pub config: Vec<u8>,
    /// The manifest: the archive's, or made here where it has none.
    pub manifest: Vec<u8>,
    /// Its media type.
    pub media_type: String,
    /// Layers and the members that hold them.
    pub layers: Vec<(Descriptor, String)>,
    /// Names.
    pub tags: Vec<Reference>,
}

/// One image of `manifest.json` (Docker's image spec v1.2).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// Annotations that carry names.
const CONTAINERD_NAME: &str = "io.containerd.image.name";
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Reads what images an archive has.
///
/// # Errors
/// It is neither kind of archive, is malformed, or its parts don't fit together.
pub fn read(members: &Members, platform: &Platform) -> Result<Vec<Archived>> {
    let docker = members.read("manifest.json", MAX_MANIFEST)?;
    if let Some(index) = members.read("index.json", MAX_MANIFEST)? {
        // Both describe the same images in archives of newer Dockers; the OCI one has the
        // manifests, and so keeps digests.
        let mut images = read_oci(members, &index, platform)?;
        if let Some(docker) = docker {
            add_docker_tags(members, &docker, &mut images)?;
        }
        return Ok(images);
    }
    match docker {
        Some(docker) => {
            parse_docker(&docker)?.iter().map(|image| read_docker(members, image)).collect()
        }
        None => Err(Error::invalid(
            "archive: neither manifest.json nor index.json: no archive of docker save or OCI tools",
        )),
    }
}

fn parse_docker(bytes: &[u8]) -> Result<Vec<DockerImage>> {
    serde_json::from_slice(bytes)
        .map_err(|error| Error::invalid(format!("archive: manifest.json: {error}")))
}

fn parse_tags(tags: Option<&Vec<String>>) -> Result<Vec<Reference>> {
    let parse = |tag: &String| Ok(tag.parse::<Reference>()?.or_latest());
    tags.into_iter().flatten().map(parse).collect()
}

fn read_docker(members: &Members, image: &DockerImage) -> Result<Archived> {
    let config = members
        .read(&image.config, MAX_CONFIG)?
        .ok_or_else(|| Error::invalid(format!("archive: {} is missing", image.config)))?;
    if image.layers.len() > manifest::MAX_LAYERS {
        return Err(Error::invalid("archive: more than 500 layers"));
    }
    let mut layers = Vec::new();
    for name in &image.layers {
        let file = members
            .get(name)
            .ok_or_else(|| Error::invalid(format!("archive: {name} is missing")))?;
        layers.push((layer_descriptor(file)?, name.clone()));
    }
    let descriptors: Vec<&Descriptor> = layers.iter().map(|(descriptor, _)| descriptor).collect();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": OCI_CONFIG, "digest": Digest::of(&config), "size": config.len()},
        "layers": descriptors,
    });
    Ok(Archived {
        config,
        manifest: manifest.to_string().into_bytes(),
        media_type: OCI_MANIFEST.to_owned(),
        layers,
        tags: parse_tags(image.repo_tags.as_ref())?,
    })
}

/// Describes a layer by its content.
fn layer_descriptor(file: &Spooled) -> Result<Descriptor> {
    let mut start = [0; 6];
    let mut reader = std::fs::File::open(&file.path).at(|| "open a layer")?;
    let count = reader.read(&mut start).at(|| "read a layer")?;
    let suffix = match detect(&start[..count]) {
        Compression::Gzip => "+gzip",
        Compression::Zstd => "+zstd",
        Compression::None | Compression::Bzip2 | Compression::Xz => "",
    };
    let media_type = format!("{OCI_LAYER}{suffix}");
    let digest = file.digest.clone();
    Ok(Descriptor { media_type, digest, size: file.size, platform: None, annotations: None })
}

fn read_oci(members: &Members, bytes: &[u8], platform: &Platform) -> Result<Vec<Archived>> {
    let Document::Index(index) = Document::parse(bytes, Some(manifest::OCI_INDEX))? else {
        return Err(Error::invalid("archive: index.json is no index"));
    };
    // Several names of one image are several entries.
    let mut images: BTreeMap<Digest, Archived> = BTreeMap::new();
    let mut order = Vec::new();
    for descriptor in &index.manifests {
        let Some(archived) = read_manifest(members, descriptor, platform)? else { continue };
        let key = Digest::of(&archived.manifest);
        if !images.contains_key(&key) {
            order.push(key.clone());
        }
        let tag = named(descriptor);
        let image = images.entry(key).or_insert(archived);
        image.tags.extend(tag);
    }
    if order.is_empty() {
        return Err(Error::not_found(format!("archive: no image for {platform}")));
    }
    Ok(order.iter().filter_map(|key| images.remove(key)).collect())
}

/// The name an entry of index.json gives. A bare tag names nothing.
fn named(descriptor: &Descriptor) -> Option<Reference> {
    let annotations = descriptor.annotations.as_ref()?;
    let full = annotations
        .get(CONTAINERD_NAME)
        .or_else(|| annotations.get(REF_NAME).filter(|name| name.contains([':', '/'])))?;
    Some(full.parse::<Reference>().ok()?.or_latest())
}

/// The manifest of an entry, through at most one index: deeper nesting has no use and could loop.
fn read_manifest(
    members: &Members,
    descriptor: &Descriptor,
    platform: &Platform,
) -> Result<Option<Archived>> {
    match document(members, descriptor)? {
        (bytes, Document::Manifest(manifest)) => {
            from_manifest(members, bytes, &manifest, descriptor).map(Some)
        }
        (_, Document::Index(index)) => {
            let Some((bytes, manifest, chosen)) = chosen(members, &index, platform)? else {
                return Ok(None);
            };
            from_manifest(members, bytes, &manifest, &chosen).map(Some)
        }
    }
}

type Chosen = (Vec<u8>, manifest::Manifest, Descriptor);

fn chosen(members: &Members, index: &Index, platform: &Platform) -> Result<Option<Chosen>> {
    // Archives may hold a part of what the index lists.
    let present = Index {
        manifests: index
            .manifests
            .iter()
            .filter(|entry| members.get(&blob_name(&entry.digest)).is_some())
            .cloned()
            .collect(),
        ..index.clone()
    };
    let Ok(entry) = present.choose(platform) else { return Ok(None) };
    match document(members, entry)? {
        (bytes, Document::Manifest(manifest)) => Ok(Some((bytes, manifest, entry.clone()))),
        (_, Document::Index(_)) => Err(Error::invalid("archive: index within an index")),
    }
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}

fn document(members: &Members, descriptor: &Descriptor) -> Result<(Vec<u8>, Document)> {
    let bytes = verified(members, descriptor, MAX_MANIFEST)?;
    let kind = Some(descriptor.media_type.as_str()).filter(|kind| !kind.is_empty());
    let document = Document::parse(&bytes, kind)?;
    Ok((bytes, document))
}

/// A blob whose size and digest are what the descriptor says.
fn verified(members: &Members, descriptor: &Descriptor, most: u64) -> Result<Vec<u8>> {
    let name = blob_name(&descriptor.digest);
    check(members, descriptor)?;
    members.read(&name, most)?.ok_or_else(|| Error::invalid(format!("archive: {name} is missing")))
}

fn check(members: &Members, descriptor: &Descriptor) -> Result<()> {
    let name = blob_name(&descriptor.digest);
    let file =
        members.get(&name).ok_or_else(|| Error::invalid(format!("archive: {name} is missing")))?;
    if file.digest != descriptor.digest || file.size != descriptor.size {
        return Err(Error::invalid(format!(
            "archive: {name} has digest {} and {} bytes, not {} and {}",
            file.digest, file.size, descriptor.digest, descriptor.size
        )));
    }
    Ok(())
}

fn from_manifest(
    members: &Members,
    bytes: Vec<u8>,
    manifest: &manifest::Manifest,
    descriptor: &Descriptor,
) -> Result<Archived> {
    let config = verified(members, &manifest.config, MAX_CONFIG)?;
    let mut layers = Vec::new();
    for layer in &manifest.layers {
        check(members, layer)?;
        layers.push((layer.clone(), blob_name(&layer.digest)));
    }
    let kind = if manifest.media_type.is_empty() && manifest.config.media_type == DOCKER_CONFIG {
        descriptor.media_type.clone()
    } else {
        manifest.kind().to_owned()
    };
    Ok(Archived { config, manifest: bytes, media_type: kind, layers, tags: Vec::new() })
}

/// Names of manifest.json for the same images.
fn add_docker_tags(members: &Members, docker: &[u8], images: &mut [Archived]) -> Result<()> {
    for entry in parse_docker(docker)? {
        let Some(config) = members.get(&entry.config) else { continue };
        for image in images.iter_mut() {
            if Digest::of(&image.config) == config.digest {
                image.tags.extend(parse_tags(entry.repo_tags.as_ref())?);
            }
        }
    }
    for image in images {
        image.tags.sort();
        image.tags.dedup();
    }
    Ok(())
}
