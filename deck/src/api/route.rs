//! From method and path to a handler.

use super::answer::{self, Answer};
use super::call::{self, Call};
use super::{containers, execs, images, networks, system, version, volumes};
use crate::engine::Engine;
use crate::error::{Error, Result};
use hyper::body::Incoming;
use hyper::{Method, Request};
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
    let method = call.method().clone();
    match segments {
        ["_ping" | "info" | "version" | "events" | "auth"] | ["system", ..] => {
            Box::pin(system::route(call, segments)).await
        }
        ["containers", rest @ ..] => Box::pin(containers::route(call, rest)).await,
        ["exec", rest @ ..] => Box::pin(execs::route(call, rest)).await,
        ["images", rest @ ..] => Box::pin(images::route(call, rest)).await,
        ["volumes", rest @ ..] => Box::pin(volumes::route(call, rest)).await,
        ["networks", rest @ ..] => Box::pin(networks::route(call, rest)).await,
        ["commit"] if method == Method::POST => Box::pin(images::commit(call)).await,
        ["build", ..] | ["session" | "grpc"] => Err(Error::unsupported(
            "building images is not supported: build with another tool and load the image",
        )),
        ["swarm" | "nodes" | "services" | "tasks" | "secrets" | "configs", ..] => {
            // What dockerd says: clients look for these words.
            Err(Error::new(503, "This node is not a swarm manager: Swarm is not supported here"))
        }
        ["plugins"] if method == Method::GET => answer::ok(&serde_json::json!([])),
        ["plugins", name @ .., "json"] => {
            Err(Error::not_found(format!("plugin \"{}\" not found", name.join("/"))))
        }
        ["plugins", ..] => Err(Error::unsupported("plugins are not supported")),
        ["distribution", ..] => {
            Err(Error::unsupported("looking at a registry's manifests is not supported: pull"))
        }
        _ => Err(not_found()),
    }
}

/// What a path that isn't there answers.
pub fn not_found() -> Error {
    Error::not_found("page not found")
}
