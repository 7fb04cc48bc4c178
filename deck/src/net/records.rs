//! What is recorded: networks, and the containers on them with everything they were given.
//!
//! One value holds it all. Decisions are functions of it, and the host's rules and names are
//! rendered from it, so that any process can make the host right again.

use super::link::Mac;
use super::model::{DnsSpec, EndpointSpec, Network, PortRequest};
use super::ports::Published;
use ipnet::{Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::PathBuf;

/// A container on one network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// 64 hexadecimal digits.
    pub id: String,
    /// The network's id.
    pub network: String,
    /// The host's end of the veth pair.
    pub veth: String,
    /// The container's end.
    pub interface: String,
    /// The container's end's address.
    pub mac: Mac,
    /// Its address and the subnet's prefix length.
    pub ipv4: Option<Ipv4Net>,
    /// Its address and the subnet's prefix length.
    pub ipv6: Option<Ipv6Net>,
    /// What was asked for.
    pub spec: EndpointSpec,
}

/// A container with a network namespace of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its host name.
    pub hostname: String,
    /// Its domain; may be empty.
    pub domainname: String,
    /// Where its namespace is mounted.
    pub netns: PathBuf,
    /// Its DNS settings.
    pub dns: DnsSpec,
    /// `--add-host`.
    pub extra_hosts: Vec<String>,
    /// What it wants published.
    pub requests: Vec<PortRequest>,
    /// In the order of the interfaces.
    pub endpoints: Vec<Endpoint>,
    /// What is published, through the gateway endpoint.
    pub published: Vec<Published>,
}

/// Sysctls that deck changed, to be put back with the last bridge.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forwarding {
    /// deck turned IPv4 forwarding on.
    pub ipv4: bool,
    /// deck turned IPv6 forwarding on.
    pub ipv6: bool,
    /// Interfaces that go on listening to router advertisements by deck's doing (`accept_ra`).
    pub accept_ra: Vec<String>,
}

/// Everything recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Oldest first.
    pub networks: Vec<Network>,
    /// In no order.
    pub containers: Vec<Container>,
    /// What was changed on the host for all bridges together.
    pub forwarding: Forwarding,
    /// Endpoints of containers that left: their namespaces are removed, and the kernel removes the
    /// links when it comes to it. Their addresses are not given until [`super::Networks::sweep`]
    /// has seen that they are gone.
    pub leftover: Vec<Endpoint>,
}

impl Endpoint {
    /// Its addresses.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let v4 = self.ipv4.map(|net| IpAddr::V4(net.addr()));
        v4.into_iter().chain(self.ipv6.map(|net| IpAddr::V6(net.addr())))
    }
}

impl State {
    /// The network with this id.
    pub fn network(&self, id: &str) -> Option<&Network> {
        self.networks.iter().find(|network| network.id == id)
    }

    /// The container with this id.
    pub fn container(&self, id: &str) -> Option<&Container> {
        self.containers.iter().find(|container| container.id == id)
    }

    /// Who is on a network.
    pub fn on<'a>(
        &'a self,
        network: &'a str,
    ) -> impl Iterator<Item = (&'a Container, &'a Endpoint)> {
        self.containers.iter().flat_map(move |container| {
            let on = move |endpoint: &&Endpoint| endpoint.network == network;
            container.endpoints.iter().filter(on).map(move |endpoint| (container, endpoint))
        })
    }
}
