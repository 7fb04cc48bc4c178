//! What a container gets: addresses, interfaces, ports; pure but for the question whether a port
//! of the host is free, which is asked through a function.

use super::ipam;
use super::link::Mac;
use super::model::{ContainerNet, EndpointSpec, Network, PortRequest};
use super::ports::Published;
use super::records::{Container, Endpoint, State};
use super::spec::Bridge;
use crate::error::{Error, Result};
use ipnet::IpNet;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What decisions ask of the host.
pub struct Host<'a> {
    /// Whether nobody listens there.
    pub is_free: &'a dyn Fn(&Published) -> bool,
    /// First and last port for publications without one (`ip_local_port_range`).
    pub ephemeral: (u16, u16),
    /// 64 random hexadecimal digits.
    pub new_id: &'a dyn Fn() -> Result<String>,
}

/// The network a reference means: its name, its id, or the unambiguous beginning of its id.
///
/// # Errors
/// 404 when there is none, 400 when the beginning is ambiguous.
pub fn find<'a>(state: &'a State, reference: &str) -> Result<&'a Network> {
    let exact = |network: &&Network| network.name == reference || network.id == reference;
    if let Some(network) = state.networks.iter().find(exact) {
        return Ok(network);
    }
    let mut matching = state.networks.iter().filter(|n| n.id.starts_with(reference));
    match (matching.next(), matching.next()) {
        (Some(network), None) if !reference.is_empty() => Ok(network),
        (Some(_), Some(_)) if !reference.is_empty() => {
            Err(Error::invalid(format!("network {reference} is ambiguous: several ids begin so")))
        }
        _ => Err(Error::not_found(format!("network {reference} not found"))),
    }
}

/// A container on all its networks, with its ports.
///
/// # Errors
/// As [`super::Networks::attach`].
pub fn attach(state: &State, wish: &ContainerNet, host: &Host<'_>) -> Result<Container> {
    if wish.id.len() < 12 || !wish.id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Error::invalid(format!("invalid container id {:?}", wish.id)));
    }
    let mut container = Container {
        id: wish.id.clone(),
        name: wish.name.clone(),
        hostname: wish.hostname.clone(),
        domainname: wish.domainname.clone(),
        netns: wish.netns.clone(),
        dns: wish.dns.clone(),
        extra_hosts: wish.extra_hosts.clone(),
        requests: wish.ports.clone(),
        endpoints: Vec::new(),
        published: Vec::new(),
    };
    for spec in &wish.endpoints {
        let endpoint = endpoint(state, &container, spec, host)?;
        container.endpoints.push(endpoint);
    }
    container.published = publish(state, &container, host)?;
    Ok(container)
}

/// A container's place on one more network.
///
/// # Errors
/// As [`super::Networks::attach`]; 403 when it is on that network already.
pub fn endpoint(
    state: &State,
    container: &Container,
    spec: &EndpointSpec,
    host: &Host<'_>,
) -> Result<Endpoint> {
    let network = find(state, &spec.network)?;
    let bridge = Bridge::of(network).map_err(|_| {
        Error::invalid(format!(
            "container cannot be connected to the {} network, nor be on others while it is there",
            network.name
        ))
    })?;
    if container.endpoints.iter().any(|other| other.network == network.id) {
        let (name, network) = (&container.name, &network.name);
        return Err(Error::new(
            403,
            format!("endpoint with name {name} already exists in network {network}"),
        ));
    }
    check_spec(network, &bridge, spec)?;
    let ipv4 = address(state, network, true, spec.ipv4.map(IpAddr::V4))?;
    let ipv6 = address(state, network, false, spec.ipv6.map(IpAddr::V6))?;
    let id = (host.new_id)()?;
    let mac = match &spec.mac {
        Some(text) => parse_mac(text)?,
        None => derived_mac(ipv4.map(|net| net.addr()), &id),
    };
    Ok(Endpoint {
        veth: format!("dk{}", id.get(..12).unwrap_or(&id)),
        interface: free_interface(container, &bridge.prefix),
        network: network.id.clone(),
        mac,
        ipv4: ipv4.and_then(|net| if let IpNet::V4(net) = net { Some(net) } else { None }),
        ipv6: ipv6.and_then(|net| if let IpNet::V6(net) = net { Some(net) } else { None }),
        spec: spec.clone(),
        id,
    })
}

fn check_spec(network: &Network, bridge: &Bridge, spec: &EndpointSpec) -> Result<()> {
    if !network.resolves_names() && !spec.aliases.is_empty() {
        return Err(Error::invalid(
            "network-scoped aliases are only supported for user-defined networks",
        ));
    }
    if !network.resolves_names() && (spec.ipv4.is_some() || spec.ipv6.is_some()) {
        return Err(Error::invalid(
            "user specified IP address is supported on user defined networks only",
        ));
    }
    for address in &spec.link_local {
        let (good, family) = match address {
            IpAddr::V4(address) => (address.is_link_local(), bridge.ipv4.is_some()),
            IpAddr::V6(address) => (address.is_unicast_link_local(), bridge.ipv6.is_some()),
        };
        if !good || !family {
            return Err(Error::invalid(format!(
                "invalid link-local IP address: {address}: it has to be one (169.254.0.0/16, \
                 fe80::/10), of a family that network {} has",
                network.name
            )));
        }
    }
    // What Docker's bridge driver would do something about.
    if let Some(key) = spec.driver_opts.keys().find(|key| key.starts_with("com.docker.network.")) {
        return Err(Error::invalid(format!("endpoint option {key:?} is not supported")));
    }
    if !bridge.icc && !spec.links.is_empty() {
        return Err(Error::invalid(format!(
            "links on network {} are not supported: its containers don't reach each other \
             (enable_icc=false)",
            network.name
        )));
    }
    Ok(())
}

/// An address of a family, where the network has that family.
fn address(
    state: &State,
    network: &Network,
    ipv4: bool,
    wanted: Option<IpAddr>,
) -> Result<Option<IpNet>> {
    let pool = network.pool(ipv4);
    let Some((pool, subnet)) = pool.and_then(|pool| Some((pool, pool.subnet?))) else {
        return match wanted {
            None => Ok(None),
            Some(wanted) => Err(Error::invalid(format!(
                "invalid address {wanted}: network {} has no subnet of its family",
                network.name
            ))),
        };
    };
    let mut taken: HashSet<IpAddr> = pool.auxiliary_addresses.values().copied().collect();
    taken.extend(pool.gateway);
    taken.extend(state.on(&network.id).flat_map(|(_, endpoint)| endpoint.addresses()));
    let left = state.leftover.iter().filter(|endpoint| endpoint.network == network.id);
    taken.extend(left.flat_map(Endpoint::addresses));
    let address = match wanted {
        Some(wanted) => {
            ipam::check_address(subnet, wanted, &taken)?;
            wanted
        }
        None => ipam::next_address(subnet, pool.ip_range, &taken)?,
    };
    IpNet::new(address, subnet.prefix_len())
        .map(Some)
        .map_err(|error| Error::internal(format!("{address}: {error}")))
}

/// Which endpoint the default route and the published ports go through: one with a way out, the
/// greatest priority, then the first by the network's name.
pub fn gateway<'a>(state: &State, container: &'a Container) -> Option<&'a Endpoint> {
    let outward = container.endpoints.iter().filter_map(|endpoint| {
        let network = state.network(&endpoint.network)?;
        (!network.internal).then_some((endpoint, network))
    });
    outward
        .min_by_key(|(endpoint, network)| (-endpoint.spec.gw_priority, network.name.clone()))
        .map(|(endpoint, _)| endpoint)
}

/// What is published for a container: every request gets its port in every family it can have, the
/// same number in each, or nothing is published at all.
///
/// # Errors
/// 500 with Docker's text when a port is taken; 400 for an address of a family without a way in.
pub fn publish(state: &State, container: &Container, host: &Host<'_>) -> Result<Vec<Published>> {
    let Some(endpoint) = gateway(state, container) else { return Ok(Vec::new()) };
    let network = state.network(&endpoint.network);
    let binding = network.map(Bridge::of).transpose()?.map_or(Ipv4Addr::UNSPECIFIED, |b| b.binding);
    let others: Vec<Published> = state
        .containers
        .iter()
        .filter(|other| other.id != container.id)
        .flat_map(|other| other.published.iter().copied())
        .collect();
    let mut published: Vec<Published> = Vec::new();
    for request in &container.requests {
        let addresses = host_addresses(request, endpoint, binding)?;
        let why = |reason: String| {
            let (name, id) = (&container.name, &endpoint.id);
            let what = "driver failed programming external connectivity on endpoint";
            Error::internal(format!("{what} {name} ({id}): {reason}"))
        };
        let taken: Vec<Published> = others.iter().chain(&published).copied().collect();
        published.extend(choose(request, &addresses, &taken, host).map_err(why)?);
    }
    Ok(published)
}

/// The host's addresses a request means, of the families the container has.
fn host_addresses(
    request: &PortRequest,
    endpoint: &Endpoint,
    binding: Ipv4Addr,
) -> Result<Vec<IpAddr>> {
    let wanted = match request.host_ip {
        Some(address) => vec![address],
        // A network's own binding address means IPv4 only, when it is one address.
        None if !binding.is_unspecified() => vec![binding.into()],
        None => vec![binding.into(), Ipv6Addr::UNSPECIFIED.into()],
    };
    let has = |address: &IpAddr| {
        if address.is_ipv4() { endpoint.ipv4.is_some() } else { endpoint.ipv6.is_some() }
    };
    if let Some(address) = request.host_ip {
        if !has(&address) {
            return Err(Error::invalid(format!(
                "cannot publish port {} on {address}: the container has no address of that family",
                request.container_port
            )));
        }
        if address == IpAddr::V6(Ipv6Addr::LOCALHOST) {
            return Err(Error::invalid(
                "cannot publish a port on ::1: the kernel never routes it; 127.0.0.1 can be used",
            ));
        }
    }
    Ok(wanted.into_iter().filter(has).collect())
}

/// The first port that is free on all addresses.
fn choose(
    request: &PortRequest,
    addresses: &[IpAddr],
    taken: &[Published],
    host: &Host<'_>,
) -> Result<Vec<Published>, String> {
    let (first, last) = request.host_ports.unwrap_or(host.ephemeral);
    let mut reason = String::from("no address of the host to publish on");
    for port in first..=last {
        let bindings: Vec<Published> = addresses
            .iter()
            .map(|address| Published {
                host_ip: *address,
                host_port: port,
                protocol: request.protocol,
                container_port: request.container_port,
            })
            .collect();
        match bindings.iter().find_map(|binding| obstacle(binding, taken, host)) {
            None => return Ok(bindings),
            Some(obstacle) => reason = obstacle,
        }
        if addresses.is_empty() {
            break;
        }
    }
    if first != last && !addresses.is_empty() {
        reason = format!("all ports are allocated in {first}-{last}: {reason}");
    }
    Err(reason)
}

fn obstacle(binding: &Published, taken: &[Published], host: &Host<'_>) -> Option<String> {
    let address = match binding.host_ip {
        IpAddr::V4(address) => format!("{address}:{}", binding.host_port),
        IpAddr::V6(address) => format!("[{address}]:{}", binding.host_port),
    };
    if taken.iter().any(|other| other.clashes(binding)) {
        return Some(format!("Bind for {address} failed: port is already allocated"));
    }
    let (port, protocol) = (binding.container_port, binding.protocol.name());
    (!(host.is_free)(binding)).then(|| {
        format!("failed to bind host port {address}/{protocol} for container port {port}: address already in use")
    })
}

fn free_interface(container: &Container, prefix: &str) -> String {
    let taken = |name: &String| container.endpoints.iter().any(|e| e.interface == *name);
    // More names than a container has endpoints: one is free.
    (0..=container.endpoints.len())
        .map(|number| format!("{prefix}{number}"))
        .find(|name| !taken(name))
        .unwrap_or_default()
}

/// Reads `02:42:ac:11:00:02`.
///
/// # Errors
/// 400: not six bytes, or a group address.
pub fn parse_mac(text: &str) -> Result<Mac> {
    let bytes: Option<Vec<u8>> = text
        .split([':', '-'])
        .map(|byte| if byte.len() == 2 { u8::from_str_radix(byte, 16).ok() } else { None })
        .collect();
    let mac: Option<Mac> = bytes.and_then(|bytes| bytes.try_into().ok());
    mac.filter(|mac| mac[0] & 1 == 0 && *mac != [0; 6])
        .ok_or_else(|| Error::invalid(format!("invalid MAC address: {text:?}")))
}

/// A locally administered address that goes with the IPv4 address: when the address is given
/// again, neighbours that remember it are right.
fn derived_mac(ipv4: Option<IpAddr>, id: &str) -> Mac {
    let [a, b, c, d] = match ipv4 {
        Some(IpAddr::V4(address)) => address.octets(),
        _ => u32::from_str_radix(id.get(..8).unwrap_or("0"), 16).unwrap_or(0).to_be_bytes(),
    };
    [0x02, 0x42, a, b, c, d]
}

/// `02:42:ac:11:00:02`.
pub fn mac_text(mac: Mac) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
