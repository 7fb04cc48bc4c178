//! A connection to a D-Bus bus, or to systemd without one.

use super::wire::{self, HEAD, Kind, Message, Method};
use crate::error::{At, Error, Result};
use nix::errno::Errno;
use std::io::{Read as _, Write as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::Duration;

/// How long systemd may take for an answer or a job.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest line of the handshake.
const LINE: usize = 1024;

/// A connection.
#[derive(Debug)]
pub struct Bus {
    stream: UnixStream,
    serial: u32,
    /// Signals that came while an answer was waited for.
    pending: Vec<Message>,
}

impl Bus {
    /// Connects to `address` (D-Bus Specification, "Server Addresses") and makes itself known.
    ///
    /// # Errors
    /// Nobody there, or no access.
    pub fn connect(address: &str) -> Result<Self> {
        let stream = open(address).at(|| format!("connecting to {address}"))?;
        let timeouts = stream
            .set_read_timeout(Some(PATIENCE))
            .and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
        timeouts.at(|| "setsockopt(SO_RCVTIMEO)")?;
        let mut bus = Self { stream, serial: 0, pending: Vec::new() };
        bus.authenticate().at(|| format!("authenticating to {address}"))?;
        Ok(bus)
    }

    /// The EXTERNAL mechanism without an id: the kernel tells the other side who this is, which is
    /// right in a user namespace too. All in one write, and apart from the calls that follow.
    fn authenticate(&mut self) -> Result<()> {
        self.stream.write_all(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n")?;
        loop {
            let line = self.line()?;
            if line.starts_with("OK ") {
                return Ok(());
            }
            if line != "DATA" {
                return Err(Error::unsupported(format!("unexpected answer {line:?}")));
            }
        }
    }

    fn line(&mut self) -> Result<String> {
        let mut line = Vec::new();
        let mut byte = [0u8];
        while !line.ends_with(b"\r\n") {
            self.stream.read_exact(&mut byte)?;
            line.extend(byte);
            if line.len() > LINE {
                return Err(Errno::EMSGSIZE.into());
            }
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    /// Calls a method and waits for its answer.
    ///
    /// # Errors
    /// [`Error`]s whose text is the other side's.
    pub fn call(
        &mut self,
        method: &Method<'_>,
        signature: &str,
        body: &[u8],
    ) -> Result<Result<Message, Message>> {
        self.serial += 1;
        let bytes = wire::call(self.serial, method, signature, body);
        self.stream.write_all(&bytes).at(|| format!("calling {}", method.member))?;
        loop {
            let message = self.receive().at(|| format!("waiting for {}", method.member))?;
            match message.kind {
                Kind::Return if message.reply_serial == self.serial => return Ok(Ok(message)),
                Kind::Error if message.reply_serial == self.serial => return Ok(Err(message)),
                Kind::Signal => self.pending.push(message),
                _ => {}
            }
        }
    }

    /// Waits for a signal called `member` that `wanted` takes.
    ///
    /// # Errors
    /// It does not come in time.
    pub fn signal<T>(&mut self, member: &str, wanted: impl Fn(&Message) -> Option<T>) -> Result<T> {
        loop {
            let mut pending = self.pending.drain(..);
            let mut found = pending.by_ref().filter(|message| message.member == member);
            if let Some(answer) = found.find_map(|message| wanted(&message)) {
                return Ok(answer);
            }
            drop(pending);
            let message = self.receive().at(|| format!("waiting for {member}"))?;
            self.pending.push(message);
        }
    }

    fn receive(&mut self) -> Result<Message> {
        let mut head = [0u8; HEAD];
        self.exactly(&mut head)?;
        let odd = || Error::unsupported("unreadable D-Bus message");
        let (fields, body) = wire::sizes(&head).ok_or_else(odd)?;
        let (mut fields, mut body) = (vec![0u8; fields], vec![0u8; body]);
        self.exactly(&mut fields)?;
        self.exactly(&mut body)?;
        wire::message(&head, &fields, body).ok_or_else(odd)
    }

    fn exactly(&mut self, buffer: &mut [u8]) -> Result<()> {
        self.stream.read_exact(buffer).map_err(|error| match error.kind() {
            std::io::ErrorKind::WouldBlock => Errno::ETIMEDOUT.into(),
            std::io::ErrorKind::UnexpectedEof => Errno::ECONNRESET.into(),
            _ => error.into(),
        })
    }
}

/// The socket of the first address of a list that can be used here.
fn open(addresses: &str) -> Result<UnixStream> {
    for address in addresses.split(';') {
        let Some(keys) = address.strip_prefix("unix:") else { continue };
        for (key, value) in keys.split(',').filter_map(|pair| pair.split_once('=')) {
            match key {
                "path" => return Ok(UnixStream::connect(unescape(value))?),
                "abstract" => {
                    let name = SocketAddr::from_abstract_name(unescape(value))?;
                    return Ok(UnixStream::connect_addr(&name)?);
                }
                _ => {}
            }
        }
    }
    Err(Error::unsupported("no unix socket among the addresses"))
}

/// A value of an address: `%` and two hexadecimal digits stand for a byte.
fn unescape(value: &str) -> String {
    let mut parts = value.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let byte = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (byte, part.get(2..)) {
            (Some(byte), Some(rest)) => {
                bytes.push(byte);
                bytes.extend_from_slice(rest.as_bytes());
            }
            _ => bytes.extend_from_slice(part.as_bytes()),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn addresses() {
        assert_eq!(unescape("/run/a%20b%2fc"), "/run/a b/c");
        assert!(open("tcp:host=x").unwrap_err().to_string().contains("no unix socket"));
        assert_eq!(open("unix:path=/none/there").unwrap_err().errno(), Some(Errno::ENOENT));
    }

    /// A peer that does the handshake, then answers with `answers`.
    fn peer(answers: Vec<u8>) -> (tempfile::TempDir, std::thread::JoinHandle<()>) {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("s")).unwrap();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut hello = [0u8; 29];
            stream.read_exact(&mut hello).unwrap();
            assert_eq!(&hello, b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n");
            stream.write_all(b"DATA\r\nOK 1234\r\n").unwrap();
            let _ = stream.write_all(&answers);
            // Until the caller has hung up.
            let _ = stream.read_to_end(&mut Vec::new());
        });
        (dir, thread)
    }

    fn message(kind: u8, reply: u32, member: &str, body: &[u8]) -> Vec<u8> {
        let method = Method { destination: None, path: "/", interface: "a", member };
        let mut bytes = wire::call(1, &method, if body.is_empty() { "" } else { "s" }, body);
        bytes[1] = kind;
        if reply > 0 {
            // The interface's field becomes the reply's.
            let at = bytes.windows(4).position(|four| four == b"\x02\x01s\0").unwrap();
            bytes[at..at + 8].copy_from_slice(&[5, 1, b'u', 0, 1, 0, 0, 0]);
            bytes[at + 4..at + 8].copy_from_slice(&reply.to_ne_bytes());
            let rest = bytes.split_off(at + 16);
            bytes.truncate(at + 8);
            bytes.extend(rest);
            let size = u32::from_ne_bytes(bytes[12..16].try_into().unwrap()) - 8;
            bytes[12..16].copy_from_slice(&size.to_ne_bytes());
        }
        bytes
    }

    #[test]
    fn answers_and_signals_are_told_apart() {
        let mut answers = message(4, 0, "JobRemoved", &[]);
        answers.extend(message(2, 7, "", &[]));
        answers.extend(message(2, 1, "", &[]));
        let (dir, thread) = peer(answers);
        let address = format!("unix:path={}/s", dir.path().display());
        let mut bus = Bus::connect(&address).unwrap();
        let method = Method { destination: None, path: "/", interface: "a", member: "Go" };
        assert!(bus.call(&method, "", &[]).unwrap().is_ok());
        bus.signal("JobRemoved", |_| Some(())).unwrap();
        drop(bus);
        thread.join().unwrap();
    }

    #[test]
    fn a_peer_that_hangs_up_is_an_error() {
        let (dir, thread) = peer(b"l\x02\0\x01\xff\xff\xff\xff\0\0\0\0\0\0\0\0".to_vec());
        let address = format!("unix:path={}/s", dir.path().display());
        let mut bus = Bus::connect(&address).unwrap();
        let method = Method { destination: None, path: "/", interface: "a", member: "Go" };
        let error = bus.call(&method, "", &[]).unwrap_err().to_string();
        assert_eq!(error, "waiting for Go: unreadable D-Bus message");
        drop(bus);
        thread.join().unwrap();
    }
}
