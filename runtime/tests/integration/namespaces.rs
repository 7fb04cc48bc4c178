//! Namespaces: config-linux.md "Namespaces".

use crate::harness::{Container, drop_namespace, namespace};
use crate::needs::{Kind, lacks};
use serde_json::json;
use std::fs;

/// The identity of a namespace, as /proc shows it.
fn identity(pid: &str, name: &str) -> String {
    fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap().to_str().unwrap().to_owned()
}

const TYPES: [(&str, &str); 6] = [
    ("pid", "pid"),
    ("network", "net"),
    ("ipc", "ipc"),
    ("uts", "uts"),
    ("mount", "mnt"),
    ("cgroup", "cgroup"),
];

#[test]
fn listed_namespaces_are_new() {
    let c = Container::sleeping().edit(|s| namespace(s, "cgroup", None)).up();
    let pid = c.pid().to_string();
    for (typ, name) in TYPES {
        assert_ne!(identity(&pid, name), identity("self", name), "{typ}");
    }
    assert_eq!(identity(&pid, "user"), identity("self", "user"));
}

#[test]
fn unlisted_namespaces_are_the_runtimes() {
    for (typ, name) in [("pid", "pid"), ("network", "net"), ("ipc", "ipc"), ("uts", "uts")] {
        let c = Container::sleeping().edit(|s| {
            drop_namespace(s, typ);
            if typ == "uts" {
                s.as_object_mut().unwrap().remove("hostname");
            }
            if typ == "network" {
                // A new sysfs belongs to the network namespace of its user namespace's owner.
                s["mounts"].as_array_mut().unwrap().retain(|m| m["type"] != "sysfs");
            }
        });
        let c = c.up();
        assert_eq!(identity(&c.pid().to_string(), name), identity("self", name), "{typ}");
    }
}

#[test]
fn namespaces_are_joined_by_path() {
    let first = Container::sleeping().edit(|s| namespace(s, "cgroup", None)).up();
    let pid = first.pid().to_string();
    for (typ, name) in TYPES {
        if typ == "mount" {
            continue;
        }
        let path = format!("/proc/{pid}/ns/{name}");
        let second = Container::sleeping().edit(|s| {
            namespace(s, typ, Some(&path));
            if typ == "uts" {
                s.as_object_mut().unwrap().remove("hostname");
            }
        });
        let second = second.up();
        let other = second.pid().to_string();
        assert_eq!(identity(&other, name), identity(&pid, name), "{typ}");
        assert_ne!(identity(&other, "mnt"), identity(&pid, "mnt"));
    }
}

#[test]
fn a_pid_namespace_can_be_shared_with_the_container_that_made_it() {
    let first = Container::sleeping().up();
    let path = format!("/proc/{}/ns/pid", first.pid());
    let second = Container::sh("ps -o pid,args | grep '[s]leep 1000'")
        .edit(|s| namespace(s, "pid", Some(&path)));
    assert!(second.run().ok().contains("sleep 1000"));
    assert_eq!(first.status(), "running");
}

#[test]
fn a_namespace_path_of_another_type_is_refused() {
    lacks!(Kind::Crun(..) => "finds out late, by the kernel's answer");
    for (typ, wrong) in [("network", "ipc"), ("ipc", "uts"), ("uts", "net"), ("pid", "net")] {
        let c = Container::new(&["true"]);
        let c = c.edit(|s| namespace(s, typ, Some(&format!("/proc/self/ns/{wrong}"))));
        c.create_with(&[]).fails();
        assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
    }
}

#[test]
fn a_namespace_path_that_is_missing_or_no_namespace_is_refused() {
    let c = Container::new(&["true"]);
    fs::write(c.path("file"), "").unwrap();
    for path in [c.text("missing"), c.text("file"), "/dev/null".to_owned()] {
        let mut c = Container::new(&["true"]);
        namespace(&mut c.spec, "network", Some(&path));
        c.create_with(&[]).fails();
        assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
    }
}

#[test]
fn a_relative_namespace_path_is_refused() {
    lacks!(Kind::Runc(..) | Kind::Crun(..) => "opens it relative to its working directory");
    // config-linux.md "Namespaces": the value MUST be an absolute path.
    let mut c = Container::new(&["true"]);
    fs::create_dir(c.path("ns")).unwrap();
    std::os::unix::fs::symlink("/proc/self/ns/net", c.path("ns/net")).unwrap();
    namespace(&mut c.spec, "network", Some("ns/net"));
    c.create_with(&[]).fails();
}

#[test]
fn duplicate_and_unknown_namespaces_are_refused() {
    lacks!(Kind::Crun(..) => "takes duplicates");
    let mut c = Container::new(&["true"]);
    let list = c.spec["linux"]["namespaces"].as_array_mut().unwrap();
    list.push(json!({"type": "ipc"}));
    c.create_with(&[]).fails();
    namespace(&mut c.spec, "ipc", None);
    namespace(&mut c.spec, "galley", None);
    c.create_with(&[]).fails();
    assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
}

#[test]
fn a_new_network_namespace_has_loopback_up() {
    let c = Container::sh("ip link show lo; ping -c1 -w2 127.0.0.1 >/dev/null && echo pong");
    let c = c.edit(|s| {
        let caps = json!(["CAP_NET_RAW"]);
        for set in ["bounding", "effective", "permitted"] {
            s["process"]["capabilities"][set] = caps.clone();
        }
    });
    let out = c.run().ok();
    assert!(out.contains("UP") && out.contains("pong"), "{out}");
}

#[test]
fn a_new_cgroup_namespace_hides_the_path() {
    lacks!(Kind::Runc(1, ..2) => "shows /../.. for hierarchies it did not join");
    let c = Container::sh("cat /proc/self/cgroup").edit(|s| namespace(s, "cgroup", None));
    let out = c.run().ok();
    let memory = out.lines().find(|line| line.contains("memory") || line.starts_with("0::"));
    assert!(memory.unwrap().ends_with(":/"), "{out}");
    assert!(!out.contains(&c.id), "{out}");
}

#[test]
fn time_offsets_move_the_clocks() {
    lacks!(
        Kind::Runc(1, ..2) => "time namespaces came with 1.2",
        Kind::Crun(1, ..9) => "not in this build",
    );
    if !std::path::Path::new("/proc/self/ns/time").exists() {
        return crate::harness::skip("the kernel has no time namespaces");
    }
    let c = Container::sh("cat /proc/self/timens_offsets; cut -d. -f1 /proc/uptime").edit(|s| {
        namespace(s, "time", None);
        s["linux"]["timeOffsets"] = json!({
            "monotonic": {"secs": 7881, "nanosecs": 2_718_281},
            "boottime": {"secs": 86_400_000, "nanosecs": 0},
        });
    });
    let out = c.run().ok();
    let mut words = out.split_whitespace();
    assert_eq!(words.by_ref().take(3).collect::<Vec<_>>(), ["monotonic", "7881", "2718281"]);
    let uptime: u64 = words.last().unwrap().parse().unwrap();
    assert!(uptime >= 86_400_000, "{out}");
}

#[test]
fn time_offsets_need_a_new_time_namespace() {
    lacks!(Kind::Runc(1, ..2) => "ignores them", Kind::Crun(..) => "ignores them");
    let c = Container::new(&["true"]).edit(|s| {
        s["linux"]["timeOffsets"] = json!({"boottime": {"secs": 1}});
    });
    c.create_with(&[]).fails();
}

#[test]
fn hostname_and_domainname_are_the_containers() {
    lacks!(Kind::Runc(1, ..2) => "domainname came with 1.2");
    let before = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let c = Container::sh("cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname").edit(|s| {
        s["hostname"] = json!("harbour");
        s["domainname"] = json!("sea.example");
    });
    assert_eq!(c.run().ok(), "harbour\nsea.example\n");
    assert_eq!(fs::read_to_string("/proc/sys/kernel/hostname").unwrap(), before);
}

#[test]
fn hostname_without_an_own_uts_namespace_is_refused() {
    let before = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let c = Container::new(&["true"]).edit(|s| drop_namespace(s, "uts"));
    c.create_with(&[]).fails();
    assert_eq!(fs::read_to_string("/proc/sys/kernel/hostname").unwrap(), before);
}

#[test]
fn sysctls_are_set_in_the_containers_namespaces() {
    let c = Container::sh("cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shm_rmid_forced");
    let c = c.edit(|s| {
        s["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1", "kernel.shm_rmid_forced": "1"});
    });
    assert_eq!(c.run().ok(), "1\n1\n");
}

#[test]
fn sysctls_of_the_host_are_refused() {
    for (key, namespace) in [
        ("vm.swappiness", None),
        ("kernel.core_pattern", None),
        ("net.ipv4.ip_forward", Some("network")),
        ("kernel.shm_rmid_forced", Some("ipc")),
        ("net/../kernel/core_pattern", None),
    ] {
        let c = Container::new(&["true"]).edit(|s| {
            if let Some(typ) = namespace {
                drop_namespace(s, typ);
            }
            s["linux"]["sysctl"] = json!({key: "1"});
        });
        c.create_with(&[]).fails();
        assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
    }
}
