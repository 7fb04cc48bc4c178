//! User namespaces: mappings, ownership, joining.

use crate::harness::{Container, namespace};
use crate::needs::{Kind, lacks};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, lchown};

/// Host id that the container's root is mapped to.
const BASE: u32 = 100_000;

/// Gives the container a new user namespace of 65536 ids.
fn mapped(spec: &mut Value) {
    namespace(spec, "user", None);
    let map = json!([{"containerID": 0, "hostID": BASE, "size": 65536}]);
    spec["linux"]["uidMappings"] = map.clone();
    spec["linux"]["gidMappings"] = map;
}

/// Gives a tree to the container's root.
fn own(path: &std::path::Path) {
    lchown(path, Some(BASE), Some(BASE)).unwrap();
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path).unwrap() {
            own(&entry.unwrap().path());
        }
    }
}

fn container(script: &str) -> Container {
    let c = Container::sh(script).edit(mapped);
    own(&c.rootfs(""));
    c
}

#[test]
fn ids_are_mapped() {
    let c = container("id -u; cat /proc/self/uid_map /proc/self/gid_map; touch /mine");
    let out = c.run().ok();
    let words: Vec<&str> = out.split_whitespace().collect();
    assert_eq!(words, ["0", "0", "100000", "65536", "0", "100000", "65536"]);
    assert_eq!(fs::metadata(c.rootfs("mine")).unwrap().uid(), BASE);
}

#[test]
fn several_mappings_and_other_users() {
    let c = container("id -u; id -g").edit(|s| {
        s["linux"]["uidMappings"] = json!([
            {"containerID": 0, "hostID": BASE, "size": 1},
            {"containerID": 1, "hostID": 200_000, "size": 2000},
        ]);
        s["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    });
    assert_eq!(c.run().ok(), "1000\n1000\n");
}

#[test]
fn the_namespaces_belong_to_the_containers_root() {
    // A network namespace made together with its user namespace in one clone would be the host
    // root's; then its sysctls and /sys/class/net could not be written.
    let c = container(
        "stat -c %u /proc/sys/net/ipv4/ip_forward /sys/class/net/lo/mtu; \
         echo 1 >/proc/sys/net/ipv4/ip_forward && echo written",
    );
    let c = c.edit(|s| {
        for set in ["bounding", "effective", "permitted"] {
            s["process"]["capabilities"][set] = json!(["CAP_NET_ADMIN"]);
        }
    });
    assert_eq!(c.run().ok(), "0\n0\nwritten\n");
}

#[test]
fn devices_are_there() {
    // mknod is not allowed in a user namespace: the runtime binds the host's nodes instead.
    let c = container(
        "for d in null zero full tty random urandom; do test -c /dev/$d || echo no $d; done; \
         echo x >/dev/null && head -c2 /dev/zero | od -An -tx1; readlink /dev/ptmx",
    );
    assert_eq!(c.run().ok(), " 00 00\npts/ptmx\n");
}

#[test]
fn hooks_and_exec_work() {
    let c = container("sleep 1000").edit(|s| s["process"]["args"] = json!(["sleep", "1000"])).up();
    let status = fs::read_to_string(format!("/proc/{}/status", c.pid())).unwrap();
    assert!(status.contains(&format!("Uid:\t{BASE}\t{BASE}")), "{status}");
    assert_eq!(c.exec("id -u; cat /proc/self/setgroups").ok(), "0\nallow\n");
    let err = c.exec_with(&["--user", "70000:0"], &["true"]);
    assert_ne!(err.code, 0, "an id without mapping");
}

#[test]
fn an_existing_user_namespace_is_joined() {
    lacks!(Kind::Runc(1, ..2) => "wants mappings too");
    let first = container("").edit(|s| s["process"]["args"] = json!(["sleep", "1000"])).up();
    let path = format!("/proc/{}/ns/user", first.pid());
    let second = Container::sh("cat /proc/self/uid_map").edit(|s| {
        namespace(s, "user", Some(&path));
    });
    own(&second.rootfs(""));
    let out = second.run().ok();
    assert_eq!(out.split_whitespace().collect::<Vec<_>>(), ["0", "100000", "65536"]);
}

#[test]
fn overlapping_mappings_are_refused() {
    let c = container("true").edit(|s| {
        s["linux"]["uidMappings"] = json!([
            {"containerID": 0, "hostID": BASE, "size": 10},
            {"containerID": 5, "hostID": 200_000, "size": 10},
        ]);
    });
    c.create_with(&[]).fails();
    assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
}

#[test]
fn the_container_cannot_leave_its_ids() {
    let c = container("cat /secret; echo x >/proc/sysrq-trigger").edit(|s| {
        // All that root can have inside still is nothing outside.
        let all = json!(["CAP_DAC_OVERRIDE", "CAP_SYS_ADMIN", "CAP_CHOWN"]);
        for set in ["bounding", "effective", "permitted"] {
            s["process"]["capabilities"][set] = all.clone();
        }
    });
    fs::write(c.rootfs("secret"), "host root's").unwrap();
    fs::set_permissions(c.rootfs("secret"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .unwrap();
    let outcome = c.run();
    assert_ne!(outcome.code, 0);
    assert_eq!(outcome.out, "");
}

#[test]
fn a_time_namespace_of_a_user_namespace_takes_offsets() {
    lacks!(Kind::Runc(1, ..2) | Kind::Crun(..) => "has no time namespaces, or cuts them off");
    if !std::path::Path::new("/proc/self/ns/time").exists() {
        return crate::harness::skip("the kernel has no time namespaces");
    }
    let c = container("cat /proc/self/timens_offsets").edit(|s| {
        namespace(s, "time", None);
        s["linux"]["timeOffsets"] = json!({"boottime": {"secs": 1337}});
    });
    let out = c.run().ok();
    assert!(out.lines().any(|line| line.split_whitespace().eq(["boottime", "1337", "0"])), "{out}");
}

/// config-linux.md "Cgroup ownership": on cgroup v2, whoever may write the files of the cgroup owns
/// them. On a machine with v1 the test makes itself a view of v2 alone.
#[test]
fn the_cgroup_is_given_to_the_containers_root() {
    if crate::harness::systemd() {
        return crate::harness::skip("systemd gives away its own");
    }
    lacks!(Kind::Runc(..) => "gives away what systemd has made", Kind::Crun(1, ..9) => "keeps it");
    let view = "umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup";
    let view = if crate::harness::unified() { "true" } else { view };
    for (options, want) in [(&["ro"][..], "65534\n65534\n"), (&[], "0\n0\nmade\n")] {
        let c = container(
            "stat -c %u /sys/fs/cgroup /sys/fs/cgroup/cgroup.procs; \
             mkdir /sys/fs/cgroup/below 2>/dev/null && echo made && rmdir /sys/fs/cgroup/below; :",
        )
        .edit(|s| {
            namespace(s, "cgroup", None);
            crate::harness::mount(s, "/sys/fs/cgroup", "cgroup", "cgroup", options);
        });
        let outcome = c.host_sh(&format!("unshare --mount sh -c '{view} && $rt run $id'"));
        assert_eq!(outcome.ok(), want, "{options:?}");
    }
}
