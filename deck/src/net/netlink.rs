//! netlink(7): requests, acknowledgements and dumps over one blocking socket.
//!
//! Messages are byte strings built with a check of every length and read without trust in the
//! lengths they claim; no unsafe code.

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};
use std::os::fd::{AsRawFd, OwnedFd};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_DUMP_INTR: u16 = 0x10;
/// `NLM_F_CREATE | NLM_F_EXCL`: make it, and fail if it is there.
pub const NEW: u16 = 0x600;
/// `struct nlmsghdr`.
const HEADER: usize = 16;
/// The kernel fills dumps up to 32 KiB a piece.
const ANSWER: usize = 32 * 1024;

/// A request: header, fixed part, attributes.
#[derive(Debug, Clone)]
pub struct Message(Vec<u8>);

impl Message {
    /// A request of type `kind` with its fixed part (`struct ifinfomsg` …).
    pub fn new(kind: u16, flags: u16, fixed: &[u8]) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes.extend_from_slice(fixed);
        let mut message = Self(bytes);
        message.put(4, kind.to_ne_bytes());
        message.put(6, (flags | NLM_F_REQUEST).to_ne_bytes());
        message.align();
        message
    }

    /// Adds an attribute.
    #[must_use]
    pub fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        let at = self.open(kind);
        self.0.extend_from_slice(value);
        self.close(at);
        self
    }

    /// Adds an attribute holding a string with its ending zero.
    #[must_use]
    pub fn string(self, kind: u16, value: &str) -> Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.attribute(kind, &bytes)
    }

    /// Adds an attribute whose value is what `fill` adds.
    #[must_use]
    pub fn nested(mut self, kind: u16, fill: impl FnOnce(Self) -> Self) -> Self {
        let at = self.open(kind);
        let mut message = fill(self);
        message.close(at);
        message
    }

    /// Adds bytes without a header: the fixed part of a message within an attribute.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self.align();
        self
    }

    fn open(&mut self, kind: u16) -> usize {
        let at = self.0.len();
        self.0.extend_from_slice(&[0, 0]);
        self.0.extend_from_slice(&kind.to_ne_bytes());
        at
    }

    fn close(&mut self, at: usize) {
        // An attribute too long for its length field can't be sent: the kernel sees 0 and refuses.
        let length = u16::try_from(self.0.len() - at).unwrap_or(0);
        self.put(at, length.to_ne_bytes());
        self.align();
    }

    fn align(&mut self) {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn put<const N: usize>(&mut self, at: usize, bytes: [u8; N]) {
        if let Some(room) = self.0.get_mut(at..at + N) {
            room.copy_from_slice(&bytes);
        }
    }

    fn finish(&mut self, flags: u16, sequence: u32) -> Result<&[u8], Errno> {
        let length = u32::try_from(self.0.len()).map_err(|_| Errno::EMSGSIZE)?;
        self.put(0, length.to_ne_bytes());
        let old = field::<2>(&self.0, 6).map_or(0, u16::from_ne_bytes);
        self.put(6, (old | flags).to_ne_bytes());
        self.put(8, sequence.to_ne_bytes());
        Ok(&self.0)
    }
}

/// A connection to the network namespace it was opened in.
#[derive(Debug)]
pub struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

impl Netlink {
    /// rtnetlink(7) of the caller's present network namespace.
    ///
    /// # Errors
    /// socket(2).
    pub fn route() -> Result<Self, Errno> {
        Self::open(SockProtocol::NetlinkRoute)
    }

    /// nfnetlink of the caller's present network namespace.
    ///
    /// # Errors
    /// socket(2).
    pub fn netfilter() -> Result<Self, Errno> {
        Self::open(SockProtocol::NetlinkNetFilter)
    }

    fn open(protocol: SockProtocol) -> Result<Self, Errno> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Sends a request and waits for the kernel's word that it is done.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn execute(&mut self, request: Message) -> Result<(), Errno> {
        self.send(request, NLM_F_ACK)?;
        let mut answer = vec![0; ANSWER];
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
        request: Message,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<T, Errno> {
        self.send(request, 0)?;
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
        const ATTEMPTS: usize = 64;
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
        request: Message,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Option<Vec<T>>, Errno> {
        self.send(request, NLM_F_DUMP)?;
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

    fn send(&mut self, mut request: Message, flags: u16) -> Result<(), Errno> {
        self.sequence = self.sequence.wrapping_add(1);
        let bytes = request.finish(flags, self.sequence)?;
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

struct Answer<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    payload: &'a [u8],
}

impl Answer<'_> {
    /// Of NLMSG_ERROR: a negative errno, or 0 for an acknowledgement.
    fn status(&self) -> Result<(), Errno> {
        match field::<4>(self.payload, 0).map(i32::from_ne_bytes) {
            Some(0) => Ok(()),
            Some(errno) => Err(Errno::from_raw(errno.wrapping_neg())),
            None => Err(Errno::EBADMSG),
        }
    }
}

/// The messages of one datagram; stops at the first that claims more than is there.
struct Messages<'a>(&'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Answer<'a>;

    fn next(&mut self) -> Option<Answer<'a>> {
        let length = usize::try_from(u32::from_ne_bytes(field(self.0, 0)?)).ok()?;
        let message = self.0.get(..length)?;
        let payload = message.get(HEADER..)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Answer {
            kind: u16::from_ne_bytes(field(message, 4)?),
            flags: u16::from_ne_bytes(field(message, 6)?),
            sequence: u32::from_ne_bytes(field(message, 8)?),
            payload,
        })
    }
}

/// The attributes in `bytes`: type without its flags, and value.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    const FLAGS: u16 = 0xc000;
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(field(bytes, 0)?));
        let kind = u16::from_ne_bytes(field(bytes, 2)?) & !FLAGS;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The value of the first attribute of type `kind`.
pub fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(found, _)| *found == kind).map(|(_, value)| value)
}

/// `N` bytes at `at`.
pub fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.get(..N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_nest_and_align() {
        let message = Message::new(16, NEW, &[1, 2, 3])
            .string(3, "ab")
            .nested(18, |m| m.string(1, "veth").nested(2, |m| m.raw(&[9; 6]).attribute(1, &[7])));
        let bytes = &message.0[HEADER + 4..];
        assert_eq!(attribute(bytes, 3), Some(&b"ab\0"[..]));
        let info = attribute(bytes, 18).unwrap();
        assert_eq!(attribute(info, 1), Some(&b"veth\0"[..]));
        let data = attribute(info, 2).unwrap();
        assert_eq!(data[..8], [9, 9, 9, 9, 9, 9, 0, 0]);
        assert_eq!(attribute(&data[8..], 1), Some(&[7][..]));
    }

    #[test]
    fn lengths_are_not_trusted() {
        for claimed in [0_u32, 15, 17, u32::MAX] {
            let mut bytes = [0_u8; 16];
            bytes[..4].copy_from_slice(&claimed.to_ne_bytes());
            assert_eq!(Messages(&bytes).count(), 0, "{claimed}");
        }
        for claimed in [0_u16, 3, 9, u16::MAX] {
            let mut bytes = [0_u8; 8];
            bytes[..2].copy_from_slice(&claimed.to_ne_bytes());
            assert_eq!(attributes(&bytes).count(), 0, "{claimed}");
        }
    }
}
