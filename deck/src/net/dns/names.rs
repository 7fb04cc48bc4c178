//! Who is called what, for each container: rendered from the records, read by the server. Pure.

use super::message::{Answer, Query, kind, reverse};
use crate::net::files::ResolvConf;
use crate::net::plan;
use crate::net::records::{Container, Endpoint, State};
use crate::net::view;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Everything the server knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// By id.
    pub networks: BTreeMap<String, Zone>,
    /// Containers it serves, by id.
    pub containers: BTreeMap<String, Client>,
}

/// A network's names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// Its name, which may follow a container's after a dot.
    pub name: String,
    /// Who is on it.
    pub hosts: Vec<Host>,
}

/// A container on a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// The first is what its address is called.
    pub names: Vec<String>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// A container that asks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Ids of its networks.
    pub networks: Vec<String>,
    /// What it alone calls others: alias and name.
    pub links: Vec<(String, String)>,
    /// Its own servers; the host's when empty.
    pub servers: Vec<IpAddr>,
    /// It has a way out of its networks. Without one its questions don't leave either
    /// (CVE-2024-29018).
    pub forward: bool,
    /// It asked for dots in names: a name without is not asked of others.
    pub ndots: bool,
}

impl Names {
    /// From the records.
    pub fn of(state: &State, host: &ResolvConf) -> Self {
        let mut names = Self::default();
        for network in state.networks.iter().filter(|network| network.resolves_names()) {
            let hosts: Vec<Host> = state.on(&network.id).map(|(c, e)| entry(c, e)).collect();
            if !hosts.is_empty() {
                let name = network.name.to_ascii_lowercase();
                names.networks.insert(network.id.clone(), Zone { name, hosts });
            }
        }
        for container in &state.containers {
            if view::resolves_names(state, container) {
                names.containers.insert(container.id.clone(), client(state, container, host));
            }
        }
        names
    }

    /// What is known about a question; None when others are to be asked.
    pub fn answer(&self, client: &Client, query: &Query) -> Option<Answer> {
        if query.kind == kind::PTR {
            let address = reverse(&query.name)?;
            return self.name_of(client, address).map(Answer::Name);
        }
        let addresses = self.addresses(client, &query.name)?;
        // The name is known: nothing but its addresses is to be learned of it, here or elsewhere.
        let wanted = |address: &IpAddr| match query.kind {
            kind::A => address.is_ipv4(),
            kind::AAAA => address.is_ipv6(),
            _ => false,
        };
        Some(Answer::Addresses(addresses.into_iter().filter(wanted).collect()))
    }

    fn zones<'a>(&'a self, client: &'a Client) -> impl Iterator<Item = &'a Zone> {
        client.networks.iter().filter_map(|id| self.networks.get(id))
    }

    fn addresses(&self, client: &Client, name: &str) -> Option<Vec<IpAddr>> {
        let linked = client.links.iter().find(|(alias, _)| alias.eq_ignore_ascii_case(name));
        let name = linked.map_or(name, |(_, target)| target.as_str());
        let mut found = Vec::new();
        for zone in self.zones(client) {
            let bare = name.strip_suffix(&zone.name).and_then(|rest| rest.strip_suffix('.'));
            for host in &zone.hosts {
                let is = |n: &String| {
                    n.eq_ignore_ascii_case(name) || bare.is_some_and(|b| n.eq_ignore_ascii_case(b))
                };
                if host.names.iter().any(is) {
                    found.extend(host.addresses.iter().copied());
                }
            }
        }
        (!found.is_empty()).then_some(found)
    }

    fn name_of(&self, client: &Client, address: IpAddr) -> Option<String> {
        self.zones(client).find_map(|zone| {
            let host = zone.hosts.iter().find(|host| host.addresses.contains(&address))?;
            Some(format!("{}.{}", host.names.first()?, zone.name))
        })
    }
}

fn entry(container: &Container, endpoint: &Endpoint) -> Host {
    Host { names: view::dns_names(container, endpoint), addresses: endpoint.addresses().collect() }
}

fn client(state: &State, container: &Container, host: &ResolvConf) -> Client {
    let links = container.endpoints.iter().flat_map(|endpoint| &endpoint.spec.links);
    Client {
        networks: container.endpoints.iter().map(|endpoint| endpoint.network.clone()).collect(),
        links: links.map(|link| (link.alias.clone(), link.name.clone())).collect(),
        servers: container.dns.servers.clone(),
        forward: plan::gateway(state, container).is_some(),
        ndots: host.clone().overridden(&container.dns).ndots().is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> (Names, Client) {
        let host = |names: &[&str], addresses: &[&str]| Host {
            names: names.iter().map(ToString::to_string).collect(),
            addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
        };
        let one = vec![
            host(&["web", "www", "0123456789ab"], &["10.0.0.2", "fd00::2"]),
            host(&["web2", "www"], &["10.0.0.3"]),
        ];
        let two = vec![host(&["db"], &["10.1.0.2"])];
        let networks = [
            ("n1".into(), Zone { name: "front".into(), hosts: one }),
            ("n2".into(), Zone { name: "back".into(), hosts: two }),
        ];
        let client = Client {
            networks: vec!["n1".into()],
            links: vec![("frontend".into(), "web".into())],
            ..Client::default()
        };
        (Names { networks: networks.into(), ..Names::default() }, client)
    }

    fn ask(name: &str, kind: u16) -> Option<Vec<String>> {
        let (names, client) = names();
        let mut bytes = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            bytes.push(u8::try_from(label.len()).unwrap());
            bytes.extend(label.bytes());
        }
        bytes.extend([0, 0, u8::try_from(kind).unwrap(), 0, 1]);
        let query = crate::net::dns::message::query(&bytes).unwrap();
        names.answer(&client, &query).map(|answer| match answer {
            Answer::Addresses(all) => all.iter().map(ToString::to_string).collect(),
            Answer::Name(name) => vec![name],
        })
    }

    #[test]
    fn names_aliases_links_and_networks() {
        let one = |text: &str| Some(vec![text.to_owned()]);
        assert_eq!(ask("WEB", kind::A), one("10.0.0.2"));
        assert_eq!(ask("web", kind::AAAA), one("fd00::2"));
        assert_eq!(ask("web2", kind::AAAA), Some(vec![]));
        assert_eq!(ask("web", 16), Some(vec![]));
        assert_eq!(ask("0123456789ab.front", kind::A), one("10.0.0.2"));
        assert_eq!(ask("frontend", kind::A), one("10.0.0.2"));
        assert_eq!(ask("www", kind::A), Some(vec!["10.0.0.2".into(), "10.0.0.3".into()]));
        assert_eq!(ask("3.0.0.10.in-addr.arpa", kind::PTR), one("web2.front"));
    }

    #[test]
    fn other_networks_and_the_world_are_not_known() {
        assert_eq!(ask("db", kind::A), None);
        assert_eq!(ask("db.back", kind::A), None);
        assert_eq!(ask("xweb.front", kind::A), None);
        assert_eq!(ask("webfront", kind::A), None);
        assert_eq!(ask("example.org", kind::A), None);
        assert_eq!(ask("2.0.1.10.in-addr.arpa", kind::PTR), None);
    }
}
