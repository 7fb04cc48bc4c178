//! `/_ping`, `/version`, `/info`, `/events`, `/system/df`, `/auth`.

use super::answer::{self, Answer};
use super::blocking;
use super::call::Call;
use super::route::not_found;
use crate::engine::events::Event;
use crate::engine::filter::Filters;
use crate::engine::{Engine, time};
use crate::error::{Error, Result};
use hyper::body::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use std::sync::Arc;
use std::time::Duration;

/// Routes of the system.
pub async fn route(mut call: Call, path: &[&str]) -> Result<Answer> {
    let method = call.method().clone();
    let engine = call.engine.clone();
    match (&method, path) {
        (&Method::GET | &Method::HEAD, ["_ping"]) => Ok(ping(&method)),
        (&Method::GET, ["version"]) => answer::ok(&blocking(move || Ok(engine.version())).await?),
        (&Method::GET, ["info"]) => answer::ok(&blocking(move || engine.info()).await?),
        (&Method::GET, ["events"]) => events(&call),
        (&Method::GET, ["system", "df"]) => {
            let version = call.version;
            answer::ok(&blocking(move || engine.system_df(version)).await?)
        }
        (&Method::POST, ["auth"]) => {
            let auth: crate::image::Auth = call.json().await?;
            answer::ok(&engine.login(&auth).await?)
        }
        _ => Err(not_found()),
    }
}

/// The first thing a client asks; the headers tell it which version to speak.
fn ping(method: &Method) -> Answer {
    let body = if method == Method::HEAD { "" } else { "OK" };
    let mut answer = answer::bytes(StatusCode::OK, "text/plain; charset=utf-8", body);
    let headers = answer.headers_mut();
    let cache = HeaderValue::from_static("no-cache, no-store, must-revalidate");
    headers.insert(header::CACHE_CONTROL, cache);
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    // No BuildKit here: `1` sends `docker build` to the classic builder.
    headers.insert(HeaderName::from_static("builder-version"), HeaderValue::from_static("1"));
    headers.insert(HeaderName::from_static("swarm"), HeaderValue::from_static("inactive"));
    answer
}

/// Events of the past from `since` on, then those that come, to `until`.
fn events(call: &Call) -> Result<Answer> {
    let now = time::now();
    let since = time::parse(&call.text("since"), now)?;
    let until = time::parse(&call.text("until"), now)?;
    let filters = Filters::parse(&call.text("filters"))?;
    filters.allow(&[
        "config",
        "container",
        "daemon",
        "event",
        "image",
        "label",
        "label!",
        "network",
        "node",
        "plugin",
        "scope",
        "secret",
        "service",
        "type",
        "volume",
    ])?;
    let engine = call.engine.clone();
    let first = match since {
        Some(_) => 0,
        None => engine.last_event()?,
    };
    let (sender, body) = answer::channel();
    tokio::spawn(async move {
        drop(tell(engine, sender, filters, [since, until], first).await);
    });
    Ok(answer::stream("application/json", body))
}

/// Sends events as they come.
async fn tell(
    engine: Arc<Engine>,
    sender: answer::Sender,
    filters: Filters,
    [since, until]: [Option<i64>; 2],
    mut last: i64,
) -> Result<()> {
    let mut changes = engine.subscribe()?;
    loop {
        let worker = engine.clone();
        let events = blocking(move || worker.events(last, since.unwrap_or_default())).await?;
        let mut lines = Vec::new();
        for (seq, event) in events {
            last = seq;
            let late = until.is_some_and(|until| event.time_nano > until);
            if !late && event.matches(&filters) {
                line(&mut lines, &event)?;
            }
        }
        if !lines.is_empty() && sender.send(Bytes::from(lines)).await.is_err() {
            return Ok(());
        }
        let left = until.map(|until| u64::try_from(until - time::now()).unwrap_or(0));
        if left == Some(0) {
            return Ok(());
        }
        // An hour at most: clocks jump.
        let nap = Duration::from_nanos(left.unwrap_or(u64::MAX)).min(Duration::from_secs(3600));
        tokio::select! {
            changed = changes.changed() => {
                changed.map_err(|_| Error::internal("no watcher"))?;
            }
            () = sender.closed() => return Ok(()),
            () = tokio::time::sleep(nap) => {}
        }
    }
}

fn line(lines: &mut Vec<u8>, event: &Event) -> Result<()> {
    serde_json::to_writer(&mut *lines, event)
        .map_err(|error| Error::internal(format!("write an event: {error}")))?;
    lines.push(b'\n');
    Ok(())
}
