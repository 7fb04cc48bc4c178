//! The server: one thread, one loop, nothing in it that waits.
//!
//! Engines run as children; what follows when one ends is its job's [`jobs::Step`]. A child that
//! has not been waited for keeps its pid, and every process of a container becomes a child of
//! this subreaper, so pids are as good as pidfds here and cost no descriptor each
//! (docs/adr/031-shim-exits.md).

mod calls;
mod connection;
mod container;
mod exec;
mod exits;
mod idle;
mod jobs;
mod lifecycle;
mod log;
mod oom;
mod publish;
mod query;
mod timers;

use crate::args::Args;
use crate::cgroup::Layout;
use crate::diet;
use crate::error::{At, Error, Result};
use crate::io::attach::Hub;
use crate::io::{Given, ProcessIo};
use crate::poller::{Poller, Source, Token};
use connection::Connection;
use container::Container;
use idle::Idle;
use jobs::Job;
use log::Log;
use nix::sys::epoll::EpollFlags;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::{getegid, geteuid};
use oom::Oom;
use publish::Publisher;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use timers::{Timer, Timers};

/// What a shim that was told to shut down still waits for its events to be taken.
const LAST_WORDS: Duration = Duration::from_secs(30);

/// Where an answer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reply {
    connection: u64,
    stream: u32,
}

/// A call that waits for another one on the same process to end.
#[derive(Debug)]
struct Deferred {
    id: String,
    exec_id: String,
    method: String,
    payload: Vec<u8>,
    reply: Reply,
}

/// A create or start that waits for a logger.
#[derive(Debug)]
struct Waiting {
    id: String,
    exec_id: String,
    given: Given,
    payload: Vec<u8>,
    reply: Reply,
}

/// Everything a shim knows.
struct Server {
    namespace: String,
    socket: Option<PathBuf>,
    log: Log,
    poller: Poller,
    layout: Layout,
    /// Until it is told to end: then a new shim may take the socket's name.
    listener: Option<(UnixListener, Token)>,
    signals: SignalFd,
    connections: BTreeMap<u64, Connection>,
    containers: BTreeMap<String, Container>,
    ios: BTreeMap<u64, ProcessIo>,
    /// Attached clients of processes that are gone, which are behind. They get theirs however
    /// long they take: a pager may be one.
    leaving: BTreeMap<u64, Hub>,
    jobs: BTreeMap<u32, Job>,
    deferred: Vec<Deferred>,
    waiting: BTreeMap<u64, Waiting>,
    /// Loggers that were asked to end.
    loggers: BTreeSet<u32>,
    events: Publisher,
    oom: Oom,
    timers: Timers,
    idle: Idle,
    /// Numbers for connections, streams and files.
    last_number: u64,
    /// When to end at the latest; events still to be delivered may take until then.
    ending: Option<Instant>,
}

/// Serves on `inherited`, or else on the socket the arguments name, until told to shut down.
///
/// # Errors
/// No socket, or the kernel refuses what the loop needs.
pub fn serve(args: &Args, inherited: Option<OwnedFd>) -> Result<()> {
    let mut server = Server::new(args, inherited)?;
    let ended = server.run();
    server.stop_listening();
    if let Err(error) = &ended {
        server.log.warn(&error.to_string());
    }
    ended
}

impl Server {
    fn new(args: &Args, inherited: Option<OwnedFd>) -> Result<Self> {
        // Before any child can end.
        let mut wanted = SigSet::empty();
        for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT] {
            wanted.add(signal);
        }
        wanted.thread_block().at(|| "block signals".to_owned())?;
        set_child_subreaper(true).at(|| "become a subreaper".to_owned())?;
        diet::keep_to(diet::kept())?;
        let listener = match (inherited, &args.socket) {
            (Some(fd), _) => UnixListener::from(fd),
            (None, Some(path)) => {
                UnixListener::bind(path).at(|| format!("listen on {}", path.display()))?
            }
            (None, None) => {
                return Err(Error::invalid("no socket: containerd starts a shim by `start`"));
            }
        };
        listener.set_nonblocking(true).at(|| "set O_NONBLOCK".to_owned())?;
        let mut poller = Poller::new()?;
        let signals = SignalFd::with_flags(&wanted, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            .at(|| "make a signalfd".to_owned())?;
        poller.add(&signals, EpollFlags::EPOLLIN, Source::Signals)?;
        let token = poller.add(&listener, EpollFlags::EPOLLIN, Source::Listener)?;
        let mut server = Self {
            namespace: args.namespace.clone(),
            socket: args.socket.clone(),
            log: Log::open(args.debug),
            poller,
            layout: Layout::read()?,
            listener: Some((listener, token)),
            signals,
            connections: BTreeMap::new(),
            containers: BTreeMap::new(),
            ios: BTreeMap::new(),
            leaving: BTreeMap::new(),
            jobs: BTreeMap::new(),
            deferred: Vec::new(),
            waiting: BTreeMap::new(),
            loggers: BTreeSet::new(),
            events: Publisher::new(args),
            oom: Oom::default(),
            timers: Timers::default(),
            idle: Idle::default(),
            last_number: 0,
            ending: None,
        };
        server.timers.after(idle::EVERY, Timer::Idle);
        Ok(server)
    }

    fn run(&mut self) -> Result<()> {
        loop {
            if let Some(limit) = self.ending {
                let over = limit <= Instant::now();
                if self.leaving.is_empty() && (over || self.all_is_said()) {
                    return Ok(());
                }
            }
            let limit = self.ending.filter(|limit| *limit > Instant::now());
            let wait = limit.into_iter().chain(self.timers.next()).min();
            let wait = wait.map(|at| at.saturating_duration_since(Instant::now()));
            for (token, flags) in self.poller.wait(wait)? {
                // An earlier one of this round may have taken it out.
                if let Some(source) = self.poller.source(token) {
                    self.dispatch(source, flags);
                }
            }
            while let Some(timer) = self.timers.due(Instant::now()) {
                self.expire(timer);
            }
        }
    }

    /// Whether all events are delivered and all answers written.
    fn all_is_said(&self) -> bool {
        self.events.is_empty() && self.connections.values().all(Connection::is_flushed)
    }

    fn dispatch(&mut self, source: Source, flags: EpollFlags) {
        match source {
            Source::Listener => self.accept(),
            Source::Signals => self.signal(),
            Source::Connection(number) => self.connection(number, flags),
            Source::Publisher => {
                self.events.ready(&mut self.poller, &mut self.timers, &self.log);
            }
            Source::OomEvent | Source::OomFiles => {
                self.oom.clear();
                self.check_oom(true);
            }
            Source::Io(number, part) => {
                if let Some(io) = self.ios.get_mut(&number) {
                    io.handle(part, flags, &mut self.poller);
                    self.stream_changed(number);
                } else if let Some(hub) = self.leaving.get_mut(&number)
                    && let crate::poller::Part::Client(client) = part
                {
                    hub.ready(client, flags, &mut [], &mut self.poller);
                    if hub.is_empty() {
                        self.leaving.remove(&number);
                    }
                }
            }
        }
    }

    fn expire(&mut self, timer: Timer) {
        match timer {
            Timer::Publish => {
                self.events.try_next(&mut self.poller, &mut self.timers, &self.log);
            }
            Timer::Answer(round) => {
                self.events.overdue(round, &mut self.poller, &mut self.timers, &self.log);
            }
            Timer::Oom => self.check_oom(false),
            Timer::Rest => self.settle_rest(),
            Timer::Drain(number) => {
                if let Some(io) = self.ios.get_mut(&number) {
                    io.abandon(&mut self.poller);
                }
                self.stream_changed(number);
            }
            Timer::KillLogger(pid) => self.kill_logger(pid),
            Timer::Idle => {
                let of_use = !(self.containers.is_empty()
                    && self.jobs.is_empty()
                    && self.waiting.is_empty());
                if self.idle.look(of_use, !self.connections.is_empty()) {
                    self.end();
                } else {
                    self.timers.after(idle::EVERY, Timer::Idle);
                }
            }
        }
    }

    /// Ends when the last events are delivered, and clients have what their processes wrote.
    fn end(&mut self) {
        self.ending.get_or_insert_with(|| Instant::now() + LAST_WORDS);
        self.stop_listening();
    }

    /// The name goes first: whoever finds nobody there may take it at once.
    fn stop_listening(&mut self) {
        if let Some(socket) = self.socket.take() {
            let _ = fs::remove_file(socket);
        }
        if let Some((listener, token)) = self.listener.take() {
            self.poller.remove(&listener, token);
        }
    }

    fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    fn accept(&mut self) {
        let Some((listener, _)) = &self.listener else { return };
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) => {
                if error.kind() != std::io::ErrorKind::WouldBlock {
                    self.log.warn(&format!("accept: {error}"));
                }
                return;
            }
        };
        // The socket's mode admits its owner only; a second look costs nothing.
        let own = (geteuid().as_raw(), getegid().as_raw());
        match getsockopt(&stream, PeerCredentials) {
            Ok(peer) if (peer.uid(), peer.gid()) == own => {}
            _ => {
                self.log.warn("a connection by another user was refused");
                return;
            }
        }
        let number = self.number();
        match Connection::new(stream, number, &mut self.poller) {
            Ok(connection) => {
                self.connections.insert(number, connection);
            }
            Err(error) => self.log.warn(&error.to_string()),
        }
    }

    fn connection(&mut self, number: u64, flags: EpollFlags) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let frames = connection.ready(flags, &mut self.poller);
        let closed = connection.is_closed();
        for frame in frames {
            self.frame(number, frame);
        }
        if closed && let Some(connection) = self.connections.remove(&number) {
            connection.close(&mut self.poller);
        }
    }

    /// Answers a call. Whoever asked may be gone: then nobody is told.
    fn reply(&mut self, reply: Reply, outcome: Result<Vec<u8>>) {
        if let Err(error) = &outcome {
            self.log.debug(&format!("answer: {error}"));
        }
        if let Some(connection) = self.connections.get_mut(&reply.connection) {
            connection.send(&crate::ttrpc::response(reply.stream, outcome), &mut self.poller);
            if connection.is_closed()
                && let Some(connection) = self.connections.remove(&reply.connection)
            {
                connection.close(&mut self.poller);
            }
        }
    }

    fn signal(&mut self) {
        while let Ok(Some(info)) = self.signals.read_signal() {
            let number = i32::try_from(info.ssi_signo).unwrap_or(0);
            if number == Signal::SIGTERM as i32 || number == Signal::SIGINT as i32 {
                self.log.warn("told to end by a signal; containers go on without a shim");
                for mut hub in std::mem::take(&mut self.leaving).into_values() {
                    hub.drop_all(&mut self.poller);
                }
                self.end();
            }
        }
        self.reap();
    }
}
