//! The store on disk: blobs, layers, snapshots, and the locks several processes share.
//!
//! ```text
//! images/blobs/sha256/HEX     whole and verified, named by content
//! images/partial/HEX          downloads under way; kept when one is cut, to go on from there
//! images/layers/HEX/diff      an unpacked layer, by chain id
//! images/snapshots/KEY/       upper and work of an overlay, or rootfs of a copy
//! images/l/XXXXXXXXXXXX       links to layers' trees, for mount options
//! images/staging/             everything unfinished; garbage once no process holds the store's lock
//! images/lock/                flock files
//! ```
//!
//! Writers of new content hold `lock/store` shared until their rows are written; a sweep takes it
//! exclusively, so that nothing a pull relies on goes away under it.

pub mod blobs;
pub mod files;
pub mod lock;
pub mod sweep;
pub mod writeback;

use crate::config::Config;
use crate::error::{At, Error, Result};
use crate::image::Digest;
use files::make_dir;
use lock::Lock;
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Paths, locks and the database of the store.
pub struct Store {
    root: PathBuf,
    db: Mutex<Connection>,
}

impl Store {
    /// Opens the store, making what is missing.
    pub fn open(config: &Config) -> Result<Self> {
        let db = crate::store::open(config)?;
        let root = config.data_root.join("images");
        make_dir(&root)?;
        for name in ["blobs", "blobs/sha256", "blobs/sha512", "partial", "layers", "snapshots"] {
            make_dir(&root.join(name))?;
        }
        for name in ["staging", "lock", "l"] {
            make_dir(&root.join(name))?;
        }
        Ok(Self { root, db: Mutex::new(db) })
    }

    /// The database.
    pub fn db(&self) -> MutexGuard<'_, Connection> {
        // Rows change in transactions only, so a panicked holder left nothing half done.
        self.db.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where everything lies.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory of a layer.
    pub fn layer(&self, chain: &Digest) -> PathBuf {
        self.root.join("layers").join(chain.hex())
    }

    /// A layer's tree.
    pub fn diff(&self, chain: &Digest) -> PathBuf {
        self.layer(chain).join("diff")
    }

    /// A short name of a layer's tree, made where it is missing: mount data is one page.
    pub fn short(&self, chain: &Digest) -> Result<PathBuf> {
        let path = self.root.join("l").join(chain.short());
        let target = Path::new("../layers").join(chain.hex()).join("diff");
        match std::os::unix::fs::symlink(&target, &path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                // Another layer of the same first digits: the long name does as well.
                let same = std::fs::read_link(&path).is_ok_and(|found| found == target);
                Ok(if same { path } else { self.diff(chain) })
            }
            result => result.at(|| format!("link {}", path.display())).map(|()| path),
        }
    }

    /// The directory of a snapshot; the key has been checked.
    pub fn snapshot(&self, key: &str) -> PathBuf {
        self.root.join("snapshots").join(key)
    }

    /// A blob's file.
    pub fn blob(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs").join(digest.algorithm()).join(digest.hex())
    }

    /// A download's file.
    pub fn partial(&self, digest: &Digest) -> PathBuf {
        self.root.join("partial").join(digest.hex())
    }

    /// Keeps sweeps away while content is added.
    pub fn share(&self) -> Result<Lock> {
        Lock::shared(&self.root.join("lock/store"))
    }

    /// The store alone, if nobody adds content just now.
    pub fn alone(&self) -> Result<Option<Lock>> {
        Lock::try_exclusive(&self.root.join("lock/store"))
    }

    /// The lock of one blob or layer, if nobody works on it.
    pub fn try_work(&self, kind: &str, digest: &Digest) -> Result<Option<Lock>> {
        Lock::try_exclusive(&self.root.join("lock").join(format!("{kind}-{}", digest.hex())))
    }

    /// A new directory for unfinished work; removed when dropped.
    pub fn staging(&self) -> Result<Staging> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // A process in another pid namespace, or one before us, may have our id.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let path = self.root.join("staging").join(format!("{}-{now}-{count}", std::process::id()));
        std::fs::create_dir(&path).at(|| format!("mkdir {}", path.display()))?;
        Ok(Staging { path })
    }
}

/// A directory that is removed when dropped.
pub struct Staging {
    path: PathBuf,
}

impl Staging {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What stays is removed by the next sweep.
        let _ = files::remove_tree(&self.path);
    }
}

/// Refuses keys that are no plain file name.
pub fn check_key(key: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if key.is_empty() || key.len() > 200 || key.starts_with('.') || !key.bytes().all(plain) {
        return Err(Error::invalid(format!(
            "snapshot {key:?}: want letters, digits, '_', '.', '-'"
        )));
    }
    Ok(())
}
