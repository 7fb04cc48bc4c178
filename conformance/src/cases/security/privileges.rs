//! Capabilities, ids and devices: what is not asked for is not given.

use serde_json::json;

use super::attack;
use crate::case::{Case, ensure, equal};
use crate::container::parse;
use crate::mutant::{Break, drops, sets};
use crate::needs::Need;
use crate::observation::Mount;

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut all = privileges();
    all.extend(protection());
    all
}

fn privileges() -> Vec<Case> {
    vec![
        attack("no-inheritable-capabilities", "CVE-2022-29162, CVE-2022-24769, CVE-2022-27650")
            .breaks(sets("/process/capabilities/inheritable", json!(["CAP_KILL"])))
            .runs(|c| equal("CapInh", &c.observe()?.caps("CapInh"), &Some(0))),
        attack("user-without-capabilities", "CVE-2025-27612, CVE-2022-29162")
            .needs(Need::Root)
            .breaks(drops("/process/user/uid"))
            .runs(|c| {
                c.set("/process/user/uid", 1234);
                let seen = c.observe()?;
                equal("CapEff", &seen.caps("CapEff"), &Some(0))?;
                equal("CapPrm", &seen.caps("CapPrm"), &Some(0))
            }),
        attack("no-ambient-capabilities", "CVE-2022-24769 class")
            .needs(Need::Root)
            .breaks(Break::All(vec![
                sets("/process/capabilities/inheritable", json!(["CAP_KILL"])),
                sets("/process/capabilities/ambient", json!(["CAP_KILL"])),
            ]))
            .runs(|c| {
                c.set("/process/user/uid", 1234);
                equal("CapAmb", &c.observe()?.caps("CapAmb"), &Some(0))
            }),
        attack("devices-are-denied-first", "GHSA-g54h-m393-cpwq")
            .needs(Need::Root)
            .breaks(sets("/linux/resources/devices", json!([{"allow": true, "access": "rwm"}])))
            .runs(|c| {
                c.set("/linux/resources/devices", json!([]));
                for set in ["bounding", "effective", "permitted"] {
                    c.set(&format!("/process/capabilities/{set}/-"), "CAP_MKNOD");
                }
                c.request(&["mknod:/tmp/device=240,77", "open:/tmp/device"]);
                let seen = c.observe()?;
                let made = seen.tried("mknod:/tmp/device=240,77").errno;
                let opened = seen.tried("open:/tmp/device").errno;
                c.saw(format!("mknod {made}, open {opened}"));
                // The errno of an absent driver would mean that access was granted.
                ensure(opened == "EPERM" || opened == "ENOENT", || format!("open: {opened}"))
            }),
        attack("cgroup-mount-in-user-namespace", "CVE-2023-25809")
            .needs(Need::Root)
            .breaks(sets("/mounts/4/options", json!(["rw"])))
            .runs(|c| {
                std::fs::create_dir_all(c.rootfs().join("sys/fs/cgroup"))?;
                c.user_namespace(100_000, 65_536);
                c.namespace("cgroup", None);
                c.mount("/sys/fs/cgroup", "cgroup", "cgroup", &["ro"]);
                c.request(&[
                    "list:/sys/fs/cgroup",
                    "mkdir:/sys/fs/cgroup/pids/new",
                    "mkdir:/sys/fs/cgroup/new",
                ]);
                let seen = c.observe()?;
                let made = |request: &str| seen.tried(request).worked();
                let writable =
                    |mount: &&Mount| mount.fstype.starts_with("cgroup") && !mount.has("ro");
                let found = seen.mounts.iter().find(writable);
                ensure(found.is_none(), || format!("{found:?}"))?;
                ensure(!made("mkdir:/sys/fs/cgroup/pids/new"), || "a cgroup can be made".into())?;
                ensure(!made("mkdir:/sys/fs/cgroup/new"), || "it can be written".into())
            }),
        attack("remount-is-refused", "container escapes by remounting read-only paths")
            .breaks(drops("/linux/readonlyPaths"))
            .runs(|c| {
                c.set("/linux/readonlyPaths", json!(["/etc"]));
                c.request(&["remount:/etc", "umount:/etc", "create:/etc/new"]);
                let seen = c.observe()?;
                ensure(!seen.tried("create:/etc/new").worked(), || "it can be written".into())
            }),
    ]
}

/// What a configuration asks for is given or refused.
fn protection() -> Vec<Case> {
    vec![
        attack("absent-apparmor-is-no-silence", "protection asked for and not given")
            .breaks(drops("/process/apparmorProfile"))
            .runs(|c| {
                c.set("/process/apparmorProfile", "hull-conformance-no-such-profile");
                c.refused()
            }),
        attack("absent-selinux-is-no-silence", "protection asked for and not given")
            .needs(Need::NoFile("/sys/fs/selinux/enforce"))
            .breaks(drops("/process/selinuxLabel"))
            .runs(|c| {
                c.set("/process/selinuxLabel", "system_u:system_r:container_t:s0:c1,c2");
                c.refused()
            }),
        attack("filter-of-the-other-entry", "seccomp by-passed through another ABI")
            .needs(Need::X86)
            .needs(Need::Interrupt)
            .breaks(drops("/linux/seccomp"))
            .runs(|c| {
                // No architecture is named: what the filter can't judge must not pass it.
                let rule = json!({"names": ["getpriority"], "action": "SCMP_ACT_ERRNO"});
                c.set(
                    "/linux/seccomp",
                    json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}),
                );
                c.request(&["getpid32:"]);
                let container = c.start()?;
                let end = container.wait()?;
                let works = parse(&container.output()).is_ok_and(|s| s.tried("getpid32:").worked());
                c.saw(format!("the process ended with {end:?}"));
                ensure(!works, || "getpid by int 0x80 works".into())
            }),
    ]
}
