//! The shim that supervises a container: starting it, its ttrpc calls, its stdio.
//!
//! No process of deck stays with a container. The shim keeps its first process' exit status,
//! writes its log, serves those who attach, and calls `deck publish` when something happens.

mod stdio;
pub mod task;

pub use stdio::{Log, Stdio};
pub use task::Task;

use crate::config::Config;
use crate::error::{At, Error, Result};
use hull_shim::proto::bootstrap::{BootstrapParams, BootstrapResult, Extension};
use hull_shim::proto::options::{OPTIONS, Options};
use hull_shim::proto::types::Any;
use prost::Message;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio as Pipe};
use std::time::{Duration, Instant};

/// The namespace deck's containers have at the shim.
pub const NAMESPACE: &str = "deck";

/// How long a creation may take that nobody waits for, and how often it is looked for.
const LIMIT: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(10);

/// The shim's options: the runtime, and where it keeps its state.
pub fn options(config: &Config) -> Any {
    let options = Options {
        binary_name: config.runtime.display().to_string(),
        root: runtime_root(config).display().to_string(),
        ..Options::default()
    };
    Any::pack(OPTIONS, &options)
}

/// Where the runtime keeps its state; the shim appends the namespace.
pub fn runtime_root(config: &Config) -> PathBuf {
    config.exec_root.join("r")
}

/// Starts a container's shim in its bundle; answers the socket it listens on.
///
/// # Errors
/// The shim can't be run, or doesn't come up; its own words are in the message.
pub fn launch(config: &Config, id: &str, bundle: &Path) -> Result<PathBuf> {
    let deck = std::env::current_exe().at(|| "find this program")?;
    let parameters = BootstrapParams {
        instance_id: id.into(),
        namespace: NAMESPACE.into(),
        containerd_binary: deck.display().to_string(),
        extensions: vec![Extension { value: Some(options(config)) }],
        socket_dir: Some(socket_dir(config).display().to_string()),
        ..BootstrapParams::default()
    };
    let what = || format!("start {}", config.shim.display());
    let mut child = Command::new(&config.shim)
        .args(["-namespace", NAMESPACE, "-id", id, "-address"])
        .arg(daemon_socket(config))
        .arg("-publish-binary")
        .arg(&deck)
        .arg("-bundle")
        .arg(bundle)
        .arg("start")
        .current_dir(bundle)
        // It outlives whoever starts it: nothing of a user's environment stays with it.
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs(config.environment())
        .stdin(Pipe::piped())
        .stdout(Pipe::piped())
        .stderr(Pipe::piped())
        .spawn()
        .at(what)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(&parameters.encode_to_vec()).at(what)?;
    }
    let output = child.wait_with_output().at(what)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Error::internal(format!("{}: {}", what(), said.trim())));
    }
    let result = BootstrapResult::decode(output.stdout.as_slice())
        .map_err(|error| Error::internal(format!("{}: its answer: {error}", what())))?;
    match result.address.strip_prefix("unix://") {
        Some(path) => Ok(PathBuf::from(path)),
        None => Err(Error::internal(format!("{}: address {:?}", what(), result.address))),
    }
}

/// The socket of a container's shim, if there is one: also where who launched the shim was killed
/// before the records had it.
pub fn socket(config: &Config, id: &str) -> Option<PathBuf> {
    let daemon = daemon_socket(config).display().to_string();
    let path = hull_shim::socket_path(&socket_dir(config), &daemon, NAMESPACE, id);
    std::fs::symlink_metadata(&path).is_ok().then_some(path)
}

fn socket_dir(config: &Config) -> PathBuf {
    config.exec_root.join("s")
}

/// What shims are told of their daemon.
fn daemon_socket(config: &Config) -> PathBuf {
    config.exec_root.join("deck.sock")
}

/// Has the shim at `socket` give up its container, running or not, and end.
///
/// # Errors
/// There is no shim, or it knows of no container: then [`clean_up`] is what is left to do.
pub fn end(socket: &Path, id: &str) -> Result<()> {
    let mut task = Task::connect(socket, id)?;
    let start = Instant::now();
    loop {
        let deleted = match task.delete("") {
            // Still running: its start failed halfway, or its end was declared.
            Err(error) if error.status == 409 || error.status == 500 => {
                drop(task.kill("", 9));
                drop(task.wait(""));
                task.delete("").map(drop)
            }
            other => other.map(drop),
        };
        let told = task.shutdown();
        match deleted {
            // A creation that goes on though nobody waits for it is told to nobody before it is
            // over. A shim that has none ends when it is told to, and the next call fails.
            Err(error) if error.status == 404 && told.is_ok() && start.elapsed() < LIMIT => {
                std::thread::sleep(LOOK);
            }
            other => return other,
        }
    }
}

/// Lets the shim's `delete` action clean up after a shim that died.
///
/// # Errors
/// It can't be run, or fails.
pub fn clean_up(config: &Config, id: &str, bundle: &Path) -> Result<()> {
    let what = || format!("{} delete", config.shim.display());
    let output = Command::new(&config.shim)
        .args(["-namespace", NAMESPACE, "-id", id, "-address"])
        .arg(daemon_socket(config))
        .arg("-bundle")
        .arg(bundle)
        .arg("delete")
        .current_dir(bundle)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Pipe::null())
        .output()
        .at(what)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::internal(format!("{}: {}", what(), said.trim())))
}
