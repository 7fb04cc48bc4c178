//! Images of root file system archives: `docker import`.

use crate::error::{At, Error, Result};
use crate::image::commit::{LayerBlob, add_layer, fresh, timestamp};
use crate::image::decompress::{Compression, detect};
use crate::image::digest::Hasher;
use crate::image::layers::{Cancel, blocking};
use crate::image::manifest::{Descriptor, OCI_LAYER};
use crate::image::progress::{Progress, Sink};
use crate::image::store::Store;
use crate::image::store::blobs::BlobWriter;
use crate::image::types::{Image, Import};
use crate::image::{History, Images, Reference};
use std::io::Read;
use std::sync::Arc;

/// See [`Images::import`].
pub async fn import(
    all: &Images,
    reader: Box<dyn Read + Send>,
    options: &Import,
    progress: &Sink,
) -> Result<Image> {
    let (store, options) = (Arc::clone(&all.store), options.clone());
    let image = blocking(move |cancel| {
        let result = import_blocking(&store, reader, options, cancel);
        store.sweep()?;
        result
    })
    .await?;
    progress(Progress::status(image.id.as_str()));
    Ok(image)
}

fn import_blocking(
    store: &Store,
    reader: Box<dyn Read + Send>,
    options: Import,
    cancel: &Cancel,
) -> Result<Image> {
    let _share = store.share()?;
    let staging = store.staging()?;
    let path = staging.path().join("layer");
    let mut writer = BlobWriter::create(&path, Hasher::sha256())?;
    let mut reader = cancel.reader(reader);
    let mut buffer = vec![0; 256 << 10];
    let mut start = Vec::new();
    loop {
        let count = reader.read(&mut buffer).at(|| "read archive")?;
        if count == 0 {
            break;
        }
        if start.len() < 6 {
            start.extend(&buffer[..count.min(6)]);
        }
        writer.append(&buffer[..count])?;
    }
    let suffix = match detect(&start) {
        Compression::Gzip => "+gzip",
        Compression::Zstd => "+zstd",
        Compression::None | Compression::Bzip2 | Compression::Xz => "",
    };
    // What is shorter than one header is no archive (tar(5)).
    if start.is_empty() || suffix.is_empty() && writer.length() < 512 {
        return Err(Error::invalid("Error processing tar file: unexpected EOF"));
    }
    let (digest, size) = writer.finish();
    let media_type = format!("{OCI_LAYER}{suffix}");
    let descriptor = Descriptor { media_type, digest, size, platform: None, annotations: None };
    let mut config = fresh();
    if let Some(platform) = options.platform {
        config.architecture = platform.architecture;
        config.os = platform.os;
        config.variant = platform.variant;
    }
    config.config = options.config;
    config.comment.clone_from(&options.comment);
    let step =
        History { created: Some(timestamp()), comment: options.comment, ..History::default() };
    let tags = options.name.into_iter().map(Reference::or_latest).collect();
    add_layer(store, &LayerBlob { path, descriptor }, config, None, step, tags, cancel)
}
