//! From configuration to a list of effects, without touching the system.
//!
//! A [`Plan`] is a function of config.json, the command line and the facts of the host; every
//! problem of the configuration is found here, before anything is made. `hull explain` prints it.

pub mod cgroup;
pub mod cgroup_mount;
pub mod devices;
pub mod explain;
pub mod identity;
pub mod mount_options;
pub mod mounts;
pub mod namespaces;
pub mod overrides;
pub mod process;
pub mod rootfs;
pub mod seccomp;
pub mod sysctl;
pub mod weaknesses;

use crate::cgroup::layout::Layout;
use crate::netdev;
use crate::spec::{Hooks, Problem, Spec};
use cgroup_mount::CgroupMount;
use devices::DeviceOp;
use identity::Identity;
use mounts::{MountKind, MountOp};
use namespaces::{NamespacePlan, NamespaceType, SpawnPlan};
use nix::libc;
use process::ProcessPlan;
use rootfs::RootfsPlan;
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use sysctl::Sysctl;

/// What the command line says about a new container.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// The container's id.
    pub id: &'a str,
    /// Absolute path of the bundle.
    pub bundle: &'a Path,
    /// `--no-pivot`.
    pub no_pivot: bool,
    /// A new session keyring is made.
    pub keyring: bool,
    /// cgroup failures are tolerated as far as nothing was asked for.
    pub rootless: bool,
    /// systemd makes the cgroup.
    pub systemd: Option<&'a cgroup::systemd::Facts>,
}

/// Facts of the host that decisions depend on.
#[derive(Debug, Clone)]
pub struct Host {
    /// cgroup hierarchies.
    pub layout: Layout,
    /// Highest capability of the kernel.
    pub last_capability: u32,
    /// The runtime itself runs in a user namespace.
    pub in_user_namespace: bool,
}

/// Everything init and the runtime will do.
#[derive(Debug, Clone)]
pub struct Plan<'a> {
    /// The container's id.
    pub id: String,
    /// Namespaces to make and join.
    pub namespaces: NamespacePlan,
    /// Who makes and joins them.
    pub spawn: SpawnPlan,
    /// The root file system.
    pub rootfs: RootfsPlan,
    /// Mounts in order.
    pub mounts: Vec<MountOp>,
    /// What a mount of type cgroup shows.
    pub cgroup_mount: CgroupMount,
    /// Device nodes; none when the configuration binds the host's /dev.
    pub devices: Option<Vec<DeviceOp>>,
    /// Devices are bound from the host instead of being made.
    pub bind_devices: bool,
    /// Paths to hide.
    pub masked_paths: Vec<CString>,
    /// Paths to make read-only.
    pub readonly_paths: Vec<CString>,
    /// Option for the tmpfs over masked directories, with SELinux.
    pub tmpfs_label: Option<CString>,
    /// Host name in the UTS namespace.
    pub hostname: Option<String>,
    /// Domain name in the UTS namespace.
    pub domainname: Option<String>,
    /// Kernel parameters.
    pub sysctls: Vec<Sysctl>,
    /// Name of the session keyring, if one is made.
    pub keyring: Option<CString>,
    /// The program.
    pub process: ProcessPlan,
    /// Who it is.
    pub identity: Identity,
    /// Control groups.
    pub cgroup: cgroup::CgroupPlan,
    /// System call filter.
    pub seccomp: Option<seccomp::FilterPlan<'a>>,
    /// Network devices to move in.
    pub net_devices: Vec<netdev::Device>,
    /// Hooks, as configured.
    pub hooks: Hooks,
    /// For the log.
    pub warnings: Vec<String>,
}

impl<'a> Plan<'a> {
    /// Plans a container; all problems of its configuration at once.
    ///
    /// # Errors
    /// At least one problem.
    pub fn new(spec: &'a Spec, options: &Options<'_>, host: &Host) -> Result<Self, Vec<Problem>> {
        let mut problems = crate::spec::check::check(spec);
        let (Some(process), Some(linux)) = (&spec.process, &spec.linux) else {
            let missing = if spec.process.is_none() { "process" } else { "linux" };
            if problems.is_empty() {
                problems
                    .push(Problem::new(missing, format!("{missing} property must not be empty")));
            }
            return Err(problems);
        };
        let checked = problems.len();
        let namespaces = NamespacePlan::new(linux, &mut problems);
        let own_mounts = namespaces.has(NamespaceType::Mount);
        let has_user = namespaces.has(NamespaceType::User);
        let rootfs =
            rootfs::plan(spec, options.bundle, own_mounts, options.no_pivot, &mut problems);
        let context = mounts::Context {
            bundle: options.bundle,
            root: Path::new(OsStr::from_bytes(rootfs.path.to_bytes())),
            mount_label: &linux.mount_label,
            has_user_namespace: has_user,
        };
        let mounts = mounts::plan(&spec.mounts, &context, &mut problems);
        let dev_is_bound = mounts.iter().any(|op| {
            op.destination.as_c_str() == c"/dev" && matches!(op.kind, MountKind::Bind { .. })
        });
        let devices = devices::plan(&linux.devices, &mut problems);
        let process_plan = take(process::plan(process, Some(linux)), &mut problems);
        let identity = take(identity::plan(process, host.last_capability), &mut problems);
        let seccomp = linux.seccomp.as_ref().map(seccomp::plan).transpose();
        let seccomp = take(seccomp, &mut problems);
        let net_devices = take(netdev::plan(&linux.net_devices), &mut problems);
        let request = cgroup::Request {
            cgroups_path: &linux.cgroups_path,
            id: options.id,
            resources: linux.resources.as_ref(),
            devices: &linux.devices,
            rootless: options.rootless,
            owner: cgroup_owner(spec, &mounts, &namespaces),
        };
        let cgroup = match options.systemd {
            Some(facts) => cgroup::systemd::plan(&host.layout, &request, facts, &spec.annotations),
            None => cgroup::plan(&host.layout, &request),
        };
        let cgroup = take(cgroup, &mut problems);
        let (Some(process), Some(identity), Some(seccomp), Some(cgroup), Some(net_devices)) =
            (process_plan, identity, seccomp, cgroup, net_devices)
        else {
            return Err(told_once(problems, checked));
        };
        if !problems.is_empty() {
            return Err(told_once(problems, checked));
        }
        let mut warnings: Vec<String> =
            crate::spec::check::warnings(spec).iter().map(ToString::to_string).collect();
        warnings.extend(identity.warnings.iter().cloned());
        warnings.extend(cgroup.warnings.iter().cloned());
        let own_cgroups = namespaces.has(NamespaceType::Cgroup);
        Ok(Self {
            id: options.id.to_owned(),
            spawn: SpawnPlan::new(&namespaces),
            rootfs,
            cgroup_mount: cgroup_mount::plan(&host.layout, &cgroup.paths(), own_cgroups),
            mounts,
            devices: (!dev_is_bound).then_some(devices),
            bind_devices: has_user || host.in_user_namespace,
            masked_paths: paths(&linux.masked_paths),
            readonly_paths: paths(&linux.readonly_paths),
            tmpfs_label: label(&linux.mount_label),
            hostname: some(&spec.hostname),
            domainname: some(&spec.domainname),
            sysctls: sysctl::plan(&linux.sysctl),
            keyring: options
                .keyring
                .then(|| CString::new(format!("_ses.{}", options.id)).unwrap_or_default()),
            process,
            identity,
            cgroup,
            seccomp,
            net_devices,
            hooks: spec.hooks.clone().unwrap_or_default(),
            namespaces,
            warnings,
        })
    }
}

/// The first `checked` problems, and those of planning that lie elsewhere: where the check has found
/// a fault, planning says the same in other words, or what follows from it.
fn told_once(mut problems: Vec<Problem>, checked: usize) -> Vec<Problem> {
    let planned = problems.split_off(checked.min(problems.len()));
    let is_new = |at: &str| !problems.iter().any(|problem| is_one_place(&problem.at, at));
    let new: Vec<Problem> = planned.into_iter().filter(|problem| is_new(&problem.at)).collect();
    problems.extend(new);
    problems
}

/// Whether one of two places in config.json is the other, or lies in it.
fn is_one_place(one: &str, other: &str) -> bool {
    let (outer, inner) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// The host's user that the cgroup is given to (config-linux.md "Cgroup ownership"): the one that
/// executes the process, where it sees the cgroup as the root of a writable file system.
fn cgroup_owner(spec: &Spec, mounts: &[MountOp], namespaces: &NamespacePlan) -> Option<u32> {
    let shown = mounts.iter().any(|op| {
        matches!(op.kind, MountKind::Cgroup { .. })
            && op.destination.as_c_str() == c"/sys/fs/cgroup"
            && op.flags & libc::MS_RDONLY == 0
    });
    if !shown || !namespaces.has(NamespaceType::Cgroup) {
        return None;
    }
    let uid = spec.process.as_ref()?.user.uid;
    if !namespaces.has(NamespaceType::User) {
        return Some(uid);
    }
    // Of a user namespace that is joined the map is not known.
    spec.linux.as_ref()?.uid_mappings.iter().find_map(|map| {
        let offset = uid.checked_sub(map.container_id).filter(|offset| *offset < map.size)?;
        map.host_id.checked_add(offset)
    })
}

fn take<T>(result: Result<T, Vec<Problem>>, problems: &mut Vec<Problem>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(found) => {
            // Some checks are shared with spec::check; each problem is told once.
            problems.extend(
                found.into_iter().filter(|problem| !problems.contains(problem)).collect::<Vec<_>>(),
            );
            None
        }
    }
}

/// Each once. Absolute and free of NUL bytes: spec::check has seen to that.
fn paths(list: &[String]) -> Vec<CString> {
    let mut paths = Vec::with_capacity(list.len());
    for path in list.iter().filter_map(|path| CString::new(mounts::clean(path)).ok()) {
        // Once is enough: twice would stack mounts.
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    paths
}

fn label(label: &str) -> Option<CString> {
    (!label.is_empty()).then(|| CString::new(format!("context=\"{label}\"")).unwrap_or_default())
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(change: impl FnOnce(&mut serde_json::Value)) -> Option<u32> {
        let mut config = serde_json::json!({
            "process": {"user": {"uid": 7, "gid": 0}, "args": ["x"], "cwd": "/"},
            "root": {"path": "rootfs"},
            "mounts": [{"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"}],
            "linux": {
                "namespaces": [{"type": "cgroup"}, {"type": "mount"}],
                "uidMappings": [{"containerID": 5, "hostID": 1005, "size": 3}],
            },
        });
        change(&mut config);
        let spec: Spec = serde_json::from_value(config).unwrap();
        let mut problems = Vec::new();
        let namespaces = NamespacePlan::new(spec.linux.as_ref().unwrap(), &mut problems);
        let (bundle, root) = (Path::new("/b"), Path::new("/b/rootfs"));
        let context = mounts::Context { bundle, root, mount_label: "", has_user_namespace: false };
        let mounts = mounts::plan(&spec.mounts, &context, &mut problems);
        cgroup_owner(&spec, &mounts, &namespaces)
    }

    #[test]
    fn a_fault_is_told_once() {
        let problem = |at: &str| Problem::new(at, "wrong");
        let found = ["process.cwd", "mounts[4].source", "linux.uidMappings[0].size"].map(problem);
        let planned = ["process.cwd", "mounts[4]", "linux.uidMappings", "mounts[40]", "process.cw"];
        let all = found.iter().cloned().chain(planned.map(problem)).collect();
        let told: Vec<String> = told_once(all, 3).into_iter().map(|problem| problem.at).collect();
        assert_eq!(
            told,
            [
                "process.cwd",
                "mounts[4].source",
                "linux.uidMappings[0].size",
                "mounts[40]",
                "process.cw"
            ]
        );
    }

    #[test]
    fn the_cgroup_belongs_to_the_user_who_may_write_it() {
        let user = |config: &mut serde_json::Value| {
            config["linux"]["namespaces"] =
                serde_json::json!([{"type": "cgroup"}, {"type": "mount"}, {"type": "user"}]);
        };
        assert_eq!(owner(|_| {}), Some(7));
        assert_eq!(owner(user), Some(1007));
        assert_eq!(
            owner(|config| {
                user(config);
                config["process"]["user"]["uid"] = 8.into();
            }),
            None
        );
        assert_eq!(
            owner(|config| config["mounts"][0]["options"] = serde_json::json!(["ro"])),
            None
        );
        assert_eq!(owner(|config| config["mounts"][0]["destination"] = "/cgroup".into()), None);
        assert_eq!(
            owner(|config| config["linux"]["namespaces"] = serde_json::json!([{"type": "mount"}])),
            None
        );
    }
}
