//! Networks, addresses, ports, names.

use super::{Part, put};
use crate::cli::parse::network::{self, Network};
use crate::cli::parse::port;
use clap::Args;
use serde_json::{Value, json};

/// Options of networks.
#[derive(Args)]
pub struct Networking {
    /// Line in /etc/hosts: NAME:IP
    #[arg(long, value_parser = network::extra_host, value_name = "HOST")]
    add_host: Vec<String>,
    /// DNS server
    #[arg(long)]
    dns: Vec<String>,
    /// Option of resolv.conf
    #[arg(long, visible_alias = "dns-opt", value_name = "OPTION")]
    dns_option: Vec<String>,
    /// Domain DNS searches
    #[arg(long, value_name = "DOMAIN")]
    dns_search: Vec<String>,
    /// Port or range the container listens on
    #[arg(long, value_name = "PORT")]
    expose: Vec<String>,
    /// IPv4 address
    #[arg(long, value_parser = network::address)]
    ip: Option<Value>,
    /// IPv6 address
    #[arg(long, value_parser = network::address)]
    ip6: Option<Value>,
    /// Reach another container by name: NAME[:ALIAS]
    #[arg(long, value_name = "CONTAINER")]
    link: Vec<String>,
    /// Link-local address
    #[arg(long, value_parser = network::address, value_name = "IP")]
    link_local_ip: Vec<Value>,
    /// MAC address
    #[arg(long, value_name = "ADDRESS")]
    mac_address: Option<String>,
    /// Network: a name, bridge, host, none, container:NAME, or name=NAME,alias=A,ip=IP…
    #[arg(long, visible_alias = "net", value_parser = network::parse)]
    network: Vec<Network>,
    /// Name of the container in its network
    #[arg(long, visible_alias = "net-alias", value_name = "NAME")]
    network_alias: Vec<String>,
    /// Publish a port: [IP:][HOST:]CONTAINER[/PROTOCOL]
    #[arg(short, long, value_name = "PORT")]
    publish: Vec<String>,
    /// Publish all exposed ports to random ports
    #[arg(short = 'P', long)]
    publish_all: bool,
}

impl Networking {
    /// Fills in all but the endpoints, which it gives back.
    pub(super) fn fill(
        &self,
        config: &mut Part,
        host: &mut Part,
        api: (u32, u32),
    ) -> Result<Part, String> {
        let mut exposed = Part::new();
        let mut bindings = Part::new();
        for text in &self.expose {
            exposed.extend(port::exposed(text)?.into_iter().map(|port| (port, json!({}))));
        }
        for published in self.publish.iter().map(|text| port::published(text)) {
            for port in published? {
                exposed.insert(port.container.clone(), json!({}));
                let list = bindings.entry(port.container).or_insert_with(|| json!([]));
                if let Some(list) = list.as_array_mut() {
                    list.push(json!({"HostIp": port.ip, "HostPort": port.host}));
                }
            }
        }
        put(config, "ExposedPorts", exposed);
        put(host, "PortBindings", bindings);
        put(host, "PublishAllPorts", self.publish_all);
        put(host, "ExtraHosts", self.add_host.clone());
        put(host, "Dns", self.dns.clone());
        put(host, "DnsOptions", self.dns_option.clone());
        put(host, "DnsSearch", self.dns_search.clone());
        put(host, "Links", self.link.clone());
        if api < (1, 44) {
            // Older engines know it in the container's configuration only.
            put(config, "MacAddress", self.mac_address.clone());
        }
        let networks = self.networks()?;
        let mode = networks.first().map_or("default", |network| network.name.as_str());
        put(host, "NetworkMode", mode);
        let mut endpoints = Part::new();
        for network in networks {
            if network.endpoint.is_empty() && self.network.len() <= 1 {
                continue;
            }
            endpoints.insert(network.name, network.endpoint.into());
        }
        if endpoints.len() > 1 && api < (1, 44) {
            return Err("the engine is too old for more than one --network".into());
        }
        Ok(endpoints)
    }

    /// The networks, the first with what `--ip` and the like say.
    fn networks(&self) -> Result<Vec<Network>, String> {
        let mut networks = self.network.clone();
        let special =
            |name: &str| matches!(name, "host" | "none") || name.starts_with("container:");
        if networks.len() > 1 && networks.iter().any(|network| special(&network.name)) {
            return Err("conflicting options: cannot attach both user-defined and \
                        non-user-defined network-modes"
                .into());
        }
        let mut addresses = Part::new();
        put(&mut addresses, "IPv4Address", self.ip.clone());
        put(&mut addresses, "IPv6Address", self.ip6.clone());
        put(&mut addresses, "LinkLocalIPs", self.link_local_ip.clone());
        let mut endpoint = Part::new();
        put(&mut endpoint, "IPAMConfig", addresses);
        put(&mut endpoint, "Aliases", self.network_alias.clone());
        put(&mut endpoint, "MacAddress", self.mac_address.clone());
        if endpoint.is_empty() {
            return Ok(networks);
        }
        if networks.is_empty() {
            networks.push(Network { name: "default".into(), endpoint: Part::new() });
        }
        let first = &mut networks[0];
        if special(&first.name) && !self.network_alias.is_empty() {
            return Err("conflicting options: network-scoped alias is supported only for \
                        containers in user defined networks"
                .into());
        }
        for (name, value) in endpoint {
            if first.endpoint.insert(name.clone(), value).is_some() {
                return Err(format!("conflicting options: {name} is given twice"));
            }
        }
        Ok(networks)
    }
}
