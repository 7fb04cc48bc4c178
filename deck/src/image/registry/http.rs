//! HTTP/1.1: requests and answers, one connection a request, every wait bounded.

use super::connect::{AGENT, Connector};
use crate::config::Config;
use crate::error::{Error, Result};
use http_body_util::BodyExt;
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{
    AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderName, LOCATION, PROXY_AUTHORIZATION, USER_AGENT,
};
use hyper::{Method, Request, Response, StatusCode, Uri};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

/// How long a registry may take over what it was sent: it hashes and stores a blob before it
/// answers.
const WORK: Duration = Duration::from_secs(600);
/// Redirects followed for one request.
const MAX_REDIRECTS: u8 = 5;
/// Bytes of an error answer read.
const MAX_ERROR: u64 = 64 << 10;

/// A host that answers for a registry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// Host and port.
    pub host: String,
    /// Plain http.
    pub plain: bool,
    /// TLS first, plain http if the other side speaks none: loopback only.
    pub either: bool,
}

impl Endpoint {
    /// The URI of a path there.
    ///
    /// # Errors
    /// The path makes no URI.
    pub fn uri(&self, path: &str) -> Result<Uri> {
        let scheme = if self.plain { "http" } else { "https" };
        let text = format!("{scheme}://{}{path}", self.host);
        text.parse().map_err(|error| Error::invalid(format!("{text}: {error}")))
    }
}

/// What a request carries.
pub enum Body {
    /// Nothing.
    Empty,
    /// A document.
    Bytes(Bytes),
    /// So many bytes from a channel; can't be sent twice.
    Stream(u64, Receiver<std::io::Result<Bytes>>, Handed),
}

/// Bytes of a body that the connection took so far.
pub type Handed = Arc<AtomicU64>;

impl Body {
    /// The same once more, where that can be.
    pub fn again(&self) -> Option<Self> {
        match self {
            Self::Empty => Some(Self::Empty),
            Self::Bytes(bytes) => Some(Self::Bytes(bytes.clone())),
            Self::Stream(..) => None,
        }
    }

    /// What the connection has still to take, and the counter of what it took.
    fn handed(&self) -> (u64, Handed) {
        match self {
            Self::Stream(length, _, handed) => (*length, Arc::clone(handed)),
            Self::Empty | Self::Bytes(_) => (0, Handed::default()),
        }
    }

    fn length(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Stream(length, ..) => *length,
        }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::io::Result<Frame<Bytes>>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Bytes(bytes) => {
                let all = std::mem::take(bytes);
                *self = Self::Empty;
                Poll::Ready(Some(Ok(Frame::data(all))))
            }
            Self::Stream(_, receiver, handed) => receiver.poll_recv(context).map(|chunk| {
                if let Some(Ok(chunk)) = &chunk {
                    handed.fetch_add(chunk.len() as u64, Ordering::Relaxed);
                }
                chunk.map(|chunk| chunk.map(Frame::data))
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Empty)
    }
}

/// An answer whose body is still to come.
pub struct Answer {
    response: Response<Incoming>,
    /// Where it came from, after redirects.
    pub uri: Uri,
    stall: Duration,
}

impl Answer {
    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// A header that is text.
    pub fn header(&self, name: &str) -> Option<String> {
        Some(self.response.headers().get(name)?.to_str().ok()?.to_owned())
    }

    /// All values of a header.
    pub fn headers(&self, name: &str) -> Vec<String> {
        let values = self.response.headers().get_all(name).iter();
        values.filter_map(|value| value.to_str().ok().map(str::to_owned)).collect()
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// The connection broke, or stalled.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        loop {
            let frame = timeout(self.stall, self.response.body_mut().frame())
                .await
                .map_err(|_| stalled(&self.uri, self.stall))?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(broken(&self.uri, &error)),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// The whole body, bounded.
    ///
    /// # Errors
    /// It is larger, or the connection breaks.
    pub async fn bytes(mut self, most: u64) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if (all.len() + chunk.len()) as u64 > most {
                return Err(Error::internal(format!(
                    "{}: answer of more than {most} bytes",
                    self.uri
                )));
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all)
    }

    /// The answer, if it has the status; else an error with the registry's own words.
    ///
    /// # Errors
    /// As the registry says.
    pub async fn expect(self, status: StatusCode) -> Result<Self> {
        if self.status() == status {
            return Ok(self);
        }
        Err(self.failure().await)
    }

    /// The error of an answer.
    pub async fn failure(self) -> Error {
        let (status, uri) = (self.status(), self.uri.clone());
        let text = self.bytes(MAX_ERROR).await.unwrap_or_default();
        let message = words(&text).unwrap_or_else(|| status.to_string());
        let code = match status.as_u16() {
            code @ (401 | 403 | 404 | 416 | 429 | 500..=599) => code,
            _ => 500,
        };
        let host = uri.host().unwrap_or_default();
        Error::new(code, format!("{host}: {message}"))
    }
}

/// The registry's own words (distribution-spec, error codes), made safe for a terminal.
fn words(body: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    let first = value.get("errors")?.as_array()?.first()?;
    let text = |key: &str| first.get(key).and_then(serde_json::Value::as_str).unwrap_or_default();
    let code = text("code").to_ascii_lowercase().replace('_', " ");
    let message = format!("{code}: {}", text("message"));
    Some(message.chars().filter(|c| !c.is_control()).take(500).collect())
}

/// Status of errors of the connection: worth another try.
pub const BROKEN: u16 = 599;

/// A connection that broke. What TLS ended, as for want of a certificate, no other try mends.
pub fn broken(uri: &Uri, error: &dyn std::error::Error) -> Error {
    let mut message = format!("{}: {error}", uri.host().unwrap_or_default());
    let (mut status, mut cause) = (BROKEN, error.source());
    while let Some(inner) = cause {
        message = format!("{message}: {inner}");
        let io = inner.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if io.is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>) {
            status = 500;
        }
        cause = inner.source();
    }
    Error::new(status, message)
}

/// A connection that gave nothing for so long.
pub fn stalled(uri: &Uri, stall: Duration) -> Error {
    let host = uri.host().unwrap_or_default();
    Error::new(BROKEN, format!("{host}: no answer for {} seconds", stall.as_secs()))
}

/// Sends requests.
pub struct Http {
    connector: Connector,
    stall: Duration,
}

impl Http {
    /// With deck's configuration; a connection that gives nothing for `stall` is given up.
    pub fn new(config: &Config, stall: Duration) -> Self {
        Self { connector: Connector::new(config, stall), stall }
    }

    /// Sends a request and follows redirects of GET and HEAD: without authorisation to another
    /// host, never from TLS to plain http.
    ///
    /// # Errors
    /// The connection can't be made, breaks or stalls.
    pub async fn send(
        &self,
        endpoint: &Endpoint,
        method: Method,
        uri: &Uri,
        headers: &[(HeaderName, String)],
        authorization: Option<&str>,
        body: Body,
    ) -> Result<Answer> {
        let mut uri = uri.clone();
        let mut authorization = authorization;
        let mut body = body;
        for _ in 0..=MAX_REDIRECTS {
            let next = body.again();
            let response = self.once(endpoint, &method, &uri, headers, authorization, body).await?;
            let follows = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308)
                && matches!(method, Method::GET | Method::HEAD);
            let (true, Some(again)) = (follows, next) else {
                return Ok(Answer { response, uri, stall: self.stall });
            };
            let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            let location = location
                .ok_or_else(|| Error::internal(format!("{uri}: redirect without a place")))?;
            let target = resolve(&uri, location)?;
            let secure = uri.scheme_str() == Some("https");
            if secure && target.scheme_str() != Some("https") && !self.connector.speaks_plain(&uri)
            {
                return Err(Error::internal(format!("{uri}: redirect from TLS to {target}")));
            }
            if target.authority() != uri.authority() {
                authorization = None;
            }
            uri = target;
            body = again;
        }
        Err(Error::internal(format!("{uri}: too many redirects")))
    }

    async fn once(
        &self,
        endpoint: &Endpoint,
        method: &Method,
        uri: &Uri,
        headers: &[(HeaderName, String)],
        authorization: Option<&str>,
        body: Body,
    ) -> Result<Response<Incoming>> {
        let authority = uri
            .authority()
            .ok_or_else(|| Error::invalid(format!("{uri}: no host")))?
            .as_str()
            .to_owned();
        let connection = self.connector.connect(endpoint, uri).await?;
        let mut request =
            Request::builder().method(method).header(HOST, &authority).header(USER_AGENT, AGENT);
        request = match &connection.proxy {
            Some(_) => request.uri(uri),
            None => request.uri(uri.path_and_query().map_or("/", |path| path.as_str())),
        };
        let proxy = connection.proxy.as_ref().and_then(|proxy| proxy.authorization.as_ref());
        if let Some(authorization) = proxy {
            request = request.header(PROXY_AUTHORIZATION, authorization);
        }
        if !matches!(body, Body::Empty) || !matches!(*method, Method::GET | Method::HEAD) {
            request = request.header(CONTENT_LENGTH, body.length());
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let (length, handed) = body.handed();
        let request =
            request.body(body).map_err(|error| Error::invalid(format!("{uri}: {error}")))?;
        let mut sender = connection.sender;
        let writes = *method == Method::PUT || *method == Method::PATCH;
        let work = if writes { self.stall.max(WORK) } else { self.stall };
        answered(sender.send_request(request), length, &handed, self.stall, work)
            .await
            .map_err(|waited| stalled(uri, waited))?
            .map_err(|error| broken(uri, &error))
    }
}

/// Waits for an answer: as long as the request's body moves, and for `work` once it is sent. The
/// error is how long nothing came.
async fn answered<T>(
    sent: impl Future<Output = T>,
    length: u64,
    handed: &AtomicU64,
    stall: Duration,
    work: Duration,
) -> std::result::Result<T, Duration> {
    let mut sent = pin!(sent);
    loop {
        let before = handed.load(Ordering::Relaxed);
        let wait = if before < length { stall } else { work };
        match timeout(wait, &mut sent).await {
            Ok(answer) => return Ok(answer),
            Err(_) if handed.load(Ordering::Relaxed) == before => return Err(wait),
            Err(_) => {}
        }
    }
}

/// A `Location`, absolute or relative to where it was said.
///
/// # Errors
/// It is no http URI.
pub fn resolve(base: &Uri, location: &str) -> Result<Uri> {
    let invalid = || Error::internal(format!("{base}: redirect to {location:?}"));
    let uri: Uri = if location.starts_with('/') && !location.starts_with("//") {
        let scheme = base.scheme_str().unwrap_or("https");
        let authority = base.authority().ok_or_else(invalid)?;
        format!("{scheme}://{authority}{location}").parse().map_err(|_| invalid())?
    } else {
        location.parse().map_err(|_| invalid())?
    };
    let http = matches!(uri.scheme_str(), Some("http" | "https"));
    // Credentials in a URL are none of ours.
    let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    if http && plain { Ok(uri) } else { Err(invalid()) }
}

/// Percent-encodes a query's value (RFC 3986).
pub fn encode(text: &str) -> String {
    use std::fmt::Write;
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string can't fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    static PIECE: [u8; 64 << 10] = [7; 64 << 10];

    /// Sends 640 KiB to a peer that reads as it likes, on a clock that only waits move.
    fn upload<F>(peer: impl FnOnce(tokio::io::DuplexStream) -> F) -> Result<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let (near, far) = tokio::io::duplex(16 << 10);
            tokio::spawn(peer(far));
            let config = crate::config::Config {
                data_root: "/nonexistent".into(),
                exec_root: "/nonexistent".into(),
                config_root: "/nonexistent".into(),
                runtime: "/nonexistent".into(),
                shim: "/nonexistent".into(),
            };
            let uri = Uri::from_static("http://r.example/");
            let connector = Connector::new(&config, Duration::from_secs(30));
            let mut sender = connector.start(&uri, near).await?;
            let (pieces, receiver) = tokio::sync::mpsc::channel(8);
            tokio::spawn(async move {
                for _ in 0..10 {
                    if pieces.send(Ok(Bytes::from_static(&PIECE))).await.is_err() {
                        return;
                    }
                }
            });
            let body = Body::Stream(640 << 10, receiver, Handed::default());
            let (length, handed) = body.handed();
            let request = Request::put("/").header(HOST, "r.example");
            let request = request.header(CONTENT_LENGTH, length).body(body).unwrap();
            let stall = Duration::from_secs(30);
            answered(sender.send_request(request), length, &handed, stall, WORK)
                .await
                .map_err(|waited| stalled(&uri, waited))?
                .map(drop)
                .map_err(|error| broken(&uri, &error))
        })
    }

    #[test]
    fn an_upload_may_be_slow_but_not_stand_still() {
        // Some 6 KiB a second: two minutes in all.
        let slow = |mut peer: tokio::io::DuplexStream| async move {
            let mut left = 640 << 10;
            let mut buffer = vec![0; 120 << 10];
            while left > 0 {
                tokio::time::sleep(Duration::from_secs(20)).await;
                // What is there by then: more than the pipe holds comes in several reads.
                for _ in 0..8 {
                    if left == 0 {
                        break;
                    }
                    left -= peer.read(&mut buffer).await.unwrap().min(left);
                }
            }
            // The registry's own work.
            tokio::time::sleep(Duration::from_secs(300)).await;
            peer.write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
        };
        upload(slow).unwrap();
        let stuck = |mut peer: tokio::io::DuplexStream| async move {
            let mut buffer = vec![0; 100 << 10];
            peer.read_exact(&mut buffer).await.unwrap();
            tokio::time::sleep(Duration::from_secs(100_000)).await;
        };
        let error = upload(stuck).unwrap_err();
        assert!(error.message.contains("no answer for 30 seconds"), "{error}");
        let mute = |mut peer: tokio::io::DuplexStream| async move {
            let mut buffer = vec![0; 100 << 10];
            while peer.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
        };
        let error = upload(mute).unwrap_err();
        assert!(error.message.contains("no answer for 600 seconds"), "{error}");
    }

    #[test]
    fn places_are_resolved_or_refused() {
        let base: Uri = "https://r.example:5000/v2/a".parse().unwrap();
        let resolved = |location: &str| resolve(&base, location).map(|uri| uri.to_string());
        assert_eq!(resolved("/v2/b?x=1").unwrap(), "https://r.example:5000/v2/b?x=1");
        assert_eq!(resolved("https://c.example/b").unwrap(), "https://c.example/b");
        for bad in ["file:///etc/passwd", "unix:/x", "b", "//x/y", "https://u:p@h/", "", "http:"] {
            assert!(resolve(&base, bad).is_err(), "{bad}");
        }
        assert_eq!(encode("a b/ü:"), "a%20b%2F%C3%BC%3A");
    }

    #[test]
    fn a_registrys_words_are_safe_to_print() {
        let body = br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"a\u001b[31mb"}]}"#;
        assert_eq!(words(body).unwrap(), "manifest unknown: a[31mb");
        assert_eq!(words(b"<html>"), None);
    }
}
