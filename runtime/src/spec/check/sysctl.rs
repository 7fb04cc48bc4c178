//! `linux.sysctl`: only kernel parameters that belong to a namespace of the container.
//!
//! /proc/sys is namespaced in parts. A parameter that isn't would be the host's (CVE-2022-0811).

use super::{Problems, has_namespace};
use crate::spec::{Linux, Spec};

/// Parameters of IPC namespaces besides fs.mqueue (ipc_namespaces(7)).
const IPC: [&str; 8] = [
    "kernel/msgmax",
    "kernel/msgmnb",
    "kernel/msgmni",
    "kernel/sem",
    "kernel/shmall",
    "kernel/shmmax",
    "kernel/shmmni",
    "kernel/shm_rmid_forced",
];

/// The path of a parameter below /proc/sys, or `None` if `name` can't be one.
///
/// sysctl.d(5): the first separator decides: after a dot, dots separate and slashes stand for dots
/// within a component (`net.ipv4.conf.eth0/100.forwarding`); after a slash it is a path.
pub fn path(name: &str) -> Option<String> {
    let path: String = if name.find(['.', '/']).is_some_and(|at| name[at..].starts_with('/')) {
        name.to_owned()
    } else {
        name.chars()
            .map(|c| match c {
                '.' => '/',
                '/' => '.',
                c => c,
            })
            .collect()
    };
    let good = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
    (path.contains('/') && path.split('/').all(good)).then_some(path)
}

pub(super) fn check(linux: &Linux, spec: &Spec, problems: &mut Problems) {
    for (name, value) in &linux.sysctl {
        let at = || format!("linux.sysctl[{name:?}]");
        problems.text(at, value);
        match path(name) {
            None => problems.add(at(), "not the name of a kernel parameter"),
            Some(path) => {
                if let Err(what) = namespaced(&path, spec) {
                    problems.add(at(), what);
                }
                // One would silently undo the other.
                let name = &spec.domainname;
                if path == "kernel/domainname" && !name.is_empty() && name != value {
                    problems.add(at(), "conflicts with the domainname property");
                }
            }
        }
    }
}

/// Whether the parameter belongs to a namespace the container has.
fn namespaced(path: &str, spec: &Spec) -> Result<(), String> {
    let needs = |typ: &str, what: &str| {
        if has_namespace(spec, typ) {
            return Ok(());
        }
        Err(format!("not allowed in the host's {what} namespace"))
    };
    match path {
        _ if IPC.contains(&path) || path.starts_with("fs/mqueue/") => needs("ipc", "ipc"),
        _ if path.starts_with("net/") => needs("network", "network"),
        // Limits on namespaces per user (namespaces(7)): the host's keep exploits out.
        _ if path.starts_with("user/") => needs("user", "user"),
        "kernel/domainname" => needs("uts", "uts"),
        "kernel/hostname" => Err("conflicts with the hostname property".to_owned()),
        _ => Err("not in a separate kernel namespace".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (name, expect) in [
            ("net.ipv4.ip_forward", Some("net/ipv4/ip_forward")),
            ("net/ipv4/ip_forward", Some("net/ipv4/ip_forward")),
            ("net.ipv4.conf.eno2/100.rp_filter", Some("net/ipv4/conf/eno2.100/rp_filter")),
            ("net/ipv4/conf/eno2.100/rp_filter", Some("net/ipv4/conf/eno2.100/rp_filter")),
            ("", None),
            ("net", None),
            ("net.", None),
            (".net.x", None),
            ("/net/x", None),
            ("net..x", None),
            ("net/../kernel/x", None),
            ("net.//.kernel.x", None),
            ("net./.x", None),
            ("net.\0", None),
        ] {
            assert_eq!(path(name).as_deref(), expect, "{name:?}");
        }
    }
}
