//! The three bundles: what `spec` writes, what Docker asks for, what Kubernetes asks for.

use crate::payload;
use serde_json::{Value, json};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Which configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What `runc spec` writes, without a terminal.
    Default,
    /// All of Docker's default seccomp profile, limits, fourteen capabilities.
    Docker,
    /// A pod's second container: joins network, IPC and UTS namespaces, runs as an ordinary user.
    Kubernetes,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Default, Self::Docker, Self::Kubernetes];

    /// As written in the results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Docker => "docker",
            Self::Kubernetes => "kubernetes",
        }
    }
}

/// A bundle on disk.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// Its directory.
    pub path: PathBuf,
}

/// A seccomp profile as large as Docker's: the one that Podman's packages install.
const PROFILE: &str = "/usr/share/containers/seccomp.json";

impl Bundle {
    /// Writes a bundle below `dir` whose container runs `program` (`/exit` or `/wait`).
    pub fn make(dir: &Path, kind: Kind, program: &str, pod: &[Value]) -> io::Result<Self> {
        Self::with(dir, kind, program, pod, |_| {})
    }

    /// The same, with changes to config.json.
    pub fn with(
        dir: &Path,
        kind: Kind,
        program: &str,
        pod: &[Value],
        change: impl FnOnce(&mut Value),
    ) -> io::Result<Self> {
        let root = dir.join("rootfs");
        for below in ["proc", "sys", "dev", "tmp", "etc"] {
            fs::create_dir_all(root.join(below))?;
        }
        for (name, content) in [("exit", payload::exits()), ("wait", payload::waits())] {
            let path = root.join(name);
            fs::write(&path, content)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
        let mut config = config(kind, program, pod)?;
        change(&mut config);
        fs::write(dir.join("config.json"), serde_json::to_vec_pretty(&config)?)?;
        Ok(Self { path: dir.to_owned() })
    }
}

fn mount(kind: &str, source: &str, destination: &str, options: &[&str]) -> Value {
    json!({"type": kind, "source": source, "destination": destination, "options": options})
}

fn mounts() -> Value {
    let quiet = ["nosuid", "noexec", "nodev"];
    json!([
        mount("proc", "proc", "/proc", &[]),
        mount("tmpfs", "tmpfs", "/dev", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "devpts",
            "devpts",
            "/dev/pts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]
        ),
        mount(
            "tmpfs",
            "shm",
            "/dev/shm",
            &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]
        ),
        mount("mqueue", "mqueue", "/dev/mqueue", &quiet),
        mount("sysfs", "sysfs", "/sys", &["nosuid", "noexec", "nodev", "ro"]),
        mount(
            "cgroup",
            "cgroup",
            "/sys/fs/cgroup",
            &["nosuid", "noexec", "nodev", "relatime", "ro"]
        ),
    ])
}

fn config(kind: Kind, program: &str, pod: &[Value]) -> io::Result<Value> {
    const FEW: &[&str] = &["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
    const FOURTEEN: &[&str] = &[
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FSETID",
        "CAP_FOWNER",
        "CAP_MKNOD",
        "CAP_NET_RAW",
        "CAP_SETGID",
        "CAP_SETUID",
        "CAP_SETFCAP",
        "CAP_SETPCAP",
        "CAP_NET_BIND_SERVICE",
        "CAP_SYS_CHROOT",
        "CAP_KILL",
        "CAP_AUDIT_WRITE",
    ];
    let capabilities = if kind == Kind::Default { FEW } else { FOURTEEN };
    let user = if kind == Kind::Kubernetes { 1000 } else { 0 };
    let mut namespaces = vec![json!({"type": "pid"}), json!({"type": "mount"})];
    if kind == Kind::Kubernetes {
        namespaces.extend_from_slice(pod);
    } else {
        namespaces.extend(["network", "ipc", "uts"].map(|name| json!({"type": name})));
    }
    let mut config = json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": user, "gid": user},
            "args": [program],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                    "HOME=/", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {
                "bounding": capabilities, "effective": capabilities, "permitted": capabilities
            },
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": kind == Kind::Default
        },
        "root": {"path": "rootfs", "readonly": kind == Kind::Default},
        "mounts": mounts(),
        "linux": {
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "namespaces": namespaces,
            "maskedPaths": ["/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys",
                "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
                "/proc/sched_debug", "/sys/firmware", "/proc/scsi"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                "/proc/sysrq-trigger"]
        }
    });
    if kind != Kind::Kubernetes {
        config["hostname"] = json!("bench");
    }
    if kind != Kind::Default {
        config["linux"]["resources"]["memory"] = json!({"limit": 268_435_456});
        config["linux"]["resources"]["cpu"] =
            json!({"shares": 512, "quota": 150_000, "period": 100_000});
        config["linux"]["resources"]["pids"] = json!({"limit": 100});
        if let Some(seccomp) = profile(FOURTEEN)? {
            config["linux"]["seccomp"] = seccomp;
        }
    }
    Ok(config)
}

/// The profile in the runtime's form: what a container engine makes of it for these capabilities on
/// this machine. Nothing where the package is not installed.
fn profile(capabilities: &[&str]) -> io::Result<Option<Value>> {
    let text = match fs::read(PROFILE) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let profile: Value = serde_json::from_slice(&text)?;
    let strings = |value: &Value| -> Vec<String> {
        let list = value.as_array().into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let (native, architectures) = if cfg!(target_arch = "aarch64") {
        ("arm64", json!(["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]))
    } else {
        ("amd64", json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]))
    };
    let applies = |rule: &&Value| {
        let has =
            |names: &Value| strings(names).iter().any(|name| capabilities.contains(&name.as_str()));
        let (includes, excludes) = (&rule["includes"], &rule["excludes"]);
        (includes["caps"].as_array().is_none_or(Vec::is_empty) || has(&includes["caps"]))
            && !has(&excludes["caps"])
            && (includes["arches"].as_array().is_none_or(Vec::is_empty)
                || strings(&includes["arches"]).iter().any(|arch| arch == native))
            && !strings(&excludes["arches"]).iter().any(|arch| arch == native)
    };
    let rules = profile["syscalls"].as_array().into_iter().flatten().filter(applies);
    let rules: Vec<Value> = rules
        .map(|rule| {
            let mut made = json!({"names": rule["names"], "action": rule["action"]});
            for key in ["args", "errnoRet"] {
                if let Some(value) = rule.get(key).filter(|value| !value.is_null()) {
                    made[key] = value.clone();
                }
            }
            made
        })
        .collect();
    Ok(Some(json!({
        "defaultAction": profile["defaultAction"],
        "defaultErrnoRet": profile["defaultErrnoRet"],
        "architectures": architectures,
        "syscalls": rules
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_differ_where_they_should() {
        let pod = [json!({"type": "network", "path": "/proc/1/ns/net"})];
        let [default, docker, kubernetes] =
            Kind::ALL.map(|kind| config(kind, "/exit", &pod).unwrap());
        assert!(default["linux"]["resources"]["memory"].is_null());
        assert!(docker["linux"]["resources"]["memory"]["limit"].is_number());
        assert_eq!(kubernetes["process"]["user"]["uid"], 1000);
        assert!(kubernetes["linux"]["namespaces"].to_string().contains("/proc/1/ns/net"));
        assert!(default["linux"]["seccomp"].is_null());
    }
}
