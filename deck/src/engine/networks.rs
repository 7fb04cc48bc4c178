//! Networks and the containers on them: what the network part can't know alone.

use super::Engine;
use super::events::Event;
use super::filter::Filters;
use super::{networking, time};
use crate::error::{Error, Result};
use crate::net::{EndpointSettings, Network, NetworkSpec};
use std::collections::BTreeMap;

impl Engine {
    /// Networks that fit filters.
    ///
    /// # Errors
    /// 400 for filters that mean nothing.
    pub fn list_networks(&self, filters: &Filters) -> Result<Vec<Network>> {
        filters.allow(&["dangling", "driver", "id", "label", "label!", "name", "scope", "type"])?;
        let dangling = filters.flag("dangling")?;
        let used = self.used_networks()?;
        let mut networks = self.networks.list()?;
        let any = |key: &str, test: &dyn Fn(&str) -> bool| {
            let values = filters.get(key);
            values.is_empty() || values.iter().any(|value| test(value))
        };
        networks.retain(|network| {
            any("name", &|wanted| network.name.contains(wanted))
                && any("id", &|wanted| network.id.starts_with(wanted))
                && any("driver", &|wanted| network.driver == wanted)
                && any("scope", &|wanted| network.scope == wanted)
                && any("type", &|wanted| (wanted == "builtin") == builtin(network))
                && filters.labels(&network.labels)
                && dangling.is_none_or(|dangling| {
                    dangling != (builtin(network) || used.contains_key(&network.id))
                })
        });
        Ok(networks)
    }

    /// Networks that containers name, running or not.
    fn used_networks(&self) -> Result<BTreeMap<String, String>> {
        let mut used = BTreeMap::new();
        for container in self.containers()? {
            for endpoint in container.endpoints.into_values() {
                used.insert(endpoint.network_id, container.id.clone());
            }
        }
        Ok(used)
    }

    /// Makes a network.
    ///
    /// # Errors
    /// Those of [`crate::net::Networks::create`].
    pub fn create_network(&self, spec: &NetworkSpec) -> Result<Network> {
        let network = self.networks.create(spec)?;
        self.emit_network(&network, "create", &[]);
        Ok(network)
    }

    /// Removes a network.
    ///
    /// # Errors
    /// Those of [`crate::net::Networks::remove`].
    pub fn remove_network(&self, reference: &str) -> Result<()> {
        let network = self.networks.inspect(reference)?.network;
        self.networks.remove(reference)?;
        self.emit_network(&network, "destroy", &[]);
        Ok(())
    }

    /// Removes networks nobody uses; answers their names.
    ///
    /// # Errors
    /// 400 for filters that mean nothing.
    pub fn prune_networks(&self, filters: &Filters) -> Result<Vec<String>> {
        filters.allow(&["until", "label", "label!"])?;
        let now = time::now();
        let until = filters.one("until")?.map(|text| time::parse(text, now)).transpose()?.flatten();
        let used = self.used_networks()?;
        let keep = |network: &Network| {
            let made = time::parse_rfc3339(&network.created).unwrap_or_default();
            used.contains_key(&network.id)
                || until.is_some_and(|until| made >= until)
                || !filters.labels(&network.labels)
        };
        self.networks.prune(&keep)
    }

    /// Puts a container on a network: at once when it runs, else at its next start.
    ///
    /// # Errors
    /// 404 for either, 403 when it is on that network.
    pub fn connect_network(
        &self,
        network: &str,
        container: &str,
        mut settings: EndpointSettings,
    ) -> Result<()> {
        let network = self.networks.inspect(network)?.network;
        let id = self.find(container)?.id;
        let lock = self.lock(&id)?;
        let mut container = self.settled(&id, &lock)?;
        let mode = &container.host.network_mode;
        if mode == "host" || mode.starts_with("container:") {
            return Err(Error::new(
                403,
                format!("container sharing network namespace with {mode} cannot be connected"),
            ));
        }
        if container.endpoints.contains_key(&network.name) {
            return Err(Error::new(
                403,
                format!(
                    "endpoint with name {} already exists in network {}",
                    container.name, network.name
                ),
            ));
        }
        settings.network_id.clone_from(&network.id);
        if container.state.status.is_alive() {
            let endpoint = self.endpoint(&network.name, &settings)?;
            let attached = self.networks.connect(&id, &endpoint)?;
            self.write_files(&container, &attached.hosts, &attached.resolv_conf)?;
            networking::take(&mut container, attached);
        }
        container.endpoints.insert(network.name.clone(), settings);
        self.save(&container)?;
        self.emit_network(&network, "connect", &[("container", &id)]);
        Ok(())
    }

    /// Takes a container off a network; with `force` also one that is gone.
    ///
    /// # Errors
    /// 404 for either, 403 when it isn't on that network.
    pub fn disconnect_network(&self, network: &str, container: &str, force: bool) -> Result<()> {
        let network = self.networks.inspect(network)?.network;
        let found = match self.find(container) {
            Err(error) if error.status == 404 && force => {
                return self.networks.disconnect(container, &network.name).map(drop);
            }
            other => other?,
        };
        let lock = self.lock(&found.id)?;
        let mut container = self.settled(&found.id, &lock)?;
        if container.endpoints.remove(&network.name).is_none() {
            return Err(Error::new(
                403,
                format!("container {} is not connected to network {}", container.id, network.name),
            ));
        }
        if container.state.status.is_alive() {
            let attached = self.networks.disconnect(&container.id, &network.name)?;
            self.write_files(&container, &attached.hosts, &attached.resolv_conf)?;
            networking::take(&mut container, attached);
        }
        self.save(&container)?;
        self.emit_network(&network, "disconnect", &[("container", &container.id)]);
        Ok(())
    }

    /// An event of a network.
    fn emit_network(&self, network: &Network, action: &str, more: &[(&str, &str)]) {
        let mut attributes = BTreeMap::from([
            ("name".to_string(), network.name.clone()),
            ("type".to_string(), network.driver.clone()),
        ]);
        attributes.extend(more.iter().map(|(k, v)| ((*k).to_string(), (*v).to_string())));
        self.emit(&Event::new("network", action, &network.id, attributes));
    }
}

/// Whether a network is there of itself.
fn builtin(network: &Network) -> bool {
    matches!(network.name.as_str(), "bridge" | "host" | "none")
}
