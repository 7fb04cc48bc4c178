//! Authorisation: basic, and bearer tokens of a token service (distribution's token
//! specification). A password goes to the registry's own host and to realms that are trusted.

use super::hosts::{host_name, is_loopback};
use super::http::{Answer, Body, Endpoint, Http, encode};
use crate::error::{Error, Result};
use crate::image::types::Auth;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{ACCEPT, CONTENT_TYPE};
use hyper::{Method, StatusCode, Uri};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Largest token answer read.
const MAX_TOKEN: u64 = 1 << 20;

/// What a registry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Challenge {
    /// User and password.
    Basic,
    /// A token.
    Bearer { realm: String, service: String, scope: Option<String> },
}

/// A token service's answer.
#[expect(clippy::struct_field_names, reason = "names of the protocol")]
#[derive(Debug, Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
    refresh_token: Option<String>,
}

/// Holds what authorises one repository's requests.
pub struct Authenticator {
    registry: String,
    credentials: Option<Auth>,
    scope: String,
    realms: Vec<String>,
    /// Headers by host.
    headers: Mutex<BTreeMap<String, String>>,
    identity: Mutex<String>,
}

impl Auth {
    /// Whether nothing is given: `{}`, as clients send it.
    pub fn is_empty(&self) -> bool {
        [&self.username, &self.password, &self.identity_token, &self.registry_token]
            .iter()
            .all(|field| field.is_empty())
    }
}

impl Authenticator {
    /// For one scope of a registry.
    pub fn new(
        registry: &str,
        credentials: Option<Auth>,
        scope: String,
        realms: Vec<String>,
    ) -> Self {
        let registry = registry.to_owned();
        let (headers, identity) = (Mutex::default(), Mutex::default());
        Self { registry, credentials, scope, realms, headers, identity }
    }

    /// The header for an endpoint, once it asked for one.
    pub fn header(&self, endpoint: &Endpoint) -> Option<String> {
        if let Some(found) = lock(&self.headers).get(&endpoint.host) {
            return Some(found.clone());
        }
        let token = &self.own(endpoint)?.registry_token;
        (!token.is_empty()).then(|| format!("Bearer {token}"))
    }

    /// The credentials, for the registry's own endpoint only: mirrors are other parties.
    fn own(&self, endpoint: &Endpoint) -> Option<&Auth> {
        let same = endpoint.host == self.registry
            || self.registry == "docker.io" && endpoint.host == "registry-1.docker.io";
        self.credentials.as_ref().filter(|_| same)
    }

    /// Whether an authority is of the endpoint's own host.
    pub fn owns(endpoint: &Endpoint, authority: Option<&str>) -> bool {
        authority.is_some_and(|other| host_name(other) == host_name(&endpoint.host))
    }

    /// The refresh token a login gave; empty for none.
    pub fn identity_token(&self) -> String {
        lock(&self.identity).clone()
    }

    /// Answers a 401: afterwards [`Self::header`] has what was asked for.
    ///
    /// # Errors
    /// 401 when there are no credentials or they are refused; a realm that is not trusted.
    pub async fn answer(&self, http: &Http, endpoint: &Endpoint, answer: &Answer) -> Result<()> {
        let challenges = answer.headers("www-authenticate");
        let challenge = challenges.iter().find_map(|text| parse(text)).ok_or_else(|| {
            Error::new(401, format!("{}: unauthorized, and asks for nothing known", endpoint.host))
        })?;
        let header = match challenge {
            Challenge::Basic => self.basic(endpoint)?,
            Challenge::Bearer { realm, service, scope } => {
                let scope = scope.unwrap_or_else(|| self.scope.clone());
                self.bearer(http, endpoint, &realm, &service, &scope, &answer.uri).await?
            }
        };
        lock(&self.headers).insert(endpoint.host.clone(), header);
        Ok(())
    }

    fn basic(&self, endpoint: &Endpoint) -> Result<String> {
        let credentials =
            self.own(endpoint).filter(|credentials| !credentials.username.is_empty()).ok_or_else(
                || Error::new(401, format!("{}: no basic auth credentials", endpoint.host)),
            )?;
        Ok(basic(credentials))
    }

    async fn bearer(
        &self,
        http: &Http,
        endpoint: &Endpoint,
        realm: &str,
        service: &str,
        scope: &str,
        asked: &Uri,
    ) -> Result<String> {
        let uri: Uri = realm
            .parse()
            .map_err(|_| Error::internal(format!("{}: token realm {realm:?}", endpoint.host)))?;
        let host = uri.authority().map(|authority| authority.as_str().to_owned());
        let host = host.filter(|host| !host.contains('@')).ok_or_else(|| {
            Error::internal(format!("{}: token realm {realm:?} has no host", endpoint.host))
        })?;
        check_realm(endpoint, &uri, &host, asked)?;
        let credentials = self.own(endpoint);
        if credentials.is_some() && !self.trusts(endpoint, &host) {
            return Err(Error::new(
                401,
                format!(
                    "{}: asks to send the password to {host}: not sent; to allow it, name that \
                     host in token_realms of registries.toml",
                    endpoint.host
                ),
            ));
        }
        let target =
            Endpoint { host, plain: uri.scheme_str() == Some("http"), either: endpoint.either };
        let token = match credentials {
            Some(auth) if !auth.identity_token.is_empty() => {
                exchange(http, &target, &uri, service, scope, auth).await?
            }
            _ => fetch(http, &target, &uri, service, scope, credentials).await?,
        };
        if let Some(refresh) = token.refresh_token {
            *lock(&self.identity) = refresh;
        }
        let token = token.token.or(token.access_token).filter(|token| !token.is_empty());
        let token = token
            .ok_or_else(|| Error::new(401, format!("{}: token service gives none", target.host)))?;
        Ok(format!("Bearer {token}"))
    }

    /// Whether a realm's host may see the password: the registry's own, a domain above it, or one
    /// that is named for it.
    fn trusts(&self, endpoint: &Endpoint, realm: &str) -> bool {
        let (own, other) = (host_name(&endpoint.host), host_name(realm));
        let above = other.contains('.')
            && own.parse::<std::net::IpAddr>().is_err()
            && own.ends_with(&format!(".{other}"));
        own == other
            || above
            || is_loopback(own) && is_loopback(other)
            || self.realms.iter().any(|trusted| trusted == other || trusted == realm)
    }
}

/// A realm is https, or plain on loopback for a registry that is there too: never a file, a
/// socket, or an address inside that only we can reach.
fn check_realm(endpoint: &Endpoint, uri: &Uri, host: &str, asked: &Uri) -> Result<()> {
    let local = is_loopback(&endpoint.host);
    let allowed = match uri.scheme_str() {
        Some("https") => local || !is_loopback(host),
        Some("http") => {
            local && is_loopback(host)
                || endpoint.plain && host_name(host) == host_name(&endpoint.host)
        }
        _ => false,
    };
    if allowed {
        return Ok(());
    }
    Err(Error::internal(format!("{asked}: token realm {uri} is not asked")))
}

/// Asks a token service, as the user if there are credentials.
async fn fetch(
    http: &Http,
    target: &Endpoint,
    uri: &Uri,
    service: &str,
    scope: &str,
    credentials: Option<&Auth>,
) -> Result<Token> {
    let mut query = vec![format!("service={}", encode(service))];
    if !scope.is_empty() {
        query.extend(scope.split(' ').map(|scope| format!("scope={}", encode(scope))));
    }
    if let Some(credentials) = credentials {
        query.push(format!("account={}", encode(&credentials.username)));
        query.push("client_id=deck&offline_token=true".to_owned());
    }
    let separator = if uri.query().is_some() { '&' } else { '?' };
    let full: Uri = format!("{uri}{separator}{}", query.join("&"))
        .parse()
        .map_err(|_| Error::internal(format!("token realm {uri}: no place to ask")))?;
    let authorization = credentials.map(basic);
    let answer =
        http.send(target, Method::GET, &full, &[], authorization.as_deref(), Body::Empty).await?;
    read(answer).await
}

/// Trades a refresh token for an access token (OAuth2, RFC 6749 section 6).
async fn exchange(
    http: &Http,
    target: &Endpoint,
    uri: &Uri,
    service: &str,
    scope: &str,
    auth: &Auth,
) -> Result<Token> {
    let form = format!(
        "grant_type=refresh_token&service={}&client_id=deck&scope={}&refresh_token={}",
        encode(service),
        encode(scope),
        encode(&auth.identity_token)
    );
    let headers = [
        (CONTENT_TYPE, "application/x-www-form-urlencoded".to_owned()),
        (ACCEPT, "application/json".to_owned()),
    ];
    let body = Body::Bytes(form.into());
    read(http.send(target, Method::POST, uri, &headers, None, body).await?).await
}

async fn read(answer: Answer) -> Result<Token> {
    let bytes = answer.expect(StatusCode::OK).await?.bytes(MAX_TOKEN).await?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Error::internal(format!("token service: {error}")))
}

fn basic(auth: &Auth) -> String {
    format!("Basic {}", STANDARD.encode(format!("{}:{}", auth.username, auth.password)))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Only whole values are put in.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads a challenge (RFC 9110, 11.6.1).
fn parse(text: &str) -> Option<Challenge> {
    let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let mut fields = parameters(rest);
    Some(Challenge::Bearer {
        realm: fields.remove("realm")?,
        service: fields.remove("service").unwrap_or_default(),
        scope: fields.remove("scope"),
    })
}

/// `name="value", name=value`.
fn parameters(text: &str) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    let mut rest = text.trim_start();
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_matches([' ', ',']).to_ascii_lowercase();
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => match quoted.split_once('"') {
                Some(parts) => parts,
                None => break,
            },
            None => after.split_once(',').unwrap_or((after, "")),
        };
        fields.insert(name, value.trim().to_owned());
        rest = next.trim_start_matches([' ', ',']);
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn authenticator(registry: &str, realms: &[&str]) -> Authenticator {
        let realms = realms.iter().map(|realm| (*realm).to_owned()).collect();
        Authenticator::new(registry, Some(Auth::default()), String::new(), realms)
    }

    fn endpoint(host: &str) -> Endpoint {
        Endpoint { host: host.to_owned(), plain: false, either: false }
    }

    #[test]
    fn challenges_are_read() {
        let text =
            r#"Bearer realm="https://a.example/token",service="r",scope="repository:x:pull,push""#;
        let expected = Challenge::Bearer {
            realm: "https://a.example/token".to_owned(),
            service: "r".to_owned(),
            scope: Some("repository:x:pull,push".to_owned()),
        };
        assert_eq!(parse(text), Some(expected));
        assert_eq!(parse(r#"basic realm="x""#), Some(Challenge::Basic));
        assert_eq!(parse("Bearer service=x"), None);
        assert_eq!(parse("Negotiate"), None);
    }

    #[test]
    fn passwords_stay_with_their_host() {
        let own = authenticator("registry.gitlab.com", &["auth.named.example"]);
        let here = endpoint("registry.gitlab.com");
        assert!(own.trusts(&here, "registry.gitlab.com:444") && own.trusts(&here, "gitlab.com"));
        assert!(own.trusts(&here, "auth.named.example"));
        for other in ["evil.example", "evilgitlab.com", "com", "sub.registry.gitlab.com", "1.2.3.4"]
        {
            assert!(!own.trusts(&here, other), "{other}");
        }
        let address = authenticator("10.0.0.1", &[]);
        assert!(!address.trusts(&endpoint("10.0.0.1"), "0.0.1"));
        // Mirrors see no credentials at all.
        assert!(own.own(&endpoint("mirror.example")).is_none() && own.own(&here).is_some());
    }

    #[test]
    fn realms_inside_are_not_asked() {
        let check = |endpoint: &Endpoint, realm: &str| {
            let uri: Uri = realm.parse().unwrap();
            let host = uri.authority().unwrap().as_str().to_owned();
            check_realm(endpoint, &uri, &host, &"https://r.example/".parse().unwrap())
        };
        let far = endpoint("r.example");
        assert!(check(&far, "https://a.example/token").is_ok());
        for bad in ["http://a.example/t", "https://127.0.0.1/t", "http://169.254.169.254/t"] {
            assert!(check(&far, bad).is_err(), "{bad}");
        }
        assert!(check(&endpoint("127.0.0.1:5000"), "http://127.0.0.1:5001/t").is_ok());
    }

    proptest! {
        #[test]
        fn no_challenge_panics(text in ".{0,80}") {
            let _ = parse(&format!("Bearer {text}"));
        }
    }
}
