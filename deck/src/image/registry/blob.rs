//! Blobs, piece by piece, over connections that break.

use super::backoff::Backoff;
use super::http::{Answer, Body};
use super::{Endpoint, Repository};
use crate::error::{Error, Result};
use crate::image::manifest::Descriptor;
use hyper::body::Bytes;
use hyper::header::RANGE;
use hyper::{Method, StatusCode};

/// A blob being fetched: goes on where it broke, at the same endpoint or the next.
pub struct BlobStream {
    repository: Repository,
    descriptor: Descriptor,
    offset: u64,
    answer: Option<Answer>,
    /// Bytes of the answer before the offset: the server ignored the range.
    skip: u64,
    backoff: Backoff,
    endpoint: usize,
}

impl BlobStream {
    /// Starts at an offset.
    pub fn new(repository: Repository, descriptor: Descriptor, offset: u64) -> Self {
        Self {
            repository,
            descriptor,
            offset,
            answer: None,
            skip: 0,
            backoff: Backoff::default(),
            endpoint: 0,
        }
    }

    /// The next piece; `None` when all bytes the descriptor names have come.
    ///
    /// # Errors
    /// The registry has no such blob, gives more bytes than it should, or can't be reached again.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let size = self.descriptor.size;
            if self.offset == size && self.answer.is_none() {
                return Ok(None);
            }
            let piece = match self.piece().await {
                Ok(Some(piece)) => piece,
                Ok(None) if self.offset == size => return Ok(None),
                Ok(None) => {
                    self.answer = None;
                    let message = format!(
                        "blob {} ends at {} of {size}",
                        self.descriptor.digest, self.offset
                    );
                    self.retry(Error::new(599, message)).await?;
                    continue;
                }
                Err(error) => {
                    self.answer = None;
                    self.retry(error).await?;
                    continue;
                }
            };
            if self.offset + piece.len() as u64 > size {
                return Err(Error::invalid(format!(
                    "blob {}: more than {size} bytes",
                    self.descriptor.digest
                )));
            }
            self.offset += piece.len() as u64;
            self.backoff.reset();
            return Ok(Some(piece));
        }
    }

    async fn retry(&mut self, error: Error) -> Result<()> {
        // A mirror that lacks it or fails: the registry itself comes last.
        if self.endpoint + 1 < self.repository.endpoints().len() {
            self.endpoint += 1;
            return Ok(());
        }
        self.backoff.wait(error).await
    }

    async fn piece(&mut self) -> Result<Option<Bytes>> {
        if self.answer.is_none() {
            self.answer = Some(self.ask().await?);
        }
        let Some(answer) = &mut self.answer else { return Ok(None) };
        loop {
            let Some(mut piece) = answer.chunk().await? else { return Ok(None) };
            if self.skip > 0 {
                let drop = self.skip.min(piece.len() as u64);
                // No longer than the piece.
                piece = piece.slice(usize::try_from(drop).unwrap_or(piece.len())..);
                self.skip -= drop;
            }
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        }
    }

    async fn ask(&mut self) -> Result<Answer> {
        let repository = &self.repository;
        let endpoint: &Endpoint = repository
            .endpoints()
            .get(self.endpoint)
            .ok_or_else(|| Error::internal("registry without endpoints"))?;
        let path = format!("/v2/{}/blobs/{}", repository.name, self.descriptor.digest);
        let uri = endpoint.uri(&path)?;
        let mut headers = Vec::new();
        if self.offset > 0 {
            headers.push((RANGE, format!("bytes={}-", self.offset)));
        }
        let answer = repository.call(endpoint, Method::GET, &uri, &headers, Body::Empty).await?;
        self.skip = match answer.status() {
            StatusCode::OK => self.offset,
            StatusCode::PARTIAL_CONTENT if self.offset > 0 => {
                let start = answer.header("content-range").and_then(|text| start_of(&text));
                let start = start.filter(|start| *start <= self.offset).ok_or_else(|| {
                    Error::internal(format!("blob {}: wrong range", self.descriptor.digest))
                })?;
                self.offset - start
            }
            _ => return Err(answer.failure().await),
        };
        Ok(answer)
    }
}

/// The first byte of `bytes 5-9/10`.
fn start_of(range: &str) -> Option<u64> {
    range.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        assert_eq!(start_of("bytes 5-9/10"), Some(5));
        assert_eq!(start_of("bytes */10"), None);
        assert_eq!(start_of("5-9"), None);
    }
}
