//! create, start, state, kill, delete: runtime.md "Lifecycle" and "Operations".

use crate::harness::{Container, cgroups_path, eventually, systemd};
use crate::needs::{Kind, asks_for, lacks};
use serde_json::json;
use std::fs;

#[test]
fn create_start_kill_delete() {
    let c = Container::sleeping();
    c.create();
    assert_eq!(c.status(), "created");
    c.start();
    assert_eq!(c.status(), "running");
    c.kill("KILL").ok();
    c.stopped();
    c.delete(&[]).ok();
    c.call(&["state", &c.id]).fails();
    assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
}

#[test]
fn create_runs_nothing_of_the_user_before_start() {
    let c = Container::sh("echo here; touch /ran");
    c.create();
    assert!(!c.rootfs("ran").exists());
    c.start();
    eventually("the program ran", || c.rootfs("ran").exists());
    c.stopped();
    assert_eq!(c.output(), "here\n");
}

#[test]
fn state_has_what_the_specification_lists() {
    let c = Container::sleeping().edit(|s| s["annotations"] = json!({"org.hull.test": "value"}));
    c.create();
    let state = c.state();
    assert!(state["ociVersion"].as_str().unwrap().starts_with("1."));
    assert_eq!(state["id"], json!(c.id));
    assert_eq!(state["status"], "created");
    assert_eq!(state["bundle"].as_str().unwrap(), c.text("").trim_end_matches('/'));
    assert_eq!(state["annotations"]["org.hull.test"], "value");
    let pid = state["pid"].as_u64().unwrap();
    assert!(fs::exists(format!("/proc/{pid}")).unwrap());
    let created = state["created"].as_str().unwrap();
    assert!(created.starts_with("20") && created.ends_with('Z'), "{created}");
}

#[test]
fn state_of_a_stopped_container_has_no_pid() {
    let c = Container::new(&["true"]).up();
    c.stopped();
    assert_eq!(c.state()["pid"], 0);
}

#[test]
fn the_pid_of_state_is_the_containers_first_process() {
    let c = Container::sh("exec sleep 1000").up();
    let pid = c.pid();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let inner = status.lines().find(|line| line.starts_with("NSpid:")).unwrap();
    assert!(inner.ends_with("\t1"), "{inner}");
}

#[test]
fn an_id_can_be_used_once_at_a_time() {
    let c = Container::sleeping();
    c.create();
    let err = c.create_with(&[]).fails();
    assert!(err.contains("exist"), "{err}");
    assert_eq!(c.status(), "created");
    c.delete(&["--force"]).ok();
    c.create();
    assert_eq!(c.status(), "created");
}

#[test]
fn ids_that_are_paths_or_empty_are_refused() {
    lacks!(Kind::Crun(..) => "takes any id without a slash");
    let c = Container::sleeping();
    c.save();
    for id in ["", ".", "..", "a/b", "../x", "a b", "a\nb", "käfig", "a*"] {
        c.call(&["create", id]).fails();
    }
    assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
}

#[test]
fn ids_may_hold_dots_dashes_plus_and_underscores() {
    let mut c = Container::sleeping();
    c.id = format!("a.b-c+d_E9-{}", c.id);
    // The name of a unit has no plus (systemd.unit(5)).
    let name = if systemd() { c.id.replace('+', "_") } else { c.id.clone() };
    c.spec["linux"]["cgroupsPath"] = json!(cgroups_path(&name));
    c.create();
    assert_eq!(c.state()["id"], json!(c.id));
}

#[test]
fn commands_on_a_container_that_does_not_exist_fail() {
    let c = Container::sleeping();
    for args in [
        &["state", "nosuch"][..],
        &["start", "nosuch"],
        &["kill", "nosuch", "KILL"],
        &["delete", "nosuch"],
        &["exec", "nosuch", "true"],
        &["ps", "nosuch"],
    ] {
        let outcome = c.call(args);
        assert_ne!(outcome.code, 0, "{args:?}");
        lacks!(Kind::Crun(..) => "has its own words and codes");
        // The phrase is an interface: containerd's shim looks for it.
        assert!(outcome.fails().contains("does not exist"), "{args:?}");
    }
}

#[test]
fn delete_force_of_nothing_succeeds() {
    let c = Container::sleeping();
    c.call(&["delete", "--force", "nosuch"]).ok();
}

#[test]
fn start_works_once() {
    let c = Container::sleeping().up();
    c.call(&["start", &c.id]).fails();
    assert_eq!(c.status(), "running");
}

#[test]
fn start_of_a_stopped_container_fails() {
    let c = Container::new(&["true"]).up();
    c.stopped();
    c.call(&["start", &c.id]).fails();
    assert_eq!(c.status(), "stopped");
}

#[test]
fn delete_of_a_running_container_needs_force() {
    let c = Container::sleeping().up();
    c.delete(&[]).fails();
    assert_eq!(c.status(), "running");
    c.delete(&["--force"]).ok();
    c.call(&["state", &c.id]).fails();
}

#[test]
fn delete_of_a_created_container() {
    lacks!(Kind::Crun(..) => "wants --force for a container that is not stopped");
    let c = Container::sleeping();
    c.create();
    c.delete(&[]).ok();
    assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
}

#[test]
fn kill_knows_names_numbers_and_any_case() {
    lacks!(Kind::Crun(..) => "takes unknown spellings as another signal");
    for (signal, number) in [("TERM", 15), ("SIGINT", 2), ("usr1", 10), ("sigusr2", 12), ("1", 1)] {
        let trap = "trap 'exit 42'";
        let c = Container::sh(&format!("{trap} {number}; echo up; while :; do sleep 0.01; done"));
        c.create();
        c.start();
        eventually("trap set", || c.output() == "up\n");
        c.kill(signal).ok();
        c.stopped();
    }
}

#[test]
fn kill_sends_term_by_default() {
    let c = Container::sh("trap 'echo term; exit' 15; echo up; while :; do sleep 0.01; done").up();
    eventually("trap set", || c.output() == "up\n");
    let before = c.path("out.0");
    c.call(&["kill", &c.id]).ok();
    eventually("trap ran", || fs::read_to_string(&before).unwrap() == "up\nterm\n");
}

#[test]
fn kill_with_signal_zero_only_looks() {
    lacks!(Kind::Crun(..) => "does not know signal 0");
    let c = Container::sleeping().up();
    c.kill("0").ok();
    assert_eq!(c.status(), "running");
}

#[test]
fn kill_refuses_what_is_no_signal() {
    lacks!(Kind::Crun(..) => "takes numbers beyond the last signal");
    let c = Container::sleeping().up();
    for signal in ["FOO", "SIGFOO", "-1", "4096", "99999999999999999999"] {
        c.kill(signal).fails();
    }
    assert_eq!(c.status(), "running");
}

#[test]
fn kill_works_on_a_created_container() {
    let c = Container::sleeping();
    c.create();
    c.kill("KILL").ok();
    c.stopped();
}

/// The first process of a pid namespace gets no signal that it has no handler for
/// (pid_namespaces(7)); one that waits for `start` has to have them.
#[test]
fn a_created_container_can_be_asked_to_end() {
    lacks!(Kind::Crun(..) => "ignores all but KILL until it is started");
    for signal in ["TERM", "INT", "QUIT", "HUP"] {
        let c = Container::sleeping();
        c.create();
        c.kill(signal).ok();
        c.stopped();
    }
    // The program has the default actions again, which for it as pid 1 means none.
    let c = Container::sh("grep SigCgt /proc/self/status").up();
    c.stopped();
    assert_eq!(c.output(), "SigCgt:\t0000000000000000\n");
}

#[test]
fn kill_of_a_stopped_container_fails() {
    lacks!(Kind::Crun(..) => "says `No such process`");
    let c = Container::new(&["true"]).up();
    c.stopped();
    let err = c.kill("TERM").fails();
    // The phrase is an interface: containerd's shim looks for it.
    assert!(err.contains("not running"), "{err}");
}

#[test]
fn kill_reaches_every_process_without_a_pid_namespace() {
    lacks!(
        Kind::Runc(1, ..2) => "needs --all before 1.2",
        Kind::Crun(..) => "needs --all",
    );
    let c = Container::sh("sleep 1000 & sleep 1000 & echo $!; wait")
        .edit(|s| crate::harness::drop_namespace(s, "pid"))
        .up();
    eventually("children", || !c.output().is_empty());
    let child: u32 = c.output().trim().parse().unwrap();
    c.kill("KILL").ok();
    eventually("child dead", || {
        fs::read_to_string(format!("/proc/{child}/stat")).is_ok_and(|s| s.contains(") Z"))
            || !fs::exists(format!("/proc/{child}")).unwrap()
    });
}

#[test]
fn an_init_killed_behind_the_runtimes_back_is_stopped() {
    let c = Container::sleeping().up();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(c.pid()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::SIGKILL).unwrap();
    c.stopped();
    c.delete(&[]).ok();
    assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
}

#[test]
fn pause_and_resume() {
    asks_for!("pause");
    let c = Container::sh("while :; do echo x; sleep 0.01; done").up();
    eventually("ticking", || !c.output().is_empty());
    let ticks = c.path("out.0");
    c.call(&["pause", &c.id]).ok();
    assert_eq!(c.status(), "paused");
    let before = fs::metadata(&ticks).unwrap().len();
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(fs::metadata(&ticks).unwrap().len(), before);
    c.call(&["resume", &c.id]).ok();
    assert_eq!(c.status(), "running");
    eventually("ticking again", || fs::metadata(&ticks).unwrap().len() > before);
}

#[test]
fn a_paused_container_can_be_deleted_by_force() {
    asks_for!("pause");
    let c = Container::sleeping().up();
    c.call(&["pause", &c.id]).ok();
    c.delete(&["--force"]).ok();
    assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
}

#[test]
fn a_paused_container_can_be_killed() {
    asks_for!("pause");
    lacks!(Kind::Crun(..) => "leaves a frozen v1 cgroup frozen");
    let c = Container::sleeping().up();
    c.call(&["pause", &c.id]).ok();
    c.kill("KILL").ok();
    c.stopped();
}

#[test]
fn config_changes_after_create_do_not_reach_the_program() {
    let mut c = Container::sh("echo first");
    c.create();
    let out = c.path("out.0");
    c.spec["process"]["args"] = json!(["sh", "-c", "echo second"]);
    c.save();
    c.start();
    c.stopped();
    assert_eq!(fs::read_to_string(out).unwrap(), "first\n");
}

/// /proc shows start times in the reader's time namespace, a day later here.
#[test]
fn clocks_of_another_time_namespace_make_no_container_dead() {
    lacks!(
        Kind::Runc(..) => "knows one time namespace",
        Kind::Crun(..) => "knows one time namespace",
    );
    if !fs::exists("/proc/self/ns/time").unwrap() {
        return crate::harness::skip("the kernel has no time namespaces");
    }
    let ahead = "ahead='unshare --time --monotonic 86400 --boottime 86400';";
    let c = Container::sleeping().up();
    let seen = c.host_sh(&format!("{ahead} $ahead $rt state $id")).ok();
    assert!(seen.contains("\"status\": \"running\""), "{seen}");
    c.host_sh(&format!("{ahead} $ahead $rt kill $id KILL")).ok();
    c.stopped();
    c.host_sh(&format!("{ahead} $ahead $rt delete $id")).ok();
    // The other way about: made there, seen from here.
    c.host_sh(&format!("{ahead} $ahead $rt create $id >out 2>&1 </dev/null")).ok();
    assert_eq!(c.status(), "created");
    c.start();
    assert_eq!(c.status(), "running");
    c.kill("KILL").ok();
    c.stopped();
    c.delete(&[]).ok();
    assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
}
