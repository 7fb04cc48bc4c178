//! `run`: exit codes, signals, detaching, pid files.

use crate::harness::{Container, code, eventually};
use crate::needs::{Kind, lacks};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::process::{Command, Stdio};

#[test]
fn run_gives_the_programs_output_and_cleans_up() {
    let c = Container::sh("echo to-out; echo to-err >&2");
    let outcome = c.run();
    assert_eq!((outcome.out.as_str(), outcome.err.as_str()), ("to-out\n", "to-err\n"));
    assert_eq!(outcome.code, 0);
    assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
}

#[test]
fn run_exits_with_the_programs_status() {
    for status in [0, 1, 42, 125, 255] {
        Container::sh(&format!("exit {status}")).run().exits(status);
    }
}

#[test]
fn run_exits_with_128_and_the_signal() {
    // The first process of a pid namespace can only be killed from outside, or by a fault; so the
    // shell stays first in the host's pid namespace here.
    for (signal, status) in [("KILL", 137), ("TERM", 143), ("SEGV", 139)] {
        Container::sh(&format!("kill -{signal} $$"))
            .edit(|s| crate::harness::drop_namespace(s, "pid"))
            .run()
            .exits(status);
    }
}

#[test]
fn run_forwards_signals_to_the_program() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1] {
        let name = signal.as_str().trim_start_matches("SIG");
        let c = Container::sh(&format!(
            "trap 'exit 33' {name}; touch /up; while :; do sleep 0.01; done"
        ));
        c.save();
        let mut command = c.command(&["run", &c.id]);
        let mut child = command.stdin(Stdio::null()).spawn().unwrap();
        eventually("trap set", || c.rootfs("up").exists());
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
        assert_eq!(code(child.wait().unwrap()), 33, "{signal}");
    }
}

#[test]
fn ignored_signals_are_not_the_containers() {
    let c = Container::new(&["grep", "SigIgn", "/proc/self/status"]);
    c.save();
    let run = c.command(&["run", &c.id]);
    // As of a shell's command in the background, and of nohup(1).
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "trap '' HUP INT QUIT; exec \"$@\"", "sh"]);
    shell.arg(run.get_program()).args(run.get_args());
    shell.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(directory) = run.get_current_dir() {
        shell.current_dir(directory);
    }
    let out = c.wait(shell, "").ok();
    let ignored = out.trim().strip_prefix("SigIgn:\t").unwrap();
    // Others may be ignored by whoever runs the tests.
    let ours = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT].map(|s| 1 << (s as u64 - 1));
    assert_eq!(u64::from_str_radix(ignored, 16).unwrap() & ours.iter().sum::<u64>(), 0, "{out}");
}

#[test]
fn run_feeds_stdin() {
    let c = Container::new(&["cat"]);
    c.save();
    let outcome = c.wait(c.command(&["run", &c.id]), "one\ntwo\n");
    assert_eq!(outcome.ok(), "one\ntwo\n");
}

#[test]
fn run_detached_returns_while_the_program_runs() {
    let c = Container::sleeping();
    c.run_with(&["--detach"]).ok();
    assert_eq!(c.status(), "running");
    c.kill("KILL").ok();
    c.stopped();
    assert_eq!(c.status(), "stopped");
    c.delete(&[]).ok();
}

#[test]
fn run_detached_accepts_the_short_flag_and_the_bundle() {
    let c = Container::sh("echo hello");
    c.save();
    let mut command = c.command(&["run", "-d", "-b", &c.text(""), &c.id]);
    command.current_dir("/");
    c.wait(command, "").ok();
    c.stopped();
}

#[test]
fn run_keep_leaves_a_stopped_container() {
    lacks!(
        Kind::Runc(1, ..2) => "`--keep` came with runc 1.1.6",
        Kind::Crun(1, ..9) => "`--keep` came later",
    );
    let c = Container::new(&["true"]);
    c.run_with(&["--keep"]).ok();
    assert_eq!(c.status(), "stopped");
    c.delete(&[]).ok();
}

#[test]
fn run_leaves_nothing_of_children_that_outlive_the_program() {
    let c = Container::sh("sleep 1000 & exit 7");
    c.run().exits(7);
    assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
}

#[test]
fn flags_may_stand_after_the_id() {
    lacks!(Kind::Crun(..) => "refuses options after the id");
    let c = Container::sleeping();
    c.save();
    c.call(&["run", &c.id, "--detach"]).ok();
    c.call(&["delete", &c.id, "--force"]).ok();
}

#[test]
fn long_flags_take_one_dash_and_both_ways_of_values() {
    lacks!(Kind::Crun(..) => "knows only two dashes");
    let c = Container::sleeping();
    c.save();
    c.call(&["run", "-detach=true", "-bundle", &c.text(""), &c.id]).ok();
    c.call(&["delete", "-force", &c.id]).ok();
}

#[test]
fn pid_files_hold_the_first_process() {
    let c = Container::sleeping();
    let file = c.text("the.pid");
    c.create_with(&["--pid-file", &file]).ok();
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(text, c.pid().to_string(), "a number, without newline");
}

#[test]
fn relative_pid_files_are_the_callers() {
    lacks!(Kind::Crun(..) => "takes them relative to the bundle");
    let c = Container::sleeping();
    c.save();
    fs::create_dir(c.path("elsewhere")).unwrap();
    let mut command = c.command(&["create", "--pid-file", "p", "--bundle", &c.text(""), &c.id]);
    command.current_dir(c.path("elsewhere"));
    c.wait(command, "").ok();
    assert_eq!(fs::read_to_string(c.path("elsewhere/p")).unwrap(), c.pid().to_string());
}

#[test]
fn a_pid_file_that_cannot_be_written_undoes_the_create() {
    let c = Container::sleeping();
    c.create_with(&["--pid-file", &c.text("no/such/dir/pid")]).fails();
    c.call(&["state", &c.id]).fails();
    crate::harness::eventually("nothing left", || c.leftovers().is_empty());
}

#[test]
fn the_program_is_looked_up_in_the_containers_path() {
    let c = Container::new(&["tool"]).edit(|s| {
        s["process"]["env"] = serde_json::json!(["PATH=/opt:/bin"]);
    });
    fs::create_dir(c.rootfs("opt")).unwrap();
    c.script("rootfs/opt/tool", "echo found");
    assert_eq!(c.run().ok(), "found\n");
}
