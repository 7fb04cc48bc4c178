//! The server process: one thread that waits for sockets, names and answers; a short-lived thread
//! for each TCP connection. It runs as nobody, in the host's network namespace.

use super::handover::{self, Sockets};
use super::message::{self, Code, Query};
use super::names::{Client, Names};
use super::{RECORDS, SOCKET};
use crate::error::{At, Error, Result};
use crate::net::files::{EMBEDDED_DNS, ResolvConf, host_resolv_conf};
use nix::fcntl::{Flock, FlockArg, OFlag, open, openat};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid, setsid};
use std::collections::{HashMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long one name server is waited for; resolvers give up after five seconds.
const PATIENCE: Duration = Duration::from_secs(2);
/// Questions waiting for other servers.
const FLIGHTS_MAX: usize = 1024;
/// Open TCP connections of all containers.
const CONNECTIONS_MAX: usize = 64;
const PORT: u16 = 53;
const NOBODY: u32 = 65534;

/// Serves until the last container is gone. `directory` is where sockets and names come from;
/// one byte on standard output says that it listens.
///
/// # Errors
/// The directory can't be used.
pub fn run(directory: &Path) -> Result<()> {
    // Not to die with the terminal of whoever started it.
    let _ = setsid();
    let mut server = Server::open(directory)?;
    drop_privileges()?;
    crate::privileges::answers()?;
    server.load()?;
    writeln!(io::stdout()).at(|| "tell the starter")?;
    // The starter waits for a closed pipe no longer than for the byte.
    let null = open("/dev/null", OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    nix::unistd::dup2_stdout(&null)?;
    server.serve()
}

struct Server {
    directory: OwnedFd,
    listener: UnixListener,
    watch: Inotify,
    /// Held as long as the server lives.
    _alone: Flock<File>,
    names: Arc<Names>,
    sockets: HashMap<String, Sockets>,
    flights: Vec<Flight>,
    connections: Arc<AtomicUsize>,
}

/// A question another server was asked.
struct Flight {
    socket: UdpSocket,
    asked: Vec<u8>,
    query: Query,
    /// Who can be asked next.
    servers: VecDeque<IpAddr>,
    until: Instant,
    container: String,
    peer: SocketAddr,
}

/// What poll(2) woke for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Event {
    Handover,
    Names,
    Question(String),
    Connection(String),
    Answer(usize),
}

/// Takes the place of the server before, whose lock may last a little longer than its life: the
/// kernel closes a killed process's descriptors in its own time.
fn alone(path: &Path) -> Result<Flock<File>> {
    const LOOKS: u32 = 200;
    const PAUSE: Duration = Duration::from_millis(10);
    let mut file = File::create(path).at(|| format!("open {}", path.display()))?;
    for _ in 0..LOOKS {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(held) => return Ok(held),
            Err((back, nix::errno::Errno::EWOULDBLOCK)) => file = back,
            Err((_, errno)) => return Err(errno).at(|| format!("lock {}", path.display())),
        }
        std::thread::sleep(PAUSE);
    }
    Err(Error::internal("another DNS server is running"))
}

impl Server {
    fn open(directory: &Path) -> Result<Self> {
        let alone = alone(&directory.join("server.lock"))?;
        let path = directory.join(SOCKET);
        let _ = fs::remove_file(&path);
        let listener = UnixListener::bind(&path).at(|| format!("listen on {}", path.display()))?;
        listener.set_nonblocking(true)?;
        let watch = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        watch.add_watch(directory, AddWatchFlags::IN_MOVED_TO)?;
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(Self {
            directory: open(directory, flags, Mode::empty())?,
            listener,
            watch,
            _alone: alone,
            names: Arc::default(),
            sockets: HashMap::new(),
            flights: Vec::new(),
            connections: Arc::default(),
        })
    }

    fn load(&mut self) -> Result<()> {
        let file = openat(&self.directory, RECORDS, OFlag::O_CLOEXEC, Mode::empty());
        let mut text = Vec::new();
        File::from(file.at(|| "open the file of names")?).read_to_end(&mut text)?;
        let names: Names = serde_json::from_slice(&text)
            .map_err(|error| Error::internal(format!("file of names: {error}")))?;
        self.sockets.retain(|id, _| names.containers.contains_key(id));
        self.names = Arc::new(names);
        Ok(())
    }

    fn serve(&mut self) -> Result<()> {
        loop {
            let events = self.wait()?;
            // Sockets first: who handed them over may already have told names that need them.
            for event in events {
                match event {
                    Event::Handover => self.take(),
                    Event::Names => {
                        while self.watch.read_events().is_ok() {}
                        self.load()?;
                        if self.names.containers.is_empty() && self.sockets.is_empty() {
                            return Ok(());
                        }
                    }
                    Event::Question(id) => self.question(&id),
                    Event::Connection(id) => self.connection(&id),
                    Event::Answer(flight) => self.answer(flight),
                }
            }
            self.flights.retain(|flight| !flight.asked.is_empty());
            self.expire();
        }
    }

    fn wait(&self) -> Result<Vec<Event>> {
        let mut events = vec![Event::Handover, Event::Names];
        let mut fds = vec![pollfd(&self.listener), pollfd(&self.watch)];
        for (id, sockets) in &self.sockets {
            events.extend([Event::Question(id.clone()), Event::Connection(id.clone())]);
            fds.extend([pollfd(&sockets.udp), pollfd(&sockets.tcp)]);
        }
        for (number, flight) in self.flights.iter().enumerate() {
            events.push(Event::Answer(number));
            fds.push(pollfd(&flight.socket));
        }
        let next = self.flights.iter().map(|flight| flight.until).min();
        let timeout = next.map_or(PollTimeout::NONE, |until| {
            let left = until.saturating_duration_since(Instant::now()).as_millis();
            // One more, not to wake just before.
            u16::try_from(left + 1).map_or(PollTimeout::MAX, PollTimeout::from)
        });
        match poll(&mut fds, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(errno).at(|| "poll"),
        }
        let woke = |fd: &PollFd| fd.any().unwrap_or(false);
        let ready = fds.iter().zip(events).filter(|(fd, _)| woke(fd)).map(|(_, event)| event);
        Ok(ready.collect())
    }

    fn take(&mut self) {
        while let Ok((mut stream, _)) = self.listener.accept() {
            // Who breaks off hands nothing over.
            if let Ok(received) = handover::receive(&mut stream) {
                self.sockets.extend(received);
                handover::acknowledge(&mut stream);
            }
        }
    }

    fn question(&mut self, id: &str) {
        // As many as fit between two looks at the others.
        const BATCH: usize = 16;
        for _ in 0..BATCH {
            let mut buffer = [0; 4096];
            let Some(sockets) = self.sockets.get(id) else { return };
            let Ok((length, peer)) = sockets.udp.recv_from(&mut buffer) else { return };
            let asked = buffer.get(..length).unwrap_or_default();
            match resolve(&self.names, id, asked, true) {
                Verdict::Ignore => {}
                Verdict::Tell(answer) => {
                    let _ = sockets.udp.send_to(&answer, peer);
                }
                Verdict::Forward(query, client) => {
                    self.forward(id, peer, asked.to_vec(), query, &client);
                }
            }
        }
    }

    fn forward(&mut self, id: &str, peer: SocketAddr, asked: Vec<u8>, query: Query, to: &Client) {
        let servers = servers(to);
        if self.flights.len() >= FLIGHTS_MAX {
            return self.tell(id, peer, &message::refusal(&asked, Code::ServerFailure));
        }
        self.fly(id.to_owned(), peer, asked, query, servers);
    }

    /// Asks the first server that can be asked, or says that there is none.
    fn fly(
        &mut self,
        container: String,
        peer: SocketAddr,
        asked: Vec<u8>,
        query: Query,
        mut servers: VecDeque<IpAddr>,
    ) {
        while let Some(server) = servers.pop_front() {
            let Ok(socket) = ask(server, &asked) else { continue };
            let until = Instant::now() + PATIENCE;
            self.flights.push(Flight { socket, asked, query, servers, until, container, peer });
            return;
        }
        self.tell(&container, peer, &message::refusal(&asked, Code::ServerFailure));
    }

    /// An answer, or the news that nobody listens there. A flight that has ended has no question.
    fn answer(&mut self, number: usize) {
        let Some(flight) = self.flights.get_mut(number) else { return };
        let mut buffer = vec![0; usize::from(u16::MAX)];
        match flight.socket.recv(&mut buffer) {
            Ok(length) => {
                let told = buffer.get(..length).unwrap_or_default();
                // Not the answer to this question: somebody guesses. The right one may still come.
                if !message::answers(told, &flight.asked, &flight.query) {
                    return;
                }
                if !message::is_failure(told) || flight.servers.is_empty() {
                    flight.asked.clear();
                    let (id, peer) = (flight.container.clone(), flight.peer);
                    return self.tell(&id, peer, told);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(_) => {}
        }
        self.next(number);
    }

    fn expire(&mut self) {
        let now = Instant::now();
        for number in 0..self.flights.len() {
            if self.flights.get(number).is_some_and(|flight| flight.until <= now) {
                self.next(number);
            }
        }
        self.flights.retain(|flight| !flight.asked.is_empty());
    }

    /// The next server for a question.
    fn next(&mut self, number: usize) {
        let Some(flight) = self.flights.get_mut(number) else { return };
        let asked = std::mem::take(&mut flight.asked);
        let servers = std::mem::take(&mut flight.servers);
        let (id, peer) = (flight.container.clone(), flight.peer);
        let query = flight.query.clone();
        self.fly(id, peer, asked, query, servers);
    }

    fn tell(&self, id: &str, peer: SocketAddr, answer: &[u8]) {
        if let Some(sockets) = self.sockets.get(id) {
            let _ = sockets.udp.send_to(answer, peer);
        }
    }

    fn connection(&mut self, id: &str) {
        let Some(sockets) = self.sockets.get(id) else { return };
        while let Ok((stream, _)) = sockets.tcp.accept() {
            if self.connections.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS_MAX {
                self.connections.fetch_sub(1, Ordering::Relaxed);
                continue;
            }
            let (names, id, open) =
                (Arc::clone(&self.names), id.to_owned(), Arc::clone(&self.connections));
            let work = move || {
                let _ = converse(stream, &names, &id);
                open.fetch_sub(1, Ordering::Relaxed);
            };
            if std::thread::Builder::new().spawn(work).is_err() {
                self.connections.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}

/// What becomes of a question.
enum Verdict {
    Ignore,
    Tell(Vec<u8>),
    Forward(Query, Client),
}

fn resolve(names: &Names, id: &str, asked: &[u8], udp: bool) -> Verdict {
    let query = match message::query(asked) {
        Ok(query) => query,
        Err(Some(code)) => return Verdict::Tell(message::refusal(asked, code)),
        Err(None) => return Verdict::Ignore,
    };
    let Some(client) = names.containers.get(id) else { return Verdict::Ignore };
    if let Some(answer) = names.answer(client, &query) {
        return Verdict::Tell(message::answer(asked, &query, &answer, udp));
    }
    let address = matches!(query.kind, message::kind::A | message::kind::AAAA);
    if client.ndots && address && !query.name.contains('.') {
        // Its search domains are to be tried.
        return Verdict::Tell(message::refusal(asked, Code::NoError));
    }
    if !client.forward {
        return Verdict::Tell(message::refusal(asked, Code::ServerFailure));
    }
    Verdict::Forward(query, client.clone())
}

fn servers(client: &Client) -> VecDeque<IpAddr> {
    let mut servers = client.servers.clone();
    if servers.is_empty() {
        servers = ResolvConf::parse(&host_resolv_conf()).servers;
    }
    servers.retain(|server| *server != IpAddr::V4(EMBEDDED_DNS));
    servers.into()
}

fn ask(server: IpAddr, asked: &[u8]) -> io::Result<UdpSocket> {
    let own: IpAddr = match server {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((own, 0))?;
    socket.set_nonblocking(true)?;
    socket.connect((server, PORT))?;
    socket.send(asked)?;
    Ok(socket)
}

/// Questions over one TCP connection, one after the other (RFC 7766).
fn converse(mut stream: TcpStream, names: &Names, id: &str) -> io::Result<()> {
    const IDLE: Duration = Duration::from_secs(10);
    const QUESTIONS_MAX: usize = 100;
    // Accepted sockets don't inherit it on Linux, but std's are asked to block.
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(IDLE))?;
    for _ in 0..QUESTIONS_MAX {
        let asked = read_framed(&mut stream)?;
        let answer = match resolve(names, id, &asked, false) {
            Verdict::Ignore => return Ok(()),
            Verdict::Tell(answer) => answer,
            Verdict::Forward(query, client) => servers(&client)
                .into_iter()
                .filter_map(|server| exchange(server, &asked).ok())
                .find(|told| message::answers(told, &asked, &query) && !message::is_failure(told))
                .unwrap_or_else(|| message::refusal(&asked, Code::ServerFailure)),
        };
        write_framed(&mut stream, &answer)?;
    }
    Ok(())
}

fn exchange(server: IpAddr, asked: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&(server, PORT).into(), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write_framed(&mut stream, asked)?;
    read_framed(&mut stream)
}

fn read_framed(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn write_framed(stream: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
    // One write, so that one segment carries both.
    stream.write_all(&[&length.to_be_bytes(), bytes].concat())
}

fn pollfd(fd: &impl AsFd) -> PollFd<'_> {
    PollFd::new(fd.as_fd(), PollFlags::POLLIN)
}

/// What reads hostile bytes owns nothing. In a user namespace without that user there is nothing to
/// drop to; what root there can do is the user's.
fn drop_privileges() -> Result<()> {
    let _ = nix::sys::prctl::set_no_new_privs();
    let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    if !Uid::effective().is_root() {
        return Ok(());
    }
    let _ = setgroups(&[]);
    match setresgid(group, group, group).and_then(|()| setresuid(user, user, user)) {
        Ok(()) | Err(nix::errno::Errno::EINVAL) => Ok(()),
        Err(errno) => Err(errno).at(|| "become nobody"),
    }
}
