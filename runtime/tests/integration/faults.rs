//! Runtimes that are killed half-way: `delete --force` must find and remove everything.

use crate::harness::{Container, cgroups_path, eventually};
use crate::needs::{Kind, lacks};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use std::fs;
use std::process::Stdio;

/// Starts `create` with a hook that hangs, sends `signal` to the runtime, and waits for its end.
fn interrupted_in(hook: &str, signal: Signal) -> Container {
    let mut c = Container::sleeping();
    let flag = c.text("flags");
    fs::create_dir(c.path("flags")).unwrap();
    crate::harness::mount(&mut c.spec, &flag, "bind", &flag, &["bind"]);
    // By rename, so that the number is there when the file is.
    let script = format!("echo $$ >{flag}/pid; mv {flag}/pid {flag}/hook; exec sleep 20");
    c.spec["hooks"][hook] = json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}]);
    c.save();
    let mut command = c.command(&["create", &c.id]);
    let null = || Stdio::null();
    let mut child = command.stdin(null()).stdout(null()).stderr(null()).spawn().unwrap();
    eventually("the hook runs", || c.path("flags/hook").exists());
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
    eventually("the runtime ended", || child.try_wait().unwrap().is_some());
    if hook == "createRuntime" {
        // The hook is a process of the host which nobody owns any more.
        let pid: i32 = fs::read_to_string(c.path("flags/hook")).unwrap().trim().parse().unwrap();
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    c
}

#[test]
fn a_create_killed_in_a_hook_can_be_deleted() {
    lacks!(Kind::Runc(..) | Kind::Crun(..) => "has no record of the container yet");
    for hook in ["createRuntime", "createContainer"] {
        let c = interrupted_in(hook, Signal::SIGKILL);
        c.delete(&["--force"]).ok();
        eventually("nothing is left", || c.leftovers().is_empty());
        // The id is free again.
        let mut again = Container::sleeping();
        again.id.clone_from(&c.id);
        again.spec["linux"]["cgroupsPath"] = json!(cgroups_path(&c.id));
        again.create();
    }
}

#[test]
fn a_create_that_is_terminated_cleans_up_itself_or_by_delete() {
    lacks!(Kind::Runc(..) | Kind::Crun(..) => "dies of the signal before its record is written");
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let c = interrupted_in("createRuntime", signal);
        c.delete(&["--force"]).ok();
        eventually("nothing is left", || c.leftovers().is_empty());
    }
}

#[test]
fn creates_killed_at_system_calls_can_be_deleted() {
    lacks!(Kind::Runc(..) | Kind::Crun(..) => "hull's promise: intent before effect");
    if !std::path::Path::new("/usr/bin/strace").exists() {
        return crate::harness::skip("strace is not installed");
    }
    for call in [
        "mkdir", "mkdirat", "clone3", "clone", "write", "openat", "openat2", "fchownat", "mount",
        "unshare", "execveat",
    ] {
        for when in [1, 2, 5, 12] {
            let c = Container::sleeping();
            let inject = format!("--inject={call}:signal=KILL:when={when}");
            // Without -f: only the runtime itself is hit, its child is on its own then.
            c.host_sh(&format!("strace -qq -o trace -e trace={call} {inject} $rt create $id"));
            c.delete(&["--force"]).ok();
            eventually(&format!("nothing left: {call} {when}"), || c.leftovers().is_empty());
        }
    }
}

#[test]
fn failing_system_calls_undo_the_create() {
    lacks!(Kind::Runc(..) | Kind::Crun(..) => "threads and retries of their own");
    if !std::path::Path::new("/usr/bin/strace").exists() {
        return crate::harness::skip("strace is not installed");
    }
    for call in
        ["clone3", "mount_setattr", "move_mount", "pivot_root", "capset", "sethostname", "setns"]
    {
        let c = Container::sleeping();
        let script = format!(
            "timeout -s KILL 5 strace -f -qq -o trace -e trace={call} --inject={call}:error=EPERM $rt create $id"
        );
        let outcome = c.host_sh(&script);
        // strace stays with the container's first process until timeout(1) kills it.
        if outcome.code == 0 || outcome.code == 137 {
            // Not used, or there is another way: then the container is whole.
            assert_eq!(c.status(), "created", "{call}");
            continue;
        }
        outcome.fails();
        eventually(&format!("nothing left: {call}"), || c.leftovers().is_empty());
    }
}

#[test]
fn a_run_that_is_killed_leaves_a_container_that_can_be_deleted() {
    let c = Container::sh("touch /up; exec sleep 1000");
    c.save();
    let mut command = c.command(&["run", &c.id]);
    let mut child = command.stdin(Stdio::null()).spawn().unwrap();
    eventually("up", || c.rootfs("up").exists());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(c.status(), "running");
    c.delete(&["--force"]).ok();
    assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
}

#[test]
fn a_broken_record_is_not_passed_over() {
    lacks!(Kind::Runc(..) | Kind::Crun(..) => "forgets the container and leaves it running");
    // Whoever cannot read the record cannot say that everything is gone.
    let c = Container::sleeping().up();
    let mut records = Vec::new();
    for entry in fs::read_dir(c.path("state").join(&c.id)).unwrap().flatten() {
        if entry.path().extension().is_some_and(|e| e == "json") {
            records.push((entry.path(), fs::read(entry.path()).unwrap()));
            fs::write(entry.path(), "{\"half\":").unwrap();
        }
    }
    if c.delete(&["--force"]).code == 0 {
        assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
    }
    for (path, content) in records {
        fs::write(path, content).unwrap();
    }
}

#[test]
fn two_creates_of_one_id_have_one_winner() {
    lacks!(Kind::Runc(1, ..2) => "does not always keep creates of one id apart");
    let c = Container::sleeping();
    c.save();
    let mut children: Vec<_> = (0..4)
        .map(|_| {
            let mut command = c.command(&["create", &c.id]);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.spawn().unwrap()
        })
        .collect();
    let winners = children.iter_mut().filter(|_| true).map(|child| child.wait().unwrap());
    assert_eq!(winners.filter(std::process::ExitStatus::success).count(), 1);
    assert_eq!(c.status(), "created");
}
