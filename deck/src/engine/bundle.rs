//! From the options of `run` to the wishes of a bundle that stands alone: without an engine there
//! are no named volumes, no networks and no other containers. Pure.

use super::create::defaults;
use super::model::config::CreateRequest;
use super::model::host::HostConfig;
use super::record::MountPoint;
use super::{mounts, validate, wishes};
use crate::bundle::wishes::{MountSource, MountWish, Namespace, Namespaces, Wishes};
use crate::error::{Error, Result};
use crate::image::RunConfig;
use std::path::{Path, PathBuf};

/// Where a bundle keeps what images and options call volumes.
pub const VOLUMES: &str = "volumes";

/// The wishes of a request for a bundle at `dir` of an image.
///
/// # Errors
/// 400 for what can't be meant, or needs an engine.
pub fn wishes(mut request: CreateRequest, image: &RunConfig, dir: &Path) -> Result<Wishes> {
    let network = network(&request.host.network_mode)?;
    if request.host.cgroupns_mode.is_empty() {
        "private".clone_into(&mut request.host.cgroupns_mode);
    }
    defaults(&mut request);
    validate::request(&request)?;
    alone(&request)?;
    let CreateRequest { mut config, host, .. } = request;
    let mut volumes = config.volumes.take().unwrap_or_default();
    volumes.extend(image.volumes.iter().map(|(path, empty)| (path.clone(), *empty)));
    config.volumes = Some(volumes);
    let none = |name: &str| Err(needs_engine(&format!("--volumes-from {name}")));
    let mut mounts = Vec::new();
    for point in mounts::resolve(&config, &host, &none)? {
        mounts.push(mount(point, mounts.len())?);
    }
    if host.ipc_mode == "host" {
        let shm = || MountSource::Bind("/dev/shm".into());
        let target = "/dev/shm".into();
        mounts.push(MountWish { target, source: shm(), ..MountWish::default() });
    }
    let mode = |mode: &str| if mode == "host" { Namespace::Host } else { Namespace::Private };
    let mut wishes = Wishes {
        // Docker's word for "neither the image's entrypoint nor its command".
        entrypoint: config.entrypoint.take().map(|words| match &words[..] {
            [word] if word.is_empty() => Vec::new(),
            _ => words,
        }),
        cmd: config.cmd.take().filter(|words| !words.is_empty()),
        env: config.env.take().unwrap_or_default(),
        user: Some(config.user.clone()).filter(|user| !user.is_empty()),
        working_dir: Some(config.working_dir.clone()).filter(|path| !path.is_empty()),
        mounts,
        namespaces: Namespaces {
            network,
            pid: mode(&host.pid_mode),
            ipc: mode(&host.ipc_mode),
            uts: mode(&host.uts_mode),
            cgroup: mode(&host.cgroupns_mode),
            user: None,
        },
        cgroups_path: cgroup(&host, dir),
        ..wishes::plain(&config, &host)?
    };
    for (name, value) in config.labels {
        wishes.annotations.entry(name).or_insert(value);
    }
    if !config.stop_signal.is_empty() {
        let name = "org.opencontainers.image.stopSignal".to_owned();
        wishes.annotations.entry(name).or_insert(config.stop_signal);
    }
    Ok(wishes)
}

fn needs_engine(option: &str) -> Error {
    Error::invalid(format!("{option}: needs an engine: a bundle stands alone"))
}

/// `none`, `host`, or the namespace at a path.
fn network(mode: &str) -> Result<Namespace> {
    match mode {
        "" | "none" => Ok(Namespace::Private),
        "host" => Ok(Namespace::Host),
        _ => match mode.strip_prefix("ns:").filter(|path| path.starts_with('/')) {
            Some(path) => Ok(Namespace::Path(path.into())),
            None => Err(needs_engine(&format!("--network {mode}"))),
        },
    }
}

/// Refuses what refers to what only an engine has.
fn alone(request: &CreateRequest) -> Result<()> {
    let host = &request.host;
    if host.pid_mode.starts_with("container:") {
        return Err(needs_engine(&format!("--pid {}", host.pid_mode)));
    }
    let given = [
        (host.storage_opt.as_ref().is_some_and(|options| !options.is_empty()), "--storage-opt"),
        (!host.volume_driver.is_empty(), "--volume-driver"),
        (request.config.stop_timeout.is_some(), "--stop-timeout"),
    ];
    match given.iter().find(|(given, _)| *given) {
        Some((_, option)) => Err(needs_engine(option)),
        None => Ok(()),
    }
}

fn mount(point: MountPoint, number: usize) -> Result<MountWish> {
    let source = match point.kind.as_str() {
        "tmpfs" => MountSource::Tmpfs(point.options),
        "bind" => MountSource::Bind(PathBuf::from(point.source)),
        _ if point.anonymous => MountSource::Bind(Path::new(VOLUMES).join(number.to_string())),
        _ => return Err(needs_engine(&format!("volume {}", point.name))),
    };
    Ok(MountWish {
        target: point.destination.into(),
        source,
        read_only: !point.writable,
        propagation: Some(point.propagation).filter(|word| !word.is_empty()),
        non_recursive: point.non_recursive,
        read_only_non_recursive: point.read_only_non_recursive,
    })
}

/// Below the parent asked for, by the bundle's name; else the runtime chooses.
fn cgroup(host: &HostConfig, dir: &Path) -> Option<String> {
    let parent = host.resources.cgroup_parent.trim_end_matches('/');
    let name = dir.file_name()?.to_string_lossy();
    (!parent.is_empty()).then(|| format!("{parent}/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_value, json};

    fn of(body: Value) -> Result<Wishes> {
        let image = from_value(json!({"Volumes": {"/data": {}, "/own": {}}})).unwrap();
        wishes(from_value(body).unwrap(), &image, Path::new("/b/box"))
    }

    #[test]
    fn volumes_lie_in_the_bundle() {
        let body = json!({"HostConfig": {"Binds": ["/srv:/own:ro"], "CgroupParent": "/p/"}});
        let wishes = of(body).unwrap();
        let mounts: Vec<(&Path, &MountSource, bool)> = wishes
            .mounts
            .iter()
            .map(|mount| (mount.target.as_path(), &mount.source, mount.read_only))
            .collect();
        let (volume, bind) = ("volumes/0".into(), "/srv".into());
        let expected = [
            (Path::new("/data"), &MountSource::Bind(volume), false),
            (Path::new("/own"), &MountSource::Bind(bind), true),
        ];
        assert_eq!(mounts, expected);
        assert_eq!(wishes.cgroups_path.as_deref(), Some("/p/box"));
    }

    #[test]
    fn words_are_merged_as_docker_merges_them() {
        let wishes = of(json!({
            "Entrypoint": [""], "Labels": {"a": "label", "b": "c"}, "StopSignal": "SIGINT",
            "HostConfig": {"Annotations": {"a": "own"}, "NetworkMode": "ns:/run/netns/x",
                           "PidMode": "host"},
        }))
        .unwrap();
        assert_eq!(wishes.entrypoint, Some(Vec::new()));
        assert_eq!((&wishes.annotations["a"][..], &wishes.annotations["b"][..]), ("own", "c"));
        assert_eq!(wishes.annotations["org.opencontainers.image.stopSignal"], "SIGINT");
        assert_eq!(wishes.namespaces.network, Namespace::Path("/run/netns/x".into()));
        assert_eq!(wishes.namespaces.pid, Namespace::Host);
        assert_eq!(wishes.namespaces.cgroup, Namespace::Private);
    }

    #[test]
    fn what_needs_an_engine_is_refused() {
        for host in [
            json!({"NetworkMode": "bridge"}),
            json!({"NetworkMode": "container:x"}),
            json!({"NetworkMode": "ns:x"}),
            json!({"PidMode": "container:x"}),
            json!({"VolumesFrom": ["x"]}),
            json!({"Binds": ["named:/x"]}),
            json!({"StorageOpt": {"size": "1g"}}),
            json!({"VolumeDriver": "local"}),
        ] {
            let error = of(json!({"HostConfig": host.clone()})).unwrap_err();
            assert!(error.message.contains("needs an engine"), "{host}: {error}");
        }
        assert!(of(json!({"StopTimeout": 0})).is_err());
    }
}
