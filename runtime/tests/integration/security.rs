//! Re-enactments of published attacks.

use crate::harness::Container;
use crate::needs::{Kind, lacks};
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

#[test]
fn a_cwd_through_a_leaked_descriptor_is_refused() {
    lacks!(Kind::Runc(1, ..2) => "has CVE-2024-21626 in some builds");
    // CVE-2024-21626: cwd=/proc/self/fd/N of a host directory the runtime holds open.
    for fd in 3..12 {
        let c = Container::sh("pwd; ls ../../../../etc/hostname /proc/self/cwd/../../../..")
            .edit(|s| s["process"]["cwd"] = json!(format!("/proc/self/fd/{fd}")));
        let outcome = c.run();
        assert_ne!(outcome.code, 0, "fd {fd}: {outcome:?}");
    }
}

#[test]
fn an_exec_cwd_through_a_descriptor_is_refused() {
    lacks!(Kind::Runc(1, ..2) => "has CVE-2024-21626 in some builds");
    let c = Container::sleeping().up();
    for fd in 3..12 {
        let cwd = format!("/proc/self/fd/{fd}");
        let outcome = c.exec_with(&["--cwd", &cwd], &["ls", "../../../../lib64"]);
        assert_ne!(outcome.code, 0, "fd {fd}: {outcome:?}");
    }
}

#[test]
fn the_runtimes_binary_cannot_be_written_from_inside() {
    // CVE-2019-5736: a container overwrites the runtime through /proc/PID/exe.
    let before = fs::read(crate::harness::runtime()).unwrap();
    let c = Container::new(&["/attack"]);
    // The program is the runtime itself: then /proc/self/exe is what the runtime executes.
    symlink("/proc/self/exe", c.rootfs("attack")).unwrap();
    let c = c.edit(|s| s["process"]["args"] = json!(["/attack", "--version"]));
    c.run();
    let c =
        Container::sh("for p in /proc/[0-9]*; do echo evil >$p/exe; done 2>/dev/null; true").up();
    c.exec("for p in /proc/[0-9]*; do echo evil >$p/exe; done 2>/dev/null; true");
    assert!(fs::read(crate::harness::runtime()).unwrap() == before);
}

#[test]
fn mounts_over_proc_are_refused() {
    // CVE-2019-16884, CVE-2019-19921: a volume on /proc would fake the runtime's own checks.
    for destination in ["/proc", "/proc/self/attr", "/proc/1", "/proc/sys"] {
        let c = Container::new(&["true"]);
        fs::create_dir_all(c.path("fake")).unwrap();
        let source = c.text("fake");
        let c = c.edit(|s| crate::harness::mount(s, destination, "bind", &source, &["bind"]));
        if destination == "/proc" && matches!(crate::needs::kind(), Kind::Crun(..)) {
            continue;
        }
        let outcome = c.create_with(&[]);
        assert!(
            outcome.code != 0 || matches!(crate::needs::kind(), Kind::Crun(..)),
            "{destination}"
        );
    }
}

#[test]
fn proc_as_a_symlink_of_the_image_is_not_followed_out() {
    // CVE-2019-19921, CVE-2023-27561: /proc of the image is a link.
    let c = Container::sh("cat /proc/self/mountinfo | wc -l");
    fs::remove_dir(c.rootfs("proc")).unwrap();
    fs::create_dir_all(c.rootfs("elsewhere/proc")).unwrap();
    symlink("/elsewhere/proc", c.rootfs("proc")).unwrap();
    assert_ne!(c.run().code, 0);
    assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
}

#[test]
fn dev_as_a_symlink_of_the_image_stays_inside() {
    lacks!(Kind::Runc(1, ..4) => "has CVE-2026-41579");
    // CVE-2026-41579: /dev of the image is a link.
    let c = Container::new(&["true"]);
    fs::remove_dir(c.rootfs("dev")).unwrap();
    let outside = c.text("outside");
    fs::create_dir(c.path("outside")).unwrap();
    symlink(&outside, c.rootfs("dev")).unwrap();
    c.run();
    assert_eq!(fs::read_dir(c.path("outside")).unwrap().count(), 0);
}

#[test]
fn mount_points_are_not_made_outside() {
    // CVE-2024-45310: directories made on the host through links.
    let c = Container::new(&["true"]);
    let outside = c.text("outside");
    fs::create_dir(c.path("outside")).unwrap();
    symlink(&outside, c.rootfs("link")).unwrap();
    let mut c = c.edit(|s| {
        crate::harness::mount(s, "/link/dir", "tmpfs", "tmpfs", &[]);
        s["process"]["cwd"] = json!("/link/cwd");
    });
    let file = c.write("f", "");
    crate::harness::mount(&mut c.spec, "/link/file", "bind", file.to_str().unwrap(), &["bind"]);
    c.run();
    assert_eq!(fs::read_dir(c.path("outside")).unwrap().count(), 0);
}

#[test]
fn devices_are_not_made_outside() {
    let c = Container::new(&["true"]);
    let outside = c.text("outside");
    fs::create_dir(c.path("outside")).unwrap();
    symlink(&outside, c.rootfs("link")).unwrap();
    let c = c.edit(|s| {
        s["linux"]["devices"] = json!([
            {"path": "/link/node", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666},
            {"path": "/../../../../tmp/hull-node", "type": "c", "major": 1, "minor": 3},
        ]);
    });
    c.run();
    assert_eq!(fs::read_dir(c.path("outside")).unwrap().count(), 0);
    assert!(!Path::new("/tmp/hull-node").exists());
}

#[test]
fn a_passwd_that_is_a_fifo_or_huge_does_not_hang() {
    lacks!(Kind::Runc(..) | Kind::Crun(..) => "blocks or reads without bound");
    // CVE-2026-47262: files of the image are read bounded, and only regular ones.
    let c = Container::new(&["true"]);
    fs::remove_file(c.rootfs("etc/passwd")).unwrap();
    nix::unistd::mkfifo(&c.rootfs("etc/passwd"), nix::sys::stat::Mode::from_bits_truncate(0o644))
        .unwrap();
    c.run();
    let c = Container::new(&["true"]);
    fs::File::create(c.rootfs("etc/passwd")).unwrap().set_len(1 << 40).unwrap();
    c.run();
}

#[test]
fn state_directories_are_private() {
    let c = Container::sleeping();
    c.host_sh("umask 0; $rt create $id").ok();
    let mode = |path: &Path| {
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).unwrap().permissions()) & 0o777
    };
    let root = mode(&c.path("state"));
    assert_eq!(root & 0o077 & !0o011, 0, "{root:o}");
    let own = mode(&c.path("state").join(&c.id));
    assert_eq!(own & 0o022, 0, "{own:o}");
}

#[test]
fn secrets_of_the_environment_are_in_no_argument() {
    let c = Container::sleeping()
        .edit(|s| s["process"]["env"] = json!(["PATH=/bin", "SECRET=do-not-show"]))
        .up();
    let pid = c.pid();
    let args = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    assert!(!args.contains("do-not-show"));
}

#[test]
fn a_config_that_is_a_fifo_does_not_hang() {
    lacks!(Kind::Runc(..) | Kind::Crun(..) => "waits for a writer");
    let c = Container::new(&["true"]);
    nix::unistd::mkfifo(&c.path("config.json"), nix::sys::stat::Mode::from_bits_truncate(0o644))
        .unwrap();
    c.call(&["create", &c.id]).fails();
}
