//! The action `-info`: what the engine can do, passed on as it says it.

use crate::error::{At, Error, Result};
use crate::options::EngineOptions;
use crate::proto::Any;
use crate::proto::types::{RuntimeInfo, RuntimeVersion};
use prost::Message;
use std::io::Write;
use std::process::{Command, Stdio};

/// The name the shim gives itself.
pub const NAME: &str = "io.containerd.hull.v2";
/// The type of the engine's features; the value is JSON.
const FEATURES: &str = "types.containerd.io/opencontainers/runtime-spec/1/features/Features";

/// Prints a `RuntimeInfo` for the options on standard input.
///
/// # Errors
/// Options that can't be read; an engine that can't be run or whose answer is no JSON.
pub fn info(input: &[u8], output: &mut dyn Write) -> Result<()> {
    let options = if input.is_empty() {
        None
    } else {
        let any = Any::decode(input)
            .map_err(|error| Error::invalid(format!("standard input of -info: {error}")))?;
        Some(any)
    };
    let engine = EngineOptions::from_any(options.as_ref())?;
    let features = features(engine.binary())?;
    let info = RuntimeInfo {
        name: NAME.to_owned(),
        version: Some(RuntimeVersion {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            revision: String::new(),
        }),
        options,
        features,
        ..RuntimeInfo::default()
    };
    output.write_all(&info.encode_to_vec()).at(|| "answer".to_owned())
}

/// The engine's features, unknown fields and all; `None` if it has no such command (runc before
/// 1.1, crun before 1.9).
fn features(engine: &str) -> Result<Option<Any>> {
    let answer = Command::new(engine)
        .arg("features")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .at(|| format!("run {engine} features"))?;
    if !answer.status.success() {
        return Ok(None);
    }
    serde_json::from_slice::<serde::de::IgnoredAny>(&answer.stdout)
        .map_err(|error| Error::unknown(format!("{engine} features: {error}")))?;
    Ok(Some(Any { type_url: FEATURES.to_owned(), value: answer.stdout }))
}
