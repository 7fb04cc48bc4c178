//! From a wish for a network to a network, and from a network to its bridge; pure.

use super::ipam;
use super::model::{Ipam, IpamPool, Map, Network, NetworkSpec};
use super::records::State;
use crate::error::{Error, Result};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The network containers are on when nothing is said.
pub const DEFAULT: &str = "bridge";
/// The bridge of [`DEFAULT`].
const DEFAULT_BRIDGE: &str = "deck0";
/// Networks that are always there: name and driver.
const PREDEFINED: [(&str, &str); 3] = [(DEFAULT, "bridge"), ("host", "host"), ("none", "null")];
/// IFNAMSIZ without the ending zero.
const NAME_MAX: usize = 15;
/// Every option of the bridge driver that deck honours.
const OPTIONS: [&str; 9] =
    [NAME, MASQUERADE, ICC, BINDING, DEFAULT_OPTION, MTU, PREFIX, SNAT4, SNAT6];
const NAME: &str = "com.docker.network.bridge.name";
const MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
const ICC: &str = "com.docker.network.bridge.enable_icc";
const BINDING: &str = "com.docker.network.bridge.host_binding_ipv4";
const DEFAULT_OPTION: &str = "com.docker.network.bridge.default_bridge";
const MTU: &str = "com.docker.network.driver.mtu";
const PREFIX: &str = "com.docker.network.container_iface_prefix";
const SNAT4: &str = "com.docker.network.host_ipv4";
const SNAT6: &str = "com.docker.network.host_ipv6";

/// What is known of the host when a network is made.
#[derive(Debug, Clone, Default)]
pub struct HostFacts {
    /// Where the host's routes lead.
    pub routed: Vec<IpNet>,
    /// Names of the host's network devices.
    pub links: Vec<String>,
    /// The host's own part of unique local addresses.
    pub unique: [u8; 5],
    /// 64 random hexadecimal digits.
    pub id: String,
    /// Now, RFC 3339.
    pub now: String,
}

/// A bridge as it is to be on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bridge {
    /// The device's name.
    pub name: String,
    /// Of the bridge and its containers.
    pub mtu: u32,
    /// Containers on it reach each other.
    pub icc: bool,
    /// Containers leave with the host's address.
    pub masquerade: bool,
    /// No way out.
    pub internal: bool,
    /// Where ports without an address are published, in IPv4.
    pub binding: Ipv4Addr,
    /// Of the containers' interfaces.
    pub prefix: String,
    /// The host's address to leave with.
    pub snat4: Option<Ipv4Addr>,
    /// The host's address to leave with.
    pub snat6: Option<Ipv6Addr>,
    /// The gateway with the subnet's prefix length.
    pub ipv4: Option<Ipv4Net>,
    /// The gateway with the subnet's prefix length.
    pub ipv6: Option<Ipv6Net>,
}

impl Network {
    /// `bridge`, `host` and `none`.
    pub fn predefined(&self) -> bool {
        PREDEFINED.iter().any(|(name, _)| *name == self.name)
    }

    /// Containers on it find each other by name.
    pub fn resolves_names(&self) -> bool {
        self.driver == "bridge" && !self.predefined()
    }

    /// The subnet of a family.
    pub fn pool(&self, ipv4: bool) -> Option<&IpamPool> {
        self.ipam.config.iter().find(|pool| pool.subnet.is_some_and(|s| s.addr().is_ipv4() == ipv4))
    }
}

/// Adds the pre-defined networks that are missing; tells whether any was.
///
/// # Errors
/// No subnet is free.
pub fn add_predefined(
    state: &mut State,
    facts: &mut dyn FnMut() -> Result<HostFacts>,
) -> Result<()> {
    for (name, driver) in PREDEFINED {
        if state.networks.iter().any(|network| network.name == name) {
            continue;
        }
        let facts = facts()?;
        let mut network = base(&NetworkSpec::default(), name, driver, &facts);
        if driver == "bridge" {
            let spec = NetworkSpec { name: name.into(), ..NetworkSpec::default() };
            network.ipam.config = pools(&spec, state, &facts)?;
            network.options = [
                (DEFAULT_OPTION, "true"),
                (ICC, "true"),
                (MASQUERADE, "true"),
                (BINDING, "0.0.0.0"),
                (NAME, DEFAULT_BRIDGE),
                (MTU, "1500"),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        } else {
            network.enable_ipv4 = true;
        }
        state.networks.push(network);
    }
    Ok(())
}

/// The network a spec asks for.
///
/// # Errors
/// As [`super::Networks::create`].
pub fn plan(spec: &NetworkSpec, state: &State, facts: &HostFacts) -> Result<Network> {
    check(spec)?;
    if PREDEFINED.iter().any(|(name, _)| *name == spec.name) {
        let message = format!("operation is not permitted on predefined {} network", spec.name);
        return Err(Error::new(403, message));
    }
    if state.networks.iter().any(|network| network.name == spec.name) {
        return Err(Error::conflict(format!("network with name {} already exists", spec.name)));
    }
    let mut network = base(spec, &spec.name, "bridge", facts);
    network.ipam.config = pools(spec, state, facts)?;
    let bridge = Bridge::of(&network)?;
    let same = |other: &Network| Bridge::of(other).is_ok_and(|other| other.name == bridge.name);
    if state.networks.iter().any(same) || facts.links.contains(&bridge.name) {
        let name = &bridge.name;
        return Err(Error::new(
            403,
            format!("bridge name {name} is in use: a network or a device has it"),
        ));
    }
    Ok(network)
}

/// What needs neither records nor the host.
fn check(spec: &NetworkSpec) -> Result<()> {
    // Docker takes anything but blanks; `container:…` is a mode, and a path has slashes.
    if spec.name.trim().is_empty() {
        return Err(Error::invalid("invalid network name: name is empty"));
    }
    let bad = |c: char| c.is_control() || "/:,\"'\\".contains(c);
    if spec.name.starts_with('-') || spec.name.contains(bad) {
        return Err(Error::invalid(format!(
            "invalid network name {:?}: control characters, quotes, '/', '\\', ':', ',' and a '-' at \
             its beginning are not allowed",
            spec.name
        )));
    }
    if !matches!(spec.driver.as_str(), "" | "bridge" | "default") {
        return Err(Error::not_found(format!(
            "could not find plugin {0} in v1 plugin registry: network driver {0:?} is not supported, \
             only bridge is",
            spec.driver
        )));
    }
    if !matches!(spec.scope.as_str(), "" | "local")
        || spec.ingress
        || spec.config_only
        || spec.config_from.as_ref().is_some_and(|from| !from.network.is_empty())
    {
        return Err(Error::invalid(
            "networks of a swarm are not supported: scope, ingress and config options",
        ));
    }
    if let Some(ipam) = &spec.ipam {
        if !matches!(ipam.driver.as_str(), "" | "default") {
            return Err(Error::invalid(format!("IPAM driver {:?} is not supported", ipam.driver)));
        }
        if let Some(option) = ipam.options.iter().flat_map(Map::keys).next() {
            return Err(Error::invalid(format!("IPAM option {option:?} is not supported")));
        }
    }
    match spec.options.keys().find(|key| !OPTIONS.contains(&key.as_str())) {
        Some(key) => Err(Error::invalid(format!("bridge option {key:?} is not supported"))),
        None => Ok(()),
    }
}

fn base(spec: &NetworkSpec, name: &str, driver: &str, facts: &HostFacts) -> Network {
    Network {
        name: name.to_owned(),
        id: facts.id.clone(),
        created: facts.now.clone(),
        scope: "local".into(),
        driver: driver.to_owned(),
        enable_ipv4: spec.enable_ipv4.unwrap_or(true),
        enable_ipv6: spec.enable_ipv6.unwrap_or(false),
        ipam: Ipam {
            driver: "default".into(),
            options: spec.ipam.as_ref().and_then(|ipam| ipam.options.clone()),
            config: Vec::new(),
        },
        internal: spec.internal,
        attachable: spec.attachable,
        ingress: false,
        config_from: super::model::ConfigFrom::default(),
        config_only: false,
        options: spec.options.clone(),
        labels: spec.labels.clone(),
    }
}

/// Subnets with their gateways: the given ones checked, missing ones chosen.
fn pools(spec: &NetworkSpec, state: &State, facts: &HostFacts) -> Result<Vec<IpamPool>> {
    let given = spec.ipam.as_ref().map_or(&[][..], |ipam| &ipam.config);
    let known: Vec<IpNet> = state
        .networks
        .iter()
        .flat_map(|network| &network.ipam.config)
        .filter_map(|pool| pool.subnet)
        .collect();
    let taken: Vec<IpNet> =
        known.iter().chain(&facts.routed).copied().filter(|net| net.prefix_len() > 0).collect();
    let families =
        [(true, spec.enable_ipv4.unwrap_or(true)), (false, spec.enable_ipv6.unwrap_or(false))];
    let mut pools = Vec::new();
    for (ipv4, enabled) in families {
        let is_of = |pool: &&IpamPool| pool.subnet.map_or(ipv4, |s| s.addr().is_ipv4() == ipv4);
        let mut mine = given.iter().filter(is_of);
        let (first, second) = (mine.next(), mine.next());
        if second.is_some() {
            return Err(Error::invalid(
                "more than one subnet of a family on one bridge is not supported",
            ));
        }
        if !enabled {
            // Docker, too, takes an IPv6 subnet without EnableIPv6 for a mistake.
            if first.is_some_and(|pool| pool.subnet.is_some()) {
                let family = if ipv4 { "IPv4" } else { "IPv6" };
                return Err(Error::invalid(format!(
                    "an {family} subnet is given, but {family} is not enabled"
                )));
            }
            continue;
        }
        let mut pool = first.cloned().unwrap_or_default();
        let subnet = match pool.subnet {
            Some(subnet) => subnet,
            None if ipv4 => ipam::free_ipv4_subnet(&taken)?.into(),
            None => ipam::free_ipv6_subnet(facts.unique, &taken)?.into(),
        };
        check_pool(&pool, subnet, &taken)?;
        pool.subnet = Some(subnet);
        pool.gateway = Some(match pool.gateway {
            Some(gateway) => gateway,
            None => ipam::next_address(
                subnet,
                None,
                &pool.auxiliary_addresses.values().copied().collect(),
            )?,
        });
        pools.push(pool);
    }
    if pools.is_empty() {
        return Err(Error::invalid("IPv4 or IPv6 must be enabled"));
    }
    Ok(pools)
}

fn check_pool(pool: &IpamPool, subnet: IpNet, taken: &[IpNet]) -> Result<()> {
    if subnet != subnet.trunc() {
        return Err(Error::invalid(format!(
            "invalid subnet {subnet}: it should be {}",
            subnet.trunc()
        )));
    }
    if pool.subnet.is_some() && ipam::overlaps(subnet, taken) {
        return Err(Error::new(
            403,
            format!(
                "invalid pool request: Pool overlaps with other one on this address space: {subnet} is used by a network or a route of the host"
            ),
        ));
    }
    let within = |address: IpAddr, what: &str| {
        ipam::check_address(subnet, address, &std::collections::HashSet::new()).map_err(|_| {
            Error::invalid(format!(
                "invalid {what} {address}: it does not belong to subnet {subnet}"
            ))
        })
    };
    if let Some(gateway) = pool.gateway {
        within(gateway, "gateway")?;
    }
    for address in pool.auxiliary_addresses.values() {
        within(*address, "auxiliary address")?;
    }
    match pool.ip_range {
        Some(range) if !subnet.contains(&range) => Err(Error::invalid(format!(
            "invalid ip-range {range}: it does not belong to subnet {subnet}"
        ))),
        _ => Ok(()),
    }
}

impl Bridge {
    /// The bridge of a network.
    ///
    /// # Errors
    /// 400 for options that can't be read; or the network has none.
    pub fn of(network: &Network) -> Result<Self> {
        if network.driver != "bridge" {
            return Err(Error::invalid(format!("network {} has no bridge", network.name)));
        }
        let options = &network.options;
        let name = match options.get(NAME) {
            Some(name) => name.clone(),
            None => format!("br-{}", network.id.get(..12).unwrap_or(&network.id)),
        };
        device_name(&name, NAME_MAX)?;
        let prefix = options.get(PREFIX).map_or("eth", String::as_str);
        device_name(prefix, NAME_MAX - 4)?;
        let mtu = parsed(options, MTU)?.unwrap_or(1500);
        if !(68..=65535).contains(&mtu) || (network.enable_ipv6 && mtu < 1280) {
            return Err(Error::invalid(format!("invalid MTU {mtu}")));
        }
        let gateway = |ipv4| {
            let pool = network.pool(ipv4)?;
            IpNet::new(pool.gateway?, pool.subnet?.prefix_len()).ok()
        };
        Ok(Self {
            name,
            mtu,
            icc: parsed(options, ICC)?.unwrap_or(true),
            masquerade: parsed(options, MASQUERADE)?.unwrap_or(true),
            internal: network.internal,
            binding: parsed(options, BINDING)?.unwrap_or(Ipv4Addr::UNSPECIFIED),
            prefix: prefix.to_owned(),
            snat4: parsed(options, SNAT4)?,
            snat6: parsed(options, SNAT6)?,
            ipv4: gateway(true).and_then(|net| match net {
                IpNet::V4(net) => Some(net),
                IpNet::V6(_) => None,
            }),
            ipv6: gateway(false).and_then(|net| match net {
                IpNet::V6(net) => Some(net),
                IpNet::V4(_) => None,
            }),
        })
    }
}

/// What the kernel takes for a device's name (`dev_valid_name`) and what is safe in nft's language.
fn device_name(name: &str, max: usize) -> Result<()> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if name.is_empty() || name.len() > max || name.starts_with('.') || !name.chars().all(fine) {
        return Err(Error::invalid(format!("invalid network device name {name:?}")));
    }
    Ok(())
}

fn parsed<T: std::str::FromStr>(options: &Map, key: &str) -> Result<Option<T>> {
    options
        .get(key)
        .map(|text| {
            text.parse().map_err(|_| Error::invalid(format!("invalid value {text:?} of {key}")))
        })
        .transpose()
}
