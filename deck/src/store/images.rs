//! Records of images, their names, layers and snapshots.
//!
//! A row is the truth: files without a row are garbage, a row without its files can't be, because
//! rows are written after the files are on disk and removed before them.

use crate::error::{Error, Result};
use crate::image::Digest;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use std::collections::BTreeSet;

/// The tables.
pub const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS layer (
    chain TEXT PRIMARY KEY, diff TEXT NOT NULL, parent TEXT, size INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS image (
    id TEXT PRIMARY KEY, manifest TEXT NOT NULL, media_type TEXT NOT NULL,
    manifest_size INTEGER NOT NULL, content_size INTEGER NOT NULL, config BLOB NOT NULL,
    created INTEGER NOT NULL, last_tagged INTEGER NOT NULL DEFAULT 0, parent TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS image_layer (
    image TEXT NOT NULL REFERENCES image(id) ON DELETE CASCADE, position INTEGER NOT NULL,
    chain TEXT NOT NULL REFERENCES layer(chain), PRIMARY KEY (image, position)
) STRICT;
CREATE TABLE IF NOT EXISTS image_blob (
    image TEXT NOT NULL REFERENCES image(id) ON DELETE CASCADE, blob TEXT NOT NULL,
    PRIMARY KEY (image, blob)
) STRICT;
CREATE TABLE IF NOT EXISTS image_tag (
    name TEXT PRIMARY KEY, image TEXT NOT NULL REFERENCES image(id) ON DELETE CASCADE
) STRICT;
CREATE TABLE IF NOT EXISTS image_digest (
    name TEXT NOT NULL, digest TEXT NOT NULL,
    image TEXT NOT NULL REFERENCES image(id) ON DELETE CASCADE, PRIMARY KEY (name, digest)
) STRICT;
CREATE TABLE IF NOT EXISTS blob_source (
    blob TEXT NOT NULL, registry TEXT NOT NULL, repository TEXT NOT NULL,
    PRIMARY KEY (blob, registry, repository)
) STRICT;
CREATE TABLE IF NOT EXISTS snapshot (
    key TEXT PRIMARY KEY, image TEXT, chain TEXT REFERENCES layer(chain), copied INTEGER NOT NULL
) STRICT;
";

/// A layer's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerRow {
    /// Its chain id: the name of its directory.
    pub chain: Digest,
    /// Digest of its uncompressed archive.
    pub diff: Digest,
    /// The chain id below it.
    pub parent: Option<Digest>,
    /// Unpacked bytes.
    pub size: u64,
}

/// An image's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRow {
    /// Digest of the configuration.
    pub id: Digest,
    /// Digest of the manifest.
    pub manifest: Digest,
    /// The manifest's media type.
    pub media_type: String,
    /// The manifest's bytes.
    pub manifest_size: u64,
    /// Bytes of all blobs.
    pub content_size: u64,
    /// The configuration as it was.
    pub config: Vec<u8>,
    /// Seconds since the epoch.
    pub created: i64,
    /// Nanoseconds since the epoch.
    pub last_tagged: i64,
    /// The image it was committed on.
    pub parent: Option<Digest>,
}

/// A snapshot's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotRow {
    /// Its name.
    pub key: String,
    /// The image it was made of.
    pub image: Option<Digest>,
    /// The top layer.
    pub chain: Option<Digest>,
    /// A plain copy instead of an overlay.
    pub copied: bool,
}

/// What refers to content: all else is garbage.
#[derive(Debug, Default)]
pub struct Live {
    /// Blobs of images.
    pub blobs: BTreeSet<Digest>,
    /// Layers of images and snapshots, with those below.
    pub layers: BTreeSet<Digest>,
    /// Keys of snapshots.
    pub snapshots: BTreeSet<String>,
}

fn digest(row: &Row, column: usize) -> rusqlite::Result<Digest> {
    parse(row.get(column)?)
}

fn optional(row: &Row, column: usize) -> rusqlite::Result<Option<Digest>> {
    row.get::<_, Option<String>>(column)?.map(parse).transpose()
}

fn parse(text: String) -> rusqlite::Result<Digest> {
    Digest::try_from(text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
    })
}

fn unsigned(row: &Row, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)?.unsigned_abs())
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Adds a layer; one that is there stays.
pub fn add_layer(db: &Connection, layer: &LayerRow) -> Result<()> {
    db.execute(
        "INSERT OR IGNORE INTO layer (chain, diff, parent, size) VALUES (?1, ?2, ?3, ?4)",
        params![
            layer.chain.as_str(),
            layer.diff.as_str(),
            layer.parent.as_ref().map(Digest::as_str),
            signed(layer.size)
        ],
    )?;
    Ok(())
}

/// The layer of a chain id.
pub fn layer(db: &Connection, chain: &Digest) -> Result<Option<LayerRow>> {
    let found = db
        .prepare_cached("SELECT chain, diff, parent, size FROM layer WHERE chain = ?1")?
        .query_row([chain.as_str()], |row| {
            Ok(LayerRow {
                chain: digest(row, 0)?,
                diff: digest(row, 1)?,
                parent: optional(row, 2)?,
                size: unsigned(row, 3)?,
            })
        })
        .optional()?;
    Ok(found)
}

/// A layer and those below it, top first.
pub fn chain(db: &Connection, top: &Digest) -> Result<Vec<LayerRow>> {
    let mut layers: Vec<LayerRow> = Vec::new();
    let mut next = Some(top.clone());
    while let Some(id) = next.take() {
        let row = layer(db, &id)?
            .ok_or_else(|| Error::internal(format!("layer {id} is missing in the store")))?;
        next.clone_from(&row.parent);
        layers.push(row);
    }
    Ok(layers)
}

/// Adds or renews an image with its layers and blobs, in the caller's transaction.
pub fn put_image(
    db: &Transaction,
    image: &ImageRow,
    chains: &[Digest],
    blobs: &[Digest],
) -> Result<()> {
    db.execute(
        "INSERT INTO image (id, manifest, media_type, manifest_size, content_size, config, created,
            last_tagged, parent) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (id) DO UPDATE SET manifest = excluded.manifest,
            media_type = excluded.media_type, manifest_size = excluded.manifest_size,
            content_size = excluded.content_size",
        params![
            image.id.as_str(),
            image.manifest.as_str(),
            image.media_type,
            signed(image.manifest_size),
            signed(image.content_size),
            image.config,
            image.created,
            image.last_tagged,
            image.parent.as_ref().map(Digest::as_str),
        ],
    )?;
    for (position, chain) in chains.iter().enumerate() {
        db.execute(
            "INSERT OR IGNORE INTO image_layer (image, position, chain) VALUES (?1, ?2, ?3)",
            params![image.id.as_str(), signed(position as u64), chain.as_str()],
        )?;
    }
    for blob in blobs {
        db.execute(
            "INSERT OR IGNORE INTO image_blob (image, blob) VALUES (?1, ?2)",
            params![image.id.as_str(), blob.as_str()],
        )?;
    }
    Ok(())
}

/// Points a tagged name at an image, taking it from another.
pub fn set_tag(db: &Connection, name: &str, image: &Digest, now: i64) -> Result<()> {
    db.execute(
        "INSERT INTO image_tag (name, image) VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET image = excluded.image",
        params![name, image.as_str()],
    )?;
    db.execute("UPDATE image SET last_tagged = ?2 WHERE id = ?1", params![image.as_str(), now])?;
    Ok(())
}

/// Remembers the manifest digest a repository knows an image by.
pub fn set_digest(db: &Connection, name: &str, digest: &Digest, image: &Digest) -> Result<()> {
    db.execute(
        "INSERT OR REPLACE INTO image_digest (name, digest, image) VALUES (?1, ?2, ?3)",
        params![name, digest.as_str(), image.as_str()],
    )?;
    Ok(())
}

/// Takes a tagged name away; false if it was not there.
pub fn remove_tag(db: &Connection, name: &str) -> Result<bool> {
    Ok(db.execute("DELETE FROM image_tag WHERE name = ?1", [name])? > 0)
}

/// Takes a repository's digest away; false if it was not there.
pub fn remove_digest(db: &Connection, name: &str, digest: &str) -> Result<bool> {
    let count = db.execute(
        "DELETE FROM image_digest WHERE name = ?1 AND digest = ?2",
        params![name, digest],
    )?;
    Ok(count > 0)
}

/// Removes an image with its names; its layers and blobs become garbage if nothing else has them.
pub fn remove_image(db: &Connection, id: &Digest) -> Result<()> {
    db.execute("DELETE FROM image WHERE id = ?1", [id.as_str()])?;
    Ok(())
}

const IMAGE: &str = "SELECT id, manifest, media_type, manifest_size, content_size, config, created,
    last_tagged, parent FROM image";

fn image_row(row: &Row) -> rusqlite::Result<ImageRow> {
    Ok(ImageRow {
        id: digest(row, 0)?,
        manifest: digest(row, 1)?,
        media_type: row.get(2)?,
        manifest_size: unsigned(row, 3)?,
        content_size: unsigned(row, 4)?,
        config: row.get(5)?,
        created: row.get(6)?,
        last_tagged: row.get(7)?,
        parent: optional(row, 8)?,
    })
}

/// All images, newest first.
pub fn images(db: &Connection) -> Result<Vec<ImageRow>> {
    let mut statement = db.prepare_cached(&format!("{IMAGE} ORDER BY created DESC, id"))?;
    let rows = statement.query_map([], image_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The image of an id.
pub fn image(db: &Connection, id: &Digest) -> Result<Option<ImageRow>> {
    let mut statement = db.prepare_cached(&format!("{IMAGE} WHERE id = ?1"))?;
    Ok(statement.query_row([id.as_str()], image_row).optional()?)
}

/// Ids of images whose id or manifest digest starts so; `prefix` is `sha256:` and hex digits.
pub fn ids_starting(db: &Connection, prefix: &str) -> Result<Vec<Digest>> {
    let mut statement = db.prepare_cached(
        "SELECT id FROM image WHERE substr(id, 1, length(?1)) = ?1
            OR substr(manifest, 1, length(?1)) = ?1 LIMIT 2",
    )?;
    let rows = statement.query_map([prefix], |row| digest(row, 0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The image a tagged name points at.
pub fn by_tag(db: &Connection, name: &str) -> Result<Option<Digest>> {
    let mut statement = db.prepare_cached("SELECT image FROM image_tag WHERE name = ?1")?;
    Ok(statement.query_row([name], |row| digest(row, 0)).optional()?)
}

/// The image a repository knows by a digest.
pub fn by_digest(db: &Connection, name: &str, manifest: &Digest) -> Result<Option<Digest>> {
    let mut statement =
        db.prepare_cached("SELECT image FROM image_digest WHERE name = ?1 AND digest = ?2")?;
    Ok(statement.query_row(params![name, manifest.as_str()], |row| digest(row, 0)).optional()?)
}

/// Full tagged names of an image, sorted.
pub fn tags(db: &Connection, image: &Digest) -> Result<Vec<String>> {
    let mut statement =
        db.prepare_cached("SELECT name FROM image_tag WHERE image = ?1 ORDER BY name")?;
    let rows = statement.query_map([image.as_str()], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Names and digests of an image, sorted.
pub fn digests(db: &Connection, image: &Digest) -> Result<Vec<(String, Digest)>> {
    let mut statement = db.prepare_cached(
        "SELECT name, digest FROM image_digest WHERE image = ?1 ORDER BY name, digest",
    )?;
    let rows = statement.query_map([image.as_str()], |row| Ok((row.get(0)?, digest(row, 1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The layers of an image, lowest first.
pub fn image_layers(db: &Connection, image: &Digest) -> Result<Vec<LayerRow>> {
    let mut statement = db.prepare_cached(
        "SELECT layer.chain, diff, parent, size FROM image_layer
            JOIN layer ON layer.chain = image_layer.chain WHERE image = ?1 ORDER BY position",
    )?;
    let rows = statement.query_map([image.as_str()], |row| {
        Ok(LayerRow {
            chain: digest(row, 0)?,
            diff: digest(row, 1)?,
            parent: optional(row, 2)?,
            size: unsigned(row, 3)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// How many images have a layer.
pub fn images_with_layer(db: &Connection, chain: &Digest) -> Result<u64> {
    let mut statement = db.prepare_cached("SELECT count(*) FROM image_layer WHERE chain = ?1")?;
    Ok(statement.query_row([chain.as_str()], |row| unsigned(row, 0))?)
}

/// Images committed on an image.
pub fn children(db: &Connection, image: &Digest) -> Result<Vec<Digest>> {
    let mut statement = db.prepare_cached("SELECT id FROM image WHERE parent = ?1")?;
    let rows = statement.query_map([image.as_str()], |row| digest(row, 0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Remembers that a repository of a registry has a blob: the next push there can mount it.
pub fn add_source(db: &Connection, blob: &Digest, registry: &str, repository: &str) -> Result<()> {
    db.execute(
        "INSERT OR IGNORE INTO blob_source (blob, registry, repository) VALUES (?1, ?2, ?3)",
        params![blob.as_str(), registry, repository],
    )?;
    Ok(())
}

/// Repositories of a registry that had a blob.
pub fn sources(db: &Connection, blob: &Digest, registry: &str) -> Result<Vec<String>> {
    let mut statement = db.prepare_cached(
        "SELECT repository FROM blob_source WHERE blob = ?1 AND registry = ?2 ORDER BY repository",
    )?;
    let rows = statement.query_map(params![blob.as_str(), registry], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Adds a snapshot; false if the key is taken.
pub fn add_snapshot(db: &Connection, snapshot: &SnapshotRow) -> Result<bool> {
    let count = db.execute(
        "INSERT OR IGNORE INTO snapshot (key, image, chain, copied) VALUES (?1, ?2, ?3, ?4)",
        params![
            snapshot.key,
            snapshot.image.as_ref().map(Digest::as_str),
            snapshot.chain.as_ref().map(Digest::as_str),
            snapshot.copied
        ],
    )?;
    Ok(count > 0)
}

/// The snapshot of a key.
pub fn snapshot(db: &Connection, key: &str) -> Result<Option<SnapshotRow>> {
    let mut statement =
        db.prepare_cached("SELECT key, image, chain, copied FROM snapshot WHERE key = ?1")?;
    let found = statement
        .query_row([key], |row| {
            Ok(SnapshotRow {
                key: row.get(0)?,
                image: optional(row, 1)?,
                chain: optional(row, 2)?,
                copied: row.get(3)?,
            })
        })
        .optional()?;
    Ok(found)
}

/// Removes a snapshot's row.
pub fn remove_snapshot(db: &Connection, key: &str) -> Result<()> {
    db.execute("DELETE FROM snapshot WHERE key = ?1", [key])?;
    Ok(())
}

/// Removes rows of layers nothing refers to, and tells what is left.
pub fn collect(db: &Transaction) -> Result<Live> {
    db.execute_batch(
        "WITH RECURSIVE live(chain) AS (
            SELECT chain FROM image_layer
            UNION SELECT chain FROM snapshot WHERE chain IS NOT NULL
            UNION SELECT layer.parent FROM layer JOIN live ON layer.chain = live.chain
                WHERE layer.parent IS NOT NULL)
         DELETE FROM layer WHERE chain NOT IN (SELECT chain FROM live);
         DELETE FROM blob_source WHERE blob NOT IN (SELECT blob FROM image_blob);",
    )?;
    let mut live = Live::default();
    let digests = |sql: &str| -> Result<BTreeSet<Digest>> {
        let mut statement = db.prepare(sql)?;
        let rows = statement.query_map([], |row| digest(row, 0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    };
    live.blobs = digests("SELECT DISTINCT blob FROM image_blob")?;
    live.layers = digests("SELECT chain FROM layer")?;
    let mut statement = db.prepare("SELECT key FROM snapshot")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    live.snapshots = rows.collect::<rusqlite::Result<_>>()?;
    Ok(live)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database() -> Connection {
        let db = Connection::open_in_memory().unwrap();
        db.pragma_update(None, "foreign_keys", "ON").unwrap();
        db.execute_batch(SCHEMA).unwrap();
        db
    }

    fn image_of(name: &str) -> ImageRow {
        let id = Digest::of(name.as_bytes());
        ImageRow {
            manifest: Digest::of(b"manifest"),
            id,
            media_type: String::new(),
            manifest_size: 1,
            content_size: 2,
            config: b"{}".to_vec(),
            created: 3,
            last_tagged: 0,
            parent: None,
        }
    }

    #[test]
    fn garbage_is_what_neither_images_nor_snapshots_need() {
        let mut db = database();
        let layers: Vec<LayerRow> = (0..3u8)
            .map(|n| LayerRow {
                chain: Digest::of(&[n]),
                diff: Digest::of(&[n]),
                parent: (n == 1).then(|| Digest::of(&[0])),
                size: 1,
            })
            .collect();
        for layer in &layers {
            add_layer(&db, layer).unwrap();
        }
        let row = image_of("x");
        let transaction = db.transaction().unwrap();
        let blobs = [Digest::of(b"blob")];
        put_image(&transaction, &row, &[layers[2].chain.clone()], &blobs).unwrap();
        transaction.commit().unwrap();
        set_tag(&db, "docker.io/library/x:latest", &row.id, 7).unwrap();
        let key = "c1".to_owned();
        let chain = Some(layers[1].chain.clone());
        add_snapshot(&db, &SnapshotRow { key, image: None, chain, copied: false }).unwrap();
        remove_image(&db, &row.id).unwrap();
        assert_eq!(by_tag(&db, "docker.io/library/x:latest").unwrap(), None);
        let transaction = db.transaction().unwrap();
        let live = collect(&transaction).unwrap();
        transaction.commit().unwrap();
        let expected: BTreeSet<Digest> = [layers[0].chain.clone(), layers[1].chain.clone()].into();
        assert_eq!(live.layers, expected);
        assert!(live.blobs.is_empty());
        assert_eq!(super::chain(&db, &layers[1].chain).unwrap().len(), 2);
    }
}
