//! Bytes on their way between a process and a client. Each direction holds at most what it has
//! read at once: while that waits to be written, nothing more is read.

use super::open::{no_wait, read_some, write_some};
use super::{PIECE, source};
use crate::error::Result;
use crate::poller::{Part, Poller, Token};
use nix::errno::Errno;
use nix::sys::epoll::EpollFlags;
use std::os::fd::OwnedFd;

/// Where output goes.
#[derive(Debug)]
pub enum Sink {
    /// A fifo or pipe that may be full.
    Pipe(OwnedFd),
    /// A file, which never is.
    File(OwnedFd),
    /// The log and the attached clients.
    Kept,
}

/// Output of a process.
#[derive(Debug)]
pub struct Output {
    from: Option<OwnedFd>,
    from_token: Option<Token>,
    sink: Sink,
    sink_token: Option<Token>,
    pending: Vec<u8>,
    id: u64,
    index: usize,
}

impl Output {
    /// Begins to read.
    pub fn new(
        from: OwnedFd,
        sink: Sink,
        id: u64,
        index: usize,
        poller: &mut Poller,
    ) -> Result<Self> {
        let token = poller.add(&from, EpollFlags::EPOLLIN, source(id, Part::Out(index)))?;
        Ok(Self {
            from: Some(from),
            from_token: Some(token),
            sink,
            sink_token: None,
            pending: Vec::new(),
            id,
            index,
        })
    }

    /// Whether the log and clients get it.
    pub fn is_kept(&self) -> bool {
        matches!(self.sink, Sink::Kept)
    }

    /// Reads what there is; 0 is the end.
    pub fn read(&mut self, piece: &mut [u8]) -> Result<Option<usize>, Errno> {
        self.from.as_ref().map_or(Ok(None), |from| read_some(from, piece))
    }

    /// Writes, and stops reading until all is written.
    pub fn write(&mut self, bytes: &[u8], poller: &mut Poller) {
        let target = match &self.sink {
            Sink::Kept => return,
            Sink::Pipe(target) | Sink::File(target) => target,
        };
        // A reader that is gone for good (EPIPE), a full disk: the process is not to suffer.
        let written = write_some(target, bytes).unwrap_or(bytes.len());
        if written == bytes.len() {
            return;
        }
        self.pending = bytes[written..].to_vec();
        let part = source(self.id, Part::Sink(self.index));
        match poller.add(target, EpollFlags::EPOLLOUT, part) {
            Ok(token) => {
                self.sink_token = Some(token);
                self.pause(poller);
            }
            Err(_) => self.pending = Vec::new(),
        }
    }

    fn pause(&mut self, poller: &mut Poller) {
        if let (Some(from), Some(token)) = (&self.from, self.from_token.take()) {
            poller.remove(from, token);
        }
    }

    /// Reads again; false if that can't be.
    fn go_on(&mut self, poller: &mut Poller) -> bool {
        if let (Some(from), None) = (&self.from, self.from_token) {
            let part = source(self.id, Part::Out(self.index));
            self.from_token = poller.add(from, EpollFlags::EPOLLIN, part).ok();
            return self.from_token.is_some();
        }
        true
    }

    /// Stops reading, or goes on; false if it can't go on.
    pub fn hold(&mut self, wait: bool, poller: &mut Poller) -> bool {
        if wait {
            self.pause(poller);
            return true;
        }
        self.go_on(poller)
    }

    /// Writes what waited; true when that was the last.
    pub fn flush(&mut self, poller: &mut Poller) -> bool {
        let (Sink::Pipe(target) | Sink::File(target)) = &self.sink else { return false };
        let written = write_some(target, &self.pending).unwrap_or(self.pending.len());
        self.pending.drain(..written);
        if !self.pending.is_empty() {
            return false;
        }
        self.pending = Vec::new();
        if let Some(token) = self.sink_token.take() {
            poller.remove(target, token);
        }
        self.from.is_none() || !self.go_on(poller)
    }

    /// The process has written its last; true if nothing waits to be written.
    pub fn end(&mut self, poller: &mut Poller) -> bool {
        self.pause(poller);
        self.from = None;
        self.pending.is_empty()
    }

    /// Lets everything go.
    pub fn close(mut self, poller: &mut Poller) {
        self.pause(poller);
        if let (Sink::Pipe(target), Some(token)) = (&self.sink, self.sink_token) {
            poller.remove(target, token);
        }
    }
}

/// Input of a process, from a fifo or from attached clients.
#[derive(Debug)]
pub struct Input {
    to: OwnedFd,
    to_token: Option<Token>,
    from: Option<OwnedFd>,
    from_token: Option<Token>,
    pending: Vec<u8>,
    ended: bool,
    terminal: bool,
    id: u64,
}

impl Input {
    /// Begins to read from the client's fifo, if there is one.
    pub fn new(
        to: OwnedFd,
        from: Option<OwnedFd>,
        terminal: bool,
        id: u64,
        poller: &mut Poller,
    ) -> Result<Self> {
        let mut input = Self {
            to,
            to_token: None,
            from,
            from_token: None,
            pending: Vec::new(),
            ended: false,
            terminal,
            id,
        };
        if let Some(from) = &input.from {
            no_wait(from)?;
            let part = source(id, Part::Input);
            input.from_token = Some(poller.add(from, EpollFlags::EPOLLIN, part)?);
        }
        Ok(input)
    }

    /// Whether more may be pushed.
    pub fn has_room(&self) -> bool {
        self.pending.is_empty() && !self.ended
    }

    /// Reads from the fifo; true when the input is over.
    pub fn read(&mut self, poller: &mut Poller) -> bool {
        let Some(from) = &self.from else { return false };
        let mut piece = [0; PIECE];
        match read_some(from, &mut piece) {
            Ok(None) => false,
            Ok(Some(length)) if length > 0 => self.push(&piece[..length], poller),
            _ => {
                self.pause(poller);
                self.from = None;
                self.end()
            }
        }
    }

    /// Writes to the process; true when it reads no more.
    pub fn push(&mut self, bytes: &[u8], poller: &mut Poller) -> bool {
        let Ok(written) = write_some(&self.to, bytes) else { return true };
        if written < bytes.len() {
            self.pending = bytes[written..].to_vec();
            self.pause(poller);
            let part = source(self.id, Part::InputSink);
            self.to_token = poller.add(&self.to, EpollFlags::EPOLLOUT, part).ok();
            return self.to_token.is_none();
        }
        false
    }

    /// Writes what waited; true when the input is over.
    pub fn flush(&mut self, flags: EpollFlags, poller: &mut Poller) -> bool {
        let Ok(written) = write_some(&self.to, &self.pending) else { return true };
        self.pending.drain(..written);
        if !self.pending.is_empty() {
            return flags.contains(EpollFlags::EPOLLERR);
        }
        self.pending = Vec::new();
        if let Some(token) = self.to_token.take() {
            poller.remove(&self.to, token);
        }
        if let (Some(from), None) = (&self.from, self.from_token) {
            self.from_token =
                poller.add(from, EpollFlags::EPOLLIN, source(self.id, Part::Input)).ok();
        }
        self.ended && !self.terminal
    }

    /// No more will come; true when it is over at once. A terminal's input never is: its master
    /// has to stay open for the output.
    pub fn end(&mut self) -> bool {
        self.ended = true;
        self.pending.is_empty() && !self.terminal
    }

    fn pause(&mut self, poller: &mut Poller) {
        if let (Some(from), Some(token)) = (&self.from, self.from_token.take()) {
            poller.remove(from, token);
        }
    }

    /// Lets everything go.
    pub fn close(mut self, poller: &mut Poller) {
        self.pause(poller);
        if let Some(token) = self.to_token.take() {
            poller.remove(&self.to, token);
        }
    }
}
