//! The root file system: read-only root, masked and read-only paths, propagation, `--no-pivot`.

use crate::harness::{Container, mount};
use crate::needs::{Kind, lacks};
use serde_json::json;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};

#[test]
fn a_readonly_root_cannot_be_written() {
    let c = Container::sh("touch /x || echo refused; touch /dev/shm/x /data/x && echo elsewhere")
        .edit(|s| {
            s["root"]["readonly"] = json!(true);
            mount(s, "/data", "tmpfs", "tmpfs", &[]);
        });
    assert_eq!(c.run().ok(), "refused\nelsewhere\n");
    assert!(!c.rootfs("x").exists());
}

#[test]
fn the_hosts_file_system_is_gone() {
    let c = Container::sh("cat /proc/self/mountinfo | cut -d' ' -f5 | sort | head -n3; ls /");
    let out = c.run().ok();
    assert!(!out.contains("hull-test-"), "{out}");
    assert!(!out.contains("lib64"), "{out}");
}

#[test]
fn root_dot_dot_is_root() {
    let c = Container::sh("cd /; cd ../../..; pwd; ls -di / /.. | awk '{print $1}' | uniq | wc -l");
    assert_eq!(c.run().ok(), "/\n1\n");
}

#[test]
fn masked_paths_read_as_empty() {
    let c = Container::sh(
        "cat /secret/file /secret.txt; ls /secret; echo x >/secret.txt; cat /secret.txt",
    )
    .edit(|s| {
        s["linux"]["maskedPaths"] = json!(["/secret", "/secret.txt", "/not/there"]);
    });
    c.write("rootfs/secret/file", "hidden");
    c.write("rootfs/secret.txt", "hidden");
    let outcome = c.run();
    assert_eq!(outcome.out, "");
    assert_eq!(fs::read_to_string(c.rootfs("secret.txt")).unwrap(), "hidden");
}

#[test]
fn a_masked_directory_cannot_be_written() {
    let c = Container::sh("touch /secret/new").edit(|s| {
        s["linux"]["maskedPaths"] = json!(["/secret"]);
    });
    fs::create_dir(c.rootfs("secret")).unwrap();
    assert_ne!(c.run().code, 0);
}

#[test]
fn readonly_paths_cannot_be_written() {
    let c = Container::sh("cat /conf/file; echo x >/conf/file || echo refused; echo x >/proc/sys/kernel/hostname || echo refused")
        .edit(|s| {
            s["linux"]["readonlyPaths"] = json!(["/conf", "/proc/sys", "/not/there"]);
        });
    c.write("rootfs/conf/file", "old\n");
    assert_eq!(c.run().ok(), "old\nrefused\nrefused\n");
}

#[test]
fn a_readonly_path_keeps_nosuid_nodev_noexec() {
    lacks!(Kind::Crun(..) => "loses them");
    let c = Container::sh("grep ' /data ' /proc/self/mountinfo | tail -n1").edit(|s| {
        mount(s, "/data", "tmpfs", "tmpfs", &["nosuid", "nodev", "noexec"]);
        s["linux"]["readonlyPaths"] = json!(["/data"]);
    });
    let out = c.run().ok();
    assert!(out.contains("ro,nosuid,nodev,noexec"), "{out}");
}

#[test]
fn masking_does_not_follow_a_null_the_image_brings() {
    lacks!(Kind::Runc(1, ..3) => "has CVE-2025-31133", Kind::Crun(..) => "has CVE-2025-31133");
    // CVE-2025-31133: /dev/null as a symlink of the image would be bound over the masked path.
    let c = Container::sh("cat /secret.txt").edit(|s| {
        s["linux"]["maskedPaths"] = json!(["/secret.txt"]);
        s["mounts"] = json!([{"destination": "/proc", "type": "proc", "source": "proc"}]);
    });
    c.write("rootfs/secret.txt", "hidden");
    c.write("rootfs/other.txt", "swapped");
    symlink("/other.txt", c.rootfs("dev/null")).unwrap();
    let outcome = c.run();
    assert!(!outcome.out.contains("swapped") && !outcome.out.contains("hidden"), "{outcome:?}");
}

#[test]
fn root_propagation_is_set() {
    lacks!(Kind::Runc(1, ..3) => "`shared` was lost until 1.3");
    for (mode, want) in [("private", false), ("shared", true)] {
        let c =
            Container::sh("grep ' / / ' /proc/self/mountinfo || grep ' / ' /proc/self/mountinfo")
                .edit(|s| s["linux"]["rootfsPropagation"] = json!(mode));
        let out = c.run().ok();
        let root = out.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap();
        assert_eq!(root.contains("shared:"), want, "{mode}: {out}");
    }
}

#[test]
fn mounts_of_the_container_do_not_reach_the_host() {
    let before = fs::read_to_string("/proc/self/mountinfo").unwrap().lines().count();
    let c = Container::sleeping().edit(|s| mount(s, "/m", "tmpfs", "tmpfs", &[])).up();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let dir = c.text("");
    assert!(!mounts.contains(dir.trim_end_matches('/')), "{before}: {mounts}");
}

#[test]
fn no_pivot_confines_too() {
    let c = Container::sh("ls /; cd /..; pwd; cat /proc/self/mountinfo | wc -l");
    let outcome = c.run_with(&["--no-pivot"]);
    let out = outcome.ok();
    assert!(out.contains("bin") && !out.contains("lib64"), "{out}");
}

#[test]
fn a_missing_root_or_a_root_that_is_a_file_is_refused() {
    for path in ["missing", "file", ""] {
        let c = Container::new(&["true"]).edit(|s| s["root"]["path"] = json!(path));
        c.write("file", "");
        c.create_with(&[]).fails();
        assert!(c.leftovers().is_empty(), "{path}: {:?}", c.leftovers());
    }
}

#[test]
fn an_absolute_root_works() {
    let mut c = Container::sh("echo fine");
    c.spec["root"]["path"] = json!(c.text("rootfs"));
    assert_eq!(c.run().ok(), "fine\n");
}

#[test]
fn unknown_propagation_is_refused() {
    lacks!(Kind::Crun(1, ..9) => "says nothing");
    let c = Container::new(&["true"]);
    let c = c.edit(|s| s["linux"]["rootfsPropagation"] = json!("sideways"));
    c.create_with(&[]).fails();
}

#[test]
fn a_path_that_is_listed_twice_is_covered_once() {
    lacks!(Kind::Runc(1, ..4) | Kind::Crun(..) => "covers it twice");
    let c = Container::sh(
        "grep -c ' /secret ' /proc/self/mountinfo; grep -c ' /conf ' /proc/self/mountinfo",
    )
    .edit(|s| {
        s["linux"]["maskedPaths"] = json!(["/secret", "/secret", "/secret/"]);
        s["linux"]["readonlyPaths"] = json!(["/conf", "//conf"]);
    });
    fs::create_dir(c.rootfs("secret")).unwrap();
    fs::create_dir(c.rootfs("conf")).unwrap();
    assert_eq!(c.run().ok(), "1\n1\n");
}

#[test]
fn a_tmpfs_has_the_mode_of_what_it_covers() {
    lacks!(
        Kind::Runc(1, ..2) => "prefers that mode to the option's",
        Kind::Crun(..) => "has the default mode",
    );
    let mode = |options: &'static [&'static str], before: Option<u32>| {
        let c = Container::sh("stat -c %a /some/tmp")
            .edit(|s| mount(s, "/some/tmp", "tmpfs", "tmpfs", options));
        if let Some(bits) = before {
            fs::create_dir_all(c.rootfs("some/tmp")).unwrap();
            fs::set_permissions(c.rootfs("some/tmp"), Permissions::from_mode(bits)).unwrap();
        }
        let mode = c.run().ok().trim().to_owned();
        let below = fs::metadata(c.rootfs("some/tmp")).unwrap().permissions().mode() & 0o7777;
        assert_eq!(below, before.unwrap_or(0o755), "what is covered keeps its own");
        mode
    };
    assert_eq!(mode(&[], None), "1777");
    assert_eq!(mode(&["mode=0444"], None), "444");
    assert_eq!(mode(&[], Some(0o710)), "710");
    assert_eq!(mode(&[], Some(0o7777)), "7777");
    assert_eq!(mode(&["mode=0410"], Some(0o710)), "410");
}

/// chroot(2) alone, and nothing to mount.
#[test]
fn without_a_mount_namespace_the_root_is_still_the_root() {
    lacks!(Kind::Runc(..) | Kind::Crun(..) => "refuses it or has its own rules");
    let c = Container::sh("pwd; ls /; ls / | grep -c bundle").edit(|s| {
        crate::harness::drop_namespace(s, "mount");
        s["mounts"] = json!([]);
        s["linux"]["maskedPaths"] = json!([]);
        s["linux"]["readonlyPaths"] = json!([]);
    });
    let outcome = c.run();
    assert!(outcome.out.starts_with("/\nbin\n"), "{outcome:?}");
    assert!(outcome.out.ends_with("\n0\n"), "{outcome:?}");
}

/// The mounts are the host's; the one that holds them all takes them along.
#[test]
fn without_a_mount_namespace_the_root_is_a_mount_to_be_unmounted() {
    lacks!(Kind::Runc(1, ..2) | Kind::Crun(..) => "refuses it or has its own rules");
    let c = Container::sh("grep -c ' /tmp tmpfs ' /proc/mounts").edit(|s| {
        crate::harness::drop_namespace(s, "mount");
        s["linux"]["maskedPaths"] = json!([]);
        s["linux"]["readonlyPaths"] = json!([]);
        crate::harness::mount(s, "/tmp", "tmpfs", "tmpfs", &[]);
    });
    assert_eq!(c.run().ok(), "1\n");
    // Leaves nothing, which is checked when the container goes.
    nix::mount::umount2(&c.path("rootfs"), nix::mount::MntFlags::MNT_DETACH).unwrap();
}
