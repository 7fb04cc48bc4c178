//! Files that are no configuration, and other kinds of files in its place.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::sys::stat::Mode;

use super::clean_error;
use crate::case::{Case, Verdict, case};
use crate::context::Context;
use crate::mutant::pretends;

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut all = texts();
    all.extend(kinds());
    all
}

/// Files that are no configuration.
fn texts() -> Vec<Case> {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let texts: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("blank", b" \n".to_vec()),
        ("null", b"null".to_vec()),
        ("number", b"17".to_vec()),
        ("string", b"\"config\"".to_vec()),
        ("array", b"[]".to_vec()),
        ("empty-object", b"{}".to_vec()),
        ("open-object", b"{".to_vec()),
        ("no-json", b"ociVersion: 1.0.2".to_vec()),
        ("nul-bytes", vec![0; 64]),
        ("no-utf8", b"{\"ociVersion\": \"\xff\xfe\"}".to_vec()),
        ("utf16", "{\"a\":1}".encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("deeply-nested", deep.into_bytes()),
        ("control-character", b"{\"hostname\": \"a\x01b\"}".to_vec()),
        ("lone-surrogate", b"{\"ociVersion\": \"\\ud800\"}".to_vec()),
        ("huge-number", b"{\"ociVersion\": 1e999999}".to_vec()),
        ("trailing-comma", b"{\"ociVersion\": \"1.0.2\",}".to_vec()),
        ("comment", b"// a comment\n{\"ociVersion\": \"1.0.2\"}".to_vec()),
        ("single-quotes", b"{'ociVersion': '1.0.2'}".to_vec()),
        ("not-a-number", b"{\"ociVersion\": NaN}".to_vec()),
        ("leading-zero", b"{\"process\": {\"user\": {\"uid\": 007}}}".to_vec()),
        ("missing-colon", b"{\"ociVersion\" \"1.0.2\"}".to_vec()),
        ("missing-comma", b"{\"ociVersion\": \"1.0.2\" \"hostname\": \"a\"}".to_vec()),
        ("key-without-quotes", b"{ociVersion: \"1.0.2\"}".to_vec()),
        ("closed-twice", b"{\"ociVersion\": \"1.0.2\"}}".to_vec()),
        ("zeros-of-64-mebibytes", vec![0; 64 << 20]),
        ("elf", b"\x7fELF\x02\x01\x01\0\0\0\0\0".to_vec()),
    ];
    let mut all: Vec<Case> = texts
        .into_iter()
        .map(|(name, text)| {
            bad_file(format!("robustness/config-{name}"), move |c| {
                Ok(fs::write(c.bundle().join("config.json"), &text)?)
            })
        })
        .collect();
    all.extend((1..10).map(cut));
    all
}

/// A configuration that ends too early, as after a full disk.
fn cut(tenths: usize) -> Case {
    bad_file(format!("robustness/config-cut-at-{tenths}0-percent"), move |c| {
        // The same text in every run, whatever the case's own cgroup is called.
        c.set("/linux/cgroupsPath", "/hull-conformance/cut");
        let text = c.config.to_string();
        let cut = text.len() * tenths / 10;
        Ok(fs::write(c.bundle().join("config.json"), &text[..cut])?)
    })
}

/// Things of other kinds in the place of config.json, the bundle or the root.
fn kinds() -> Vec<Case> {
    let config = |name: &str, make: fn(&Path) -> Verdict| {
        bad_file(format!("robustness/config-is-a-{name}"), move |c| {
            make(&c.bundle().join("config.json"))
        })
    };
    let root = |name: &str, make: fn(&Path) -> Verdict| {
        bad_file(format!("robustness/root-is-a-{name}"), move |c| {
            c.set("/root/path", "other");
            c.write()?;
            make(&c.bundle().join("other"))
        })
    };
    let socket = |path: &Path| Ok(std::os::unix::net::UnixListener::bind(path).map(drop)?);
    let fifo = |path: &Path| Ok(nix::unistd::mkfifo(path, Mode::from_bits_truncate(0o644))?);
    vec![
        config("directory", |path| Ok(fs::create_dir(path)?)),
        config("dangling-link", |path| Ok(symlink("nowhere", path)?)),
        config("link-to-itself", |path| Ok(symlink("config.json", path)?)),
        config("fifo", fifo),
        config("socket", socket),
        config("link-to-null", |path| Ok(symlink("/dev/null", path)?)),
        root("dangling-link", |path| Ok(symlink("nowhere", path)?)),
        root("link-to-itself", |path| Ok(symlink("other", path)?)),
        root("fifo", fifo),
        root("socket", socket),
        bad_file("robustness/config-missing".into(), |_| Ok(())),
        bad_file("robustness/bundle-is-a-file".into(), |c| {
            fs::remove_dir_all(c.bundle())?;
            Ok(fs::write(c.bundle(), "")?)
        }),
        bad_file("robustness/bundle-is-missing".into(), |c| Ok(fs::remove_dir_all(c.bundle())?)),
        bad_file("robustness/bundle-is-a-dangling-link".into(), |c| {
            fs::remove_dir_all(c.bundle())?;
            Ok(symlink("nowhere", c.bundle())?)
        }),
    ]
}

fn bad_file(id: String, make: impl Fn(&mut Context) -> Verdict + Send + Sync + 'static) -> Case {
    case(id)
        .cites("runtime.md:59 it MUST generate an error")
        .cites("runtime.md:84 as if the operation were never attempted")
        .breaks(pretends("create"))
        .runs(move |c| {
            make(c)?;
            let container = c.handle();
            let output = container.try_create(&[])?;
            clean_error(c, &output)?;
            c.nothing_left(&container)
        })
}
