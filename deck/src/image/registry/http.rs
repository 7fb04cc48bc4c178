//! HTTP/1.1 over TCP or TLS: one connection a request chain, every wait bounded.

use super::{hosts, tls};
use crate::config::Config;
use crate::error::{At, Error, Result};
use http_body_util::BodyExt;
use hyper::body::{Bytes, Frame, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderName, LOCATION, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// A connection that stalls so long is given up.
pub const STALL: Duration = Duration::from_secs(30);
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
    Stream(u64, Receiver<std::io::Result<Bytes>>),
}

impl Body {
    /// The same once more, where that can be.
    pub fn again(&self) -> Option<Self> {
        match self {
            Self::Empty => Some(Self::Empty),
            Self::Bytes(bytes) => Some(Self::Bytes(bytes.clone())),
            Self::Stream(..) => None,
        }
    }

    fn length(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Stream(length, _) => *length,
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
            Self::Stream(_, receiver) => {
                receiver.poll_recv(context).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
            }
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
            let frame = timeout(STALL, self.response.body_mut().frame())
                .await
                .map_err(|_| stalled(&self.uri))?;
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
const BROKEN: u16 = 599;

fn broken(uri: &Uri, error: &dyn std::fmt::Display) -> Error {
    Error::new(BROKEN, format!("{}: {error}", uri.host().unwrap_or_default()))
}

fn stalled(uri: &Uri) -> Error {
    let host = uri.host().unwrap_or_default();
    Error::new(BROKEN, format!("{host}: no answer for {} seconds", STALL.as_secs()))
}

/// Growing waits between tries.
#[derive(Default)]
pub struct Backoff {
    tries: u32,
}

impl Backoff {
    const TRIES: u32 = 5;
    const FIRST: Duration = Duration::from_millis(250);

    /// Waits after an error that may pass, and gives it back when it won't or tries are used up.
    ///
    /// # Errors
    /// The error.
    pub async fn wait(&mut self, error: Error) -> Result<()> {
        let passes = matches!(error.status, 429 | 502..=504 | BROKEN);
        self.tries += 1;
        if !passes || self.tries >= Self::TRIES {
            let status = if error.status >= 500 { 500 } else { error.status };
            return Err(Error::new(status, error.message));
        }
        tokio::time::sleep(Self::FIRST * 2u32.pow(self.tries - 1)).await;
        Ok(())
    }

    /// Something got through: the next failure is a first one.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Makes connections.
pub struct Http {
    config: Config,
    tls: Mutex<BTreeMap<String, Arc<rustls::ClientConfig>>>,
    /// Loopback hosts found to speak plain http.
    plain: Mutex<Vec<String>>,
}

impl Http {
    /// With deck's configuration, where certs.d is.
    pub fn new(config: &Config) -> Self {
        Self { config: config.clone(), tls: Mutex::default(), plain: Mutex::default() }
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
                return Ok(Answer { response, uri });
            };
            let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            let location = location
                .ok_or_else(|| Error::internal(format!("{uri}: redirect without a place")))?;
            let target = resolve(&uri, location)?;
            let secure = uri.scheme_str() == Some("https");
            if secure && target.scheme_str() != Some("https") && !self.speaks_plain(&uri) {
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

    fn speaks_plain(&self, uri: &Uri) -> bool {
        let authority = uri.authority().map(|authority| authority.as_str().to_owned());
        authority.is_some_and(|host| lock(&self.plain).contains(&host))
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
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &authority)
            .header(USER_AGENT, concat!("deck/", env!("CARGO_PKG_VERSION")));
        if !matches!(body, Body::Empty) || !matches!(*method, Method::GET | Method::HEAD) {
            request = request.header(CONTENT_LENGTH, body.length());
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request =
            request.body(body).map_err(|error| Error::invalid(format!("{uri}: {error}")))?;
        let mut sender = self.connect(endpoint, uri, &authority).await?;
        let sent = sender.send_request(request);
        // An upload moves for longer than one answer may take: the channel's feeder bounds it.
        let stall = if *method == Method::PUT || *method == Method::PATCH {
            Duration::from_secs(3600)
        } else {
            STALL
        };
        timeout(stall, sent).await.map_err(|_| stalled(uri))?.map_err(|error| broken(uri, &error))
    }

    /// A connection to the URI's host.
    async fn connect(
        &self,
        endpoint: &Endpoint,
        uri: &Uri,
        authority: &str,
    ) -> Result<SendRequest<Body>> {
        let secure = uri.scheme_str() == Some("https");
        let known_plain = lock(&self.plain).iter().any(|host| host == authority);
        let host = hosts::host_name(authority).to_owned();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let stream = dial(uri, &host, port).await?;
        if !secure || known_plain {
            return self.start(uri, stream).await;
        }
        let settings = self.settings(authority)?;
        let name = rustls::pki_types::ServerName::try_from(host.clone())
            .map_err(|error| Error::invalid(format!("{host}: {error}")))?;
        let shaken = timeout(STALL, TlsConnector::from(settings).connect(name, stream)).await;
        match shaken.map_err(|_| stalled(uri))? {
            Ok(stream) => self.start(uri, stream).await,
            Err(error)
                if endpoint.either && authority == endpoint.host && speaks_no_tls(&error) =>
            {
                lock(&self.plain).push(authority.to_owned());
                self.start(uri, dial(uri, &host, port).await?).await
            }
            Err(error) => Err(Error::internal(format!("{host}: TLS: {error}"))),
        }
    }

    fn settings(&self, authority: &str) -> Result<Arc<rustls::ClientConfig>> {
        if let Some(settings) = lock(&self.tls).get(authority) {
            return Ok(Arc::clone(settings));
        }
        let settings = tls::config(&self.config, authority)?;
        lock(&self.tls).insert(authority.to_owned(), Arc::clone(&settings));
        Ok(settings)
    }

    async fn start(&self, uri: &Uri, stream: impl Stream + 'static) -> Result<SendRequest<Body>> {
        let (sender, connection) = timeout(STALL, handshake(TokioIo::new(stream)))
            .await
            .map_err(|_| stalled(uri))?
            .map_err(|error| broken(uri, &error))?;
        // Ends with its last answer, or with the runtime.
        tokio::spawn(connection);
        Ok(sender)
    }
}

/// Both hold finished values only, so a panicked holder left nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn dial(uri: &Uri, host: &str, port: u16) -> Result<TcpStream> {
    let stream = timeout(STALL, TcpStream::connect((host, port)))
        .await
        .map_err(|_| stalled(uri))?
        .map_err(|error| Error::new(BROKEN, format!("connect to {host}:{port}: {error}")))?;
    stream.set_nodelay(true).at(|| "set TCP_NODELAY")?;
    Ok(stream)
}

/// Whether a handshake failed because the other side answered without TLS.
fn speaks_no_tls(error: &std::io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::InvalidMessage(_)))
        || error.kind() == std::io::ErrorKind::UnexpectedEof
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
