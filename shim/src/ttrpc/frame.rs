//! Frames, written whole and read piece by piece.

use prost::Message;

/// Bytes before a frame's message.
pub const HEADER_LENGTH: usize = 10;
/// The longest message either side may send (`messageLengthMax` of containerd/ttrpc).
pub const MAX_LENGTH: usize = 4 << 20;

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A call.
    Request,
    /// An answer.
    Response,
    /// A message of a stream, which the Task service has none of; and whatever comes later.
    Other(u8),
}

impl Kind {
    fn from_wire(byte: u8) -> Self {
        match byte {
            1 => Self::Request,
            2 => Self::Response,
            other => Self::Other(other),
        }
    }

    fn to_wire(self) -> u8 {
        match self {
            Self::Request => 1,
            Self::Response => 2,
            Self::Other(byte) => byte,
        }
    }
}

/// One frame as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Ties an answer to its call; odd for calls of a client.
    pub stream: u32,
    /// What it carries.
    pub kind: Kind,
    /// The message; `None` if it was longer than [`MAX_LENGTH`] and passed over.
    pub payload: Option<Vec<u8>>,
}

/// A frame with `message`, ready to be written.
///
/// A message has at most 4 GiB, or the length is cut: nothing here comes near.
pub fn encode(stream: u32, kind: Kind, message: &impl Message) -> Vec<u8> {
    let length = message.encoded_len();
    let mut frame = Vec::with_capacity(HEADER_LENGTH + length);
    frame.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(&[kind.to_wire(), 0]);
    message.encode_raw(&mut frame);
    frame
}

/// Puts frames together from whatever pieces a socket gives.
#[derive(Debug, Default)]
pub struct Reader {
    pending: Vec<u8>,
    /// Bytes of a too long message that are still to be passed over.
    skip: usize,
}

impl Reader {
    /// Takes the next piece.
    pub fn push(&mut self, mut piece: &[u8]) {
        let skipped = self.skip.min(piece.len());
        self.skip -= skipped;
        piece = &piece[skipped..];
        self.pending.extend_from_slice(piece);
    }

    /// The next whole frame; `None` until more pieces come.
    pub fn next_frame(&mut self) -> Option<Frame> {
        let header = self.pending.get(..HEADER_LENGTH)?;
        let number = |at: usize| {
            header[at..at + 4].iter().fold(0u32, |value, byte| value << 8 | u32::from(*byte))
        };
        let length = usize::try_from(number(0)).unwrap_or(usize::MAX);
        let (stream, kind) = (number(4), Kind::from_wire(header[8]));
        if length > MAX_LENGTH {
            let here = (self.pending.len() - HEADER_LENGTH).min(length);
            self.pending.drain(..HEADER_LENGTH + here);
            self.skip = length - here;
            return Some(Frame { stream, kind, payload: None });
        }
        let payload = self.pending.get(HEADER_LENGTH..HEADER_LENGTH + length)?.to_vec();
        self.pending.drain(..HEADER_LENGTH + length);
        if self.pending.is_empty() {
            // Big requests are rare; their buffer is not kept.
            self.pending = Vec::new();
        }
        Some(Frame { stream, kind, payload: Some(payload) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::task::StateRequest;

    fn state(id: &str) -> StateRequest {
        StateRequest { id: id.to_owned(), exec_id: String::new() }
    }

    #[test]
    fn a_frame_has_the_bytes_the_protocol_names() {
        let frame = encode(7, Kind::Request, &state("a"));
        assert_eq!(frame, [0, 0, 0, 3, 0, 0, 0, 7, 1, 0, 0x0a, 1, b'a']);
    }

    #[test]
    fn frames_come_out_whole_however_they_were_cut() {
        let bytes =
            [encode(1, Kind::Request, &state("one")), encode(3, Kind::Response, &state("two"))]
                .concat();
        for size in 1..=bytes.len() {
            let mut reader = Reader::default();
            let mut frames = Vec::new();
            for piece in bytes.chunks(size) {
                reader.push(piece);
                while let Some(frame) = reader.next_frame() {
                    frames.push(frame);
                }
            }
            assert_eq!(frames.len(), 2, "pieces of {size}");
            assert_eq!((frames[0].stream, frames[0].kind), (1, Kind::Request));
            assert_eq!(frames[1].payload, Some(state("two").encode_to_vec()));
        }
    }

    #[test]
    fn a_message_over_the_limit_is_passed_over_and_the_next_one_read() {
        let length = MAX_LENGTH + 5;
        let mut bytes = u32::try_from(length).unwrap().to_be_bytes().to_vec();
        bytes.extend_from_slice(&[0, 0, 0, 9, 1, 0]);
        bytes.resize(HEADER_LENGTH + length, 0xff);
        bytes.extend(encode(11, Kind::Request, &state("after")));
        let mut reader = Reader::default();
        let mut frames = Vec::new();
        for piece in bytes.chunks(60_000) {
            reader.push(piece);
            assert!(reader.pending.len() <= 60_000, "a too long message is not gathered");
            while let Some(frame) = reader.next_frame() {
                frames.push((frame.stream, frame.payload.map(|payload| payload.len())));
            }
        }
        assert_eq!(frames, [(9, None), (11, Some(7))]);
    }
}
