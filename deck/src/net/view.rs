//! Records as the API shows them, and the files a container gets; pure.

use super::files::{self, ExtraHost, Resolver};
use super::model::{Attached, EndpointIpam, EndpointResource, EndpointSettings, NetworkInspect};
use super::plan::{gateway, mac_text};
use super::ports::port_map;
use super::records::{Container, Endpoint, State};
use super::spec::Bridge;
use crate::error::{Error, Result};
use std::net::IpAddr;

/// A network with who is on it.
///
/// # Errors
/// 404: there is none with this id.
pub fn inspect(state: &State, id: &str) -> Result<NetworkInspect> {
    let network = state.network(id).ok_or_else(|| Error::not_found("the network is gone"))?;
    let containers = state.on(id).map(|(container, endpoint)| {
        let resource = EndpointResource {
            name: container.name.clone(),
            endpoint_id: endpoint.id.clone(),
            mac_address: mac_text(endpoint.mac),
            ipv4_address: endpoint.ipv4.map(|net| net.to_string()).unwrap_or_default(),
            ipv6_address: endpoint.ipv6.map(|net| net.to_string()).unwrap_or_default(),
        };
        (container.id.clone(), resource)
    });
    Ok(NetworkInspect { network: network.clone(), containers: containers.collect() })
}

/// What a container has.
///
/// # Errors
/// 400 for an `--add-host` or a link that can't be honoured.
pub fn attached(state: &State, container: &Container, host_resolv_conf: &str) -> Result<Attached> {
    let mut networks = std::collections::BTreeMap::new();
    for endpoint in &container.endpoints {
        let Some(network) = state.network(&endpoint.network) else { continue };
        networks.insert(network.name.clone(), settings(state, container, endpoint)?);
    }
    let ipv6 = container.endpoints.iter().any(|endpoint| endpoint.ipv6.is_some());
    let own: Vec<IpAddr> = container.endpoints.iter().flat_map(Endpoint::addresses).collect();
    let mut extra = linked_hosts(state, container)?;
    let gateways = host_addresses(state, container)?;
    for text in &container.extra_hosts {
        extra.push(files::extra_host(text, &gateways)?);
    }
    let resolver = if resolves_names(state, container) {
        Resolver::Embedded
    } else {
        Resolver::Direct { ipv6 }
    };
    Ok(Attached {
        networks,
        ports: port_map(&container.published),
        hosts: files::hosts(&container.hostname, &container.domainname, &own, &extra, ipv6),
        resolv_conf: files::resolv_conf(host_resolv_conf, &container.dns, resolver),
    })
}

/// Whether the embedded DNS server answers this container.
pub fn resolves_names(state: &State, container: &Container) -> bool {
    let named = |endpoint: &Endpoint| {
        state.network(&endpoint.network).is_some_and(super::model::Network::resolves_names)
    };
    container.endpoints.iter().any(named)
}

fn settings(state: &State, container: &Container, endpoint: &Endpoint) -> Result<EndpointSettings> {
    let network = state
        .network(&endpoint.network)
        .ok_or_else(|| Error::not_found("the endpoint's network is gone"))?;
    let bridge = Bridge::of(network)?;
    let internal = network.internal;
    let spec = &endpoint.spec;
    let chosen = spec.ipv4.is_some() || spec.ipv6.is_some() || !spec.link_local.is_empty();
    let text = |address: Option<IpAddr>| address.map(|a| a.to_string()).unwrap_or_default();
    let links: Vec<String> =
        spec.links.iter().map(|link| format!("{}:{}", link.name, link.alias)).collect();
    Ok(EndpointSettings {
        ipam_config: chosen.then(|| EndpointIpam {
            ipv4_address: text(spec.ipv4.map(IpAddr::V4)),
            ipv6_address: text(spec.ipv6.map(IpAddr::V6)),
            link_local_ips: spec.link_local.iter().map(ToString::to_string).collect(),
        }),
        links: (!links.is_empty()).then_some(links),
        aliases: (!spec.aliases.is_empty()).then(|| spec.aliases.clone()),
        driver_opts: (!spec.driver_opts.is_empty()).then(|| spec.driver_opts.clone()),
        gw_priority: spec.gw_priority,
        network_id: network.id.clone(),
        endpoint_id: endpoint.id.clone(),
        gateway: text(bridge.ipv4.filter(|_| !internal).map(|net| IpAddr::V4(net.addr()))),
        ip_address: text(endpoint.ipv4.map(|net| IpAddr::V4(net.addr()))),
        mac_address: mac_text(endpoint.mac),
        ip_prefix_len: endpoint.ipv4.map_or(0, |net| net.prefix_len()),
        ipv6_gateway: text(bridge.ipv6.filter(|_| !internal).map(|net| IpAddr::V6(net.addr()))),
        global_ipv6_address: text(endpoint.ipv6.map(|net| IpAddr::V6(net.addr()))),
        global_ipv6_prefix_len: endpoint.ipv6.map_or(0, |net| net.prefix_len()),
        dns_names: network.resolves_names().then(|| dns_names(container, endpoint)),
    })
}

/// Every name a container is found by on a network, each once.
pub fn dns_names(container: &Container, endpoint: &Endpoint) -> Vec<String> {
    let short = container.id.get(..12).unwrap_or(&container.id);
    let own = [container.name.as_str(), short, container.hostname.as_str()];
    let aliases = endpoint.spec.aliases.iter().map(String::as_str);
    let mut names: Vec<String> = Vec::new();
    for name in own.into_iter().take(1).chain(aliases).chain(own.into_iter().skip(1)) {
        if !name.is_empty() && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// What `host-gateway` means: the host's addresses on the network of the default route.
fn host_addresses(state: &State, container: &Container) -> Result<Vec<IpAddr>> {
    let endpoint = gateway(state, container).or_else(|| container.endpoints.first());
    let Some(network) = endpoint.and_then(|endpoint| state.network(&endpoint.network)) else {
        return Ok(Vec::new());
    };
    let bridge = Bridge::of(network)?;
    let v4 = bridge.ipv4.map(|net| IpAddr::V4(net.addr()));
    Ok(v4.into_iter().chain(bridge.ipv6.map(|net| IpAddr::V6(net.addr()))).collect())
}

/// Links on networks without names: lines of /etc/hosts, made when the container starts.
fn linked_hosts(state: &State, container: &Container) -> Result<Vec<ExtraHost>> {
    let mut hosts = Vec::new();
    for endpoint in &container.endpoints {
        if state.network(&endpoint.network).is_some_and(super::model::Network::resolves_names) {
            continue;
        }
        for link in &endpoint.spec.links {
            let (name, alias) = (&link.name, &link.alias);
            let target = state
                .on(&endpoint.network)
                .find(|(other, _)| other.id == link.container)
                .ok_or_else(|| {
                    let own = &container.name;
                    Error::invalid(format!(
                        "Cannot link to a non running container: /{name} AS /{own}/{alias}"
                    ))
                })?;
            let short = link.container.get(..12).unwrap_or(&link.container);
            let names = if name == alias {
                format!("{alias} {short}")
            } else {
                format!("{alias} {short} {name}")
            };
            hosts.push(ExtraHost { name: names, addresses: target.1.addresses().collect() });
        }
    }
    Ok(hosts)
}
