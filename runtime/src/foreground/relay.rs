//! Copying between two descriptors without ever waiting for either.

use crate::error::{At, Result};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::sys::termios::tcgetattr;
use nix::unistd::{read, write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

const BUFFER: usize = 16 * 1024;
/// How much is read after the process has ended: no pipe holds more for an unprivileged writer
/// (/proc/sys/fs/pipe-max-size). Without an end, a background process could keep us here.
const LAST_WORDS: usize = 1024 * 1024;

/// Why a copy ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// No more data.
    Source,
    /// Nobody wants the data.
    Sink,
}

/// One direction.
#[derive(Debug)]
pub(super) struct Copy {
    /// None once it has ended, which closes it unless it is shared.
    ends: Option<(Rc<OwnedFd>, Rc<OwnedFd>)>,
    /// Data read and not yet written.
    pending: Vec<u8>,
    /// The most written at once: what a descriptor that may block takes when it is writable.
    limit: usize,
    /// From the process, not to it.
    output: bool,
    /// What may still be read after the end of the process.
    last_words: usize,
}

impl Copy {
    /// From a descriptor of the caller's, which may block, to a non-blocking one of ours.
    pub(super) fn input(source: Rc<OwnedFd>, sink: Rc<OwnedFd>) -> Self {
        Self::new(source, sink, BUFFER, false)
    }

    /// From a non-blocking descriptor of ours to one of the caller's.
    pub(super) fn output(source: Rc<OwnedFd>, sink: BorrowedFd<'_>) -> Result<Self> {
        let (sink, limit) = caller_sink(sink)?;
        Ok(Self::new(source, Rc::new(sink), limit, true))
    }

    fn new(source: Rc<OwnedFd>, sink: Rc<OwnedFd>, limit: usize, output: bool) -> Self {
        let ends = Some((source, sink));
        Self { ends, pending: Vec::new(), limit, output, last_words: LAST_WORDS }
    }

    pub(super) fn is_output(&self) -> bool {
        self.output
    }

    /// What to wait for.
    pub(super) fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        let (source, sink) = self.ends.as_ref()?;
        if self.pending.is_empty() {
            Some((source.as_fd(), PollFlags::POLLIN))
        } else {
            Some((sink.as_fd(), PollFlags::POLLOUT))
        }
    }

    /// Does what [`Copy::interest`] waited for: one read or one write.
    pub(super) fn step(&mut self) -> Option<Ended> {
        let ended = if self.pending.is_empty() { self.fill() } else { self.flush() };
        if matches!(ended, Step::Ended(_)) {
            self.ends = None;
        }
        match ended {
            Step::Ended(ended) => Some(ended),
            Step::Blocked | Step::Moved(_) => None,
        }
    }

    /// Moves what can be moved without waiting; true when nothing is left. For outputs only, as
    /// reading from the caller may block.
    pub(super) fn drain(&mut self) -> bool {
        loop {
            if self.pending.is_empty() {
                match self.fill() {
                    Step::Moved(length) if length <= self.last_words => self.last_words -= length,
                    _ => return true,
                }
            } else if !self.sink_is_ready() {
                return false;
            }
            match self.flush() {
                Step::Moved(_) => {}
                Step::Blocked => return false,
                Step::Ended(_) => return true,
            }
        }
    }

    fn sink_is_ready(&self) -> bool {
        let Some((_, sink)) = &self.ends else { return true };
        let mut fds = [PollFd::new(sink.as_fd(), PollFlags::POLLOUT)];
        poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }

    fn fill(&mut self) -> Step {
        let Some((source, _)) = &self.ends else { return Step::Ended(Ended::Source) };
        self.pending.resize(BUFFER, 0);
        let answer = read(source, &mut self.pending);
        self.pending.truncate(*answer.as_ref().unwrap_or(&0));
        match answer {
            Ok(length) if length > 0 => Step::Moved(length),
            Err(Errno::EAGAIN | Errno::EINTR) => Step::Blocked,
            // Zero is the end of a file or pipe; EIO that of a pty without a peer, or of a
            // terminal whose foreground we are not in. No other error goes away either.
            _ => Step::Ended(Ended::Source),
        }
    }

    fn flush(&mut self) -> Step {
        let Some((_, sink)) = &self.ends else { return Step::Ended(Ended::Sink) };
        let chunk = self.pending.get(..self.limit).unwrap_or(&self.pending);
        match write(sink, chunk) {
            Ok(length) => {
                self.pending.drain(..length.min(self.pending.len()));
                Step::Moved(length)
            }
            Err(Errno::EAGAIN | Errno::EINTR) => Step::Blocked,
            Err(_) => Step::Ended(Ended::Sink),
        }
    }
}

enum Step {
    Moved(usize),
    Blocked,
    Ended(Ended),
}

/// A descriptor for writing to what the caller gave us, and how much to write at once.
///
/// O_NONBLOCK belongs to the open file description, which the caller's shell shares, so it must
/// not be set on the descriptor itself. Pipes and terminals can be opened anew; the others, and
/// those that permissions forbid, get what fits once they are writable.
fn caller_sink(fd: BorrowedFd<'_>) -> Result<(OwnedFd, usize)> {
    let stat = fstat(fd).at(|| format!("fstat({})", fd.as_raw_fd()))?;
    let is_pipe = stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFIFO.bits();
    if is_pipe || tcgetattr(fd).is_ok() {
        let flags = OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
        if let Ok(sink) = open(path.as_str(), flags, Mode::empty()) {
            return Ok((sink, BUFFER));
        }
    }
    let sink = fd.try_clone_to_owned().at(|| format!("dup({})", fd.as_raw_fd()))?;
    Ok((sink, nix::libc::PIPE_BUF))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::{FcntlArg, fcntl};
    use nix::unistd::pipe2;
    use std::fs::File;
    use std::io::{Read, Write};

    fn pipe() -> (OwnedFd, OwnedFd) {
        pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).unwrap()
    }

    #[test]
    fn data_pass_and_the_end_closes() {
        let (source, feed) = pipe();
        let (result, sink) = pipe();
        let mut copy = Copy::input(source.into(), sink.into());
        assert_eq!(copy.step(), None);
        File::from(feed).write_all(b"abc").unwrap();
        assert_eq!((copy.step(), copy.step()), (None, None));
        assert_eq!(copy.step(), Some(Ended::Source));
        assert!(copy.interest().is_none());
        let mut text = String::new();
        File::from(result).read_to_string(&mut text).unwrap();
        assert_eq!(text, "abc");
    }

    #[test]
    fn a_sink_without_reader_ends_it() {
        let (source, feed) = pipe();
        let (reader, sink) = pipe();
        drop(reader);
        let mut copy = Copy::input(source.into(), sink.into());
        File::from(feed).write_all(b"abc").unwrap();
        assert_eq!(copy.step(), None);
        assert_eq!(copy.step(), Some(Ended::Sink));
    }

    #[test]
    fn a_full_sink_is_waited_for_not_lost() {
        let (source, feed) = pipe();
        let (result, sink) = pipe();
        let mut copy = Copy::output(source.into(), sink.as_fd()).unwrap();
        let mut feed = File::from(feed);
        // One pipe's worth is taken, the next stays in the copy and its source.
        feed.write_all(&vec![b'x'; 65536]).unwrap();
        assert!(copy.drain());
        feed.write_all(&vec![b'y'; 65536]).unwrap();
        assert!(!copy.drain());
        assert!(copy.interest().unwrap().1.contains(PollFlags::POLLOUT));
        drop(feed);
        let mut all = Vec::new();
        let mut result = File::from(result);
        while !copy.drain() {
            let mut chunk = [0; 4096];
            let length = result.read(&mut chunk).unwrap();
            all.extend_from_slice(chunk.get(..length).unwrap());
        }
        drop((copy, sink));
        result.read_to_end(&mut all).unwrap();
        assert_eq!(all.len(), 2 * 65536);
        let (first, second) = all.split_at(65536);
        assert!(first.iter().all(|byte| *byte == b'x') && second.iter().all(|byte| *byte == b'y'));
    }

    #[test]
    fn last_words_are_bounded() {
        let source = File::open("/dev/zero").unwrap();
        let sink = File::options().write(true).open("/dev/null").unwrap();
        let mut copy = Copy::output(Rc::new(source.into()), sink.as_fd()).unwrap();
        assert!(copy.drain());
        assert!(copy.last_words < BUFFER);
    }

    #[test]
    fn the_callers_descriptor_keeps_its_flags() {
        let (_reader, writer) = pipe2(OFlag::O_CLOEXEC).unwrap();
        let (sink, limit) = caller_sink(writer.as_fd()).unwrap();
        let flags = |fd: &OwnedFd| OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL).unwrap());
        assert!(flags(&sink).contains(OFlag::O_NONBLOCK) && limit == BUFFER);
        assert!(!flags(&writer).contains(OFlag::O_NONBLOCK));
        let file = tempfile::tempfile().unwrap();
        assert_eq!(caller_sink(file.as_fd()).unwrap().1, nix::libc::PIPE_BUF);
    }
}
