//! What `check` looks at. Reading only: nothing of the host is changed.

use super::check::{Finding, State};
use std::fs;
use std::path::{Path, PathBuf};

/// Everything that is looked at, in the order it is shown.
pub fn all() -> Vec<Finding> {
    let mut findings = vec![kernel(), cgroups(), controllers(), overlay()];
    findings.extend(namespaces());
    findings.extend([user_namespaces(), subordinate_ids(), seccomp(), security_module()]);
    findings.extend([nftables(), forwarding(), bridge()]);
    findings.extend(other_firewalls());
    findings.extend(programs());
    findings
}

fn finding(what: &'static str, good: bool, otherwise: State, found: String, mend: &str) -> Finding {
    let state = if good { State::Good } else { otherwise };
    Finding { what, state, found, mend: if good { String::new() } else { mend.into() } }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// 5.10 is the oldest kernel that is supported.
fn kernel() -> Finding {
    let release = read("/proc/sys/kernel/osrelease");
    let good = version(&release).is_some_and(|version| version >= (5, 10));
    finding("kernel", good, State::Needed, release, "install Linux 5.10 or later")
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// The mode of the mounts: v2 alone, both, or v1 alone.
fn cgroups() -> Finding {
    let mounts = read("/proc/self/mountinfo");
    let kinds = |kind: &str| {
        mounts
            .lines()
            .any(|line| line.split(" - ").nth(1).is_some_and(|tail| tail.starts_with(kind)))
    };
    let mode = match (kinds("cgroup2 "), kinds("cgroup ")) {
        (true, false) => "v2",
        (true, true) => "v1 and v2 (hybrid)",
        (false, true) => "v1",
        (false, false) => "not mounted",
    };
    let mend = "mount -t cgroup2 none /sys/fs/cgroup";
    finding("cgroups", mode != "not mounted", State::Needed, mode.into(), mend)
}

/// Those that limits need.
fn controllers() -> Finding {
    const WANTED: &[&str] = &["cpu", "cpuset", "io", "memory", "pids"];
    let unified = read("/sys/fs/cgroup/cgroup.controllers");
    let legacy = read("/proc/cgroups");
    let legacy: Vec<&str> = legacy
        .lines()
        .filter(|line| line.split_whitespace().nth(3) == Some("1"))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let there = |name: &str| {
        let old = if name == "io" { "blkio" } else { name };
        unified.split_whitespace().any(|found| found == name)
            || unified.is_empty() && legacy.contains(&old)
    };
    let missing: Vec<&str> = WANTED.iter().copied().filter(|name| !there(name)).collect();
    let found = if missing.is_empty() {
        WANTED.join(" ")
    } else {
        format!("without {}", missing.join(" "))
    };
    let mend = "boot with cgroup_enable=memory, or a kernel built with the controllers";
    finding("controllers", missing.is_empty(), State::Missing, found, mend)
}

fn overlay() -> Finding {
    let good = read("/proc/filesystems")
        .lines()
        .any(|line| line.trim() == "nodev\toverlay" || line.ends_with("overlay"));
    let found = if good { "overlay" } else { "not in /proc/filesystems" };
    finding("overlayfs", good, State::Missing, found.into(), "modprobe overlay")
}

fn namespaces() -> Vec<Finding> {
    const KINDS: &[(&str, State)] = &[
        ("mnt", State::Needed),
        ("pid", State::Needed),
        ("net", State::Needed),
        ("ipc", State::Needed),
        ("uts", State::Needed),
        ("cgroup", State::Missing),
        ("user", State::Missing),
        ("time", State::Missing),
    ];
    let there = |name: &str| Path::new("/proc/self/ns").join(name).exists();
    let names = |state: State| -> Vec<&str> {
        KINDS
            .iter()
            .filter(|(name, kind)| *kind == state && !there(name))
            .map(|(n, _)| *n)
            .collect()
    };
    let (needed, missing) = (names(State::Needed), names(State::Missing));
    let worst = if needed.is_empty() { State::Missing } else { State::Needed };
    let all: Vec<&str> = needed.into_iter().chain(missing).collect();
    let found = if all.is_empty() { "all".into() } else { format!("without {}", all.join(" ")) };
    vec![finding(
        "namespaces",
        all.is_empty(),
        worst,
        found,
        "a kernel built with CONFIG_NAMESPACES",
    )]
}

/// Ordinary users may make them: what rootless containers need.
fn user_namespaces() -> Finding {
    let most: u64 = read("/proc/sys/user/max_user_namespaces").parse().unwrap_or(0);
    let debian = read("/proc/sys/kernel/unprivileged_userns_clone");
    let ubuntu = read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns");
    let (found, mend) = if most == 0 {
        ("none allowed", "sysctl user.max_user_namespaces=15000")
    } else if debian == "0" {
        ("for root only", "sysctl kernel.unprivileged_userns_clone=1")
    } else if ubuntu == "1" {
        ("restricted by AppArmor", "sysctl kernel.apparmor_restrict_unprivileged_userns=0")
    } else {
        ("for everybody", "")
    };
    finding("rootless: user namespaces", mend.is_empty(), State::Missing, found.into(), mend)
}

/// The caller's ranges in /etc/subuid and /etc/subgid (subuid(5)).
fn subordinate_ids() -> Finding {
    let uid = nix::unistd::getuid();
    let name = nix::unistd::User::from_uid(uid)
        .ok()
        .flatten()
        .map_or_else(|| uid.to_string(), |user| user.name);
    let count =
        |path: &str| ids(&fs::read_to_string(path).unwrap_or_default(), &name, uid.as_raw());
    let (users, groups) = (count("/etc/subuid"), count("/etc/subgid"));
    let good = users >= 65536 && groups >= 65536;
    let mend = format!("usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name}");
    let found = format!("{users} uids, {groups} gids for {name}");
    finding("rootless: subordinate ids", good, State::Missing, found, &mend)
}

fn ids(text: &str, name: &str, uid: u32) -> u64 {
    text.lines()
        .filter_map(|line| {
            let mut parts = line.split(':');
            let owner = parts.next()?;
            let count = parts.nth(1)?.trim().parse::<u64>().ok()?;
            (owner == name || owner == uid.to_string()).then_some(count)
        })
        .sum()
}

fn seccomp() -> Finding {
    let actions = read("/proc/sys/kernel/seccomp/actions_avail");
    let good = actions.contains("errno");
    let found = if good { "filters" } else { "none" };
    finding(
        "seccomp",
        good,
        State::Missing,
        found.into(),
        "a kernel built with CONFIG_SECCOMP_FILTER",
    )
}

/// One more wall, where the distribution has it.
fn security_module() -> Finding {
    let apparmor = read("/sys/module/apparmor/parameters/enabled") == "Y";
    let selinux = Path::new("/sys/fs/selinux/enforce").exists();
    let found = match (apparmor, selinux) {
        (true, _) => "AppArmor",
        (_, true) => "SELinux",
        _ => "neither AppArmor nor SELinux",
    };
    let mend = "boot with security=apparmor or security=selinux, where the distribution has it";
    finding("security module", apparmor || selinux, State::Missing, found.into(), mend)
}

fn nftables() -> Finding {
    let there = Path::new("/proc/sys/net/netfilter").exists() || built("nf_tables");
    let found = if there { "netfilter" } else { "not loaded" };
    finding(
        "published ports: nf_tables",
        there,
        State::Missing,
        found.into(),
        "modprobe nf_tables nft_nat nft_masq",
    )
}

/// Is a module part of the kernel, loaded, or installed?
fn built(module: &str) -> bool {
    let release = read("/proc/sys/kernel/osrelease");
    let listed = |file: &str| {
        fs::read_to_string(format!("/lib/modules/{release}/{file}"))
            .is_ok_and(|text| text.contains(&format!("/{module}.ko")))
    };
    Path::new("/sys/module").join(module).exists()
        || listed("modules.builtin")
        || listed("modules.dep")
}

fn forwarding() -> Finding {
    let good = read("/proc/sys/net/ipv4/ip_forward") == "1";
    let found = if good { "on" } else { "off: deck turns it on with the first bridge" };
    finding("IPv4 forwarding", good, State::Missing, found.into(), "sysctl net.ipv4.ip_forward=1")
}

/// Chains of others that drop containers' packets, each with what lets the bridges through.
fn other_firewalls() -> Vec<Finding> {
    let drops = crate::net::check::foreign_drops();
    let what = "other firewalls";
    if drops.is_empty() {
        return vec![finding(
            what,
            true,
            State::Missing,
            "none drops forwarded packets".into(),
            "",
        )];
    }
    drops
        .into_iter()
        .map(|line| {
            let (found, mend) = line.split_once("; ").unwrap_or((line.as_str(), ""));
            finding(what, false, State::Missing, found.into(), mend)
        })
        .collect()
}

fn bridge() -> Finding {
    // A bridge's settings are there when the driver is, also when it is part of the kernel.
    let good = built("bridge") || Path::new("/proc/sys/net/bridge").exists();
    let found = if good { "bridge" } else { "no module found; it may be part of the kernel" };
    finding("bridges", good, State::Missing, found.into(), "modprobe bridge veth")
}

fn programs() -> Vec<Finding> {
    let one = |what, names: &[&str], otherwise, mend: &str| {
        let path = names.iter().find_map(|name| in_path(name));
        let found = path.as_ref().map_or("not found".into(), |path| path.display().to_string());
        finding(what, path.is_some(), otherwise, found, mend)
    };
    vec![
        one("runtime: hull", &["hull"], State::Needed, "install hull beside deck or into $PATH"),
        one(
            "supervisor: the shim",
            &["containerd-shim-hull-v2"],
            State::Needed,
            "install containerd-shim-hull-v2 beside deck or into $PATH",
        ),
        one(
            "rootless: id maps",
            &["newuidmap"],
            State::Missing,
            "install newuidmap and newgidmap (Debian: uidmap)",
        ),
        one(
            "rootless: network",
            &["pasta", "slirp4netns"],
            State::Missing,
            "install pasta (Debian: passt) or slirp4netns",
        ),
        one(
            "rootless: overlay",
            &["fuse-overlayfs"],
            State::Missing,
            "install fuse-overlayfs; kernels since 5.11 do without it",
        ),
        one("--init", &["docker-init", "tini", "catatonit"], State::Missing, "install tini"),
    ]
}

/// A program beside this one, or in the search path.
fn in_path(name: &str) -> Option<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join(name)));
    let path = std::env::var_os("PATH").unwrap_or_default();
    beside
        .into_iter()
        .chain(std::env::split_paths(&path).map(|directory| directory.join(name)))
        .find(|candidate| candidate.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases() {
        assert_eq!(version("6.18.44-fc"), Some((6, 18)));
        assert_eq!(version("5.4"), Some((5, 4)));
        assert_eq!(version("x"), None);
    }

    #[test]
    fn ranges_of_the_caller_only() {
        let text = "me:100000:65536\nyou:1:5\n1000:9:10\nbroken\n";
        assert_eq!(ids(text, "me", 1000), 65546);
        assert_eq!(ids(text, "none", 7), 0);
    }

    #[test]
    fn what_is_good_needs_no_mending() {
        for finding in all() {
            assert_eq!(finding.mend.is_empty(), finding.state == State::Good, "{finding:?}");
        }
    }
}
