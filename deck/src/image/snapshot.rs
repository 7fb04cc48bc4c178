//! Snapshots: the writable root file systems of containers, on top of an image's layers.

use crate::error::{Error, Result};
use crate::image::{Digest, Images};
use std::path::PathBuf;

/// A mount for the shim to make, in containerd's terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// `overlay` or `bind`.
    pub kind: String,
    /// What is mounted.
    pub source: String,
    /// `lowerdir=…`, `rbind`, `rw`, …
    pub options: Vec<String>,
}

/// How a snapshot is made.
#[derive(Debug, Clone, Default)]
pub struct SnapshotOptions {
    /// Copies the layers instead of an overlay.
    pub copy: bool,
    /// Most bytes it may hold; refused where the file system has no project quotas.
    pub size: Option<u64>,
}

/// What happened to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// Docker's 0.
    Modified,
    /// Docker's 1.
    Added,
    /// Docker's 2.
    Deleted,
}

/// A difference between a snapshot and its image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Absolute, within the container.
    pub path: PathBuf,
    /// What happened.
    pub kind: ChangeKind,
}

/// The snapshots of a store.
#[derive(Clone)]
pub struct Snapshots {
    images: Images,
}

impl Snapshots {
    pub(super) fn new(images: Images) -> Self {
        Self { images }
    }

    /// Makes a snapshot of an image; `None` starts empty. The key must be new.
    ///
    /// # Errors
    /// The key is taken or malformed (`[A-Za-z0-9_.-]`), the image is not there, or the disk fails.
    pub async fn prepare(
        &self,
        key: &str,
        image: Option<&Digest>,
        options: &SnapshotOptions,
    ) -> Result<Vec<Mount>> {
        let _ = (&self.images, key, image, options);
        Err(Error::unsupported("snapshots"))
    }

    /// The mounts of a snapshot that is there.
    ///
    /// # Errors
    /// It is not there.
    pub fn mounts(&self, key: &str) -> Result<Vec<Mount>> {
        let _ = key;
        Err(Error::unsupported("snapshots"))
    }

    /// The directory that holds what was written: the overlay's upper, or the whole copy.
    ///
    /// # Errors
    /// It is not there.
    pub fn upper(&self, key: &str) -> Result<PathBuf> {
        let _ = key;
        Err(Error::unsupported("snapshots"))
    }

    /// Removes a snapshot that is not mounted; one that is not there is no error.
    ///
    /// # Errors
    /// The disk fails.
    pub async fn remove(&self, key: &str) -> Result<()> {
        let _ = key;
        Err(Error::unsupported("snapshots"))
    }

    /// Bytes written to a snapshot (`SizeRw`).
    ///
    /// # Errors
    /// It is not there, or can't be read.
    pub async fn usage(&self, key: &str) -> Result<u64> {
        let _ = key;
        Err(Error::unsupported("snapshots"))
    }

    /// What differs from the image, sorted by path.
    ///
    /// # Errors
    /// It is not there, or can't be read.
    pub async fn changes(&self, key: &str) -> Result<Vec<Change>> {
        let _ = key;
        Err(Error::unsupported("snapshots"))
    }
}
