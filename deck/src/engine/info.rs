//! `/info` and `/system/df`, and pruning of volumes.

use super::filter::Filters;
use super::inspect::DRIVER;
use super::record::Status;
use super::volume::Usage;
use super::{Engine, system, time, validate};
use crate::error::Result;
use serde_json::{Value, json};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

impl Engine {
    /// The answer of `/info`.
    ///
    /// # Errors
    /// The records fail.
    pub fn info(&self) -> Result<Value> {
        let containers = self.containers()?;
        let mut states = [0; 3];
        for container in containers.iter().cloned() {
            match self.settle(container)?.state.status {
                Status::Running => states[0] += 1,
                Status::Paused => states[1] += 1,
                _ => states[2] += 1,
            }
        }
        let images = self.images.list(&crate::image::Filter::default())?.len();
        let (kernel, machine) = system::uname();
        let unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        let runtime = self.config.runtime.file_name().unwrap_or_default().to_string_lossy();
        let has =
            |controller: &str| unified || Path::new("/sys/fs/cgroup").join(controller).exists();
        let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let os = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
        let name = nix::unistd::gethostname().unwrap_or_default();
        let (version, commit) = system::runtime_version(&self.config.runtime);
        let forward = std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap_or_default();
        let mut info = json!({
            "ID": self.host_id(),
            "Containers": containers.len(),
            "ContainersRunning": states[0],
            "ContainersPaused": states[1],
            "ContainersStopped": states[2],
            "Images": images,
            "Driver": DRIVER,
            "DriverStatus": [["driver-type", "overlay"]],
            "Plugins": {
                "Volume": ["local"], "Network": ["bridge", "host", "null"],
                "Authorization": null, "Log": validate::LOG_DRIVERS,
            },
            "MemoryLimit": has("memory"), "SwapLimit": has("memory"),
            "CpuCfsPeriod": has("cpu"), "CpuCfsQuota": has("cpu"), "CPUShares": has("cpu"),
            "CPUSet": has("cpuset"), "PidsLimit": has("pids"),
            "IPv4Forwarding": forward.trim() == "1",
            "Debug": false, "NFd": 0, "OomKillDisable": !unified, "NGoroutines": 0,
            "SystemTime": time::rfc3339(time::now()),
            "LoggingDriver": "json-file", "CgroupDriver": "cgroupfs",
            "CgroupVersion": if unified { "2" } else { "1" },
            "NEventsListener": 0,
            "KernelVersion": kernel,
            "OperatingSystem": os_field(&os, "PRETTY_NAME"),
            "OSVersion": os_field(&os, "VERSION_ID"),
            "OSType": "linux", "Architecture": machine,
            "IndexServerAddress": "https://index.docker.io/v1/",
            "NCPU": std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            "MemTotal": total_memory(&memory),
            "GenericResources": null,
            "DockerRootDir": self.config.data_root,
            "HttpProxy": "", "HttpsProxy": "", "NoProxy": "",
            "Name": name.to_string_lossy(),
        });
        let rest = json!({
            "Labels": [], "ExperimentalBuild": false,
            "ServerVersion": env!("CARGO_PKG_VERSION"),
            "Runtimes": { runtime.as_ref(): { "path": self.config.runtime } },
            "DefaultRuntime": runtime,
            "Swarm": {
                "NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive",
                "ControlAvailable": false, "Error": "", "RemoteManagers": null,
            },
            "LiveRestoreEnabled": true, "Isolation": "", "InitBinary": "tini",
            "ContainerdCommit": {"ID": ""}, "InitCommit": {"ID": ""},
            "RuncCommit": {"ID": if commit.is_empty() { version } else { commit }},
            "SecurityOptions": ["name=seccomp,profile=builtin"],
            "RegistryConfig": {
                "IndexConfigs": {
                    "docker.io": {
                        "Name": "docker.io", "Mirrors": [], "Secure": true, "Official": true
                    }
                },
                "InsecureRegistryCIDRs": ["::1/128", "127.0.0.0/8"], "Mirrors": null,
            },
            "CDISpecDirs": null,
            "Warnings": null,
        });
        if let (Value::Object(info), Value::Object(rest)) = (&mut info, rest) {
            info.extend(rest);
        }
        Ok(info)
    }

    /// An id of this data root that stays.
    fn host_id(&self) -> String {
        let path = self.config.data_root.join("engine-id");
        if let Ok(id) = std::fs::read_to_string(&path) {
            return id;
        }
        let id = super::text::new_id().unwrap_or_default();
        let id = if id.len() == 64 {
            format!("{}-{}-{}-{}-{}", &id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..32])
        } else {
            id
        };
        drop(std::fs::write(path, &id));
        id
    }

    /// The answer of `/system/df`, without images, which the image routes add.
    ///
    /// # Errors
    /// The records fail.
    pub fn disk_usage(&self) -> Result<(Value, Value)> {
        let wanted =
            super::list::Wanted { all: true, size: true, ..super::list::Wanted::default() };
        let containers = self.list(&wanted)?;
        let used = self.used_volumes()?;
        let mut volumes = Vec::new();
        for volume in self.volumes(&Filters::default())? {
            let mut shown = volume.shown();
            let size = directory_size(Path::new(&volume.mountpoint));
            let ref_count = used.get(&volume.name).copied().unwrap_or_default();
            shown.usage_data = Some(Usage { ref_count, size });
            volumes.push(shown);
        }
        Ok((json!(containers), json!(volumes)))
    }

    /// Removes volumes no container has: those without a name, or with `all` every one. Answers
    /// their names and the bytes freed.
    ///
    /// # Errors
    /// 400 for filters that mean nothing.
    pub fn prune_volumes(&self, filters: &Filters, all: bool) -> Result<(Vec<String>, i64)> {
        filters.allow(&["all", "label", "label!"])?;
        let all = filters.flag("all")?.unwrap_or(all);
        let used = self.used_volumes()?;
        let (mut names, mut freed) = (Vec::new(), 0);
        for volume in self.volumes(&Filters::default())? {
            if used.contains_key(&volume.name)
                || !(all || volume.anonymous)
                || !filters.labels(&volume.labels)
            {
                continue;
            }
            let size = directory_size(Path::new(&volume.mountpoint));
            if self.remove_volume(&volume.name, false).is_ok() {
                freed += size;
                names.push(volume.name);
            }
        }
        Ok((names, freed))
    }
}

/// Bytes on disk below a directory, other file systems not entered.
fn directory_size(path: &Path) -> i64 {
    let Ok(top) = std::fs::symlink_metadata(path) else { return 0 };
    let mut seen = std::collections::BTreeSet::new();
    let mut left = vec![path.to_path_buf()];
    let mut sum = 0_u64;
    while let Some(directory) = left.pop() {
        let Ok(entries) = std::fs::read_dir(&directory) else { continue };
        for entry in entries.flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            if meta.dev() != top.dev()
                || (meta.nlink() > 1 && !meta.is_dir() && !seen.insert(meta.ino()))
            {
                continue;
            }
            if meta.is_dir() {
                left.push(entry.path());
            } else {
                sum += meta.len();
            }
        }
    }
    i64::try_from(sum).unwrap_or(i64::MAX)
}

fn total_memory(text: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kibibytes = line.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse().ok());
    kibibytes.unwrap_or(0_u64) * 1024
}

/// A field of os-release(5).
fn os_field(text: &str, key: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    line.unwrap_or_default().trim_matches('"').to_string()
}
