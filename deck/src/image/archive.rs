//! `save`: one archive that is an OCI layout and Docker's at once, as current Dockers write it.

use crate::error::{At, Error, Result};
use crate::image::layers::{Cancel, blocking};
use crate::image::manifest::{Descriptor, Document, MAX_MANIFEST, OCI_INDEX};
use crate::image::store::Store;
use crate::image::{Digest, Images, Reference, query};
use crate::store::images;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use tar::{Builder, EntryType, Header};

/// How much of a blob is read or passed on at once.
const BUFFER: usize = 256 << 10;

/// What is to be saved of one image.
struct Saved {
    manifest: Descriptor,
    config: Digest,
    layers: Vec<Digest>,
    tags: BTreeSet<Reference>,
}

/// See [`Images::save`].
pub async fn save(all: &Images, names: &[String], writer: Box<dyn Write + Send>) -> Result<()> {
    let (store, names) = (Arc::clone(&all.store), names.to_vec());
    blocking(move |cancel| {
        let _share = store.share()?;
        let images = collect(&store, &names)?;
        write(&store, &images, writer, cancel)
    })
    .await
}

/// The images and the names asked for; an image by id comes without names.
fn collect(store: &Store, names: &[String]) -> Result<Vec<Saved>> {
    let mut order: Vec<Digest> = Vec::new();
    let mut found: BTreeMap<Digest, Saved> = BTreeMap::new();
    for name in names {
        let db = store.db();
        let id = query::resolve(&db, name)?;
        let row = images::image(&db, &id)?
            .ok_or_else(|| Error::not_found(format!("No such image: {name}")))?;
        let tagged = images::tags(&db, &id)?;
        drop(db);
        if !found.contains_key(&id) {
            let bytes = store.read_blob(&row.manifest, MAX_MANIFEST)?;
            let Document::Manifest(manifest) = Document::parse(&bytes, None)? else {
                return Err(Error::internal(format!("manifest of {id} is an index")));
            };
            let descriptor = Descriptor {
                media_type: row.media_type,
                digest: row.manifest,
                size: row.manifest_size,
                platform: None,
                annotations: None,
            };
            let layers = manifest.layers.into_iter().map(|layer| layer.digest).collect();
            let config = manifest.config.digest;
            let tags = BTreeSet::new();
            found.insert(id.clone(), Saved { manifest: descriptor, config, layers, tags });
            order.push(id.clone());
        }
        let reference = name.parse::<Reference>().ok().map(Reference::or_latest);
        if let Some(reference) = reference.filter(|name| tagged.contains(&name.to_string()))
            && let Some(saved) = found.get_mut(&id)
        {
            saved.tags.insert(reference);
        }
    }
    Ok(order.iter().filter_map(|id| found.remove(id)).collect())
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}

fn write(
    store: &Store,
    saved: &[Saved],
    writer: Box<dyn Write + Send>,
    cancel: &Cancel,
) -> Result<()> {
    let mut builder = Builder::new(BufWriter::with_capacity(BUFFER, writer));
    let mut blobs = BTreeSet::new();
    for image in saved {
        blobs.extend([&image.manifest.digest, &image.config]);
        blobs.extend(&image.layers);
    }
    for dir in ["blobs/", "blobs/sha256/"] {
        let mut header = header(EntryType::Directory, 0, 0o755);
        builder.append_data(&mut header, dir, std::io::empty()).at(|| "write archive")?;
    }
    for digest in blobs {
        let file = store.open_blob(digest)?;
        let size = file.metadata().at(|| format!("stat blob {digest}"))?.len();
        let mut header = header(EntryType::Regular, size, 0o644);
        let blob = cancel.reader(file);
        builder
            .append_data(&mut header, blob_name(digest), BufReader::with_capacity(BUFFER, blob))
            .at(|| format!("write blob {digest}"))?;
    }
    add(&mut builder, "index.json", &index(saved))?;
    add(&mut builder, "manifest.json", &docker(saved))?;
    add(&mut builder, "oci-layout", &json!({"imageLayoutVersion": "1.0.0"}))?;
    add(&mut builder, "repositories", &repositories(saved))?;
    builder.into_inner().and_then(|mut writer| writer.flush()).at(|| "finish archive")
}

/// A header that is the same every time: saves of the same image are the same bytes.
fn header(kind: EntryType, size: u64, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(0);
    header
}

fn add<W: Write>(builder: &mut Builder<W>, name: &str, value: &Value) -> Result<()> {
    let bytes = value.to_string().into_bytes();
    let mut header = header(EntryType::Regular, bytes.len() as u64, 0o644);
    builder.append_data(&mut header, Path::new(name), &bytes[..]).at(|| format!("write {name}"))
}

/// One entry for each name, as containerd's tools read them.
fn index(saved: &[Saved]) -> Value {
    let mut manifests = Vec::new();
    for image in saved {
        let plain = json!({
            "mediaType": image.manifest.media_type,
            "digest": image.manifest.digest,
            "size": image.manifest.size,
        });
        if image.tags.is_empty() {
            manifests.push(plain.clone());
        }
        for tag in &image.tags {
            let mut entry = plain.clone();
            entry["annotations"] = json!({
                "io.containerd.image.name": tag.to_string(),
                "org.opencontainers.image.ref.name": tag.tag,
            });
            manifests.push(entry);
        }
    }
    json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests})
}

/// Docker's list.
fn docker(saved: &[Saved]) -> Value {
    let one = |image: &Saved| {
        let tags: Vec<String> = image.tags.iter().map(Reference::familiar).collect();
        json!({
            "Config": blob_name(&image.config),
            "RepoTags": if tags.is_empty() { Value::Null } else { json!(tags) },
            "Layers": image.layers.iter().map(blob_name).collect::<Vec<_>>(),
        })
    };
    saved.iter().map(one).collect()
}

/// Names by repository, for readers of the first format.
fn repositories(saved: &[Saved]) -> Value {
    let mut names: BTreeMap<String, BTreeMap<&str, &str>> = BTreeMap::new();
    for image in saved {
        for tag in &image.tags {
            if let Some(layer) = image.layers.last() {
                let tags = names.entry(tag.familiar_name()).or_default();
                tags.insert(tag.tag.as_deref().unwrap_or("latest"), layer.hex());
            }
        }
    }
    json!(names)
}
