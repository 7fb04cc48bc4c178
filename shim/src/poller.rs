//! epoll(7) with a name for each descriptor. Everything is level-triggered: whoever does not want
//! to hear of a descriptor takes it out, since an error or hang-up is told unasked.

use crate::error::{At, Result};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::time::Duration;

/// A part of a process's streams that is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Output to be read: 0 is stdout or the terminal, 1 stderr.
    Out(usize),
    /// Where output goes has room again.
    Sink(usize),
    /// The client's end of the input has something.
    Input,
    /// The process's end of the input has room again.
    InputSink,
    /// Somebody wants to attach.
    Attach,
    /// An attached client.
    Client(u32),
    /// A logger says it is ready.
    Ready,
}

/// Whose descriptor it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The listening socket.
    Listener,
    /// The signals that are waited for.
    Signals,
    /// A client's connection.
    Connection(u64),
    /// The connection events go to.
    Publisher,
    /// cgroup v1 tells that some memory ran out.
    OomEvent,
    /// cgroup v2 tells that some file of events changed.
    OomFiles,
    /// Streams of a process.
    Io(u64, Part),
}

/// A descriptor's registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token(u64);

/// The one thing that waits.
#[derive(Debug)]
pub struct Poller {
    epoll: Epoll,
    sources: BTreeMap<u64, Source>,
    next: u64,
}

impl Poller {
    /// A poller that waits for nothing yet.
    ///
    /// # Errors
    /// epoll_create1(2): EMFILE, ENFILE.
    pub fn new() -> Result<Self> {
        let epoll =
            Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).at(|| "make an epoll".to_owned())?;
        Ok(Self { epoll, sources: BTreeMap::new(), next: 0 })
    }

    /// Begins to wait for a descriptor.
    ///
    /// # Errors
    /// epoll_ctl(2): EPERM for a regular file, ENOSPC.
    pub fn add(&mut self, fd: impl AsFd, flags: EpollFlags, source: Source) -> Result<Token> {
        self.next += 1;
        self.epoll
            .add(fd, EpollEvent::new(flags, self.next))
            .at(|| format!("wait for {source:?}"))?;
        self.sources.insert(self.next, source);
        Ok(Token(self.next))
    }

    /// Waits for something else of the same descriptor.
    ///
    /// # Errors
    /// epoll_ctl(2).
    pub fn change(&mut self, fd: impl AsFd, token: Token, flags: EpollFlags) -> Result<()> {
        let mut event = EpollEvent::new(flags, token.0);
        self.epoll.modify(fd, &mut event).at(|| "wait for something else".to_owned())
    }

    /// Stops waiting. The descriptor must still be open: a copy in a child would keep it
    /// registered otherwise.
    pub fn remove(&mut self, fd: impl AsFd, token: Token) {
        self.sources.remove(&token.0);
        // The only error there can be is that it was not registered.
        let _ = self.epoll.delete(fd);
    }

    /// Waits until something happens or the time is over; at most `LIMIT` things at once.
    ///
    /// # Errors
    /// epoll_wait(2), other than EINTR.
    pub fn wait(&mut self, limit: Option<Duration>) -> Result<Vec<(Token, EpollFlags)>> {
        const LIMIT: usize = 32;
        let timeout = limit.map_or(EpollTimeout::NONE, |limit| {
            // Rounded up, lest a timer be found a little too early and the loop spin.
            let millis = limit.as_millis().saturating_add(1);
            EpollTimeout::try_from(millis.min(60_000)).unwrap_or(EpollTimeout::ZERO)
        });
        let mut events = [EpollEvent::empty(); LIMIT];
        let count = match self.epoll.wait(&mut events, timeout) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(errno) => return Err(errno).at(|| "epoll_wait".to_owned()),
        };
        Ok(events[..count].iter().map(|event| (Token(event.data()), event.events())).collect())
    }

    /// Whose token it is; `None` if it was removed since it was reported.
    pub fn source(&self, token: Token) -> Option<Source> {
        self.sources.get(&token.0).copied()
    }
}
