//! An ordinary user's containers: a user namespace, no cgroup of its own, no privilege.

use serde_json::json;

use crate::case::{Builder, Case, Verdict, case, ensure, equal};
use crate::context::Context;
use crate::mutant::{Break, drops, sets, skips};
use crate::needs::Need;

/// An id no account of a distribution has.
const USER: u32 = 64_321;

const APPLIED: &str = "runtime.md:113 MUST be applied";

fn rootless(name: &str, cite: &str) -> Builder {
    case(format!("rootless/{name}"))
        .cites(cite)
        .needs(Need::File("/proc/self/uid_map"))
        .needs(Need::ForEveryone)
}

/// The chapter.
pub fn cases() -> Vec<Case> {
    let mut all = works();
    all.extend(bounds());
    all
}

fn works() -> Vec<Case> {
    vec![
        rootless("runs", "runtime.md:109.2 MUST create a new container")
            .breaks(skips("start"))
            .runs(|c| {
                ordinary(c)?;
                let mut container = c.start()?;
                container.wait()?;
                let seen = container.seen()?;
                equal("uids", &seen.uids, &[0; 4])?;
                container.delete()?;
                c.nothing_left(&container)
            }),
        rootless("own-id-is-mapped", "config-linux.md:89 to be mapped to containerID")
            .breaks(sets("/linux/uidMappings/0/containerID", 5))
            .runs(|c| {
                ordinary(c)?;
                let id = c.driver.user.unwrap_or(c.host.euid);
                equal("uid map", &c.observe()?.uid_map, &[format!("0 {id} 1")])
            }),
        rootless("capabilities", APPLIED).breaks(drops("/process/capabilities/bounding")).runs(
            |c| {
                ordinary(c)?;
                let seen = c.observe()?;
                let bounding = seen.caps("CapBnd").map(u64::count_ones);
                equal("capabilities in the bounding set", &bounding, &Some(3))
            },
        ),
        rootless("exec", "runtime.md:5 MUST be able to use the operations")
            .breaks(skips("exec"))
            .runs(|c| {
                ordinary(c)?;
                c.stay(&[]);
                let container = c.start()?;
                let first = container.seen()?;
                let second = container.exec_seen(&[], &[])?;
                equal("namespaces", &second.namespaces, &first.namespaces)
            }),
        rootless("mounts", APPLIED).breaks(drops("/mounts/4")).runs(|c| {
            ordinary(c)?;
            c.mount("/run", "tmpfs", "tmpfs", &["nosuid", "size=1m"]);
            let seen = c.observe()?;
            ensure(seen.mount("/run").is_some_and(|mount| mount.has("nosuid")), || {
                "no tmpfs at /run".into()
            })
        }),
        rootless("readonly-root", "config.md:43 MUST be read-only inside the container")
            .breaks(drops("/root/readonly"))
            .runs(|c| {
                ordinary(c)?;
                c.set("/root/readonly", true);
                c.request(&["create:/tmp/file"]);
                let tried = c.observe()?.tried("create:/tmp/file");
                equal("writing", tried.errno.as_str(), "EROFS")
            }),
        rootless("hooks", "runtime.md:64 MUST be invoked by the runtime")
            .breaks(drops("/hooks"))
            .runs(|c| {
                ordinary(c)?;
                c.hook("createRuntime", "one", 0);
                c.observe()?;
                c.hooked("one").map(drop)
            }),
    ]
}

fn bounds() -> Vec<Case> {
    vec![
        rootless("additional-groups", "runtime.md:116 it MUST generate an error")
            .breaks(Break::Repair)
            .runs(|c| {
                ordinary(c)?;
                c.set("/process/user/additionalGids", json!([7]));
                c.refused()
            }),
        rootless("foreign-id", "runtime.md:116 it MUST generate an error")
            .breaks(Break::Repair)
            .runs(|c| {
                ordinary(c)?;
                c.set("/linux/uidMappings/0/hostID", 0);
                c.refused()
            }),
        rootless("without-user-namespace", "runtime.md:116 it MUST generate an error")
            .breaks(Break::Repair)
            .runs(|c| {
                ordinary(c)?;
                c.leave_namespace("user");
                c.remove("/linux/uidMappings");
                c.remove("/linux/gidMappings");
                c.refused()
            }),
        rootless("no-new-privileges", APPLIED).breaks(drops("/process/noNewPrivileges")).runs(
            |c| {
                ordinary(c)?;
                equal("NoNewPrivs", c.observe()?.field("NoNewPrivs"), "1")
            },
        ),
        rootless("setgroups-is-denied", "user_namespaces(7): writing gid_map without privilege")
            .breaks(Break::Refuse("create".into()))
            .runs(|c| {
                ordinary(c)?;
                c.request(&["read:/proc/self/setgroups"]);
                let tried = c.observe()?.tried("read:/proc/self/setgroups");
                equal("setgroups", &tried.value, &json!("deny\n"))
            }),
    ]
}

/// Goes on as an ordinary user when the suite runs as root.
fn ordinary(c: &mut Context) -> Verdict {
    if c.host.euid == 0 { c.become_user(USER) } else { Ok(()) }
}
