//! `NOTIFY_SOCKET`: a container that tells a service manager that it is ready (sd_notify(3)).

use crate::harness::{Container, Outcome};
use crate::needs::{Kind, lacks};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command};
use std::time::Duration;

/// Says that it is ready when the test wants it to, with a tool of the host's.
const SPEAK: &str = "while ! test -e /tmp/speak; do sleep 0.01; done; \
    printf 'STATUS=up\\nREADY=1\\n' | socat - UNIX-SENDTO:$NOTIFY_SOCKET; sleep 1000";

/// A container with a socat of the host, and the manager's socket.
fn container() -> (Container, UnixDatagram) {
    let c = Container::sh(SPEAK).edit(|s| {
        for dir in ["usr/bin", "lib", "lib64", "usr/lib"] {
            let (to, from) = (format!("/{dir}"), format!("/{dir}"));
            crate::harness::mount(s, &to, "bind", &from, &["rbind", "ro"]);
        }
        s["process"]["env"] = serde_json::json!(["PATH=/bin:/usr/bin"]);
    });
    let manager = UnixDatagram::bind(c.path("manager.sock")).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    (c, manager)
}

fn command(c: &Container, args: &[&str]) -> Command {
    let mut command = c.command(args);
    command.env("NOTIFY_SOCKET", c.path("manager.sock"));
    command
}

/// What the manager hears next; an answered barrier is none.
fn hear(manager: &UnixDatagram) -> String {
    let mut buffer = [0; 200];
    // The descriptor of a barrier is dropped with the message, which is the answer to it.
    let length = manager.recv(&mut buffer).expect("the manager hears nothing");
    String::from_utf8_lossy(&buffer[..length]).trim().to_owned()
}

/// Waits for a command that may itself wait until the manager has read all it was sent
/// (sd_notify_barrier(3)).
fn end(manager: &UnixDatagram, mut command: Child) -> bool {
    manager.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    let mut status = None;
    crate::harness::eventually("the command ends", || {
        // Nothing to hear is no failure here.
        let _ = manager.recv(&mut [0; 200]);
        status = command.try_wait().unwrap();
        status.is_some()
    });
    status.is_some_and(|status| status.success())
}

fn call(c: &Container, args: &[&str]) -> Outcome {
    c.wait(command(c, args), "")
}

#[test]
fn run_detached_waits_until_the_container_is_ready() {
    lacks!(
        Kind::Runc(..) => "hears READY only where a message begins",
        Kind::Crun(..) => "binds the manager's own socket",
    );
    let (c, manager) = container();
    c.save();
    let mut run = command(&c, &["run", "--detach", &c.id]).spawn().unwrap();
    crate::harness::eventually("running", || c.call(&["state", &c.id]).out.contains("running"));
    assert!(run.try_wait().unwrap().is_none(), "did not wait");
    c.write("rootfs/tmp/speak", "");
    assert_eq!(hear(&manager), "READY=1");
    assert_eq!(hear(&manager), format!("MAINPID={}", c.pid()));
    assert!(end(&manager, run));
}

#[test]
fn start_waits_until_the_container_is_ready() {
    lacks!(
        Kind::Runc(..) => "hears READY only where a message begins",
        Kind::Crun(..) => "binds the manager's own socket",
    );
    let (c, manager) = container();
    c.save();
    call(&c, &["create", &c.id]).ok();
    let pid = c.pid();
    let mut start = command(&c, &["start", &c.id]).spawn().unwrap();
    crate::harness::eventually("running", || c.status() == "running");
    assert!(start.try_wait().unwrap().is_none(), "did not wait");
    c.write("rootfs/tmp/speak", "");
    assert_eq!(hear(&manager), "READY=1");
    assert_eq!(hear(&manager), format!("MAINPID={pid}"));
    assert!(end(&manager, start));
}

#[test]
fn start_does_not_wait_for_a_container_that_ends() {
    lacks!(Kind::Crun(..) => "binds the manager's own socket");
    let (c, manager) = container();
    let c = c.edit(|s| s["process"]["args"] = serde_json::json!(["true"]));
    c.save();
    call(&c, &["create", &c.id]).ok();
    call(&c, &["start", &c.id]).ok();
    manager.set_nonblocking(true).unwrap();
    assert!(manager.recv(&mut [0; 100]).is_err());
}

#[test]
fn a_socket_that_is_not_there_is_an_error() {
    lacks!(Kind::Runc(1, ..2) | Kind::Crun(..) => "goes on without");
    let (c, manager) = container();
    c.save();
    drop(manager);
    call(&c, &["run", "--detach", &c.id]).fails();
    assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
}
