//! Sockets from a container's network namespace, passed to the server (unix(7), SCM_RIGHTS).
//!
//! The server needs no right to enter namespaces: whoever attaches the container opens the sockets
//! in there and hands them over, and waits for one byte that says they are in use.

use crate::error::{At, Error, Result};
use nix::cmsg_space;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, UnixAddr, recvmsg, sendmsg};
use std::io::{IoSlice, IoSliceMut, Read as _, Write as _};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// How long either side waits for the other one.
const PATIENCE: Duration = Duration::from_secs(10);
/// What asks nothing but whether the server lives.
const GREETING: &[u8] = b"?";
/// Container ids are 64 digits.
const ID_MAX: usize = 64;

/// What the server listens on for one container.
#[derive(Debug)]
pub struct Sockets {
    /// Bound.
    pub udp: UdpSocket,
    /// Listening.
    pub tcp: TcpListener,
}

/// Passes a container's sockets and waits until they are in use.
///
/// # Errors
/// The server is gone.
pub fn send(stream: &mut UnixStream, id: &str, sockets: &Sockets) -> Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let fds = [sockets.udp.as_raw_fd(), sockets.tcp.as_raw_fd()];
    sendmsg::<UnixAddr>(
        stream.as_raw_fd(),
        &[IoSlice::new(id.as_bytes())],
        &[ControlMessage::ScmRights(&fds)],
        MsgFlags::MSG_NOSIGNAL,
        None,
    )
    .at(|| "pass sockets to the DNS server")?;
    stream.read_exact(&mut [0]).at(|| "wait for the DNS server")
}

/// Waits for a sign of life. That the socket takes a connection is none: one who was killed still
/// listens until the kernel has closed its descriptors.
///
/// # Errors
/// The server is gone.
pub fn greet(stream: &mut UnixStream) -> Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(GREETING).at(|| "greet the DNS server")?;
    stream.read_exact(&mut [0]).at(|| "wait for the DNS server")
}

/// Takes a container's sockets; nothing when the other side only greets.
///
/// # Errors
/// The sender is gone, or it sent something else.
pub fn receive(stream: &mut UnixStream) -> Result<Option<(String, Sockets)>> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut id = [0; ID_MAX];
    let mut space = cmsg_space!([RawFd; 2]);
    let mut buffer = [IoSliceMut::new(&mut id)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<UnixAddr>(stream.as_raw_fd(), &mut buffer, Some(&mut space), flags)?;
    let mut fds = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(received) = control {
            fds.extend(received.into_iter().map(own));
        }
    }
    let length = message.bytes;
    if fds.is_empty() && id.get(..length) == Some(GREETING) {
        return Ok(None);
    }
    let id = id.get(..length).and_then(|id| std::str::from_utf8(id).ok());
    let (Some(id), Ok([udp, tcp])) = (id, <[OwnedFd; 2]>::try_from(fds)) else {
        return Err(Error::invalid("not a pair of sockets"));
    };
    let sockets = Sockets { udp: udp.into(), tcp: tcp.into() };
    sockets.udp.set_nonblocking(true)?;
    sockets.tcp.set_nonblocking(true)?;
    Ok(Some((id.to_owned(), sockets)))
}

/// Tells the sender that its sockets are in use, or that the server lives.
pub fn acknowledge(stream: &mut UnixStream) {
    let _ = stream.write_all(&[1]);
}

#[allow(unsafe_code)]
fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: the kernel has just made this descriptor for us (SCM_RIGHTS); nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
