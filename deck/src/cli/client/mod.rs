//! The Engine API's client: one connection a request (kept for the next where it can be),
//! the version agreed on with `/_ping`, streams and upgraded connections.

mod call;
pub mod endpoint;
mod reader;
pub mod tls;
mod transport;

pub use call::{Call, escape};
pub use reader::{reader, write_body};
pub use transport::{Io, Transport};

use crate::{At, Error, Result};
use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::{Request, Response, StatusCode, Version, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::sync::Mutex;
use tokio::sync::OnceCell;

/// The newest version of the API this client speaks.
pub const NEWEST: (u32, u32) = (1, 51);
/// The oldest: Docker 19.03's.
const OLDEST: (u32, u32) = (1, 40);

/// An upgraded connection: bytes both ways.
pub type Hijacked = TokioIo<hyper::upgrade::Upgraded>;

/// Speaks to one engine.
pub struct Client {
    transport: Transport,
    version: OnceCell<(u32, u32)>,
    idle: Mutex<Option<SendRequest<call::Payload>>>,
}

impl Client {
    /// A client; nothing is connected yet.
    pub fn new(transport: Transport) -> Self {
        Self { transport, version: OnceCell::new(), idle: Mutex::new(None) }
    }

    /// Is the engine elsewhere?
    pub fn is_remote(&self) -> bool {
        self.transport.is_remote()
    }

    /// The version both sides speak.
    ///
    /// # Errors
    /// No engine answers, or it speaks only versions this client doesn't.
    pub async fn version(&self) -> Result<(u32, u32)> {
        let agree = async {
            let response = self.request(Call::get("/_ping"), None).await?;
            let theirs = response
                .headers()
                .get("api-version")
                .and_then(|value| value.to_str().ok())
                .and_then(parse_version);
            self.finish(response).await?;
            let agreed = theirs.map_or(OLDEST, |theirs| theirs.min(NEWEST));
            if agreed < OLDEST {
                return Err(Error::unsupported(format!(
                    "the engine speaks API {}.{} at most; {}.{} is the oldest deck speaks",
                    agreed.0, agreed.1, OLDEST.0, OLDEST.1
                )));
            }
            Ok(agreed)
        };
        self.version.get_or_try_init(|| agree).await.copied()
    }

    /// A JSON answer.
    ///
    /// # Errors
    /// The engine's, or that of the way there.
    pub async fn json(&self, call: Call) -> Result<Value> {
        let bytes = self.bytes(call).await?;
        serde_json::from_slice(&bytes).at(|| "the engine's answer")
    }

    /// A whole answer, whatever it holds.
    ///
    /// # Errors
    /// As [`Client::json`].
    pub async fn bytes(&self, call: Call) -> Result<Bytes> {
        let response = self.send(call).await?;
        self.finish(response).await
    }

    /// A request whose answer's body is of no interest.
    ///
    /// # Errors
    /// As [`Client::json`].
    pub async fn run(&self, call: Call) -> Result<()> {
        self.bytes(call).await.map(drop)
    }

    /// An answer whose body is read while it arrives.
    ///
    /// # Errors
    /// As [`Client::json`].
    pub async fn send(&self, call: Call) -> Result<Response<Incoming>> {
        let version = self.version().await?;
        let response = self.request(call, Some(version)).await?;
        if response.status().is_client_error() || response.status().is_server_error() {
            return Err(self.refusal(response).await);
        }
        Ok(response)
    }

    /// Turns the connection into a stream of bytes (attach, exec).
    ///
    /// # Errors
    /// As [`Client::json`]; the engine doesn't upgrade.
    pub async fn hijack(&self, call: Call) -> Result<Hijacked> {
        let call = call.header("connection", "Upgrade").header("upgrade", "tcp");
        let response = self.send(call).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(Error::internal(format!(
                "unable to upgrade to tcp, received {}",
                response.status().as_u16()
            )));
        }
        let upgraded = hyper::upgrade::on(response).await.at(|| "upgrade to a stream")?;
        Ok(TokioIo::new(upgraded))
    }

    async fn request(&self, call: Call, version: Option<(u32, u32)>) -> Result<Response<Incoming>> {
        let target = match version {
            Some((major, minor)) => format!("/v{major}.{minor}{}", call.target),
            None => call.target,
        };
        let mut request = Request::builder()
            .method(call.method)
            .uri(&target)
            .version(Version::HTTP_11)
            .header(header::HOST, self.transport.host())
            .header(header::USER_AGENT, concat!("deck/", env!("CARGO_PKG_VERSION")));
        for (name, value) in call.headers {
            request = request.header(name, value);
        }
        let request = request.body(call.body).at(|| format!("request {target}"))?;
        let mut sender = self.sender().await?;
        let response = sender.send_request(request).await.at(|| self.transport.describe())?;
        *lock(&self.idle) = Some(sender);
        Ok(response)
    }

    /// The kept connection where it is free, else a new one.
    async fn sender(&self) -> Result<SendRequest<call::Payload>> {
        let kept = lock(&self.idle).take();
        if let Some(mut sender) = kept
            && sender.is_ready()
            && sender.ready().await.is_ok()
        {
            return Ok(sender);
        }
        let io = self.transport.connect().await?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(io))
            .await
            .at(|| self.transport.describe())?;
        // Its errors reach the request it serves.
        tokio::spawn(connection.with_upgrades());
        Ok(sender)
    }

    async fn finish(&self, response: Response<Incoming>) -> Result<Bytes> {
        let body = response.into_body().collect().await.at(|| self.transport.describe())?;
        Ok(body.to_bytes())
    }

    /// The engine's error: `{"message": …}` or plain text.
    async fn refusal(&self, response: Response<Incoming>) -> Error {
        let status = response.status();
        let bytes = match self.finish(response).await {
            Ok(bytes) => bytes,
            Err(error) => return error,
        };
        let message = serde_json::from_slice::<Value>(&bytes)
            .ok()
            .and_then(|value| Some(value.get("message")?.as_str()?.to_owned()))
            .unwrap_or_else(|| String::from_utf8_lossy(&bytes).trim().to_owned());
        let message = if message.is_empty() { status.to_string() } else { message };
        Error::new(status.as_u16(), self.told(&message))
    }

    /// Docker's words for what a remote engine says; the own one speaks for itself.
    pub fn told(&self, message: &str) -> String {
        if self.is_remote() {
            format!("Error response from daemon: {message}")
        } else {
            message.to_owned()
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

impl From<hyper::Error> for Error {
    fn from(error: hyper::Error) -> Self {
        use std::error::Error as _;
        let cause = error.source().map(|source| format!(": {source}")).unwrap_or_default();
        Self::internal(format!("{error}{cause}"))
    }
}

impl From<hyper::http::Error> for Error {
    fn from(error: hyper::http::Error) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::internal(format!("JSON: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers_not_text() {
        assert!(parse_version("1.9") < parse_version("1.41"));
        assert_eq!(parse_version("1.x"), None);
    }
}
