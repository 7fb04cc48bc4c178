//! Namespaces and privileges.

use super::{Part, put};
use crate::cli::parse::device;
use clap::Args;
use serde_json::{Value, json};

/// Options of isolation.
#[derive(Args)]
pub struct Isolation {
    /// Capability to add
    #[arg(long, value_name = "CAPABILITY")]
    cap_add: Vec<String>,
    /// Capability to drop
    #[arg(long, value_name = "CAPABILITY")]
    cap_drop: Vec<String>,
    /// Cgroup namespace: host or private
    #[arg(long, value_parser = ["host", "private"])]
    cgroupns: Option<String>,
    /// Device of the host: HOST[:CONTAINER][:rwm]
    #[arg(long, value_parser = device::parse)]
    device: Vec<Value>,
    /// Rule for the device cgroup: 'c 1:3 rwm'
    #[arg(long, value_name = "RULE")]
    device_cgroup_rule: Vec<String>,
    /// IPC namespace: none, private, shareable, host or container:NAME
    #[arg(long)]
    ipc: Option<String>,
    /// PID namespace: host or container:NAME
    #[arg(long)]
    pid: Option<String>,
    /// Nearly all that the host's root may do
    #[arg(long)]
    privileged: bool,
    /// Security option: no-new-privileges, seccomp=FILE|unconfined, apparmor=PROFILE,
    /// label=TYPE:VALUE, systempaths=unconfined
    #[arg(long, value_name = "OPTION")]
    security_opt: Vec<String>,
    /// User namespace: host
    #[arg(long)]
    userns: Option<String>,
    /// UTS namespace: host
    #[arg(long)]
    uts: Option<String>,
}

impl Isolation {
    pub(super) fn fill(&self, host: &mut Part) -> Result<(), String> {
        mode("pid", self.pid.as_deref(), &["host", "private"], true)?;
        mode("ipc", self.ipc.as_deref(), &["none", "private", "shareable", "host"], true)?;
        mode("uts", self.uts.as_deref(), &["host", "private"], false)?;
        put(host, "CapAdd", self.cap_add.clone());
        put(host, "CapDrop", self.cap_drop.clone());
        put(host, "CgroupnsMode", self.cgroupns.clone());
        put(host, "Devices", self.device.clone());
        put(host, "DeviceCgroupRules", self.device_cgroup_rule.clone());
        put(host, "IpcMode", self.ipc.clone());
        put(host, "PidMode", self.pid.clone());
        put(host, "Privileged", self.privileged);
        put(host, "UsernsMode", self.userns.clone());
        put(host, "UTSMode", self.uts.clone());
        let mut options = Vec::new();
        for option in &self.security_opt {
            if option == "systempaths=unconfined" {
                // Empty lists, not missing ones: nothing is masked.
                host.insert("MaskedPaths".into(), json!([]));
                host.insert("ReadonlyPaths".into(), json!([]));
            } else {
                options.push(security(option)?);
            }
        }
        put(host, "SecurityOpt", options);
        Ok(())
    }
}

fn mode(name: &str, value: Option<&str>, known: &[&str], container: bool) -> Result<(), String> {
    match value {
        None | Some("") => Ok(()),
        Some(value) if known.contains(&value) => Ok(()),
        Some(value)
            if container
                && value.strip_prefix("container:").is_some_and(|name| !name.is_empty()) =>
        {
            Ok(())
        }
        Some(value) => Err(format!("--{name}: invalid {} mode: {value}", name.to_uppercase())),
    }
}

/// A profile is read here: the engine may be elsewhere.
fn security(option: &str) -> Result<String, String> {
    // Docker's older spelling.
    let normal =
        if option.contains('=') { option.to_owned() } else { option.replacen(':', "=", 1) };
    match normal.split_once('=') {
        Some(("seccomp", path)) if !matches!(path, "unconfined" | "builtin") => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| format!("opening seccomp profile ({path}) failed: {error}"))?;
            let profile: Value = serde_json::from_str(&text).map_err(|error| {
                format!("compacting json for seccomp profile ({path}): {error}")
            })?;
            Ok(format!("seccomp={profile}"))
        }
        Some(("seccomp" | "apparmor" | "label" | "no-new-privileges" | "writable-cgroups", _)) => {
            Ok(normal)
        }
        None if normal == "no-new-privileges" => Ok(normal),
        _ => Err(format!("invalid --security-opt: {option:?}")),
    }
}
