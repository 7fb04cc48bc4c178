//! A field that this machine can't honour is refused by name and never skipped. Where the machine
//! can, the same tests say so.

use crate::harness::{Container, unified};
use crate::needs::{Kind, kind, lacks};
use serde_json::{Value, json};
use std::path::Path;

#[track_caller]
fn refused(change: impl FnOnce(&mut Value), named: &str) {
    let c = Container::new(&["true"]).edit(change);
    let error = c.create_with(&[]).fails();
    // Others may leave it to the kernel to refuse.
    assert!(kind() != Kind::Hull || error.to_lowercase().contains(named), "{named}: {error}");
    assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
}

#[test]
fn labels_of_security_modules() {
    lacks!(Kind::Crun(..) => "skips them");
    let apparmor = std::fs::read_to_string("/sys/module/apparmor/parameters/enabled");
    if apparmor.is_ok_and(|enabled| enabled.starts_with('Y')) {
        crate::harness::skip("the machine has AppArmor");
    } else {
        refused(|s| s["process"]["apparmorProfile"] = json!("some-profile"), "apparmor");
    }
    if Path::new("/sys/fs/selinux/enforce").exists() {
        return crate::harness::skip("the machine has SELinux");
    }
    refused(|s| s["process"]["selinuxLabel"] = json!("system_u:system_r:some_t:s0"), "selinux");
    refused(|s| s["linux"]["mountLabel"] = json!("system_u:object_r:some_t:s0"), "selinux");
}

#[test]
fn intel_rdt() {
    lacks!(Kind::Crun(..) => "has its own words");
    let resctrl = std::fs::read_to_string("/proc/self/mounts").unwrap().contains(" resctrl ");
    if resctrl {
        return crate::harness::skip("the machine has a resctrl file system");
    }
    refused(|s| s["linux"]["intelRdt"] = json!({"closID": "x", "l3CacheSchema": "L3:0=f"}), "rdt");
}

#[test]
fn controllers_the_host_does_not_have() {
    lacks!(Kind::Runc(..) | Kind::Crun(..) => "skips some of them");
    if unified() {
        return crate::harness::skip("about controllers of cgroup v1");
    }
    let has = |name: &str| Path::new("/sys/fs/cgroup").join(name).join("cgroup.procs").exists();
    for (controller, name, value) in [
        ("hugetlb", "hugepageLimits", json!([{"pageSize": "2MB", "limit": 2_097_152}])),
        ("net_cls", "network", json!({"classID": 1_048_577})),
        ("rdma", "rdma", json!({"mlx5_1": {"hcaHandles": 3}})),
    ] {
        if has(controller) {
            crate::harness::skip(&format!("the machine has {controller}"));
            continue;
        }
        refused(|s| s["linux"]["resources"][name] = value, controller);
    }
    refused(|s| s["linux"]["resources"]["unified"] = json!({"memory.high": "1"}), "unified");
}

#[test]
fn devices_that_are_not_there() {
    lacks!(Kind::Runc(1, ..4) | Kind::Crun(..) => "does not know netDevices");
    refused(|s| s["linux"]["netDevices"] = json!({"nosuchdevice0": {}}), "nosuchdevice0");
}

/// Values no machine can give, for each field that asks the kernel or the host for something.
#[test]
fn what_no_machine_can_give() {
    lacks!(Kind::Runc(..) | Kind::Crun(..) => "skips some of them");
    let namespace = |kind: &str| json!({"type": kind, "path": "/proc/self/ns/nosuch"});
    let cases = [
        ("/root/path", json!("nosuchdirectory"), "nosuchdirectory"),
        ("/mounts/-", json!({"destination": "/m", "type": "nosuchfs"}), "nosuchfs"),
        (
            "/mounts/-",
            json!({"destination": "/m", "source": "/nosuch", "options": ["bind"]}),
            "/nosuch",
        ),
        (
            "/process/rlimits",
            json!([{"type": "RLIMIT_NOFILE", "soft": 1, "hard": u64::MAX}]),
            "rlimit",
        ),
        ("/process/ioPriority", json!({"class": "IOPRIO_CLASS_BE", "priority": 9}), "iopriority"),
        ("/process/scheduler", json!({"policy": "SCHED_FIFO", "priority": 1000}), "scheduler"),
        ("/linux/namespaces/-", namespace("network"), "network"),
        ("/linux/sysctl", json!({"net.nosuch.parameter": "1"}), "net.nosuch.parameter"),
        (
            "/linux/devices",
            json!([{"path": "/dev/x", "type": "x", "major": 1, "minor": 1}]),
            "type",
        ),
        ("/linux/rootfsPropagation", json!("nosuch"), "propagation"),
        ("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_NOSUCH"}), "scmp_act_nosuch"),
        (
            "/linux/seccomp",
            json!({
                "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/nosuch/listener",
                "syscalls": [{"names": ["getppid"], "action": "SCMP_ACT_NOTIFY"}],
            }),
            "listener",
        ),
        ("/linux/memoryPolicy", json!({"mode": "MPOL_BIND", "nodes": "1000"}), "mempolicy"),
        ("/linux/personality", json!({"domain": "NOSUCH"}), "nosuch"),
        ("/linux/resources/cpu", json!({"cpus": "4000"}), "cpuset"),
        ("/linux/resources/cpu", json!({"mems": "4000"}), "cpuset"),
        ("/linux/resources/hugepageLimits", json!([{"pageSize": "3MB", "limit": 1}]), "huge"),
        (
            "/linux/resources/blockIO",
            json!({"throttleReadBpsDevice": [{"major": 4095, "minor": 1, "rate": 1}]}),
            "4095:1",
        ),
    ];
    for (pointer, value, named) in cases {
        refused(|spec| put(spec, pointer, value), named);
    }
}

/// Puts a value at a JSON pointer; `-` stands for the end of a list.
fn put(spec: &mut Value, pointer: &str, value: Value) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = spec.pointer_mut(parent).unwrap();
    match parent.as_array_mut() {
        Some(list) => list.push(value),
        None => parent[name] = value,
    }
}
