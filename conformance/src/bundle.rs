//! The bundle a case starts from.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use serde_json::{Value, json};

/// The capabilities of the default configuration.
pub const CAPABILITIES: [&str; 3] = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];

/// The configuration every case edits: the probe reports, in namespaces of its own.
pub fn config(version: &str, euid: u32, cgroup: &str) -> Value {
    let caps = json!(CAPABILITIES);
    let mut config = json!({
        "ociVersion": version,
        "root": {"path": "rootfs", "readonly": false},
        "process": {
            "terminal": false,
            "user": {"uid": 0, "gid": 0},
            "args": ["/probe", "report"],
            "env": ["PATH=/bin:/", "SUITE=conformance"],
            "cwd": "/",
            "capabilities": {"bounding": caps, "effective": caps, "permitted": caps},
            "noNewPrivileges": true,
        },
        "hostname": "conformance",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {
                "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
                "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
            },
            {
                "destination": "/dev/pts", "type": "devpts", "source": "devpts",
                "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
            },
            {
                "destination": "/dev/shm", "type": "tmpfs", "source": "shm",
                "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
            },
        ],
        "linux": {
            "namespaces": [
                {"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"},
            ],
        },
    });
    if euid == 0 {
        config["linux"]["cgroupsPath"] = cgroup.into();
    } else {
        add_user_namespace(&mut config, euid, euid, 1);
    }
    config
}

/// Adds a user namespace that maps `size` ids from 0 to the host's `uid` and `gid`.
pub fn add_user_namespace(config: &mut Value, uid: u32, gid: u32, size: u32) {
    if let Some(namespaces) = config["linux"]["namespaces"].as_array_mut() {
        namespaces.push(json!({"type": "user"}));
    }
    config["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": uid, "size": size}]);
    config["linux"]["gidMappings"] = json!([{"containerID": 0, "hostID": gid, "size": size}]);
}

/// Makes the root file system: a few directories and the probe.
pub fn rootfs(rootfs: &Path, probe: &Path, owner: Option<u32>) -> std::io::Result<()> {
    for name in ["", "proc", "sys", "dev", "etc", "run", "bin", "tmp"] {
        let path = rootfs.join(name);
        fs::create_dir_all(&path)?;
        let mode = if name == "tmp" { 0o1777 } else { 0o755 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        chown(&path, owner, owner)?;
    }
    let target = rootfs.join("probe");
    fs::hard_link(probe, &target).or_else(|_| fs::copy(probe, &target).map(drop))
}
