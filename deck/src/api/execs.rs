//! `/exec/…`.

use super::answer::{self, Answer};
use super::blocking;
use super::call::Call;
use super::containers::size;
use super::hijack::{self, Source, Streams};
use super::route::not_found;
use crate::engine::frames;
use crate::error::{Error, Result};
use hyper::{Method, StatusCode};
use serde::Deserialize;

/// The body of `POST /exec/{id}/start`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Start {
    detach: bool,
    #[serde(rename = "Tty")]
    _tty: bool,
    console_size: Option<[u16; 2]>,
}

/// Routes of execs.
pub async fn route(call: Call, path: &[&str]) -> Result<Answer> {
    let method = call.method().clone();
    let engine = call.engine.clone();
    match (&method, path) {
        (&Method::GET, [id, "json"]) => {
            let id = id.to_string();
            answer::ok(&blocking(move || engine.inspect_exec(&id)).await?)
        }
        (&Method::POST, [id, "start"]) => start(call, id).await,
        (&Method::POST, [id, "resize"]) => {
            let id = id.to_string();
            let (rows, columns) = size(&call)?;
            blocking(move || engine.resize_exec(&id, rows, columns)).await?;
            Ok(answer::empty(StatusCode::OK))
        }
        _ => Err(not_found()),
    }
}

/// Starts an exec and carries its streams.
async fn start(mut call: Call, id: &str) -> Result<Answer> {
    let asked: Start = call.json_or_default().await?;
    let (engine, name) = (call.engine.clone(), id.to_string());
    let attach = !asked.detach;
    let started = blocking(move || engine.start_exec(&name, attach, asked.console_size)).await;
    let (exec, stream) = match started {
        Err(error) if attach && call.upgrades() => return refused(call, id, error).await,
        other => other?,
    };
    let Some(stream) = stream else {
        return Ok(answer::empty(StatusCode::OK));
    };
    let streams = Streams {
        stdin: exec.stdin,
        stdout: exec.stdout,
        stderr: exec.stderr,
        tty: exec.tty,
        detach: hijack::detach_keys(&exec.detach_keys)?,
    };
    let source =
        Source { before: Vec::new(), stream: Box::new(Box::pin(std::future::ready(Ok(stream)))) };
    let engine = call.engine.clone();
    // The exit status is there when the client asks for it: right after the stream's end.
    let after = async move {
        drop(blocking(move || engine.finish_exec(&exec.id)).await);
    };
    Ok(hijack::answer(call, streams, source, after))
}

/// A command that couldn't be started, to a client that took the connection over: Docker tells why
/// on the stream, and the exit status, 126 or 127, is asked for afterwards.
async fn refused(call: Call, id: &str, error: Error) -> Result<Answer> {
    let (engine, name) = (call.engine.clone(), id.to_string());
    let exec = blocking(move || engine.exec(&name)).await?;
    // Nothing was started at all: there is no exit status, and the client gets a plain error.
    if exec.exit_code.is_none_or(|_| exec.pid != 0) {
        return Err(error);
    }
    let text = format!("{}\r\n", error.message);
    let before = if exec.tty { text.into_bytes() } else { frames::encode(1, text.as_bytes()) };
    let streams = Streams { tty: exec.tty, ..Streams::default() };
    let nothing = std::future::ready(Err(error));
    let source = Source { before, stream: Box::new(Box::pin(nothing)) };
    Ok(hijack::answer(call, streams, source, std::future::ready(())))
}
