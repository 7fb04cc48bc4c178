//! The action `delete`: clean up after a shim that is gone. containerd also runs it after every
//! orderly deletion; then nothing is left and no engine is run.

use crate::args::Args;
use crate::engine::{Engine, last_error};
use crate::error::{At, Error, Result};
use crate::options::EngineOptions;
use crate::proto::Timestamp;
use crate::proto::task::DeleteResponse;
use crate::{files, mount};
use prost::Message;
use std::fs;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The file in a bundle with the options its container was created with.
pub const OPTIONS_FILE: &str = "options.json";
/// The file in a bundle the engine writes init's pid to.
pub const PID_FILE: &str = "init.pid";
/// The longest of these files that is read.
const LIMIT: u64 = 1 << 20;

/// Deletes what is left of a container; prints the `DeleteResponse`.
///
/// # Errors
/// The engine can't delete the container.
pub fn delete(args: &Args, output: &mut dyn Write) -> Result<()> {
    let bundle = bundle(args)?;
    let options = options(&bundle);
    let engine = Engine::new(&options, &args.namespace);
    let pid = pid(&bundle);
    let deleted = if engine.knows(&args.id) { force(&engine, &bundle, &args.id) } else { Ok(()) };
    // Also after a failure: what can be undone is.
    let unmounted = mount::unmount_all(&bundle.join("rootfs"));
    remove_stale_socket(&bundle);
    deleted?;
    unmounted?;
    let response = DeleteResponse {
        pid,
        // It did not end by itself: 128 + SIGKILL.
        exit_status: 137,
        exited_at: Some(Timestamp::now()),
    };
    output.write_all(&response.encode_to_vec()).at(|| "answer".to_owned())
}

fn bundle(args: &Args) -> Result<PathBuf> {
    if args.bundle.as_os_str().is_empty() {
        return std::env::current_dir().at(|| "find the bundle".to_owned());
    }
    Ok(args.bundle.clone())
}

/// The options of the bundle's container. Before its creation there are none, and no container.
fn options(bundle: &Path) -> EngineOptions {
    files::read_bounded(&bundle.join(OPTIONS_FILE), LIMIT)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_else(|| EngineOptions {
            // containerd's shim before 1.4 left only the engine's name.
            binary_name: fs::read_to_string(bundle.join("runtime")).unwrap_or_default(),
            ..EngineOptions::default()
        })
}

/// The container's init, 0 if it never had one.
pub fn pid(bundle: &Path) -> u32 {
    read_pid(&bundle.join(PID_FILE))
}

/// The number in a file an engine wrote a pid to, 0 if there is none.
pub fn read_pid(path: &Path) -> u32 {
    files::read_bounded(path, 64)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0)
}

fn force(engine: &Engine, bundle: &Path, id: &str) -> Result<()> {
    let log = bundle.join("delete.json");
    let ended = Command::new(&engine.program)
        .args(engine.delete(&log, true, id))
        .current_dir(bundle)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .at(|| format!("run {}", engine.program))?;
    let said = files::read_bounded(&log, LIMIT).unwrap_or_default();
    let _ = fs::remove_file(&log);
    let reason = last_error(&String::from_utf8_lossy(&said));
    if ended.success() || reason.as_deref().is_some_and(|text| text.contains("does not exist")) {
        return Ok(());
    }
    Err(Error::unknown(format!(
        "{} delete --force {id}: {}",
        engine.program,
        reason.unwrap_or_else(|| ended.to_string())
    )))
}

/// A killed shim leaves its socket; one that others of the pod still use answers.
fn remove_stale_socket(bundle: &Path) {
    let Ok(address) = fs::read_to_string(bundle.join("address")) else { return };
    let path = Path::new(address.trim().strip_prefix("unix://").unwrap_or(address.trim()));
    if path.is_absolute() && UnixStream::connect(path).is_err() {
        let _ = fs::remove_file(path);
    }
}
