//! The Docker Engine API over HTTP: routes and streams; no rules of its own.
//!
//! [`serve`] answers one connection, whatever it is made of: a unix socket, TLS, or a pipe in
//! this process. [`server`] listens. `route` finds the handler; each handler translates between
//! HTTP and one call of [`crate::engine`].

pub mod answer;
pub mod call;
mod containers;
mod execs;
mod hijack;
mod images;
mod listen;
mod networks;
mod route;
pub mod server;
mod streams;
mod sys;
mod system;
mod tls;
mod volumes;

use crate::engine::Engine;
pub use crate::engine::{blocking, version};
use crate::error::{Error, Result};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};

/// Serves one connection until the client ends it; attach and exec take it over.
///
/// # Errors
/// The connection broke, or what came over it is no HTTP.
pub async fn serve<S>(stream: S, engine: Arc<Engine>) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let engine = engine.clone();
        async move { Ok::<_, Infallible>(route::answer(engine, request).await) }
    });
    http1::Builder::new()
        // A client that has said all still wants to hear.
        .half_close(true)
        .preserve_header_case(false)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await
        .map_err(|error| Error::internal(format!("connection: {error}")))
}
