//! File descriptors of the program: stdio, `--preserve-fds`, socket activation.

use crate::harness::Container;
use crate::needs::{Kind, lacks};

const LIST: &str = "for fd in /proc/self/fd/*; do
    fd=${fd##*/}; [ $fd -gt 2 ] && [ -e /proc/self/fd/$fd ] && readlink /proc/self/fd/$fd
done; true";

#[test]
fn only_stdio_reaches_the_program() {
    // The shell's glob opens the directory for itself, closed when the links are read.
    let c = Container::sh(LIST);
    let outcome = c.host_sh("$rt run $id 7</dev/null 8</etc/passwd");
    assert_eq!(outcome.ok(), "");
}

#[test]
fn only_stdio_reaches_an_exec() {
    let c = Container::sleeping().up();
    let outcome = c.host_sh(&format!("$rt exec $id sh -c '{LIST}' 7</dev/null 8</etc/passwd"));
    assert_eq!(outcome.ok(), "");
}

#[test]
fn preserved_fds_reach_the_program_with_their_numbers() {
    let c = Container::sh("cat <&3; cat <&4; readlink /proc/self/fd/5; true");
    c.write("three", "3\n");
    c.write("four", "4\n");
    let outcome = c.host_sh("$rt run --preserve-fds 2 $id 3<three 4<four 5</dev/null");
    assert_eq!(outcome.ok(), "3\n4\n");
}

#[test]
fn preserved_fds_reach_an_exec() {
    let c = Container::sleeping().up();
    c.write("three", "3\n");
    let outcome = c.host_sh("$rt exec --preserve-fds 1 $id sh -c 'cat <&3' 3<three");
    assert_eq!(outcome.ok(), "3\n");
}

#[test]
fn asking_for_fds_that_are_not_open_fails() {
    lacks!(
        Kind::Runc(..) => "hands over its own descriptors instead",
        Kind::Crun(..) => "does not check",
    );
    // Otherwise the program would get whatever the runtime happens to open under that number.
    let c = Container::sh("true");
    c.host_sh("$rt run --preserve-fds 3 $id 3<&- 4<&- 5<&-").fails();
    assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
}

#[test]
fn socket_activation_reaches_the_program() {
    lacks!(Kind::Crun(..) => "leaves LISTEN_PID out");
    let c = Container::sh("echo $LISTEN_FDS $LISTEN_PID $LISTEN_FDNAMES; cat <&3");
    c.write("three", "socket\n");
    let outcome = c.host_sh(
        "exec 3<three; export LISTEN_FDS=1 LISTEN_FDNAMES=web; \
         exec sh -c 'LISTEN_PID=$$ exec $rt run $id'",
    );
    let out = outcome.ok();
    assert!(out.starts_with("1 1"), "{out}");
    assert!(out.ends_with("socket\n"), "{out}");
}

#[test]
fn socket_activation_meant_for_another_process_is_dropped() {
    lacks!(Kind::Runc(..) | Kind::Crun(..) => "does not compare LISTEN_PID");
    // sd_listen_fds(3): LISTEN_PID says for whom the descriptors are.
    let c = Container::sh("echo \"[$LISTEN_FDS]\"; [ ! -e /proc/self/fd/3 ]");
    c.write("three", "socket\n");
    let outcome = c.host_sh("exec 3<three; LISTEN_FDS=1 LISTEN_PID=1 $rt run $id");
    assert_eq!(outcome.ok(), "[]\n");
}

#[test]
fn stdio_may_be_closed_pipes_or_devices() {
    let c = Container::sh("echo through-a-pipe");
    assert_eq!(c.host_sh("$rt run $id </dev/null | cat").ok(), "through-a-pipe\n");
    let c = Container::sh("echo quiet");
    assert_eq!(c.host_sh("$rt run $id </dev/null >/dev/null").ok(), "");
}

#[test]
fn stdio_of_an_unprivileged_user_can_be_reopened() {
    // runc hands stdio to the process' user, so that /dev/stdout can be opened again.
    let c = Container::sh("echo reopened >/dev/stdout").edit(|s| {
        s["process"]["user"] = serde_json::json!({"uid": 1000, "gid": 1000});
    });
    assert_eq!(c.host_sh("$rt run $id | cat").ok(), "reopened\n");
}

#[test]
fn the_owner_of_host_devices_stays() {
    let c = Container::sh("true").edit(|s| {
        s["process"]["user"] = serde_json::json!({"uid": 1000, "gid": 1000});
    });
    c.host_sh("$rt run $id </dev/null >/dev/null 2>/dev/null").ok();
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/dev/null").unwrap());
    assert_eq!(owner, 0);
}
