//! `/_ping`, `/version`, `/info`, `/events`, `/system/df`, `/auth`.

use super::answer::{self, Answer};
use super::blocking;
use super::call::Call;
use super::route::not_found;
use crate::error::Result;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};

/// Routes of the system.
pub async fn route(call: Call, path: &[&str]) -> Result<Answer> {
    let method = call.method().clone();
    match (&method, path) {
        (&Method::GET | &Method::HEAD, ["_ping"]) => Ok(ping(&method)),
        (&Method::GET, ["version"]) => {
            let engine = call.engine.clone();
            answer::ok(&blocking(move || Ok(engine.version())).await?)
        }
        _ => Err(not_found()),
    }
}

/// The first thing a client asks; the headers tell it which version to speak.
fn ping(method: &Method) -> Answer {
    let body = if method == Method::HEAD { "" } else { "OK" };
    let mut answer = answer::bytes(StatusCode::OK, "text/plain; charset=utf-8", body);
    let headers = answer.headers_mut();
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-store, must-revalidate"),
    );
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    // No BuildKit here: `1` sends `docker build` to the classic builder.
    headers.insert(HeaderName::from_static("builder-version"), HeaderValue::from_static("1"));
    headers.insert(HeaderName::from_static("swarm"), HeaderValue::from_static("inactive"));
    answer
}
