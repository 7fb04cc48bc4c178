//! rtnetlink(7): just the messages of network devices and their addresses.
//!
//! No unsafe code: messages are byte strings, built with a check of every length (a length that
//! wraps was CVE-2021-43784) and read without trust in the lengths they claim.

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};
use std::os::fd::{AsRawFd, OwnedFd};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP: u16 = 0x300;
/// The list changed while it was read.
const NLM_F_DUMP_INTR: u16 = 0x10;
/// Length of `struct nlmsghdr`.
const HEADER: usize = 16;
/// Length of a link's attributes on any kernel, with room (rtnetlink's own dumps use 32 KiB).
const ANSWER: usize = 32 * 1024;

/// A request: header, fixed part and attributes, on the stack.
#[derive(Debug, Clone)]
pub struct Message {
    bytes: [u8; 256],
    length: usize,
}

impl Message {
    /// A request of type `RTM_…` with its fixed part (`struct ifinfomsg`, `struct ifaddrmsg`).
    ///
    /// # Errors
    /// EMSGSIZE when it does not fit.
    pub fn new(kind: u16, flags: u16, fixed: &[u8]) -> Result<Self, Errno> {
        let mut message = Self { bytes: [0; 256], length: HEADER };
        message.put(4, &kind.to_ne_bytes())?;
        message.put(6, &(flags | NLM_F_REQUEST).to_ne_bytes())?;
        message.append(fixed)?;
        Ok(message)
    }

    /// Adds an attribute.
    ///
    /// # Errors
    /// EMSGSIZE when it does not fit.
    pub fn attribute(mut self, kind: u16, value: &[u8]) -> Result<Self, Errno> {
        let length = u16::try_from(value.len() + 4).map_err(|_| Errno::EMSGSIZE)?;
        self.append(&length.to_ne_bytes())?;
        self.append(&kind.to_ne_bytes())?;
        self.append(value)?;
        // The next attribute starts at a multiple of four.
        self.length = self.length.next_multiple_of(4);
        Ok(self)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        self.put(self.length, bytes)?;
        self.length += bytes.len();
        Ok(())
    }

    fn put(&mut self, at: usize, bytes: &[u8]) -> Result<(), Errno> {
        let room = self.bytes.get_mut(at..).and_then(|rest| rest.get_mut(..bytes.len()));
        room.ok_or(Errno::EMSGSIZE)?.copy_from_slice(bytes);
        Ok(())
    }

    /// The whole message, with its length and number filled in.
    fn finish(&mut self, sequence: u32) -> Result<&[u8], Errno> {
        let length = u32::try_from(self.length).map_err(|_| Errno::EMSGSIZE)?;
        self.put(0, &length.to_ne_bytes())?;
        self.put(8, &sequence.to_ne_bytes())?;
        self.bytes.get(..self.length).ok_or(Errno::EMSGSIZE)
    }
}

/// A connection to the network namespace it was opened in.
#[derive(Debug)]
pub struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

impl From<Netlink> for OwnedFd {
    fn from(netlink: Netlink) -> Self {
        netlink.socket
    }
}

impl Netlink {
    /// Opens a connection to the caller's present network namespace.
    ///
    /// # Errors
    /// socket(2).
    pub fn open() -> Result<Self, Errno> {
        let protocol = SockProtocol::NetlinkRoute;
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Sends a request and waits for the kernel's word that it is done. Does not allocate.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn execute(&mut self, mut request: Message) -> Result<(), Errno> {
        request.add_flags(NLM_F_ACK)?;
        self.send(&mut request)?;
        // The acknowledgement repeats the header of the request, an error all of it.
        let mut answer = [0; 512];
        loop {
            for message in Messages(self.receive(&mut answer)?) {
                if message.sequence == self.sequence && message.kind == NLMSG_ERROR {
                    return message.status();
                }
            }
        }
    }

    /// Sends a request for one object and hands its answer to `read`.
    ///
    /// # Errors
    /// The kernel's answer; EBADMSG when `read` finds nothing it understands.
    pub fn get<T>(
        &mut self,
        mut request: Message,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<T, Errno> {
        self.send(&mut request)?;
        let mut answer = vec![0; ANSWER];
        loop {
            for message in Messages(self.receive(&mut answer)?) {
                if message.sequence == self.sequence {
                    if message.kind == NLMSG_ERROR {
                        message.status()?;
                    }
                    return read(message.payload).ok_or(Errno::EBADMSG);
                }
            }
        }
    }

    /// Asks for a list and collects what `read` makes of its entries.
    ///
    /// # Errors
    /// The kernel's answer; EAGAIN when the list kept changing while it was read.
    pub fn list<T>(
        &mut self,
        request: &Message,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Vec<T>, Errno> {
        const ATTEMPTS: usize = 16;
        for _ in 0..ATTEMPTS {
            if let Some(entries) = self.list_once(request.clone(), &read)? {
                return Ok(entries);
            }
        }
        Err(Errno::EAGAIN)
    }

    /// None when the list changed while it was read.
    fn list_once<T>(
        &mut self,
        mut request: Message,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Option<Vec<T>>, Errno> {
        request.add_flags(NLM_F_DUMP)?;
        self.send(&mut request)?;
        let mut answer = vec![0; ANSWER];
        let (mut entries, mut whole) = (Vec::new(), true);
        loop {
            for message in Messages(self.receive(&mut answer)?) {
                if message.sequence != self.sequence {
                    continue;
                }
                whole &= message.flags & NLM_F_DUMP_INTR == 0;
                match message.kind {
                    NLMSG_DONE => return Ok(whole.then_some(entries)),
                    NLMSG_ERROR => message.status()?,
                    _ => entries.extend(read(message.payload)),
                }
            }
        }
    }

    fn send(&mut self, request: &mut Message) -> Result<(), Errno> {
        self.sequence = self.sequence.wrapping_add(1);
        let bytes = request.finish(self.sequence)?;
        send(self.socket.as_raw_fd(), bytes, MsgFlags::empty()).map(drop)
    }

    fn receive<'a>(&self, answer: &'a mut [u8]) -> Result<&'a [u8], Errno> {
        loop {
            match recv(self.socket.as_raw_fd(), answer, MsgFlags::MSG_TRUNC) {
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
                // MSG_TRUNC reports the true length: more than there is room for has been cut.
                Ok(length) => return answer.get(..length).ok_or(Errno::EMSGSIZE),
            }
        }
    }
}

impl Message {
    fn add_flags(&mut self, flags: u16) -> Result<(), Errno> {
        let present = u16_at(&self.bytes, 6).unwrap_or_default();
        self.put(6, &(present | flags).to_ne_bytes())
    }
}

/// One message of an answer.
struct Part<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    payload: &'a [u8],
}

impl Part<'_> {
    /// The result in an NLMSG_ERROR: a negative errno, or 0 for an acknowledgement.
    fn status(&self) -> Result<(), Errno> {
        match i32_at(self.payload, 0) {
            Some(0) => Ok(()),
            Some(code) => Err(Errno::from_raw(code.wrapping_neg())),
            None => Err(Errno::EBADMSG),
        }
    }
}

/// The messages of one datagram; ends at the first that claims an impossible length.
struct Messages<'a>(&'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        let length = usize::try_from(u32_at(self.0, 0)?).ok()?;
        let message = self.0.get(..length)?;
        let part = Part {
            kind: u16_at(message, 4)?,
            flags: u16_at(message, 6)?,
            sequence: u32_at(message, 8)?,
            payload: message.get(HEADER..)?,
        };
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(part)
    }
}

/// The attributes behind a fixed part, as type and value.
pub fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    const TYPE_MASK: u16 = 0x3fff;
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(rest, 0)?);
        let kind = u16_at(rest, 2)? & TYPE_MASK;
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The fixed part of messages about links: `struct ifinfomsg`.
pub fn link_header(index: i32, flags: u32, change: u32) -> [u8; 16] {
    let mut header = [0; 16];
    let family = u8::try_from(libc::AF_UNSPEC).unwrap_or_default();
    let parts = [(0, [family, 0, 0, 0]), (4, index.to_ne_bytes())];
    for (at, bytes) in
        parts.into_iter().chain([(8, flags.to_ne_bytes()), (12, change.to_ne_bytes())])
    {
        if let Some(room) = header.get_mut(at..at + 4) {
            room.copy_from_slice(&bytes);
        }
    }
    header
}

/// Two bytes of a message.
fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

/// Four bytes of a message.
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

/// Four bytes of a message, signed.
pub fn i32_at(bytes: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_ne_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_built_as_rtnetlink_wants_them() {
        let header = link_header(7, 1, 1);
        let mut message = Message::new(16, 0, &header).unwrap().attribute(3, b"lo\0").unwrap();
        let bytes = message.finish(9).unwrap();
        assert_eq!(bytes.len(), 16 + 16 + 8);
        assert_eq!(u32_at(bytes, 0), Some(40));
        assert_eq!((u16_at(bytes, 4), u16_at(bytes, 6)), (Some(16), Some(NLM_F_REQUEST)));
        assert_eq!((u32_at(bytes, 8), i32_at(bytes, 20)), (Some(9), Some(7)));
        let found: Vec<_> = attributes(bytes.get(32..).unwrap()).collect();
        assert_eq!(found, [(3, &b"lo\0"[..])]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let message = Message::new(16, 0, &link_header(1, 0, 0)).unwrap();
        let fits = [0; 256 - 32 - 4];
        assert!(message.clone().attribute(1, &fits).is_ok());
        let full = message.clone().attribute(1, &fits).unwrap();
        assert_eq!(full.attribute(1, &[]).unwrap_err(), Errno::EMSGSIZE);
        for length in [256 - 32 - 3, 65_532, 65_536, 1 << 20] {
            let answer = message.clone().attribute(1, &vec![0; length]);
            assert_eq!(answer.unwrap_err(), Errno::EMSGSIZE, "{length}");
        }
    }

    #[test]
    fn lengths_that_lie() {
        // Longer than there is, shorter than a header, zero.
        for length in [100u32, 15, 0, u32::MAX] {
            let mut bytes = [0u8; 20];
            bytes.first_chunk_mut().map(|room: &mut [u8; 4]| *room = length.to_ne_bytes()).unwrap();
            assert_eq!(Messages(&bytes).count(), 0, "{length}");
        }
        for length in [100u16, 3, 0, u16::MAX] {
            let mut bytes = [0u8; 8];
            bytes.first_chunk_mut().map(|room: &mut [u8; 2]| *room = length.to_ne_bytes()).unwrap();
            assert_eq!(attributes(&bytes).count(), 0, "{length}");
        }
    }

    #[test]
    fn errors_and_acknowledgements() {
        let status =
            |payload: &[u8]| Part { kind: NLMSG_ERROR, flags: 0, sequence: 1, payload }.status();
        assert_eq!(status(&0i32.to_ne_bytes()), Ok(()));
        assert_eq!(status(&(-1i32).to_ne_bytes()), Err(Errno::EPERM));
        assert_eq!(status(&[]), Err(Errno::EBADMSG));
    }
}
