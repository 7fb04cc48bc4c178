//! Pushing: blobs and manifests (distribution-spec, push).

use super::auth::Authenticator;
use super::backoff::Backoff;
use super::http::{Body, Handed, encode, resolve};
use super::{Endpoint, Repository};
use crate::error::{At, Error, Result};
use crate::image::manifest::Descriptor;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, LOCATION};
use hyper::{Method, StatusCode, Uri};
use std::fs::File;
use std::io::Read;
use std::sync::Arc;

/// How a blob got there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pushed {
    /// It was there.
    Exists,
    /// From another repository of the registry.
    Mounted(String),
    /// Sent.
    Sent,
}

/// Told of bytes sent so far.
pub type Sent = Arc<dyn Fn(u64) + Send + Sync>;

const CHUNK: usize = 64 << 10;

impl Repository {
    /// Makes sure a blob is in the repository: asks, mounts from `sources`, or sends the file.
    ///
    /// # Errors
    /// As the registry says.
    pub async fn push_blob(
        &self,
        blob: &Descriptor,
        sources: &[String],
        open: &(dyn Fn() -> Result<File> + Sync),
        sent: &Sent,
    ) -> Result<Pushed> {
        let mut backoff = Backoff::default();
        loop {
            let attempt = self.try_push(blob, sources, open()?, Sent::clone(sent)).await;
            match attempt {
                Ok(pushed) => return Ok(pushed),
                Err(error) => backoff.wait(error).await?,
            }
        }
    }

    async fn try_push(
        &self,
        blob: &Descriptor,
        sources: &[String],
        file: File,
        sent: Sent,
    ) -> Result<Pushed> {
        let endpoint = self.own()?;
        let uri = endpoint.uri(&format!("/v2/{}/blobs/{}", self.name, blob.digest))?;
        let answer = self.call(endpoint, Method::HEAD, &uri, &[], Body::Empty).await?;
        match answer.status() {
            StatusCode::OK => return Ok(Pushed::Exists),
            StatusCode::NOT_FOUND => {}
            _ => return Err(answer.failure().await),
        }
        let source = sources.iter().find(|source| **source != self.name);
        let mut path = format!("/v2/{}/blobs/uploads/", self.name);
        if let Some(source) = source {
            path = format!("{path}?mount={}&from={}", encode(blob.digest.as_str()), encode(source));
        }
        let uri = endpoint.uri(&path)?;
        let answer = self.call(endpoint, Method::POST, &uri, &[], Body::Empty).await?;
        match (answer.status(), source) {
            (StatusCode::CREATED, Some(source)) => return Ok(Pushed::Mounted(source.clone())),
            (StatusCode::ACCEPTED, _) => {}
            _ => return Err(answer.failure().await),
        }
        let location = answer
            .header(LOCATION.as_str())
            .ok_or_else(|| Error::internal(format!("{uri}: upload without a place")))?;
        let target = resolve(&answer.uri, &location)?;
        self.send(endpoint, blob, target, file, sent).await?;
        Ok(Pushed::Sent)
    }

    /// Sends the whole blob in one request.
    async fn send(
        &self,
        endpoint: &Endpoint,
        blob: &Descriptor,
        target: Uri,
        file: File,
        sent: Sent,
    ) -> Result<()> {
        let separator = if target.query().is_some() { '&' } else { '?' };
        let full = format!("{target}{separator}digest={}", encode(blob.digest.as_str()));
        let full: Uri = full.parse().map_err(|_| Error::internal(format!("upload to {target}")))?;
        // Another host takes the blob, but not the password.
        let other = full.authority().map(hyper::http::uri::Authority::as_str);
        if other != Some(endpoint.host.as_str()) && !Authenticator::owns(endpoint, other) {
            return Err(Error::internal(format!("{}: upload goes to {target}", endpoint.host)));
        }
        let body = stream(blob.size, file, sent);
        let headers = [(CONTENT_TYPE, "application/octet-stream".to_owned())];
        let answer = self.call(endpoint, Method::PUT, &full, &headers, body).await?;
        answer.expect(StatusCode::CREATED).await.at(|| format!("push {}", blob.digest)).map(drop)
    }

    /// Stores a manifest under a tag or its digest.
    ///
    /// # Errors
    /// As the registry says.
    pub async fn push_manifest(&self, target: &str, kind: &str, bytes: &[u8]) -> Result<()> {
        let endpoint = self.own()?;
        let uri = endpoint.uri(&format!("/v2/{}/manifests/{target}", self.name))?;
        let headers = [(CONTENT_TYPE, kind.to_owned())];
        let mut backoff = Backoff::default();
        loop {
            let body = Body::Bytes(Bytes::copy_from_slice(bytes));
            let attempt = async {
                let answer = self.call(endpoint, Method::PUT, &uri, &headers, body).await?;
                answer.expect(StatusCode::CREATED).await
            };
            match attempt.await {
                Ok(_) => return Ok(()),
                Err(error) => backoff.wait(error).await?,
            }
        }
    }
}

/// A file as a request's body, read on a blocking thread.
fn stream(size: u64, mut file: File, sent: Sent) -> Body {
    let (sender, receiver) = tokio::sync::mpsc::channel(8);
    tokio::task::spawn_blocking(move || {
        let mut count = 0;
        let mut buffer = vec![0; CHUNK];
        loop {
            let piece = match file.read(&mut buffer) {
                Ok(0) => return,
                Ok(length) => Ok(Bytes::copy_from_slice(&buffer[..length])),
                Err(error) => Err(error),
            };
            count += piece.as_ref().map_or(0, |piece| piece.len() as u64);
            let failed = piece.is_err();
            // The receiver went: the request ended early.
            if sender.blocking_send(piece).is_err() || failed {
                return;
            }
            sent(count);
        }
    });
    Body::Stream(size, receiver, Handed::default())
}
