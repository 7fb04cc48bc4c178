//! The tags of a repository (distribution-spec, "Listing Tags").

use super::http::{Endpoint, encode};
use super::{Repository, Small};
use crate::error::{Error, Result};
use serde::Deserialize;

/// Largest page read.
const MAX: u64 = 8 << 20;
/// Pages read, of a thousand names each.
const MAX_PAGES: usize = 50;

#[derive(Debug, Deserialize)]
struct Page {
    /// Null in a repository whose last tag was deleted.
    #[serde(default)]
    tags: Option<Vec<String>>,
}

impl Repository {
    /// All tags, from the first endpoint that tells them.
    ///
    /// # Errors
    /// 404 when there is no such repository or nothing in it; 400 when there are too many; else as
    /// the registry says.
    pub async fn tags(&self) -> Result<Vec<String>> {
        let mut failure = None;
        for endpoint in self.endpoints() {
            match self.tags_of(endpoint).await {
                Ok(tags) => return Ok(tags),
                // The registry's own answer, the last, is what counts.
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| Error::internal("registry without endpoints")))
    }

    async fn tags_of(&self, endpoint: &Endpoint) -> Result<Vec<String>> {
        let place = || format!("{}/{}", self.registry(), self.name());
        let mut found = Vec::<String>::new();
        for _ in 0..MAX_PAGES {
            // Without `last` on the first: some registries take an empty one for a name.
            let last = found.last().map(|last| format!("&last={}", encode(last)));
            let query = format!("n=1000{}", last.unwrap_or_default());
            let uri = endpoint.uri(&format!("/v2/{}/tags/list?{query}", self.name()))?;
            let Small { bytes, more, .. } = self.read(endpoint, &uri, &[], MAX).await?;
            let page: Page = serde_json::from_slice(&bytes)
                .map_err(|error| Error::internal(format!("tags of {}: {error}", place())))?;
            let page = page.tags.unwrap_or_default();
            let ends = page.is_empty() || !more;
            found.extend(page);
            if ends {
                return if found.is_empty() {
                    Err(Error::not_found(format!("{} has no tags", place())))
                } else {
                    Ok(found)
                };
            }
        }
        Err(Error::invalid(format!(
            "{} has more than {} tags: pull those that are wanted by name",
            place(),
            MAX_PAGES * 1000
        )))
    }
}
