//! Proxies the environment names: `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, in capitals or not, as
//! Go's net/http and so Docker reads them; pure but for reading the variables.

use super::hosts::{host_name, is_loopback};
use crate::error::{Error, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Uri;
use ipnet::IpNet;
use std::net::IpAddr;

/// What the environment says.
#[derive(Debug, Default, Clone)]
pub struct Proxies {
    https: Option<String>,
    http: Option<String>,
    except: Vec<Except>,
}

/// One proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether it is spoken to over TLS.
    pub secure: bool,
    /// The value of Proxy-Authorization.
    pub authorization: Option<String>,
}

/// What goes past the proxies.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Except {
    All,
    Net(IpNet),
    Address(IpAddr, Option<u16>),
    /// A domain, whether itself is meant beside what is below it, and a port.
    Domain(String, bool, Option<u16>),
}

impl Proxies {
    /// Reads the environment.
    pub fn read() -> Self {
        let value = |name: &str| {
            let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
            set(name).or_else(|| set(&name.to_ascii_lowercase()))
        };
        // Under CGI HTTP_PROXY is a header of the client's (CVE-2016-5385).
        let cgi = std::env::var_os("REQUEST_METHOD").is_some();
        Self {
            https: value("HTTPS_PROXY"),
            http: value("HTTP_PROXY").filter(|_| !cgi),
            except: exceptions(&value("NO_PROXY").unwrap_or_default()),
        }
    }

    /// The proxy that leads to a place; none to this machine.
    ///
    /// # Errors
    /// The variable's value is no proxy we speak with.
    pub fn choose(&self, uri: &Uri) -> Result<Option<Proxy>> {
        let secure = uri.scheme_str() == Some("https");
        let (name, value) =
            if secure { ("HTTPS_PROXY", &self.https) } else { ("HTTP_PROXY", &self.http) };
        let (Some(value), Some(authority)) = (value, uri.authority()) else { return Ok(None) };
        let host = host_name(authority.as_str());
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        if is_loopback(authority.as_str())
            || self.except.iter().any(|except| except.meets(host, port))
        {
            return Ok(None);
        }
        parse(value).map(Some).map_err(|why| Error::invalid(format!("{name}: {why}")))
    }
}

impl Except {
    fn meets(&self, host: &str, port: u16) -> bool {
        let address = host.parse::<IpAddr>().ok();
        let same = |wanted: &Option<u16>| wanted.is_none_or(|wanted| wanted == port);
        match self {
            Self::All => true,
            Self::Net(net) => address.is_some_and(|address| net.contains(&address)),
            Self::Address(own, wanted) => address == Some(*own) && same(wanted),
            Self::Domain(domain, itself, wanted) => {
                let host = host.trim_end_matches('.').to_ascii_lowercase();
                let below = host.strip_suffix(domain.as_str()).is_some_and(|r| r.ends_with('.'));
                (*itself && host == *domain || below) && same(wanted)
            }
        }
    }
}

/// A comma list: `*`, `host`, `.domain`, `*.domain`, addresses, networks; ports where wished.
fn exceptions(text: &str) -> Vec<Except> {
    text.split(',').filter_map(|entry| exception(&entry.trim().to_ascii_lowercase())).collect()
}

fn exception(entry: &str) -> Option<Except> {
    if entry == "*" {
        return Some(Except::All);
    }
    if let Ok(net) = entry.parse::<IpNet>() {
        return Some(Except::Net(net));
    }
    if let Ok(address) = entry.parse::<IpAddr>() {
        return Some(Except::Address(address, None));
    }
    let (host, port) = match entry.rsplit_once(':') {
        // Colons in brackets are an address' own.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse::<u16>().ok()?)),
        _ => (entry, None),
    };
    if let Ok(address) = host_name(host).parse::<IpAddr>() {
        return Some(Except::Address(address, port));
    }
    let bare = host.strip_prefix("*.").or_else(|| host.strip_prefix('.'));
    let domain = bare.unwrap_or(host);
    (!domain.is_empty()).then(|| Except::Domain(domain.to_owned(), bare.is_none(), port))
}

/// Reads a variable's value: a URL, or a bare `host:port`, which is http. What it says in an error
/// names no password.
fn parse(value: &str) -> std::result::Result<Proxy, String> {
    let (scheme, rest) = value.split_once("://").unwrap_or(("http", value));
    let secure = match scheme {
        "http" => false,
        "https" => true,
        other => return Err(format!("a proxy of {other:?} is not supported: want http or https")),
    };
    let rest = rest.split(['/', '?']).next().unwrap_or_default();
    let (user, place) = match rest.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, rest),
    };
    let malformed = || format!("{place:?} is no host and port");
    let authority: hyper::http::uri::Authority = place.parse().map_err(|_| malformed())?;
    let host = host_name(authority.as_str()).to_owned();
    if host.is_empty() {
        return Err(malformed());
    }
    // By hand: to the crate a port out of range is none.
    let port = match place.rsplit(']').next().unwrap_or_default().split_once(':') {
        Some((_, port)) => port.parse::<u16>().map_err(|_| malformed())?,
        None if secure => 443,
        None => 80,
    };
    let authorization = user
        .map(|user| decode(user).map(|pair| format!("Basic {}", STANDARD.encode(pair))))
        .transpose()?;
    Ok(Proxy { host, port, secure, authorization })
}

/// Undoes percent-encoding (RFC 3986, 2.1); the colon between user and password stays.
fn decode(text: &str) -> std::result::Result<Vec<u8>, String> {
    let malformed = || "malformed user or password".to_owned();
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || {
            let digit = bytes.next().and_then(|byte| char::from(byte).to_digit(16));
            digit.and_then(|digit| u8::try_from(digit).ok()).ok_or_else(malformed)
        };
        out.push(digit()? << 4 | digit()?);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chosen(proxies: &Proxies, uri: &str) -> Option<String> {
        let proxy = proxies.choose(&uri.parse().unwrap()).unwrap();
        proxy.map(|proxy| format!("{}:{}", proxy.host, proxy.port))
    }

    #[test]
    fn a_scheme_has_its_proxy_and_this_machine_none() {
        let proxies = Proxies {
            https: Some("http://p.example:3128".to_owned()),
            http: Some("q.example".to_owned()),
            except: Vec::new(),
        };
        assert_eq!(chosen(&proxies, "https://r.example/").unwrap(), "p.example:3128");
        assert_eq!(chosen(&proxies, "http://r.example/").unwrap(), "q.example:80");
        for here in ["https://localhost:5000/", "http://127.0.0.1/", "https://[::1]:5/"] {
            assert_eq!(chosen(&proxies, here), None, "{here}");
        }
        assert_eq!(chosen(&Proxies::default(), "https://r.example/"), None);
    }

    #[test]
    fn exceptions_are_those_of_docker() {
        let past = |list: &str, uri: &str| {
            let (https, except) = (Some("p:1".to_owned()), exceptions(list));
            chosen(&Proxies { https, http: None, except }, uri).is_none()
        };
        let list =
            "a.example, .b.example,*.c.example,d.example:8443,10.0.0.0/8,192.0.2.7,[fd00::1]";
        for uri in [
            "https://a.example/",
            "https://x.A.example/",
            "https://x.b.example/",
            "https://y.x.c.example/",
            "https://d.example:8443/",
            "https://10.1.2.3/",
            "https://192.0.2.7:5000/",
            "https://[fd00::1]/",
        ] {
            assert!(past(list, uri), "{uri}");
        }
        for uri in [
            "https://xa.example/",
            "https://b.example/",
            "https://c.example/",
            "https://d.example/",
            "https://11.0.0.1/",
            "https://192.0.2.70/",
        ] {
            assert!(!past(list, uri), "{uri}");
        }
        assert!(past("*", "https://any.example/") && !past(",,", "https://any.example/"));
    }

    #[test]
    fn proxies_are_read_or_refused_without_their_password() {
        let proxy = parse("https://me:p%40ss@p.example/").unwrap();
        assert_eq!((proxy.host.as_str(), proxy.port, proxy.secure), ("p.example", 443, true));
        assert_eq!(proxy.authorization.unwrap(), format!("Basic {}", STANDARD.encode("me:p@ss")));
        for bad in ["socks5://u:secret@p:1", "http://u:secret@", "u:secret@p:99999", "u:secre%t@p"]
        {
            let error = parse(bad).unwrap_err();
            assert!(!error.contains("secre"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_value_panics(list in ".{0,40}", value in ".{0,40}") {
            let proxies =
                Proxies { https: Some(value), http: None, except: exceptions(&list) };
            let _ = proxies.choose(&Uri::from_static("https://r.example/"));
        }
    }
}
