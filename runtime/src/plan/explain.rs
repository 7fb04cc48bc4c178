//! `hull explain`: a plan in words. Pure.

use super::mounts::{MountKind, MountOp};
use super::namespaces::ALL;
use super::rootfs::Entry;
use super::{Plan, weaknesses};
use crate::spec::{Hooks, Spec};
use crate::sys::mount::MountAttr;
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::fmt::{self, Write as _};

/// What `create` would do, by concern, and what weakens the container's isolation.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Explanation {
    /// Names of concerns with one line per effect, in the order in which they happen.
    pub effects: BTreeMap<&'static str, Vec<String>>,
    /// Settings that weaken isolation, and what is ignored.
    pub warnings: Vec<String>,
}

/// The concerns, in the order of printing.
const ORDER: [&str; 9] =
    ["namespaces", "root", "mounts", "devices", "paths", "process", "cgroups", "seccomp", "hooks"];

impl Explanation {
    /// Puts a plan into words.
    pub fn of(plan: &Plan<'_>, spec: &Spec) -> Self {
        let effects = [
            ("namespaces", namespaces(plan)),
            ("root", root(plan)),
            ("mounts", plan.mounts.iter().map(mount).collect()),
            ("devices", devices(plan)),
            ("paths", paths(plan)),
            ("process", process(plan)),
            ("cgroups", cgroups(plan)),
            ("seccomp", seccomp(plan)),
            ("hooks", hooks(&plan.hooks)),
        ];
        let mut warnings = plan.warnings.clone();
        warnings.extend(weaknesses::find(plan, spec));
        Self { effects: effects.into_iter().collect(), warnings }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for name in ORDER {
            for line in self.effects.get(name).into_iter().flatten() {
                writeln!(f, "{name:<11} {line}")?;
            }
        }
        self.warnings.iter().try_for_each(|warning| writeln!(f, "{:<11} {warning}", "warning"))
    }
}

fn text(string: &CStr) -> String {
    string.to_string_lossy().into_owned()
}

fn namespaces(plan: &Plan<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    for kind in ALL {
        if plan.namespaces.creates(kind) {
            lines.push(format!("{kind}: a new one"));
        }
        for join in plan.namespaces.join.iter().filter(|join| join.kind == kind) {
            lines.push(format!("{kind}: joins {}", text(&join.path)));
        }
        if !plan.namespaces.has(kind) {
            lines.push(format!("{kind}: the runtime's"));
        }
    }
    for (name, map) in [
        ("uid map", &plan.namespaces.uid_map),
        ("gid map", &plan.namespaces.gid_map),
        ("time offset", &plan.namespaces.time_offsets),
    ] {
        lines.extend(map.lines().map(|line| format!("{name}: {line}")));
    }
    if plan.spawn.intermediate {
        lines.push("an intermediate process joins the user namespace and clones init".to_owned());
    }
    lines
}

fn root(plan: &Plan<'_>) -> Vec<String> {
    let how = match plan.rootfs.entry {
        Entry::Pivot => "pivot_root",
        Entry::Move => "move mount and chroot",
        Entry::ChrootOnly => "chroot only: no mount namespace",
    };
    let access = if plan.rootfs.readonly { "read-only" } else { "writable" };
    vec![format!("{} by {how}, {access}", text(&plan.rootfs.path))]
}

fn mount(op: &MountOp) -> String {
    let mut line = match &op.kind {
        MountKind::Bind { source, recursive, idmap } => {
            let how = if *recursive { "rbind" } else { "bind" };
            let mapped = if idmap.is_some() { ", id-mapped" } else { "" };
            format!("{how} {}{mapped}", text(source))
        }
        MountKind::Kernel { fstype, data, .. } | MountKind::Filesystem { fstype, data, .. } => {
            format!("{} {}", text(fstype), text(data))
        }
        MountKind::Tmpfs { data, copy_up, .. } => {
            format!(
                "tmpfs {}{}",
                text(data),
                if *copy_up { " with a copy of what it covers" } else { "" }
            )
        }
        MountKind::Cgroup { data } => format!("cgroup {}", text(data)),
        MountKind::Remount { data } => format!("remount {}", text(data)),
    };
    for (flag, name) in [
        (libc::MS_RDONLY, "ro"),
        (libc::MS_NOSUID, "nosuid"),
        (libc::MS_NODEV, "nodev"),
        (libc::MS_NOEXEC, "noexec"),
    ] {
        if op.flags & flag != 0 {
            line.push(' ');
            line.push_str(name);
        }
    }
    if let Some(MountAttr { set, clear, .. }) = op.recursive {
        // Writing to a String can't fail.
        let _ = write!(line, " tree +{set:#x} -{clear:#x}");
    }
    format!("mounts[{}] {}: {}", op.index, text(&op.destination), line.trim_end())
}

fn devices(plan: &Plan<'_>) -> Vec<String> {
    let Some(devices) = &plan.devices else {
        return vec!["the /dev of the configuration's bind mount".to_owned()];
    };
    let how = if plan.bind_devices { "bound from the host" } else { "made" };
    let node = |op: &super::devices::DeviceOp| {
        let (major, minor) = (libc::major(op.rdev), libc::minor(op.rdev));
        format!("{} {major}:{minor} mode {:04o}, {how}", text(&op.path), op.mode & 0o7777)
    };
    devices.iter().map(node).collect()
}

fn paths(plan: &Plan<'_>) -> Vec<String> {
    let masked = plan.masked_paths.iter().map(|path| format!("{} masked", text(path)));
    let readonly = plan.readonly_paths.iter().map(|path| format!("{} read-only", text(path)));
    masked.chain(readonly).collect()
}

fn process(plan: &Plan<'_>) -> Vec<String> {
    let (process, identity) = (&plan.process, &plan.identity);
    let args: Vec<_> = process.argv.iter().map(|argument| text(argument)).collect();
    let sets = &identity.capabilities;
    let mut lines = vec![
        format!("args {args:?} in {}", text(&process.cwd)),
        format!("uid {} gid {} groups {:?}", identity.uid, identity.gid, identity.groups),
        format!("no new privileges: {}", identity.no_new_privileges),
    ];
    for (name, set) in [
        ("bounding", sets.bounding),
        ("effective", sets.effective),
        ("permitted", sets.permitted),
        ("inheritable", sets.inheritable),
        ("ambient", sets.ambient),
    ] {
        lines.push(format!("{name} capabilities: {}", super::identity::names_of(set)));
    }
    for limit in &process.rlimits {
        lines.push(format!("{} soft {} hard {}", limit.name, limit.soft, limit.hard));
    }
    lines.extend(plan.sysctls.iter().map(|it| format!("sysctl {} = {}", it.name, it.value)));
    lines.extend(plan.hostname.iter().map(|name| format!("hostname {name}")));
    lines
}

fn cgroups(plan: &Plan<'_>) -> Vec<String> {
    let directories = plan.cgroup.directories.iter().map(|it| it.path.display().to_string());
    let writes = plan.cgroup.writes.iter().map(|write| format!("{} = {}", write.file, write.value));
    directories.chain(writes).collect()
}

fn seccomp(plan: &Plan<'_>) -> Vec<String> {
    let Some(filter) = &plan.seccomp else { return vec!["no filter".to_owned()] };
    let calls: usize = filter.rules.iter().map(|rule| rule.names.len()).sum();
    let archs: Vec<_> = filter.archs.iter().map(|arch| arch.name).collect();
    vec![format!(
        "default {:?}; {} rules for {calls} system calls; native and {archs:?}",
        filter.default,
        filter.rules.len()
    )]
}

fn hooks(hooks: &Hooks) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, list) in hooks.lists() {
        lines.extend(list.iter().map(|hook| format!("{name}: {} {:?}", hook.path, hook.args)));
    }
    lines
}

#[cfg(test)]
#[path = "explain_tests.rs"]
mod tests;
