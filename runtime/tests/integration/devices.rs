//! Devices: config-linux.md "Default Devices" and "Devices".

use crate::harness::Container;
use crate::needs::{Kind, lacks};
use serde_json::json;
use std::fs;

#[test]
fn the_default_devices_are_there() {
    let c = Container::sh(
        "stat -c '%n %t:%T %a' /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty",
    );
    let want = "/dev/null 1:3 666\n/dev/zero 1:5 666\n/dev/full 1:7 666\n\
                /dev/random 1:8 666\n/dev/urandom 1:9 666\n/dev/tty 5:0 666\n";
    assert_eq!(c.run().ok(), want);
}

#[test]
fn the_links_of_dev_are_there() {
    let c = Container::sh(
        "cd /dev; for l in fd stdin stdout stderr ptmx; do readlink $l; done; ls -d pts shm",
    );
    let want =
        "/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\npts/ptmx\npts\nshm\n";
    assert_eq!(c.run().ok(), want);
}

#[test]
fn default_devices_work_under_deny_all() {
    let c =
        Container::sh("echo x >/dev/null; head -c1 /dev/zero /dev/urandom | wc -c; : >/dev/ptmx");
    c.run().ok();
}

/// As in a container of another runtime: the host's nodes are bound where mknod(2) is refused.
#[test]
fn devices_are_there_without_the_right_to_make_them() {
    lacks!(Kind::Runc(1, ..5) | Kind::Crun(..) => "makes nodes or fails");
    let c = Container::sh("test -c /dev/full && echo x >/dev/null && stat -c %t:%T /dev/random");
    let less = "setpriv --bounding-set=-mknod --inh-caps=-mknod $rt run $id";
    assert_eq!(c.host_sh(less).ok(), "1:8\n");
    let c = Container::sh("true").edit(|s| {
        s["linux"]["devices"] =
            json!([{"path": "/dev/none-of-the-host", "type": "c", "major": 1, "minor": 3}]);
    });
    let err = c.host_sh(less).fails();
    assert!(err.contains("/dev/none-of-the-host"), "{err}");
    assert_eq!(c.leftovers(), [""; 0]);
}

#[test]
fn listed_devices_are_made_with_mode_and_owner() {
    let c = Container::sh(
        "umask 077; stat -c '%n %F %t:%T %a %u:%g' /dev/kmsg2 /dev/sub/blk /dev/pipe",
    )
    .edit(|s| {
        s["linux"]["devices"] = json!([
            {"path": "/dev/kmsg2", "type": "c", "major": 1, "minor": 11, "fileMode": 0o640,
             "uid": 3, "gid": 4},
            {"path": "/dev/sub/blk", "type": "b", "major": 7, "minor": 1, "fileMode": 0o600},
            {"path": "/dev/pipe", "type": "p", "fileMode": 0o666},
        ]);
    });
    let want = "/dev/kmsg2 character special file 1:b 640 3:4\n\
                /dev/sub/blk block special file 7:1 600 0:0\n\
                /dev/pipe fifo 0:0 666 0:0\n";
    assert_eq!(c.run().ok(), want);
}

#[test]
fn modes_do_not_depend_on_the_callers_umask() {
    let c = Container::sh("stat -c %a /dev/null /dev/made /made");
    let c = c.edit(|s| {
        s["linux"]["devices"] = json!([
            {"path": "/dev/made", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666}
        ]);
        s["process"]["cwd"] = json!("/made");
    });
    let outcome = c.host_sh("umask 0077; $rt run $id");
    assert!(outcome.ok().starts_with("666\n666\n"));
}

#[test]
fn devices_outside_the_list_cannot_be_opened() {
    let c = Container::sh("mknod /tmp/kmsg c 1 11 && cat /tmp/kmsg").edit(|s| {
        let caps = json!(["CAP_MKNOD", "CAP_SYSLOG"]);
        for set in ["bounding", "effective", "permitted"] {
            s["process"]["capabilities"][set] = caps.clone();
        }
    });
    let outcome = c.run();
    assert_ne!(outcome.code, 0);
    assert!(outcome.err.contains("Operation not permitted"), "{}", outcome.err);
    assert!(c.rootfs("tmp/kmsg").exists(), "making nodes is allowed by default: {}", outcome.err);
}

#[test]
fn device_rules_allow_what_they_name() {
    let c = Container::sh(
        "mknod /tmp/kmsg c 1 11; : <>/tmp/kmsg; head -c1 <>/tmp/kmsg >/dev/null && echo read",
    );
    let c = c.edit(|s| {
        s["linux"]["resources"]["devices"] = json!([
            {"allow": false, "access": "rwm"},
            {"allow": true, "type": "c", "major": 1, "minor": 11, "access": "rw"},
        ]);
        let caps = json!(["CAP_MKNOD", "CAP_SYSLOG"]);
        for set in ["bounding", "effective", "permitted"] {
            s["process"]["capabilities"][set] = caps.clone();
        }
    });
    assert!(c.run().out.contains("read"));
}

#[test]
fn a_device_without_numbers_or_of_unknown_type_is_refused() {
    lacks!(
        Kind::Runc(..) => "makes a node with major and minor 0",
        Kind::Crun(..) => "makes a node with major and minor 0",
    );
    // config-linux.md "Devices": major and minor are REQUIRED unless type is p.
    for device in [
        json!({"path": "/dev/x", "type": "c"}),
        json!({"path": "/dev/x", "type": "b", "major": 7}),
        json!({"path": "/dev/x", "type": "z", "major": 1, "minor": 3}),
        json!({"path": "", "type": "c", "major": 1, "minor": 3}),
    ] {
        let c = Container::new(&["true"]).edit(|s| s["linux"]["devices"] = json!([device]));
        c.create_with(&[]).fails();
        assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
    }
}

#[test]
fn an_existing_device_of_another_kind_is_an_error() {
    lacks!(Kind::Runc(..) | Kind::Crun(..) => "goes on with the file that is there");
    // config-linux.md "Devices": if a file already exists at path that does not match the
    // requested device, the runtime MUST generate an error.
    let c = Container::new(&["true"]);
    fs::write(c.rootfs("node"), "a plain file").unwrap();
    let c = c.edit(|s| {
        s["linux"]["devices"] =
            json!([{"path": "/node", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666}]);
    });
    c.create_with(&[]).fails();
}

#[test]
fn a_bound_dev_is_left_alone() {
    let c = Container::sh("ls /dev");
    fs::create_dir(c.path("mydev")).unwrap();
    // Runtimes want a null for themselves.
    let mut mknod = std::process::Command::new("mknod");
    mknod.arg(c.path("mydev/null")).args(["c", "1", "3"]);
    assert!(mknod.status().unwrap().success());
    let source = c.text("mydev");
    let c = c.edit(|s| {
        s["mounts"]
            .as_array_mut()
            .unwrap()
            .retain(|m| !m["destination"].as_str().unwrap().starts_with("/dev"));
        crate::harness::mount(s, "/dev", "bind", &source, &["bind"]);
    });
    assert_eq!(c.run().ok(), "null\n");
    assert_eq!(fs::read_dir(c.path("mydev")).unwrap().count(), 1);
}
