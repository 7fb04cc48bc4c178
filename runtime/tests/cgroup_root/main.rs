//! Real cgroups, made and removed under a name of this test's own. Needs root; without it the tests
//! say so and pass.
#![allow(clippy::unwrap_used, reason = "helpers of tests are outside of test functions")]

mod fixture;

use fixture::{Fixture, eventually, is_v1, leftovers, skipped, unified, unique};
use hull::cgroup::{Cgroup, Layout};
use hull::plan::cgroup::{Request, plan};
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{Mode, mkdirat};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

#[test]
fn makes_limits_joins_and_removes() {
    if skipped() {
        return;
    }
    let mut fixture = Fixture::new(
        r#"{"memory":{"limit":33554432},"pids":{"limit":7},"cpu":{"shares":512,"quota":50000}}"#,
    );
    assert_eq!(fixture.read("pids", "pids.max"), "7");
    if is_v1() {
        assert_eq!(fixture.read("memory", "memory.limit_in_bytes"), "33554432");
        assert_eq!(fixture.read("cpu", "cpu.shares"), "512");
        assert_eq!(fixture.read("cpu", "cpu.cfs_quota_us"), "50000");
        assert_ne!(fixture.read("cpuset", "cpuset.cpus"), "");
        assert!(fixture.read("devices", "devices.list").contains("c 1:3 rwm"));
        assert!(!fixture.read("devices", "devices.list").contains("a *:* rwm"));
    } else {
        assert_eq!(fixture.read("", "memory.max"), "33554432");
        assert_eq!(fixture.read("", "cpu.weight"), "59");
        assert_eq!(fixture.read("", "cpu.max"), "50000 100000");
    }
    let pid = fixture.run("exec sleep 100");
    let own = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    for line in own.lines().filter(|line| !line.starts_with("0::")) {
        assert!(line.ends_with(&fixture.path), "{line}");
    }
    assert_eq!(fixture.cgroup().pids(false).unwrap(), [i32::try_from(pid).unwrap()]);
    let stats = fixture.cgroup().stats().unwrap();
    assert_eq!((stats.pids.current, stats.pids.limit), (1, 7));
    assert_eq!(stats.memory.usage.limit, 33_554_432);
    assert!(stats.memory.usage.usage > 0 && stats.cpu.usage.total > 0);
    let path = fixture.path.clone();
    drop(fixture);
    assert!(leftovers(&path).is_empty(), "{:?}", leftovers(&path));
}

fn devices_are_denied(mut fixture: Fixture) {
    // /dev/kmsg (1:11) may be written, not read; a loop control device (10:237) not touched.
    let script = "exec 2>/dev/null; dir=$(mktemp -d); mknod $dir/kmsg c 1 11; mknod $dir/x c 10 237
        a=no; b=no; c=no; d=no
        (: <$dir/kmsg) && a=yes; (: >>$dir/kmsg) && b=yes; (: <$dir/x) && c=yes
        (: <>/dev/null) && d=yes
        rm -r $dir; [ $a$b$c$d = noyesnoyes ]";
    fixture.run(script);
    let status = fixture.children[0].wait().unwrap();
    assert!(status.success(), "{status}");
}

const DEVICES: &str = r#"{"devices":[{"allow":false,"access":"rwm"},
    {"allow":true,"type":"c","major":1,"minor":11,"access":"w"}]}"#;

#[test]
fn devices_are_denied_that_no_rule_allows() {
    if !skipped() {
        devices_are_denied(Fixture::new(DEVICES));
    }
}

#[test]
fn device_rules_can_be_replaced() {
    if skipped() {
        return;
    }
    let mut fixture = Fixture::new(r#"{"devices":[{"allow":true,"access":"rwm"}]}"#);
    let devices = fixture.plan(DEVICES).devices;
    fixture.cgroup.as_mut().unwrap().replace_devices(&devices).unwrap();
    devices_are_denied(fixture);
}

#[test]
fn the_kernel_takes_the_program() {
    if skipped() {
        return;
    }
    let Some(layout) = unified() else { return eprintln!("skipped: no unified hierarchy") };
    let fixture = Fixture::on(layout.clone(), DEVICES);
    // Taking the directory over replaces the program; undoing that leaves none.
    let denying = r#"{"devices":[{"allow":true,"access":"rwm"},
        {"allow":false,"type":"c","major":1,"minor":3,"access":"w"},
        {"allow":true,"type":"c","major":4294967295,"minor":4294967295,"access":"r"}]}"#;
    let taken = fixture.create(denying).unwrap();
    taken.undo().unwrap();
    let mut again = fixture.create(denying).unwrap();
    again.replace_devices(&fixture.plan(DEVICES).devices).unwrap();
    devices_are_denied(fixture);
    drop(again);
}

#[test]
fn unified_alone_freezes_kills_and_counts() {
    if skipped() {
        return;
    }
    let Some(layout) = unified() else { return eprintln!("skipped: no unified hierarchy") };
    let mut fixture = Fixture::on(layout, "{}");
    let pid = fixture.run("while :; do :; done");
    let stats = || fixture.cgroup().stats().unwrap();
    assert_eq!(stats().pids.current, 1);
    fixture.cgroup().freeze().unwrap();
    assert!(fixture.cgroup().is_frozen().unwrap());
    let before = stats().cpu.usage.total;
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert_eq!(stats().cpu.usage.total, before);
    fixture.cgroup().thaw().unwrap();
    assert!(!fixture.cgroup().is_frozen().unwrap());
    let root = fixture.dir("").ancestors().nth(1).unwrap().to_owned();
    let join = Cgroup::join_process(&root, i32::try_from(pid).unwrap()).unwrap();
    let into = std::os::fd::AsRawFd::as_raw_fd(join.into.as_ref().unwrap());
    let target = std::fs::read_link(format!("/proc/self/fd/{into}"));
    assert_eq!(target.unwrap(), fixture.dir(""));
    fixture.cgroup().freeze().unwrap();
    fixture.cgroup().kill_all().unwrap();
    let status = fixture.children[0].wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
}

#[test]
fn kills_those_outside_of_the_unified_hierarchy() {
    if skipped() || !is_v1() {
        return;
    }
    let mut fixture = Fixture::new("{}");
    fixture.run_in("exec sleep 100", &BTreeMap::new(), false);
    fixture.run("exec sleep 100");
    fixture.cgroup().kill_all().unwrap();
    for child in &mut fixture.children {
        assert!(!child.wait().unwrap().success());
    }
}

#[test]
fn freezes_and_thaws() {
    if skipped() || !is_v1() && !Path::new("/sys/fs/cgroup/cgroup.kill").exists() {
        return;
    }
    let mut fixture = Fixture::new("{}");
    fixture.run("while :; do :; done");
    assert!(!fixture.cgroup().is_frozen().unwrap());
    fixture.cgroup().freeze().unwrap();
    assert!(fixture.cgroup().is_frozen().unwrap());
    let used = || fixture.cgroup().stats().unwrap().cpu.usage.total;
    let before = used();
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert_eq!(used(), before);
    fixture.cgroup().thaw().unwrap();
    assert!(!fixture.cgroup().is_frozen().unwrap());
    assert!(eventually(|| used() > before));
}

#[test]
fn a_cgroup_in_use_or_frozen_is_refused_and_left_alone() {
    if skipped() {
        return;
    }
    let mut fixture = Fixture::new("{}");
    fixture.run("exec sleep 100");
    let error = fixture.create("{}").unwrap_err();
    assert_eq!(error.to_string(), "container's cgroup is not empty: 1 process(es) found");
    fixture.cgroup().kill_all().unwrap();
    fixture.children[0].wait().unwrap();
    fixture.cgroup().freeze().unwrap();
    let error = fixture.create("{}").unwrap_err();
    assert_eq!(error.to_string(), "container's cgroup unexpectedly frozen");
    fixture.cgroup().thaw().unwrap();
    assert!(fixture.cgroup().exists());
    // An empty one is taken over, and undoing that does not remove it.
    let taken = fixture.create(r#"{"pids":{"limit":3}}"#).unwrap();
    assert_eq!(fixture.read("pids", "pids.max"), "3");
    taken.undo().unwrap();
    assert!(fixture.cgroup().exists());
}

#[test]
fn failure_leaves_nothing() {
    if skipped() {
        return;
    }
    // A period longer than the kernel takes.
    let layout = Layout::detect(false).unwrap();
    let (fixture, error) = Fixture::try_new(layout, r#"{"cpu":{"period":99999999}}"#);
    let error = error.unwrap().to_string();
    assert!(error.contains("99999999") && error.contains("invalid argument"), "{error}");
    assert!(leftovers(&fixture.path).is_empty(), "{:?}", leftovers(&fixture.path));
}

#[test]
fn undo_removes_parents_it_made_and_no_others() {
    if skipped() {
        return;
    }
    let mut outer = Fixture::new("{}");
    let parent = outer.path.clone();
    outer.path = format!("{parent}/a/b");
    let inner = outer.create("{}").unwrap();
    let path = outer.dir("devices").join("a/b");
    assert!(path.exists());
    inner.undo().unwrap();
    assert!(!path.exists() && !outer.dir("devices").join("a").exists());
    assert!(outer.cgroup().exists());
    outer.path = parent;
}

#[test]
fn updates_all_or_nothing() {
    if skipped() {
        return;
    }
    let fixture =
        Fixture::new(r#"{"memory":{"limit":33554432},"pids":{"limit":7},"cpu":{"shares":512}}"#);
    fixture.update(r#"{"memory":{"limit":67108864},"pids":{"limit":8}}"#).unwrap();
    assert_eq!(fixture.read("pids", "pids.max"), "8");
    // The period is far too long; memory and shares are written before it and taken back.
    let json = r#"{"memory":{"limit":16777216},"cpu":{"shares":100,"period":99999999}}"#;
    let error = fixture.update(json).unwrap_err().to_string();
    assert!(error.contains("99999999"), "{error}");
    if is_v1() {
        assert_eq!(fixture.read("memory", "memory.limit_in_bytes"), "67108864");
        assert_eq!(fixture.read("cpu", "cpu.shares"), "512");
        // Both in the order that does not fit at first, up and down.
        for (limit, swap) in [(134_217_728_i64, 268_435_456_i64), (33_554_432, 67_108_864)] {
            fixture.update(&format!(r#"{{"memory":{{"limit":{limit},"swap":{swap}}}}}"#)).unwrap();
            assert_eq!(fixture.read("memory", "memory.limit_in_bytes"), limit.to_string());
            assert_eq!(fixture.read("memory", "memory.memsw.limit_in_bytes"), swap.to_string());
        }
        fixture.update(r#"{"memory":{"limit":-1}}"#).unwrap();
        assert!(fixture.read("memory", "memory.memsw.limit_in_bytes").len() > 18);
    } else {
        assert_eq!(fixture.read("", "memory.max"), "67108864");
        assert_eq!(fixture.read("", "cpu.weight"), "59");
        fixture.update(r#"{"unified":{"memory.high":"33554432"}}"#).unwrap();
        assert_eq!(fixture.read("", "memory.high"), "33554432");
    }
}

#[test]
fn kills_and_removes_what_a_container_nested_deeply() {
    if skipped() {
        return;
    }
    let mut fixture = Fixture::new("{}");
    let pid = fixture.run("exec sleep 100");
    // Deeper than a path can be long: 30 levels of 200 bytes.
    let name = "n".repeat(200);
    let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut dir = open(&fixture.dir("devices"), flags, Mode::empty()).unwrap();
    for _ in 0..30 {
        mkdirat(&dir, name.as_str(), Mode::S_IRWXU).unwrap();
        dir = openat(&dir, name.as_str(), flags, Mode::empty()).unwrap();
    }
    let procs = openat(&dir, "cgroup.procs", OFlag::O_WRONLY, Mode::empty()).unwrap();
    std::fs::File::from(procs).write_all(pid.to_string().as_bytes()).unwrap();
    drop(dir);
    assert_eq!(fixture.cgroup().pids(false).unwrap(), [0; 0]);
    assert_eq!(fixture.cgroup().pids(true).unwrap(), [i32::try_from(pid).unwrap()]);
    fixture.cgroup().kill_all().unwrap();
    fixture.children[0].wait().unwrap();
    let path = fixture.path.clone();
    drop(fixture);
    assert!(leftovers(&path).is_empty(), "{:?}", leftovers(&path));
}

#[test]
fn exec_joins_sub_cgroups() {
    if skipped() || !is_v1() {
        return;
    }
    let mut fixture = Fixture::new("{}");
    std::fs::create_dir(fixture.dir("pids").join("sub")).unwrap();
    let sub = BTreeMap::from([("pids".to_owned(), "sub".to_owned())]);
    let pid = fixture.run_in("exec sleep 100", &sub, true);
    let own = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let path = &fixture.path;
    let line = |controller: &str| {
        own.lines().find(|line| line.contains(&format!(":{controller}:"))).unwrap().to_owned()
    };
    assert!(line("pids").ends_with(&format!("{path}/sub")));
    assert!(line("memory").ends_with(path));
    let outside = BTreeMap::from([("pids".to_owned(), "../x".to_owned())]);
    let error = fixture.cgroup().join_sub(&outside).unwrap_err().to_string();
    assert_eq!(error, "bad sub cgroup path: ../x");
    let missing = BTreeMap::from([("pids".to_owned(), "none".to_owned())]);
    let error = fixture.cgroup().join_sub(&missing).unwrap_err().to_string();
    assert!(error.contains("none/tasks") && error.contains("no such file"), "{error}");
}

#[test]
fn removal_of_a_cgroup_with_processes_ends_with_an_error() {
    if skipped() {
        return;
    }
    let mut fixture = Fixture::new("{}");
    fixture.run("exec sleep 100");
    let error = fixture.cgroup().destroy().unwrap_err().to_string();
    assert!(error.contains("1 process(es) left"), "{error}");
}

#[test]
fn removal_waits_for_the_killed() {
    if skipped() {
        return;
    }
    let mut fixture = Fixture::new("{}");
    for _ in 0..8 {
        fixture.run("while :; do :; done");
    }
    fixture.cgroup().kill_all().unwrap();
    // Their parent has not even waited for them.
    fixture.cgroup().destroy().unwrap();
    assert!(!fixture.cgroup().exists());
}

#[test]
fn limits_below_the_usage_are_refused_on_request() {
    if skipped() || is_v1() {
        return;
    }
    let mut fixture = Fixture::new("{}");
    fixture.run("exec sleep 100");
    let json = r#"{"memory":{"limit":1,"checkBeforeUpdate":true}}"#;
    let error = fixture.update(json).unwrap_err().to_string();
    assert!(error.starts_with("rejecting memory limit 1 <= usage "), "{error}");
    assert_eq!(fixture.read("", "memory.max"), "max");
}

#[test]
fn a_cgroup_is_given_to_its_owner() {
    if skipped() || is_v1() {
        return;
    }
    let layout = Layout::detect(false).unwrap();
    let path = unique();
    let request = Request {
        cgroups_path: &path,
        id: "id",
        resources: None,
        devices: &[],
        rootless: false,
        owner: Some(12345),
    };
    let cgroup = Cgroup::create(&plan(&layout, &request).unwrap()).unwrap();
    let dir = cgroup.paths().remove("").unwrap();
    let uid = |file: &str| std::os::unix::fs::MetadataExt::uid(&dir.join(file).metadata().unwrap());
    assert_eq!(
        (uid(""), uid("cgroup.procs"), uid("cgroup.subtree_control")),
        (12345, 12345, 12345)
    );
    assert_eq!(uid("memory.max"), 0);
    cgroup.undo().unwrap();
}
