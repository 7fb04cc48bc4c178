//! `list` tells the same as `state`, of whatever somebody else has done to the container.

use crate::harness::Container;
use crate::needs::{Kind, lacks};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

/// The container as `list` tells of it.
fn listed(c: &Container) -> Value {
    let text = c.call(&["list", "--format", "json"]).ok();
    let list: Value = serde_json::from_str(&text).unwrap();
    let list = list.as_array().unwrap();
    assert_eq!(list.len(), 1, "{text}");
    list[0].clone()
}

/// The status, on which `list` and `state` have to agree.
fn status(c: &Container) -> String {
    let (listed, state) = (listed(c), c.state());
    for key in ["id", "pid", "status", "bundle", "created", "annotations"] {
        assert_eq!(listed[key], state[key], "{key}");
    }
    listed["status"].as_str().unwrap().to_owned()
}

/// Freezes the container's cgroup, or lets it go on, without the runtime.
fn freeze(c: &Container, on: bool) {
    for directory in c.cgroups() {
        let old = directory.join("freezer.state");
        if old.exists() {
            fs::write(&old, if on { "FROZEN" } else { "THAWED" }).unwrap();
            let wanted = if on { "FROZEN" } else { "THAWED" };
            crate::harness::eventually("the freezer", || {
                fs::read_to_string(&old).unwrap().trim_end() == wanted
            });
            return;
        }
    }
    let directory = c.cgroups().into_iter().find(|dir| dir.join("cgroup.freeze").exists());
    fs::write(directory.unwrap().join("cgroup.freeze"), if on { "1" } else { "0" }).unwrap();
}

fn signal(c: &Container, signal: nix::sys::signal::Signal) {
    let pid = nix::unistd::Pid::from_raw(c.pid().cast_signed());
    nix::sys::signal::kill(pid, signal).unwrap();
}

#[test]
fn through_a_containers_life() {
    lacks!(Kind::Crun(..) => "has no annotations in its list");
    let c = Container::sleeping().edit(|s| s["annotations"] = json!({"org.hull.test": "a\nb"}));
    c.create();
    assert_eq!(status(&c), "created");
    c.start();
    assert_eq!(status(&c), "running");
    assert_eq!(listed(&c)["owner"], "root");
    assert_eq!(listed(&c)["rootfs"], json!(c.text("rootfs").trim_end_matches('/')));
    signal(&c, nix::sys::signal::Signal::SIGKILL);
    c.stopped();
    assert_eq!(status(&c), "stopped");
    assert_eq!(listed(&c)["pid"], 0);
    c.delete(&[]).ok();
    assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
}

#[test]
fn paused_by_somebody_else() {
    lacks!(Kind::Crun(..) => "has no annotations in its list");
    let c = Container::sleeping().up();
    freeze(&c, true);
    assert_eq!(status(&c), "paused");
    freeze(&c, false);
    assert_eq!(status(&c), "running");
    // A process that was stopped before.
    signal(&c, nix::sys::signal::Signal::SIGSTOP);
    assert_eq!(status(&c), "running");
    freeze(&c, true);
    assert_eq!(status(&c), "paused");
    freeze(&c, false);
    assert_eq!(status(&c), "running");
}

/// Where hull keeps the summary that `list` reads.
fn summary(c: &Container) -> PathBuf {
    c.path("state").join(&c.id).join("summary")
}

#[test]
fn without_a_summary_or_with_a_damaged_one() {
    lacks!(Kind::Runc(..) | Kind::Crun(..) => "have no summary");
    let c = Container::sleeping().edit(|s| s["annotations"] = json!({"org.hull.test": "x"})).up();
    let before = listed(&c);
    let text = fs::read_link(summary(&c)).unwrap().into_os_string().into_string().unwrap();
    for damaged in [
        "x".to_owned(),
        text.replace("summary 1", "summary 9"),
        text.replacen(&c.pid().to_string(), "pid", 1),
        text.replace("{\"org", "{org"),
    ] {
        fs::remove_file(summary(&c)).unwrap();
        symlink(&damaged, summary(&c)).unwrap();
        assert_eq!(listed(&c), before, "{damaged}");
    }
    // As a container of an earlier version has none.
    fs::remove_file(summary(&c)).unwrap();
    assert_eq!(listed(&c), before);
    // A file in its place.
    fs::write(summary(&c), &text).unwrap();
    assert_eq!(listed(&c), before);
    c.delete(&["--force"]).ok();
    assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
}

#[test]
fn another_process_with_the_pid_is_not_the_container() {
    lacks!(Kind::Runc(..) | Kind::Crun(..) => "have no summary");
    let c = Container::sleeping().up();
    let text = fs::read_link(summary(&c)).unwrap().into_os_string().into_string().unwrap();
    let own = std::process::id();
    fs::remove_file(summary(&c)).unwrap();
    symlink(text.replacen(&c.pid().to_string(), &own.to_string(), 1), summary(&c)).unwrap();
    assert_eq!(listed(&c)["status"], "stopped");
}
