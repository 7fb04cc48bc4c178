//! A container's networks at its start: namespace, endpoints, ports, and the files a resolver
//! reads.

use super::Engine;
use super::model::host::HostConfig;
use super::record::Container;
use crate::bundle::wishes::Namespace;
use crate::error::{At, Error, Result};
use crate::net::{
    Attached, ContainerNet, DnsSpec, EndpointSettings, EndpointSpec, Link, files, netns, ports,
};
use std::path::PathBuf;

/// Where the host's settings are; systemd-resolved's stub names an address of the host alone.
const RESOLV_CONF: [&str; 2] = ["/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"];

impl Engine {
    /// Puts a container that starts on its networks; answers its network namespace.
    ///
    /// # Errors
    /// Those of [`crate::net::Networks::attach`].
    pub(super) fn join_networks(&self, container: &mut Container) -> Result<Namespace> {
        let mode = container.host.network_mode.clone();
        if let Some(other) = mode.strip_prefix("container:") {
            return self.join_container(other);
        }
        if mode == "host" {
            let extra = self.extra_hosts(container)?;
            let text = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
            let hosts = extra.iter().fold(text, |text, host| {
                host.addresses.iter().fold(text, |text, ip| format!("{text}{ip}\t{}\n", host.name))
            });
            let resolv =
                files::resolv_conf(&host_resolv(), &dns(container)?, files::Resolver::Host);
            self.write_files(container, &hosts, &resolv)?;
            return Ok(Namespace::Host);
        }
        let path = self.networks.netns_path(&container.id);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).at(|| format!("mkdir {}", parent.display()))?;
        }
        netns::create(&path)?;
        if mode == "none" {
            let config = &container.config;
            let extra = self.extra_hosts(container)?;
            let hosts = files::hosts(&config.hostname, &config.domainname, &[], &extra, true);
            let resolver = files::Resolver::Direct { ipv6: false };
            let resolv = files::resolv_conf(&host_resolv(), &dns(container)?, resolver);
            self.write_files(container, &hosts, &resolv)?;
            return Ok(Namespace::Path(path));
        }
        let request = self.container_net(container, path.clone())?;
        let attached = self.networks.attach(&request)?;
        self.write_files(container, &attached.hosts, &attached.resolv_conf)?;
        take(container, attached);
        Ok(Namespace::Path(path))
    }

    /// Another container's namespace.
    fn join_container(&self, other: &str) -> Result<Namespace> {
        let other = self.find(other)?;
        if !other.state.status.is_alive() {
            return Err(Error::conflict(format!(
                "cannot join network of a non running container: {}",
                other.id
            )));
        }
        Ok(Namespace::Path(PathBuf::from(format!("/proc/{}/ns/net", other.state.pid))))
    }

    /// What the network part has to know.
    fn container_net(&self, container: &Container, netns: PathBuf) -> Result<ContainerNet> {
        let host = &container.host;
        let mode = &host.network_mode;
        let mut endpoints = Vec::new();
        for (name, settings) in &container.endpoints {
            let mut endpoint = self.endpoint(name, settings)?;
            if name == mode || settings.network_id.starts_with(mode.as_str()) {
                for link in host.links.iter().flatten() {
                    endpoint.links.push(self.link(link)?);
                }
                endpoints.insert(0, endpoint);
            } else {
                endpoints.push(endpoint);
            }
        }
        let exposed = container.config.exposed_ports.keys().map(String::as_str);
        Ok(ContainerNet {
            id: container.id.clone(),
            name: container.name.clone(),
            hostname: container.config.hostname.clone(),
            domainname: container.config.domainname.clone(),
            netns,
            endpoints,
            ports: ports::requests(&host.port_bindings, exposed, host.publish_all_ports)?,
            dns: dns(container)?,
            extra_hosts: host.extra_hosts.clone().unwrap_or_default(),
        })
    }

    /// What is asked of one network.
    pub(super) fn endpoint(&self, name: &str, settings: &EndpointSettings) -> Result<EndpointSpec> {
        let ipam = settings.ipam_config.clone().unwrap_or_default();
        let link_local = ipam.link_local_ips.iter().map(|text| {
            text.parse().map_err(|_| Error::invalid(format!("invalid IP address: {text}")))
        });
        let links = settings.links.iter().flatten();
        let links = links.map(|link| self.network_link(name, link)).collect::<Result<_>>()?;
        Ok(EndpointSpec {
            network: name.into(),
            aliases: settings.aliases.clone().unwrap_or_default(),
            ipv4: address(&ipam.ipv4_address)?,
            ipv6: address(&ipam.ipv6_address)?,
            mac: Some(settings.mac_address.clone()).filter(|mac| !mac.is_empty()),
            link_local: link_local.collect::<Result<_>>()?,
            driver_opts: settings.driver_opts.clone().unwrap_or_default(),
            links,
            gw_priority: settings.gw_priority,
        })
    }

    /// Reads `container[:alias]` of one network. Where names are asked for when they are needed,
    /// the other container may come later.
    fn network_link(&self, network: &str, text: &str) -> Result<Link> {
        let found = self.link(text);
        if !found.as_ref().is_err_and(|error| error.status == 400)
            || !self.networks.inspect(network)?.network.resolves_names()
        {
            return found;
        }
        let (name, alias) = text.split_once(':').unwrap_or((text, text));
        Ok(Link { container: String::new(), name: name.into(), alias: alias.into() })
    }

    /// Refuses links to containers that aren't there.
    ///
    /// # Errors
    /// 400 in Docker's words.
    pub(super) fn links_known(&self, host: &HostConfig) -> Result<()> {
        host.links.iter().flatten().try_for_each(|link| self.link(link).map(drop))
    }

    /// Reads `container[:alias]`.
    fn link(&self, text: &str) -> Result<Link> {
        let (name, alias) = text.split_once(':').unwrap_or((text, text));
        let other = self.find(name).map_err(|error| match error.status {
            404 => Error::invalid(format!("could not get container for {name}: {error}")),
            _ => error,
        })?;
        Ok(Link { container: other.id, name: other.name, alias: alias.into() })
    }

    /// `--add-host` of a container on no network of its own.
    fn extra_hosts(&self, container: &Container) -> Result<Vec<files::ExtraHost>> {
        let _ = self;
        let hosts = container.host.extra_hosts.iter().flatten();
        hosts.map(|text| files::extra_host(text, &[])).collect()
    }

    /// Writes what is bind-mounted on /etc/hosts, /etc/hostname and /etc/resolv.conf: into the
    /// same files where they are there, as a running container has them mounted.
    pub(super) fn write_files(
        &self,
        container: &Container,
        hosts: &str,
        resolv_conf: &str,
    ) -> Result<()> {
        let directory = self.config.container_dir(&container.id);
        let hostname = files::hostname(&container.config.hostname);
        for (name, text) in
            [("hosts", hosts), ("resolv.conf", resolv_conf), ("hostname", hostname.as_str())]
        {
            let path = directory.join(name);
            std::fs::write(&path, text).at(|| format!("write {}", path.display()))?;
        }
        Ok(())
    }
}

/// Takes over what a container got.
pub(super) fn take(container: &mut Container, attached: Attached) {
    container.attached = attached.networks;
    container.ports = attached.ports;
}

/// A chosen address.
fn address<T: std::str::FromStr>(text: &str) -> Result<Option<T>> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| Error::invalid(format!("invalid IP address: {text}")))
}

/// DNS settings of a container.
fn dns(container: &Container) -> Result<DnsSpec> {
    let host = &container.host;
    let servers = host.dns.iter().flatten().map(|text| {
        text.parse().map_err(|_| Error::invalid(format!("bad nameserver address {text}")))
    });
    Ok(DnsSpec {
        servers: servers.collect::<Result<_>>()?,
        search: host.dns_search.clone().unwrap_or_default(),
        options: host.dns_options.clone().unwrap_or_default(),
    })
}

/// The host's resolv.conf.
fn host_resolv() -> String {
    RESOLV_CONF.iter().find_map(|path| std::fs::read_to_string(path).ok()).unwrap_or_default()
}
