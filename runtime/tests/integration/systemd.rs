//! Cgroups that systemd makes. These tests run where systemd is the init and cgroup v2 is all
//! there is: in the virtual machine of `tests/vm`.

use crate::cgroups::limited;
use crate::harness::{Container, eventually, skip, systemd, unified};
use crate::needs::{Kind, lacks};
use serde_json::json;
use std::fs;
use std::process::Command;

/// A property of the container's unit as systemctl(1) prints it.
fn property(c: &Container, name: &str) -> String {
    let unit = format!("hull-test-{}.scope", c.id);
    let out = Command::new("systemctl").args(["show", "--value", "-p", name, &unit]).output();
    String::from_utf8_lossy(&out.unwrap().stdout).trim().to_owned()
}

macro_rules! needs_systemd {
    () => {
        if !systemd() {
            return skip("not a run with systemd");
        }
    };
}

#[test]
fn without_systemd_or_cgroup_v2_the_driver_is_refused() {
    lacks!(Kind::Runc(..) | Kind::Crun(..) => "has a driver for cgroup v1");
    if unified() {
        return skip("this host may have what the driver needs");
    }
    let c = Container::sleeping();
    c.save();
    let path = c.text("");
    let err = c.call(&["--systemd-cgroup", "create", "--bundle", &path, &c.id]).fails();
    assert!(err.contains("systemd"), "{err}");
    assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
}

#[test]
fn the_scope_has_the_limits_and_goes_with_the_container() {
    needs_systemd!();
    let c = limited(&json!({"memory": {"limit": 67_108_864}, "pids": {"limit": 20},
        "cpu": {"shares": 1024, "quota": 50_000}}))
    .up();
    assert_eq!(property(&c, "ActiveState"), "active");
    assert_eq!(property(&c, "Slice"), "system.slice");
    assert_eq!(property(&c, "Delegate"), "yes");
    assert_eq!(property(&c, "MemoryMax"), "67108864");
    assert_eq!(property(&c, "TasksMax"), "20");
    assert_eq!(property(&c, "CPUWeight"), "100");
    assert_eq!(property(&c, "CPUQuotaPerSecUSec"), "500ms");
    assert_eq!(c.cgroup("", "memory.max"), "67108864");
    assert_eq!(c.cgroup("", "cgroup.procs"), c.pid().to_string(), "nobody but init");
    c.delete(&["--force"]).ok();
    assert_eq!(property(&c, "LoadState"), "not-found");
    assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
}

#[test]
fn a_change_reaches_unit_and_files_and_a_reload_keeps_it() {
    needs_systemd!();
    let c = limited(&json!({"memory": {"limit": 67_108_864}, "cpu": {"quota": 10_000}})).up();
    c.call(&["update", "--memory", "128m", "--cpu-period", "50000", &c.id]).ok();
    let check = || {
        assert_eq!(property(&c, "MemoryMax"), "134217728");
        assert_eq!(c.cgroup("", "memory.max"), "134217728");
        assert_eq!(c.cgroup("", "cpu.max"), "10000 50000");
    };
    check();
    assert!(Command::new("systemctl").arg("daemon-reload").status().unwrap().success());
    check();
    c.exec("echo >/dev/null && ! head -c1 /dev/kmsg 2>/dev/null").ok();
    // Refused by the kernel: systemd is told the old value again.
    c.call(&["update", "--memory", "64m", "--cpu-period", "1", &c.id]).fails();
    check();
}

/// systemd has one property for both, and the kernel refuses a weight of an idle cgroup.
#[test]
fn idle_goes_before_a_weight() {
    needs_systemd!();
    let c = limited(&json!({"cpu": {"idle": 1, "shares": 512}})).up();
    assert_eq!(c.cgroup("", "cpu.idle"), "1");
    c.call(&["update", "--cpu-share", "200", "--cpu-idle", "1", &c.id]).ok();
    assert_eq!(c.cgroup("", "cpu.idle"), "1");
    c.call(&["update", "--cpu-share", "200", "--cpu-idle", "0", &c.id]).ok();
    assert_eq!(c.cgroup("", "cpu.idle"), "0");
}

#[test]
fn one_process_is_room_enough() {
    needs_systemd!();
    let c = limited(&json!({"pids": {"limit": 1}})).up();
    assert_eq!(c.cgroup("", "pids.max"), "1");
    assert_eq!(property(&c, "TasksMax"), "1");
}

#[test]
fn annotations_are_properties() {
    needs_systemd!();
    let c = Container::sleeping()
        .edit(|s| {
            s["annotations"] = json!({
                "org.systemd.property.TimeoutStopUSec": "uint64 12345000",
                "org.systemd.property.CollectMode": "'inactive-or-failed'",
            });
        })
        .up();
    assert_eq!(property(&c, "TimeoutStopUSec"), "12.345000s");
    assert_eq!(property(&c, "CollectMode"), "inactive-or-failed");
    let bad = Container::sleeping()
        .edit(|s| s["annotations"] = json!({"org.systemd.property.CollectMode": "'nonsense'"}));
    assert!(bad.create_with(&[]).fails().contains("CollectMode"));
    assert!(bad.leftovers().is_empty(), "{:?}", bad.leftovers());
}

#[test]
fn a_failed_create_leaves_no_unit() {
    needs_systemd!();
    let c = Container::new(&["/no/such/program"]);
    c.run().fails();
    eventually("the unit is gone", || property(&c, "LoadState") == "not-found");
    assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
}

/// systemd would take it over: a frozen one's first process would never run.
#[test]
fn a_cgroup_in_use_or_frozen_is_refused() {
    needs_systemd!();
    let (first, second) = (Container::sleeping().up(), Container::sleeping());
    let second = second.edit(|s| s["linux"] = first.spec["linux"].clone());
    let err = second.create_with(&[]).fails();
    assert!(err.contains("container's cgroup is not empty"), "{err}");
    first.delete(&["--force"]).ok();
    let scope = format!("/sys/fs/cgroup/system.slice/hull-test-{}.scope", first.id);
    fs::create_dir(&scope).unwrap();
    fs::write(format!("{scope}/cgroup.freeze"), "1").unwrap();
    let err = second.create_with(&[]).fails();
    fs::remove_dir(&scope).unwrap();
    assert!(err.contains("container's cgroup unexpectedly frozen"), "{err}");
    assert_eq!(second.leftovers(), [""; 0]);
}

#[test]
fn nested_slices_and_the_default() {
    needs_systemd!();
    for (path, place) in
        [("hull-nested.slice:p:", "hull.slice/hull-nested.slice/p-"), ("", "system.slice/hull-")]
    {
        let c = Container::sleeping();
        let full = if path.is_empty() { String::new() } else { format!("{path}{}", c.id) };
        let c = c.edit(|s| s["linux"]["cgroupsPath"] = json!(full)).up();
        let text = fs::read_to_string(format!("/proc/{}/cgroup", c.pid())).unwrap();
        assert!(text.trim_end().ends_with(&format!("/{place}{}.scope", c.id)), "{text}");
        c.delete(&["--force"]).ok();
    }
}

#[test]
fn paths_of_the_other_driver_are_refused() {
    needs_systemd!();
    let c = Container::sleeping().edit(|s| s["linux"]["cgroupsPath"] = json!("/a/b"));
    assert!(c.create_with(&[]).fails().contains("slice:prefix:name"));
}
