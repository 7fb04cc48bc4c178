//! Snapshots: the writable root file systems of containers, on top of an image's layers.

use crate::error::{At, Error, Result};
use crate::image::layers::blocking;
use crate::image::pack::is_opaque;
use crate::image::store::{Store, check_key, files};
use crate::image::{Digest, copy};
use crate::store::images::{self, SnapshotRow};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, Metadata};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

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

/// Longest mount data: one page (mount(2)), with room for what the shim adds.
const MAX_OPTIONS: usize = 3900;

/// The snapshots of a store.
#[derive(Clone)]
pub struct Snapshots {
    store: Arc<Store>,
}

impl Snapshots {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self { store }
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
        check_key(key)?;
        if options.size.is_some() {
            return Err(Error::unsupported(
                "a size for the root file system: needs project quotas, which are not used here",
            ));
        }
        let (store, key, image) = (Arc::clone(&self.store), key.to_owned(), image.cloned());
        let copy = options.copy;
        blocking(move |_| {
            let row = prepare(&store, key, image, copy)?;
            mounts(&store, &row)
        })
        .await
    }

    /// The mounts of a snapshot that is there.
    ///
    /// # Errors
    /// It is not there.
    pub fn mounts(&self, key: &str) -> Result<Vec<Mount>> {
        mounts(&self.store, &self.row(key)?)
    }

    /// The directory that holds what was written: the overlay's upper, or the whole copy.
    ///
    /// # Errors
    /// It is not there.
    pub fn upper(&self, key: &str) -> Result<PathBuf> {
        let row = self.row(key)?;
        Ok(self.store.snapshot(key).join(tree_name(&row)))
    }

    /// The image's trees under a snapshot, top first.
    ///
    /// # Errors
    /// It is not there.
    pub fn lower(&self, key: &str) -> Result<Vec<PathBuf>> {
        lower(&self.store, &self.row(key)?)
    }

    /// Removes a snapshot that is not mounted; one that is not there is no error.
    ///
    /// # Errors
    /// The disk fails.
    pub async fn remove(&self, key: &str) -> Result<()> {
        check_key(key)?;
        let (store, key) = (Arc::clone(&self.store), key.to_owned());
        blocking(move |_| {
            {
                // Sharing keeps a sweep from removing the directory at the same time.
                let _share = store.share()?;
                images::remove_snapshot(&store.db(), &key)?;
                files::remove_tree(&store.snapshot(&key))?;
            }
            // The image may have been removed before: its layers were kept for this snapshot.
            store.sweep().map(drop)
        })
        .await
    }

    /// Bytes written to a snapshot (`SizeRw`).
    ///
    /// # Errors
    /// It is not there, or can't be read.
    pub async fn usage(&self, key: &str) -> Result<u64> {
        let upper = self.upper(key)?;
        blocking(move |cancel| {
            let (mut bytes, mut seen) = (0, BTreeSet::new());
            walk(&upper, &mut |_, meta| {
                cancel.check()?;
                if meta.is_file() && seen.insert((meta.dev(), meta.ino())) {
                    bytes += meta.len();
                }
                Ok(())
            })?;
            Ok(bytes)
        })
        .await
    }

    /// What differs from the image, sorted by path, without the `mount_points` (relative) that were
    /// added to it and what changed by that alone.
    ///
    /// # Errors
    /// It is not there, or can't be read; 501 for a copied one.
    pub async fn changes(
        &self,
        key: &str,
        mount_points: &'static [&'static str],
    ) -> Result<Vec<Change>> {
        let row = self.row(key)?;
        if row.copied && row.chain.is_some() {
            return Err(Error::unsupported(
                "the changes of a root file system that is a copy: it has no record of them",
            ));
        }
        let (upper, lower) = (self.upper(key)?, lower(&self.store, &row)?);
        blocking(move |_| changes(&upper, &lower, mount_points)).await
    }

    fn row(&self, key: &str) -> Result<SnapshotRow> {
        images::snapshot(&self.store.db(), key)?
            .ok_or_else(|| Error::not_found(format!("no snapshot {key:?}")))
    }
}

fn tree_name(row: &SnapshotRow) -> &'static str {
    if row.copied { "rootfs" } else { "upper" }
}

fn prepare(store: &Store, key: String, image: Option<Digest>, copy: bool) -> Result<SnapshotRow> {
    let _share = store.share()?;
    let chain = match &image {
        None => None,
        Some(id) => {
            let db = store.db();
            images::image(&db, id)?
                .ok_or_else(|| Error::not_found(format!("No such image: {id}")))?;
            images::image_layers(&db, id)?.pop().map(|layer| layer.chain)
        }
    };
    let mut row = SnapshotRow { key, image, chain, copied: true };
    let lower = lower(store, &row)?;
    let long = lower.len() * (store.root().as_os_str().len() + 16) > MAX_OPTIONS;
    row.copied = copy || lower.is_empty() || long || !overlay_works(store.root())?;
    let staging = store.staging()?;
    let tree = staging.path().join(tree_name(&row));
    DirBuilder::new().mode(0o755).create(&tree).at(|| format!("mkdir {}", tree.display()))?;
    if row.copied {
        let trees: Vec<PathBuf> = lower.iter().rev().cloned().collect();
        copy::copy_layers(&trees, &tree)?;
    } else {
        files::make_dir(&staging.path().join("work"))?;
        let meta = fs::metadata(&lower[0]).at(|| format!("stat {}", lower[0].display()))?;
        std::os::unix::fs::chown(&tree, Some(meta.uid()), Some(meta.gid()))
            .at(|| format!("chown {}", tree.display()))?;
        fs::set_permissions(&tree, fs::Permissions::from_mode(meta.mode() & 0o7777))
            .at(|| format!("chmod {}", tree.display()))?;
    }
    let place = store.snapshot(&row.key);
    if images::snapshot(&store.db(), &row.key)?.is_some() {
        return Err(Error::conflict(format!("snapshot {:?} is there already", row.key)));
    }
    // Without a row it is what a killed process left.
    files::remove_tree(&place)?;
    fs::rename(staging.path(), &place).at(|| format!("rename to {}", place.display()))?;
    if !images::add_snapshot(&store.db(), &row)? {
        return Err(Error::conflict(format!("snapshot {:?} is there already", row.key)));
    }
    Ok(row)
}

fn lower(store: &Store, row: &SnapshotRow) -> Result<Vec<PathBuf>> {
    let Some(chain) = &row.chain else { return Ok(Vec::new()) };
    let layers = images::chain(&store.db(), chain)?;
    Ok(layers.iter().map(|layer| store.diff(&layer.chain)).collect())
}

/// Whether an overlay can have its upper directory there: not on another overlay (overlayfs.rst).
fn overlay_works(root: &Path) -> Result<bool> {
    let known = fs::read_to_string("/proc/filesystems").at(|| "read /proc/filesystems")?;
    let known = known.lines().any(|line| line.trim_start_matches("nodev").trim() == "overlay");
    let module = Path::new("/sys/module/overlay").exists();
    let kind = nix::sys::statfs::statfs(root).at(|| format!("statfs {}", root.display()))?;
    Ok((known || module) && kind.filesystem_type() != nix::sys::statfs::OVERLAYFS_SUPER_MAGIC)
}

fn mounts(store: &Store, row: &SnapshotRow) -> Result<Vec<Mount>> {
    let dir = store.snapshot(&row.key);
    let path = |name: &str| dir.join(name).display().to_string();
    if row.copied {
        return Ok(vec![Mount {
            kind: "bind".to_owned(),
            source: path("rootfs"),
            options: vec!["rbind".to_owned(), "rw".to_owned()],
        }]);
    }
    let chain = row.chain.clone().ok_or_else(|| Error::internal("overlay without layers"))?;
    let layers = images::chain(&store.db(), &chain)?;
    let lower = layers
        .iter()
        .map(|layer| store.short(&layer.chain).map(|path| path.display().to_string()))
        .collect::<Result<Vec<_>>>()?;
    Ok(vec![Mount {
        kind: "overlay".to_owned(),
        source: "overlay".to_owned(),
        options: vec![
            format!("workdir={}", path("work")),
            format!("upperdir={}", path("upper")),
            format!("lowerdir={}", lower.join(":")),
        ],
    }])
}

/// Visits everything below a directory, parents first, links not followed.
fn walk(dir: &Path, visit: &mut dyn FnMut(&Path, &Metadata) -> Result<()>) -> Result<()> {
    for entry in fs::read_dir(dir).at(|| format!("read {}", dir.display()))? {
        let path = entry?.path();
        let meta = match path.symlink_metadata() {
            Ok(meta) => meta,
            // The container goes on meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).at(|| format!("stat {}", path.display())),
        };
        visit(&path, &meta)?;
        if meta.is_dir() {
            match walk(&path, visit) {
                Err(_) if !path.exists() => {}
                result => result?,
            }
        }
    }
    Ok(())
}

/// Compares the upper tree with the layers below, as Docker does: directories above something
/// added or deleted count as modified.
fn changes(upper: &Path, lower: &[PathBuf], mount_points: &[&str]) -> Result<Vec<Change>> {
    let mut found: BTreeMap<PathBuf, ChangeKind> = BTreeMap::new();
    let is_point = |name: &Path| mount_points.iter().any(|point| Path::new(point) == name);
    walk(upper, &mut |path, meta| {
        let Ok(name) = path.strip_prefix(upper) else { return Ok(()) };
        let below = look_up(lower, name);
        let kind = if meta.file_type().is_char_device() && meta.rdev() == 0 {
            if below.is_none() {
                return Ok(());
            }
            ChangeKind::Deleted
        } else if let Some(old) = below {
            // A mount point that was added to it changed its time.
            let holds_point = mount_points.iter().map(Path::new).any(|point| {
                point.parent() == Some(name)
                    && upper.join(point).exists()
                    && look_up(lower, point).is_none()
            });
            let same = meta.is_dir()
                && old.is_dir()
                && (meta.mode(), meta.uid(), meta.gid()) == (old.mode(), old.uid(), old.gid())
                && (holds_point
                    || (meta.mtime(), meta.mtime_nsec()) == (old.mtime(), old.mtime_nsec()));
            if same {
                return Ok(());
            }
            ChangeKind::Modified
        } else if is_point(name) {
            return Ok(());
        } else {
            ChangeKind::Added
        };
        found.insert(name.to_owned(), kind);
        for parent in name.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty()) {
            found.entry(parent.to_owned()).or_insert(ChangeKind::Modified);
        }
        Ok(())
    })?;
    let absolute = |(path, kind)| Change { path: Path::new("/").join(path), kind };
    Ok(found.into_iter().map(absolute).collect())
}

/// What the layers show under a name: the topmost, unless something above hides it.
fn look_up(lower: &[PathBuf], name: &Path) -> Option<Metadata> {
    for tree in lower {
        let mut path = tree.clone();
        let mut hidden = false;
        let mut meta = None;
        for component in name.components() {
            path.push(component);
            hidden |= path.parent().is_some_and(|parent| parent != tree && is_opaque(parent));
            meta = path.symlink_metadata().ok();
            match &meta {
                Some(meta) if meta.file_type().is_char_device() && meta.rdev() == 0 => return None,
                Some(meta) if meta.is_dir() => {}
                Some(_) => hidden = true,
                None => break,
            }
        }
        if meta.is_some() {
            return meta;
        }
        if hidden {
            return None;
        }
    }
    None
}
