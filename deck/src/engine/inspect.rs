//! What inspect shows.

use super::model::inspect::{
    ExecInspect, GraphDriver, Inspect, Mount, NetworkSettings, ProcessConfig, State,
};
use super::record::{Container, Exec, MountPoint, Status};
use super::{Engine, time};
use crate::error::Result;
use crate::net::{EndpointSettings, PortMap};
use crate::store::records::{self, Table};
use std::collections::BTreeMap;
use std::path::Path;

/// The storage driver's name.
pub const DRIVER: &str = "overlayfs";

impl Engine {
    /// A container as inspect shows it, with `size` also what it takes on disk.
    ///
    /// # Errors
    /// 404.
    pub fn inspect(&self, reference: &str, size: bool) -> Result<Inspect> {
        let container = self.settle(self.find(reference)?)?;
        let (size_rw, size_root_fs) = if size { self.sizes(&container) } else { (None, None) };
        let execs: Vec<Exec> = records::all_named(&self.database(), Table::Execs, &container.id)?;
        let running: Vec<String> = execs
            .into_iter()
            .filter(|exec| exec.started && exec.exit_code.is_none())
            .map(|exec| exec.id)
            .collect();
        let directory = self.config.container_dir(&container.id);
        let file = |name: &str| match container.state.started {
            0 => String::new(),
            _ => directory.join(name).display().to_string(),
        };
        let log = if container.host.log_config.kind == "none" {
            String::new()
        } else {
            self.log_path(&container.id).display().to_string()
        };
        let (path, args) = container.command.split_first().map_or_else(
            || (String::new(), Vec::new()),
            |(path, args)| (path.clone(), args.to_vec()),
        );
        Ok(Inspect {
            created: time::rfc3339(container.created),
            path,
            args,
            state: state(&container),
            image: container.image.clone(),
            resolv_conf_path: file("resolv.conf"),
            hostname_path: file("hostname"),
            hosts_path: file("hosts"),
            log_path: log,
            name: format!("/{}", container.name),
            restart_count: container.restart_count,
            driver: DRIVER,
            platform: "linux",
            mount_label: "",
            process_label: "",
            app_armor_profile: "",
            exec_ids: (!running.is_empty()).then_some(running),
            graph_driver: self.graph_driver(&container),
            size_rw,
            size_root_fs,
            mounts: mounts(&container),
            network_settings: self.network_settings(&container),
            image_manifest_descriptor: container.manifest,
            id: container.id,
            host_config: container.host,
            config: container.config,
        })
    }

    /// Bytes written, and with the image's.
    pub(super) fn sizes(&self, container: &Container) -> (Option<u64>, Option<u64>) {
        let written = Self::wait_for(self.images.snapshots().usage(&container.id)).ok();
        let image = self.images.resolve(&container.image).map_or(0, |image| image.size);
        (written.or(Some(0)), Some(written.unwrap_or_default() + image))
    }

    fn graph_driver(&self, container: &Container) -> GraphDriver {
        let upper = self.images.snapshots().upper(&container.id).ok();
        let merged = self.config.bundle_dir(&container.id).join("rootfs");
        let text = |path: &Path| path.display().to_string();
        let data = upper.map(|upper| {
            BTreeMap::from([
                ("UpperDir".to_string(), text(&upper)),
                ("MergedDir".to_string(), text(&merged)),
            ])
        });
        GraphDriver { data, name: DRIVER }
    }

    fn network_settings(&self, container: &Container) -> NetworkSettings {
        let networks = networks(container);
        let default = networks.get("bridge").cloned().unwrap_or_default();
        let key = self.networks.netns_path(&container.id);
        let alive = container.state.status.is_alive();
        let own = alive && key.exists();
        NetworkSettings {
            bridge: "",
            sandbox_id: if own { container.id.clone() } else { String::new() },
            sandbox_key: if own { key.display().to_string() } else { String::new() },
            ports: ports(container),
            hairpin_mode: false,
            link_local_ipv6_address: "",
            link_local_ipv6_prefix_len: 0,
            secondary_ip_addresses: None,
            secondary_ipv6_addresses: None,
            endpoint_id: default.endpoint_id,
            gateway: default.gateway,
            global_ipv6_address: default.global_ipv6_address,
            global_ipv6_prefix_len: default.global_ipv6_prefix_len,
            ip_address: default.ip_address,
            ip_prefix_len: default.ip_prefix_len,
            ipv6_gateway: default.ipv6_gateway,
            mac_address: default.mac_address,
            networks,
        }
    }

    /// An exec as inspect shows it.
    ///
    /// # Errors
    /// 404.
    pub fn inspect_exec(&self, id: &str) -> Result<ExecInspect> {
        let exec = self.exec(id)?;
        let (entrypoint, arguments) = exec.command.split_first().map_or_else(
            || (String::new(), Vec::new()),
            |(first, rest)| (first.clone(), rest.to_vec()),
        );
        Ok(ExecInspect {
            running: exec.started && exec.exit_code.is_none(),
            exit_code: exec.exit_code,
            process_config: ProcessConfig {
                tty: exec.tty,
                entrypoint,
                arguments,
                privileged: exec.privileged,
                user: exec.user,
            },
            open_stdin: exec.stdin,
            open_stderr: exec.stderr,
            open_stdout: exec.stdout,
            can_remove: exec.exit_code.is_some(),
            container_id: exec.container,
            detach_keys: exec.detach_keys,
            pid: exec.pid,
            id: exec.id,
        })
    }
}

/// `State`.
fn state(container: &Container) -> State {
    let state = &container.state;
    let is = |status: Status| state.status == status;
    State {
        status: state.status.name(),
        // Docker says running of what is paused or waits for its restart.
        running: matches!(state.status, Status::Running | Status::Paused | Status::Restarting),
        paused: is(Status::Paused),
        restarting: is(Status::Restarting),
        oom_killed: state.oom_killed,
        dead: is(Status::Dead),
        pid: state.pid,
        exit_code: state.exit_code,
        error: state.error.clone(),
        started_at: time::rfc3339(state.started),
        finished_at: time::rfc3339(state.finished),
        health: container.health.clone(),
    }
}

/// What a container is on: what it got, else what it asked for.
pub(super) fn networks(container: &Container) -> BTreeMap<String, EndpointSettings> {
    let mut networks = container.endpoints.clone();
    for (name, got) in &container.attached {
        let wish = networks.entry(name.clone()).or_default();
        let chosen = (wish.ipam_config.take(), wish.links.take(), wish.aliases.take());
        *wish = got.clone();
        wish.ipam_config = chosen.0.or(wish.ipam_config.take());
        wish.links = chosen.1.or(wish.links.take());
        wish.aliases = chosen.2.or(wish.aliases.take());
    }
    networks
}

/// Published ports, and exposed ones as null.
fn ports(container: &Container) -> PortMap {
    let mut ports = container.ports.clone();
    if container.state.status.is_alive() {
        for port in container.config.exposed_ports.keys() {
            ports.entry(port.clone()).or_insert(None);
        }
    }
    ports
}

/// `Mounts`; what `--tmpfs` made is told in `HostConfig` alone.
pub(super) fn mounts(container: &Container) -> Vec<Mount> {
    let by_option = |point: &&MountPoint| {
        point.kind == "tmpfs"
            && container
                .host
                .tmpfs
                .iter()
                .flatten()
                .any(|(path, _)| super::mounts::clean(path) == point.destination)
    };
    let points = container.mounts.iter().filter(|point| !by_option(point));
    points
        .map(|point| Mount {
            kind: point.kind.clone(),
            name: point.name.clone(),
            source: point.source.clone(),
            destination: point.destination.clone(),
            driver: point.driver.clone(),
            mode: point.mode.clone(),
            writable: point.writable,
            propagation: point.propagation.clone(),
        })
        .collect()
}
