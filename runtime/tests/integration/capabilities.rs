//! Capabilities: the five sets, for the first process and for `exec`.

use crate::harness::Container;
use crate::needs::{Kind, lacks};
use serde_json::{Value, json};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

const SHOW: &str = "grep Cap /proc/self/status";

/// The bits of the sets of `/proc/self/status`, in the kernel's order.
fn sets(status: &str) -> Vec<u64> {
    status
        .lines()
        .map(|line| u64::from_str_radix(line.split('\t').nth(1).unwrap(), 16).unwrap())
        .collect()
}

fn capabilities(spec: &mut Value, value: Value) {
    spec["process"]["capabilities"] = value;
}

const CHOWN: u64 = 1;
const KILL: u64 = 1 << 5;
const NET_BIND: u64 = 1 << 10;

#[test]
fn the_five_sets_are_exact() {
    let c = Container::sh(SHOW).edit(|s| {
        capabilities(
            s,
            json!({
                "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE"],
                "effective": ["CAP_CHOWN"],
                "permitted": ["CAP_CHOWN", "CAP_KILL"],
                "inheritable": ["CAP_KILL"],
                "ambient": ["CAP_KILL"],
            }),
        );
        // The effective set of a root process is recomputed at execve; a user's is not.
        s["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    });
    // inheritable, permitted, effective, bounding, ambient after execve (capabilities(7)).
    assert_eq!(sets(&c.run().ok()), [KILL, KILL, KILL, CHOWN | KILL | NET_BIND, KILL]);
}

#[test]
fn root_gets_the_bounding_set_and_no_inheritable() {
    // CVE-2022-29162: inheritable capabilities were given unasked.
    let c = Container::sh(SHOW).edit(|s| {
        let caps = json!(["CAP_CHOWN", "CAP_KILL"]);
        capabilities(s, json!({"bounding": caps, "effective": caps, "permitted": caps}));
    });
    let both = CHOWN | KILL;
    assert_eq!(sets(&c.run().ok()), [0, both, both, both, 0]);
}

#[test]
fn without_capabilities_there_are_none() {
    let c = Container::sh(SHOW).edit(|s| capabilities(s, json!({})));
    assert_eq!(sets(&c.run().ok()), [0, 0, 0, 0, 0]);
}

#[test]
fn a_user_gets_only_ambient_capabilities() {
    let c = Container::sh(SHOW).edit(|s| {
        s["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    });
    let bounding = (1 << 29) | KILL | NET_BIND;
    assert_eq!(sets(&c.run().ok()), [0, 0, 0, bounding, 0]);
}

#[test]
fn exec_has_the_same_sets() {
    let c = Container::sleeping().up();
    let bounding = (1 << 29) | KILL | NET_BIND;
    assert_eq!(sets(&c.exec(SHOW).ok()), [0, bounding, bounding, bounding, 0]);
}

#[test]
fn exec_as_a_user_gains_nothing() {
    // CVE-2026-30892 and CVE-2025-27612: exec as non-root must not have effective capabilities.
    let c = Container::sleeping().up();
    let out = c.exec_with(&["--user", "1000:1000"], &["sh", "-c", SHOW]).ok();
    assert_eq!(sets(&out)[1..3], [0, 0], "{out}");
    assert_eq!(sets(&out)[4], 0, "{out}");
}

#[test]
fn exec_adds_the_capabilities_it_is_asked_for() {
    lacks!(Kind::Runc(1, ..2) | Kind::Crun(..) => "adds them to other sets");
    let c = Container::sleeping().up();
    let out = c.exec_with(&["--cap", "CAP_CHOWN"], &["sh", "-c", SHOW]).ok();
    let want = (1 << 29) | KILL | NET_BIND | CHOWN;
    assert_eq!(sets(&out), [0, want, want, want, 0]);
}

#[test]
fn unknown_capabilities_are_only_warned_about() {
    lacks!(Kind::Crun(1, ..9) => "refuses them");
    // config.md "Linux Process": any value which cannot be mapped MUST cause a warning, not fail.
    let c = Container::sh(SHOW).edit(|s| {
        let caps = json!(["CAP_CHOWN", "CAP_OF_TOMORROW"]);
        capabilities(s, json!({"bounding": caps, "effective": caps, "permitted": caps}));
    });
    assert_eq!(sets(&c.run().ok()), [0, CHOWN, CHOWN, CHOWN, 0]);
}

#[test]
fn a_capability_may_open_the_way_to_the_program() {
    lacks!(Kind::Runc(1, ..2) | Kind::Crun(1, ..9) => "asks before it has the capabilities");
    // Root alone may execute it, and whoever has CAP_DAC_OVERRIDE (capabilities(7)).
    let run = |names: Value| {
        let c = Container::new(&["/bin/tool"]).edit(|s| {
            s["process"]["user"] = json!({"uid": 1000, "gid": 1000});
            let sets = ["bounding", "effective", "permitted", "inheritable", "ambient"];
            let sets = sets.map(|set| (set.to_owned(), names.clone()));
            capabilities(s, Value::Object(sets.into_iter().collect()));
        });
        std::fs::copy(c.rootfs("bin/busybox"), c.rootfs("bin/tool")).unwrap();
        std::fs::set_permissions(c.rootfs("bin/tool"), Permissions::from_mode(0o744)).unwrap();
        c.run()
    };
    let refused = run(json!([]));
    assert!(refused.err.contains("permission denied"), "{refused:?}");
    // busybox does not know itself by this name: it ran.
    let ran = run(json!(["CAP_DAC_OVERRIDE"]));
    assert!(ran.err.contains("applet not found"), "{ran:?}");
}
