//! `linux` (config-linux.md), apart from resources, seccomp and sysctl.

use super::{Problems, has_namespace, list, sysctl};
use crate::spec::config::IdMapping;
use crate::spec::linux::{Device, IntelRdt, Linux, MemoryPolicy, Personality};
use crate::spec::{Process, Spec};

const NAMESPACES: [&str; 8] = ["pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"];

/// config-linux.md#rootfs-mount-propagation. The specification doesn't know the recursive ones, but
/// Docker and runc do.
const PROPAGATIONS: [&str; 8] =
    ["shared", "rshared", "slave", "rslave", "private", "rprivate", "unbindable", "runbindable"];

/// Values of `linux.memoryPolicy.mode`.
pub const MEMORY_POLICY_MODES: [&str; 7] = [
    "MPOL_DEFAULT",
    "MPOL_BIND",
    "MPOL_INTERLEAVE",
    "MPOL_WEIGHTED_INTERLEAVE",
    "MPOL_PREFERRED",
    "MPOL_PREFERRED_MANY",
    "MPOL_LOCAL",
];

/// Values of `linux.memoryPolicy.flags`.
pub const MEMORY_POLICY_FLAGS: [&str; 3] =
    ["MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"];

pub(super) fn check(linux: &Linux, spec: &Spec, problems: &mut Problems) {
    namespaces(linux, problems);
    id_mappings(linux, spec.process.as_ref(), problems);
    time_offsets(linux, problems);
    for (i, device) in linux.devices.iter().enumerate() {
        self::device(device, &format!("linux.devices[{i}]"), problems);
    }
    net_devices(linux, spec, problems);
    sysctl::check(linux, spec, problems);
    let propagation = linux.rootfs_propagation.as_str();
    if !propagation.is_empty() && !PROPAGATIONS.contains(&propagation) {
        let what = format!("rootfsPropagation={propagation} is not supported");
        problems.add("linux.rootfsPropagation", what);
    }
    hidden_paths(linux, spec, problems);
    problems.text(|| "linux.cgroupsPath".into(), &linux.cgroups_path);
    problems.text(|| "linux.mountLabel".into(), &linux.mount_label);
    if let Some(rdt) = &linux.intel_rdt {
        intel_rdt(rdt, problems);
    }
    if let Some(policy) = &linux.memory_policy {
        memory_policy(policy, problems);
    }
    if let Some(personality) = &linux.personality {
        self::personality(personality, problems);
    }
}

/// config-linux.md#namespaces
fn namespaces(linux: &Linux, problems: &mut Problems) {
    for (i, namespace) in linux.namespaces.iter().enumerate() {
        let at = || format!("linux.namespaces[{i}]");
        let typ = namespace.typ.as_str();
        if !NAMESPACES.contains(&typ) {
            problems.add(at() + ".type", format!("namespace {typ:?} does not exist"));
        } else if linux.namespaces.iter().take(i).any(|other| other.typ == typ) {
            // "If a namespaces field contains duplicated namespaces with same type, the runtime
            // MUST generate an error."
            problems.add(at(), format!("malformed spec file: duplicated ns {typ:?}"));
        }
        // "This value MUST be an absolute path"; absent means a new one.
        if !namespace.path.is_empty() {
            problems.absolute(|| at() + ".path", &namespace.path);
        }
    }
}

/// config-linux.md#user-namespace-mappings. A namespace that is joined has its mappings; containerd
/// and CRI-O repeat them, which is judged when the namespace is opened.
fn id_mappings(linux: &Linux, process: Option<&Process>, problems: &mut Problems) {
    let (uids, gids) = (&linux.uid_mappings, &linux.gid_mappings);
    problems.mappings("linux.uidMappings", uids);
    problems.mappings("linux.gidMappings", gids);
    let given = !uids.is_empty() || !gids.is_empty();
    match linux.namespaces.iter().find(|namespace| namespace.typ == "user") {
        None if given => problems.add(
            "linux.uidMappings",
            "user namespace mappings specified, but user namespace isn't enabled in the config",
        ),
        Some(user) if user.path.is_empty() => {
            new_user_namespace(uids, gids, process, problems);
        }
        _ => {}
    }
}

/// A new user namespace needs ids: root's, for the container's files and mounts are made by it, and
/// those of the process, which setresuid(2) and setgroups(2) refuse with EINVAL otherwise.
fn new_user_namespace(
    uids: &[IdMapping],
    gids: &[IdMapping],
    process: Option<&Process>,
    problems: &mut Problems,
) {
    let user = process.map(|process| &process.user);
    let extra = user.map(|user| user.additional_gids.as_slice()).unwrap_or_default();
    let ids = [("uid", uids, user.map(|u| u.uid)), ("gid", gids, user.map(|u| u.gid))];
    for (what, mappings, id) in ids {
        if mappings.is_empty() {
            problems.add(
                format!("linux.{what}Mappings"),
                format!("user namespaces enabled, but no {what} mappings found"),
            );
            continue;
        }
        if !maps(mappings, 0) {
            problems.add(
                format!("linux.{what}Mappings"),
                format!("user namespaces enabled, but no mapping found for {what} 0"),
            );
        }
        if let Some(id) = id.filter(|&id| id != 0 && !maps(mappings, id)) {
            problems.add(
                format!("process.user.{what}"),
                format!("cannot set{what} to unmapped {what} {id} in user namespace"),
            );
        }
    }
    if gids.is_empty() {
        return;
    }
    for (i, gid) in extra.iter().enumerate().filter(|(_, gid)| !maps(gids, **gid)) {
        problems.add(
            format!("process.user.additionalGids[{i}]"),
            format!("gid {gid} is not mapped in user namespace"),
        );
    }
}

fn maps(mappings: &[IdMapping], id: u32) -> bool {
    mappings.iter().any(|mapping| {
        id.checked_sub(mapping.container_id).is_some_and(|offset| offset < mapping.size)
    })
}

/// config-linux.md#offset-for-time-namespace, time_namespaces(7)
fn time_offsets(linux: &Linux, problems: &mut Problems) {
    if linux.time_offsets.is_empty() {
        return;
    }
    let at = "linux.timeOffsets";
    match linux.namespaces.iter().find(|namespace| namespace.typ == "time") {
        None => problems.add(
            at,
            "time namespace offsets specified, but time namespace isn't enabled in the config",
        ),
        Some(time) if !time.path.is_empty() => problems
            .add(at, "time namespace enabled, but both namespace path and time offsets specified"),
        Some(_) => {}
    }
    for (clock, offset) in &linux.time_offsets {
        if !matches!(clock.as_str(), "monotonic" | "boottime") {
            problems.add(at, format!("clock {clock:?} has no offset, only monotonic and boottime"));
        }
        if offset.nanosecs > 999_999_999 {
            let what = format!("{} is more than 999999999", offset.nanosecs);
            problems.add(format!("{at}.{clock}.nanosecs"), what);
        }
    }
}

/// config-linux.md#devices
fn device(device: &Device, at: &str, problems: &mut Problems) {
    problems.known(|| format!("{at}.type"), "device type", &device.typ, &["c", "b", "u", "p"]);
    problems.absolute(|| format!("{at}.path"), &device.path);
    if device.typ != "p" {
        // "REQUIRED unless type is p"; the kernel's dev_t has 12 and 20 bits, and makedev(3) would
        // make another device of a larger number.
        for (name, number, most) in
            [("major", device.major, 0xfff), ("minor", device.minor, 0xf_ffff)]
        {
            match number {
                None => problems.add(format!("{at}.{name}"), "must be set"),
                Some(number) if !(0..=most).contains(&number) => {
                    let what = format!("{number} is not from 0 to {most}");
                    problems.add(format!("{at}.{name}"), what);
                }
                Some(_) => {}
            }
        }
    }
    for (name, id) in [("uid", device.uid), ("gid", device.gid)] {
        problems.id(|| format!("{at}.{name}"), id.unwrap_or(0));
    }
}

/// config-linux.md#network-devices
fn net_devices(linux: &Linux, spec: &Spec, problems: &mut Problems) {
    if linux.net_devices.is_empty() {
        return;
    }
    if !has_namespace(spec, "network") {
        let what = "unable to move network devices without a NET namespace";
        problems.add("linux.netDevices", what);
    }
    let mut taken = Vec::new();
    for (host, device) in &linux.net_devices {
        let name = if device.name.is_empty() { host } else { &device.name };
        for name in [host, name] {
            if !device_name(name) {
                let at = format!("linux.netDevices[{host:?}]");
                problems.add(at, format!("invalid network device name {name:?}"));
                break;
            }
        }
        // `%d` is a template for names the kernel makes up.
        if taken.contains(&name) && !name.contains("%d") {
            let at = format!("linux.netDevices[{host:?}]");
            problems.add(at, format!("another network device becomes {name:?} as well"));
        }
        taken.push(name);
    }
}

/// The kernel's dev_valid_name(): IFNAMSIZ counts the NUL at the end.
fn device_name(name: &str) -> bool {
    // isspace() of the kernel includes vertical tab and form feed.
    let bad = |c: char| matches!(c, '/' | ':' | '\0' | '\u{b}') || c.is_ascii_whitespace();
    (1..=15).contains(&name.len()) && name != "." && name != ".." && !name.contains(bad)
}

/// config-linux.md#masked-paths, #readonly-paths: "The values MUST be absolute paths". They are
/// mounts, which without a mount namespace of the container would be the host's.
fn hidden_paths(linux: &Linux, spec: &Spec, problems: &mut Problems) {
    let isolated = has_namespace(spec, "mount");
    for (name, paths) in
        [("maskedPaths", &linux.masked_paths), ("readonlyPaths", &linux.readonly_paths)]
    {
        if !paths.is_empty() && !isolated {
            let what = "unable to restrict sys entries without a private MNT namespace";
            problems.add(format!("linux.{name}"), what);
        }
        for (i, path) in paths.iter().enumerate() {
            problems.absolute(|| format!("linux.{name}[{i}]"), path);
        }
    }
}

/// config-linux.md#intelrdt. The name becomes a directory of resctrl.
fn intel_rdt(rdt: &IntelRdt, problems: &mut Problems) {
    let clos = rdt.clos_id.as_str();
    if matches!(clos, "." | "..") || (clos.len() > 1 && clos.contains('/')) || clos.contains('\0') {
        problems.add("linux.intelRdt.closID", format!("invalid intelRdt.ClosID {clos:?}"));
    }
    let bandwidth = rdt.mem_bw_schema.as_str();
    if !bandwidth.is_empty() && (!bandwidth.starts_with("MB:") || bandwidth.contains('\n')) {
        let what = format!("{bandwidth:?} must begin with MB: and be one line");
        problems.add("linux.intelRdt.memBwSchema", what);
    }
    for (i, line) in rdt.schemata.iter().enumerate().filter(|(_, line)| line.contains('\n')) {
        let what = format!("{line:?} must not contain newlines");
        problems.add(format!("linux.intelRdt.schemata[{i}]"), what);
    }
}

/// config-linux.md#memory-policy, set_mempolicy(2)
fn memory_policy(policy: &MemoryPolicy, problems: &mut Problems) {
    let at = "linux.memoryPolicy";
    for (i, flag) in policy.flags.iter().enumerate() {
        let at = || format!("{at}.flags[{i}]");
        problems.known(at, "memory policy flag", flag, &MEMORY_POLICY_FLAGS);
    }
    let nodes = match list::parse(&policy.nodes) {
        Ok(ranges) => list::count(&ranges),
        Err(why) => {
            let what = format!("invalid memory policy nodes {:?}: {why}", policy.nodes);
            problems.add(format!("{at}.nodes"), what);
            return;
        }
    };
    let mode = policy.mode.as_str();
    problems.known(|| format!("{at}.mode"), "memory policy mode", mode, &MEMORY_POLICY_MODES);
    let needs = match mode {
        "MPOL_DEFAULT" | "MPOL_LOCAL" if nodes != 0 => "0 nodes",
        "MPOL_BIND" | "MPOL_INTERLEAVE" | "MPOL_WEIGHTED_INTERLEAVE" | "MPOL_PREFERRED_MANY"
            if nodes == 0 =>
        {
            "at least one node"
        }
        _ => return,
    };
    let what = format!("memory policy mode requires {needs} but got {nodes}");
    problems.add(format!("{at}.nodes"), what);
}

/// config-linux.md#personality: "Currently no flag values are supported."
fn personality(personality: &Personality, problems: &mut Problems) {
    let domain = personality.domain.as_str();
    let domains = ["LINUX", "LINUX32"];
    problems.known(|| "linux.personality.domain".into(), "personality domain", domain, &domains);
    if !personality.flags.is_empty() {
        let what = format!("no flags are supported, {:?} neither", personality.flags);
        problems.add("linux.personality.flags", what);
    }
}
