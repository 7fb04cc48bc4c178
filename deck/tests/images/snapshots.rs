//! Root file systems on top of images: overlay, copy, changes, commit, import.

use crate::archives::load;
use crate::fixture::{Layer, docker_archive, layers};
use crate::harness::{Home, block, quiet, run};
use deck::image::{ChangeKind, Commit, Image, Images, Import, SnapshotOptions};
use nix::mount::{MsFlags, mount, umount};
use std::fs;
use std::io::Cursor;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

fn made(images: &Images) -> Image {
    load(images, docker_archive("made:1", &layers())).unwrap().remove(0)
}

/// Mounts a snapshot, calls, unmounts.
fn mounted(images: &Images, key: &str, target: &Path, work: impl FnOnce(&Path)) {
    fs::create_dir_all(target).unwrap();
    let entry = images.snapshots().mounts(key).unwrap().remove(0);
    let flags = if entry.kind == "bind" { MsFlags::MS_BIND } else { MsFlags::empty() };
    let data = (entry.kind != "bind").then(|| entry.options.join(","));
    let (source, kind) = (entry.source.as_str(), entry.kind.as_str());
    mount(Some(source), target, Some(kind), flags, data.as_deref()).unwrap();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(target)));
    umount(target).unwrap();
    result.unwrap();
}

/// What both layers come to.
fn check(root: &Path) {
    let meta = |name: &str| fs::symlink_metadata(root.join(name)).unwrap();
    assert!(!root.join("etc/gone").exists() && !root.join("opaque/old").exists());
    assert_eq!(fs::read(root.join("opaque/new")).unwrap(), b"new");
    // Only implied in the upper layer: the lower one's mode stays.
    assert_eq!(meta("etc").mode() & 0o7777, 0o750);
    assert_eq!(meta("suid").mode() & 0o7777, 0o4755);
    assert_eq!(meta("hard").ino(), meta("etc/passwd").ino());
    assert!(meta("null").file_type().is_char_device());
    assert!(xattr::get(root.join("cap"), "security.capability").unwrap().is_some());
    assert_eq!(meta("etc/passwd").mtime(), 1_700_000_000);
}

#[test]
fn overlay_and_copy_show_the_same() {
    let home = Home::new();
    let images = home.images();
    let image = made(&images);
    let snapshots = images.snapshots();
    for (key, copy) in [("o", false), ("c", true)] {
        let options = SnapshotOptions { copy, size: None };
        block(snapshots.prepare(key, Some(&image.id), &options)).unwrap();
        mounted(&images, key, &home.dir.path().join("mnt"), check);
        let again = block(snapshots.prepare(key, Some(&image.id), &options));
        assert_eq!(again.unwrap_err().status, 409);
    }
    // The image goes, its layers stay for the snapshots.
    block(images.remove("made:1", true, true, &|_| None)).unwrap();
    mounted(&images, "o", &home.dir.path().join("mnt"), check);
    for key in ["o", "c", "never"] {
        block(snapshots.remove(key)).unwrap();
    }
    let left = fs::read_dir(home.store().join("layers")).unwrap().count();
    assert_eq!((left, fs::read_dir(home.store().join("snapshots")).unwrap().count()), (0, 0));
    assert!(block(snapshots.prepare("../x", None, &SnapshotOptions::default())).is_err());
}

#[test]
fn changes_are_told_and_committed() {
    let home = Home::new();
    let images = home.images();
    let image = made(&images);
    let snapshots = images.snapshots();
    block(snapshots.prepare("k", Some(&image.id), &SnapshotOptions::default())).unwrap();
    let target = home.dir.path().join("mnt");
    mounted(&images, "k", &target, |root| {
        fs::remove_file(root.join("link")).unwrap();
        fs::write(root.join("etc/passwd"), "changed").unwrap();
        fs::write(root.join("added"), "12345").unwrap();
        fs::create_dir(root.join("proc")).unwrap();
        fs::remove_dir_all(root.join("opaque")).unwrap();
        fs::create_dir(root.join("opaque")).unwrap();
    });
    let changes = block(snapshots.changes("k", &["proc", "etc/passwd"])).unwrap();
    let kind = |path: &str| {
        changes.iter().find(|change| change.path == Path::new(path)).map(|change| change.kind)
    };
    assert_eq!(kind("/link"), Some(ChangeKind::Deleted));
    assert_eq!(kind("/etc/passwd"), Some(ChangeKind::Modified));
    assert_eq!(kind("/etc"), Some(ChangeKind::Modified));
    assert_eq!(kind("/added"), Some(ChangeKind::Added));
    assert_eq!(kind("/suid"), None);
    assert_eq!(kind("/proc"), None, "a mount point that was added");
    assert!(block(snapshots.usage("k")).unwrap() >= 12);
    let commit = Commit {
        snapshot: "k".to_owned(),
        config: image.config.config.clone(),
        name: Some("made:2".parse().unwrap()),
        created_by: "sh".to_owned(),
        ..Commit::default()
    };
    let new = block(images.commit(&commit)).unwrap();
    assert_eq!(new.parent, Some(image.id.clone()));
    assert_eq!(new.config.rootfs.diff_ids.len(), 3);
    let copy = home.dir.path().join("copy");
    block(images.unpack(&new, &copy)).unwrap();
    assert!(copy.join("link").symlink_metadata().is_err() && !copy.join("opaque/new").exists());
    assert_eq!(fs::read(copy.join("added")).unwrap(), b"12345");
    let conflict = block(images.remove(image.id.as_str(), true, true, &|_| None)).unwrap_err();
    assert_eq!(conflict.status, 409);
    assert!(conflict.message.contains("dependent child images"), "{conflict}");
    // Others read what was committed.
    let saved = home.dir.path().join("saved.tar");
    let file = Box::new(fs::File::create(&saved).unwrap());
    block(images.save(&["made:2".to_owned()], file)).unwrap();
    run("skopeo", &["inspect", &format!("oci-archive:{}", saved.display())]);
}

#[test]
fn a_root_file_system_is_imported() {
    let home = Home::new();
    let images = home.images();
    let archive = Layer::new().dir("bin/", 0o755).file("bin/x", b"x").done();
    let options = Import { name: Some("imp:1".parse().unwrap()), ..Import::default() };
    let import =
        |bytes: Vec<u8>| block(images.import(Box::new(Cursor::new(bytes)), &options, &quiet()));
    let image = import(archive).unwrap();
    assert_eq!(image.repo_tags, ["imp:1"]);
    assert_eq!(image.size, 1);
    assert_eq!(import(b"x\n".to_vec()).unwrap_err().status, 400);
    assert_eq!(import(Vec::new()).unwrap_err().status, 400);
}
