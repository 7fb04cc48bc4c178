//! Loading archives of `docker save`, `podman save` and OCI tools: streams, so everything is
//! spooled first and understood then, for the order of members is free.

use crate::error::{At, Error, Result};
use crate::image::apply::path::clean;
use crate::image::apply::wording;
use crate::image::ingest::{self, Job, NewImage};
use crate::image::layers::{Cancel, blocking};
use crate::image::layout::{self, Archived};
use crate::image::progress::{Progress, Sink};
use crate::image::store::blobs::BlobWriter;
use crate::image::store::{Staging, Store};
use crate::image::types::Image;
use crate::image::{Digest, ImageConfig, Images, Platform, config, decompress, query};
use crate::store::images;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tar::EntryType;

/// Most members of an archive.
const MAX_MEMBERS: usize = 100_000;

/// A member on disk.
#[derive(Debug, Clone)]
pub struct Spooled {
    /// Where.
    pub path: PathBuf,
    /// Its digest: sha256, or sha512 where the archive names it so.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
}

/// The members of an archive.
#[derive(Debug, Default)]
pub struct Members {
    files: BTreeMap<PathBuf, Spooled>,
    links: BTreeMap<PathBuf, PathBuf>,
}

impl Members {
    /// A member by name, through links within the archive.
    pub fn get(&self, name: &str) -> Option<&Spooled> {
        let mut path = clean(name.as_bytes()).ok()?;
        for _ in 0..8 {
            if let Some(file) = self.files.get(&path) {
                return Some(file);
            }
            path.clone_from(self.links.get(&path)?);
        }
        None
    }

    /// Reads a small member.
    pub fn read(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>> {
        let Some(file) = self.get(name) else { return Ok(None) };
        if file.size > most {
            return Err(Error::invalid(format!("archive: {name} is larger than {most} bytes")));
        }
        std::fs::read(&file.path).map(Some).at(|| format!("read {name}"))
    }
}

/// See [`Images::load`].
pub async fn load(
    all: &Images,
    reader: Box<dyn Read + Send>,
    platform: Option<&Platform>,
    progress: &Sink,
) -> Result<Vec<Image>> {
    let store = Arc::clone(&all.store);
    let platform = platform.cloned().unwrap_or_else(Platform::host);
    let sink = Sink::clone(progress);
    blocking(move |cancel| {
        let result = load_blocking(&store, reader, &platform, cancel, &sink);
        store.sweep()?;
        result
    })
    .await
}

fn load_blocking(
    store: &Store,
    reader: Box<dyn Read + Send>,
    platform: &Platform,
    cancel: &Cancel,
    sink: &Sink,
) -> Result<Vec<Image>> {
    let _share = store.share()?;
    let staging = store.staging()?;
    let plain = decompress::reader(Box::new(cancel.reader(reader)))?;
    let members = spool(&staging, plain)?;
    let mut loaded = Vec::new();
    for archived in layout::read(&members, platform)? {
        loaded.push(load_one(store, &members, archived, cancel, sink)?);
    }
    Ok(loaded)
}

/// Writes all members to disk, hashing them.
fn spool(staging: &Staging, plain: Box<dyn Read + Send>) -> Result<Members> {
    let unreadable = |error: std::io::Error| {
        Error::invalid(format!("Error processing tar file: {}", wording(&error)))
    };
    let mut members = Members::default();
    let mut archive = tar::Archive::new(plain);
    let mut buffer = vec![0; 256 << 10];
    for entry in archive.entries().map_err(unreadable)? {
        let mut entry = entry.map_err(unreadable)?;
        let name = clean(&entry.path_bytes())?;
        let count = members.files.len() + members.links.len();
        if count >= MAX_MEMBERS {
            return Err(Error::invalid("archive: too many members"));
        }
        match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous => {
                let path = staging.path().join(count.to_string());
                let hasher = if name.starts_with("blobs/sha512") {
                    crate::image::digest::Hasher::sha512()
                } else {
                    crate::image::digest::Hasher::sha256()
                };
                let mut writer = BlobWriter::create(&path, hasher)?;
                loop {
                    let count = entry.read(&mut buffer).map_err(unreadable)?;
                    if count == 0 {
                        break;
                    }
                    writer.append(&buffer[..count])?;
                }
                if writer.length() != entry.size() {
                    return Err(Error::invalid("Error processing tar file: unexpected EOF"));
                }
                let (digest, size) = writer.finish();
                members.files.insert(name, Spooled { path, digest, size });
            }
            EntryType::Symlink => {
                let link = entry.link_name_bytes().unwrap_or_default().into_owned();
                if let Some(target) = beside(&name, &link) {
                    members.links.insert(name, target);
                }
            }
            EntryType::Link => {
                let link = entry.link_name_bytes().unwrap_or_default().into_owned();
                members.links.insert(name, clean(&link)?);
            }
            _ => {}
        }
    }
    if members.files.is_empty() {
        return Err(Error::invalid("Error processing tar file: unexpected EOF"));
    }
    Ok(members)
}

/// The member a link beside `name` means: `../x/layer.tar` in archives of older Dockers.
fn beside(name: &Path, link: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    let link = Path::new(std::ffi::OsStr::from_bytes(link));
    let mut path = name.parent()?.to_owned();
    for component in link.components() {
        match component {
            std::path::Component::ParentDir => {
                if !path.pop() {
                    return None;
                }
            }
            std::path::Component::Normal(part) => path.push(part),
            std::path::Component::CurDir => {}
            _ => return None,
        }
    }
    Some(path)
}

fn load_one(
    store: &Store,
    members: &Members,
    archived: Archived,
    cancel: &Cancel,
    sink: &Sink,
) -> Result<Image> {
    let config = ImageConfig::parse(&archived.config)?;
    let diffs = &config.rootfs.diff_ids;
    if diffs.len() != archived.layers.len() {
        return Err(Error::invalid(format!(
            "archive: image with {} layers and {} diff ids",
            archived.layers.len(),
            diffs.len()
        )));
    }
    let chains = config::chain_ids(diffs);
    let locks = ingest::lock_missing(store, &chains, cancel, &mut |_| {})?;
    let mut jobs = Vec::new();
    let mut blobs = BTreeMap::new();
    let mut locate = |member: &str, digest: &Digest| -> Result<PathBuf> {
        if store.has_blob(digest) {
            return Ok(store.blob(digest));
        }
        let file = members
            .get(member)
            .ok_or_else(|| Error::invalid(format!("archive: {member} is missing")))?;
        blobs.insert(digest.clone(), file.path.clone());
        Ok(file.path.clone())
    };
    for (position, (descriptor, member)) in archived.layers.iter().enumerate() {
        let path = locate(member, &descriptor.digest)?;
        let chain = &chains[position];
        if locks.contains_key(chain) {
            let (chain, id) = (chain.clone(), diffs[position].short().to_owned());
            jobs.push(Job { chain, id, path, size: descriptor.size });
        }
    }
    let unpacked = ingest::unpack_all(store, &jobs, cancel, "Loading layer", sink)?;
    let old: Vec<(String, Option<Digest>)> = {
        let db = store.db();
        let owner = |tag: &crate::image::Reference| images::by_tag(&db, &tag.to_string());
        archived.tags.iter().map(|tag| Ok((tag.familiar(), owner(tag)?))).collect::<Result<_>>()?
    };
    let image = NewImage {
        config: archived.config,
        manifest: archived.manifest,
        media_type: archived.media_type,
        layers: archived.layers.into_iter().map(|(descriptor, _)| descriptor).collect(),
        blobs,
        unpacked,
        locks,
        tags: archived.tags,
        digests: Vec::new(),
        parent: None,
    };
    let id = ingest::store(store, &image)?;
    for (name, owner) in &old {
        if let Some(owner) = owner.as_ref().filter(|owner| **owner != id) {
            sink(Progress::Stream(format!(
                "The image {name} already exists, renaming the old one with ID {owner} to empty \
                 string\n"
            )));
        }
        sink(Progress::Stream(format!("Loaded image: {name}\n")));
    }
    if old.is_empty() {
        sink(Progress::Stream(format!("Loaded image ID: {id}\n")));
    }
    query::image(&store.db(), &id)
}
