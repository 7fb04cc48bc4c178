//! Layers, compressed or not: whatever the bytes, nothing outside of the root changes, and the
//! limits hold. The first byte says what whiteouts become. As root devices and whiteouts are made
//! too.

#![no_main]

use deck::image::apply::{Options, Root, Whiteouts, apply};
use deck::image::decompress;
use libfuzzer_sys::fuzz_target;
use std::fs;
use std::io::{Cursor, Read};

/// Most bytes an input may unpack to.
const BYTES: u64 = 4 << 20;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, archive)) = bytes.split_first() else { return };
    let whiteouts = [Whiteouts::Overlay, Whiteouts::Remove, Whiteouts::Literal]
        [usize::from(*first) % 3];
    let options = Options { entries: 1000, bytes: BYTES, ..Options::layer(whiteouts) };
    let base = tempfile::tempdir_in("/dev/shm").expect("a directory");
    let (root, outside) = (base.path().join("root"), base.path().join("outside"));
    fs::create_dir(&root).expect("a directory");
    fs::create_dir(&outside).expect("a directory");
    fs::write(outside.join("victim"), "untouched").expect("a file");
    std::os::unix::fs::symlink(&outside, root.join("out")).expect("a link");
    std::os::unix::fs::symlink("../outside", root.join("up")).expect("a link");
    if let Ok(reader) = decompress::reader(Box::new(Cursor::new(archive))) {
        let mut reader = reader.take(2 * BYTES);
        let open = Root::open(&root).expect("the root");
        if let Ok(applied) = apply(&open, &mut reader, &options) {
            assert!(applied.entries <= options.entries);
        }
    }
    let names = |dir| fs::read_dir(dir).expect("a directory").count();
    assert_eq!((names(base.path()), names(&outside)), (2, 1));
    assert_eq!(fs::read(outside.join("victim")).expect("a file"), b"untouched");
});
