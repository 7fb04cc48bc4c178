//! Registries: the OCI distribution protocol (1.1) over hyper and rustls.
//!
//! A registry is hostile until content is verified: every wait is bounded, every document has a
//! largest size, credentials go to their own host only.

mod auth;
mod backoff;
pub mod blob;
mod connect;
pub mod credentials;
mod hosts;
mod http;
mod proxy;
pub mod search;
mod tags;
mod tls;
pub mod upload;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::image::manifest::{DOCKER_LIST, DOCKER_MANIFEST, MAX_MANIFEST, OCI_INDEX, OCI_MANIFEST};
use crate::image::types::Auth;
use crate::image::{Digest, Reference};
use auth::Authenticator;
use hosts::Hosts;
pub use http::Endpoint;
use http::{Answer, Body, Http};
use hyper::header::{ACCEPT, CONTENT_TYPE};
use hyper::{Method, StatusCode, Uri};
use std::sync::Arc;

/// What a document of a registry is.
#[derive(Debug)]
pub struct Fetched {
    /// The bytes, verified against the digest where one was asked for.
    pub bytes: Vec<u8>,
    /// The media type the registry claims.
    pub media_type: Option<String>,
    /// Digest of the bytes.
    pub digest: Digest,
}

/// A small document, as it came.
struct Small {
    bytes: Vec<u8>,
    media_type: Option<String>,
    /// Whether it is a page of a list that goes on.
    more: bool,
}

/// One repository of one registry, through its mirrors or itself.
#[derive(Clone)]
pub struct Repository {
    pub(super) http: Arc<Http>,
    pub(super) auth: Arc<Authenticator>,
    /// Where to ask, in order: mirrors, then the registry.
    endpoints: Vec<Endpoint>,
    pub(super) name: String,
    registry: String,
}

/// What is asked of a repository: the scope of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// `pull`.
    Pull,
    /// `pull,push`.
    Push,
}

impl Repository {
    /// A repository, with the credentials given or found.
    ///
    /// # Errors
    /// The configuration of registries can't be read.
    pub fn open(
        config: &Config,
        reference: &Reference,
        auth: Option<&Auth>,
        scope: Scope,
    ) -> Result<Self> {
        let hosts = Hosts::read(config)?;
        let registry = &reference.registry;
        let own = hosts.endpoint(registry);
        let mut endpoints = Vec::new();
        if scope == Scope::Pull {
            endpoints.extend(hosts.mirrors(registry)?);
        }
        endpoints.push(own);
        let credentials = match auth.filter(|auth| !auth.is_empty()) {
            Some(auth) => Some(auth.clone()),
            None => credentials::find(registry)?,
        };
        let realms = hosts.realms(registry);
        let action = if scope == Scope::Push { "pull,push" } else { "pull" };
        let scope = format!("repository:{}:{action}", reference.repository);
        Ok(Self {
            http: Arc::new(Http::new(config, hosts.stall())),
            auth: Arc::new(Authenticator::new(registry, credentials, scope, realms)),
            endpoints,
            name: reference.repository.clone(),
            registry: registry.clone(),
        })
    }

    /// The registry's name.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The registry itself, not its mirrors.
    pub(super) fn own(&self) -> Result<&Endpoint> {
        self.endpoints.last().ok_or_else(|| Error::internal("registry without endpoints"))
    }

    /// Fetches a manifest or an index by tag or digest, from the first endpoint that has it.
    ///
    /// # Errors
    /// 404 when none has; bytes that don't match the digest asked for.
    pub async fn manifest(&self, target: &str) -> Result<Fetched> {
        let accept = [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST].join(", ");
        let path = format!("/v2/{}/manifests/{target}", self.name);
        let mut failure = None;
        for endpoint in &self.endpoints {
            let uri = endpoint.uri(&path)?;
            let headers = [(ACCEPT, accept.clone())];
            match self.read(endpoint, &uri, &headers, MAX_MANIFEST).await {
                Ok(read) => return verify(target, read.bytes, read.media_type),
                // The registry's own answer, the last, is what counts.
                Err(error) => failure = Some(error),
            }
        }
        let error = failure.unwrap_or_else(|| Error::internal("registry without endpoints"));
        Err(match error.status {
            404 => Error::not_found(format!(
                "manifest for {}/{}:{target} not found: manifest unknown: {}",
                self.registry, self.name, error.message
            )),
            _ => error,
        })
    }

    /// Reads a small document with retries.
    async fn read(
        &self,
        endpoint: &Endpoint,
        uri: &Uri,
        headers: &[(hyper::header::HeaderName, String)],
        most: u64,
    ) -> Result<Small> {
        let mut backoff = backoff::Backoff::default();
        loop {
            let attempt = async {
                let answer = self.call(endpoint, Method::GET, uri, headers, Body::Empty).await?;
                let media_type = answer.header(CONTENT_TYPE.as_str());
                // Parameters say nothing about the kind.
                let kind = |text: String| text.split(';').next().map(|t| t.trim().to_owned());
                let more = answer.header("link").is_some();
                let bytes = answer.expect(StatusCode::OK).await?.bytes(most).await?;
                Ok(Small { bytes, media_type: media_type.and_then(kind), more })
            };
            match attempt.await {
                Ok(read) => return Ok(read),
                Err(error) => backoff.wait(error).await?,
            }
        }
    }

    /// One request with authorisation, asked for anew once when the registry wants it.
    pub(super) async fn call(
        &self,
        endpoint: &Endpoint,
        method: Method,
        uri: &Uri,
        headers: &[(hyper::header::HeaderName, String)],
        body: Body,
    ) -> Result<Answer> {
        let again = body.again();
        let authorization = self.auth.header(endpoint);
        let answer = self
            .http
            .send(endpoint, method.clone(), uri, headers, authorization.as_deref(), body)
            .await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let Some(body) = again else { return Ok(answer) };
        self.auth.answer(&self.http, endpoint, &answer).await?;
        let authorization = self.auth.header(endpoint);
        self.http.send(endpoint, method, uri, headers, authorization.as_deref(), body).await
    }

    /// Where blobs come from, in order.
    pub(super) fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }
}

/// A document asked for by digest has that digest.
fn verify(target: &str, bytes: Vec<u8>, media_type: Option<String>) -> Result<Fetched> {
    if let Ok(wanted) = target.parse::<Digest>() {
        let mut hasher = wanted.hasher();
        hasher.update(&bytes);
        let digest = hasher.finish();
        if digest != wanted {
            let message = format!("manifest verification failed for digest {wanted}: got {digest}");
            return Err(Error::internal(message));
        }
        return Ok(Fetched { bytes, media_type, digest });
    }
    let digest = Digest::of(&bytes);
    Ok(Fetched { bytes, media_type, digest })
}

/// Tries credentials; the answer is Docker's status line and the identity token, if any.
///
/// # Errors
/// 401 when they are refused.
pub async fn login(config: &Config, auth: &Auth) -> Result<(String, String)> {
    try_login(config, auth).await.map_err(backoff::last)
}

async fn try_login(config: &Config, auth: &Auth) -> Result<(String, String)> {
    let registry = credentials::registry_of(&auth.server_address);
    let hosts = Hosts::read(config)?;
    let endpoint = hosts.endpoint(&registry);
    let http = Http::new(config, hosts.stall());
    let realms = hosts.realms(&registry);
    let authenticator = Authenticator::new(&registry, Some(auth.clone()), String::new(), realms);
    let uri = endpoint.uri("/v2/")?;
    let answer = http.send(&endpoint, Method::GET, &uri, &[], None, Body::Empty).await?;
    if answer.status() == StatusCode::UNAUTHORIZED {
        authenticator.answer(&http, &endpoint, &answer).await?;
        let authorization = authenticator.header(&endpoint);
        let answer = http
            .send(&endpoint, Method::GET, &uri, &[], authorization.as_deref(), Body::Empty)
            .await?;
        answer.expect(StatusCode::OK).await?;
    } else {
        answer.expect(StatusCode::OK).await?;
    }
    let token = authenticator.identity_token();
    Ok(("Login Succeeded".to_owned(), token))
}
