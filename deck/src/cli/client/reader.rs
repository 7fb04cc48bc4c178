//! An answer's body as a reader.

use hyper::body::{Body as _, Bytes, Incoming};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, AsyncWriteExt, BufWriter, ReadBuf};

/// How much is written to a file at once: each write is a way to another thread and back.
const WRITE: usize = 1 << 20;

/// Reads a body.
pub fn reader(body: Incoming) -> impl AsyncBufRead + Unpin {
    Reader { body, chunk: Bytes::new() }
}

/// Writes a whole body.
///
/// # Errors
/// It breaks off; it can't be written.
pub async fn write_body(body: Incoming, writer: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    let mut writer = BufWriter::with_capacity(WRITE, writer);
    tokio::io::copy_buf(&mut reader(body), &mut writer).await?;
    writer.flush().await
}

struct Reader {
    body: Incoming,
    chunk: Bytes,
}

impl AsyncBufRead for Reader {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        while this.chunk.is_empty() {
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                None => break,
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                // Trailers carry nothing here.
                Some(Ok(frame)) => this.chunk = frame.into_data().unwrap_or_default(),
            }
        }
        Poll::Ready(Ok(&this.chunk))
    }

    fn consume(mut self: Pin<&mut Self>, count: usize) {
        let count = count.min(self.chunk.len());
        drop(self.chunk.split_to(count));
    }
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let chunk = ready!(self.as_mut().poll_fill_buf(cx))?;
        let count = chunk.len().min(buffer.remaining());
        buffer.put_slice(chunk.get(..count).unwrap_or_default());
        self.consume(count);
        Poll::Ready(Ok(()))
    }
}
