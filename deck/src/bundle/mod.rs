//! From an image's configuration and the wishes of a create request to a bundle's config.json; pure.
//!
//! [`spec`] decides. What it needs to know of the host and of the image's files comes from
//! [`Host::read`] and [`user::resolve`], the only two that look; [`write::write`] makes a whole
//! bundle directory of an image.

mod caps;
mod devices;
pub mod host;
mod mounts;
mod policy;
mod process;
mod resources;
mod seccomp;
#[cfg(test)]
mod tests;
pub mod user;
pub mod wishes;
pub mod write;

use crate::error::{Error, Result};
use crate::image::RunConfig;
pub use host::Host;
use oci_spec::runtime::Spec;
use serde_json::{Map, Value, json};
use std::path::Path;
pub use user::Identity;
pub use wishes::Wishes;
use wishes::{Namespace, Namespaces, Seccomp};

/// The version of the runtime specification written.
const VERSION: &str = "1.2.0";

/// All that decides a spec.
#[derive(Debug)]
pub struct Input<'a> {
    /// The image's configuration.
    pub image: &'a RunConfig,
    /// What is asked for.
    pub wishes: &'a Wishes,
    /// Who the process runs as, resolved in the image's root.
    pub identity: &'a Identity,
    /// The root file system: absolute, or relative to the bundle.
    pub rootfs: &'a Path,
    /// What the host offers.
    pub host: &'a Host,
}

/// The bundle's config.json.
///
/// # Errors
/// 400 for a wish that can't be meant: no command, an unknown capability, a malformed limit.
pub fn spec(input: &Input) -> Result<Spec> {
    let wishes = input.wishes;
    let capabilities = caps::bounding(&wishes.security, input.host.capabilities)?;
    let mut spec = json!({
        "ociVersion": VERSION,
        "root": {"path": input.rootfs, "readonly": wishes.read_only},
        "process": process::process(input, &capabilities)?,
        "mounts": mounts::mounts(wishes, input.host)?,
        "linux": linux(input, &capabilities)?,
    });
    let mut put = |key: &str, value: Value| spec[key] = value;
    if wishes.namespaces.uts != Namespace::Host {
        if !wishes.hostname.is_empty() {
            put("hostname", json!(wishes.hostname));
        }
        if !wishes.domainname.is_empty() {
            put("domainname", json!(wishes.domainname));
        }
    }
    if !wishes.annotations.is_empty() {
        put("annotations", json!(wishes.annotations));
    }
    if !wishes.hooks.is_empty() {
        put("hooks", hooks(wishes)?);
    }
    serde_json::from_value(spec).map_err(|error| Error::invalid(format!("container: {error}")))
}

fn hooks(wishes: &Wishes) -> Result<Value> {
    let mut stages = Map::new();
    for (stage, commands) in &wishes.hooks {
        let mut list = Vec::new();
        for command in commands {
            let path = command
                .first()
                .ok_or_else(|| Error::invalid(format!("hook of {stage} without a program")))?;
            list.push(json!({"path": path, "args": command}));
        }
        stages.insert(stage.clone(), Value::Array(list));
    }
    Ok(Value::Object(stages))
}

fn linux(input: &Input, capabilities: &[String]) -> Result<Value> {
    let (wishes, host) = (input.wishes, input.host);
    let mut linux = json!({
        "namespaces": namespaces(&wishes.namespaces),
        "resources": resources::resources(wishes)?,
        "rootfsPropagation": mounts::root_propagation(wishes),
    });
    let mut put = |key: &str, value: Value| linux[key] = value;
    let devices = devices::devices(wishes, host)?;
    put("devices", json!(devices));
    if let Value::Object(rules) = devices::rules(wishes, &devices)? {
        // The list is part of the resources, decided with the devices.
        put("resources", merged(resources::resources(wishes)?, rules));
    }
    if let Some(path) = &wishes.cgroups_path {
        put("cgroupsPath", json!(path));
    }
    if !wishes.sysctls.is_empty() {
        put("sysctl", json!(wishes.sysctls));
    }
    if let Some(user) = &wishes.namespaces.user {
        put("uidMappings", mappings(&user.uid_mappings));
        put("gidMappings", mappings(&user.gid_mappings));
    }
    if !wishes.security.privileged {
        put("maskedPaths", paths(wishes.security.masked_paths.as_ref(), MASKED));
        put("readonlyPaths", paths(wishes.security.readonly_paths.as_ref(), READONLY));
    }
    if let Some(label) = &wishes.security.selinux_mount {
        put("mountLabel", json!(label));
    }
    let target = seccomp::Target { capabilities, machine: &host.machine, kernel: host.kernel };
    match &wishes.security.seccomp {
        // As Docker: a privileged container has a filter only when it is given one.
        Seccomp::Default if wishes.security.privileged => {}
        Seccomp::Unconfined => {}
        Seccomp::Default => put("seccomp", seccomp::default(target)),
        Seccomp::Profile(text) => put("seccomp", seccomp::profile(text, target)?),
    }
    Ok(linux)
}

fn merged(mut resources: Value, more: Map<String, Value>) -> Value {
    if let Value::Object(map) = &mut resources {
        map.extend(more);
    }
    resources
}

/// What of /proc and /sys tells of the host or changes it: Docker's lists.
const MASKED: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
const READONLY: &[&str] =
    &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

fn paths(wished: Option<&Vec<String>>, default: &[&str]) -> Value {
    wished.map_or_else(|| json!(default), |paths| json!(paths))
}

fn mappings(ranges: &[(u32, u32, u32)]) -> Value {
    let one = |(container, host, size): &(u32, u32, u32)| json!({"containerID": container, "hostID": host, "size": size});
    ranges.iter().map(one).collect()
}

fn namespaces(wished: &Namespaces) -> Value {
    let mut list = vec![json!({"type": "mount"})];
    let kinds = [
        ("network", &wished.network),
        ("uts", &wished.uts),
        ("pid", &wished.pid),
        ("ipc", &wished.ipc),
        ("cgroup", &wished.cgroup),
    ];
    for (kind, namespace) in kinds {
        match namespace {
            Namespace::Private => list.push(json!({"type": kind})),
            Namespace::Path(path) => list.push(json!({"type": kind, "path": path})),
            Namespace::Host => {}
        }
    }
    if wished.user.is_some() {
        list.push(json!({"type": "user"}));
    }
    Value::Array(list)
}
