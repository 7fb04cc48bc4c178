//! Every mount option of config.md "Linux mount options": it shows on the mount, or on the file
//! system, or is at least taken.

use crate::harness::{Container, mount};
use crate::needs::{Kind, lacks};
use nix::mount::{MsFlags, umount};
use std::fs;

/// The mount's own options and its file system's, as mountinfo has them.
fn shown(typ: &str, options: &[&str]) -> (Vec<String>, Vec<String>) {
    let c = Container::sh("grep ' /m ' /proc/self/mountinfo");
    let source = if typ == "bind" { c.text("source") } else { "tmpfs".to_owned() };
    fs::create_dir(c.path("source")).unwrap();
    let line = c.edit(|s| mount(s, "/m", typ, &source, options)).run().ok();
    let words: Vec<&str> = line.split_whitespace().collect();
    let list = |text: &str| text.split(',').map(str::to_owned).collect();
    (list(words[5]), list(words[words.len() - 1]))
}

#[test]
fn options_that_set_a_flag_of_the_mount() {
    for option in ["ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "relatime"] {
        let (own, _) = shown("tmpfs", &[option]);
        assert!(own.iter().any(|found| found == option), "{option}: {own:?}");
    }
    let (own, _) = shown("tmpfs", &["strictatime"]);
    assert_eq!(own, ["rw"], "strictatime is what has no word");
}

#[test]
fn options_that_clear_a_flag_of_the_mount() {
    lacks!(Kind::Crun(1, ..9) => "does not know all of them");
    for (set, clear) in [
        ("ro", "rw"),
        ("nosuid", "suid"),
        ("nodev", "dev"),
        ("noexec", "exec"),
        ("noatime", "atime"),
        ("nodiratime", "diratime"),
    ] {
        let (own, _) = shown("tmpfs", &[set, clear]);
        assert_eq!(own, ["rw", "relatime"], "{set},{clear}");
        let (own, _) = shown("tmpfs", &[clear, set]);
        assert!(own.iter().any(|found| found == set), "{clear},{set}: {own:?}");
    }
}

#[test]
fn links_are_not_followed_where_nosymfollow_says_so() {
    lacks!(Kind::Runc(1, ..2) | Kind::Crun(..) => "does not know it");
    let script = "ln -s /etc/passwd /m/link; cat /m/link >/dev/null && echo followed; :";
    for (options, want) in [
        (&["nosymfollow"][..], ""),
        (&[], "followed\n"),
        (&["nosymfollow", "symfollow"], "followed\n"),
    ] {
        let c = Container::sh(script).edit(|s| mount(s, "/m", "tmpfs", "tmpfs", options));
        assert_eq!(c.run().ok(), want, "{options:?}");
    }
}

#[test]
fn options_of_the_file_system() {
    for (options, word, there) in [
        (&["sync"][..], "sync", true),
        (&["dirsync"], "dirsync", true),
        (&["sync", "async"], "sync", false),
        (&["lazytime"], "lazytime", true),
    ] {
        if !there {
            lacks!(Kind::Crun(1, ..9) => "the later does not undo the earlier");
        }
        if word == "lazytime" {
            lacks!(Kind::Runc(1, ..2) | Kind::Crun(1, ..9) => "does not know it");
        }
        let (_, found) = shown("tmpfs", options);
        assert_eq!(found.iter().any(|found| found == word), there, "{options:?}: {found:?}");
    }
}

#[test]
fn options_that_show_nowhere_are_taken() {
    lacks!(Kind::Runc(1, ..2) | Kind::Crun(1, ..9) => "does not know all of them");
    for option in [
        "defaults",
        "iversion",
        "noiversion",
        "mand",
        "nomand",
        "silent",
        "loud",
        "nolazytime",
        "norelatime",
        "nostrictatime",
    ] {
        shown("tmpfs", &[option]);
    }
}

#[test]
fn a_remount_changes_what_is_there() {
    lacks!(Kind::Crun(1, ..9) => "makes another mount");
    let c = Container::sh("grep ' /m ' /proc/self/mountinfo | cut -d' ' -f6").edit(|s| {
        mount(s, "/m", "tmpfs", "tmpfs", &["noexec"]);
        mount(s, "/m", "tmpfs", "tmpfs", &["remount", "nosuid", "nodev"]);
    });
    assert_eq!(c.run().ok(), "rw,nosuid,nodev,relatime\n");
}

/// One option for the whole tree: the mount and the one below it.
fn tree(option: &str) -> Vec<String> {
    let script = "grep -E ' /m(/sub)? ' /proc/self/mountinfo | cut -d' ' -f6";
    let c = Container::sh(script);
    let (source, below) = (c.text("source"), c.path("source/sub"));
    fs::create_dir_all(&below).unwrap();
    let flags = match option {
        // There must be something to clear.
        "rrw" => MsFlags::MS_RDONLY,
        "rsuid" => MsFlags::MS_NOSUID,
        "rdev" => MsFlags::MS_NODEV,
        "rexec" => MsFlags::MS_NOEXEC,
        "ratime" => MsFlags::MS_NOATIME,
        "rdiratime" => MsFlags::MS_NODIRATIME,
        _ => MsFlags::empty(),
    };
    let none = None::<&str>;
    nix::mount::mount(Some("tmpfs"), &below, Some("tmpfs"), MsFlags::empty(), none).unwrap();
    let flags = flags | MsFlags::MS_BIND | MsFlags::MS_REMOUNT;
    nix::mount::mount(none, &below, none, flags, none).unwrap();
    let c = c.edit(|s| mount(s, "/m", "bind", &source, &["rbind", option]));
    let outcome = c.run();
    umount(&below).unwrap();
    outcome.ok().lines().map(str::to_owned).collect()
}

#[test]
fn options_of_a_whole_tree() {
    lacks!(
        Kind::Runc(1, ..2) => "sets access times of a tree in a way the kernel refuses",
        Kind::Crun(1, ..9) => "reports but does not set them on this kernel",
    );
    for (option, word) in [
        ("rro", "ro"),
        ("rnosuid", "nosuid"),
        ("rnodev", "nodev"),
        ("rnoexec", "noexec"),
        ("rnoatime", "noatime"),
        ("rnodiratime", "nodiratime"),
        ("rrelatime", "relatime"),
    ] {
        let found = tree(option);
        assert_eq!(found.len(), 2, "{found:?}");
        let has = |line: &String| line.split(',').any(|found| found == word);
        assert!(found.iter().all(has), "{option}: {found:?}");
    }
    let found = tree("rstrictatime");
    assert!(found.iter().all(|line| !line.contains("atime")), "{found:?}");
    for option in ["rrw", "rsuid", "rdev", "rexec", "ratime", "rdiratime", "rnorelatime"] {
        let found = tree(option);
        assert_eq!(found.last().map(String::as_str), Some("rw,relatime"), "{option}: {found:?}");
    }
    for option in ["rsymfollow", "rnosymfollow", "rnostrictatime"] {
        assert_eq!(tree(option).len(), 2, "{option}");
    }
}
