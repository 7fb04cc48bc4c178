//! The standard streams of one process: what its engine is given, and what is kept of them here.
//!
//! Where a client's fifo, a file or a logger's pipe can be given to the container itself, it is,
//! and nothing is copied: the shim holds one end open and the output goes on even without it.
//! Bytes pass through the shim only for terminals, for `json-file://` and `none://`, and for
//! containers under a security module that would not let them use a file of the host's.

pub mod attach;
pub mod console;
pub mod json_log;
pub mod logger;
pub mod open;
mod plan;
mod relay;
pub mod uri;

pub use plan::{Names, Streams};
pub use relay::Input;

use crate::error::Result;
use crate::poller::{Part, Poller, Source, Token};
use crate::proto::Timestamp;
use attach::Hub;
use console::Console;
use json_log::JsonLog;
use nix::sys::epoll::EpollFlags;
use relay::{Output, Sink};
use std::os::fd::{AsFd, OwnedFd};

/// What is read at once.
const PIECE: usize = 16 * 1024;

/// What an engine is given as standard streams.
#[derive(Debug)]
pub struct Given {
    /// Standard input.
    pub stdin: OwnedFd,
    /// Standard output.
    pub stdout: OwnedFd,
    /// Standard error.
    pub stderr: OwnedFd,
}

/// What the shim keeps of a process's streams.
#[derive(Debug, Default)]
pub struct ProcessIo {
    /// Its number in the poller.
    id: u64,
    /// Reading ends that are only held open.
    held: Vec<OwnedFd>,
    /// The writing end of the client's input, held until it asks to close.
    input_held: Option<OwnedFd>,
    outputs: [Option<Output>; 2],
    input: Option<Input>,
    hub: Option<Hub>,
    log: Option<JsonLog>,
    stdin_once: bool,
    /// The process has ended.
    ended: bool,
    console: Option<Console>,
    /// What the terminal's output and input will be tied to, once there is one.
    terminal_sink: Option<Sink>,
    terminal_input: Option<(Option<OwnedFd>, bool)>,
    terminal: Option<OwnedFd>,
    /// The pipe a logger says it is ready on.
    ready: Option<(OwnedFd, Token)>,
    ready_said: bool,
    needs_word: bool,
    /// The logger.
    pub logger: Option<u32>,
}

impl ProcessIo {
    /// The socket the engine sends the terminal to.
    pub fn console_path(&self) -> Option<std::path::PathBuf> {
        self.console.as_ref().map(Console::path)
    }

    /// Takes the terminal from the engine that has just made it, and begins to relay it.
    pub fn take_terminal(&mut self, poller: &mut Poller) -> Result<()> {
        let Some(console) = self.console.take() else { return Ok(()) };
        let master = console.receive()?;
        if let Some(sink) = self.terminal_sink.take() {
            let reading = clone(&master)?;
            self.outputs[0] = Some(Output::new(reading, sink, self.id, 0, poller)?);
        }
        if let Some((source, clients)) = self.terminal_input.take() {
            let writing = clone(&master)?;
            self.input = Some(Input::new(writing, source, true, self.id, poller)?);
            self.invite(clients, poller);
        }
        self.terminal = Some(master);
        Ok(())
    }

    fn invite(&mut self, clients: bool, poller: &mut Poller) {
        if let Some(hub) = &mut self.hub
            && clients
        {
            hub.take_input(true, poller);
        }
    }

    /// Sets the terminal's size; without a terminal nothing happens, as in containerd's shim.
    pub fn resize(&self, width: u32, height: u32) -> Result<()> {
        use crate::error::At;
        let Some(terminal) = &self.terminal else { return Ok(()) };
        let small = |size: u32| u16::try_from(size).unwrap_or(u16::MAX);
        crate::sys::resize(terminal.as_fd(), small(width), small(height))
            .at(|| "resize the terminal".to_owned())
    }

    /// A client has closed the process's input.
    pub fn close_input(&mut self, poller: &mut Poller) {
        self.input_held = None;
        if self.hub.is_some() {
            self.end_input(poller);
        }
    }

    /// Closes the process's input when what came before is written. A terminal stays open.
    fn end_input(&mut self, poller: &mut Poller) {
        if let Some(hub) = &mut self.hub {
            hub.take_input(false, poller);
        }
        if let Some(input) = &mut self.input
            && input.end()
        {
            self.drop_input(poller);
        }
    }

    fn drop_input(&mut self, poller: &mut Poller) {
        if let Some(input) = self.input.take() {
            input.close(poller);
        }
    }

    /// Whether a logger has still to say that it is ready.
    pub fn waits_for_logger(&self) -> bool {
        self.ready.is_some()
    }

    /// Whether a logger that is waited for no more is ready.
    pub fn logger_is_ready(&self) -> bool {
        self.logger.is_none() || self.ready_said || !self.needs_word
    }

    /// Whether all output has been passed on.
    pub fn is_drained(&self) -> bool {
        self.outputs.iter().all(Option::is_none)
    }

    /// Gives up output that somebody else keeps open.
    pub fn abandon(&mut self, poller: &mut Poller) {
        for index in 0..2 {
            self.drop_output(index, poller);
        }
    }

    /// Takes on clients that wait, before the process writes anything.
    pub fn admit(&mut self, poller: &mut Poller) {
        if let Some(hub) = &mut self.hub {
            hub.accept(poller);
        }
    }

    /// The process writes no more. What it has written goes to the log even if a client is
    /// behind: there is at most a pipe full of it.
    pub fn process_ended(&mut self, poller: &mut Poller) {
        self.ended = true;
        self.balance(poller);
    }

    /// Reads output only as fast as the attached clients take it, as Docker does: a process that
    /// is ahead of them waits in write(2).
    fn balance(&mut self, poller: &mut Poller) {
        let Some(hub) = &self.hub else { return };
        let wait = hub.is_behind(self.ended);
        for index in 0..2 {
            let given_up = match &mut self.outputs[index] {
                Some(output) if output.is_kept() => !output.hold(wait, poller),
                _ => false,
            };
            if given_up {
                self.drop_output(index, poller);
            }
        }
    }

    /// Deals with one of the parts.
    pub fn handle(&mut self, part: Part, flags: EpollFlags, poller: &mut Poller) {
        match part {
            Part::Out(index) => self.output(index, poller),
            Part::Sink(index) => {
                let done = self.outputs[index].as_mut().is_some_and(|out| out.flush(poller));
                if done {
                    self.drop_output(index, poller);
                }
            }
            Part::Input | Part::InputSink => self.relay_input(part, flags, poller),
            Part::Attach => self.admit(poller),
            Part::Client(number) => {
                self.client(number, flags, poller);
                self.balance(poller);
            }
            Part::Ready => self.hear_logger(poller),
        }
    }

    fn output(&mut self, index: usize, poller: &mut Poller) {
        let Some(output) = self.outputs[index].as_mut() else { return };
        let mut piece = [0; PIECE];
        let length = match output.read(&mut piece) {
            Ok(None) => return,
            Ok(Some(length)) => length,
            // What can't be read has ended.
            Err(_) => 0,
        };
        let stream = if index == 0 { 1 } else { 2 };
        if length == 0 {
            if let Some(log) = &mut self.log {
                // A full disk loses output, as with any log.
                let _ = log.finish(stream, Timestamp::now());
            }
            if output.end(poller) {
                self.drop_output(index, poller);
            }
            return;
        }
        let bytes = &piece[..length];
        if output.is_kept() {
            if let Some(log) = &mut self.log {
                let _ = log.write(stream, bytes, Timestamp::now());
            }
            if let Some(hub) = &mut self.hub {
                hub.broadcast(stream, bytes, poller);
            }
            self.balance(poller);
        } else {
            output.write(bytes, poller);
        }
    }

    fn drop_output(&mut self, index: usize, poller: &mut Poller) {
        if let Some(output) = self.outputs[index].take() {
            output.close(poller);
        }
        if let Some(hub) = &mut self.hub
            && self.outputs.iter().all(Option::is_none)
        {
            hub.end(poller);
        }
    }

    fn relay_input(&mut self, part: Part, flags: EpollFlags, poller: &mut Poller) {
        let Some(input) = &mut self.input else { return };
        let over =
            if part == Part::Input { input.read(poller) } else { input.flush(flags, poller) };
        let room = input.has_room();
        if over {
            self.drop_input(poller);
        } else if room {
            self.invite(true, poller);
        }
    }

    fn client(&mut self, number: u32, flags: EpollFlags, poller: &mut Poller) {
        let Some(hub) = &mut self.hub else { return };
        let mut piece = [0; PIECE];
        match hub.ready(number, flags, &mut piece, poller) {
            attach::Said::Input(length) => {
                let Some(input) = &mut self.input else { return };
                if input.push(&piece[..length], poller) {
                    self.drop_input(poller);
                } else if !input.has_room() {
                    hub.take_input(false, poller);
                }
            }
            attach::Said::End if self.stdin_once => self.end_input(poller),
            attach::Said::Nothing | attach::Said::End => {}
        }
    }

    fn hear_logger(&mut self, poller: &mut Poller) {
        let Some((pipe, token)) = &self.ready else { return };
        let mut word = [0; 16];
        match open::read_some(pipe, &mut word) {
            Ok(None) => {}
            Ok(Some(length)) if length > 0 => self.ready_said = true,
            // The end: it has closed the pipe, or it is dead.
            _ => {
                poller.remove(pipe, *token);
                self.ready = None;
            }
        }
    }

    /// Closes everything. Returns attached clients that have still to get what was written.
    pub fn close(mut self, poller: &mut Poller) -> Option<Hub> {
        for index in 0..2 {
            if let Some(output) = self.outputs[index].take() {
                output.close(poller);
            }
        }
        self.drop_input(poller);
        if let Some((pipe, token)) = self.ready.take() {
            poller.remove(&pipe, token);
        }
        let mut hub = self.hub.take()?;
        hub.close(poller);
        (!hub.is_empty()).then_some(hub)
    }
}

fn clone(fd: &OwnedFd) -> Result<OwnedFd> {
    use crate::error::At;
    fd.try_clone().at(|| "duplicate the terminal".to_owned())
}

/// What a part of these streams is called in the poller.
fn source(id: u64, part: Part) -> Source {
    Source::Io(id, part)
}
