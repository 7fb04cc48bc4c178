//! Who attends the process' terminal and streams.

use crate::console::{self, HostTerminal, Receiver};
use crate::error::{Error, Kind, Result};
use crate::foreground::{self, Io};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::isatty;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// The socket for the master of a detached process' terminal.
///
/// # Errors
/// A terminal without a socket, or the reverse: nobody would attend it.
pub fn detached(terminal: bool, socket: Option<&Path>) -> Result<Option<Receiver>> {
    match (terminal, socket) {
        (true, Some(path)) => {
            console::connect_socket(path).map(|socket| Some(Receiver { socket, shown: false }))
        }
        (false, None) => Ok(None),
        (true, None) => Err(Error::new(
            Kind::Usage,
            "cannot allocate tty if hull will detach without setting console socket (--console-socket)",
        )),
        (false, Some(_)) => Err(unused()),
    }
}

fn unused() -> Error {
    Error::new(Kind::Usage, "cannot use console socket if hull will not detach or allocate tty")
}

/// How a process in the foreground is attended.
pub struct Attended {
    /// Where the process sends its terminal's master.
    pub console: Option<Receiver>,
    /// Where the master arrives.
    pub incoming: Option<OwnedFd>,
    /// stdin, stdout and stderr of the process, if not the caller's own.
    pub stdio: Option<[OwnedFd; 3]>,
    /// The other side of these.
    io: Io,
}

/// Prepares for a process in the foreground. `ids` are root of the container on the host.
///
/// The process inherits the caller's streams, unless one of them is a terminal: with the caller's
/// own terminal it could read along and change its settings, so it gets pipes.
///
/// # Errors
/// A console socket, which is for detached processes; pipe(2).
pub fn foreground(terminal: bool, socket: Option<&Path>, ids: (u32, u32)) -> Result<Attended> {
    if socket.is_some() {
        return Err(unused());
    }
    let none = Attended { console: None, incoming: None, stdio: None, io: Io::Inherited };
    if terminal {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (incoming, socket) = socketpair(AddressFamily::Unix, SockType::Stream, None, flags)?;
        let console = Some(Receiver { socket, shown: true });
        return Ok(Attended { console, incoming: Some(incoming), ..none });
    }
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    if [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()].iter().any(|fd| isatty(fd) == Ok(true)) {
        let (io, theirs) = foreground::pipes(ids.0, ids.1)?;
        return Ok(Attended { stdio: Some(theirs), io, ..none });
    }
    Ok(none)
}

/// The streams to relay while the process runs; takes over the terminal's master.
///
/// # Errors
/// No terminal on the caller's side.
pub fn relayed(incoming: Option<OwnedFd>, io: Io) -> Result<Io> {
    let Some(incoming) = incoming else { return Ok(io) };
    let master = console::receive_fd(incoming.as_fd())?;
    Ok(Io::Terminal { host: HostTerminal::find()?, master })
}

impl Attended {
    /// The parts: what the process gets, and what [`relayed`] needs.
    pub fn split(self) -> (Option<Receiver>, Option<[OwnedFd; 3]>, Option<OwnedFd>, Io) {
        (self.console, self.stdio, self.incoming, self.io)
    }
}
