//! What callers ask for and what they are told, with Docker's names and JSON spelling.
//!
//! Field meanings are the Engine API's (`NetworkCreateRequest`, `Network`, `EndpointSettings`,
//! `PortMap`); what is not honoured is refused when a network or an endpoint is made.

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;

/// Names and values, as labels and options are given.
pub type Map = BTreeMap<String, String>;

/// A wish for a network: the body of `POST /networks/create`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct NetworkSpec {
    /// Its name; unique.
    pub name: String,
    /// `bridge` when empty; no other driver makes networks.
    pub driver: String,
    /// `local` or empty.
    pub scope: String,
    /// No way out: neither routed nor published.
    pub internal: bool,
    /// Recorded and shown; every local network can be attached to.
    pub attachable: bool,
    /// Swarm only: refused.
    pub ingress: bool,
    /// Swarm only: refused.
    pub config_only: bool,
    /// Swarm only: refused unless empty.
    pub config_from: Option<ConfigFrom>,
    /// On when not said.
    #[serde(rename = "EnableIPv4")]
    pub enable_ipv4: Option<bool>,
    /// Off when not said.
    #[serde(rename = "EnableIPv6")]
    pub enable_ipv6: Option<bool>,
    /// Subnets; chosen from the default pools where none is given.
    #[serde(rename = "IPAM")]
    pub ipam: Option<Ipam>,
    /// The driver's options (`com.docker.network.…`).
    #[serde(deserialize_with = "null_is_default")]
    pub options: Map,
    /// The user's labels.
    #[serde(deserialize_with = "null_is_default")]
    pub labels: Map,
}

/// The network whose configuration is taken over; always empty here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ConfigFrom {
    /// Its name.
    pub network: String,
}

/// Address management of a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Ipam {
    /// `default`; no other one is there.
    pub driver: String,
    /// The address driver's options; the default driver has none.
    pub options: Option<Map>,
    /// At most one subnet a family.
    #[serde(deserialize_with = "null_is_default")]
    pub config: Vec<IpamPool>,
}

/// One subnet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct IpamPool {
    /// The subnet.
    #[serde(deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
    pub subnet: Option<IpNet>,
    /// The part addresses are given from.
    #[serde(rename = "IPRange", deserialize_with = "empty_is_none")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_range: Option<IpNet>,
    /// The bridge's address; the first of the subnet when not said.
    #[serde(deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// Addresses never given to containers, by the user's names.
    #[serde(rename = "AuxiliaryAddresses", deserialize_with = "null_is_default")]
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub auxiliary_addresses: BTreeMap<String, IpAddr>,
}

/// A network, as `GET /networks` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Network {
    /// Its name.
    pub name: String,
    /// 64 hexadecimal digits.
    pub id: String,
    /// When it was made; RFC 3339.
    pub created: String,
    /// `local`.
    pub scope: String,
    /// `bridge`, `host` or `null`.
    pub driver: String,
    /// IPv4 is on.
    #[serde(rename = "EnableIPv4")]
    pub enable_ipv4: bool,
    /// IPv6 is on.
    #[serde(rename = "EnableIPv6")]
    pub enable_ipv6: bool,
    /// Subnets.
    #[serde(rename = "IPAM")]
    pub ipam: Ipam,
    /// No way out.
    pub internal: bool,
    /// As asked for.
    pub attachable: bool,
    /// Never.
    pub ingress: bool,
    /// Empty.
    pub config_from: ConfigFrom,
    /// Never.
    pub config_only: bool,
    /// The driver's options.
    pub options: Map,
    /// The user's labels.
    pub labels: Map,
}

/// A network with who is on it, as `GET /networks/{id}` shows it.
#[derive(Debug, Clone, Serialize)]
pub struct NetworkInspect {
    /// The network.
    #[serde(flatten)]
    pub network: Network,
    /// Running containers on it, by container id.
    #[serde(rename = "Containers")]
    pub containers: BTreeMap<String, EndpointResource>,
}

/// A container on a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct EndpointResource {
    /// The container's name.
    pub name: String,
    /// 64 hexadecimal digits.
    #[serde(rename = "EndpointID")]
    pub endpoint_id: String,
    /// Its link-layer address.
    pub mac_address: String,
    /// With the prefix length; empty without IPv4.
    #[serde(rename = "IPv4Address")]
    pub ipv4_address: String,
    /// With the prefix length; empty without IPv6.
    #[serde(rename = "IPv6Address")]
    pub ipv6_address: String,
}

/// A container that wants to be on networks; every part of it is needed again on each start.
#[derive(Debug, Clone, Default)]
pub struct ContainerNet {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Without the leading slash.
    pub name: String,
    /// What `hostname` in the container says.
    pub hostname: String,
    /// May be empty.
    pub domainname: String,
    /// A network namespace made with [`crate::net::netns::create`].
    pub netns: PathBuf,
    /// The networks, in the order of the interfaces; the first is the network mode's.
    pub endpoints: Vec<EndpointSpec>,
    /// What to publish; see [`crate::net::ports::requests`].
    pub ports: Vec<PortRequest>,
    /// `--dns`, `--dns-search`, `--dns-option`.
    pub dns: DnsSpec,
    /// `--add-host`: `name:address` or `name:host-gateway`.
    pub extra_hosts: Vec<String>,
}

/// How a container wants to be on one network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointSpec {
    /// The network's name or id (or its unambiguous beginning).
    pub network: String,
    /// Names others find it by, beside its own; refused on the default bridge.
    pub aliases: Vec<String>,
    /// A chosen address; only on networks whose subnet the user chose.
    pub ipv4: Option<Ipv4Addr>,
    /// A chosen address; only on networks whose subnet the user chose.
    pub ipv6: Option<Ipv6Addr>,
    /// A chosen link-layer address (`02:42:…`); derived from the address when not said.
    pub mac: Option<String>,
    /// Link-local addresses it has besides.
    pub link_local: Vec<IpAddr>,
    /// The user's own, kept; deck has no options of endpoints.
    pub driver_opts: Map,
    /// Containers this one knows by other names.
    pub links: Vec<Link>,
    /// Which network the default route goes through: the greatest, then the first by name.
    pub gw_priority: i64,
}

/// `--link`: another running container under a name of one's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The other container's id; empty for one that isn't there yet.
    pub container: String,
    /// The other container's name.
    pub name: String,
    /// What this container calls it.
    pub alias: String,
}

/// DNS settings of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsSpec {
    /// Instead of the host's name servers.
    pub servers: Vec<IpAddr>,
    /// Instead of the host's search domains; `.` for none.
    pub search: Vec<String>,
    /// Instead of the host's options.
    pub options: Vec<String>,
}

/// Transport protocols that can be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// A container's port to publish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRequest {
    /// In the container.
    pub container_port: u16,
    /// TCP, UDP or SCTP.
    pub protocol: Protocol,
    /// One address of the host; all of them when not said.
    pub host_ip: Option<IpAddr>,
    /// First and last of the host's ports to choose from; any free one when not said.
    pub host_ports: Option<(u16, u16)>,
}

/// `HostIp` and `HostPort` of inspect's `Ports` and of a request's `PortBindings`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct PortBinding {
    /// `0.0.0.0`, `::` or one address.
    pub host_ip: String,
    /// The port; in a request also a range or empty.
    pub host_port: String,
}

/// inspect's `NetworkSettings.Ports`: `80/tcp` to where it is published, null when it is not.
pub type PortMap = BTreeMap<String, Option<Vec<PortBinding>>>;

/// What a container got on one network: `NetworkSettings.Networks[…]` of inspect.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointSettings {
    /// The chosen addresses; null when none was.
    #[serde(rename = "IPAMConfig")]
    pub ipam_config: Option<EndpointIpam>,
    /// `name:alias`.
    #[serde(rename = "Links")]
    pub links: Option<Vec<String>>,
    /// As asked for.
    #[serde(rename = "Aliases")]
    pub aliases: Option<Vec<String>>,
    /// As asked for.
    #[serde(rename = "DriverOpts")]
    pub driver_opts: Option<Map>,
    /// As asked for.
    #[serde(rename = "GwPriority")]
    pub gw_priority: i64,
    /// The network's id.
    #[serde(rename = "NetworkID")]
    pub network_id: String,
    /// 64 hexadecimal digits; empty while not running.
    #[serde(rename = "EndpointID")]
    pub endpoint_id: String,
    /// The bridge's IPv4 address.
    #[serde(rename = "Gateway")]
    pub gateway: String,
    /// The container's IPv4 address.
    #[serde(rename = "IPAddress")]
    pub ip_address: String,
    /// The link-layer address.
    #[serde(rename = "MacAddress")]
    pub mac_address: String,
    /// Of the IPv4 address.
    #[serde(rename = "IPPrefixLen")]
    pub ip_prefix_len: u8,
    /// The bridge's IPv6 address.
    #[serde(rename = "IPv6Gateway")]
    pub ipv6_gateway: String,
    /// The container's IPv6 address.
    #[serde(rename = "GlobalIPv6Address")]
    pub global_ipv6_address: String,
    /// Of the IPv6 address.
    #[serde(rename = "GlobalIPv6PrefixLen")]
    pub global_ipv6_prefix_len: u8,
    /// Every name the embedded DNS answers for it; null on the default bridge.
    #[serde(rename = "DNSNames")]
    pub dns_names: Option<Vec<String>>,
}

/// Chosen addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointIpam {
    /// IPv4.
    #[serde(rename = "IPv4Address", default, skip_serializing_if = "String::is_empty")]
    pub ipv4_address: String,
    /// IPv6.
    #[serde(rename = "IPv6Address", default, skip_serializing_if = "String::is_empty")]
    pub ipv6_address: String,
    /// Link-local addresses besides.
    #[serde(rename = "LinkLocalIPs", default, skip_serializing_if = "Vec::is_empty")]
    pub link_local_ips: Vec<String>,
}

/// What a container has now: its networks, its ports, and the files the engine bind-mounts.
#[derive(Debug, Clone, Default)]
pub struct Attached {
    /// By network name.
    pub networks: BTreeMap<String, EndpointSettings>,
    /// What is published. The engine adds the exposed ports that are not, as null.
    pub ports: PortMap,
    /// `/etc/hosts`.
    pub hosts: String,
    /// `/etc/resolv.conf`.
    pub resolv_conf: String,
}

impl Protocol {
    /// As Docker and nft spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }

    /// From `tcp`, `udp` or `sctp`, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Tcp, Self::Udp, Self::Sctp]
            .into_iter()
            .find(|protocol| protocol.name().eq_ignore_ascii_case(text))
    }
}

/// Clients send `null` for an empty list or map.
fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Clients send `""` for an address they don't care about.
fn empty_is_none<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
    T::Err: std::fmt::Display,
{
    match Option::<String>::deserialize(deserializer)?.as_deref() {
        None | Some("") => Ok(None),
        Some(text) => text
            .parse()
            .map(Some)
            .map_err(|error| serde::de::Error::custom(format!("{text:?}: {error}"))),
    }
}
