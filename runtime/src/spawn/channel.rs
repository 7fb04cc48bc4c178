//! The one socket between the runtime and init.
//!
//! A SEQPACKET pair, one frame a packet: a kind byte and a payload. Everything but `Ready` and
//! `Execute` is only sent when the configuration needs it.
//!
//! ```text
//!   runtime                         init
//!           ── clone3 ──────────▶
//!      Pid  ◀────────────────────   (intermediate only) the pid of init
//!    Go on  ────────────────────▶   (new user namespace) the id maps are written
//!  Network  ◀────────────────────   (netDevices) the network namespace is there
//!    Go on  ────────────────────▶   the devices are in it
//!   Source  ◀────────────────────   (bind mounts) a source that init can't open or map itself
//!     Tree  ────────────────────▶   the mount, or why there is none
//!  Mounted  ◀────────────────────   (prestart, createRuntime hooks) all is mounted
//!    Go on  ────────────────────▶   the hooks have run
//!  Courier  ◀────────────────────   (SCMP_ACT_NOTIFY) a process will send the listener: its pidfd
//! Listener  ◀────────────────────   (from the courier) the listener
//!    Go on  ────────────────────▶   the agent has it
//!   Limits  ◀────────────────────   (rlimits above the present ones) init may not raise them
//!    Go on  ────────────────────▶   the runtime has
//!    Ready  ◀────────────────────   nothing is left to do but to wait and to execute
//!  Execute  ────────────────────▶   state is on disk
//!      end  ◀────────────────────   execve closed the socket (create: init waits for start)
//!  Refused  ◀────────────────────   instead of the end: why execve failed
//!  Failure  ◀────────────────────   at any time, instead: what failed; init exits
//! ```
//! Either side sees end-of-file when the other dies: init then exits, the runtime tears down.

use crate::console;
use crate::error::{At, Error, Kind, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// What init tells the runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// The pid of init, from the intermediate.
    Pid(i32),
    /// The network namespace is there.
    Network,
    /// The source of the bind mount with this index is to be opened by who may.
    Source(u32),
    /// All mounts are made, pivot_root comes next.
    Mounted,
    /// A process of init's will send the seccomp listener; its pidfd comes next.
    Courier,
    /// From init to that process: the number of the listener.
    Seccomp(i32),
    /// The resource limits are to be set by who may.
    Limits,
    /// Ready to execute.
    Ready,
    /// Something failed.
    Failure(String),
    /// The program could not be executed.
    Refused(String),
    /// Init executed the program, or died.
    End,
}

/// The source of a bind mount, cloned and detached.
pub struct Tree {
    /// The mount.
    pub mount: OwnedFd,
    /// The kernel keeps what the host forbids on it: it was cloned from the container's own copy
    /// of the mount table.
    pub locked: bool,
}

/// One end.
pub struct Channel(OwnedFd);

const MAX_FRAME: usize = 8192;
const GO_ON: u8 = b'g';
const EXECUTE: u8 = b'x';
const TREE: u8 = b't';
const FOREIGN_TREE: u8 = b'h';
const LISTENER: u8 = b'y';

impl Channel {
    /// The runtime's end and init's.
    ///
    /// # Errors
    /// socketpair(2).
    pub fn pair() -> Result<(Self, Self)> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)
            .at(|| "socketpair(SEQPACKET)")?;
        Ok((Self(ours), Self(theirs)))
    }

    /// For poll(2).
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// The number, for keeping it out of the way.
    pub fn number(&self) -> i32 {
        self.0.as_raw_fd()
    }

    /// Sends a message to the runtime. Only write(2) is needed, which every filter allows.
    ///
    /// # Errors
    /// EPIPE when the runtime is gone.
    pub fn send(&self, message: &Message) -> Result<()> {
        match message {
            Message::Pid(pid) => self.frame(b'p', &pid.to_le_bytes()),
            Message::Network => self.frame(b'n', b""),
            Message::Source(index) => self.frame(b'o', &index.to_le_bytes()),
            Message::Mounted => self.frame(b'm', b""),
            Message::Courier => self.frame(b'c', b""),
            Message::Seccomp(fd) => self.frame(b's', &fd.to_le_bytes()),
            Message::Limits => self.frame(b'l', b""),
            Message::Ready => self.frame(b'r', b""),
            Message::Failure(text) => self.text(b'f', text),
            Message::Refused(text) => self.text(b'e', text),
            Message::End => Ok(()),
        }
    }

    fn text(&self, kind: u8, text: &str) -> Result<()> {
        let bytes = text.as_bytes();
        self.frame(kind, bytes.get(..MAX_FRAME - 1).unwrap_or(bytes))
    }

    fn frame(&self, kind: u8, payload: &[u8]) -> Result<()> {
        if payload.is_empty() {
            return self.write(&[kind]);
        }
        let mut frame = Vec::with_capacity(payload.len() + 1);
        frame.push(kind);
        frame.extend_from_slice(payload);
        self.write(&frame)
    }

    fn write(&self, frame: &[u8]) -> Result<()> {
        loop {
            match nix::unistd::write(&self.0, frame) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno).at(|| "write to the other side of the channel"),
            }
        }
    }

    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        loop {
            match nix::unistd::read(&self.0, buffer) {
                Ok(length) => return Ok(length),
                // The peer died with data of ours unread.
                Err(Errno::ECONNRESET) => return Ok(0),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno).at(|| "read from the other side of the channel"),
            }
        }
    }

    /// The next message from init.
    ///
    /// # Errors
    /// read(2), or a frame that is none.
    pub fn receive(&self) -> Result<Message> {
        let mut buffer = [0u8; MAX_FRAME];
        let length = self.read(&mut buffer)?;
        let Some((kind, payload)) = buffer.get(..length).and_then(<[u8]>::split_first) else {
            return Ok(Message::End);
        };
        let number = || payload.first_chunk().map(|bytes| i32::from_le_bytes(*bytes));
        match (kind, number()) {
            (b'p', Some(pid)) => Ok(Message::Pid(pid)),
            (b's', Some(fd)) => Ok(Message::Seccomp(fd)),
            (b'o', Some(index)) => Ok(Message::Source(index.cast_unsigned())),
            (b'n', _) => Ok(Message::Network),
            (b'c', _) => Ok(Message::Courier),
            (b'm', _) => Ok(Message::Mounted),
            (b'l', _) => Ok(Message::Limits),
            (b'r', _) => Ok(Message::Ready),
            (b'f', _) => Ok(Message::Failure(String::from_utf8_lossy(payload).into_owned())),
            (b'e', _) => Ok(Message::Refused(String::from_utf8_lossy(payload).into_owned())),
            _ => Err(Error::new(Kind::Init, "init sent a frame that is no message")),
        }
    }

    /// Lets init go on.
    ///
    /// # Errors
    /// EPIPE when init is gone.
    pub fn go_on(&self) -> Result<()> {
        self.write(&[GO_ON])
    }

    /// Lets init execute the program (or wait for `start`).
    ///
    /// # Errors
    /// EPIPE when init is gone.
    pub fn execute(&self) -> Result<()> {
        self.write(&[EXECUTE])
    }

    /// Init's side of [`Self::go_on`].
    ///
    /// # Errors
    /// When the runtime is gone, there is no reason to go on.
    pub fn await_go_on(&self) -> Result<()> {
        self.expect(GO_ON)
    }

    /// Init's side of [`Self::execute`].
    ///
    /// # Errors
    /// When the runtime is gone, there is no reason to go on.
    pub fn await_execute(&self) -> Result<()> {
        self.expect(EXECUTE)
    }

    /// Answers [`Message::Source`].
    ///
    /// # Errors
    /// EPIPE when init is gone.
    pub fn give_tree(&self, tree: Result<Tree>) -> Result<()> {
        match tree {
            Ok(Tree { mount, locked }) => {
                let kind = if locked { TREE } else { FOREIGN_TREE };
                console::send_fd(self.as_fd(), mount.as_fd(), &[kind])
            }
            Err(error) => self.send(&Message::Failure(error.to_string())),
        }
    }

    /// Init's side of [`Self::give_tree`].
    ///
    /// # Errors
    /// What the runtime says.
    pub fn await_tree(&self) -> Result<Tree> {
        let (text, mount) = console::receive(self.as_fd())?;
        match (text.split_first(), mount) {
            (Some((&TREE, _)), Some(mount)) => Ok(Tree { mount, locked: true }),
            (Some((&FOREIGN_TREE, _)), Some(mount)) => Ok(Tree { mount, locked: false }),
            (Some((b'f', text)), None) => {
                Err(Error::new(Kind::Init, String::from_utf8_lossy(text).into_owned()))
            }
            _ => Err(Error::new(Kind::Init, "the runtime has gone away")),
        }
    }

    /// The courier's: hands the runtime the seccomp listener.
    ///
    /// # Errors
    /// EPIPE when the runtime is gone.
    pub fn give_listener(&self, listener: BorrowedFd<'_>) -> Result<()> {
        console::send_fd(self.as_fd(), listener, &[LISTENER])
    }

    /// The runtime's side of [`Message::Courier`]: the listener, when the courier has ended.
    ///
    /// # Errors
    /// What init says instead; a courier that was killed.
    pub fn await_listener(&self) -> Result<OwnedFd> {
        let courier = console::receive_fd(self.as_fd())?;
        // Its end is seen too if it was killed, by what else is in its pid namespace.
        if !await_either(self.as_fd(), courier.as_fd())? {
            return Err(Error::new(
                Kind::Init,
                "the process that was to send the seccomp listener has been killed",
            ));
        }
        let (text, listener) = console::receive(self.as_fd())?;
        match (text.split_first(), listener) {
            (Some((&LISTENER, _)), Some(listener)) => {
                wait_for(courier.as_fd())?;
                Ok(listener)
            }
            (Some((b'f', text)), None) => {
                Err(Error::new(Kind::Init, String::from_utf8_lossy(text).into_owned()))
            }
            _ => Err(Error::new(Kind::Init, "init died while it was set up")),
        }
    }

    fn expect(&self, wanted: u8) -> Result<()> {
        let mut byte = [0u8; 1];
        match self.read(&mut byte)? {
            1 if byte == [wanted] => Ok(()),
            _ => Err(Error::new(Kind::Init, "the runtime has gone away")),
        }
    }
}

/// Waits until there is a message, which is true, or the process has ended without one.
fn await_either(messages: BorrowedFd<'_>, process: BorrowedFd<'_>) -> Result<bool> {
    let mut fds = [messages, process].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
    poll_again(&mut fds, PollTimeout::NONE)?;
    let [messages, _] = &mut fds;
    if messages.any().unwrap_or(false) {
        return Ok(true);
    }
    // What it sent before its end is there by now.
    poll_again(std::slice::from_mut(messages), PollTimeout::ZERO)
}

/// Waits for the end of a process.
fn wait_for(process: BorrowedFd<'_>) -> Result<()> {
    poll_again(&mut [PollFd::new(process, PollFlags::POLLIN)], PollTimeout::NONE).map(drop)
}

/// poll(2), whatever signals come; whether something is ready.
fn poll_again(fds: &mut [PollFd<'_>], timeout: PollTimeout) -> Result<bool> {
    loop {
        match poll(fds, timeout) {
            Err(Errno::EINTR) => {}
            other => return other.map(|ready| ready > 0).at(|| "poll"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive() {
        let (runtime, init) = Channel::pair().unwrap();
        for message in [
            Message::Pid(4711),
            Message::Network,
            Message::Source(12),
            Message::Mounted,
            Message::Courier,
            Message::Seccomp(7),
            Message::Limits,
            Message::Ready,
            Message::Failure("x: no such file or directory".to_owned()),
            Message::Refused("exec /x: exec format error".to_owned()),
        ] {
            init.send(&message).unwrap();
            assert_eq!(runtime.receive().unwrap(), message);
        }
        runtime.go_on().unwrap();
        init.await_go_on().unwrap();
        runtime.go_on().unwrap();
        assert!(init.await_execute().is_err());
        drop(init);
        assert_eq!(runtime.receive().unwrap(), Message::End);
    }

    #[test]
    fn trees_are_handed_over() {
        let (runtime, init) = Channel::pair().unwrap();
        for locked in [true, false] {
            let mount = std::fs::File::open("/").unwrap().into();
            runtime.give_tree(Ok(Tree { mount, locked })).unwrap();
            assert_eq!(init.await_tree().unwrap().locked, locked);
        }
        runtime.give_tree(Err(Error::config("no such thing"))).unwrap();
        assert_eq!(init.await_tree().err().unwrap().to_string(), "no such thing");
        drop(runtime);
        assert!(init.await_tree().is_err());
    }

    #[test]
    fn the_listener_comes_with_the_end_of_its_courier() {
        let (runtime, init) = Channel::pair().unwrap();
        let listener = std::fs::File::open("/dev/null").unwrap();
        let mut courier = std::process::Command::new("true").spawn().unwrap();
        let pidfd = crate::sys::child::open(courier.id().cast_signed()).unwrap();
        console::send_fd(init.as_fd(), pidfd.as_fd(), &[0]).unwrap();
        init.give_listener(listener.as_fd()).unwrap();
        assert!(runtime.await_listener().is_ok());
        // Killed before it sent anything.
        console::send_fd(init.as_fd(), pidfd.as_fd(), &[0]).unwrap();
        let error = runtime.await_listener().unwrap_err().to_string();
        assert!(error.contains("has been killed"), "{error}");
        // Init could not load the filter.
        console::send_fd(init.as_fd(), pidfd.as_fd(), &[0]).unwrap();
        init.send(&Message::Failure("seccomp: too big".to_owned())).unwrap();
        assert_eq!(runtime.await_listener().unwrap_err().to_string(), "seccomp: too big");
        courier.wait().unwrap();
    }

    #[test]
    fn a_dead_runtime_is_noticed() {
        let (runtime, init) = Channel::pair().unwrap();
        drop(runtime);
        assert!(init.await_go_on().is_err());
        assert!(init.send(&Message::Ready).is_err());
    }
}
