//! Connections to an engine: in this process, over a socket file, over TCP, over TLS.

use super::endpoint::Endpoint;
use super::tls;
use crate::{At, Error, Result};
use rustls::ClientConfig;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// A connection of any kind.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Makes connections to the engine in this process.
pub type Door = Box<dyn Fn() -> Result<Box<dyn Io>> + Send + Sync>;

/// Makes connections.
pub struct Transport {
    endpoint: Endpoint,
    tls: Option<Arc<ClientConfig>>,
    own: Option<Door>,
}

impl Transport {
    /// To a remote engine.
    ///
    /// # Errors
    /// The certificate files are unusable.
    pub fn remote(endpoint: Endpoint, files: Option<&tls::Files>) -> Result<Self> {
        let tls = match (&endpoint, files) {
            (Endpoint::Tcp(..), Some(files)) => Some(Arc::new(tls::config(files)?)),
            _ => None,
        };
        Ok(Self { endpoint, tls, own: None })
    }

    /// To the engine in this process.
    pub fn own(door: Door) -> Self {
        Self { endpoint: Endpoint::Own, tls: None, own: Some(door) }
    }

    /// Is the engine elsewhere?
    pub fn is_remote(&self) -> bool {
        self.own.is_none()
    }

    /// The Host header's value.
    pub fn host(&self) -> String {
        match &self.endpoint {
            Endpoint::Tcp(host, port) if host.contains(':') => format!("[{host}]:{port}"),
            Endpoint::Tcp(host, port) => format!("{host}:{port}"),
            Endpoint::Own | Endpoint::Unix(_) => "localhost".into(),
        }
    }

    /// The engine's address, for errors.
    pub fn describe(&self) -> String {
        match &self.endpoint {
            Endpoint::Own => "the engine in this process".into(),
            Endpoint::Unix(path) => format!("unix://{}", path.display()),
            Endpoint::Tcp(..) => format!("tcp://{}", self.host()),
        }
    }

    /// A new connection.
    ///
    /// # Errors
    /// No engine listens there, or it is not trusted or does not trust.
    pub async fn connect(&self) -> Result<Box<dyn Io>> {
        match &self.endpoint {
            Endpoint::Own => match &self.own {
                Some(door) => door(),
                None => Err(Error::internal("no engine in this process")),
            },
            Endpoint::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(|e| self.unreachable(&e))?;
                Ok(Box::new(stream))
            }
            Endpoint::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port))
                    .await
                    .map_err(|error| self.unreachable(&error))?;
                stream.set_nodelay(true).at(|| self.describe())?;
                let Some(config) = &self.tls else { return Ok(Box::new(stream)) };
                let connector = tokio_rustls::TlsConnector::from(config.clone());
                let stream = connector.connect(tls::server_name(host)?, stream).await;
                Ok(Box::new(stream.at(|| format!("TLS to {}", self.describe()))?))
            }
        }
    }

    fn unreachable(&self, error: &std::io::Error) -> Error {
        Error::internal(format!(
            "Cannot connect to the Docker daemon at {}. Is the docker daemon running? ({error})",
            self.describe()
        ))
    }
}
