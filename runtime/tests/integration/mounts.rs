//! Mounts: config.md "Mounts", config-linux.md "Default Filesystems".

use crate::harness::{Container, mount};
use crate::needs::{Kind, lacks};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

/// Prints a mount's own and its file system's options, as mountinfo has them.
fn show(point: &str) -> String {
    format!("grep ' {point} ' /proc/self/mountinfo | tail -n1")
}

/// The options a mount at `/m` shows, made with these.
#[track_caller]
fn options_of(typ: &str, options: &[&str]) -> String {
    let c = Container::sh(&show("/m"));
    let source = if options.contains(&"bind") || options.contains(&"rbind") {
        fs::create_dir(c.path("source")).unwrap();
        c.text("source")
    } else {
        typ.to_owned()
    };
    c.edit(|s| mount(s, "/m", typ, &source, options)).run().ok()
}

#[test]
fn options_of_a_tmpfs() {
    for (options, want) in [
        (&["ro"][..], "ro,relatime"),
        (&["rw", "nosuid", "nodev", "noexec"], "rw,nosuid,nodev,noexec,relatime"),
        (&["noatime"], "rw,noatime"),
        (&["strictatime"], "rw"),
        (&["noatime", "nodiratime"], "rw,noatime,nodiratime"),
    ] {
        let line = options_of("tmpfs", options);
        assert_eq!(line.split(' ').nth(5).unwrap(), want, "{options:?}: {line}");
    }
}

#[test]
fn the_last_of_opposite_options_wins() {
    lacks!(Kind::Crun(1, ..9) => "does not know `suid` and `dev`");
    let line = options_of("tmpfs", &["nosuid", "nodev", "suid", "dev"]);
    assert_eq!(line.split(' ').nth(5).unwrap(), "rw,relatime", "{line}");
}

#[test]
fn data_of_a_tmpfs() {
    let line = options_of("tmpfs", &["size=1024k", "mode=0711", "uid=7", "gid=8", "nr_inodes=99"]);
    let data = line.split(' ').next_back().unwrap().trim();
    for want in ["size=1024k", "mode=711", "uid=7", "gid=8", "nr_inodes=99"] {
        assert!(data.split(',').any(|part| part == want), "{want}: {line}");
    }
}

#[test]
fn options_of_a_bind_mount() {
    for (options, want) in [
        (&["bind", "ro"][..], "ro"),
        (&["rbind", "ro", "nosuid", "nodev", "noexec"], "ro,nosuid,nodev,noexec"),
        (&["bind", "noexec", "rw"], "rw,noexec"),
    ] {
        let line = options_of("bind", options);
        let got = line.split(' ').nth(5).unwrap();
        assert!(got.starts_with(want), "{options:?}: {line}");
    }
}

#[test]
fn a_bind_mount_needs_no_type() {
    let c = Container::sh("cat /m/file");
    let source = c.text("source");
    c.write("source/file", "bound\n");
    let c = c.edit(|s| {
        let entry = json!({"destination": "/m", "source": source, "options": ["bind"]});
        s["mounts"].as_array_mut().unwrap().push(entry);
    });
    assert_eq!(c.run().ok(), "bound\n");
}

#[test]
fn bind_takes_one_mount_and_rbind_the_tree() {
    for (option, want) in [("bind", ""), ("rbind", "deep\n")] {
        let c = Container::sh("cat /m/sub/file 2>/dev/null; true");
        let source = c.text("source");
        fs::create_dir_all(c.path("source/sub")).unwrap();
        let inner = c.path("source/sub");
        nix::mount::mount(
            Some("tmpfs"),
            &inner,
            Some("tmpfs"),
            nix::mount::MsFlags::empty(),
            None::<&str>,
        )
        .unwrap();
        fs::write(inner.join("file"), "deep\n").unwrap();
        let c = c.edit(|s| mount(s, "/m", "bind", &source, &[option]));
        let outcome = c.run();
        nix::mount::umount(&inner).unwrap();
        assert_eq!(outcome.ok(), want, "{option}");
    }
}

#[test]
fn recursive_options_reach_the_mounts_below() {
    lacks!(Kind::Crun(1, ..9) => "reports but does not set rro on this kernel");
    let c = Container::sh(&format!("{}; {}", show("/m"), show("/m/sub")));
    let source = c.text("source");
    fs::create_dir_all(c.path("source/sub")).unwrap();
    let c = c.edit(|s| {
        // The outer mount is a bind of a tree that itself holds a mount made before it.
        mount(s, "/tree", "bind", &source, &["bind"]);
        mount(s, "/tree/sub", "tmpfs", "tmpfs", &[]);
        s["process"]["args"] = json!(["sh", "-c", show("/tree/sub")]);
    });
    assert!(c.run().ok().contains(" rw,"));
    let inner = c.path("source/sub");
    nix::mount::mount(
        Some("tmpfs"),
        &inner,
        Some("tmpfs"),
        nix::mount::MsFlags::empty(),
        None::<&str>,
    )
    .unwrap();
    let mut second = Container::sh(&format!("{}; {}", show("/m"), show("/m/sub")));
    mount(&mut second.spec, "/m", "bind", &source, &["rbind", "rro", "rnosuid"]);
    let outcome = second.run();
    nix::mount::umount(&inner).unwrap();
    let out = outcome.ok();
    assert_eq!(out.lines().filter(|line| line.contains(" ro,nosuid")).count(), 2, "{out}");
}

#[test]
fn a_file_can_be_bound_onto_a_file_that_is_missing() {
    let c = Container::sh("cat /etc/deep/er/file");
    let file = c.write("host-file", "from the host\n");
    let c = c.edit(|s| {
        mount(s, "/etc/deep/er/file", "bind", file.to_str().unwrap(), &["bind", "ro"]);
    });
    assert_eq!(c.run().ok(), "from the host\n");
}

#[test]
fn mounts_are_made_in_their_order() {
    let c = Container::sh("ls /a/b; cat /a/b/c").edit(|s| {
        mount(s, "/a", "tmpfs", "tmpfs", &[]);
        mount(s, "/a/b", "tmpfs", "tmpfs", &[]);
    });
    let file = c.write("f", "last\n");
    let c = c.edit(|s| mount(s, "/a/b/c", "bind", file.to_str().unwrap(), &["bind"]));
    assert_eq!(c.run().ok(), "c\nlast\n");
    // A later mount over the parent hides the earlier one.
    let c = Container::sh("ls /a").edit(|s| {
        mount(s, "/a/b", "tmpfs", "tmpfs", &[]);
        mount(s, "/a", "tmpfs", "tmpfs", &[]);
    });
    assert_eq!(c.run().ok(), "");
}

#[test]
fn a_relative_destination_is_taken_from_the_root() {
    lacks!(Kind::Crun(..) => "refuses it");
    let c = Container::sh(&show("/m")).edit(|s| mount(s, "m", "tmpfs", "tmpfs", &[]));
    assert!(c.run().ok().contains("tmpfs"));
}

#[test]
fn symlinks_in_a_destination_stay_inside() {
    for link in ["/etc/../../../../../../../tmp", "/tmp", "../../../../../../../../tmp"] {
        let c = Container::sh("cat /tmp/hull-here/file");
        fs::create_dir(c.path("source")).unwrap();
        c.write("source/file", "inside\n");
        symlink(link, c.rootfs("link")).unwrap();
        let source = c.text("source");
        let c = c.edit(|s| mount(s, "/link/hull-here", "bind", &source, &["bind"]));
        assert_eq!(c.run().ok(), "inside\n", "{link}");
        assert!(!Path::new("/tmp/hull-here").exists());
    }
}

#[test]
fn dot_dot_in_a_destination_stays_inside() {
    let c = Container::sh(&show("/m"));
    let c = c.edit(|s| mount(s, "/../../../../m", "tmpfs", "tmpfs", &[]));
    assert!(c.run().ok().contains("tmpfs"));
    assert!(!Path::new("/m").exists());
}

#[test]
fn a_relative_bind_source_is_taken_from_the_bundle() {
    let c = Container::sh("cat /m/file");
    c.write("source/file", "bound\n");
    let c = c.edit(|s| mount(s, "/m", "bind", "source", &["bind"]));
    c.save();
    let mut command = c.command(&["run", "--bundle", &c.text(""), &c.id]);
    command.current_dir("/");
    assert_eq!(c.wait(command, "").ok(), "bound\n");
}

#[test]
fn a_missing_bind_source_is_an_error() {
    let c = Container::new(&["true"]);
    let source = c.text("missing");
    let c = c.edit(|s| mount(s, "/m", "bind", &source, &["bind"]));
    let err = c.create_with(&[]).fails();
    assert!(err.to_lowercase().contains("no such file or directory"), "{err}");
    assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
}

#[test]
fn tmpcopyup_keeps_what_the_image_had() {
    let c = Container::sh("cat /data/file; echo new >/data/file; rm /data/two");
    c.write("rootfs/data/file", "from the image\n");
    c.write("rootfs/data/two", "2");
    let c = c.edit(|s| mount(s, "/data", "tmpfs", "tmpfs", &["tmpcopyup"]));
    assert_eq!(c.run().ok(), "from the image\n");
    assert_eq!(fs::read_to_string(c.rootfs("data/file")).unwrap(), "from the image\n");
    assert!(c.rootfs("data/two").exists());
}

#[test]
fn propagation_of_a_bind_mount() {
    lacks!(Kind::Crun(..) => "makes the root private afterwards");
    for (option, want) in [
        ("rprivate", "private"),
        ("rslave", "private"),
        ("rshared", "shared"),
        ("runbindable", "unbindable"),
    ] {
        let line = options_of("bind", &["rbind", option]);
        let tags = line.split(" - ").next().unwrap();
        let got = if tags.contains("shared:") {
            "shared"
        } else if tags.contains("unbindable") {
            "unbindable"
        } else {
            "private"
        };
        // A slave of a mount that is not shared is private; so is this test's directory.
        assert!(got == want || tags.contains("master:"), "{option}: {line}");
    }
}

#[test]
fn unknown_file_systems_and_bad_data_are_errors() {
    for (typ, options) in
        [("nosuchfs", &[][..]), ("tmpfs", &["size=banana"]), ("tmpfs", &["nosuch"])]
    {
        let c = Container::new(&["true"]).edit(|s| mount(s, "/m", typ, typ, options));
        c.create_with(&[]).fails();
        assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
    }
}

/// Maps ids of a mount, 100000 on disk being root in the container.
fn idmap(spec: &mut Value, id: u32) {
    let map = json!([{"containerID": 0, "hostID": id, "size": 65536}]);
    let mounts = spec["mounts"].as_array_mut().unwrap();
    let last = mounts.last_mut().unwrap();
    last["uidMappings"] = map.clone();
    last["gidMappings"] = map;
}

#[test]
fn idmapped_bind_mounts_shift_owners() {
    lacks!(
        Kind::Runc(1, ..2) => "idmapped mounts came with 1.2",
        Kind::Crun(1, ..9) => "only with a user namespace",
    );
    let c = Container::sh("stat -c %u:%g /m/file");
    let file = c.write("source/file", "");
    std::os::unix::fs::chown(&file, Some(1), Some(2)).unwrap();
    let source = c.text("source");
    let c = c.edit(|s| {
        mount(s, "/m", "bind", &source, &["bind", "idmap"]);
        idmap(s, 100_000);
    });
    assert_eq!(c.run().ok(), "100001:100002\n");
}

#[test]
fn a_mount_with_only_uid_mappings_is_refused() {
    lacks!(Kind::Runc(1, ..2) => "ignores mappings", Kind::Crun(..) => "takes it");
    // config.md "Mounts": uidMappings and gidMappings MUST both be given, or none.
    let c = Container::new(&["true"]);
    fs::create_dir(c.path("source")).unwrap();
    let source = c.text("source");
    let c = c.edit(|s| {
        mount(s, "/m", "bind", &source, &["bind"]);
        idmap(s, 100_000);
        s["mounts"].as_array_mut().unwrap().last_mut().unwrap()["gidMappings"] = json!([]);
    });
    c.create_with(&[]).fails();
}

#[test]
fn the_cgroup_file_system_shows_the_containers_cgroup() {
    let c = Container::sh("ls -d /sys/fs/cgroup/memory/cgroup.procs /sys/fs/cgroup/cgroup.procs")
        .edit(|s| {
            let options = ["nosuid", "noexec", "nodev", "relatime", "ro"];
            mount(s, "/sys/fs/cgroup", "cgroup", "cgroup", &options);
            crate::harness::namespace(s, "cgroup", None);
        });
    let outcome = c.run();
    assert!(outcome.out.contains("cgroup.procs"), "{outcome:?}");
    let mut write = Container::sh("mkdir /sys/fs/cgroup/memory/x /sys/fs/cgroup/x");
    write.spec["mounts"] = c.spec["mounts"].clone();
    assert_ne!(write.run().code, 0, "the mount is read-only");
}
