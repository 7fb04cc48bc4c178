//! Docker's frames: eight bytes (stream, three zeros, length in big endian), then data.

/// Bytes of a header.
pub const HEADER: usize = 8;

/// One frame: 1 stdout, 2 stderr, 3 the server's own errors.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    /// The stream.
    pub stream: u8,
    /// Its data.
    pub data: Vec<u8>,
}

/// A frame's bytes.
pub fn encode(stream: u8, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut bytes = Vec::with_capacity(HEADER + data.len());
    bytes.extend_from_slice(&[stream, 0, 0, 0]);
    bytes.extend_from_slice(&length);
    bytes.extend_from_slice(data);
    bytes
}

/// Takes frames out of a stream of bytes as they become whole.
#[derive(Debug, Default)]
pub struct Reader(Vec<u8>);

impl Reader {
    /// More bytes came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next whole frame.
    pub fn next_frame(&mut self) -> Option<Frame> {
        let header = self.0.first_chunk::<HEADER>()?;
        let [stream, _, _, _, length @ ..] = *header;
        let length = u32::from_be_bytes(length) as usize;
        let data = self.0.get(HEADER..HEADER + length)?.to_vec();
        self.0.drain(..HEADER + length);
        Some(Frame { stream, data })
    }
}

/// The data of all whole frames, one after the other.
pub fn payloads(bytes: &[u8]) -> Vec<u8> {
    let mut reader = Reader(bytes.to_vec());
    let mut out = Vec::new();
    while let Some(frame) = reader.next_frame() {
        out.extend_from_slice(&frame.data);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_whole() {
        let mut reader = Reader::default();
        let bytes = [encode(1, b"ab"), encode(2, b"")].concat();
        reader.push(&bytes[..9]);
        assert_eq!(reader.next_frame(), None);
        reader.push(&bytes[9..]);
        assert_eq!(reader.next_frame(), Some(Frame { stream: 1, data: b"ab".to_vec() }));
        assert_eq!(reader.next_frame(), Some(Frame { stream: 2, data: vec![] }));
        assert_eq!(payloads(&bytes), b"ab");
    }
}
