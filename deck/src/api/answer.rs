//! Answers: bodies, Docker's headers, JSON and the error shape `{"message": …}`.

use super::version;
use crate::error::{Error, Result};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::body::{Body, Bytes, Frame};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// The body of every answer.
pub type Stream = UnsyncBoxBody<Bytes, Infallible>;
/// An answer.
pub type Answer = Response<Stream>;

/// The writing end of a streamed body; dropping it ends the body.
pub type Sender = mpsc::Sender<Bytes>;

/// Chunks on their way to a slow client before the writer waits.
const BACKLOG: usize = 16;

/// A body whose chunks come from a channel.
struct Chunks(mpsc::Receiver<Bytes>);

impl Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk))))
    }
}

/// A body that is sent chunk by chunk while it is made.
pub fn channel() -> (Sender, Stream) {
    let (sender, receiver) = mpsc::channel(BACKLOG);
    (sender, Chunks(receiver).boxed_unsync())
}

/// An answer with these bytes.
pub fn bytes(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()).boxed_unsync());
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// An answer in JSON, ended by a newline as Go's encoder does.
///
/// # Errors
/// The value can't be written as JSON.
pub fn json(status: StatusCode, value: &impl Serialize) -> Result<Answer> {
    let mut body = serde_json::to_vec(value)
        .map_err(|error| Error::internal(format!("write the answer: {error}")))?;
    body.push(b'\n');
    Ok(bytes(status, "application/json", body))
}

/// 200 with JSON.
///
/// # Errors
/// As [`json`].
pub fn ok(value: &impl Serialize) -> Result<Answer> {
    json(StatusCode::OK, value)
}

/// 201 with JSON.
///
/// # Errors
/// As [`json`].
pub fn created(value: &impl Serialize) -> Result<Answer> {
    json(StatusCode::CREATED, value)
}

/// An answer without a body: 204, 304, or 200 with length 0.
pub fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::new()).boxed_unsync());
    *answer.status_mut() = status;
    answer
}

/// 204.
pub fn no_content() -> Answer {
    empty(StatusCode::NO_CONTENT)
}

/// 200 with a body that is still being made.
pub fn stream(content_type: &'static str, body: Stream) -> Answer {
    let mut answer = Response::new(body);
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// An error in Docker's shape.
pub fn failure(error: &Error) -> Answer {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status == StatusCode::NOT_MODIFIED {
        return empty(status);
    }
    let body = serde_json::json!({ "message": error.message });
    bytes(status, "application/json", format!("{body}\n"))
}

/// The headers that every answer carries; clients read `Api-Version` and `Ostype`.
pub fn stamp(answer: &mut Answer) {
    let headers = answer.headers_mut();
    let api = HeaderValue::from_str(&version::MAX.to_string());
    headers.insert(
        HeaderName::from_static("api-version"),
        api.unwrap_or_else(|_| HeaderValue::from_static("1.51")),
    );
    headers
        .insert(HeaderName::from_static("docker-experimental"), HeaderValue::from_static("false"));
    headers.insert(HeaderName::from_static("ostype"), HeaderValue::from_static("linux"));
    headers.insert(
        header::SERVER,
        HeaderValue::from_static(concat!("Deck/", env!("CARGO_PKG_VERSION"), " (linux)")),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn errors_have_dockers_shape() {
        let answer = failure(&Error::not_found("No such container: x"));
        assert_eq!(answer.status(), 404);
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/json");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(&body[..], b"{\"message\":\"No such container: x\"}\n");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_streamed_body_ends_with_its_sender() {
        let (sender, body) = channel();
        tokio::spawn(async move {
            sender.send(Bytes::from_static(b"a")).await.unwrap();
            sender.send(Bytes::from_static(b"b")).await.unwrap();
        });
        assert_eq!(&body.collect().await.unwrap().to_bytes()[..], b"ab");
    }
}
