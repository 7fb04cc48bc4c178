//! A client's connection: frames in, answers out, neither waited for.

use crate::error::{At, Result};
use crate::io::open::{read_some, write_some};
use crate::poller::{Poller, Source, Token};
use crate::ttrpc::{Frame, Reader};
use nix::sys::epoll::EpollFlags;
use std::os::unix::net::UnixStream;

/// Answers a client may leave unread before it is cut off.
const BEHIND_LIMIT: usize = 16 << 20;

/// One client.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    token: Token,
    reader: Reader,
    behind: Vec<u8>,
    closed: bool,
}

impl Connection {
    /// Begins to read.
    pub fn new(stream: UnixStream, number: u64, poller: &mut Poller) -> Result<Self> {
        stream.set_nonblocking(true).at(|| "set O_NONBLOCK".to_owned())?;
        let token = poller.add(&stream, EpollFlags::EPOLLIN, Source::Connection(number))?;
        Ok(Self { stream, token, reader: Reader::default(), behind: Vec::new(), closed: false })
    }

    /// Reads and writes what can be; returns the frames that are whole now.
    pub fn ready(&mut self, flags: EpollFlags, poller: &mut Poller) -> Vec<Frame> {
        if flags.contains(EpollFlags::EPOLLOUT) {
            self.flush(poller);
        }
        let mut frames = Vec::new();
        let mut piece = [0; 8192];
        match read_some(&self.stream, &mut piece) {
            Ok(None) => {}
            Ok(Some(length)) if length > 0 => self.reader.push(&piece[..length]),
            _ => self.closed = true,
        }
        while let Some(frame) = self.reader.next_frame() {
            frames.push(frame);
        }
        frames
    }

    /// Sends a frame, or keeps it until there is room.
    pub fn send(&mut self, frame: &[u8], poller: &mut Poller) {
        let waited = !self.behind.is_empty();
        self.behind.extend_from_slice(frame);
        if self.behind.len() > BEHIND_LIMIT {
            self.closed = true;
        } else if !waited {
            self.flush(poller);
        }
    }

    fn flush(&mut self, poller: &mut Poller) {
        let Ok(written) = write_some(&self.stream, &self.behind) else {
            self.closed = true;
            self.behind = Vec::new();
            return;
        };
        self.behind.drain(..written);
        let mut flags = EpollFlags::EPOLLIN;
        flags.set(EpollFlags::EPOLLOUT, !self.behind.is_empty());
        if self.behind.is_empty() {
            self.behind = Vec::new();
        }
        if poller.change(&self.stream, self.token, flags).is_err() {
            self.closed = true;
        }
    }

    /// Everything has been sent.
    pub fn is_flushed(&self) -> bool {
        self.behind.is_empty()
    }

    /// The client is gone.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Lets it go.
    pub fn close(self, poller: &mut Poller) {
        poller.remove(&self.stream, self.token);
    }
}
