//! Settings of a plan that weaken the container's isolation, for `hull explain`. Pure.

use super::Plan;
use super::mounts::MountKind;
use super::namespaces::{ALL, NamespaceType};
use super::seccomp::Action;
use crate::spec::Spec;
use nix::libc;
use std::path::Path;

/// Capabilities that lead to full control of the host, or come close (capabilities(7)).
const STRONG: [&str; 10] = [
    "CAP_SYS_ADMIN",
    "CAP_SYS_MODULE",
    "CAP_SYS_PTRACE",
    "CAP_SYS_RAWIO",
    "CAP_DAC_READ_SEARCH",
    "CAP_NET_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_BPF",
    "CAP_PERFMON",
    "CAP_MAC_ADMIN",
];

/// Directories and sockets of a host through which it can be controlled.
const SENSITIVE: [&str; 9] =
    ["/", "/etc", "/proc", "/sys", "/dev", "/boot", "/run", "/var/run", "/root"];

/// One line for each weakness.
pub fn find(plan: &Plan<'_>, spec: &Spec) -> Vec<String> {
    let mut found = Vec::new();
    namespaces(plan, &mut found);
    identity(plan, &mut found);
    mounts(plan, &mut found);
    resources(spec, &mut found);
    found
}

fn namespaces(plan: &Plan<'_>, found: &mut Vec<String>) {
    for kind in ALL.into_iter().filter(|kind| !plan.namespaces.has(*kind)) {
        match kind {
            NamespaceType::User => found
                .push("no user namespace: uid 0 in the container is uid 0 of the host".to_owned()),
            // Nothing of the host can be changed through it.
            NamespaceType::Time => {}
            kind => found.push(format!("no {kind} namespace: the container shares the host's")),
        }
    }
    for join in
        plan.namespaces.join.iter().filter(|join| join.path.to_bytes().starts_with(b"/proc/1/"))
    {
        found.push(format!("joins the {} namespace of the host's init", join.kind));
    }
    let shared = libc::MS_SHARED;
    if plan.rootfs.propagation.is_some_and(|flags| flags & shared != 0) {
        found.push("rootfsPropagation is shared: mounts reach the host".to_owned());
    }
}

fn identity(plan: &Plan<'_>, found: &mut Vec<String>) {
    let identity = &plan.identity;
    if !identity.no_new_privileges {
        found.push("noNewPrivileges is off: set-user-ID programs gain privileges".to_owned());
    }
    let names =
        super::identity::names_of(identity.capabilities.bounding | identity.capabilities.permitted);
    for name in names.split(", ").filter(|name| STRONG.contains(name)) {
        found.push(format!("{name} is within reach of the process"));
    }
    match &plan.seccomp {
        None => found.push("no seccomp filter: every system call is open".to_owned()),
        Some(filter) if matches!(filter.default, Action::Allow | Action::Log) => {
            found.push("the seccomp filter allows what it does not name".to_owned());
        }
        Some(_) => {}
    }
    if identity.apparmor_profile.is_none() && identity.selinux_label.is_none() {
        found.push("neither an AppArmor profile nor an SELinux label".to_owned());
    }
}

fn mounts(plan: &Plan<'_>, found: &mut Vec<String>) {
    for op in &plan.mounts {
        let at = op.destination.to_string_lossy();
        let writable = op.flags & libc::MS_RDONLY == 0;
        match &op.kind {
            MountKind::Bind { source, .. } => {
                let source = source.to_string_lossy();
                let access = if writable { "writable" } else { "readable" };
                if SENSITIVE.contains(&source.trim_end_matches('/'))
                    || source == "/"
                    || source.ends_with(".sock")
                {
                    found.push(format!(
                        "mounts[{}]: {source} of the host is {access} at {at}",
                        op.index
                    ));
                }
            }
            MountKind::Kernel { fstype, .. } if fstype.as_c_str() == c"sysfs" && writable => {
                found.push(format!("mounts[{}]: sysfs is writable at {at}", op.index));
            }
            MountKind::Cgroup { .. } if writable => {
                found.push(format!("mounts[{}]: the cgroups are writable at {at}", op.index));
            }
            _ => {}
        }
        if op.propagation.iter().any(|flags| flags & libc::MS_SHARED != 0) {
            found.push(format!("mounts[{}]: mounts below {at} reach the host", op.index));
        }
    }
    for path in ["/proc/kcore", "/proc/keys", "/proc/timer_list"] {
        if !plan.masked_paths.iter().any(|masked| masked.to_bytes() == path.as_bytes()) {
            found.push(format!("{path} is not masked"));
        }
    }
    let guards = |path: &str| {
        let covers = |entry: &std::ffi::CString| {
            entry.to_str().is_ok_and(|entry| Path::new(path).starts_with(entry))
        };
        plan.readonly_paths.iter().chain(&plan.masked_paths).any(covers)
    };
    for path in ["/proc/sys", "/proc/sysrq-trigger"] {
        if !guards(path) {
            found.push(format!("{path} is writable"));
        }
    }
}

fn resources(spec: &Spec, found: &mut Vec<String>) {
    let resources = spec.linux.as_ref().and_then(|linux| linux.resources.as_ref());
    if resources.is_none_or(|it| it.memory.as_ref().is_none_or(|memory| memory.limit.is_none())) {
        found.push("no memory limit".to_owned());
    }
    if resources.is_none_or(|it| it.pids.is_none()) {
        found.push("no limit on processes".to_owned());
    }
    let all = |rule: &crate::spec::linux::DeviceRule| {
        rule.allow && rule.major.is_none() && rule.minor.is_none()
    };
    if resources.is_some_and(|it| it.devices.last().is_some_and(all)) {
        found.push("every device of the host may be used".to_owned());
    }
}
