//! Making containers: the request over the image's defaults, its volumes, its record.

use super::model::config::{ContainerConfig, CreateRequest};
use super::model::host::HostConfig;
use super::record::{Container, Manifest, MountPoint};
use super::{Engine, mounts, text, time, validate};
use crate::error::{At, Error, Result};
use crate::image::{Image, Platform, RunConfig, SnapshotOptions};
use crate::net::{EndpointSettings, ports};
use crate::store::records::{self, Table};
use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt;

/// Docker's size of /dev/shm.
const SHM_SIZE: i64 = 64 << 20;

impl Engine {
    /// Makes a container; answers its id and warnings.
    ///
    /// # Errors
    /// 400 for what can't be meant, 404 without the image for the platform asked for, 409 when the name is taken.
    pub fn create(
        &self,
        name: Option<&str>,
        platform: Option<&Platform>,
        mut request: CreateRequest,
    ) -> Result<(String, Vec<String>)> {
        validate::request(&request)?;
        self.runtime_known(&mut request.host)?;
        let warnings = defaults(&mut request);
        let image = if request.config.image.is_empty() {
            return Err(Error::invalid("no image specified"));
        } else {
            self.images.resolve(&request.config.image)?
        };
        if let Some(wanted) = platform {
            serves(&image, &request.config.image, wanted)?;
        }
        merge(&mut request.config, &image.config.config)?;
        self.links_known(&request.host)?;
        let exposed = request.config.exposed_ports.keys().map(String::as_str);
        ports::requests(&request.host.port_bindings, exposed, request.host.publish_all_ports)?;
        let endpoints = self.endpoints(&request)?;
        let id = text::new_id()?;
        if request.config.hostname.is_empty() {
            request.config.hostname = self.default_hostname(&request.host, &id);
        }
        let mut points =
            mounts::resolve(&request.config, &request.host, &|other| Ok(self.find(other)?.mounts))?;
        if points.iter().any(|point| point.kind == "volume") {
            super::volume::driver_known(&request.host.volume_driver)?;
        }
        // Named before the record is written: a creation that is cut off leaves no volume that
        // nobody knows of.
        for point in points.iter_mut().filter(|point| point.kind == "volume") {
            if point.name.is_empty() {
                point.name = text::new_id()?;
            }
        }
        let command = [request.config.entrypoint.clone(), request.config.cmd.clone()];
        let mut container = Container {
            id: id.clone(),
            created: time::now(),
            image: image.id.to_string(),
            manifest: Some(manifest(&image)),
            command: command.into_iter().flatten().flatten().collect(),
            config: request.config,
            host: request.host,
            endpoints,
            mounts: points,
            ..Container::default()
        };
        self.claim(&mut container, name)?;
        let made = self.furnish(&mut container, &image);
        if let Err(error) = made {
            self.discard(&container);
            return Err(error);
        }
        self.emit_container(&container, "create", &[]);
        Ok((id, warnings))
    }

    /// Writes the record under the name asked for, or under a new one.
    fn claim(&self, container: &mut Container, name: Option<&str>) -> Result<()> {
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            for attempt in 0..64 {
                container.name = text::new_name(attempt)?;
                match self.add(container) {
                    Err(error) if error.status == 409 => {}
                    done => return done,
                }
            }
            return Err(Error::internal("no name is left for a new container: give one"));
        };
        container.name = valid_name(name)?;
        self.add(container).map_err(|error| self.name_taken(error, &container.name))
    }

    /// Adds the record.
    fn add(&self, container: &Container) -> Result<()> {
        records::insert(
            &self.database(),
            Table::Containers,
            &container.id,
            &container.name,
            container,
        )
    }

    /// Docker's words for a name that is taken.
    pub(super) fn name_taken(&self, error: Error, name: &str) -> Error {
        if error.status != 409 {
            return error;
        }
        let holder: Option<Container> =
            records::named(&self.database(), Table::Containers, name).ok().flatten();
        let id = holder.map(|holder| holder.id).unwrap_or_default();
        Error::conflict(format!(
            "Conflict. The container name \"/{name}\" is already in use by container \"{id}\". You \
             have to remove (or rename) that container to be able to reuse that name."
        ))
    }

    /// Directory, snapshot and volumes of a new container.
    fn furnish(&self, container: &mut Container, image: &Image) -> Result<()> {
        let directory = self.config.container_dir(&container.id);
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o710)
            .create(&directory)
            .at(|| format!("mkdir {}", directory.display()))?;
        self.make_lock(&container.id)?;
        let size = container.host.storage_opt.as_ref().and_then(|options| options.get("size"));
        let size =
            match size {
                Some(text) => Some(validate::size(text).ok_or_else(|| {
                    Error::invalid(format!("invalid storage option: size={text}"))
                })?),
                None => None,
            };
        let options = SnapshotOptions { size, ..SnapshotOptions::default() };
        Self::wait_for(self.images.snapshots().prepare(&container.id, Some(&image.id), &options))?;
        self.furnish_mounts(container)?;
        self.save(container)
    }

    /// Makes volumes and host directories, and fills new volumes from the image.
    fn furnish_mounts(&self, container: &mut Container) -> Result<()> {
        let mut points = std::mem::take(&mut container.mounts);
        let result = points.iter_mut().try_for_each(|point| self.furnish_mount(point, container));
        container.mounts = points;
        result?;
        let fill: Vec<&MountPoint> = container
            .mounts
            .iter()
            .filter(|point| point.kind == "volume" && !point.no_copy && point.subpath.is_empty())
            .filter(|point| self.volume_is_new(&point.name))
            .collect();
        if fill.is_empty() { Ok(()) } else { self.fill_volumes(container, &fill) }
    }

    /// Makes what one mount needs on the host.
    fn furnish_mount(&self, point: &mut MountPoint, container: &Container) -> Result<()> {
        match point.kind.as_str() {
            "volume" => {
                let options = container
                    .host
                    .mounts
                    .iter()
                    .flatten()
                    .find(|mount| mounts::clean(&mount.target) == point.destination)
                    .and_then(|mount| mount.volume_options.clone())
                    .unwrap_or_default();
                let driver = options.driver_config.unwrap_or_default();
                let volume = self.make_volume(
                    &point.name,
                    point.anonymous,
                    &options.labels,
                    &driver.options,
                )?;
                point.source = volume.mountpoint;
            }
            "bind" if point.options.iter().any(|option| option == "must-exist") => {
                std::fs::metadata(&point.source).map_err(|error| {
                    let text = match error.kind() {
                        std::io::ErrorKind::NotFound => "bind source path does not exist".into(),
                        _ => error.to_string(),
                    };
                    Error::invalid(format!(
                        "invalid mount config for type \"bind\": {text}: {}",
                        point.source
                    ))
                })?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Removes what a failed create made.
    fn discard(&self, container: &Container) {
        for point in container.mounts.iter().filter(|point| point.anonymous) {
            drop(self.delete_volume_files(&point.name));
        }
        drop(Self::wait_for(self.images.snapshots().remove(&container.id)));
        drop(std::fs::remove_dir_all(self.config.container_dir(&container.id)));
        drop(records::delete(&self.database(), Table::Containers, &container.id));
    }

    /// Names the runtime, and refuses those nobody configured.
    fn runtime_known(&self, host: &mut HostConfig) -> Result<()> {
        let own = self.config.runtime.file_name().unwrap_or_default().to_string_lossy();
        if host.runtime.is_empty() {
            host.runtime = own.into_owned();
            return Ok(());
        }
        if host.runtime == own {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "unknown or invalid runtime name: {}; there is {own}",
            host.runtime
        )))
    }

    /// The networks of a new container by their own names; the mode's is among them.
    fn endpoints(&self, request: &CreateRequest) -> Result<BTreeMap<String, EndpointSettings>> {
        let mode = request.host.network_mode.as_str();
        let mut asked = request.networking.endpoints_config.clone();
        if let Some(default) = asked.remove("default") {
            asked.entry(mode.to_string()).or_insert(default);
        }
        if let Some(other) = mode.strip_prefix("container:") {
            self.find(other)?;
            if asked.keys().any(|name| name != mode) {
                return Err(Error::invalid(
                    "conflicting options: container type network can't be used with links or \
                     endpoints",
                ));
            }
            return Ok(BTreeMap::new());
        }
        let mut endpoints = BTreeMap::new();
        for (name, mut settings) in asked {
            let known = self.networks.inspect(&name)?.network;
            settings.network_id = known.id;
            endpoints.insert(known.name, settings);
        }
        let own = self.networks.inspect(mode)?.network;
        let endpoint = endpoints.entry(own.name).or_default();
        endpoint.network_id = own.id;
        if !request.config.mac_address.is_empty() && endpoint.mac_address.is_empty() {
            endpoint.mac_address.clone_from(&request.config.mac_address);
        }
        if endpoints.len() > 1 && matches!(mode, "host" | "none") {
            return Err(Error::invalid(format!(
                "Container cannot be connected to network endpoints with network mode {mode}"
            )));
        }
        Ok(endpoints)
    }

    /// The host name of a container that was given none.
    fn default_hostname(&self, host: &HostConfig, id: &str) -> String {
        let short = id[..12].to_string();
        if let Some(other) = host.network_mode.strip_prefix("container:") {
            return self.find(other).map_or(short, |other| other.config.hostname);
        }
        if host.network_mode == "host" || host.uts_mode == "host" {
            let name = nix::unistd::gethostname().unwrap_or_default();
            return name.to_string_lossy().into_owned();
        }
        short
    }
}

/// Refuses an image for another platform than is asked for: clients pull that one then.
fn serves(image: &Image, name: &str, wanted: &Platform) -> Result<()> {
    let own = image.config.platform();
    if wanted.rank(&own).is_some() {
        return Ok(());
    }
    Err(Error::not_found(format!(
        "No such image: {name} for {wanted}: the one that is here is for {own}"
    )))
}

/// The manifest as inspect shows it.
fn manifest(image: &Image) -> Manifest {
    Manifest {
        media_type: image.media_type.clone(),
        digest: image.manifest.to_string(),
        size: image.manifest_size,
    }
}

/// A container's name as Docker allows it.
///
/// # Errors
/// 400 in Docker's words.
pub fn valid_name(name: &str) -> Result<String> {
    let name = name.strip_prefix('/').unwrap_or(name);
    let mut bytes = name.bytes();
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if first && name.len() >= 2 && name.len() <= 255 && bytes.all(good) {
        return Ok(name.to_string());
    }
    Err(Error::invalid(format!(
        "Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
    )))
}

/// Puts Docker's defaults where the request says nothing; answers warnings.
pub fn defaults(request: &mut CreateRequest) -> Vec<String> {
    let host = &mut request.host;
    if matches!(host.network_mode.as_str(), "" | "default") {
        host.network_mode = "bridge".into();
    }
    if request.config.network_disabled {
        host.network_mode = "none".into();
    }
    if host.log_config.kind.is_empty() {
        host.log_config.kind = "json-file".into();
    }
    if host.restart_policy.name.is_empty() {
        host.restart_policy.name = "no".into();
    }
    if host.ipc_mode.is_empty() {
        host.ipc_mode = "private".into();
    }
    if host.cgroupns_mode.is_empty() {
        let unified = std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        let private = unified && !host.privileged;
        host.cgroupns_mode = if private { "private" } else { "host" }.into();
    }
    if host.shm_size == 0 {
        host.shm_size = SHM_SIZE;
    }
    let resources = &mut host.resources;
    if resources.memory_swappiness == Some(-1) {
        resources.memory_swappiness = None;
    }
    if matches!(resources.pids_limit, Some(0 | -1)) {
        resources.pids_limit = None;
    }
    if resources.memory > 0 && resources.memory_swap == 0 {
        resources.memory_swap = resources.memory.saturating_mul(2);
    }
    if request.config.tty {
        // A terminal has one stream.
        request.config.attach_stderr &= request.config.attach_stdout;
    }
    let mut warnings = Vec::new();
    let network_is_host = host.network_mode == "host";
    if network_is_host && (!host.port_bindings.is_empty() || host.publish_all_ports) {
        warnings.push("Published ports are discarded when using host network mode".to_string());
    }
    warnings
}

/// The image's defaults where the request says nothing.
///
/// # Errors
/// 400 when there is no command.
pub fn merge(config: &mut ContainerConfig, image: &RunConfig) -> Result<()> {
    if config.user.is_empty() {
        config.user.clone_from(&image.user);
    }
    if config.working_dir.is_empty() {
        config.working_dir.clone_from(&image.working_dir);
    } else {
        config.working_dir = mounts::clean(&config.working_dir);
    }
    if config.stop_signal.is_empty() {
        config.stop_signal.clone_from(&image.stop_signal);
    }
    config.stop_timeout = config.stop_timeout.or(image.stop_timeout);
    if config.entrypoint.as_ref().is_none_or(Vec::is_empty) {
        let reset = config.entrypoint.is_some();
        if config.cmd.as_ref().is_none_or(Vec::is_empty) && !reset {
            config.cmd.clone_from(&image.cmd);
        }
        if !reset {
            config.entrypoint.clone_from(&image.entrypoint);
        }
    } else if config.entrypoint.as_ref().is_some_and(|words| words == &[String::new()]) {
        // `--entrypoint ""`: neither the image's entrypoint nor its command.
        config.entrypoint = None;
    }
    let env = config.env.take().unwrap_or_default();
    config.env = Some(merge_env(&image.env, env));
    for (port, empty) in &image.exposed_ports {
        config.exposed_ports.entry(port.clone()).or_insert(*empty);
    }
    let bindings = config.volumes.take();
    let mut volumes = bindings.clone().unwrap_or_default();
    for (path, empty) in &image.volumes {
        volumes.entry(path.clone()).or_insert(*empty);
    }
    config.volumes = if volumes.is_empty() { bindings } else { Some(volumes) };
    for (key, value) in &image.labels {
        config.labels.entry(key.clone()).or_insert_with(|| value.clone());
    }
    if config.shell.is_none() {
        config.shell.clone_from(&image.shell);
    }
    merge_health(config, image);
    let none = |words: &Option<Vec<String>>| words.as_ref().is_none_or(Vec::is_empty);
    if none(&config.entrypoint) && none(&config.cmd) {
        return Err(Error::invalid("no command specified"));
    }
    Ok(())
}

/// The image's probe where the request has none, or lacks parts of it.
fn merge_health(config: &mut ContainerConfig, image: &RunConfig) {
    let Some(given) = &image.healthcheck else { return };
    let Some(own) = &mut config.healthcheck else {
        config.healthcheck = Some(given.clone());
        return;
    };
    if own.test.as_ref().is_none_or(Vec::is_empty) {
        own.test.clone_from(&given.test);
    }
    for (own, given) in [
        (&mut own.interval, given.interval),
        (&mut own.timeout, given.timeout),
        (&mut own.start_period, given.start_period),
        (&mut own.start_interval, given.start_interval),
        (&mut own.retries, given.retries),
    ] {
        if *own == 0 {
            *own = given;
        }
    }
}

/// Variables over others by name; a bare `NAME` takes one out.
pub fn merge_env(below: &[String], above: Vec<String>) -> Vec<String> {
    let name = |variable: &str| variable.split('=').next().unwrap_or_default().to_string();
    let mut env: Vec<String> = below
        .iter()
        .filter(|variable| !above.iter().any(|other| name(other) == name(variable)))
        .cloned()
        .collect();
    env.extend(above);
    env
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(config: &str, image: &str) -> Result<ContainerConfig> {
        let mut config: ContainerConfig = serde_json::from_str(config).unwrap();
        merge(&mut config, &serde_json::from_str(image).unwrap())?;
        Ok(config)
    }

    #[test]
    fn the_request_wins_over_the_image() {
        let image = r#"{"Entrypoint":["/e"],"Cmd":["c"],"Env":["A=1","B=2"],"User":"u",
            "Labels":{"l":"i"},"Volumes":{"/v":{}},"WorkingDir":"/w"}"#;
        let config =
            merged(r#"{"Cmd":["x"],"Env":["B=3","A"],"Labels":{"l":"r"}}"#, image).unwrap();
        assert_eq!(config.entrypoint.unwrap(), ["/e"]);
        assert_eq!(config.cmd.unwrap(), ["x"]);
        assert_eq!(config.env.unwrap(), ["B=3", "A"]);
        assert_eq!(config.labels["l"], "r");
        assert_eq!((config.user.as_str(), config.working_dir.as_str()), ("u", "/w"));
        let config = merged(r#"{"Entrypoint":["/mine"]}"#, image).unwrap();
        assert_eq!(config.cmd, None, "another entrypoint drops the image's command");
        let none = merged(r#"{"Entrypoint":[""]}"#, image).unwrap_err();
        assert_eq!(none.message, "no command specified");
        let config = merged(r#"{"Entrypoint":[],"Cmd":["a"]}"#, image).unwrap();
        assert_eq!(config.entrypoint, Some(vec![]));
    }

    #[test]
    fn names() {
        assert_eq!(valid_name("/web-1").unwrap(), "web-1");
        for name in ["", "a", "../x", "-a", "a b", "a/b"] {
            assert!(valid_name(name).is_err(), "{name}");
        }
    }
}
