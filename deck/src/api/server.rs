//! `deck serve`: listening on unix sockets, TCP with TLS, and what systemd passes.

use super::listen::{Accepted, Listener};
use super::tls;
use crate::config::Config;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::privileges;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long a stopping server waits for its clients.
const GRACE: Duration = Duration::from_secs(5);

/// What `deck serve` is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where deck keeps its things.
    pub config: Config,
    /// `unix://PATH`, `tcp://HOST:PORT`, `fd://`; `unix://<exec root>/deck.sock` when empty.
    pub hosts: Vec<String>,
    /// Group that may use the unix sockets; root alone when it is missing.
    pub group: Option<String>,
    /// Certificates for `tcp://`; without them only loopback addresses are served.
    pub tls: Option<Tls>,
}

/// The server's certificate, and the authority of its clients'.
#[derive(Debug, Clone)]
pub struct Tls {
    /// Certificate chain in PEM.
    pub cert: PathBuf,
    /// Private key in PEM.
    pub key: PathBuf,
    /// Authority in PEM that must have signed a client's certificate; without it any client that
    /// reaches the port is root, so it is required.
    pub client_ca: PathBuf,
}

/// Serves until SIGTERM or SIGINT. Containers go on without it.
///
/// # Errors
/// An address can't be listened on, certificates can't be read, the records can't be opened.
pub fn run(options: &Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::internal(format!("start the event loop: {error}")))?;
    let result = runtime.block_on(serve(options));
    // Workers that still block (a log that is followed) must not hold the process.
    runtime.shutdown_background();
    result
}

/// Opens everything, then accepts until a signal.
async fn serve(options: &Options) -> Result<()> {
    let tls = options.tls.as_ref().map(tls::acceptor).transpose()?;
    let default = [format!("unix://{}", options.config.exec_root.join("deck.sock").display())];
    let hosts = if options.hosts.is_empty() { &default[..] } else { &options.hosts[..] };
    let mut listeners = Vec::new();
    for host in hosts {
        listeners.extend(Listener::open(host, options.group.as_deref(), tls.as_ref())?);
    }
    // Before any worker thread is there.
    privileges::engine()?;
    let engine = Arc::new(Engine::open(options.config.clone())?);
    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    // Beside the first clients: a container that takes long to start keeps nobody waiting.
    let booting = engine.clone();
    tasks.spawn(async move {
        if let Err(error) = crate::engine::blocking(move || booting.boot()).await {
            eprintln!("deck: after boot: {error}");
        }
    });
    for listener in listeners {
        tasks.spawn(accept(listener, engine.clone(), stopped.clone()));
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    stop.send_replace(true);
    while tasks.join_next().await.is_some() {}
    Ok(())
}

/// Accepts on one listener; each connection is a task of its own.
async fn accept(listener: Listener, engine: Arc<Engine>, mut stop: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => { connections.spawn(handle(accepted, engine.clone())); }
                // Out of descriptors, or a client that is gone already: try again, not at once.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
            _ = stop.changed() => break,
        }
    }
    let rest = async { while connections.join_next().await.is_some() {} };
    drop(tokio::time::timeout(GRACE, rest).await);
}

/// Serves one client. What goes wrong on its connection is told to nobody else.
async fn handle(accepted: Accepted, engine: Arc<Engine>) {
    let result = match accepted {
        Accepted::Unix(stream) => super::serve(stream, engine).await,
        Accepted::Tcp(stream) => super::serve(stream, engine).await,
        Accepted::Tls(acceptor, stream) => match acceptor.accept(stream).await {
            Ok(stream) => super::serve(stream, engine).await,
            Err(error) => Err(Error::internal(format!("TLS: {error}"))),
        },
    };
    drop(result);
}
