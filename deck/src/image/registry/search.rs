//! Searching: Docker Hub's search, and the catalogs of other registries.

use super::backoff::last;
use super::hosts::Hosts;
use super::http::{Body, Http, encode};
use super::{Repository, Scope};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::image::Reference;
use crate::image::reference::DEFAULT_REGISTRY;
use crate::image::types::{Auth, SearchResult};
use hyper::{Method, StatusCode};
use serde::Deserialize;

/// Largest answer read.
const MAX: u64 = 8 << 20;
/// Most answers asked for: Docker's bound.
const MAX_LIMIT: u32 = 100;

/// Pages of a catalog read, of a thousand names each.
const MAX_PAGES: usize = 50;

#[derive(Debug, Deserialize)]
struct Answers {
    #[serde(default)]
    results: Vec<SearchResult>,
}

#[derive(Debug, Deserialize)]
struct Catalog {
    #[serde(default)]
    repositories: Vec<String>,
}

/// Searches; `limit` 0 is 25.
///
/// # Errors
/// 400 for an empty term or a limit out of range; else as the registry says.
pub async fn search(
    config: &Config,
    term: &str,
    limit: u32,
    auth: Option<&Auth>,
) -> Result<Vec<SearchResult>> {
    if limit > MAX_LIMIT {
        let message = format!("limit {limit} is outside the range of [1, {MAX_LIMIT}]");
        return Err(Error::invalid(message));
    }
    let limit = if limit == 0 { 25 } else { limit };
    // A term that starts with a host is for that registry.
    let probe = format!("{}/probe", term.split('/').next().unwrap_or_default());
    let registry = probe.parse::<Reference>().map(|reference| reference.registry);
    let registry = registry.ok().filter(|registry| term.contains('/') || registry == term);
    let found = match registry.filter(|registry| registry != DEFAULT_REGISTRY) {
        Some(registry) => {
            let rest = term.strip_prefix(&registry).unwrap_or(term).trim_start_matches('/');
            catalog(config, &registry, rest, limit, auth).await
        }
        None if term.trim().is_empty() => Err(Error::invalid("the search term is empty")),
        None => hub(config, term, limit).await,
    };
    found.map_err(last)
}

async fn hub(config: &Config, term: &str, limit: u32) -> Result<Vec<SearchResult>> {
    let hosts = Hosts::read(config)?;
    let endpoint = hosts.endpoint("index.docker.io");
    let uri = endpoint.uri(&format!("/v1/search?q={}&n={limit}", encode(term)))?;
    let http = Http::new(config, hosts.stall());
    let answer = http.send(&endpoint, Method::GET, &uri, &[], None, Body::Empty).await?;
    let bytes = answer.expect(StatusCode::OK).await?.bytes(MAX).await?;
    parse(&bytes, limit)
}

fn parse(bytes: &[u8], limit: u32) -> Result<Vec<SearchResult>> {
    let answers: Answers = serde_json::from_slice(bytes)
        .map_err(|error| Error::internal(format!("search: {error}")))?;
    Ok(answers.results.into_iter().take(limit as usize).map(clean).collect())
}

/// What a registry writes is printed on terminals.
fn clean(mut result: SearchResult) -> SearchResult {
    let printable =
        |text: &str| -> String { text.chars().filter(|c| !c.is_control()).take(1000).collect() };
    result.name = printable(&result.name);
    result.description = printable(&result.description);
    result
}

/// Other registries: their own search if they have one, else the catalog (distribution's
/// `_catalog`).
async fn catalog(
    config: &Config,
    registry: &str,
    term: &str,
    limit: u32,
    auth: Option<&Auth>,
) -> Result<Vec<SearchResult>> {
    let reference = Reference {
        registry: registry.to_owned(),
        repository: "catalog".to_owned(),
        tag: None,
        digest: None,
    };
    let repository = Repository::open(config, &reference, auth, Scope::Pull)?;
    let endpoint = repository.own()?;
    let uri = endpoint.uri(&format!("/v1/search?q={}&n={limit}", encode(term)))?;
    let answer = repository.call(endpoint, Method::GET, &uri, &[], Body::Empty).await?;
    if answer.status() == StatusCode::OK {
        return parse(&answer.bytes(MAX).await?, limit);
    }
    let mut found = Vec::new();
    let mut last = String::new();
    for _ in 0..MAX_PAGES {
        let uri = endpoint.uri(&format!("/v2/_catalog?n=1000&last={}", encode(&last)))?;
        let answer = repository.call(endpoint, Method::GET, &uri, &[], Body::Empty).await?;
        let answer = answer.expect(StatusCode::OK).await?;
        let more = answer.header("link").is_some();
        let catalog: Catalog = serde_json::from_slice(&answer.bytes(MAX).await?)
            .map_err(|error| Error::internal(format!("{registry}: catalog: {error}")))?;
        let Some(end) = catalog.repositories.last() else { break };
        end.clone_into(&mut last);
        found.extend(catalog.repositories.into_iter().filter(|name| name.contains(term)));
        if !more || found.len() >= limit as usize {
            break;
        }
    }
    let result = |name| SearchResult {
        name: format!("{registry}/{name}"),
        description: String::new(),
        star_count: 0,
        is_official: false,
        is_automated: false,
    };
    Ok(found.into_iter().take(limit as usize).map(result).map(clean).collect())
}
