//! Blobs: files named by their digest, whole and verified before they get the name.

use super::{Store, files, writeback};
use crate::error::{At, Error, Result};
use crate::image::Digest;
use crate::image::digest::Hasher;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

impl Store {
    /// Whether a blob is here.
    pub fn has_blob(&self, digest: &Digest) -> bool {
        self.blob(digest).is_file()
    }

    /// Opens a blob.
    pub fn open_blob(&self, digest: &Digest) -> Result<File> {
        File::open(self.blob(digest)).at(|| format!("open blob {digest}"))
    }

    /// Reads a small blob and checks it again: a manifest or a configuration.
    pub fn read_blob(&self, digest: &Digest, most: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open_blob(digest)?
            .take(most + 1)
            .read_to_end(&mut bytes)
            .at(|| format!("read blob {digest}"))?;
        let mut hasher = digest.hasher();
        hasher.update(&bytes);
        if bytes.len() as u64 > most || hasher.finish() != *digest {
            return Err(Error::internal(format!("blob {digest} is damaged in the store")));
        }
        Ok(bytes)
    }

    /// Stores bytes whose digest the caller has verified.
    pub fn put_blob_as(&self, digest: &Digest, bytes: &[u8]) -> Result<()> {
        if self.has_blob(digest) {
            return Ok(());
        }
        let staging = self.staging()?;
        let path = staging.path().join("blob");
        let mut file = create(&path)?;
        file.write_all(bytes).and_then(|()| file.sync_all()).at(|| format!("write {digest}"))?;
        files::rename(&path, &self.blob(digest))
    }
}

/// Creates a private file that must be new.
pub fn create(path: &Path) -> Result<File> {
    File::options()
        .create_new(true)
        .write(true)
        .read(true)
        .mode(0o600)
        .open(path)
        .at(|| format!("create {}", path.display()))
}

/// A blob being written: counts and hashes what passes.
pub struct BlobWriter {
    file: File,
    path: PathBuf,
    hasher: Hasher,
    length: u64,
    /// How much of it is on its way to the disk.
    begun: u64,
}

impl BlobWriter {
    /// A new file.
    pub fn create(path: &Path, hasher: Hasher) -> Result<Self> {
        Ok(Self { file: create(path)?, path: path.to_owned(), hasher, length: 0, begun: 0 })
    }

    /// Goes on with a file, or starts it; the caller reads what is there through `read_back`.
    pub fn resume(path: &Path, hasher: Hasher) -> Result<Self> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(path)
            .at(|| format!("open {}", path.display()))?;
        Ok(Self { file, path: path.to_owned(), hasher, length: 0, begun: 0 })
    }

    /// How many bytes the file holds.
    pub fn on_disk(&self) -> Result<u64> {
        Ok(self.file.metadata().at(|| format!("stat {}", self.path.display()))?.len())
    }

    /// Reads on in what an earlier run wrote; 0 at its end.
    pub fn read_back(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let count = self.file.read(buffer).at(|| format!("read {}", self.path.display()))?;
        self.hasher.update(&buffer[..count]);
        self.length += count as u64;
        Ok(count)
    }

    /// Throws away what is there.
    pub fn restart(&mut self, hasher: Hasher) -> Result<()> {
        self.file
            .set_len(0)
            .and_then(|()| self.file.seek(SeekFrom::Start(0)).map(drop))
            .at(|| format!("truncate {}", self.path.display()))?;
        self.hasher = hasher;
        (self.length, self.begun) = (0, 0);
        Ok(())
    }

    /// Bytes so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Appends.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).at(|| format!("write {}", self.path.display()))?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        if self.length - self.begun >= writeback::PIECE {
            writeback::begin(&self.file, self.begun, self.length - self.begun);
            self.begun = self.length;
        }
        Ok(())
    }

    /// The digest so far, put back to `empty`.
    pub fn take_digest(&mut self, empty: Hasher) -> Digest {
        std::mem::replace(&mut self.hasher, empty).finish()
    }

    /// The digest and the length. The caller syncs.
    pub fn finish(self) -> (Digest, u64) {
        (self.hasher.finish(), self.length)
    }
}
