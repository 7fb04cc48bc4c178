//! Seccomp's user notification: `listenerPath` and `listenerMetadata`
//! (config-linux.md "Seccomp", "The Container Process State").

use crate::harness::Container;
use crate::needs::{Kind, lacks};
use libseccomp::{ScmpNotifReq, ScmpNotifResp, ScmpNotifRespFlags};
use nix::libc;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use serde_json::{Value, json};
use std::io::{IoSliceMut, Read as _};
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::net::UnixListener;
use std::thread::JoinHandle;

fn profile(socket: &str) -> Value {
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64"],
        "listenerPath": socket,
        "listenerMetadata": "of the test",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}],
    })
}

/// What an agent was told, and the listener it got.
fn accept(agent: &UnixListener) -> (Value, RawFd) {
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
fn refusing(agent: UnixListener) -> JoinHandle<Value> {
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

#[test]
fn without_an_agent_there_is_no_container() {
    let c = Container::new(&["true"]);
    let socket = c.text("nobody");
    let c = c.edit(|s| s["linux"]["seccomp"] = profile(&socket));
    c.create_with(&[]).fails();
    assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
}
