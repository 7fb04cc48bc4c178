//! Docker's multiplexed streams: eight bytes of header (stream, three zeros, length in big
//! endian), then that much data.

use crate::{At, Error, Result};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const HEADER: usize = 8;
const BUFFER: usize = 32 * 1024;

/// Which stream a frame belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard input as shown back, and standard output.
    Output,
    /// Standard error.
    Error,
    /// The engine's own complaint, which ends the stream.
    System,
}

/// Reads a header.
///
/// # Errors
/// The stream number is unknown: the peer doesn't speak this format.
pub fn header(bytes: [u8; HEADER]) -> Result<(Stream, u32)> {
    let stream = match bytes[0] {
        0 | 1 => Stream::Output,
        2 => Stream::Error,
        3 => Stream::System,
        other => {
            return Err(Error::internal(format!("unrecognized stream: {other}")));
        }
    };
    Ok((stream, u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]])))
}

/// Copies frames to two writers until the stream ends.
///
/// # Errors
/// Reading or writing failed; the format is broken; the engine's complaint.
pub async fn demultiplex<R, O, E>(mut from: R, mut out: O, mut err: E) -> Result<()>
where
    R: AsyncRead + Unpin,
    O: AsyncWrite + Unpin,
    E: AsyncWrite + Unpin,
{
    let mut buffer = vec![0; BUFFER];
    loop {
        let mut head = [0; HEADER];
        let mut filled = 0;
        while filled < HEADER {
            let count = from.read(&mut head[filled..]).await.at(|| "read the stream")?;
            if count == 0 {
                // Docker too takes a cut header for the end.
                return Ok(());
            }
            filled += count;
        }
        let (stream, length) = header(head)?;
        let mut complaint = Vec::new();
        let mut left = length as usize;
        while left > 0 {
            let wanted = left.min(BUFFER);
            let count = from.read(&mut buffer[..wanted]).await.at(|| "read the stream")?;
            if count == 0 {
                return Ok(());
            }
            left -= count;
            match stream {
                Stream::Output => put(&mut out, &buffer[..count]).await?,
                Stream::Error => put(&mut err, &buffer[..count]).await?,
                Stream::System => complaint.extend_from_slice(&buffer[..count]),
            }
        }
        if stream == Stream::System {
            let text = String::from_utf8_lossy(&complaint).into_owned();
            return Err(Error::internal(format!("error from daemon in stream: {text}")));
        }
    }
}

/// Copies a raw stream until it ends.
///
/// # Errors
/// Reading or writing failed.
pub async fn raw<R, O>(mut from: R, mut out: O) -> Result<()>
where
    R: AsyncRead + Unpin,
    O: AsyncWrite + Unpin,
{
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = from.read(&mut buffer).await.at(|| "read the stream")?;
        if count == 0 {
            return Ok(());
        }
        put(&mut out, &buffer[..count]).await?;
    }
}

async fn put<W: AsyncWrite + Unpin>(to: &mut W, bytes: &[u8]) -> Result<()> {
    to.write_all(bytes).await.at(|| "write the output")?;
    to.flush().await.at(|| "write the output")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(bytes: &[u8]) -> (Result<()>, Vec<u8>, Vec<u8>) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let result = runtime.block_on(demultiplex(bytes, &mut out, &mut err));
        (result, out, err)
    }

    #[test]
    fn frames_go_to_their_streams() {
        let bytes = b"\x01\0\0\0\0\0\0\x02hi\x02\0\0\0\0\0\0\x01e\x01\0\0\0\0\0\0\x01!";
        let (result, out, err) = split(bytes);
        result.unwrap();
        assert_eq!((out.as_slice(), err.as_slice()), (&b"hi!"[..], &b"e"[..]));
    }

    #[test]
    fn a_cut_stream_ends_and_a_foreign_one_is_refused() {
        assert!(split(b"\x01\0\0").0.is_ok());
        assert!(split(b"\x01\0\0\0\0\0\0\x09hi").0.is_ok());
        assert!(split(b"hello world").0.is_err());
    }

    #[test]
    fn the_engines_complaint_is_an_error() {
        let (result, ..) = split(b"\x03\0\0\0\0\0\0\x03bad");
        assert!(result.unwrap_err().message.contains("bad"));
    }
}
