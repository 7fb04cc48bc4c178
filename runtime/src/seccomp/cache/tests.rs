use super::super::tests::profile;
use super::*;
use crate::plan::seccomp::plan;
use crate::seccomp::filter;
use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::path::PathBuf;

const PROFILE: &str = r#"{"defaultAction": "SCMP_ACT_ERRNO",
    "syscalls": [{"names": ["read", "unknown"], "action": "SCMP_ACT_ALLOW"}]}"#;

/// Makes the profile's filter with the cache; whether libseccomp was asked.
fn compiled(dir: &Path, json: &str) -> bool {
    let seccomp = profile(json);
    let plan = plan(&seccomp).unwrap();
    let mut asked = false;
    let cached = filter(Some(dir), &plan, &mut |_| asked = true).unwrap();
    assert_eq!(cached, filter(None, &plan, &mut |_| {}).unwrap());
    asked
}

/// A directory with the profile's entry.
fn filled() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("cache");
    assert!(compiled(&dir, PROFILE));
    let entries: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(entries.len(), 1);
    let entry = entries.into_iter().next().unwrap();
    (root, dir, entry)
}

#[test]
fn the_second_time_libseccomp_is_not_asked() {
    let (_root, dir, entry) = filled();
    assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(&entry).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!compiled(&dir, PROFILE));
    assert!(compiled(&dir, &PROFILE.replace("read", "write")));
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 2);
}

#[test]
fn flags_are_no_part_of_the_program() {
    let (_root, dir, _) = filled();
    let json = PROFILE.replacen('{', r#"{"flags": ["SECCOMP_FILTER_FLAG_LOG"], "#, 1);
    assert!(!compiled(&dir, &json));
}

#[test]
fn any_damage_is_seen_and_repaired() {
    let (_root, dir, entry) = filled();
    let good = fs::read(&entry).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        fs::write(&entry, &bad).unwrap();
        assert!(compiled(&dir, PROFILE), "byte {at}");
        assert_eq!(fs::read(&entry).unwrap(), good);
    }
    let long = [&good[..], &[0; 8]].concat();
    for bad in [&good[..good.len() - 8], &good[..1], b"", &long] {
        fs::write(&entry, bad).unwrap();
        assert!(compiled(&dir, PROFILE));
        assert_eq!(fs::read(&entry).unwrap(), good);
    }
}

#[test]
fn another_profiles_entry_under_this_name_is_no_hit() {
    let (_root, dir, entry) = filled();
    let other = PROFILE.replace("read", "write");
    assert!(compiled(&dir, &other));
    let stranger =
        fs::read_dir(&dir).unwrap().map(|e| e.unwrap().path()).find(|path| *path != entry).unwrap();
    fs::copy(stranger, &entry).unwrap();
    assert!(compiled(&dir, PROFILE));
    assert!(!compiled(&dir, PROFILE));
}

#[test]
fn what_others_may_write_is_not_believed() {
    let (_root, dir, entry) = filled();
    let chmod = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    for mode in [0o620, 0o602] {
        chmod(&entry, mode);
        assert!(compiled(&dir, PROFILE), "{mode:o}");
        assert!(!compiled(&dir, PROFILE), "{mode:o}");
    }
    for mode in [0o720, 0o702, 0o1777] {
        chmod(&dir, mode);
        assert!(compiled(&dir, PROFILE), "{mode:o}");
    }
    chmod(&dir, 0o755);
    assert!(!compiled(&dir, PROFILE));
}

#[test]
fn only_files_and_directories_are_opened() {
    let (root, dir, entry) = filled();
    // A symlink to a good entry, then a FIFO.
    let elsewhere = root.path().join("elsewhere");
    fs::rename(&entry, &elsewhere).unwrap();
    symlink(&elsewhere, &entry).unwrap();
    assert!(compiled(&dir, PROFILE));
    assert!(fs::symlink_metadata(&entry).unwrap().is_file());
    fs::remove_file(&entry).unwrap();
    nix::unistd::mkfifo(&entry, Mode::S_IRWXU).unwrap();
    assert!(compiled(&dir, PROFILE));
    assert!(!fs::symlink_metadata(&entry).unwrap().file_type().is_fifo());
    // A symlink to the directory.
    let link = root.path().join("link");
    symlink(&dir, &link).unwrap();
    assert!(compiled(&link, PROFILE));
    // A directory that can't be made.
    assert!(compiled(&root.path().join("missing/cache"), PROFILE));
}

#[test]
fn a_file_system_without_unnamed_files_will_do() {
    let (_root, dir, entry) = filled();
    let good = fs::read(&entry).unwrap();
    let seccomp = profile(PROFILE);
    let cache = Cache::open(&dir, &plan(&seccomp).unwrap()).unwrap();
    fs::write(&entry, b"bad").unwrap();
    cache.put_renamed(&good).unwrap();
    assert!(cache.get().is_some());
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
}
