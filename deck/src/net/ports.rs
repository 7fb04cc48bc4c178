//! Published ports: what requests mean, which host ports they get, and what stands in the way.

use super::model::{PortBinding, PortMap, PortRequest, Protocol};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What `HostConfig.PortBindings` asks for, and, with `publish_all`, every port of `exposed`
/// (`80/tcp`) that is not among them.
///
/// # Errors
/// 400 for ports, protocols or addresses that can't be read.
pub fn requests<'a>(
    bindings: &PortMap,
    exposed: impl IntoIterator<Item = &'a str>,
    publish_all: bool,
) -> Result<Vec<PortRequest>> {
    let mut requests = Vec::new();
    for (port, wanted) in bindings {
        let (container_port, protocol) = container_port(port)?;
        for binding in wanted.iter().flatten() {
            requests.push(PortRequest {
                container_port,
                protocol,
                host_ip: host_ip(&binding.host_ip)?,
                host_ports: host_ports(&binding.host_port)?,
            });
        }
    }
    if publish_all {
        for port in exposed {
            let (container_port, protocol) = container_port(port)?;
            let known =
                |r: &PortRequest| (r.container_port, r.protocol) == (container_port, protocol);
            if !requests.iter().any(known) {
                let (host_ip, host_ports) = (None, None);
                requests.push(PortRequest { container_port, protocol, host_ip, host_ports });
            }
        }
    }
    Ok(requests)
}

/// Reads `80/tcp` or `80`.
///
/// # Errors
/// 400: no port, or no protocol that can be published.
pub fn container_port(text: &str) -> Result<(u16, Protocol)> {
    let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = Protocol::parse(protocol)
        .ok_or_else(|| Error::invalid(format!("invalid proto: {protocol}")))?;
    match port.parse() {
        Ok(port) if port > 0 => Ok((port, protocol)),
        _ => Err(Error::invalid(format!("invalid port specification: {text:?}"))),
    }
}

fn host_ip(text: &str) -> Result<Option<IpAddr>> {
    if text.is_empty() {
        return Ok(None);
    }
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    bare.parse()
        .map(Some)
        .map_err(|_| Error::invalid(format!("invalid IP address in port binding: {text:?}")))
}

fn host_ports(text: &str) -> Result<Option<(u16, u16)>> {
    // Clients write 0 for "any".
    if text.is_empty() || text == "0" {
        return Ok(None);
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.parse(), last.parse()) {
        (Ok(first), Ok(last)) if 0 < first && first <= last => Ok(Some((first, last))),
        _ => Err(Error::invalid(format!("invalid port specification: {text:?}"))),
    }
}

/// A port of the host that leads to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// `0.0.0.0`, `::` or one address; its family is the family of the binding.
    pub host_ip: IpAddr,
    /// On the host.
    pub host_port: u16,
    /// TCP, UDP or SCTP.
    pub protocol: Protocol,
    /// In the container.
    pub container_port: u16,
}

impl Published {
    /// Whether both can't be there at once: the same port and overlapping addresses.
    pub fn clashes(&self, other: &Self) -> bool {
        self.protocol == other.protocol
            && self.host_port == other.host_port
            && self.host_ip.is_ipv4() == other.host_ip.is_ipv4()
            && (self.host_ip == other.host_ip
                || self.host_ip.is_unspecified()
                || other.host_ip.is_unspecified())
    }
}

/// What inspect and ps show.
pub fn port_map(published: &[Published]) -> PortMap {
    let mut map = PortMap::new();
    for port in published {
        let key = format!("{}/{}", port.container_port, port.protocol.name());
        map.entry(key).or_default().get_or_insert_default().push(PortBinding {
            host_ip: port.host_ip.to_string(),
            host_port: port.host_port.to_string(),
        });
    }
    map
}
