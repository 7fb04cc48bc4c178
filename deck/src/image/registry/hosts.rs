//! Which hosts serve a registry: mirrors, plain http, trusted token realms (`registries.toml`).

use super::http::Endpoint;
use crate::config::Config;
use crate::error::{At, Error, Result};
use crate::image::reference::{DEFAULT_REGISTRY, valid_registry};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::time::Duration;

/// Largest configuration read.
const MAX: u64 = 1 << 20;

/// `registries.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hosts {
    /// Seconds after which a connection that gives nothing is given up; 30 if none.
    stall_seconds: Option<NonZeroU16>,
    /// By registry name.
    #[serde(default)]
    registry: BTreeMap<String, Settings>,
}

/// What is said of one registry.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// `https://mirror:5000`, in order.
    #[serde(default)]
    mirrors: Vec<String>,
    /// Plain http instead of TLS.
    #[serde(default)]
    plain_http: bool,
    /// Hosts of token services that may see the password.
    #[serde(default)]
    token_realms: Vec<String>,
}

impl Hosts {
    /// Reads the configuration; without a file nothing is configured.
    pub fn read(config: &Config) -> Result<Self> {
        let path = config.config_root.join("registries.toml");
        let at = || format!("{}", path.display());
        match std::fs::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => return Err(error).at(at),
            Ok(meta) if meta.len() > MAX => {
                return Err(Error::invalid(format!("{}: larger than 1 MiB", path.display())));
            }
            Ok(_) => {}
        }
        Self::parse(&std::fs::read_to_string(&path).at(at)?).at(at)
    }

    fn parse(text: &str) -> Result<Self> {
        toml::from_str(text).map_err(|error| Error::invalid(error.to_string()))
    }

    /// How long a connection may give nothing.
    pub fn stall(&self) -> Duration {
        Duration::from_secs(self.stall_seconds.map_or(30, |seconds| seconds.get().into()))
    }

    /// The registry's own endpoint.
    pub fn endpoint(&self, registry: &str) -> Endpoint {
        let host = if registry == DEFAULT_REGISTRY { "registry-1.docker.io" } else { registry };
        let plain = self.registry.get(registry).is_some_and(|settings| settings.plain_http);
        endpoint(host, plain)
    }

    /// Mirrors of a registry, in order.
    pub fn mirrors(&self, registry: &str) -> Result<Vec<Endpoint>> {
        let Some(settings) = self.registry.get(registry) else { return Ok(Vec::new()) };
        let parse = |url: &String| {
            let invalid = |why: &str| {
                Error::invalid(format!("registries.toml: mirror {url:?} of {registry}: {why}"))
            };
            let (scheme, rest) = url.split_once("://").ok_or_else(|| invalid("no URL"))?;
            let host = rest.trim_end_matches('/');
            if !valid_registry(host) {
                return Err(invalid("want scheme://host:port"));
            }
            let allowed = self.registry.get(host).is_some_and(|settings| settings.plain_http);
            match scheme {
                "https" => Ok(Endpoint { host: host.to_owned(), plain: false, either: false }),
                "http" if allowed || is_loopback(host) => Ok(endpoint(host, true)),
                "http" => Err(invalid("plain http needs plain_http = true for that host")),
                _ => Err(invalid("want https or http")),
            }
        };
        settings.mirrors.iter().map(parse).collect()
    }

    /// Hosts of token services that may see the password besides the registry's own.
    pub fn realms(&self, registry: &str) -> Vec<String> {
        let mut realms =
            self.registry.get(registry).map(|found| found.token_realms.clone()).unwrap_or_default();
        if registry == DEFAULT_REGISTRY {
            realms.push("auth.docker.io".to_owned());
        }
        realms
    }
}

/// Loopback may be either: TLS is tried first.
fn endpoint(host: &str, plain: bool) -> Endpoint {
    Endpoint { host: host.to_owned(), plain, either: !plain && is_loopback(host) }
}

/// Whether a host is this machine without asking anybody.
pub fn is_loopback(host: &str) -> bool {
    let name = host_name(host);
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The host without port and brackets.
pub fn host_name(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    host.split(':').next().unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_loopback_or_by_word() {
        let hosts = Hosts::parse(
            "[registry.\"a.example\"]\nplain_http = true\n\
             [registry.\"docker.io\"]\nmirrors = [\"https://m.example\", \"http://a.example\"]\n",
        )
        .unwrap();
        assert!(hosts.endpoint("a.example").plain);
        let other = hosts.endpoint("b.example");
        assert!(!other.plain && !other.either);
        assert!(hosts.endpoint("127.0.0.1:5000").either);
        assert!(hosts.endpoint("[::1]:5000").either);
        assert!(!hosts.endpoint("127.0.0.1.example").either);
        assert_eq!(hosts.endpoint("docker.io").host, "registry-1.docker.io");
        assert_eq!(hosts.mirrors("docker.io").unwrap().len(), 2);
        let bad = "[registry.\"x\"]\nmirrors = [\"http://b.example\"]\n";
        assert!(Hosts::parse(bad).unwrap().mirrors("x").is_err());
        assert!(Hosts::parse("[registry.\"x\"]\nmirror = []\n").is_err());
        assert_eq!(hosts.stall().as_secs(), 30);
        assert_eq!(Hosts::parse("stall_seconds = 7\n").unwrap().stall().as_secs(), 7);
        assert!(Hosts::parse("stall_seconds = 0\n").is_err());
    }
}
