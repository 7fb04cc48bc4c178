//! Images that mean harm: refused or contained, with nothing left behind.

use crate::archives::load;
use crate::fixture::{Layer, docker_archive, layers, oci_archive, raw};
use crate::harness::{Home, block};
use std::fs;
use std::path::Path;
use tar::{EntryType, Header};

/// Names of what is left in the store's directories that hold content.
pub fn content(home: &Home) -> Vec<String> {
    let mut names = Vec::new();
    for dir in ["blobs/sha256", "layers", "staging", "snapshots", "partial", "lock"] {
        for entry in fs::read_dir(home.store().join(dir)).unwrap() {
            let name = entry.unwrap().file_name();
            if name != "store" {
                names.push(format!("{dir}/{}", name.to_string_lossy()));
            }
        }
    }
    names
}

#[track_caller]
fn refused(archive: Vec<u8>, word: &str) {
    let home = Home::new();
    let images = home.images();
    let error = load(&images, archive).expect_err("loaded");
    assert!(error.message.contains(word), "{error}");
    assert!(!error.message.contains('\n'), "{error}");
    assert_eq!(content(&home), Vec::<String>::new());
}

#[track_caller]
fn bad_layer(layer: Layer, word: &str) {
    refused(docker_archive("bad:1", &[layer.done()]), word);
}

#[test]
fn names_that_lead_out_are_refused() {
    bad_layer(Layer::new().file("../../escape", b"x"), "leads out");
    bad_layer(Layer::new().file("a/../../escape", b"x"), "leads out");
    bad_layer(Layer::new().hard("passwd", "../../../etc/passwd"), "leads out");
    bad_layer(Layer::new().file(".wh...", b""), "whiteout");
    bad_layer(Layer::new().file("dir/.wh..", b""), "whiteout");
}

/// Where a name could lead if links were followed on the host.
fn outside(home: &Home) -> std::path::PathBuf {
    let dir = home.dir.path().join("outside");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("victim"), "untouched").unwrap();
    dir
}

#[track_caller]
fn contained(build: impl FnOnce(&str) -> Vec<Vec<u8>>) {
    let home = Home::new();
    let images = home.images();
    let dir = outside(&home);
    let layers = build(&dir.display().to_string());
    let _ = load(&images, docker_archive("bad:1", &layers));
    if let Ok(image) = images.resolve("bad:1") {
        let _ = block(images.unpack(&image, &home.dir.path().join("copy")));
    }
    let names: Vec<_> =
        fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["victim"]);
    assert_eq!(fs::read_to_string(dir.join("victim")).unwrap(), "untouched");
}

#[test]
fn links_lead_nowhere_outside() {
    contained(|dir| vec![Layer::new().link("out", dir).file("out/escape", b"x").done()]);
    contained(|dir| vec![Layer::new().link("out", dir).file("out/victim", b"x").done()]);
    contained(|dir| {
        vec![Layer::new().link("l", &format!("{dir}/victim")).file("l", b"overwritten").done()]
    });
    contained(|dir| vec![Layer::new().link("out", dir).file("out/.wh.victim", b"").done()]);
    contained(|dir| vec![Layer::new().link("out", dir).file("out/.wh..wh..opq", b"").done()]);
    contained(|dir| {
        vec![Layer::new().hard("h", &format!("{dir}/victim")).file("h", b"overwritten").done()]
    });
    // Through a link of a lower layer.
    contained(|dir| {
        vec![
            Layer::new().link("out", dir).done(),
            Layer::new().file("out/escape", b"x").file("out/.wh.victim", b"").done(),
        ]
    });
    contained(|_| {
        let up = "../".repeat(20);
        vec![Layer::new().link("up", &up).file("up/tmp/deck-hostile-escape", b"x").done()]
    });
    assert!(!Path::new("/tmp/deck-hostile-escape").exists());
}

#[test]
fn overlays_marks_are_not_taken_from_images() {
    let home = Home::new();
    let images = home.images();
    let layer = Layer::new().attribute("d", "trusted.overlay.redirect", b"/etc").done();
    let image = load(&images, docker_archive("x:1", &[layer])).unwrap().remove(0);
    let copy = home.dir.path().join("copy");
    block(images.unpack(&image, &copy)).unwrap();
    assert_eq!(xattr::get(copy.join("d"), "trusted.overlay.redirect").unwrap(), None);
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Char);
    header.set_mode(0o600);
    header.set_size(0);
    header.set_device_major(0).unwrap();
    header.set_device_minor(0).unwrap();
    raw(&mut header, 0, "w");
    header.set_cksum();
    bad_layer(Layer::new().header(&header, b""), "whiteout");
}

#[test]
fn owners_and_kinds_out_of_range_are_refused() {
    let entry = |kind: EntryType, uid: u64| {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(0);
        header.set_uid(uid);
        raw(&mut header, 0, "f");
        header.set_cksum();
        Layer::new().header(&header, b"")
    };
    bad_layer(entry(EntryType::Regular, u64::from(u32::MAX)), "out of range");
    bad_layer(entry(EntryType::Regular, 1 << 40), "out of range");
    bad_layer(entry(EntryType::new(b'Z'), 0), "unknown type");
}

#[test]
fn lies_about_content_are_found() {
    let damaged = |part: &'static str| {
        oci_archive(&layers(), move |name, bytes| {
            if name == part {
                let last = bytes.len() - 1;
                bytes[last] ^= 1;
            }
        })
    };
    for part in ["config", "manifest", "layer"] {
        refused(damaged(part), "digest");
    }
    let short = oci_archive(&layers(), |name, bytes| {
        if name == "layer" {
            bytes.pop();
        }
    });
    refused(short, "digest");
    // A layer that is not the one the configuration names.
    let mut archive = docker_archive("bad:1", &layers());
    let at = archive.windows(6).position(|window| window == b"root:x").unwrap();
    archive[at] = b'R';
    refused(archive, "unpacks to");
    refused(b"\x1f\x8b garbage".to_vec(), "");
    refused(crate::fixture::noise(2000, 7), "tar");
    refused(Layer::new().file("x", b"y").done(), "neither");
}

#[test]
fn a_text_is_no_archive_and_is_not_quoted_whole() {
    let text = b"\x1b[2Jroot:x:0:0\ndaemon:x:1:1:".repeat(100);
    let home = Home::new();
    let error = load(&home.images(), text).expect_err("loaded");
    assert!(!error.message.contains(char::is_control), "{error}");
    assert!(error.message.len() < 300, "{error}");
}

#[test]
fn a_truncated_archive_is_refused() {
    let whole = docker_archive("bad:1", &layers());
    for length in [100, 700, whole.len() / 2] {
        refused(whole[..length].to_vec(), "");
    }
}
