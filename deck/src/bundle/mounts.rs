//! Mounts: what every container has, then what is wished for; pure.

use super::host::Host;
use super::process::INIT;
use super::wishes::{MountSource, MountWish, Namespace, Wishes};
use crate::error::{Error, Result};
use serde_json::{Value, json};
use std::path::{Component, Path};

/// Bytes of /dev/shm where nothing else is said: Docker's.
const SHM_SIZE: u64 = 64 << 20;

const PROPAGATIONS: &[&str] = &["private", "rprivate", "shared", "rshared", "slave", "rslave"];

/// Options of a tmpfs that mean something (tmpfs(5), mount(8)).
const TMPFS_OPTIONS: &[&str] = &[
    "size",
    "mode",
    "uid",
    "gid",
    "nr_inodes",
    "nr_blocks",
    "mpol",
    "huge",
    "rw",
    "ro",
    "exec",
    "noexec",
    "suid",
    "nosuid",
    "dev",
    "nodev",
    "sync",
    "async",
    "atime",
    "noatime",
    "diratime",
    "nodiratime",
    "relatime",
    "norelatime",
    "strictatime",
    "nostrictatime",
];

/// `mounts` of the spec. Order counts: a mount below another's target comes after it.
pub fn mounts(wishes: &Wishes, host: &Host) -> Result<Value> {
    for wish in &wishes.mounts {
        check_target(&wish.target)?;
    }
    let replaced = |target: &str| wishes.mounts.iter().any(|wish| wish.target == Path::new(target));
    let mut list: Vec<Value> = own(wishes, host)
        .into_iter()
        .filter(|(target, _)| !replaced(target))
        .map(|(_, m)| m)
        .collect();
    for wish in &wishes.mounts {
        list.push(mount(wish)?);
    }
    if let Some(init) = &wishes.init {
        let options = ["bind", "ro", "rprivate"];
        list.push(json!({
            "destination": INIT, "type": "bind", "source": init, "options": options,
        }));
    }
    Ok(Value::Array(list))
}

/// What every container has: Docker's list.
fn own(wishes: &Wishes, host: &Host) -> Vec<(&'static str, Value)> {
    let access = if wishes.security.privileged { "rw" } else { "ro" };
    let mount = |target: &'static str, kind: &str, source: &str, options: &[&str]| {
        let value = json!({
            "destination": target, "type": kind, "source": source, "options": options,
        });
        (target, value)
    };
    let terminals: &[&str] =
        &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"];
    // The kernel refuses a group that has no id here: the creator's is taken then.
    let terminals = &terminals[..terminals.len() - usize::from(host.no_tty_group)];
    let mut list = vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount("/dev/pts", "devpts", "devpts", terminals),
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", access]),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", &[access, "nosuid", "noexec", "nodev"]),
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
    ];
    if wishes.namespaces.ipc == Namespace::Private {
        let size = format!("size={}", wishes.shm_size.unwrap_or(SHM_SIZE));
        let options = ["nosuid", "noexec", "nodev", "mode=1777", &size];
        list.push(mount("/dev/shm", "tmpfs", "shm", &options));
    } else if wishes.namespaces.ipc == Namespace::Host {
        let options = ["rbind", "nosuid", "noexec", "nodev"];
        list.push(mount("/dev/shm", "bind", "/dev/shm", &options));
        // The queues of the host's namespace are a mount of the host's.
        list.retain(|(target, _)| *target != "/dev/mqueue");
        list.push(mount("/dev/mqueue", "bind", "/dev/mqueue", &options));
    }
    list
}

/// A target: absolute, not the root, and nowhere in /proc, where a mount could put a file of the
/// container in the place of the kernel's (CVE-2019-16884).
fn check_target(target: &Path) -> Result<()> {
    let invalid = |why: &str| {
        Error::invalid(format!("invalid mount target {:?}: {why}", target.display().to_string()))
    };
    if !target.is_absolute() {
        return Err(invalid("must be an absolute path"));
    }
    if target.components().any(|part| part == Component::ParentDir) {
        return Err(invalid("must not contain '..'"));
    }
    if target == Path::new("/") {
        return Err(invalid("destination can't be '/'"));
    }
    if target.starts_with("/proc") {
        return Err(invalid("nothing is mounted over /proc or in it"));
    }
    Ok(())
}

fn mount(wish: &MountWish) -> Result<Value> {
    let propagation = wish.propagation.as_deref().unwrap_or("rprivate");
    if !PROPAGATIONS.contains(&propagation) {
        return Err(Error::invalid(format!("invalid mount propagation {propagation:?}")));
    }
    match &wish.source {
        MountSource::Bind(source) => {
            let mut options = vec![if wish.non_recursive { "bind" } else { "rbind" }, propagation];
            if wish.read_only {
                options.push("ro");
                if !wish.non_recursive && !wish.read_only_non_recursive {
                    // Mounts below stay writable with ro alone (mount_setattr(2)).
                    options.push("rro");
                }
            }
            Ok(json!({
                "destination": wish.target, "type": "bind", "source": source, "options": options,
            }))
        }
        MountSource::Tmpfs(given) => {
            let mut options = vec!["nosuid".to_owned(), "nodev".to_owned(), "noexec".to_owned()];
            for option in given.iter().filter(|option| !option.is_empty()) {
                let name = option.split('=').next().unwrap_or(option);
                if !TMPFS_OPTIONS.contains(&name) {
                    return Err(Error::invalid(format!("invalid tmpfs option {option:?}")));
                }
                // What is said replaces the default: exec over noexec.
                options.retain(|old| old != &format!("no{name}"));
                options.push(option.clone());
            }
            if wish.read_only {
                options.push("ro".to_owned());
            }
            Ok(json!({
                "destination": wish.target, "type": "tmpfs", "source": "tmpfs",
                "options": options,
            }))
        }
    }
}

/// The root's propagation: what the widest of the mounts needs.
pub fn root_propagation(wishes: &Wishes) -> &'static str {
    let wished = |names: [&str; 2]| {
        wishes.mounts.iter().any(|wish| {
            wish.propagation.as_deref().is_some_and(|propagation| names.contains(&propagation))
        })
    };
    if wished(["shared", "rshared"]) {
        "rshared"
    } else if wished(["slave", "rslave"]) {
        "rslave"
    } else {
        "rprivate"
    }
}
