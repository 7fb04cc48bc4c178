//! `ps`: lists and their filters.

use super::filter::Filters;
use super::model::summary::{HostMode, Networks, Port, Summary};
use super::record::{Container, Status};
use super::{Engine, inspect, text, time};
use crate::error::{Error, Result};
use std::collections::BTreeSet;

/// Filters of `GET /containers/json`.
const FILTERS: &[&str] = &[
    "ancestor",
    "before",
    "expose",
    "exited",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "label!",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
];

/// Which containers to list.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Also those that don't run.
    pub all: bool,
    /// The newest so many, whether they run or not.
    pub limit: Option<usize>,
    /// With what they take on disk.
    pub size: bool,
    /// Further choice.
    pub filters: Filters,
}

impl Engine {
    /// Containers, newest first.
    ///
    /// # Errors
    /// 400 for filters that mean nothing, 404 for containers named in them.
    pub fn list(&self, wanted: &Wanted) -> Result<Vec<Summary>> {
        let filters = &wanted.filters;
        filters.allow(FILTERS)?;
        let mut containers: Vec<Container> = self
            .containers()?
            .into_iter()
            .map(|container| self.settle(container))
            .collect::<Result<_>>()?;
        containers.retain(|container| !self.goes(container));
        containers.sort_by_key(|container| std::cmp::Reverse(container.created));
        let all = wanted.all
            || wanted.limit.is_some()
            || !filters.get("status").is_empty()
            || !filters.get("exited").is_empty();
        let mut choice = Choice::new(self, filters)?;
        choice.all = all;
        containers.retain(|container| choice.takes(container));
        if let Some(limit) = wanted.limit {
            containers.truncate(limit);
        }
        let now = time::now();
        Ok(containers.into_iter().map(|c| self.summary(c, wanted.size, now)).collect())
    }

    fn summary(&self, container: Container, size: bool, now: i64) -> Summary {
        let (size_rw, size_root_fs) = if size { self.sizes(&container) } else { (None, None) };
        Summary {
            names: vec![format!("/{}", container.name)],
            image_id: container.image.clone(),
            command: text::command(&container.command),
            created: text::seconds(container.created),
            ports: ports(&container),
            size_rw,
            size_root_fs,
            state: container.state.status.name(),
            status: text::status(&container, now),
            host_config: HostMode {
                network_mode: container.host.network_mode.clone(),
                annotations: container.host.annotations.clone(),
            },
            network_settings: Networks { networks: inspect::networks(&container) },
            mounts: inspect::mounts(&container),
            image_manifest_descriptor: container.manifest,
            image: container.config.image,
            labels: container.config.labels,
            id: container.id,
        }
    }
}

/// Filters with what they name looked up.
struct Choice<'a> {
    filters: &'a Filters,
    all: bool,
    exited: Vec<i64>,
    ancestors: BTreeSet<String>,
    before: Option<i64>,
    since: Option<i64>,
}

impl<'a> Choice<'a> {
    fn new(engine: &Engine, filters: &'a Filters) -> Result<Self> {
        let exited = filters.get("exited").iter().map(|code| {
            code.parse().map_err(|_| Error::invalid(format!("invalid filter 'exited={code}'")))
        });
        for status in filters.get("status") {
            let known =
                ["created", "running", "paused", "restarting", "removing", "exited", "dead"];
            if !known.contains(&status.as_str()) {
                return Err(Error::invalid(format!(
                    "invalid filter 'status={status}': invalid value for state ({status}): must \
                     be one of {}",
                    known.join(", ")
                )));
            }
        }
        let ancestors = filters
            .get("ancestor")
            .iter()
            .filter_map(|name| engine.images.resolve(name).ok().map(|image| image.id.to_string()));
        let time = |key: &str| -> Result<Option<i64>> {
            let one = filters.one(key)?;
            one.map(|name| engine.find(name).map(|container| container.created)).transpose()
        };
        Ok(Self {
            filters,
            all: false,
            exited: exited.collect::<Result<_>>()?,
            ancestors: ancestors.collect(),
            before: time("before")?,
            since: time("since")?,
        })
    }

    fn takes(&self, container: &Container) -> bool {
        let filters = self.filters;
        let status = container.state.status;
        let any = |key: &str, test: &dyn Fn(&str) -> bool| {
            let values = filters.get(key);
            values.is_empty() || values.iter().any(|value| test(value))
        };
        let health = container.health.as_ref().map_or("none", |health| health.status.as_str());
        let alive = status.is_alive() || status == Status::Restarting;
        (self.all || alive)
            && any("status", &|wanted| wanted == status.name())
            && any("id", &|wanted| container.id.starts_with(wanted))
            && any("name", &|wanted| name_fits(&container.name, wanted))
            && (self.exited.is_empty()
                || (status == Status::Exited && self.exited.contains(&container.state.exit_code)))
            && filters.labels(&container.config.labels)
            && any("health", &|wanted| wanted == health)
            && (filters.get("ancestor").is_empty()
                || self.ancestors.contains(&container.image)
                || any("ancestor", &|wanted| container.config.image == wanted))
            && any("volume", &|wanted| {
                container.mounts.iter().any(|point| {
                    point.name == wanted || point.destination == wanted || point.source == wanted
                })
            })
            && any("network", &|wanted| {
                container.endpoints.iter().any(|(name, endpoint)| {
                    name == wanted || endpoint.network_id.starts_with(wanted)
                })
            })
            && any("publish", &|wanted| port_fits(wanted, container.ports.keys()))
            && any("expose", &|wanted| port_fits(wanted, container.config.exposed_ports.keys()))
            && any("is-task", &|wanted| matches!(wanted, "0" | "false"))
            && any("isolation", &|wanted| wanted == "default")
            && self.before.is_none_or(|before| container.created < before)
            && self.since.is_none_or(|since| container.created > since)
    }
}

/// Whether a name holds a pattern: Docker takes regular expressions; `^`, `$` and plain text are
/// what is used of them.
fn name_fits(name: &str, pattern: &str) -> bool {
    let (start, pattern) = match pattern.strip_prefix('^') {
        Some(rest) => (true, rest),
        None => (false, pattern),
    };
    let (end, pattern) = match pattern.strip_suffix('$') {
        Some(rest) => (true, rest),
        None => (false, pattern),
    };
    let pattern = pattern.strip_prefix('/').unwrap_or(pattern);
    match (start, end) {
        (true, true) => name == pattern,
        (true, false) => name.starts_with(pattern),
        (false, true) => name.ends_with(pattern),
        (false, false) => name.contains(pattern),
    }
}

/// Whether `80`, `80/tcp` or `80-90/tcp` is among ports.
fn port_fits<'p>(wanted: &str, mut ports: impl Iterator<Item = &'p String>) -> bool {
    let (range, protocol) = wanted.split_once('/').unwrap_or((wanted, "tcp"));
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>()) else { return false };
    ports.any(|port| {
        let (number, of) = port.split_once('/').unwrap_or((port, "tcp"));
        of == protocol && number.parse::<u16>().is_ok_and(|n| (first..=last).contains(&n))
    })
}

/// `Ports` of a summary, sorted.
fn ports(container: &Container) -> Vec<Port> {
    let mut ports = BTreeSet::new();
    if !container.state.status.is_alive() {
        return Vec::new();
    }
    let exposed = container.config.exposed_ports.keys().map(|port| (port, None));
    let published = container.ports.iter().map(|(port, bindings)| (port, bindings.as_ref()));
    for (port, bindings) in exposed.chain(published) {
        let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
        let Ok(private_port) = number.parse() else { continue };
        let port = |ip: &str, public_port| Port {
            ip: ip.into(),
            private_port,
            public_port,
            protocol: protocol.into(),
        };
        match bindings {
            Some(bindings) => {
                ports.extend(bindings.iter().map(|b| port(&b.host_ip, b.host_port.parse().ok())));
            }
            None if !container.ports.contains_key(&format!("{number}/{protocol}")) => {
                ports.insert(port("", None));
            }
            None => {}
        }
    }
    ports.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        assert!(name_fits("web-1", "web"));
        assert!(name_fits("web-1", "^/web-1$"));
        assert!(!name_fits("web-1", "^web$"));
        let ports = ["80/tcp".to_string(), "53/udp".to_string()];
        assert!(port_fits("80", ports.iter()));
        assert!(port_fits("50-60/udp", ports.iter()));
        assert!(!port_fits("53", ports.iter()));
    }
}
