//! Events on their way to containerd: in order, one at a time, tried again until they are taken.

use super::log::Log;
use super::timers::{Timer, Timers};
use crate::args::Args;
use crate::error::{At, Error, Result};
use crate::io::open::{read_some, write_some};
use crate::poller::{Poller, Source, Token};
use crate::proto::events::Event;
use crate::proto::rpc::{ForwardRequest, KeyValue, Request, Response};
use crate::proto::{Any, Envelope, Timestamp};
use crate::sys;
use crate::ttrpc::{NAMESPACE_KEY, Reader, outcome, request};
use nix::sys::epoll::EpollFlags;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, socket};
use prost::Message;
use std::collections::VecDeque;
use std::io::{Seek, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::Duration;

const SERVICE: &str = "containerd.services.events.ttrpc.v1.Events";
/// How many events are kept while nobody takes them; the oldest go first.
const QUEUE_LIMIT: usize = 4096;
/// How long an answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Pauses between tries double from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// How events leave.
#[derive(Debug)]
enum Way {
    /// containerd's ttrpc socket.
    Socket(String),
    /// A program is run for each: `PROGRAM publish`, the way of containerd before 1.2.
    Program { program: String, address: String },
    /// Nobody wants them.
    Nowhere,
}

/// What is under way.
#[derive(Debug)]
enum Trying {
    Nothing,
    /// Sent, the answer is waited for.
    Sent,
    /// The program runs.
    Running(u32),
    /// The last try failed; a timer is set.
    Pausing,
}

/// The queue and its way out.
#[derive(Debug)]
pub struct Publisher {
    way: Way,
    namespace: String,
    queue: VecDeque<Envelope>,
    connection: Option<(UnixStream, Token, Reader)>,
    trying: Trying,
    pause: Duration,
    round: u64,
}

impl Publisher {
    /// Events go to the socket the environment names, or else to the program the arguments name.
    pub fn new(args: &Args) -> Self {
        let socket = std::env::var("TTRPC_ADDRESS").unwrap_or_default();
        let way = if !socket.is_empty() {
            Way::Socket(socket.strip_prefix("unix://").unwrap_or(&socket).to_owned())
        } else if args.publish_binary.is_empty() {
            Way::Nowhere
        } else {
            let (program, address) = (args.publish_binary.clone(), args.address.clone());
            Way::Program { program, address }
        };
        Self {
            way,
            namespace: args.namespace.clone(),
            queue: VecDeque::new(),
            connection: None,
            trying: Trying::Nothing,
            pause: FIRST_PAUSE,
            round: 0,
        }
    }

    /// Whether all events have been taken.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Puts an event at the end of the queue.
    pub fn send<E: Event>(
        &mut self,
        event: &E,
        poller: &mut Poller,
        timers: &mut Timers,
        log: &Log,
    ) {
        if matches!(self.way, Way::Nowhere) {
            return;
        }
        if self.queue.len() >= QUEUE_LIMIT {
            log.warn("events: nobody takes them, the oldest is dropped");
            // The first may be under way; it stays.
            self.queue.remove(1);
        }
        self.queue.push_back(Envelope {
            timestamp: Some(Timestamp::now()),
            namespace: self.namespace.clone(),
            topic: E::TOPIC.to_owned(),
            event: Some(Any::pack(E::TYPE, event)),
        });
        if matches!(self.trying, Trying::Nothing) {
            self.try_next(poller, timers, log);
        }
    }

    /// Sends the first event of the queue.
    pub fn try_next(&mut self, poller: &mut Poller, timers: &mut Timers, log: &Log) {
        self.trying = Trying::Nothing;
        let Some(envelope) = self.queue.front().cloned() else { return };
        self.round += 1;
        let tried = match &self.way {
            Way::Nowhere => return,
            Way::Socket(_) => self.write(envelope, poller).map(|()| Trying::Sent),
            Way::Program { program, address } => {
                run(program, address, &envelope).map(Trying::Running)
            }
        };
        match tried {
            Ok(trying) => {
                if matches!(trying, Trying::Sent) {
                    timers.after(ANSWER_LIMIT, Timer::Answer(self.round));
                }
                self.trying = trying;
            }
            Err(error) => self.failed(&error, poller, timers, log),
        }
    }

    fn write(&mut self, envelope: Envelope, poller: &mut Poller) -> Result<()> {
        let Way::Socket(path) = &self.way else { return Ok(()) };
        let number = self.stream();
        let stream = if let Some((stream, ..)) = &self.connection {
            stream
        } else {
            let stream = connect(path).at(|| format!("connect to {path}"))?;
            let token = poller.add(&stream, EpollFlags::EPOLLIN, Source::Publisher)?;
            &self.connection.insert((stream, token, Reader::default())).0
        };
        let metadata =
            vec![KeyValue { key: NAMESPACE_KEY.to_owned(), value: self.namespace.clone() }];
        let frame = request(
            number,
            &Request {
                service: SERVICE.to_owned(),
                method: "Forward".to_owned(),
                payload: ForwardRequest { envelope: Some(envelope) }.encode_to_vec(),
                timeout_nano: i64::try_from(ANSWER_LIMIT.as_nanos()).unwrap_or(0),
                metadata,
            },
        );
        // One event at a time and a few hundred bytes each: a socket has room, or is stuck.
        match write_some(stream, &frame) {
            Ok(written) if written == frame.len() => Ok(()),
            Ok(_) => Err(Error::unknown("the socket is full")),
            Err(errno) => Err(errno).at(|| "write".to_owned()),
        }
    }

    /// The stream of this try; clients' streams are odd.
    fn stream(&self) -> u32 {
        u32::try_from(self.round % (1 << 30)).unwrap_or(0) * 2 + 1
    }

    /// Reads what containerd answers.
    pub fn ready(&mut self, poller: &mut Poller, timers: &mut Timers, log: &Log) {
        let stream_number = self.stream();
        let Some((stream, _, reader)) = &mut self.connection else { return };
        let mut piece = [0; 1024];
        match read_some(&*stream, &mut piece) {
            Ok(None) => return,
            Ok(Some(length)) if length > 0 => reader.push(&piece[..length]),
            _ => return self.lost(poller, timers, log),
        }
        let mut answered = None;
        while let Some(frame) = reader.next_frame() {
            if frame.stream == stream_number {
                let response = frame.payload.and_then(|bytes| Response::decode(&*bytes).ok());
                answered = Some(response.map_or(Ok(Vec::new()), outcome));
            }
        }
        match answered {
            None => {}
            Some(Ok(_)) => self.taken(poller, timers, log),
            Some(Err(error)) => self.failed(&error, poller, timers, log),
        }
    }

    fn taken(&mut self, poller: &mut Poller, timers: &mut Timers, log: &Log) {
        self.queue.pop_front();
        self.pause = FIRST_PAUSE;
        self.try_next(poller, timers, log);
    }

    /// The connection has ended. Between events that is no failure: containerd restarts.
    fn lost(&mut self, poller: &mut Poller, timers: &mut Timers, log: &Log) {
        if matches!(self.trying, Trying::Sent) {
            let error = Error::unknown("the connection was closed");
            return self.failed(&error, poller, timers, log);
        }
        self.disconnect(poller);
    }

    /// The answer of a round did not come in time.
    pub fn overdue(&mut self, round: u64, poller: &mut Poller, timers: &mut Timers, log: &Log) {
        if round == self.round && matches!(self.trying, Trying::Sent) {
            self.failed(&Error::unknown("no answer in time"), poller, timers, log);
        }
    }

    /// The program has ended; whether it was this publisher's.
    pub fn ended(
        &mut self,
        pid: u32,
        status: u32,
        poller: &mut Poller,
        timers: &mut Timers,
        log: &Log,
    ) -> bool {
        if !matches!(self.trying, Trying::Running(running) if running == pid) {
            return false;
        }
        if status == 0 {
            self.taken(poller, timers, log);
        } else {
            let error = Error::unknown(format!("the publishing program ended with {status}"));
            self.failed(&error, poller, timers, log);
        }
        true
    }

    /// The program that runs.
    pub fn running(&self) -> Option<u32> {
        match self.trying {
            Trying::Running(pid) => Some(pid),
            _ => None,
        }
    }

    fn failed(&mut self, error: &Error, poller: &mut Poller, timers: &mut Timers, log: &Log) {
        let topic = self.queue.front().map_or("", |envelope| envelope.topic.as_str());
        log.warn(&format!("event {topic}: {error}; it is tried again"));
        self.disconnect(poller);
        self.trying = Trying::Pausing;
        timers.after(self.pause, Timer::Publish);
        self.pause = (self.pause * 2).min(LAST_PAUSE);
    }

    fn disconnect(&mut self, poller: &mut Poller) {
        if let Some((stream, token, _)) = self.connection.take() {
            poller.remove(&stream, token);
        }
    }
}

/// Connects without waiting for a containerd that does not accept (EAGAIN then, unix(7)).
fn connect(path: &str) -> nix::Result<UnixStream> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    nix::sys::socket::connect(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(socket.into())
}

/// Runs the program for one event, which it reads as an `Any` on standard input.
fn run(program: &str, address: &str, envelope: &Envelope) -> Result<u32> {
    let bytes = envelope.event.clone().unwrap_or_default().encode_to_vec();
    let input = nix::sys::memfd::memfd_create(c"event", nix::sys::memfd::MFdFlags::MFD_CLOEXEC)
        .at(|| "make a memfd".to_owned())?;
    let mut file = std::fs::File::from(input);
    file.write_all(&bytes).and_then(|()| file.rewind()).at(|| "write the event".to_owned())?;
    let mut command = sys::command(program);
    command.args(["publish", "--topic", &envelope.topic, "--namespace", &envelope.namespace]);
    if !address.is_empty() {
        command.args(["-address", address]);
    }
    command.stdin(Stdio::from(OwnedFd::from(file))).stdout(Stdio::null()).stderr(Stdio::null());
    // Its end is learned as that of every child: by SIGCHLD.
    command.spawn().map(|child| child.id()).at(|| format!("run {program}"))
}
