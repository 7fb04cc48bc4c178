//! What every command has: the client to the engine, the user's settings.

use super::args::Global;
use super::client::endpoint::{self, Endpoint};
use super::client::{Client, Io, Transport, tls};
use super::settings::{self, Settings};
use crate::config::Config;
use crate::engine::Engine;
use crate::{Error, Result, api, privileges};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// How much may be under way between a command and the engine in its process.
const PIPE: usize = 256 * 1024;

/// One command's session.
pub struct Session {
    /// The engine.
    pub client: Client,
    /// `config.json`.
    pub settings: Settings,
}

impl Session {
    /// Finds out which engine is meant; nothing is connected yet.
    ///
    /// # Errors
    /// The address or the settings are unusable.
    pub fn new(global: &Global) -> Result<Self> {
        let settings = Settings::read(settings::directory(global.config.as_deref()))?;
        let config_root = config_root(global);
        let tls = tls_files(global, &settings);
        let host = host(global)?;
        let transport = match endpoint::parse(&host, tls.is_some())? {
            Endpoint::Own => {
                // The engine will be in this process, which has one thread yet.
                privileges::engine()?;
                own(config_root)
            }
            other => Transport::remote(other, tls.as_ref())?,
        };
        Ok(Self { client: Client::new(transport), settings })
    }
}

/// Where `deck.toml` is: `--config-root`, `$DECK_CONFIG_ROOT`, `/etc/deck`.
pub fn config_root(global: &Global) -> PathBuf {
    global.config_root.clone().unwrap_or_else(Config::default_root)
}

fn host(global: &Global) -> Result<String> {
    match global.host.as_slice() {
        [] => {}
        [host] => return Ok(host.clone()),
        _ => return Err(Error::invalid("specify only one -H")),
    }
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    Ok(variable("DECK_HOST").or_else(|| variable("DOCKER_HOST")).unwrap_or_default())
}

/// Docker's rules: any TLS flag or `DOCKER_TLS`/`DOCKER_TLS_VERIFY` turns it on; the files are
/// in `DOCKER_CERT_PATH` or beside `config.json`.
fn tls_files(global: &Global, settings: &Settings) -> Option<tls::Files> {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let verify = global.tlsverify || set("DOCKER_TLS_VERIFY");
    let named = global.tlscacert.is_some() || global.tlscert.is_some() || global.tlskey.is_some();
    if !(global.tls || verify || named || set("DOCKER_TLS")) {
        return None;
    }
    let directory = std::env::var_os("DOCKER_CERT_PATH")
        .filter(|value| !value.is_empty())
        .map_or_else(|| settings.directory.clone(), PathBuf::from);
    let file =
        |given: &Option<PathBuf>, name: &str| given.clone().unwrap_or_else(|| directory.join(name));
    Some(tls::Files {
        ca: file(&global.tlscacert, "ca.pem"),
        cert: file(&global.tlscert, "cert.pem"),
        key: file(&global.tlskey, "key.pem"),
        verify: verify || !global.tls,
    })
}

/// What an ordinary user can do where the engine's directories are root's.
fn with_advice(error: Error) -> Error {
    if nix::unistd::Uid::effective().is_root() {
        return error;
    }
    Error {
        message: format!(
            "{}: this engine needs root; run `deck-rootless` instead of `deck`, or ask root's engine \
             with -H unix:///run/deck/deck.sock (deck serve -G GROUP)",
            error.message
        ),
        ..error
    }
}

/// A way to the engine in this process; it is opened with the first request.
fn own(config_root: PathBuf) -> Transport {
    let engine: OnceLock<Arc<Engine>> = OnceLock::new();
    Transport::own(Box::new(move || {
        let engine = if let Some(engine) = engine.get() {
            engine.clone()
        } else {
            let opened = Engine::open(Config::load(&config_root)?).map_err(with_advice)?;
            let opened = Arc::new(opened);
            engine.get_or_init(|| opened).clone()
        };
        let (ours, theirs) = tokio::io::duplex(PIPE);
        // Its errors reach the request it serves.
        tokio::spawn(api::serve(theirs, engine));
        Ok(Box::new(ours) as Box<dyn Io>)
    }))
}
