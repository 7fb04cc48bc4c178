//! From method and path to a handler.

use super::answer::{self, Answer};
use super::call::{self, Call};
use super::{system, version};
use crate::engine::Engine;
use crate::error::{Error, Result};
use hyper::Request;
use hyper::body::Incoming;
use std::sync::Arc;

/// Answers one request: never fails, errors are answers too.
pub async fn answer(engine: Arc<Engine>, request: Request<Incoming>) -> Answer {
    let mut answer = match dispatch(engine, request).await {
        Ok(answer) => answer,
        Err(error) => answer::failure(&error),
    };
    answer::stamp(&mut answer);
    answer
}

/// Reads the path and calls the handler.
async fn dispatch(engine: Arc<Engine>, request: Request<Incoming>) -> Result<Answer> {
    let path: Vec<String> = request
        .uri()
        .path()
        .split('/')
        .filter(|segment| !segment.is_empty())
        .map(|segment| call::unescape(segment, false))
        .collect();
    let query = call::query(request.uri().query().unwrap_or_default());
    let segments: Vec<&str> = path.iter().map(String::as_str).collect();
    let (version, segments) = version::strip(&segments)?;
    let call = Call { engine, version, query, request };
    match segments {
        ["_ping" | "info" | "version" | "events" | "auth"] | ["system", ..] => {
            Box::pin(system::route(call, segments)).await
        }
        _ => Err(not_found()),
    }
}

/// What a path that isn't there answers.
pub fn not_found() -> Error {
    Error::not_found("page not found")
}
