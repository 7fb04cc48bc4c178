//! A whole bundle of an image: config.json and rootfs, for people who drive hull themselves.

use super::wishes::{MountSource, Wishes};
use super::{Host, Input, spec, user};
use crate::engine::root::Root;
use crate::error::{At, Error, Result};
use crate::image::{Image, ImageConfig, Images, SnapshotOptions};
use nix::mount::{MsFlags, mount};
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// How the root file system is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rootfs {
    /// A copy: the bundle is a directory as any other.
    Copy,
    /// An overlay on the store's layers, mounted at the bundle's `rootfs` in this mount namespace.
    /// The layers stay until the bundle is removed with [`remove`].
    Overlay,
}

/// Makes a bundle in `dir`, which must be missing or empty.
///
/// # Errors
/// The directory is not empty, a wish can't be meant, or the disk fails; then `dir` is as before.
pub async fn write(
    images: &Images,
    image: &Image,
    dir: &Path,
    wishes: &Wishes,
    rootfs: Rootfs,
) -> Result<()> {
    let made = !dir.exists();
    DirBuilder::new()
        .recursive(true)
        .mode(0o711)
        .create(dir)
        .at(|| format!("mkdir {}", dir.display()))?;
    let dir = &fs::canonicalize(dir).at(|| format!("resolve {}", dir.display()))?;
    let mut entries = fs::read_dir(dir).at(|| format!("read {}", dir.display()))?;
    if entries.next().is_some() {
        return Err(Error::conflict(format!("bundle {}: not empty", dir.display())));
    }
    let result = fill(images, image, dir, wishes, rootfs).await;
    if result.is_err() {
        let _ = take_away(images, dir).await;
        if !made {
            fs::create_dir(dir).at(|| format!("mkdir {}", dir.display()))?;
        }
    }
    result
}

async fn fill(
    images: &Images,
    image: &Image,
    dir: &Path,
    wishes: &Wishes,
    rootfs: Rootfs,
) -> Result<()> {
    let target = dir.join("rootfs");
    match rootfs {
        Rootfs::Copy => images.unpack(image, &target).await?,
        Rootfs::Overlay => {
            fs::create_dir(&target).at(|| format!("mkdir {}", target.display()))?;
            let options = SnapshotOptions::default();
            let mounts = images.snapshots().prepare(&key(dir), Some(&image.id), &options).await?;
            for entry in mounts {
                mount_at(&entry, &target)?;
            }
        }
    }
    mount_sources(dir, &target, wishes)?;
    let mut wishes = wishes.clone();
    let mut annotations = annotations(&image.config);
    annotations.append(&mut wishes.annotations);
    wishes.annotations = annotations;
    let run = &image.config.config;
    let name = wishes.user.as_deref().unwrap_or(&run.user);
    let identity = user::resolve(&target, name, &wishes.group_add)?;
    let host = Host::read()?;
    let input = Input {
        image: run,
        wishes: &wishes,
        identity: &identity,
        rootfs: Path::new("rootfs"),
        host: &host,
    };
    let text = serde_json::to_vec_pretty(&spec(&input)?)
        .map_err(|error| Error::internal(format!("config.json: {error}")))?;
    let path = dir.join("config.json");
    File::options()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(&path)
        .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()))
        .at(|| format!("write {}", path.display()))
}

/// Checks that what is bound in is there. A relative place is the bundle's own: it is made, with
/// what the image has where it will be mounted, as Docker fills new volumes.
fn mount_sources(dir: &Path, target: &Path, wishes: &Wishes) -> Result<()> {
    for wish in &wishes.mounts {
        let MountSource::Bind(source) = &wish.source else { continue };
        if source.is_absolute() {
            if !source.exists() {
                let shown = source.display();
                return Err(Error::invalid(format!("bind source path does not exist: {shown}")));
            }
            continue;
        }
        let place = dir.join(source);
        let above = place.parent().unwrap_or(dir);
        DirBuilder::new()
            .recursive(true)
            .mode(0o711)
            .create(above)
            .at(|| format!("mkdir {}", above.display()))?;
        let root = Root::at(target)?;
        let wanted = wish.target.to_string_lossy();
        if root.is_directory(&wanted) {
            root.copy_out(&wanted, &place).at(|| format!("fill volume {wanted}"))?;
        } else {
            let mkdir = DirBuilder::new().mode(0o755).create(&place);
            mkdir.at(|| format!("mkdir {}", place.display()))?;
        }
    }
    Ok(())
}

/// The snapshot behind an overlay bundle: named by the bundle's place.
fn key(dir: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let digest = crate::image::Digest::of(dir.as_os_str().as_bytes());
    format!("bundle-{}", digest.short())
}

/// Mounts one entry as the shim would.
fn mount_at(entry: &crate::image::Mount, target: &Path) -> Result<()> {
    let (flags, data) = if entry.kind == "bind" {
        (MsFlags::MS_BIND | MsFlags::MS_REC, None)
    } else {
        (MsFlags::empty(), Some(entry.options.join(",")))
    };
    mount(Some(entry.source.as_str()), target, Some(entry.kind.as_str()), flags, data.as_deref())
        .at(|| format!("mount {} at {}", entry.kind, target.display()))
}

/// Removes a bundle made by [`write`], with its overlay.
///
/// # Errors
/// It is none, it is still mounted elsewhere, or the disk fails.
pub async fn remove(images: &Images, dir: &Path) -> Result<()> {
    let dir = &fs::canonicalize(dir).at(|| format!("bundle {}", dir.display()))?;
    if !dir.join("config.json").is_file() || !dir.join("rootfs").is_dir() {
        return Err(Error::invalid(format!("{}: no bundle", dir.display())));
    }
    take_away(images, dir).await
}

async fn take_away(images: &Images, dir: &Path) -> Result<()> {
    let target = dir.join("rootfs");
    let snapshots = images.snapshots();
    let key = key(dir);
    if snapshots.mounts(&key).is_ok() {
        match nix::mount::umount2(&target, nix::mount::MntFlags::UMOUNT_NOFOLLOW) {
            Ok(()) | Err(nix::errno::Errno::EINVAL | nix::errno::Errno::ENOENT) => {}
            Err(errno) => return Err(errno).at(|| format!("unmount {}", target.display())),
        }
        snapshots.remove(&key).await?;
    }
    fs::remove_dir_all(dir).at(|| format!("remove {}", dir.display()))
}

/// Annotations some runtimes take as orders: no image gives any (CVE-2025-24965).
const ORDERS: &[&str] = &["run.oci.", "org.criu.", "org.systemd.", "io.katacontainers.", "hull."];

/// The annotations of an image (image-spec conversion.md, annotation fields), labels last.
fn annotations(config: &ImageConfig) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = config
        .config
        .labels
        .iter()
        .filter(|(name, _)| !ORDERS.iter().any(|order| name.starts_with(order)))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let ports: Vec<&str> = config.config.exposed_ports.keys().map(String::as_str).collect();
    let fields = [
        ("os", config.os.clone()),
        ("architecture", config.architecture.clone()),
        ("variant", config.variant.clone().unwrap_or_default()),
        ("author", config.author.clone()),
        ("created", config.created.clone().unwrap_or_default()),
        ("stopSignal", config.config.stop_signal.clone()),
        ("exposedPorts", ports.join(",")),
    ];
    for (name, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
        // A label of the same name is what the author said explicitly.
        all.entry(format!("org.opencontainers.image.{name}")).or_insert(value);
    }
    all
}
