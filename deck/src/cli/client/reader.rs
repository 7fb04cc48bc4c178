//! An answer's body as a reader.

use hyper::body::{Body as _, Bytes, Incoming};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};

/// Reads a body.
pub fn reader(body: Incoming) -> impl AsyncRead + Unpin {
    Reader { body, chunk: Bytes::new() }
}

struct Reader {
    body: Incoming,
    chunk: Bytes,
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.chunk.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => return Poll::Ready(Ok(())),
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                // Trailers carry nothing here.
                Some(Ok(frame)) => self.chunk = frame.into_data().unwrap_or_default(),
            }
        }
        let count = self.chunk.len().min(buffer.remaining());
        buffer.put_slice(&self.chunk.split_to(count));
        Poll::Ready(Ok(()))
    }
}
