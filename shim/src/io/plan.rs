//! From the names in a request to open descriptors.

use super::attach::Hub;
use super::console::Console;
use super::json_log::JsonLog;
use super::logger;
use super::open::{Owner, append, fifo_both, fifo_in, fifo_out, null, pipe, plain_pipe};
use super::relay::{Input, Output, Sink};
use super::uri::{Kept, Target};
use super::{Given, ProcessIo, source};
use crate::error::{Error, Result};
use crate::poller::{Part, Poller};
use nix::sys::epoll::EpollFlags;
use std::os::fd::OwnedFd;
use std::path::Path;

/// The streams' names as the request gave them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Standard input.
    pub stdin: String,
    /// Standard output.
    pub stdout: String,
    /// Standard error; with a terminal there is none.
    pub stderr: String,
    /// The process gets a terminal.
    pub terminal: bool,
}

impl Names {
    /// Whether clients attach by a socket: it has to be there before the process writes.
    pub fn are_kept(&self) -> bool {
        matches!(Target::parse(&self.stdout), Ok(Target::Kept(_)))
    }
}

/// All that is needed to open the streams of a process.
#[derive(Debug)]
pub struct Streams<'a> {
    /// Their names.
    pub names: &'a Names,
    /// Who the container's ends are given to.
    pub owner: Owner,
    /// The container may not have files of the host's: relay everything.
    pub confined: bool,
    /// The container.
    pub id: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// Its bundle.
    pub bundle: &'a Path,
    /// The process's number in the poller.
    pub io: u64,
}

impl Streams<'_> {
    /// Opens everything.
    ///
    /// # Errors
    /// A name that makes no sense; open(2)'s and pipe(2)'s.
    pub fn open(&self, poller: &mut Poller) -> Result<(ProcessIo, Given)> {
        let mut io = ProcessIo { id: self.io, ..ProcessIo::default() };
        match self.fill(&mut io, poller) {
            Ok(given) => Ok((io, given)),
            Err(error) => {
                io.close(poller);
                Err(error)
            }
        }
    }

    fn fill(&self, io: &mut ProcessIo, poller: &mut Poller) -> Result<Given> {
        let stdout = Target::parse(&self.names.stdout)?;
        let mut given = Given { stdin: null()?, stdout: null()?, stderr: null()? };
        if self.names.terminal {
            io.console = Some(Console::listen(self.bundle, format!("pty{}", self.io))?);
            io.terminal_sink = Some(self.terminal_sink(io, stdout, poller)?);
            if let Some(input) = self.terminal_input(io)? {
                io.terminal_input = Some(input);
            }
            return Ok(given);
        }
        match stdout {
            Target::Logger { program, arguments, says_ready } => {
                let (out, err) = (plain_pipe()?, plain_pipe()?);
                io.needs_word = says_ready;
                self.log_by(io, &program, &arguments, [&out.0, &err.0], poller)?;
                // Held: should the logger die, the container is not to get SIGPIPE.
                io.held.extend([out.0, err.0]);
                (given.stdout, given.stderr) = (out.1, err.1);
            }
            Target::Kept(kept) => {
                Self::keep(io, &kept, poller)?;
                given.stdout = relayed(io, 0, Sink::Kept, poller)?;
                if !self.names.stderr.is_empty() {
                    given.stderr = relayed(io, 1, Sink::Kept, poller)?;
                }
            }
            other => {
                given.stdout = self.output(io, 0, other, poller)?;
                given.stderr = self.output(io, 1, Target::parse(&self.names.stderr)?, poller)?;
            }
        }
        given.stdin = self.input(io, poller)?;
        for end in [&given.stdin, &given.stdout, &given.stderr] {
            self.give(end)?;
        }
        Ok(given)
    }

    /// /dev/null is the host's: only pipes and fifos change hands.
    fn give(&self, end: &OwnedFd) -> Result<()> {
        use nix::sys::stat::{SFlag, fstat};
        let kind = fstat(end).map_or(0, |stat| stat.st_mode) & SFlag::S_IFMT.bits();
        if kind == SFlag::S_IFIFO.bits() { self.owner.give(end) } else { Ok(()) }
    }

    fn output(
        &self,
        io: &mut ProcessIo,
        index: usize,
        target: Target,
        poller: &mut Poller,
    ) -> Result<OwnedFd> {
        match target {
            Target::Null => null(),
            Target::Fifo(path) if self.confined => {
                relayed(io, index, Sink::Pipe(fifo_both(&path)?), poller)
            }
            Target::Fifo(path) => {
                let (end, held) = fifo_out(&path)?;
                io.held.extend(held);
                Ok(end)
            }
            Target::File(path) if self.confined => {
                relayed(io, index, Sink::File(append(&path)?), poller)
            }
            Target::File(path) => append(&path),
            Target::Logger { .. } | Target::Kept(_) => Err(Error::invalid(format!(
                "stderr {:?}: stdout names something else",
                self.names.stderr
            ))),
        }
    }

    fn input(&self, io: &mut ProcessIo, poller: &mut Poller) -> Result<OwnedFd> {
        match Target::parse(&self.names.stdin)? {
            Target::Null => null(),
            Target::Fifo(path) => {
                let (end, held) = fifo_in(&path)?;
                io.input_held = held;
                if !self.confined {
                    return Ok(end);
                }
                let (reading, writing) = pipe(false)?;
                io.input = Some(Input::new(writing, Some(end), false, io.id, poller)?);
                Ok(reading)
            }
            Target::Kept(_) => {
                let (reading, writing) = pipe(false)?;
                io.input = Some(Input::new(writing, None, false, io.id, poller)?);
                io.invite(true, poller);
                Ok(reading)
            }
            Target::File(_) | Target::Logger { .. } => {
                Err(Error::invalid(format!("stdin {:?}: not a fifo", self.names.stdin)))
            }
        }
    }

    fn terminal_sink(
        &self,
        io: &mut ProcessIo,
        target: Target,
        poller: &mut Poller,
    ) -> Result<Sink> {
        Ok(match target {
            Target::Null => Sink::File(null()?),
            Target::Fifo(path) => Sink::Pipe(fifo_both(&path)?),
            Target::File(path) => Sink::File(append(&path)?),
            Target::Logger { program, arguments, says_ready } => {
                let (reading, writing) = pipe(false)?;
                io.needs_word = says_ready;
                self.log_by(io, &program, &arguments, [&reading, &null()?], poller)?;
                Sink::Pipe(writing)
            }
            Target::Kept(kept) => {
                Self::keep(io, &kept, poller)?;
                Sink::Kept
            }
        })
    }

    fn terminal_input(&self, io: &mut ProcessIo) -> Result<Option<(Option<OwnedFd>, bool)>> {
        match Target::parse(&self.names.stdin)? {
            Target::Null => Ok(None),
            Target::Fifo(path) => {
                let (end, held) = fifo_in(&path)?;
                io.input_held = held;
                Ok(Some((Some(end), false)))
            }
            Target::Kept(_) => Ok(Some((None, true))),
            Target::File(_) | Target::Logger { .. } => {
                Err(Error::invalid(format!("stdin {:?}: not a fifo", self.names.stdin)))
            }
        }
    }

    fn keep(io: &mut ProcessIo, kept: &Kept, poller: &mut Poller) -> Result<()> {
        io.stdin_once = kept.stdin_once;
        if let Some(path) = &kept.log {
            io.log = Some(JsonLog::open(path, kept)?);
        }
        if let Some(path) = &kept.attach {
            io.hub = Some(Hub::listen(path, io.id, poller)?);
        }
        Ok(())
    }

    fn log_by(
        &self,
        io: &mut ProcessIo,
        program: &Path,
        arguments: &[String],
        streams: [&OwnedFd; 2],
        poller: &mut Poller,
    ) -> Result<()> {
        let (reading, writing) = pipe(true)?;
        let [out, err] = streams.map(super::clone);
        let start = logger::Start { program, arguments, id: self.id, namespace: self.namespace };
        let (out, err) = (out?, err?);
        io.logger = Some(start.run([out, err, writing])?);
        let token = poller.add(&reading, EpollFlags::EPOLLIN, source(io.id, Part::Ready))?;
        io.ready = Some((reading, token));
        Ok(())
    }
}

/// A pipe whose other end is relayed.
fn relayed(io: &mut ProcessIo, index: usize, sink: Sink, poller: &mut Poller) -> Result<OwnedFd> {
    let (reading, writing) = pipe(true)?;
    io.outputs[index] = Some(Output::new(reading, sink, io.id, index, poller)?);
    Ok(writing)
}
