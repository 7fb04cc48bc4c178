//! What `explain` says of whole configurations.

use super::*;
use crate::cgroup::layout::Layout;
use crate::plan::{Host, Options};
use serde_json::{Value, json};
use std::path::Path;

fn host() -> Host {
    Host {
        layout: Layout::v2("/sys/fs/cgroup", &["cpu", "memory", "pids"], Some("/")),
        last_capability: 40,
        in_user_namespace: false,
    }
}

/// The explanation of a configuration on a machine with cgroup v2.
fn explained(config: &Value) -> Explanation {
    let spec: Spec = serde_json::from_value(config.clone()).unwrap();
    let options = Options {
        id: "web",
        bundle: Path::new("/bundle"),
        no_pivot: false,
        keyring: true,
        rootless: false,
        systemd: None,
    };
    let plan = Plan::new(&spec, &options, &host()).unwrap();
    Explanation::of(&plan, &spec)
}

/// A container about which there is nothing to complain.
fn tight() -> Value {
    json!({
        "ociVersion": "1.2.0",
        "process": {
            "args": ["serve", "--port", "80"], "cwd": "/srv", "noNewPrivileges": true,
            "user": {"uid": 1000, "gid": 1001, "additionalGids": [5]},
            "env": ["PATH=/bin"], "apparmorProfile": "strict",
            "capabilities": {"bounding": ["CAP_KILL"], "permitted": ["CAP_KILL"]},
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 10, "hard": 20}],
        },
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "web",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid"]},
            {"destination": "/data", "type": "bind", "source": "data",
             "options": ["rbind", "ro", "rnoexec"]},
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs",
             "options": ["size=1m", "nodev", "tmpcopyup"]},
        ],
        "hooks": {"createRuntime": [{"path": "/bin/hook", "args": ["hook", "up"]}]},
        "linux": {
            "namespaces": [
                {"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"},
                {"type": "cgroup"}, {"type": "user"},
                {"type": "network", "path": "/run/netns/pod"},
            ],
            "uidMappings": [{"containerID": 0, "hostID": 100_000, "size": 65_536}],
            "gidMappings": [{"containerID": 0, "hostID": 100_000, "size": 65_536}],
            "cgroupsPath": "/web",
            "resources": {"memory": {"limit": 1_048_576}, "pids": {"limit": 7}},
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list"],
            "readonlyPaths": ["/proc/sys", "/proc/sysrq-trigger"],
            "sysctl": {"net.ipv4.ip_forward": "1"},
            "seccomp": {
                "defaultAction": "SCMP_ACT_ERRNO",
                "syscalls": [{"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"}],
            },
        },
    })
}

#[test]
fn every_concern_is_told() {
    let explanation = explained(&tight());
    let text = explanation.to_string();
    for line in [
        "namespaces  user: a new one",
        "namespaces  network: joins /run/netns/pod",
        "namespaces  time: the runtime's",
        "namespaces  uid map: 0 100000 65536",
        "root        /bundle/rootfs by pivot_root, read-only",
        "mounts      mounts[0] /proc: proc  nosuid",
        "mounts      mounts[1] /data: rbind /bundle/data ro tree +0x8 -0x0",
        "mounts      mounts[2] /tmp: tmpfs size=1m with a copy of what it covers nodev",
        "devices     /dev/null 1:3 mode 0666, bound from the host",
        "paths       /proc/kcore masked",
        "paths       /proc/sys read-only",
        "process     args [\"serve\", \"--port\", \"80\"] in /srv",
        "process     uid 1000 gid 1001 groups [5]",
        "process     bounding capabilities: CAP_KILL",
        "process     RLIMIT_NOFILE soft 10 hard 20",
        "process     sysctl net.ipv4.ip_forward = 1",
        "process     hostname web",
        "cgroups     /sys/fs/cgroup/web",
        "cgroups     memory.max = 1048576",
        "cgroups     pids.max = 7",
        "hooks       createRuntime: /bin/hook [\"hook\", \"up\"]",
    ] {
        assert!(text.lines().any(|found| found == line), "{line:?} is missing in\n{text}");
    }
    assert!(text.contains("seccomp     default Errno"), "{text}");
    assert_eq!(explanation.warnings, [""; 0]);
}

#[test]
fn lines_keep_the_order_of_what_happens() {
    let text = explained(&tight()).to_string();
    let mut names: Vec<&str> = text.lines().map(|line| line.split(' ').next().unwrap()).collect();
    names.dedup();
    assert_eq!(names, ORDER);
}

/// The warnings that a change of the tight container brings.
fn weakened(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut config = tight();
    change(&mut config);
    explained(&config).warnings
}

#[test]
fn shared_namespaces_are_weaknesses() {
    let without = |name: &'static str| {
        move |config: &mut Value| {
            let list = config["linux"]["namespaces"].as_array_mut().unwrap();
            list.retain(|entry| entry["type"] != name);
        }
    };
    for name in ["pid", "ipc", "network", "cgroup"] {
        let want = format!("no {name} namespace: the container shares the host's");
        let change = |config: &mut Value| {
            without(name)(config);
            // A sysctl of the network namespace would be the host's.
            config["linux"]["sysctl"] = json!({});
        };
        assert_eq!(weakened(change), [want]);
    }
    let found = weakened(|config| {
        without("user")(config);
        config["linux"]["uidMappings"] = json!([]);
        config["linux"]["gidMappings"] = json!([]);
    });
    assert_eq!(found, ["no user namespace: uid 0 in the container is uid 0 of the host"]);
    let found = weakened(|config| {
        config["linux"]["namespaces"][6]["path"] = json!("/proc/1/ns/net");
        config["linux"]["rootfsPropagation"] = json!("rshared");
    });
    assert_eq!(
        found,
        [
            "joins the network namespace of the host's init",
            "rootfsPropagation is shared: mounts reach the host"
        ]
    );
}

#[test]
fn privileges_are_weaknesses() {
    let found = weakened(|config| {
        config["process"]["noNewPrivileges"] = json!(false);
        config["process"]["apparmorProfile"] = json!("");
        config["process"]["capabilities"]["bounding"] = json!(["CAP_SYS_ADMIN", "CAP_CHOWN"]);
        config["linux"]["seccomp"] = Value::Null;
    });
    assert_eq!(
        found,
        [
            "noNewPrivileges is off: set-user-ID programs gain privileges",
            "CAP_SYS_ADMIN is within reach of the process",
            "no seccomp filter: every system call is open",
            "neither an AppArmor profile nor an SELinux label",
        ]
    );
    let found =
        weakened(|config| config["linux"]["seccomp"]["defaultAction"] = json!("SCMP_ACT_LOG"));
    assert_eq!(found, ["the seccomp filter allows what it does not name"]);
}

#[test]
fn ways_to_the_host_are_weaknesses() {
    let found = weakened(|config| {
        let mounts = config["mounts"].as_array_mut().unwrap();
        for (destination, source, options) in [
            ("/host", "/", ["rbind", "ro"]),
            ("/e", "/etc/", ["bind", "rshared"]),
            ("/engine", "/var/lib/engine.sock", ["bind", "rw"]),
            ("/fine", "/srv/data", ["bind", "rw"]),
        ] {
            mounts.push(json!({
                "destination": destination, "source": source, "options": options,
            }));
        }
        mounts.push(json!({"destination": "/sys", "type": "sysfs", "source": "sysfs"}));
        mounts.push(json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "c"}));
        config["linux"]["maskedPaths"] = json!(["/proc/keys", "/proc/timer_list"]);
        config["linux"]["readonlyPaths"] = json!(["/proc/sysrq-trigger"]);
    });
    assert_eq!(
        found,
        [
            "mounts[3]: / of the host is readable at /host",
            "mounts[4]: /etc/ of the host is writable at /e",
            "mounts[4]: mounts below /e reach the host",
            "mounts[5]: /var/lib/engine.sock of the host is writable at /engine",
            "mounts[7]: sysfs is writable at /sys",
            "mounts[8]: the cgroups are writable at /sys/fs/cgroup",
            "/proc/kcore is not masked",
            "/proc/sys is writable",
        ]
    );
}

#[test]
fn missing_limits_are_weaknesses() {
    let found = weakened(|config| {
        config["linux"]["resources"] = json!({"devices": [{"allow": true, "access": "rwm"}]});
    });
    assert_eq!(
        found,
        ["no memory limit", "no limit on processes", "every device of the host may be used"]
    );
}
