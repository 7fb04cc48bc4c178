//! Connections: straight or through a proxy, plain or with TLS, every wait bounded.

use super::http::{Body, Endpoint, broken, stalled};
use super::proxy::{Proxies, Proxy};
use super::{hosts, tls};
use crate::config::Config;
use crate::error::{At, Error, Result};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{HOST, PROXY_AUTHORIZATION, USER_AGENT};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// What bytes go over.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Who this is.
pub const AGENT: &str = concat!("deck/", env!("CARGO_PKG_VERSION"));

/// Makes connections.
pub struct Connector {
    config: Config,
    proxies: Proxies,
    stall: Duration,
    tls: Mutex<BTreeMap<String, Arc<rustls::ClientConfig>>>,
    /// Loopback hosts found to speak plain http.
    plain: Mutex<Vec<String>>,
}

/// A connection a request can be sent on.
pub struct Connection {
    /// Takes the request.
    pub sender: SendRequest<Body>,
    /// The proxy that wants the whole URI, not only the path (RFC 9112, 3.2.2).
    pub proxy: Option<Proxy>,
}

impl Connector {
    /// With deck's configuration, where certs.d is; what gives nothing for `stall` is given up.
    pub fn new(config: &Config, stall: Duration) -> Self {
        let (tls, plain) = (Mutex::default(), Mutex::default());
        Self { config: config.clone(), proxies: Proxies::read(), stall, tls, plain }
    }

    /// Whether a host was found to speak plain http.
    pub fn speaks_plain(&self, uri: &Uri) -> bool {
        let authority = uri.authority().map(|authority| authority.as_str().to_owned());
        authority.is_some_and(|host| lock(&self.plain).contains(&host))
    }

    /// A connection to the URI's host.
    ///
    /// # Errors
    /// It can't be made, or the other side is not whom its certificate should name.
    pub async fn connect(&self, endpoint: &Endpoint, uri: &Uri) -> Result<Connection> {
        let authority = uri.authority().ok_or_else(|| Error::invalid(format!("{uri}: no host")))?;
        let authority = authority.as_str();
        let secure = uri.scheme_str() == Some("https");
        let proxy = self.proxies.choose(uri)?;
        if !secure || self.speaks_plain(uri) {
            let stream = self.reach(uri, proxy.as_ref(), false).await?;
            let sender = self.start(uri, stream).await?;
            return Ok(Connection { sender, proxy });
        }
        let stream = self.reach(uri, proxy.as_ref(), true).await?;
        let sender = match self.shake(uri, authority, stream).await? {
            Ok(stream) => self.start(uri, stream).await?,
            Err(error)
                if endpoint.either && authority == endpoint.host && speaks_no_tls(&error) =>
            {
                lock(&self.plain).push(authority.to_owned());
                self.start(uri, self.reach(uri, None, false).await?).await?
            }
            Err(error) => {
                let host = hosts::host_name(authority);
                return Err(Error::internal(format!("{host}: TLS: {error}")));
            }
        };
        Ok(Connection { sender, proxy: None })
    }

    /// Bytes to the URI's host: straight, or to the proxy, or through it.
    async fn reach(
        &self,
        uri: &Uri,
        proxy: Option<&Proxy>,
        tunnel: bool,
    ) -> Result<Box<dyn Stream>> {
        let host = hosts::host_name(uri.authority().map_or("", |authority| authority.as_str()));
        let port = uri.port_u16().unwrap_or(if tunnel { 443 } else { 80 });
        let Some(proxy) = proxy else { return Ok(Box::new(self.dial(uri, host, port).await?)) };
        let at = || format!("proxy {}:{} for {host}", proxy.host, proxy.port);
        let stream = self.dial(uri, &proxy.host, proxy.port).await.at(at)?;
        let stream: Box<dyn Stream> = if proxy.secure {
            let shaken = self.shake(uri, &proxy.host, stream).await.at(at)?;
            let failed = |error| Error::internal(format!("{}: TLS: {error}", at()));
            Box::new(shaken.map_err(failed)?)
        } else {
            Box::new(stream)
        };
        if tunnel { self.tunnel(uri, proxy, stream, host, port).await.at(at) } else { Ok(stream) }
    }

    /// Asks a proxy for a way through (RFC 9110, 9.3.6).
    async fn tunnel(
        &self,
        uri: &Uri,
        proxy: &Proxy,
        stream: Box<dyn Stream>,
        host: &str,
        port: u16,
    ) -> Result<Box<dyn Stream>> {
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let place = format!("{host}:{port}");
        let mut request = Request::connect(&place).header(HOST, &place).header(USER_AGENT, AGENT);
        if let Some(authorization) = &proxy.authorization {
            request = request.header(PROXY_AUTHORIZATION, authorization);
        }
        let request = request
            .body(Body::Empty)
            .map_err(|error| Error::invalid(format!("CONNECT {place}: {error}")))?;
        let stall = || stalled(uri, self.stall);
        let (mut sender, connection) = timeout(self.stall, handshake(TokioIo::new(stream)))
            .await
            .map_err(|_| stall())?
            .map_err(|error| broken(uri, &error))?;
        tokio::spawn(connection.with_upgrades());
        let response = timeout(self.stall, sender.send_request(request))
            .await
            .map_err(|_| stall())?
            .map_err(|error| broken(uri, &error))?;
        let status = response.status();
        if !status.is_success() {
            let code = if matches!(status.as_u16(), 502..=504) { status.as_u16() } else { 500 };
            return Err(Error::new(code, format!("CONNECT {place}: {status}")));
        }
        let upgraded = timeout(self.stall, hyper::upgrade::on(response))
            .await
            .map_err(|_| stall())?
            .map_err(|error| broken(uri, &error))?;
        Ok(Box::new(TokioIo::new(upgraded)))
    }

    async fn dial(&self, uri: &Uri, host: &str, port: u16) -> Result<TcpStream> {
        let stream = timeout(self.stall, TcpStream::connect((host, port)))
            .await
            .map_err(|_| stalled(uri, self.stall))?
            .map_err(|error| {
                let failed = format!("connect to {host}:{port}: {error}");
                Error::new(super::http::BROKEN, failed)
            })?;
        stream.set_nodelay(true).at(|| "set TCP_NODELAY")?;
        Ok(stream)
    }

    /// TLS with a host; the inner error is the handshake's.
    async fn shake<S: Stream>(
        &self,
        uri: &Uri,
        authority: &str,
        stream: S,
    ) -> Result<std::io::Result<tokio_rustls::client::TlsStream<S>>> {
        let settings = self.settings(authority)?;
        let host = hosts::host_name(authority).to_owned();
        let name = rustls::pki_types::ServerName::try_from(host.clone())
            .map_err(|error| Error::invalid(format!("{host}: {error}")))?;
        timeout(self.stall, TlsConnector::from(settings).connect(name, stream))
            .await
            .map_err(|_| stalled(uri, self.stall))
    }

    fn settings(&self, authority: &str) -> Result<Arc<rustls::ClientConfig>> {
        if let Some(settings) = lock(&self.tls).get(authority) {
            return Ok(Arc::clone(settings));
        }
        let settings = tls::config(&self.config, authority)?;
        lock(&self.tls).insert(authority.to_owned(), Arc::clone(&settings));
        Ok(settings)
    }

    /// HTTP on a stream.
    ///
    /// # Errors
    /// The stream stalls or breaks.
    pub async fn start(
        &self,
        uri: &Uri,
        stream: impl Stream + 'static,
    ) -> Result<SendRequest<Body>> {
        let (sender, connection) = timeout(self.stall, handshake(TokioIo::new(stream)))
            .await
            .map_err(|_| stalled(uri, self.stall))?
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

/// Whether a handshake failed because the other side answered without TLS.
fn speaks_no_tls(error: &std::io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::InvalidMessage(_)))
        || error.kind() == std::io::ErrorKind::UnexpectedEof
}
