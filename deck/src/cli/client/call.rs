//! One request: method, path, query, headers, body.

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::Method;
use hyper::body::{Body, Bytes, Frame};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};

/// How much of an upload is read at once.
const CHUNK: usize = 64 * 1024;

/// What is sent.
pub type Payload = BoxBody<Bytes, io::Error>;

/// A request on its way to becoming one.
pub struct Call {
    /// The method.
    pub method: Method,
    /// Path and query, without the version.
    pub target: String,
    /// Headers beyond the usual ones.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Payload,
}

impl Call {
    /// A request without a body.
    pub fn new(method: Method, path: &str) -> Self {
        let body = Empty::new().map_err(|never| match never {}).boxed();
        Self { method, target: path.to_owned(), headers: Vec::new(), body }
    }

    /// GET.
    pub fn get(path: &str) -> Self {
        Self::new(Method::GET, path)
    }

    /// POST.
    pub fn post(path: &str) -> Self {
        Self::new(Method::POST, path)
    }

    /// DELETE.
    pub fn delete(path: &str) -> Self {
        Self::new(Method::DELETE, path)
    }

    /// Adds a query parameter.
    #[must_use]
    pub fn query(mut self, name: &str, value: impl AsRef<str>) -> Self {
        let mark = if self.target.contains('?') { '&' } else { '?' };
        let _ = write!(self.target, "{mark}{name}={}", escape(value.as_ref()));
        self
    }

    /// Adds a query parameter where there is a value.
    #[must_use]
    pub fn query_some(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    /// Adds `name=1` where `set`.
    #[must_use]
    pub fn flag(self, name: &str, set: bool) -> Self {
        if set { self.query(name, "1") } else { self }
    }

    /// Adds the filters, as `{"key":{"value":true}}`.
    #[must_use]
    pub fn filters(self, filters: &[(String, String)]) -> Self {
        if filters.is_empty() {
            return self;
        }
        let mut map: BTreeMap<&str, BTreeMap<&str, bool>> = BTreeMap::new();
        for (key, value) in filters {
            map.entry(key).or_default().insert(value, true);
        }
        // Maps of strings always serialize.
        let text = serde_json::to_string(&map).unwrap_or_default();
        self.query("filters", text)
    }

    /// A header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// A JSON body.
    #[must_use]
    pub fn json(mut self, value: &Value) -> Self {
        self.body = Full::from(value.to_string()).map_err(|never| match never {}).boxed();
        self.header("content-type", "application/json")
    }

    /// A body read while it is sent.
    #[must_use]
    pub fn upload(mut self, reader: impl AsyncRead + Send + Sync + Unpin + 'static) -> Self {
        let body = Upload { reader, buffer: vec![0; CHUNK].into_boxed_slice() };
        self.body = body.boxed();
        self.header("content-type", "application/x-tar")
    }
}

/// A body out of a reader.
struct Upload<R> {
    reader: R,
    buffer: Box<[u8]>,
}

impl<R: AsyncRead + Unpin> Body for Upload<R> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        let mut buffer = ReadBuf::new(&mut this.buffer);
        ready!(Pin::new(&mut this.reader).poll_read(cx, &mut buffer))?;
        let filled = buffer.filled();
        Poll::Ready((!filled.is_empty()).then(|| Ok(Frame::data(Bytes::copy_from_slice(filled)))))
    }
}

/// Percent-encodes everything but RFC 3986's unreserved characters.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_escaped() {
        let call = Call::get("/x").query("a", "b/c d").flag("f", true).flag("g", false);
        assert_eq!(call.target, "/x?a=b%2Fc%20d&f=1");
    }

    #[test]
    fn filters_are_a_map_of_maps() {
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        let call = Call::get("/x").filters(&[pair("a", "1"), pair("a", "2")]);
        assert_eq!(call.target, format!("/x?filters={}", escape(r#"{"a":{"1":true,"2":true}}"#)));
        assert_eq!(Call::get("/x").filters(&[]).target, "/x");
    }
}
