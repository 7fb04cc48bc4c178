//! Seccomp's user notification: `listenerPath` and `listenerMetadata`
//! (config-linux.md "Seccomp", "The Container Process State").

use crate::harness::Container;
use crate::needs::{Kind, lacks};
use crate::tty::own;
use libseccomp::{ScmpNotifReq, ScmpNotifResp, ScmpNotifRespFlags};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use serde_json::{Value, json};
use std::io::{IoSliceMut, Read as _};
use std::os::fd::{AsFd as _, AsRawFd as _, RawFd};
use std::os::unix::net::UnixListener;
use std::thread::JoinHandle;

/// mkdir(2) is for the agent at `socket` to decide.
pub fn profile(socket: &str) -> Value {
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64"],
        "listenerPath": socket,
        "listenerMetadata": "of the test",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}],
    })
}

/// What an agent was told, and the listener it got.
pub fn accept(agent: &UnixListener) -> (Value, RawFd) {
    let (mut connection, _) = agent.accept().unwrap();
    let mut text = vec![0; 64 << 10];
    let mut space = nix::cmsg_space!([RawFd; 1]);
    let (length, listener) = {
        let mut io = [IoSliceMut::new(&mut text)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let message =
            recvmsg::<()>(connection.as_raw_fd(), &mut io, Some(&mut space), flags).unwrap();
        let fd = message.cmsgs().unwrap().find_map(|control| match control {
            ControlMessageOwned::ScmRights(fds) => fds.first().copied(),
            _ => None,
        });
        (message.bytes, fd.expect("no descriptor came"))
    };
    text.truncate(length);
    connection.read_to_end(&mut text).unwrap();
    (serde_json::from_slice(&text).unwrap(), listener)
}

/// An agent that refuses one call with EXDEV and gives back what it was told.
pub fn refusing(agent: UnixListener) -> JoinHandle<Value> {
    std::thread::spawn(move || {
        let (told, listener) = accept(&agent);
        let request = ScmpNotifReq::receive(listener).unwrap();
        let flags = ScmpNotifRespFlags::empty();
        ScmpNotifResp::new_error(request.id, -libc::EXDEV, flags).respond(listener).unwrap();
        nix::unistd::close(listener).unwrap();
        told
    })
}

#[test]
fn an_agent_decides_for_the_program() {
    lacks!(
        Kind::Runc(1, ..2) => "does not come to an end with this agent",
        Kind::Crun(..) => "needs its own handler for it",
    );
    let c = Container::new(&["mkdir", "/tmp/made"]);
    let agent = UnixListener::bind(c.path("agent")).unwrap();
    let (socket, deciding) = (c.text("agent"), refusing(agent));
    let c = c.edit(|s| {
        s["linux"]["seccomp"] = profile(&socket);
        s["annotations"] = json!({"of": "test"});
    });
    let outcome = c.run();
    assert!(outcome.err.contains("Invalid cross-device link"), "{outcome:?}");
    let told = deciding.join().unwrap();
    assert_eq!(told["fds"], json!(["seccompFd"]));
    assert_eq!(told["metadata"], json!("of the test"));
    assert_eq!(told["state"]["id"], json!(c.id));
    assert_eq!(told["state"]["annotations"], json!({"of": "test"}));
    assert!(told["pid"].as_u64().unwrap() > 1, "{told}");
    assert!(!c.rootfs("tmp/made").exists());
}

#[test]
fn an_agent_decides_for_exec_too() {
    lacks!(
        Kind::Runc(1, ..2) => "does not come to an end with this agent",
        Kind::Crun(..) => "needs its own handler for it",
    );
    let c = Container::sleeping();
    let agent = UnixListener::bind(c.path("agent")).unwrap();
    let socket = c.text("agent");
    let first = agent.try_clone().unwrap();
    let first = std::thread::spawn(move || accept(&first));
    let c = c.edit(|s| s["linux"]["seccomp"] = profile(&socket)).up();
    let (_, listener) = first.join().unwrap();
    let deciding = refusing(agent);
    let outcome = c.exec("mkdir /tmp/made");
    assert!(outcome.err.contains("Invalid cross-device link"), "{outcome:?}");
    assert_eq!(deciding.join().unwrap()["state"]["id"], json!(c.id));
    nix::unistd::close(listener).unwrap();
}

/// What brings the listener to the runtime has ended, and init needs none of the calls for it that
/// the agent decides about.
#[test]
fn nothing_of_the_way_to_the_agent_is_left_in_init() {
    lacks!(
        Kind::Runc(..) => "its init has threads, which make calls of their own",
        Kind::Crun(..) => "needs its own handler for it",
    );
    let c = Container::new(&["true"]);
    let agent = UnixListener::bind(c.path("agent")).unwrap();
    let socket = c.text("agent");
    let accepting = std::thread::spawn(move || accept(&agent));
    let c = c.edit(|s| {
        s["linux"]["seccomp"] = profile(&socket);
        let calls = ["sendmsg", "close", "clone", "clone3", "wait4", "waitid", "rt_sigaction"];
        s["linux"]["seccomp"]["syscalls"][0]["names"] = json!(calls);
    });
    c.create();
    let (_, listener) = accepting.join().unwrap();
    let listener = own(listener);
    let mut waiting = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
    assert_eq!(poll(&mut waiting, PollTimeout::ZERO), Ok(0), "init waits for the agent");
    let pid = c.pid();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    assert_eq!(children, "");
    for descriptor in std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten() {
        let target = std::fs::read_link(descriptor.path()).unwrap();
        assert!(!target.to_string_lossy().contains("seccomp"), "{target:?}");
    }
}

#[test]
fn without_an_agent_there_is_no_container() {
    let c = Container::new(&["true"]);
    let socket = c.text("nobody");
    let c = c.edit(|s| s["linux"]["seccomp"] = profile(&socket));
    c.create_with(&[]).fails();
    assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
}
