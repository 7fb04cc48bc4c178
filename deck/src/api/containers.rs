//! `/containers/…`.

use super::answer::{self, Answer};
use super::call::Call;
use super::hijack::{self, Source, Streams};
use super::route::not_found;
use super::{blocking, streams};
use crate::engine::filter::Filters;
use crate::engine::list::Wanted;
use crate::engine::logs::Wanted as LogsWanted;
use crate::engine::model::config::CreateRequest;
use crate::engine::start::By;
use crate::engine::wait::{Condition, wait};
use crate::engine::{Engine, time};
use crate::error::{Error, Result};
use hyper::body::Bytes;
use hyper::{Method, StatusCode};
use serde_json::json;
use std::sync::Arc;

/// Routes of containers.
pub async fn route(call: Call, path: &[&str]) -> Result<Answer> {
    let method = call.method().clone();
    match (&method, path) {
        (&Method::GET, ["json"]) => list(call).await,
        (&Method::POST, ["create"]) => create(call).await,
        (&Method::POST, ["prune"]) => prune(call).await,
        (&Method::GET, [id, "json"]) => {
            let (id, size) = (id.to_string(), call.flag("size"));
            answer::ok(&work(&call, move |engine| engine.inspect(&id, size)).await?)
        }
        (&Method::POST, [id, "start"]) => start(call, id).await,
        (&Method::POST, [id, "attach"]) => attach(call, id).await,
        (&Method::POST, [id, "wait"]) => wait_for(call, id).await,
        (&Method::GET, [id, "logs"]) => logs(call, id).await,
        (&Method::GET, [id, "stats"]) => streams::stats(call, id).await,
        (&Method::GET, [id, "top"]) => {
            let (id, arguments) = (id.to_string(), call.text("ps_args"));
            answer::ok(&work(&call, move |engine| engine.top(&id, &arguments)).await?)
        }
        (&Method::GET, [id, "changes"]) => {
            let id = id.to_string();
            answer::ok(&work(&call, move |engine| engine.changes(&id)).await?)
        }
        (&Method::GET, [id, "export"]) => streams::export(call, id).await,
        (&Method::HEAD | &Method::GET | &Method::PUT, [id, "archive"]) => {
            streams::archive(call, id).await
        }
        (&Method::DELETE, [id]) => {
            let id = id.to_string();
            let (force, volumes) = (call.flag("force"), call.flag("v"));
            if call.flag("link") {
                return Err(link_alone());
            }
            work(&call, move |engine| engine.remove(&id, force, volumes)).await?;
            Ok(answer::no_content())
        }
        // Of a link the path is that of the container that has it, and the link's name.
        (&Method::DELETE, [_, _]) if call.flag("link") => Err(link_alone()),
        (&Method::POST, [id, verb]) => act(call, id, verb).await,
        _ => Err(not_found()),
    }
}

fn link_alone() -> Error {
    Error::unsupported("links of the default bridge are not removed alone")
}

/// Runs a call of the engine.
async fn work<T: Send + 'static>(
    call: &Call,
    work: impl FnOnce(&Engine) -> Result<T> + Send + 'static,
) -> Result<T> {
    let engine = call.engine.clone();
    blocking(move || work(&engine)).await
}

/// What changes a container and answers nothing.
async fn act(mut call: Call, id: &str, verb: &str) -> Result<Answer> {
    let id = id.to_string();
    let signal = call.param("signal").map(str::to_string);
    let timeout = call.number("t")?;
    match verb {
        "stop" => {
            let signal = signal.clone();
            let done = work(&call, move |engine| engine.stop(&id, signal.as_deref(), timeout));
            return Ok(answer::empty(if done.await? {
                StatusCode::NO_CONTENT
            } else {
                StatusCode::NOT_MODIFIED
            }));
        }
        "restart" => {
            work(&call, move |engine| engine.restart(&id, signal.as_deref(), timeout)).await?;
        }
        "kill" => {
            let signal = signal.unwrap_or_default();
            work(&call, move |engine| engine.kill(&id, &signal)).await?;
        }
        "pause" => work(&call, move |engine| engine.pause(&id)).await?,
        "unpause" => work(&call, move |engine| engine.unpause(&id)).await?,
        "rename" => {
            let name = call.text("name");
            work(&call, move |engine| engine.rename(&id, &name)).await?;
        }
        "resize" => {
            let (rows, columns) = size(&call)?;
            work(&call, move |engine| engine.resize(&id, rows, columns)).await?;
            return Ok(answer::empty(StatusCode::OK));
        }
        "update" => {
            let update = call.json().await?;
            let warnings = work(&call, move |engine| engine.update(&id, update)).await?;
            return answer::ok(&json!({ "Warnings": warnings }));
        }
        "exec" => {
            let request = call.json().await?;
            let id = work(&call, move |engine| engine.create_exec(&id, request)).await?;
            return answer::created(&json!({ "Id": id }));
        }
        _ => return Err(not_found()),
    }
    Ok(answer::no_content())
}

/// `h` and `w` of a terminal.
pub fn size(call: &Call) -> Result<(u16, u16)> {
    let number = |name: &str, what: &str| -> Result<u16> {
        let text = call.param(name).unwrap_or_default();
        text.parse().map_err(|_| Error::invalid(format!("invalid resize {what} {text:?}")))
    };
    Ok((number("h", "height")?, number("w", "width")?))
}

async fn list(call: Call) -> Result<Answer> {
    let limit = call.number("limit")?.filter(|limit| *limit > 0);
    let wanted = Wanted {
        all: call.flag("all"),
        limit: limit.and_then(|limit| usize::try_from(limit).ok()),
        size: call.flag("size"),
        filters: Filters::parse(&call.text("filters"))?,
    };
    answer::ok(&work(&call, move |engine| engine.list(&wanted)).await?)
}

async fn create(mut call: Call) -> Result<Answer> {
    let request: CreateRequest = call.json().await?;
    let name = call.param("name").map(str::to_string);
    let platform = super::images::platform(&call)?;
    let made =
        work(&call, move |engine| engine.create(name.as_deref(), platform.as_ref(), request));
    let made = made.await?;
    answer::created(&json!({ "Id": made.0, "Warnings": made.1 }))
}

async fn prune(call: Call) -> Result<Answer> {
    let filters = Filters::parse(&call.text("filters"))?;
    let (ids, freed) = work(&call, move |engine| engine.prune(&filters)).await?;
    let ids = (!ids.is_empty()).then_some(ids);
    answer::ok(&json!({ "ContainersDeleted": ids, "SpaceReclaimed": freed }))
}

async fn start(call: Call, id: &str) -> Result<Answer> {
    if call.param("checkpoint").is_some_and(|name| !name.is_empty()) {
        return Err(Error::unsupported("checkpoints are not supported"));
    }
    let id = id.to_string();
    let done = work(&call, move |engine| engine.start(&id, By::User)).await?;
    Ok(answer::empty(if done { StatusCode::NO_CONTENT } else { StatusCode::NOT_MODIFIED }))
}

/// Answers at once that it waits, and how it ended when it did: the stock client starts the
/// container only when it has the headers.
async fn wait_for(call: Call, id: &str) -> Result<Answer> {
    let condition = Condition::parse(call.param("condition").unwrap_or_default())?;
    let name = id.to_string();
    let first = work(&call, move |engine| engine.find(&name)).await?;
    let engine = call.engine.clone();
    let (sender, body) = answer::channel();
    tokio::spawn(async move {
        let line = tokio::select! {
            // The client went away.
            () = sender.closed() => return,
            code = wait(engine, first, condition) => match code {
                Ok(code) => json!({ "StatusCode": code }),
                Err(error) => json!({ "StatusCode": -1, "Error": { "Message": error.message } }),
            },
        };
        drop(sender.send(Bytes::from(format!("{line}\n"))).await);
    });
    Ok(answer::stream("application/json", body))
}

async fn attach(call: Call, id: &str) -> Result<Answer> {
    let name = id.to_string();
    let container = work(&call, move |engine| engine.find(&name)).await?;
    let streams = Streams {
        stdin: call.flag("stdin") && container.config.open_stdin,
        stdout: call.flag("stdout"),
        stderr: call.flag("stderr"),
        tty: container.config.tty,
        raw: container.config.tty,
        detach: hijack::detach_keys(&call.text("detachKeys"))?,
    };
    if container.state.status == crate::engine::record::Status::Paused {
        return Err(Error::conflict(format!(
            "container {} is paused, unpause the container before attach",
            container.id
        )));
    }
    let mut before = Vec::new();
    if call.flag("logs") {
        let (id, wanted) = (
            container.id.clone(),
            LogsWanted { stdout: streams.stdout, stderr: streams.stderr, ..LogsWanted::default() },
        );
        before = work(&call, move |engine| engine.logs(&id, &wanted)).await?.0;
    }
    let engine = call.engine.clone();
    let follow = call.flag("stream");
    let alive = container.state.status.is_alive();
    // Asked for before the client is told that it is attached: it starts the container then.
    let waiting = (follow && !alive).then(|| engine.await_start(&container.id));
    let stream = async move {
        if !follow {
            return Err(Error::conflict("no stream was asked for"));
        }
        match waiting {
            Some(waiting) => waiting.await.map_err(|_| Error::conflict("it never started")),
            None => blocking(move || engine.connect(&container.id)).await,
        }
    };
    let source = Source { before, stream: Box::new(Box::pin(stream)), tells: false };
    Ok(hijack::answer(call, streams, source, async {}))
}

async fn logs(call: Call, id: &str) -> Result<Answer> {
    let now = time::now();
    let wanted = LogsWanted {
        stdout: call.flag("stdout"),
        stderr: call.flag("stderr"),
        since: time::parse(&call.text("since"), now)?,
        until: time::parse(&call.text("until"), now)?,
        tail: match call.param("tail") {
            None | Some("" | "all") => None,
            // Docker takes what is no number for all.
            Some(text) => text.parse().ok(),
        },
        timestamps: call.flag("timestamps"),
        details: call.flag("details"),
    };
    if !wanted.stdout && !wanted.stderr {
        return Err(Error::invalid("Bad parameters: you must choose at least one stream"));
    }
    let name = id.to_string();
    let container = work(&call, move |engine| engine.find(&name)).await?;
    let (id, tells) = (container.id.clone(), call.version >= super::version::Version(1, 42));
    let (first, follower) = work(&call, move |engine| engine.logs(&id, &wanted)).await?;
    let media = if container.config.tty || !tells { hijack::RAW } else { hijack::MULTIPLEXED };
    let (sender, body) = answer::channel();
    let engine: Arc<Engine> = call.engine.clone();
    let follow = call.flag("follow");
    tokio::spawn(async move {
        if !first.is_empty() && sender.send(Bytes::from(first)).await.is_err() {
            return;
        }
        if follow {
            drop(streams::follow(engine, container.id, follower, sender).await);
        }
    });
    Ok(answer::stream(media, body))
}
