//! Where the engine is: the value of `-H`, `DECK_HOST` or `DOCKER_HOST`; pure.

use crate::{Error, Result};
use std::path::PathBuf;

/// Docker's ports without and with TLS.
const PORT: u16 = 2375;
const TLS_PORT: u16 = 2376;

/// An engine's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// The engine in this process.
    Own,
    /// A socket file.
    Unix(PathBuf),
    /// A host name or address and a port.
    Tcp(String, u16),
}

/// Reads a host specification.
///
/// # Errors
/// The scheme is not one of `unix://`, `tcp://`, `http://`, or the address can't be meant.
pub fn parse(host: &str, tls: bool) -> Result<Endpoint> {
    if host.is_empty() || host == "local" {
        return Ok(Endpoint::Own);
    }
    if let Some(path) = host.strip_prefix("unix://") {
        let path = if path.is_empty() { "/var/run/docker.sock" } else { path };
        return Ok(Endpoint::Unix(path.into()));
    }
    if host.starts_with('/') {
        return Ok(Endpoint::Unix(host.into()));
    }
    let address = match host.split_once("://") {
        None => host,
        Some(("tcp" | "http" | "https", rest)) => rest,
        Some((scheme, _)) => {
            return Err(Error::invalid(format!(
                "-H {host}: {scheme}:// is not supported; use unix://PATH or tcp://HOST:PORT"
            )));
        }
    };
    let address = address.trim_end_matches('/');
    let default = if tls { TLS_PORT } else { PORT };
    let (name, port) = split(address, default)
        .ok_or_else(|| Error::invalid(format!("-H {host}: not a host and a port")))?;
    Ok(Endpoint::Tcp(name, port))
}

/// Splits `host`, `host:port`, `[v6]`, `[v6]:port`.
fn split(address: &str, default: u16) -> Option<(String, u16)> {
    if let Some(rest) = address.strip_prefix('[') {
        let (name, rest) = rest.split_once(']')?;
        let port = match rest.strip_prefix(':') {
            Some(port) => port.parse().ok()?,
            None if rest.is_empty() => default,
            None => return None,
        };
        return Some((name.to_owned(), port));
    }
    let (name, port) = match address.rsplit_once(':') {
        Some((name, port)) => (name, port.parse().ok()?),
        None => (address, default),
    };
    let name = if name.is_empty() { "127.0.0.1" } else { name };
    (!name.contains(['/', ':'])).then(|| (name.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_and_ports() {
        let tcp = |name: &str, port| Endpoint::Tcp(name.into(), port);
        assert_eq!(parse("", false).unwrap(), Endpoint::Own);
        assert_eq!(parse("local", false).unwrap(), Endpoint::Own);
        assert_eq!(parse("unix:///x.sock", false).unwrap(), Endpoint::Unix("/x.sock".into()));
        assert_eq!(parse("tcp://h:1", false).unwrap(), tcp("h", 1));
        assert_eq!(parse("tcp://h", false).unwrap(), tcp("h", 2375));
        assert_eq!(parse("tcp://h", true).unwrap(), tcp("h", 2376));
        assert_eq!(parse("h:5/", true).unwrap(), tcp("h", 5));
        assert_eq!(parse("tcp://:7", true).unwrap(), tcp("127.0.0.1", 7));
        assert_eq!(parse("tcp://[::1]:9", true).unwrap(), tcp("::1", 9));
        assert_eq!(parse("tcp://[::1]", true).unwrap(), tcp("::1", 2376));
    }

    #[test]
    fn nonsense_is_refused() {
        for host in ["ssh://h", "tcp://h:x", "tcp://h:70000", "tcp://[::1", "tcp://a/b", "a:b:1"] {
            assert!(parse(host, false).is_err(), "{host}");
        }
    }
}
