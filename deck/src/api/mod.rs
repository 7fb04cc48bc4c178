//! The Docker Engine API over HTTP: routes, streams, models; no rules of its own.
//!
//! [`serve`] answers one connection, whatever it is made of: a unix socket, TLS, or a pipe in
//! this process. [`server`] listens. `route` finds the handler; each handler translates between
//! HTTP and one call of [`crate::engine`].

pub mod answer;
pub mod call;
mod listen;
pub mod models;
mod route;
pub mod server;
mod sys;
mod system;
mod tls;
pub mod version;

use crate::engine::Engine;
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

/// Runs work that blocks (disk, processes, mounts) away from the connections.
///
/// # Errors
/// Those of the work; 500 when it died.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::internal(format!("a worker died: {error}"))),
    }
}
