//! Pausing, changing limits, and what `events` tells.

use crate::cgroups::limited;
use crate::harness::{Container, eventually, systemd, unified};
use crate::needs::{Kind, asks_for, lacks};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

/// Events of `c` from now on, one after the other.
fn follow(c: &Container, interval: &str) -> (std::process::Child, impl Iterator<Item = Value>) {
    let mut command = c.command(&["events", "--interval", interval, &c.id]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let events = lines.map_while(Result::ok).filter_map(|line| serde_json::from_str(&line).ok());
    (child, events)
}

#[test]
fn a_paused_container_does_nothing_until_it_is_resumed() {
    asks_for!("pause");
    lacks!(Kind::Crun(..) => "pauses a paused container again");
    let c = Container::new(&["sh", "-c", "while :; do echo x >>/tmp/ticks; sleep 0.01; done"]).up();
    let ticks = || fs::metadata(c.rootfs("tmp/ticks")).map_or(0, |file| file.len());
    eventually("the container works", || ticks() > 0);
    c.call(&["pause", &c.id]).ok();
    assert_eq!(c.status(), "paused");
    let before = ticks();
    std::thread::sleep(std::time::Duration::from_millis(60));
    assert_eq!(ticks(), before);
    assert!(c.call(&["pause", &c.id]).fails().contains("container not running"));
    c.call(&["resume", &c.id]).ok();
    assert_eq!(c.status(), "running");
    eventually("it goes on", || ticks() > before);
    assert!(c.call(&["resume", &c.id]).fails().contains("container not paused"));
}

#[test]
fn a_created_container_can_be_paused() {
    asks_for!("pause");
    lacks!(Kind::Crun(..) => "tells a created container as running");
    let c = Container::sleeping();
    c.create();
    c.call(&["pause", &c.id]).ok();
    assert_eq!(c.status(), "paused");
    assert!(c.call(&["start", &c.id]).fails().contains("paused"));
    c.call(&["resume", &c.id]).ok();
    assert_eq!(c.status(), "created");
    c.call(&["start", &c.id]).ok();
}

#[test]
fn a_stopped_container_can_neither_be_paused_nor_changed() {
    asks_for!("pause");
    lacks!(Kind::Crun(..) => "pauses a stopped container");
    let c = Container::new(&["true"]).up();
    c.stopped();
    for words in [vec!["pause", &c.id], vec!["update", "--pids-limit", "9", &c.id]] {
        assert!(c.call(&words).fails().contains("not running"), "{words:?}");
    }
    c.call(&["resume", &c.id]).fails();
    assert!(c.call(&["events", "--stats", &c.id]).fails().contains("is not running"));
}

#[test]
fn a_paused_container_can_be_killed_and_deleted() {
    asks_for!("pause");
    lacks!(Kind::Crun(..) => "leaves a killed container frozen");
    let c = Container::sleeping().up();
    c.call(&["pause", &c.id]).ok();
    c.call(&["kill", &c.id, "KILL"]).ok();
    c.stopped();
    c.delete(&[]).ok();
    let c = Container::sleeping().up();
    c.call(&["pause", &c.id]).ok();
    c.delete(&["--force"]).ok();
    assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
}

#[test]
fn a_period_alone_keeps_the_quota() {
    asks_for!("update");
    lacks!(Kind::Crun(..) => "takes no options after the id");
    let c = limited(&json!({"cpu": {"quota": 500_000, "period": 1_000_000}})).up();
    let read = |v1| c.cgroup(v1, "cpu.max");
    c.call(&["update", "--cpu-period", "900000", &c.id]).ok();
    if unified() {
        // systemd counts in whole percents.
        let quota = if systemd() { 504_000 } else { 500_000 };
        assert_eq!(read("cpu/cpu.max"), format!("{quota} 900000"));
    } else {
        assert_eq!(read("cpu/cpu.cfs_quota_us"), "500000");
        assert_eq!(read("cpu/cpu.cfs_period_us"), "900000");
    }
    // Remembered: the next change starts from the last.
    c.call(&["update", &c.id, "--cpu-quota", "600000"]).ok();
    if unified() {
        let quota = if systemd() { 603_000 } else { 600_000 };
        assert_eq!(read("cpu/cpu.max"), format!("{quota} 900000"));
    } else {
        assert_eq!(read("cpu/cpu.cfs_quota_us"), "600000");
        assert_eq!(read("cpu/cpu.cfs_period_us"), "900000");
    }
}

#[test]
fn a_change_is_made_whole_or_not_at_all() {
    asks_for!("update");
    lacks!(Kind::Crun(..) => "leaves the first of several limits changed");
    let c = limited(&json!({"memory": {"limit": 67_108_864}, "pids": {"limit": 20}})).up();
    let request = json!({"pids": {"limit": 30}, "memory": {"limit": 4096}}).to_string();
    let bad = json!({"pids": {"limit": 30}, "cpu": {"period": 1}}).to_string();
    let request = if unified() { bad } else { request };
    c.wait(c.command(&["update", "-r", "-", &c.id]), &request).fails();
    assert_eq!(c.cgroup("pids/pids.max", "pids.max"), "20");
    assert_eq!(c.cgroup("memory/memory.limit_in_bytes", "memory.max"), "67108864");
}

#[test]
fn device_rules_survive_a_change_that_resends_them() {
    asks_for!("update");
    let c = Container::sleeping().up();
    let request = json!({"devices": [{"allow": false, "access": "rwm"}], "pids": {"limit": 9}});
    c.wait(c.command(&["update", "-r", "-", &c.id]), &request.to_string()).ok();
    c.exec("echo >/dev/null && head -c1 /dev/zero >/dev/null").ok();
}

#[test]
fn resctrl_lines_need_a_group() {
    asks_for!("update");
    lacks!(Kind::Crun(..) => "has its own text");
    let c = Container::sleeping().up();
    for flag in ["--l3-cache-schema", "--mem-bw-schema"] {
        assert!(c.call(&["update", flag, "L3:0=f", &c.id]).fails().contains("RDT"));
    }
}

#[test]
fn events_tell_usage_until_the_container_is_gone() {
    asks_for!("events");
    let c = limited(&json!({"pids": {"limit": 21}})).up();
    let (mut child, mut events) = follow(&c, "50ms");
    for _ in 0..2 {
        let event = events.next().unwrap();
        assert_eq!((&event["type"], &event["id"]), (&json!("stats"), &json!(c.id)));
        assert_eq!(event["data"]["pids"], json!({"current": 1, "limit": 21}));
        assert!(event["data"]["cpu"]["usage"]["total"].as_u64().unwrap() > 0);
        assert_eq!(event["data"]["network_interfaces"], Value::Null);
        assert_eq!(event["data"]["intel_rdt"], json!({}));
    }
    c.delete(&["--force"]).ok();
    assert!(events.all(|event| event["type"] == "stats"));
    assert!(child.wait().unwrap().success());
}

#[test]
fn events_tell_of_killed_processes() {
    asks_for!("events");
    lacks!(Kind::Crun(..) => "tells usage only");
    let c = limited(&json!({"memory": {"limit": 33_554_432}})).up();
    let (mut child, mut events) = follow(&c, "50ms");
    // Once usage is told, kills are listened to.
    assert_eq!(events.next().unwrap()["type"], "stats");
    let code = c.exec("exec tail -c 200000000 /dev/zero").code;
    assert_eq!(code, 137);
    assert!(events.any(|event| event == json!({"type": "oom", "id": c.id})));
    c.delete(&["--force"]).ok();
    assert_eq!(events.filter(|event| event["type"] == "oom").count(), 0);
    assert!(child.wait().unwrap().success());
}

#[test]
fn events_want_a_sensible_interval() {
    asks_for!("events");
    let c = Container::sleeping().up();
    for interval in ["0", "-1s", "often"] {
        let error = c.call(&["events", "--interval", interval, &c.id]).fails();
        assert!(error.contains("interval") || error.contains("duration"), "{error}");
    }
}
