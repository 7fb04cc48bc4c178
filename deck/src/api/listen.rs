//! The addresses of `-H`, and listening on them.

use super::sys;
use crate::error::{At, Error, Result};
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_rustls::TlsAcceptor;

/// The port of `tcp://HOST` with TLS and without, as Docker's.
const PORT_TLS: u16 = 2376;
const PORT_PLAIN: u16 = 2375;

/// Something clients connect to.
pub enum Listener {
    /// A unix socket, with the path to remove in the end when it was made here.
    Unix(UnixListener, Option<PathBuf>),
    /// TCP, with TLS or on loopback.
    Tcp(TcpListener, Option<TlsAcceptor>),
}

/// A client's connection.
pub enum Accepted {
    /// Over a unix socket.
    Unix(UnixStream),
    /// Over TCP on loopback.
    Tcp(TcpStream),
    /// Over TCP; the handshake is still to come.
    Tls(TlsAcceptor, TcpStream),
}

impl Listener {
    /// Listens on what one `-H` says; `fd://` may be several sockets.
    ///
    /// # Errors
    /// The address isn't one, is in use, or would open root to the network.
    pub fn open(host: &str, group: Option<&str>, tls: Option<&TlsAcceptor>) -> Result<Vec<Self>> {
        match host.split_once("://") {
            Some(("unix", path)) => Ok(vec![unix(Path::new(path), group)?]),
            Some(("tcp", address)) => tcp(address, tls),
            Some(("fd", _)) => passed(tls),
            _ => {
                Err(Error::invalid(format!("-H {host}: not unix://PATH, tcp://HOST:PORT or fd://")))
            }
        }
    }

    /// The next client.
    ///
    /// # Errors
    /// accept(2)'s.
    pub async fn accept(&self) -> io::Result<Accepted> {
        Ok(match self {
            Self::Unix(listener, _) => Accepted::Unix(listener.accept().await?.0),
            Self::Tcp(listener, tls) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                match tls {
                    Some(tls) => Accepted::Tls(tls.clone(), stream),
                    None => Accepted::Tcp(stream),
                }
            }
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, Some(path)) = self {
            drop(std::fs::remove_file(path));
        }
    }
}

/// Listens on a path: mode 0660, as who may connect is root.
fn unix(path: &Path, group: Option<&str>) -> Result<Listener> {
    if !path.is_absolute() {
        return Err(Error::invalid(format!("-H unix://{}: not absolute", path.display())));
    }
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).at(|| format!("mkdir {}", parent.display()))?;
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => {
            return Err(Error::conflict(format!("unix://{}: already served", path.display())));
        }
        // Left by a server that was killed.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).at(|| format!("remove {}", path.display()))?;
        }
        Err(_) => {}
    }
    // The socket is made under a strict umask: it is never open to more than it ends up with.
    let before = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o177));
    let bound = UnixListener::bind(path);
    nix::sys::stat::umask(before);
    let listener = bound.at(|| format!("listen on unix://{}", path.display()))?;
    let listener = Listener::Unix(listener, Some(path.to_path_buf()));
    if let Some(name) = group {
        let group = nix::unistd::Group::from_name(name)
            .at(|| format!("look up group {name}"))?
            .ok_or_else(|| Error::invalid(format!("group {name} does not exist")))?;
        nix::unistd::chown(path, None, Some(group.gid))
            .at(|| format!("chown {}", path.display()))?;
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))
        .at(|| format!("chmod {}", path.display()))?;
    Ok(listener)
}

/// Listens on TCP: with TLS anywhere, without it on loopback only.
fn tcp(address: &str, tls: Option<&TlsAcceptor>) -> Result<Vec<Listener>> {
    let port = if tls.is_some() { PORT_TLS } else { PORT_PLAIN };
    let address = if address.is_empty() { "127.0.0.1" } else { address };
    let bare = address.trim_start_matches('[').trim_end_matches(']');
    let resolved: Vec<_> = if let Ok(ip) = bare.parse::<IpAddr>() {
        vec![(ip, port).into()]
    } else if address.contains(':') {
        address.to_socket_addrs().at(|| format!("-H tcp://{address}"))?.collect()
    } else {
        (address, port).to_socket_addrs().at(|| format!("-H tcp://{address}"))?.collect()
    };
    let mut listeners = Vec::new();
    for address in resolved {
        if tls.is_none() && !address.ip().is_loopback() {
            return Err(Error::invalid(format!(
                "-H tcp://{address}: whoever reaches it is root here: give --tlscacert, --tlscert \
                 and --tlskey"
            )));
        }
        let listener = std::net::TcpListener::bind(address)
            .and_then(|listener| {
                listener.set_nonblocking(true)?;
                TcpListener::from_std(listener)
            })
            .at(|| format!("listen on tcp://{address}"))?;
        listeners.push(Listener::Tcp(listener, tls.cloned()));
    }
    Ok(listeners)
}

/// Takes over what systemd listens on (sd_listen_fds(3)).
fn passed(tls: Option<&TlsAcceptor>) -> Result<Vec<Listener>> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
    if number("LISTEN_PID") != Some(std::process::id()) {
        return Err(Error::invalid("-H fd://: no sockets were passed by systemd (LISTEN_PID)"));
    }
    let count = number("LISTEN_FDS").unwrap_or_default();
    let fds = sys::take_listen_fds(count)?;
    if fds.is_empty() {
        return Err(Error::invalid("-H fd://: systemd passed no sockets (LISTEN_FDS)"));
    }
    fds.into_iter().map(|fd| adopt(fd, tls)).collect()
}

/// Makes a listener of a passed socket by its family.
fn adopt(fd: OwnedFd, tls: Option<&TlsAcceptor>) -> Result<Listener> {
    use nix::sys::socket::{AddressFamily, SockaddrLike, SockaddrStorage, getsockname};
    use std::os::fd::AsRawFd;
    let name: SockaddrStorage =
        getsockname(fd.as_fd().as_raw_fd()).at(|| "look at a passed socket")?;
    match name.family() {
        Some(AddressFamily::Unix) => {
            let listener = std::os::unix::net::UnixListener::from(fd);
            listener.set_nonblocking(true)?;
            Ok(Listener::Unix(UnixListener::from_std(listener)?, None))
        }
        Some(AddressFamily::Inet | AddressFamily::Inet6) => {
            let listener = std::net::TcpListener::from(fd);
            if tls.is_none() && !listener.local_addr()?.ip().is_loopback() {
                return Err(Error::invalid(
                    "-H fd://: a TCP socket that is not on loopback needs --tlscacert, --tlscert \
                     and --tlskey",
                ));
            }
            listener.set_nonblocking(true)?;
            Ok(Listener::Tcp(TcpListener::from_std(listener)?, tls.cloned()))
        }
        other => Err(Error::invalid(format!("-H fd://: a socket of family {other:?} was passed"))),
    }
}
