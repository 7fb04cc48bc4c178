//! Clients attached to a process: each gets what the process writes from then on, and may write
//! to its input. The process writes no faster than the slowest of them reads, as in Docker.

use super::open::{read_some, write_some};
use crate::error::{At, Error, Result};
use crate::poller::{Part, Poller, Source, Token};
use nix::fcntl::{OFlag, open};
use nix::sys::epoll::EpollFlags;
use nix::sys::stat::{Mode, umask};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// What a client may be behind before the process has to wait.
const BEHIND_LIMIT: usize = 64 * 1024;
/// What comes on top when the process has ended: as much as a pipe can hold (pipe(7)).
const REST_LIMIT: usize = 1 << 20;

/// An attached client.
#[derive(Debug)]
struct Client {
    stream: UnixStream,
    token: Option<Token>,
    /// What it has still to be sent.
    behind: Vec<u8>,
    /// It may still send input.
    sends: bool,
}

/// The socket and the clients of one process.
#[derive(Debug)]
pub struct Hub {
    io: u64,
    listener: Option<(UnixListener, Token)>,
    path: PathBuf,
    clients: BTreeMap<u32, Client>,
    next: u32,
    /// Clients' input has somewhere to go.
    pub takes_input: bool,
    /// No more output will come: clients go when they have got theirs.
    ended: bool,
}

/// What came from a client.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// Nothing that matters.
    Nothing,
    /// Input for the process, this many bytes.
    Input(usize),
    /// It sends no more.
    End,
}

impl Hub {
    /// Listens at `path`, for the owner only.
    pub fn listen(path: &Path, io: u64, poller: &mut Poller) -> Result<Self> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).at(|| format!("remove stale {}", path.display()));
            }
            _ => {}
        }
        // Longer paths are no names of sockets (unix(7)); one by a descriptor never is too long.
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Error::unknown(format!("{} is no place for a socket", path.display())));
        };
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let fd = open(dir, flags, Mode::empty()).at(|| format!("open {}", dir.display()))?;
        let short = Path::new("/proc/self/fd").join(fd.as_raw_fd().to_string()).join(name);
        let old = umask(Mode::from_bits_truncate(0o177));
        let bound = UnixListener::bind(short);
        umask(old);
        let listener = bound.at(|| format!("listen on {}", path.display()))?;
        listener.set_nonblocking(true).at(|| "set O_NONBLOCK".to_owned())?;
        let token = poller.add(&listener, EpollFlags::EPOLLIN, Source::Io(io, Part::Attach))?;
        Ok(Self {
            io,
            listener: Some((listener, token)),
            path: path.to_owned(),
            clients: BTreeMap::new(),
            next: 0,
            takes_input: false,
            ended: false,
        })
    }

    /// Takes on clients that wait.
    pub fn accept(&mut self, poller: &mut Poller) {
        // One may have gone already; those after it are told of anew.
        while let Some(Ok((stream, _))) = self.listener.as_ref().map(|(socket, _)| socket.accept())
        {
            if stream.set_nonblocking(true).is_err() {
                continue;
            }
            self.next += 1;
            let client = Client { stream, token: None, behind: Vec::new(), sends: true };
            self.clients.insert(self.next, client);
            self.settle(self.next, poller);
        }
    }

    /// Whether a client is so far behind that the process has to wait.
    pub fn is_behind(&self, process_ended: bool) -> bool {
        let limit = if process_ended { BEHIND_LIMIT + REST_LIMIT } else { BEHIND_LIMIT };
        self.clients.values().any(|client| client.behind.len() > limit)
    }

    /// Sends output of a stream to everybody, framed in Docker's way: stream, three zeros, length.
    pub fn broadcast(&mut self, stream: u8, bytes: &[u8], poller: &mut Poller) {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes();
        let header = [&[stream, 0, 0, 0], length.as_slice()].concat();
        for number in self.numbers() {
            let Some(client) = self.clients.get_mut(&number) else { continue };
            client.behind.extend_from_slice(&header);
            client.behind.extend_from_slice(bytes);
            self.flush(number, poller);
        }
    }

    /// Deals with a client the poller tells of; input goes into `buffer`.
    pub fn ready(
        &mut self,
        number: u32,
        flags: EpollFlags,
        buffer: &mut [u8],
        poller: &mut Poller,
    ) -> Said {
        if flags.contains(EpollFlags::EPOLLOUT) {
            self.flush(number, poller);
        }
        let Some(client) = self.clients.get_mut(&number) else { return Said::Nothing };
        let hung_up = flags.intersects(EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR);
        if !client.sends || !self.takes_input {
            if hung_up {
                self.let_go(number, poller);
            }
            return Said::Nothing;
        }
        if !hung_up && !flags.contains(EpollFlags::EPOLLIN) {
            return Said::Nothing;
        }
        match read_some(&client.stream, buffer) {
            Ok(None) => Said::Nothing,
            Ok(Some(length)) if length > 0 => Said::Input(length),
            Ok(Some(_)) if !hung_up => {
                client.sends = false;
                self.settle(number, poller);
                Said::End
            }
            _ => {
                self.let_go(number, poller);
                Said::End
            }
        }
    }

    /// Listens to clients' input, or not: when the process does not read it.
    pub fn take_input(&mut self, on: bool, poller: &mut Poller) {
        if self.takes_input == on {
            return;
        }
        self.takes_input = on;
        for number in self.numbers() {
            self.settle(number, poller);
        }
    }

    /// The process has written its last.
    pub fn end(&mut self, poller: &mut Poller) {
        self.ended = true;
        self.takes_input = false;
        for number in self.numbers() {
            self.flush(number, poller);
        }
    }

    /// Takes the socket away. Clients that are behind stay until they have got theirs.
    pub fn close(&mut self, poller: &mut Poller) {
        if let Some((listener, token)) = self.listener.take() {
            poller.remove(&listener, token);
            let _ = fs::remove_file(&self.path);
        }
        self.end(poller);
    }

    /// Nobody is left.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// Lets everybody go.
    pub fn drop_all(&mut self, poller: &mut Poller) {
        for number in self.numbers() {
            self.let_go(number, poller);
        }
    }

    fn numbers(&self) -> Vec<u32> {
        self.clients.keys().copied().collect()
    }

    fn flush(&mut self, number: u32, poller: &mut Poller) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        let Ok(written) = write_some(&client.stream, &client.behind) else {
            return self.let_go(number, poller);
        };
        client.behind.drain(..written);
        if client.behind.is_empty() {
            client.behind = Vec::new();
            if self.ended {
                return self.let_go(number, poller);
            }
        }
        self.settle(number, poller);
    }

    /// Has the poller wait for what matters now of a client.
    fn settle(&mut self, number: u32, poller: &mut Poller) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        let mut flags = EpollFlags::empty();
        flags.set(EpollFlags::EPOLLIN, client.sends && self.takes_input);
        flags.set(EpollFlags::EPOLLOUT, !client.behind.is_empty());
        let source = Source::Io(self.io, Part::Client(number));
        let done = match (client.token, flags.is_empty()) {
            (Some(token), true) => {
                poller.remove(&client.stream, token);
                client.token = None;
                Ok(())
            }
            (Some(token), false) => poller.change(&client.stream, token, flags),
            (None, true) => Ok(()),
            (None, false) => {
                poller.add(&client.stream, flags, source).map(|token| client.token = Some(token))
            }
        };
        if done.is_err() {
            self.let_go(number, poller);
        }
    }

    fn let_go(&mut self, number: u32, poller: &mut Poller) {
        if let Some(client) = self.clients.remove(&number)
            && let Some(token) = client.token
        {
            poller.remove(&client.stream, token);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_path_longer_than_a_sockets_name_will_do() {
        let root = tempfile::tempdir().unwrap();
        let long = root.path().join("d".repeat(120));
        fs::create_dir(&long).unwrap();
        let path = long.join("attach");
        let mut poller = Poller::new().unwrap();
        // A second one takes the place of a stale one.
        Hub::listen(&path, 1, &mut poller).unwrap();
        let mut hub = Hub::listen(&path, 1, &mut poller).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        // A short name for the client, too.
        fs::rename(&path, root.path().join("s")).unwrap();
        UnixStream::connect(root.path().join("s")).unwrap();
        hub.accept(&mut poller);
        assert!(!hub.is_empty());
    }
}
