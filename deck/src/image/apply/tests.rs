use super::*;
use proptest::prelude::*;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use tar::{Builder, EntryType, Header};

/// Without root every owner is ours.
fn options(whiteouts: Whiteouts) -> Options {
    let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    Options { uids: vec![(0, uid, 1)], gids: vec![(0, gid, 1)], ..Options::layer(whiteouts) }
}

fn header(name: &[u8], kind: EntryType, link: &[u8], size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o755);
    header.set_size(size);
    let bytes = header.as_mut_bytes();
    bytes[..name.len().min(100)].copy_from_slice(&name[..name.len().min(100)]);
    bytes[157..157 + link.len().min(100)].copy_from_slice(&link[..link.len().min(100)]);
    header.set_cksum();
    header
}

/// One entry: name, kind, link, data.
type Entry<'a> = (&'a str, EntryType, &'a str, &'a [u8]);

fn archive(entries: &[Entry]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (name, kind, link, data) in entries {
        let header = header(name.as_bytes(), *kind, link.as_bytes(), data.len() as u64);
        builder.append(&header, *data).unwrap();
    }
    builder.into_inner().unwrap()
}

fn apply_to(dir: &Path, bytes: &[u8], options: &Options) -> Result<Applied> {
    apply(&Root::open(dir)?, &mut &bytes[..], options)
}

const FILE: EntryType = EntryType::Regular;
const DIR: EntryType = EntryType::Directory;
const LINK: EntryType = EntryType::Symlink;
const HARD: EntryType = EntryType::Link;

#[test]
fn later_entries_replace_earlier_ones() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = archive(&[
        ("a", DIR, "", b""),
        ("a/b", FILE, "", b"1"),
        ("a", LINK, "c", b""),
        ("c", DIR, "", b""),
        ("a/d", FILE, "", b"22"),
        ("f", FILE, "", b"3"),
        ("g", HARD, "f", b""),
        ("f", FILE, "", b"44"),
    ]);
    let applied = apply_to(dir.path(), &bytes, &options(Whiteouts::Literal)).unwrap();
    assert_eq!(applied.entries, 8);
    assert_eq!(fs::read(dir.path().join("c/d")).unwrap(), b"22");
    // The hard link keeps the first file.
    assert_eq!(fs::read(dir.path().join("g")).unwrap(), b"3");
    assert_eq!(fs::read(dir.path().join("f")).unwrap(), b"44");
}

#[test]
fn whiteouts_hide_lower_layers_only() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("d/sub")).unwrap();
    for name in ["d/old", "d/sub/old", "gone", "kept"] {
        fs::write(dir.path().join(name), "x").unwrap();
    }
    let bytes = archive(&[
        ("d/sub/new", FILE, "", b"1"),
        ("d/.wh..wh..opq", FILE, "", b""),
        (".wh.gone", FILE, "", b""),
        ("own", FILE, "", b"1"),
        (".wh.own", FILE, "", b""),
    ]);
    apply_to(dir.path(), &bytes, &options(Whiteouts::Remove)).unwrap();
    for (name, there) in [
        ("d/old", false),
        ("d/sub/old", false),
        ("d/sub/new", true),
        ("gone", false),
        ("kept", true),
        ("own", true),
    ] {
        assert_eq!(dir.path().join(name).exists(), there, "{name}");
    }
}

#[test]
fn limits_end_what_grows_too_large() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = archive(&[("a", FILE, "", &[1; 4096]), ("b", FILE, "", b"")]);
    let few = Options { entries: 1, ..options(Whiteouts::Literal) };
    let error = apply_to(dir.path(), &bytes, &few).unwrap_err();
    assert!(error.message.contains("more than 1 entries"), "{error}");
    let small = Options { bytes: 2048, ..options(Whiteouts::Literal) };
    let error = apply_to(dir.path(), &bytes, &small).unwrap_err();
    assert!(error.message.contains("more bytes"), "{error}");
}

#[test]
fn directories_and_others_are_kept_apart_where_asked() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("d")).unwrap();
    std::fs::write(dir.path().join("f"), "old").unwrap();
    let keep = Options { replace: false, ..options(Whiteouts::Literal) };
    for bytes in [archive(&[("d", FILE, "", b"x")]), archive(&[("f", DIR, "", b"")])] {
        let error = apply_to(dir.path(), &bytes, &keep).unwrap_err();
        assert!(error.message.contains("cannot overwrite"), "{error}");
    }
    apply_to(dir.path(), &archive(&[("d", DIR, "", b""), ("f", FILE, "", b"new")]), &keep).unwrap();
    assert_eq!(std::fs::read(dir.path().join("f")).unwrap(), b"new");
    apply_to(dir.path(), &archive(&[("d", FILE, "", b"x")]), &options(Whiteouts::Literal)).unwrap();
    assert!(dir.path().join("d").is_file());
}

#[test]
fn holes_stay_holes() {
    let dir = tempfile::tempdir().unwrap();
    // GNU's pax format 1.0: a map of extents in front of the data.
    let mut map = b"2\n0\n4\n1048576\n4\n".to_vec();
    map.resize(512, 0);
    map.extend_from_slice(b"headtail");
    let mut builder = Builder::new(Vec::new());
    let records: [(&str, &[u8]); 4] = [
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.name", b"sparse"),
        ("GNU.sparse.realsize", b"1048580"),
    ];
    builder.append_pax_extensions(records).unwrap();
    let entry = header(b"GNUSparseFile.1/sparse", FILE, b"", map.len() as u64);
    builder.append(&entry, &map[..]).unwrap();
    let bytes = builder.into_inner().unwrap();
    apply_to(dir.path(), &bytes, &options(Whiteouts::Literal)).unwrap();
    let data = fs::read(dir.path().join("sparse")).unwrap();
    assert_eq!(
        (data.len(), &data[..4], &data[1_048_576..]),
        (1_048_580, &b"head"[..], &b"tail"[..])
    );
    let meta = fs::metadata(dir.path().join("sparse")).unwrap();
    assert!(meta.blocks() * 512 < 1 << 20, "{}", meta.blocks());
    // An extent that reaches beyond the end.
    let mut bad = bytes;
    let at = bad.windows(7).position(|window| window == b"1048576").unwrap();
    bad[at] = b'9';
    assert!(apply_to(dir.path(), &bad, &options(Whiteouts::Literal)).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever an archive holds: nothing outside the root changes.
    #[test]
    fn nothing_leaves_the_root(entries in prop::collection::vec(
        ("(/|\\./|\\.\\./|out/|up/|a/|b/|\\.wh\\.){0,4}(a|b|out|up|victim|\\.\\.)?",
         prop::sample::select(vec![FILE, DIR, LINK, HARD]),
         "(/|\\.\\./|a/|b/|out/){0,4}(a|b|outside|victim|etc/passwd)"), 1..12)) {
        let base = tempfile::tempdir().unwrap();
        let (root, outside) = (base.path().join("root"), base.path().join("outside"));
        fs::create_dir(&root).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("victim"), "untouched").unwrap();
        std::os::unix::fs::symlink(&outside, root.join("out")).unwrap();
        std::os::unix::fs::symlink("../outside", root.join("up")).unwrap();
        let list: Vec<Entry> = entries.iter()
            .map(|(name, kind, link)| {
                let data: &[u8] = if *kind == FILE { b"x" } else { b"" };
                (name.as_str(), *kind, link.as_str(), data)
            })
            .collect();
        for whiteouts in [Whiteouts::Literal, Whiteouts::Remove] {
            let _ = apply_to(&root, &archive(&list), &options(whiteouts));
            let names: Vec<_> =
                fs::read_dir(base.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            prop_assert_eq!(names.len(), 2);
            prop_assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
            prop_assert_eq!(fs::read(outside.join("victim")).unwrap(), b"untouched");
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let dir = tempfile::tempdir().unwrap();
        let _ = apply_to(dir.path(), &bytes, &options(Whiteouts::Literal));
    }
}
