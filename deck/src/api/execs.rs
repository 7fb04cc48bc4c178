//! `/exec/…`.

use super::answer::{self, Answer};
use super::blocking;
use super::call::Call;
use super::containers::size;
use super::hijack::{self, Source, Streams};
use super::route::not_found;
use crate::engine::record::Exec;
use crate::error::{Error, Result};
use hyper::{Method, StatusCode};
use serde::Deserialize;
use std::os::unix::net::UnixStream;

/// The body of `POST /exec/{id}/start`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Start {
    detach: bool,
    tty: bool,
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
    let attach = !asked.detach;
    if attach && call.upgrades() {
        return start_taken_over(call, id, &asked).await;
    }
    let (engine, name) = (call.engine.clone(), id.to_string());
    let started = blocking(move || engine.start_exec(&name, attach, asked.console_size)).await?;
    let (exec, Some(stream)) = started else {
        return Ok(answer::empty(StatusCode::OK));
    };
    carry(call, &exec, asked.tty, std::future::ready(Ok(stream)))
}

/// Takes the connection over first and starts then, as Docker does: clients lose output that comes
/// together with the answer. A command that can't be started is told on the stream; its exit
/// status, 126 or 127, is asked for afterwards.
async fn start_taken_over(call: Call, id: &str, asked: &Start) -> Result<Answer> {
    let size = asked.console_size;
    let (engine, name) = (call.engine.clone(), id.to_string());
    let exec = blocking(move || Ok(engine.startable_exec(&name)?.0)).await?;
    let (engine, name) = (call.engine.clone(), id.to_string());
    let stream = async move {
        match blocking(move || engine.start_exec(&name, true, size)).await? {
            (_, Some(stream)) => Ok(stream),
            (_, None) => Err(Error::internal("the exec has no streams")),
        }
    };
    carry(call, &exec, asked.tty, stream)
}

/// Answers with an exec's streams: as they are for a client that starts it with a terminal, else in
/// frames, whether the exec has one or not.
fn carry(
    call: Call,
    exec: &Exec,
    raw: bool,
    stream: impl Future<Output = Result<UnixStream>> + Send + 'static,
) -> Result<Answer> {
    let streams = Streams {
        stdin: exec.stdin,
        stdout: exec.stdout,
        stderr: exec.stderr,
        tty: exec.tty,
        raw,
        detach: hijack::detach_keys(&exec.detach_keys)?,
    };
    let source = Source { before: Vec::new(), stream: Box::new(Box::pin(stream)), tells: true };
    let (engine, id) = (call.engine.clone(), exec.id.clone());
    // The exit status is there when the client asks for it: right after the stream's end.
    let after = async move {
        drop(blocking(move || engine.finish_exec(&id)).await);
    };
    Ok(hijack::answer(call, streams, source, after))
}
