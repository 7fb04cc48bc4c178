//! Cgroups: placement, limits, `update`.

use crate::harness::{Container, eventually, skip, systemd, unified};
use crate::needs::{Kind, asks_for, lacks};
use serde_json::{Value, json};
use std::fs;

/// A sleeping container with `resources`.
pub fn limited(resources: &Value) -> Container {
    Container::sleeping().edit(|s| {
        for (name, value) in resources.as_object().unwrap() {
            s["linux"]["resources"][name] = value.clone();
        }
    })
}

/// The controllers of a cgroup v2 host.
fn controllers() -> String {
    fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default()
}

#[test]
fn the_container_is_in_its_cgroup_everywhere() {
    let c = Container::sleeping();
    c.create();
    let text = fs::read_to_string(format!("/proc/{}/cgroup", c.pid())).unwrap();
    let want = format!("/hull-test-{}", c.id);
    for line in text.lines() {
        let controllers = line.split(':').nth(1).unwrap();
        let known = ["memory", "pids", "devices", "cpu", "freezer", "blkio", "cpuset"];
        if known.iter().any(|name| controllers.split(',').any(|c| c == *name)) {
            assert!(line.ends_with(&want), "{text}");
        }
    }
    assert!(!c.cgroups().is_empty());
}

#[test]
fn memory_limits() {
    let c = limited(&json!({"memory": {"limit": 67_108_864, "reservation": 33_554_432}})).up();
    assert_eq!(c.cgroup("memory/memory.limit_in_bytes", "memory.max"), "67108864");
    assert_eq!(c.cgroup("memory/memory.soft_limit_in_bytes", "memory.low"), "33554432");
}

#[test]
fn swappiness_and_oom_killer_of_v1() {
    if unified() {
        return skip("cgroup v2 has neither");
    }
    let c = limited(&json!({
        "memory": {"limit": 67_108_864, "swappiness": 10, "disableOOMKiller": true}
    }))
    .up();
    assert_eq!(c.cgroup("memory/memory.swappiness", ""), "10");
    assert!(c.cgroup("memory/memory.oom_control", "").contains("oom_kill_disable 1"));
}

#[test]
fn a_container_that_eats_too_much_is_killed() {
    let c = Container::sh("dd if=/dev/zero of=/dev/null bs=64M count=1 2>/dev/null; echo $?").edit(
        |s| {
            s["linux"]["resources"]["memory"] = json!({"limit": 16_777_216, "swap": 16_777_216});
        },
    );
    let outcome = c.run();
    assert!(outcome.code == 137 || outcome.out == "137\n", "{outcome:?}");
}

#[test]
fn pids_limits() {
    let c = limited(&json!({"pids": {"limit": 17}})).up();
    assert_eq!(c.cgroup("pids/pids.max", "pids.max"), "17");
    lacks!(Kind::Crun(1, ..9) => "writes -1, which is no number for the kernel");
    let c = limited(&json!({"pids": {"limit": -1}})).up();
    assert_eq!(c.cgroup("pids/pids.max", "pids.max"), "max");
}

#[test]
fn a_fork_bomb_ends_at_the_limit() {
    let c = Container::sh("for i in 1 2 3 4 5 6 7 8 9; do sleep 1 & done; echo all")
        .edit(|s| s["linux"]["resources"]["pids"] = json!({"limit": 4}));
    let outcome = c.run();
    assert!(!outcome.out.contains("all"), "{outcome:?}");
    assert!(outcome.err.contains("fork"), "{outcome:?}");
}

#[test]
fn cpu_limits() {
    let c = limited(&json!({"cpu": {"shares": 512, "quota": 50_000, "period": 200_000}})).up();
    if unified() {
        assert_eq!(c.cgroup("", "cpu.max"), "50000 200000");
    } else {
        assert_eq!(c.cgroup("cpu/cpu.shares", ""), "512");
        assert_eq!(c.cgroup("cpu/cpu.cfs_quota_us", ""), "50000");
        assert_eq!(c.cgroup("cpu/cpu.cfs_period_us", ""), "200000");
    }
}

#[test]
fn cpusets() {
    if unified() && !controllers().contains("cpuset") {
        return skip("the host has no cpuset controller");
    }
    let c = limited(&json!({"cpu": {"cpus": "0", "mems": "0"}})).up();
    assert_eq!(c.cgroup("cpuset/cpuset.cpus", "cpuset.cpus"), "0");
    assert_eq!(c.cgroup("cpuset/cpuset.mems", "cpuset.mems"), "0");
    let status = fs::read_to_string(format!("/proc/{}/status", c.pid())).unwrap();
    assert!(status.contains("Cpus_allowed_list:\t0\n"), "{status}");
}

/// A disk of this machine, as `major:minor`: throttles can be set for whole disks alone.
fn disk() -> Option<(u64, u64)> {
    fs::read_dir("/sys/block").unwrap().flatten().find_map(|entry| {
        // One without a size (an empty zram, a loop device nobody uses) comes and goes.
        let size = fs::read_to_string(entry.path().join("size")).ok()?;
        let numbers = fs::read_to_string(entry.path().join("dev")).ok()?;
        let (major, minor) = numbers.trim().split_once(':')?;
        (size.trim() != "0").then_some((major.parse().ok()?, minor.parse().ok()?))
    })
}

#[test]
fn block_io_limits() {
    let Some((major, minor)) = disk() else { return skip("no disk here") };
    if unified() && !controllers().split_whitespace().any(|name| name == "io") {
        return skip("the io controller is not to be had");
    }
    let device = |rate: u64| json!([{"major": major, "minor": minor, "rate": rate}]);
    let c = limited(&json!({"blockIO": {
        "throttleReadBpsDevice": device(1_048_576),
        "throttleWriteBpsDevice": device(2_097_152),
        "throttleReadIOPSDevice": device(100),
        "throttleWriteIOPSDevice": device(200),
    }}))
    .up();
    let told = |name: &str| c.cgroup(&format!("blkio/blkio.throttle.{name}"), "io.max");
    if unified() {
        let want = format!("{major}:{minor} rbps=1048576 wbps=2097152 riops=100 wiops=200");
        assert_eq!(told(""), want);
        return;
    }
    assert_eq!(told("read_bps_device"), format!("{major}:{minor} 1048576"));
    assert_eq!(told("write_bps_device"), format!("{major}:{minor} 2097152"));
    assert_eq!(told("read_iops_device"), format!("{major}:{minor} 100"));
    assert_eq!(told("write_iops_device"), format!("{major}:{minor} 200"));
}

#[test]
fn block_io_weights_of_v1() {
    if unified() {
        return skip("cgroup v2 has other numbers");
    }
    lacks!(Kind::Crun(1, ..9) => "knows no bfq, and leaves the cgroups of a failed create");
    let c = limited(&json!({"blockIO": {"weight": 300}}));
    // Given where the kernel has the bfq scheduler, refused by its name where not.
    let outcome = c.create_with(&[]);
    if outcome.code != 0 {
        let error = outcome.fails();
        return assert!(error.contains("weight"), "{error}");
    }
    assert_eq!(c.cgroup("blkio/blkio.bfq.weight", ""), "300");
}

#[test]
fn bad_limits_undo_the_create() {
    lacks!(Kind::Crun(..) => "leaves the cgroups of a failed create");
    for resources in [
        json!({"cpu": {"cpus": "9999"}}),
        json!({"cpu": {"quota": 5, "period": 100_000}}),
        json!({"cpu": {"period": 1}}),
    ] {
        if systemd() && resources["cpu"]["quota"] == 5 {
            // Rounded up to a percent, which is enough for the kernel.
            continue;
        }
        let c = limited(&resources);
        c.create_with(&[]).fails();
        assert!(c.leftovers().is_empty(), "{resources}: {:?}", c.leftovers());
    }
}

#[test]
fn a_nested_cgroups_path_is_made_and_its_leaf_removed() {
    lacks!(Kind::Crun(..) => "forgets the unified hierarchy of a hybrid host");
    if systemd() {
        return skip("paths are of the cgroupfs driver");
    }
    let c = Container::sleeping();
    let outer = format!("hull-test-{}", c.id);
    let c = c.edit(|s| s["linux"]["cgroupsPath"] = json!(format!("/{outer}/a/b"))).up();
    let made = c.cgroups();
    assert!(made.iter().all(|path| path.join("a/b").is_dir()), "{made:?}");
    c.delete(&["--force"]).ok();
    for path in made {
        assert!(!path.join("a/b").exists(), "{path:?}");
        let _ = fs::remove_dir(path.join("a"));
        let _ = fs::remove_dir(path);
    }
}

#[test]
fn cgroups_made_inside_go_too() {
    // The container may have made cgroups below its own; delete takes them all.
    let c = Container::sleeping().up();
    for cgroup in c.cgroups() {
        // cpuset children of v1 stay empty but are directories all the same.
        fs::create_dir_all(cgroup.join("inner/most")).unwrap();
    }
    c.delete(&["--force"]).ok();
    assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
}

#[test]
fn update_changes_limits() {
    asks_for!("update");
    let c = limited(&json!({"memory": {"limit": 67_108_864}, "pids": {"limit": 20}})).up();
    c.call(&["update", "--memory", "134217728", "--pids-limit", "30", &c.id]).ok();
    assert_eq!(c.cgroup("memory/memory.limit_in_bytes", "memory.max"), "134217728");
    assert_eq!(c.cgroup("pids/pids.max", "pids.max"), "30");
}

#[test]
fn update_reads_resources_from_stdin() {
    asks_for!("update");
    let c = Container::sleeping().up();
    let resources = json!({"pids": {"limit": 33}}).to_string();
    c.wait(c.command(&["update", "--resources", "-", &c.id]), &resources).ok();
    assert_eq!(c.cgroup("pids/pids.max", "pids.max"), "33");
}

#[test]
fn update_refuses_bad_values_and_keeps_the_old() {
    asks_for!("update");
    let c = limited(&json!({"memory": {"limit": 67_108_864}})).up();
    c.call(&["update", "--cpuset-cpus", "9999", &c.id]).fails();
    c.call(&["update", "--memory", "lots", &c.id]).fails();
    assert_eq!(c.cgroup("memory/memory.limit_in_bytes", "memory.max"), "67108864");
}

#[test]
fn exec_joins_the_cgroup() {
    let c = Container::sleeping().up();
    let out = c.exec("cat /proc/self/cgroup").ok();
    assert!(out.contains(&format!("pids:/hull-test-{}", c.id)) || unified(), "{out}");
}

#[test]
fn exec_follows_init_where_nobody_can_join_the_containers_own() {
    // A container that gives controllers on to cgroups below its own has no processes in that one,
    // and clone3(2) into it is EBUSY (cgroup-v2.rst "No Internal Process Constraint").
    if !unified() {
        lacks!(Kind::Runc(..) | Kind::Crun(..) => "follows init on cgroup v2 alone");
    }
    let c = Container::sleeping().up();
    let is_v2 = |path: &std::path::PathBuf| path.join("cgroup.subtree_control").exists();
    let Some(own) = c.cgroups().into_iter().find(is_v2) else {
        return skip("no cgroup v2 of its own");
    };
    let given = fs::read_to_string(own.join("cgroup.controllers")).unwrap();
    // The others may be given on by cgroups with processes: they are for threads.
    let whole = |name: &&str| matches!(*name, "hugetlb" | "io" | "memory" | "rdma");
    let Some(controller) = given.split_whitespace().find(whole) else {
        return skip("the cgroup has no controller that is for whole processes");
    };
    let inner = own.join("inner");
    fs::create_dir(&inner).unwrap();
    fs::write(inner.join("cgroup.procs"), c.pid().to_string()).unwrap();
    fs::write(own.join("cgroup.subtree_control"), format!("+{controller}")).unwrap();
    let place = |text: &str| text.lines().find(|line| line.starts_with("0::")).map(str::to_owned);
    let out = c.exec("cat /proc/1/cgroup; echo; cat /proc/self/cgroup").ok();
    let (init, own) = out.split_once("\n\n").unwrap();
    assert!(place(init).is_some_and(|line| line.ends_with("/inner")), "{out}");
    assert_eq!(place(init), place(own), "{out}");
}

#[test]
fn events_stats_tells_usage() {
    asks_for!("events");
    let c = limited(&json!({"pids": {"limit": 21}})).up();
    let stats: Value = serde_json::from_str(&c.call(&["events", "--stats", &c.id]).ok())
        .unwrap_or_else(|_| json!({}));
    assert_eq!(stats["type"], "stats");
    assert_eq!(stats["data"]["pids"]["limit"], 21);
    assert!(stats["data"]["memory"]["usage"]["usage"].as_u64().unwrap() > 0);
}

#[test]
fn the_cgroup_goes_when_the_container_goes() {
    let c = Container::new(&["true"]).up();
    c.stopped();
    c.delete(&[]).ok();
    eventually("cgroup removed", || c.leftovers().is_empty());
}

#[test]
fn cgroup_paths_cannot_climb() {
    if systemd() {
        return skip("paths are of the cgroupfs driver");
    }
    let c = Container::sleeping();
    let name = format!("hull-test-{}", c.id);
    let c = c.edit(|s| s["linux"]["cgroupsPath"] = json!(format!("/../../../{name}")));
    if c.create_with(&[]).code == 0 {
        let text = fs::read_to_string(format!("/proc/{}/cgroup", c.pid())).unwrap();
        assert!(text.lines().any(|line| line.ends_with(&format!("/{name}"))), "{text}");
        assert!(!c.cgroups().is_empty(), "below the hierarchy's root");
    }
}
