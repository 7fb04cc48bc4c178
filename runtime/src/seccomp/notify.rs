//! Hands the notification fd to the seccomp agent (config-linux.md#containerprocessstate).

use crate::error::{At, Error, Kind, Result};
use crate::plan::seccomp::Listener;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, connect, sendmsg, socket,
};
use serde::Serialize;
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// What the agent reads.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ContainerProcessState<'a, S> {
    oci_version: &'a str,
    fds: [&'static str; 1],
    pid: i32,
    #[serde(skip_serializing_if = "str::is_empty")]
    metadata: &'a str,
    state: &'a S,
}

/// Sends `fd`, the notification fd of process `pid` (of init, or of an exec), with the container's
/// `state`; the connection is closed afterwards, as the specification wants.
pub fn send<S: Serialize>(
    listener: &Listener,
    fd: BorrowedFd,
    oci_version: &str,
    pid: i32,
    state: &S,
) -> Result<()> {
    let metadata = listener.metadata;
    let message = ContainerProcessState { oci_version, fds: ["seccompFd"], pid, metadata, state };
    let json = serde_json::to_vec(&message)
        .map_err(|error| Error::new(Kind::Config, format!("container process state: {error}")))?;
    let agent = dial(listener.path)
        .at(|| format!("failed to connect with seccomp agent at {:?}", listener.path))?;
    deliver(agent.as_fd(), &json, fd)
        .at(|| format!("sending the seccomp fd to {:?}", listener.path))
}

fn dial(path: &str) -> Result<OwnedFd, Errno> {
    let address = UnixAddr::new(path)?;
    let flags = SockFlag::SOCK_CLOEXEC;
    let agent = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(agent.as_raw_fd(), &address)?;
    Ok(agent)
}

/// Sends all of `json`; the fd goes with the first byte.
fn deliver(agent: BorrowedFd, mut json: &[u8], fd: BorrowedFd) -> Result<(), Errno> {
    let fds = [fd.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&fds)];
    let mut control = &rights[..];
    while !json.is_empty() {
        let io = [IoSlice::new(json)];
        match sendmsg::<()>(agent.as_raw_fd(), &io, control, MsgFlags::MSG_NOSIGNAL, None) {
            Ok(sent) => {
                json = json.get(sent..).unwrap_or_default();
                control = &[];
            }
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{ControlMessageOwned, recvmsg};
    use std::io::{IoSliceMut, Read};
    use std::os::unix::net::UnixListener;

    fn state() -> oci_spec::runtime::State {
        let mut state = oci_spec::runtime::State::default();
        state.set_id("box".into()).set_pid(Some(42));
        state
    }

    #[test]
    fn the_agent_gets_fd_and_state() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent");
        let agent = UnixListener::bind(&path).unwrap();
        let (reader, writer) = nix::unistd::pipe().unwrap();
        let listener = Listener { path: path.to_str().unwrap(), metadata: "data" };
        send(&listener, reader.as_fd(), "1.3.0", 43, &state()).unwrap();
        drop(reader);

        let (connection, _) = agent.accept().unwrap();
        let mut buffer = vec![0; 4096];
        let mut space = nix::cmsg_space!([std::os::fd::RawFd; 2]);
        let (length, fds) = {
            let mut io = [IoSliceMut::new(&mut buffer)];
            let flags = MsgFlags::empty();
            let message =
                recvmsg::<()>(connection.as_raw_fd(), &mut io, Some(&mut space), flags).unwrap();
            let Some(ControlMessageOwned::ScmRights(fds)) = message.cmsgs().unwrap().next() else {
                panic!("no fd");
            };
            (message.bytes, fds)
        };
        let json: oci_spec::runtime::ContainerProcessState =
            serde_json::from_slice(&buffer[..length]).unwrap();
        assert_eq!(json.version(), "1.3.0");
        assert_eq!(json.fds(), &["seccompFd"]);
        assert_eq!(*json.pid(), 43);
        assert_eq!(json.metadata().as_deref(), Some("data"));
        assert_eq!(json.state(), &state());
        // The connection is closed, and the fd is the pipe's.
        assert_eq!((&connection).read(&mut buffer).unwrap(), 0);
        nix::unistd::write(&writer, b"x").unwrap();
        assert_eq!(fds.len(), 1);
        let mut pipe = std::fs::File::open(format!("/proc/self/fd/{}", fds[0])).unwrap();
        assert_eq!(pipe.read(&mut buffer).unwrap(), 1);
        nix::unistd::close(fds[0]).unwrap();
    }

    #[test]
    fn no_agent_is_a_clear_error() {
        let (reader, _writer) = nix::unistd::pipe().unwrap();
        let listener = Listener { path: "/nonexistent/agent", metadata: "" };
        let error = send(&listener, reader.as_fd(), "1.3.0", 43, &state()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "failed to connect with seccomp agent at \"/nonexistent/agent\": \
             no such file or directory"
        );
    }
}
