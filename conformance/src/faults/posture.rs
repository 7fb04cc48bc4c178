//! What confines a process, without what differs from one container to the next of the same
//! configuration.

use std::path::Path;

use serde_json::{Value, json};

use crate::observation::Observation;

/// The lines of /proc/self/status that say what a process may do.
const STATUS: [&str; 13] = [
    "Uid",
    "Gid",
    "Groups",
    "Umask",
    "CapInh",
    "CapPrm",
    "CapEff",
    "CapBnd",
    "CapAmb",
    "NoNewPrivs",
    "Seccomp",
    "Seccomp_filters",
    "SigIgn",
];

/// Files of cgroups that hold what the sweep's configuration sets.
const CGROUP_FILES: [&str; 8] = [
    "devices.list",
    "pids.max",
    "memory.limit_in_bytes",
    "cpu.shares",
    "memory.max",
    "cpu.weight",
    "cpuset.cpus",
    "cpuset.mems",
];

/// The part of what a process saw that two containers of one configuration have in common.
pub fn of(seen: &Observation) -> Value {
    let mut value = serde_json::to_value(seen).unwrap_or_default();
    for name in ["pid", "ppid", "sid", "namespaces", "status", "affinity"] {
        value[name] = Value::Null;
    }
    for name in STATUS {
        value["status"][name] = json!(seen.field(name));
    }
    for (name, namespace) in &seen.namespaces {
        let own = std::fs::read_link(format!("/proc/self/ns/{name}"));
        let shared = own.is_ok_and(|own| own == Path::new(namespace));
        value["namespaces"][name] = json!(if shared { "the host's" } else { "its own" });
    }
    value["fds"] =
        seen.fds.iter().map(|(fd, target)| (fd.to_string(), json!(plain(target)))).collect();
    for mount in value["mounts"].as_array_mut().into_iter().flatten() {
        for word in mount["propagation"].as_array_mut().into_iter().flatten() {
            *word = json!(word.as_str().map(plain));
        }
    }
    value
}

/// Without inode numbers and the like.
fn plain(target: &str) -> String {
    target.chars().filter(|letter| !letter.is_ascii_digit()).collect()
}

/// What the container's cgroups hold, by file.
pub fn of_cgroups(directories: &[std::path::PathBuf]) -> Value {
    let mut found = json!({});
    for directory in directories {
        for file in CGROUP_FILES {
            if let Ok(text) = std::fs::read_to_string(directory.join(file)) {
                found[file] = json!(text);
            }
        }
    }
    found
}

/// The first difference between what is wanted and what is seen, as a pointer with both values.
pub fn difference(wanted: &Value, seen: &Value) -> Option<String> {
    if wanted == seen {
        return None;
    }
    let inner = match (wanted, seen) {
        (Value::Object(one), Value::Object(other)) => {
            one.keys().chain(other.keys()).find_map(|key| {
                difference(&wanted[key], &seen[key]).map(|text| format!("/{key}{text}"))
            })
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            one.iter().zip(other).enumerate().find_map(|(at, (one, other))| {
                difference(one, other).map(|text| format!("/{at}{text}"))
            })
        }
        _ => None,
    };
    Some(inner.unwrap_or_else(|| format!(" is {seen}, not {wanted}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_pipes_do_not_count_but_capabilities_do() {
        let seen = |pipe: &str, caps: &str| {
            let mut seen = Observation::default();
            seen.fds.insert(1, pipe.into());
            seen.status.insert("CapEff".into(), caps.into());
            of(&seen)
        };
        assert_eq!(difference(&seen("pipe:[1]", "0"), &seen("pipe:[22]", "0")), None);
        let found = difference(&seen("pipe:[1]", "0"), &seen("pipe:[1]", "ff"));
        assert_eq!(found.as_deref(), Some("/status/CapEff is \"ff\", not \"0\""));
        assert!(difference(&seen("pipe:[1]", "0"), &seen("/dev/null", "0")).is_some());
    }
}
