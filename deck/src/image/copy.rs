//! Copying unpacked layers one over the other: the root file system without overlay.

use crate::error::{At, Result};
use crate::image::pack::is_opaque;
use crate::image::store::files::remove_tree;
use nix::fcntl::AtFlags;
use nix::sys::stat::{Mode, SFlag, UtimensatFlags, mknod, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::fchownat;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Copies trees of layers, lowest first, into a directory: whiteouts remove, opaque directories
/// hide. Nobody else sees either tree.
///
/// # Errors
/// The disk fails.
pub fn copy_layers(trees: &[PathBuf], target: &Path) -> Result<()> {
    for tree in trees {
        let meta = fs::symlink_metadata(tree).at(|| format!("stat {}", tree.display()))?;
        let mut links = BTreeMap::new();
        directory(tree, target, &mut links)?;
        settle(tree, target, &meta)?;
    }
    Ok(())
}

type Links = BTreeMap<(u64, u64), PathBuf>;

fn directory(from: &Path, to: &Path, links: &mut Links) -> Result<()> {
    if is_opaque(from) {
        remove_tree(to)?;
    }
    if !to.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
        remove_any(to)?;
        DirBuilder::new().mode(0o700).create(to).at(|| format!("mkdir {}", to.display()))?;
    }
    for entry in fs::read_dir(from).at(|| format!("read {}", from.display()))? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let meta = source.symlink_metadata().at(|| format!("stat {}", source.display()))?;
        let kind = meta.file_type();
        if kind.is_dir() {
            directory(&source, &target, links)?;
            settle(&source, &target, &meta)?;
            continue;
        }
        remove_any(&target)?;
        if kind.is_char_device() && meta.rdev() == 0 {
            continue;
        }
        let key = (meta.dev(), meta.ino());
        if meta.nlink() > 1
            && let Some(first) = links.get(&key)
        {
            fs::hard_link(first, &target).at(|| format!("link {}", target.display()))?;
            continue;
        }
        file(&source, &target, &meta)?;
        settle(&source, &target, &meta)?;
        if meta.nlink() > 1 {
            links.insert(key, target);
        }
    }
    Ok(())
}

fn remove_any(path: &Path) -> Result<()> {
    match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() => remove_tree(path),
        Ok(_) => fs::remove_file(path).at(|| format!("remove {}", path.display())),
        Err(_) => Ok(()),
    }
}

fn file(from: &Path, to: &Path, meta: &Metadata) -> Result<()> {
    let kind = meta.file_type();
    let at = || format!("copy {} to {}", from.display(), to.display());
    if kind.is_symlink() {
        let target = fs::read_link(from).at(at)?;
        return std::os::unix::fs::symlink(target, to).at(at);
    }
    if kind.is_file() {
        let mut source = File::open(from).at(at)?;
        let mut target =
            File::options().write(true).create_new(true).mode(0o600).open(to).at(at)?;
        // copy_file_range underneath: shares extents where the file system can.
        std::io::copy(&mut source, &mut target).at(at)?;
        return Ok(());
    }
    let flag = SFlag::from_bits_truncate(meta.mode()) & SFlag::S_IFMT;
    mknod(to, flag, Mode::from_bits_truncate(0o600), meta.rdev()).at(at)
}

/// Owner, mode, attributes, times: in the order that keeps setuid and capabilities.
fn settle(from: &Path, to: &Path, meta: &Metadata) -> Result<()> {
    let at = || format!("set metadata of {}", to.display());
    let (uid, gid) = (meta.uid().into(), meta.gid().into());
    let flags = AtFlags::AT_SYMLINK_NOFOLLOW;
    fchownat(nix::fcntl::AT_FDCWD, to, Some(uid), Some(gid), flags).at(at)?;
    if !meta.file_type().is_symlink() {
        let mode = fs::Permissions::from_mode(meta.mode() & 0o7777);
        fs::set_permissions(to, mode).at(at)?;
    }
    let names = xattr::list(from).map(Iterator::collect::<Vec<_>>).unwrap_or_default();
    for name in names {
        if name.as_bytes().starts_with(b"trusted.overlay.") {
            continue;
        }
        if let Some(value) = xattr::get(from, &name).at(at)? {
            xattr::set(to, &name, &value).at(at)?;
        }
    }
    let access = TimeSpec::new(meta.atime(), meta.atime_nsec());
    let change = TimeSpec::new(meta.mtime(), meta.mtime_nsec());
    let follow = UtimensatFlags::NoFollowSymlink;
    utimensat(nix::fcntl::AT_FDCWD, to, &access, &change, follow).at(at)
}
