//! The seccomp listener: what the runtime sends over the socket (config-linux.md).

use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use nix::cmsg_space;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use serde_json::{Value, json};

use crate::case::{Case, Stop, Verdict, case, ensure, equal, fail};
use crate::context::Context;
use crate::mutant::{Break, drops, sets};
use crate::needs::Need;

/// The chapter.
pub fn cases() -> Vec<Case> {
    let looked = |name: &str, cites: &[&str], broken: Break, look: fn(&Sent) -> Verdict| {
        let mut builder = case(format!("seccomp/listener-{name}"));
        for cite in cites {
            builder = builder.cites(*cite);
        }
        builder
            .needs(Need::X86)
            .needs(Need::Spec("1.1.0"))
            .needs(Need::Claim("/linux/seccomp/actions", json!("SCMP_ACT_NOTIFY")))
            .breaks(broken)
            .runs(move |c| {
                let sent = listen(c)?;
                c.saw(format!("{} with {} descriptors", sent.state, sent.descriptors.len()));
                look(&sent)
            })
    };
    let deaf = || drops("/linux/seccomp/listenerPath");
    vec![
        looked(
            "state",
            &[
                "config-linux.md:1006 over the UNIX socket as regular payload serialized in JSON",
                "config-linux.md:1013 version of the Open Container Initiative Runtime",
                "config-linux.md:1018 `state` (state, REQUIRED) is the state of the container",
            ],
            deaf(),
            |sent| {
                let state = &sent.state["state"];
                ensure(sent.state["ociVersion"].is_string(), || "no ociVersion".into())?;
                ensure(state["id"] == json!(sent.id), || format!("state is {state}"))?;
                let status = state["status"].as_str().unwrap_or_default();
                ensure(["creating", "created"].contains(&status), || format!("status {status}"))
            },
        ),
        looked(
            "pid",
            &["config-linux.md:1016 is the container process ID, as seen by the runtime"],
            deaf(),
            |sent| equal("pid", &sent.state["pid"], &json!(sent.pid)),
        ),
        looked(
            "descriptor",
            &["config-linux.md:1006 file descriptors MUST be sent using `SCM_RIGHTS`"],
            deaf(),
            |sent| {
                let names = sent.state["fds"].as_array().cloned().unwrap_or_default();
                equal("descriptors sent", &sent.descriptors.len(), &names.len())?;
                let at = names.iter().position(|name| name == "seccompFd");
                let Some(at) = at else { return fail(format!("fds names {names:?}")) };
                ensure(sent.descriptors[at].contains("seccomp"), || sent.descriptors[at].clone())
            },
        ),
        looked(
            "metadata",
            &["runtime.md:113 MUST be applied"],
            sets("/linux/seccomp/listenerMetadata", "other"),
            |sent| equal("metadata", &sent.state["metadata"], &json!("told")),
        ),
        looked(
            "one-per-connection",
            &[
                "config-linux.md:928 exactly one container process state per connection",
                "config-linux.md:929 it MUST be closed after sending a seccomp state",
            ],
            deaf(),
            |sent| ensure(sent.closed, || "the connection stays open".into()),
        ),
    ]
}

/// What arrived at the listener.
struct Sent {
    state: Value,
    /// What the descriptors refer to.
    descriptors: Vec<String>,
    /// Whether the connection ended after one state.
    closed: bool,
    id: String,
    pid: i32,
}

fn listen(c: &mut Context) -> Result<Sent, Stop> {
    let path = c.driver.dir.join("listener");
    let listener = UnixListener::bind(&path)?;
    c.set(
        "/linux/seccomp",
        json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "listenerPath": path,
            "listenerMetadata": "told",
            // Nothing in the container calls it: no notification waits for an answer.
            "syscalls": [{"names": ["getpriority"], "action": "SCMP_ACT_NOTIFY"}],
        }),
    );
    c.stay(&[]);
    c.write()?;
    let container = c.handle();
    // The runtime may wait until its message is taken.
    let patience = c.driver.patience();
    let taker = std::thread::spawn(move || take(&listener, patience));
    let created = container.try_create(&[])?;
    crate::container::worked("create", &created)?;
    container.start()?;
    let taken = taker.join().map_err(|_| Stop::Suite("the listener died".into()))?;
    let (text, descriptors, closed) = taken?;
    let state = serde_json::from_slice(&text)
        .or_else(|error| fail(format!("the payload is no JSON: {error}")))?;
    Ok(Sent { state, descriptors, closed, id: container.id.clone(), pid: container.pid()? })
}

type Taken = (Vec<u8>, Vec<String>, bool);

/// Takes one connection and all that comes over it.
fn take(listener: &UnixListener, patience: Duration) -> Result<Taken, Stop> {
    let mut stream = crate::console::accept(listener, patience)?;
    stream.set_read_timeout(Some(patience))?;
    let (mut text, descriptors) = first(&stream)?;
    let closed = stream.read_to_end(&mut text).is_ok();
    Ok((text, descriptors, closed))
}

fn first(stream: &UnixStream) -> Result<(Vec<u8>, Vec<String>), Stop> {
    let mut buffer = vec![0_u8; 64 << 10];
    let mut control = cmsg_space!([i32; 8]);
    let mut slices = [std::io::IoSliceMut::new(&mut buffer)];
    let (count, numbers) = {
        let message = recvmsg::<()>(
            stream.as_raw_fd(),
            &mut slices,
            Some(&mut control),
            MsgFlags::MSG_CMSG_CLOEXEC,
        )?;
        let mut numbers = Vec::new();
        for each in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(sent) = each {
                numbers.extend(sent);
            }
        }
        (message.bytes, numbers)
    };
    buffer.truncate(count);
    let describe = |number: i32| {
        let file: File = crate::sys::received(number);
        let link = std::fs::read_link(format!("/proc/self/fd/{number}"));
        drop(file);
        link.map_or_else(|error| error.to_string(), |target| target.display().to_string())
    };
    Ok((buffer, numbers.into_iter().map(describe).collect()))
}
