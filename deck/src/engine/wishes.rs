//! From a container's record to the wishes its spec is made of.

use super::model::config::ContainerConfig;
use super::model::host::{HostConfig, Resources, ThrottleDevice};
use super::record::{Container, MountPoint};
use super::{Engine, host_state};
use crate::bundle::wishes::Resources as ResourceWishes;
use crate::bundle::wishes::{
    BlkioRate, DeviceWish, MountSource, MountWish, Namespace, Namespaces, Seccomp, Security,
    Ulimit, Wishes,
};
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Programs that run as pid 1 for `--init`, in the order they are looked for.
const INITS: &[&str] = &[
    "/usr/bin/docker-init",
    "/usr/bin/tini-static",
    "/usr/libexec/podman/catatonit",
    "/usr/bin/catatonit",
];

impl Engine {
    /// The wishes of a container that starts in this network namespace.
    ///
    /// # Errors
    /// A volume is gone, another container it joins doesn't run, an option can't be meant.
    pub(super) fn wishes(&self, container: &Container, network: Namespace) -> Result<Wishes> {
        let (config, host) = (&container.config, &container.host);
        let mut mounts = self.mount_wishes(container)?;
        let (ipc, shared) = self.ipc(host)?;
        mounts.extend(shared);
        Ok(Wishes {
            mounts,
            namespaces: Namespaces {
                network,
                pid: self.joined(&host.pid_mode, "pid")?,
                ipc,
                uts: if host.uts_mode == "host" { Namespace::Host } else { Namespace::Private },
                cgroup: match host.cgroupns_mode.as_str() {
                    "private" => Namespace::Private,
                    _ => Namespace::Host,
                },
                user: None,
            },
            // An ordinary user's engine has no cgroup to put containers in: the runtime makes do.
            cgroups_path: host_state::may_make_cgroups().then(|| cgroups_path(container)),
            ..plain(config, host)?
        })
    }

    /// What is mounted, with the files a resolver reads.
    fn mount_wishes(&self, container: &Container) -> Result<Vec<MountWish>> {
        let mut points: Vec<&MountPoint> = container.mounts.iter().collect();
        // What lies below another mount comes after it.
        points.sort_by_key(|point| point.destination.matches('/').count());
        let taken = |path: &str| points.iter().any(|point| point.destination == path);
        // The network's owner has the files, and changes of them are everybody's.
        let owner = match container.host.network_mode.strip_prefix("container:") {
            Some(other) => self.find(other)?.id,
            None => container.id.clone(),
        };
        let mut wishes = Vec::new();
        for name in ["resolv.conf", "hostname", "hosts"] {
            let target = format!("/etc/{name}");
            if !taken(&target) {
                wishes.push(MountWish {
                    target: target.into(),
                    source: MountSource::Bind(self.config.container_dir(&owner).join(name)),
                    ..MountWish::default()
                });
            }
        }
        for point in points {
            let source = match point.kind.as_str() {
                "tmpfs" => MountSource::Tmpfs(point.options.clone()),
                "volume" => MountSource::Bind(self.volume_source(point)?),
                _ => MountSource::Bind(PathBuf::from(&point.source)),
            };
            wishes.push(MountWish {
                target: PathBuf::from(&point.destination),
                source,
                read_only: !point.writable,
                propagation: Some(point.propagation.clone()).filter(|word| !word.is_empty()),
                non_recursive: point.non_recursive,
                read_only_non_recursive: point.read_only_non_recursive,
            });
        }
        Ok(wishes)
    }

    /// A namespace of its own, the host's, or another container's.
    fn joined(&self, mode: &str, kind: &str) -> Result<Namespace> {
        if let Some(other) = mode.strip_prefix("container:") {
            let pid = self.running_pid(other)?;
            return Ok(Namespace::Path(format!("/proc/{pid}/ns/{kind}").into()));
        }
        Ok(if mode == "host" { Namespace::Host } else { Namespace::Private })
    }

    /// The IPC namespace, and where /dev/shm comes from when it isn't a new one.
    fn ipc(&self, host: &HostConfig) -> Result<(Namespace, Option<MountWish>)> {
        let namespace = self.joined(&host.ipc_mode, "ipc")?;
        let wish = (host.ipc_mode == "host").then(|| MountWish {
            target: "/dev/shm".into(),
            source: MountSource::Bind("/dev/shm".into()),
            ..MountWish::default()
        });
        Ok((namespace, wish))
    }

    /// The process of another container that has to run.
    fn running_pid(&self, reference: &str) -> Result<i32> {
        let other = self.find(reference)?;
        if other.state.status.is_alive() {
            return Ok(other.state.pid);
        }
        Err(Error::conflict(format!(
            "cannot join namespace of a non running container: {}",
            other.id
        )))
    }
}

/// The wishes that need nothing but the request.
///
/// # Errors
/// An option can't be meant, or the init it asks for is not on this host.
pub fn plain(config: &ContainerConfig, host: &HostConfig) -> Result<Wishes> {
    let console = host.console_size;
    Ok(Wishes {
        group_add: host.group_add.clone().unwrap_or_default(),
        tty: config.tty,
        console_size: (console != [0, 0]).then_some((console[0], console[1])),
        hostname: config.hostname.clone(),
        domainname: config.domainname.clone(),
        init: if host.init == Some(true) { Some(find_init()?) } else { None },
        annotations: host.annotations.clone().unwrap_or_default(),
        read_only: host.readonly_rootfs,
        shm_size: u64::try_from(host.shm_size).ok().filter(|size| *size > 0),
        security: security(host)?,
        resources: resources(&host.resources),
        ulimits: ulimits(&host.resources),
        sysctls: sysctls(host),
        devices: devices(&host.resources),
        device_cgroup_rules: host.resources.device_cgroup_rules.clone().unwrap_or_default(),
        oom_score_adj: (host.oom_score_adj != 0).then_some(host.oom_score_adj),
        ..Wishes::default()
    })
}

/// The sysctls asked for, over Docker's default: in a network of its own a container's users may
/// listen at any port (ip-sysctl, `ip_unprivileged_port_start`).
fn sysctls(host: &HostConfig) -> BTreeMap<String, String> {
    let mut all = host.sysctls.clone().unwrap_or_default();
    if host.network_mode != "host" && !host.network_mode.starts_with("container:") {
        all.entry("net.ipv4.ip_unprivileged_port_start".into()).or_insert_with(|| "0".into());
    }
    all
}

/// The cgroup, below the parent asked for.
pub(super) fn cgroups_path(container: &Container) -> String {
    let parent = container.host.resources.cgroup_parent.as_str();
    let parent = if parent.is_empty() { "/deck" } else { parent };
    format!("{}/{}", parent.trim_end_matches('/'), container.id)
}

/// The program for `--init`.
fn find_init() -> Result<PathBuf> {
    INITS.iter().map(PathBuf::from).find(|path| path.is_file()).ok_or_else(|| {
        Error::internal(format!("--init: none of {} is there: install tini", INITS.join(", ")))
    })
}

/// Privileges, with the words of `--security-opt`.
fn security(host: &HostConfig) -> Result<Security> {
    let mut security = Security {
        privileged: host.privileged,
        cap_add: host.cap_add.clone().unwrap_or_default(),
        cap_drop: host.cap_drop.clone().unwrap_or_default(),
        masked_paths: host.masked_paths.clone(),
        readonly_paths: host.readonly_paths.clone(),
        ..Security::default()
    };
    for option in host.security_opt.iter().flatten() {
        let (key, value) = option.split_once(['=', ':']).unwrap_or((option, ""));
        match (key, value) {
            ("no-new-privileges", "" | "true") => security.no_new_privileges = true,
            ("no-new-privileges", "false") => security.no_new_privileges = false,
            ("seccomp", "unconfined") => security.seccomp = Seccomp::Unconfined,
            ("seccomp", "builtin") => security.seccomp = Seccomp::Default,
            ("seccomp", profile) => security.seccomp = Seccomp::Profile(profile.into()),
            ("apparmor", profile) => security.apparmor = Some(profile.into()),
            ("systempaths", "unconfined") => {
                security.masked_paths = Some(Vec::new());
                security.readonly_paths = Some(Vec::new());
            }
            // No container is given an SELinux label: it is as asked.
            ("label", "disable") => {}
            ("label", _) => {
                return Err(Error::unsupported(format!(
                    "security-opt {option}: SELinux labels are not chosen here"
                )));
            }
            _ => return Err(Error::invalid(format!("invalid --security-opt: {option:?}"))),
        }
    }
    Ok(security)
}

/// Limits.
pub(super) fn resources(r: &Resources) -> ResourceWishes {
    let rates = |devices: &Option<Vec<ThrottleDevice>>| {
        let devices = devices.iter().flatten();
        devices.map(|d| BlkioRate { path: d.path.clone().into(), rate: d.rate }).collect()
    };
    let weights = r.blkio_weight_device.iter().flatten();
    ResourceWishes {
        memory: r.memory,
        memory_swap: r.memory_swap,
        memory_reservation: r.memory_reservation,
        kernel_memory: r.kernel_memory,
        memory_swappiness: r.memory_swappiness.and_then(|value| u64::try_from(value).ok()),
        oom_kill_disable: r.oom_kill_disable.unwrap_or_default(),
        cpu_shares: u64::try_from(r.cpu_shares).unwrap_or_default(),
        nano_cpus: r.nano_cpus,
        cpu_period: r.cpu_period,
        cpu_quota: r.cpu_quota,
        cpu_realtime_period: r.cpu_realtime_period,
        cpu_realtime_runtime: r.cpu_realtime_runtime,
        cpuset_cpus: r.cpuset_cpus.clone(),
        cpuset_mems: r.cpuset_mems.clone(),
        pids_limit: r.pids_limit,
        blkio_weight: r.blkio_weight,
        blkio_weight_device: weights
            .map(|device| BlkioRate {
                path: device.path.clone().into(),
                rate: device.weight.into(),
            })
            .collect(),
        blkio_read_bps: rates(&r.blkio_device_read_bps),
        blkio_write_bps: rates(&r.blkio_device_write_bps),
        blkio_read_iops: rates(&r.blkio_device_read_iops),
        blkio_write_iops: rates(&r.blkio_device_write_iops),
        ..ResourceWishes::default()
    }
}

fn ulimits(r: &Resources) -> Vec<Ulimit> {
    let limits = r.ulimits.iter().flatten();
    limits.map(|u| Ulimit { name: u.name.clone(), soft: u.soft, hard: u.hard }).collect()
}

fn devices(r: &Resources) -> Vec<DeviceWish> {
    let devices = r.devices.iter().flatten();
    devices
        .map(|device| DeviceWish {
            host_path: device.path_on_host.clone().into(),
            container_path: device.path_in_container.clone().into(),
            permissions: device.cgroup_permissions.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_its_own_has_no_privileged_ports() {
        let port = |mode: &str, sysctls: &[(&str, &str)]| {
            let own = sysctls.iter().map(|(key, value)| (key.to_string(), value.to_string()));
            let host = HostConfig {
                network_mode: mode.into(),
                sysctls: Some(own.collect()),
                ..HostConfig::default()
            };
            super::sysctls(&host).remove("net.ipv4.ip_unprivileged_port_start")
        };
        assert_eq!(port("bridge", &[]).as_deref(), Some("0"));
        let asked = ("net.ipv4.ip_unprivileged_port_start", "1024");
        assert_eq!(port("none", &[asked]).as_deref(), Some("1024"));
        assert_eq!(port("host", &[]), None);
        assert_eq!(port("container:x", &[]), None);
    }

    #[test]
    fn security_options() {
        let host = |options: &[&str]| HostConfig {
            security_opt: Some(options.iter().map(ToString::to_string).collect()),
            ..HostConfig::default()
        };
        let options = ["no-new-privileges", "seccomp=unconfined", "label=disable"];
        let good = security(&host(&options)).unwrap();
        assert!(good.no_new_privileges);
        assert_eq!(good.seccomp, Seccomp::Unconfined);
        assert_eq!(security(&host(&["what=ever"])).unwrap_err().status, 400);
        assert_eq!(security(&host(&["label=type:x"])).unwrap_err().status, 501);
    }
}
