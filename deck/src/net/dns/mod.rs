//! The embedded DNS server: 127.0.0.11 in every container on a user-defined network.
//!
//! One small process serves all containers of a data root. It is started with the first container
//! that needs it and ends when the last one is gone. docs/adr/ tells why it is deck's own.
//!
//! - [`tell`] writes who is called what to a file, which the server watches.
//! - [`serve`] opens a container's sockets in its namespace and hands them over.
//! - [`server`] answers, as an unprivileged user.

mod handover;
pub(super) mod message;
mod names;
mod server;

use super::files::{self, EMBEDDED_DNS, ResolvConf};
use super::host::nft;
use super::netns;
use super::records::{Container, State};
use super::view;
use crate::error::{At, Error, Result};
use handover::Sockets;
use names::Names;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, File, Permissions};
use std::io::Read as _;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// The file that tells names, in the server's directory.
const RECORDS: &str = "names.json";
/// Where sockets are handed over, in the server's directory.
const SOCKET: &str = "socket";

/// The server's process, when this one was started as such: `deck dns DIRECTORY`. None otherwise.
pub fn main() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != "dns" {
        return None;
    }
    let directory = PathBuf::from(arguments.next()?);
    Some(match server::run(&directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("deck dns: {error}");
            ExitCode::FAILURE
        }
    })
}

/// `<run>/dns`: the server's directory, which it can pass through and nothing more.
fn directory(run: &Path) -> Result<PathBuf> {
    let directory = run.join("dns");
    if !directory.is_dir() {
        fs::create_dir_all(&directory).at(|| format!("mkdir {}", directory.display()))?;
        fs::set_permissions(&directory, Permissions::from_mode(0o711))?;
    }
    Ok(directory)
}

/// Writes the names anew, if they changed. Call it under the lock of the records' host.
///
/// # Errors
/// The file can't be written.
pub fn tell(run: &Path, state: &State) -> Result<()> {
    let path = run.join("dns").join(RECORDS);
    let names = Names::of(state, &ResolvConf::parse(&files::host_resolv_conf()));
    let text = serde_json::to_vec(&names).map_err(|error| Error::internal(error.to_string()))?;
    let before = fs::read(&path).unwrap_or_default();
    if before == text || (before.is_empty() && names.containers.is_empty()) {
        return Ok(());
    }
    let temporary = directory(run)?.join("names.new");
    fs::write(&temporary, &text).at(|| format!("write {}", temporary.display()))?;
    fs::set_permissions(&temporary, Permissions::from_mode(0o644))?;
    fs::rename(&temporary, &path).at(|| format!("write {}", path.display()))
}

/// Has a container served, starting the server where there is none.
///
/// # Errors
/// The namespace, the redirection or the server fails.
pub fn serve(run: &Path, program: &Path, state: &State, container: &Container) -> Result<()> {
    let _lock = starting(run)?;
    if let Ok(mut stream) = UnixStream::connect(directory(run)?.join(SOCKET))
        && give(&mut stream, container).is_ok()
    {
        return Ok(());
    }
    serve_all(run, program, state, Some(container))
}

/// Starts the server again when it is needed and gone.
///
/// # Errors
/// As [`serve`].
pub fn ensure(run: &Path, program: &Path, state: &State) -> Result<()> {
    let needed = state.containers.iter().any(|container| view::resolves_names(state, container));
    if !needed {
        return Ok(());
    }
    let _lock = starting(run)?;
    if let Ok(mut stream) = UnixStream::connect(directory(run)?.join(SOCKET))
        && handover::greet(&mut stream).is_ok()
    {
        return Ok(());
    }
    serve_all(run, program, state, None)
}

/// A new server for everyone: what another one held went with it.
fn serve_all(run: &Path, program: &Path, state: &State, wanted: Option<&Container>) -> Result<()> {
    start(run, program)?;
    let socket = directory(run)?.join(SOCKET);
    let give = |container: &Container| {
        let mut stream = UnixStream::connect(&socket).at(|| "connect to the DNS server")?;
        give(&mut stream, container)
    };
    for other in state.containers.iter().filter(|other| view::resolves_names(state, other)) {
        // One whose namespace is not there, or no more, is not this one's concern.
        if Some(&other.id) != wanted.map(|container| &container.id) {
            let _ = give(other);
        }
    }
    wanted.map_or(Ok(()), give)
}

/// One at a time: a second server would take the first one's place.
fn starting(run: &Path) -> Result<Flock<File>> {
    let path = directory(run)?.join("lock");
    let file = File::create(&path).at(|| format!("open {}", path.display()))?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| Error::from(errno))
}

fn start(run: &Path, program: &Path) -> Result<()> {
    let mut child = Command::new(program)
        .arg("dns")
        .arg(directory(run)?)
        .current_dir("/")
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .at(|| format!("start {} dns", program.display()))?;
    let mut ready = [0; 1];
    let said = child.stdout.take().map(|mut pipe| pipe.read_exact(&mut ready));
    if !matches!(said, Some(Ok(()))) {
        let status = child.wait()?;
        return Err(Error::internal(format!("the DNS server ended at its start: {status}")));
    }
    // A long-lived parent has to take notice of its end.
    std::thread::Builder::new().name("dns".into()).spawn(move || child.wait())?;
    Ok(())
}

/// Opens a container's sockets in its namespace, leads port 53 to them, and hands them over.
///
/// The sockets have other ports, for a container may itself serve DNS on every address.
fn give(stream: &mut UnixStream, container: &Container) -> Result<()> {
    let sockets = netns::inside(&container.netns, || {
        let udp = UdpSocket::bind((EMBEDDED_DNS, 0)).at(|| "open a DNS socket")?;
        let tcp = TcpListener::bind((EMBEDDED_DNS, 0)).at(|| "open a DNS socket")?;
        nft(&redirection(udp.local_addr()?.port(), tcp.local_addr()?.port()))?;
        Ok(Sockets { udp, tcp })
    })?;
    handover::send(stream, &container.id, &sockets)
}

/// The container's own table.
fn redirection(udp: u16, tcp: u16) -> String {
    format!(
        "table ip deck_dns
delete table ip deck_dns
table ip deck_dns {{
  chain output {{
    type nat hook output priority -100; policy accept;
    ip daddr {EMBEDDED_DNS} udp dport 53 dnat to {EMBEDDED_DNS}:{udp}
    ip daddr {EMBEDDED_DNS} tcp dport 53 dnat to {EMBEDDED_DNS}:{tcp}
  }}
}}
"
    )
}
