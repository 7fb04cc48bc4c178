//! `--network NAME`, or `--network name=NAME,alias=A,ip=IP`; restart policies; extra hosts.

use super::csv;
use serde_json::{Map, Value, json};
use std::net::IpAddr;

/// A network to join.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// Its name, or a mode: `bridge`, `host`, `none`, `container:ID`.
    pub name: String,
    /// What the API takes as EndpointSettings.
    pub endpoint: Map<String, Value>,
}

/// Reads one `--network`.
///
/// # Errors
/// Docker's words and what can't be meant.
pub fn parse(text: &str) -> Result<Network, String> {
    if !text.contains('=') {
        return Ok(Network { name: text.to_owned(), endpoint: Map::new() });
    }
    let mut network = Network { name: String::new(), endpoint: Map::new() };
    let (mut aliases, mut links, mut options) = (Vec::new(), Vec::new(), Map::new());
    let mut addresses = Map::new();
    for field in csv(text)? {
        let (key, value) =
            field.split_once('=').ok_or_else(|| format!("invalid key/value pair: {field}"))?;
        match key.trim().to_lowercase().as_str() {
            "name" => value.clone_into(&mut network.name),
            "alias" => aliases.push(Value::from(value)),
            "ip" => _ = addresses.insert("IPv4Address".into(), address(value)?),
            "ip6" => _ = addresses.insert("IPv6Address".into(), address(value)?),
            "link-local-ip" => links.push(address(value)?),
            "mac-address" => _ = network.endpoint.insert("MacAddress".into(), value.into()),
            "gw-priority" => {
                let priority: i64 =
                    value.parse().map_err(|_| format!("invalid gw-priority: {value}"))?;
                network.endpoint.insert("GwPriority".into(), priority.into());
            }
            "driver-opt" => {
                let (key, value) = value.split_once('=').ok_or_else(|| {
                    format!("invalid key value pair format in driver options: {value}")
                })?;
                options.insert(key.to_owned(), value.into());
            }
            other => return Err(format!("invalid field key {other}")),
        }
    }
    if network.name.is_empty() {
        return Err(format!("network name is required: {text}"));
    }
    if !links.is_empty() {
        addresses.insert("LinkLocalIPs".into(), links.into());
    }
    let parts = [("IPAMConfig", addresses), ("DriverOpts", options)];
    for (name, map) in parts.into_iter().filter(|(_, map)| !map.is_empty()) {
        network.endpoint.insert(name.into(), map.into());
    }
    if !aliases.is_empty() {
        network.endpoint.insert("Aliases".into(), aliases.into());
    }
    Ok(network)
}

/// An IP address as the API takes it.
///
/// # Errors
/// It is none.
pub fn address(text: &str) -> Result<Value, String> {
    match text.parse::<IpAddr>() {
        Ok(address) => Ok(address.to_string().into()),
        Err(_) => Err(format!("invalid IP address: {text}")),
    }
}

/// Reads `--restart`: `no`, `always`, `unless-stopped`, `on-failure[:COUNT]`.
///
/// # Errors
/// It is none of them.
pub fn restart(text: &str) -> Result<Value, String> {
    let (name, count) = match text.split_once(':') {
        Some((name, count)) => {
            let count: u32 = count.parse().map_err(
                |_| "invalid restart policy format: maximum retry count must be an integer",
            )?;
            (name, count)
        }
        None => (text, 0),
    };
    match name {
        "" | "no" | "always" | "unless-stopped" | "on-failure" => {
            Ok(json!({"Name": name, "MaximumRetryCount": count}))
        }
        _ => Err(format!(
            "invalid restart policy: unknown policy '{name}'; use one of 'no', 'always', \
             'on-failure', or 'unless-stopped'"
        )),
    }
}

/// Reads `--add-host NAME:IP` or `NAME=IP` to the API's `NAME:IP`.
///
/// # Errors
/// There is no name or no address.
pub fn extra_host(text: &str) -> Result<String, String> {
    let split = text.split_once('=').or_else(|| text.split_once(':'));
    let Some((name, ip)) = split.filter(|(name, _)| !name.is_empty()) else {
        return Err(format!("bad format for add-host: {text:?}"));
    };
    let bare = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(ip);
    // The engine fills in the host's address.
    if bare != "host-gateway" && bare.parse::<IpAddr>().is_err() {
        return Err(format!("invalid IP address in add-host: {ip:?}"));
    }
    Ok(format!("{name}:{bare}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        assert_eq!(parse("host").unwrap().name, "host");
        let network = parse("name=n,alias=a,alias=b,ip=10.0.0.2,driver-opt=x=y").unwrap();
        assert_eq!(network.name, "n");
        assert_eq!(
            Value::from(network.endpoint),
            json!({"Aliases": ["a", "b"], "IPAMConfig": {"IPv4Address": "10.0.0.2"},
                   "DriverOpts": {"x": "y"}})
        );
        for text in ["alias=a", "name=n,ip=x", "name=n,what=1", "name=n,gw-priority=x"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn restarts() {
        assert_eq!(
            restart("on-failure:3").unwrap(),
            json!({"Name": "on-failure", "MaximumRetryCount": 3})
        );
        assert!(restart("sometimes").is_err());
        assert!(restart("on-failure:x").is_err());
    }

    #[test]
    fn hosts() {
        assert_eq!(extra_host("a:1.2.3.4").unwrap(), "a:1.2.3.4");
        assert_eq!(extra_host("a=::1").unwrap(), "a:::1");
        assert_eq!(extra_host("a:[::1]").unwrap(), "a:::1");
        assert_eq!(extra_host("a:host-gateway").unwrap(), "a:host-gateway");
        for text in ["a", ":1.2.3.4", "a:x"] {
            assert!(extra_host(text).is_err(), "{text}");
        }
    }
}
