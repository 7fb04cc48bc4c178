//! Namespaces and user namespace mappings (config-linux.md).

use std::os::unix::fs::MetadataExt;

use serde_json::{Value, json};

use crate::case::{Case, Verdict, case, ensure, equal};
use crate::context::Context;
use crate::mutant::{Break, drops, sets};
use crate::needs::Need;

/// The specification's word and the kernel's.
const KINDS: [(&str, &str); 8] = [
    ("pid", "pid"),
    ("network", "net"),
    ("mount", "mnt"),
    ("ipc", "ipc"),
    ("uts", "uts"),
    ("user", "user"),
    ("cgroup", "cgroup"),
    ("time", "time"),
];

/// Where the kinds of `KINDS` that the default configuration lacks are added.
const ADDED: &str = "/linux/namespaces/4";

fn since(kind: &str) -> Need {
    Need::Spec(if kind == "time" { "1.1.0" } else { "1.0.0" })
}

fn claim(kind: &str) -> Need {
    Need::Claim("/linux/namespaces", json!(kind))
}

/// The chapter.
pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for (kind, link) in KINDS {
        all.push(created(kind, link));
        if kind != "mount" {
            all.push(inherited(kind, link));
        }
        if !["user", "time", "mount"].contains(&kind) {
            all.push(joined(kind, link));
        }
        all.push(twice(kind));
    }
    all.extend(paths());
    all.extend(names());
    all.extend(time());
    all.extend(mappings());
    all
}

/// Puts exactly one namespace of the kind into the configuration, at a known place.
fn ask(c: &mut Context, kind: &str, path: Option<&str>) {
    if kind == "user" {
        c.user_namespace(100_000, 65_536);
    } else {
        c.namespace(kind, path);
    }
    if kind == "uts" {
        // A name of the container's own needs a namespace of its own.
        c.remove("/hostname");
    }
}

/// Without one of the kind, and without what only makes sense with it.
fn without(c: &mut Context, kind: &str) {
    c.leave_namespace(kind);
    if kind == "uts" {
        c.remove("/hostname");
    }
}

fn place(kind: &str) -> String {
    // The default ones are moved to the end by `Context::namespace`.
    let default = ["pid", "mount", "ipc", "uts"].contains(&kind);
    if default { "/linux/namespaces/3".into() } else { ADDED.into() }
}

fn created(kind: &'static str, link: &'static str) -> Case {
    let broken = match kind {
        "mount" => Break::Refuse("create".into()),
        "user" => {
            Break::All(vec![drops(ADDED), drops("/linux/uidMappings"), drops("/linux/gidMappings")])
        }
        kind => drops(&place(kind)),
    };
    case(format!("namespaces/{kind}-created"))
        .cites("config-linux.md:43 MUST create a new container namespace of type `type`")
        .cites("config-linux.md:29.2 namespace types SHOULD be supported")
        .cites("features-linux.md:8 MUST recognize the elements in this array")
        .needs(Need::Root)
        .needs(since(kind))
        .needs(Need::Namespace(link))
        .needs(claim(kind))
        .breaks(broken)
        .runs(move |c| {
            ask(c, kind, None);
            let seen = c.observe()?;
            let (inside, outside) =
                (seen.namespaces.get(link), super::own_namespaces().get(link).cloned());
            c.saw(format!("{inside:?} inside, {outside:?} outside"));
            ensure(inside.is_some() && inside != outside.as_ref(), || "it is the host's".into())
        })
}

fn inherited(kind: &'static str, link: &'static str) -> Case {
    let broken = match kind {
        "user" => Break::All(vec![
            sets("/linux/namespaces/-", json!({"type": "user"})),
            sets("/linux/uidMappings", json!([{"containerID": 0, "hostID": 0, "size": 9}])),
            sets("/linux/gidMappings", json!([{"containerID": 0, "hostID": 0, "size": 9}])),
        ]),
        kind => sets("/linux/namespaces/-", json!({"type": kind})),
    };
    case(format!("namespaces/{kind}-inherited"))
        .cites("config-linux.md:45 the container MUST inherit the runtime namespace of that type")
        .needs(Need::Root)
        .needs(since(kind))
        .breaks(broken)
        .runs(move |c| {
            without(c, kind);
            let seen = c.observe()?;
            let wanted = super::own_namespaces().get(link).cloned();
            equal("namespace", &seen.namespaces.get(link).cloned(), &wanted)
        })
}

fn joined(kind: &'static str, link: &'static str) -> Case {
    case(format!("namespaces/{kind}-joined"))
        .cites("config-linux.md:40 in the namespace associated with that `path`")
        .needs(Need::Root)
        .needs(since(kind))
        .breaks(drops(&format!("{}/path", place(kind))))
        .runs(move |c| {
            ask(c, kind, None);
            c.stay(&[]);
            let first = c.start()?;
            let wanted = first.seen()?.namespaces.get(link).cloned();
            let path = format!("/proc/{}/ns/{link}", first.pid()?);
            ask(c, kind, Some(&path));
            // A cgroup of its own: the first container's is not empty.
            let second = format!("{}/second", c.cgroup);
            c.set("/linux/cgroupsPath", second);
            let seen = c.observe()?;
            equal("namespace", &seen.namespaces.get(link).cloned(), &wanted)
        })
}

fn twice(kind: &'static str) -> Case {
    case(format!("namespaces/{kind}-twice"))
        .cites("config-linux.md:46 duplicated namespaces with same `type`, the runtime MUST")
        .needs(Need::Root)
        .needs(since(kind))
        .breaks(Break::Repair)
        .runs(move |c| {
            ask(c, kind, None);
            c.set("/linux/namespaces/-", json!({"type": kind}));
            c.create_refused()
        })
}

fn paths() -> Vec<Case> {
    const ABSOLUTE: &str = "config-linux.md:39 MUST be an absolute path in the runtime mount";
    const TYPE: &str = "config-linux.md:40.2 not associated with a namespace of type `type`";
    let bad = |name: &str, cite: &str, kind: &'static str, path: &'static str| {
        case(format!("namespaces/path-{name}"))
            .cites(cite)
            .needs(Need::Root)
            .breaks(Break::Repair)
            .runs(move |c| {
                ask(c, kind, Some(path));
                c.create_refused()
            })
    };
    vec![
        bad("relative", ABSOLUTE, "ipc", "self/ns/ipc"),
        bad("of-nothing", TYPE, "ipc", "/proc/self/ns/nothing"),
        bad("of-a-file", TYPE, "ipc", "/proc/self/status"),
        bad("of-another-type", TYPE, "ipc", "/proc/self/ns/uts"),
        bad("of-another-type-net", TYPE, "network", "/proc/self/ns/ipc"),
        bad("of-another-type-uts", TYPE, "uts", "/proc/self/ns/net"),
        case("namespaces/type-missing")
            .cites("config-linux.md:29 `type` (string, REQUIRED)")
            .breaks(Break::Repair)
            .runs(|c| {
                c.set("/linux/namespaces/-", json!({}));
                c.create_refused()
            }),
        case("namespaces/type-unknown")
            .cites("config.md:760 invalid or unsupported values")
            .breaks(Break::Repair)
            .runs(|c| {
                c.set("/linux/namespaces/-", json!({"type": "nowhere"}));
                c.create_refused()
            }),
    ]
}

fn names() -> Vec<Case> {
    const CITE: &str = "runtime.md:113 MUST be applied";
    vec![
        case("namespaces/hostname").cites(CITE).breaks(drops("/hostname")).runs(|c| {
            c.set("/hostname", "another-name");
            equal("hostname", c.observe()?.hostname.as_str(), "another-name")
        }),
        case("namespaces/domainname")
            .cites(CITE)
            .needs(Need::Spec("1.1.0"))
            .breaks(drops("/domainname"))
            .runs(|c| {
                c.set("/domainname", "example.org");
                equal("domainname", c.observe()?.domainname.as_str(), "example.org")
            }),
        case("namespaces/first-process-of-its-own")
            .cites("config-linux.md:43 MUST create a new container namespace")
            .breaks(drops("/linux/namespaces/0"))
            .runs(|c| equal("pid", &c.observe()?.pid, &1)),
    ]
}

fn time() -> Vec<Case> {
    vec![
        case("namespaces/time-offsets")
            .cites("runtime.md:113 MUST be applied")
            .needs(Need::Root)
            .needs(since("time"))
            .needs(Need::Namespace("time"))
            .needs(claim("time"))
            .breaks(drops("/linux/timeOffsets"))
            .runs(|c| {
                c.namespace("time", None);
                c.set(
                    "/linux/timeOffsets",
                    json!({
                        "monotonic": {"secs": 7200, "nanosecs": 0},
                        "boottime": {"secs": 3600, "nanosecs": 5},
                    }),
                );
                let seen = c.observe()?.timens_offsets;
                equal("offsets", &seen, &["monotonic 7200 0", "boottime 3600 5"])
            }),
        case("namespaces/time-offsets-alone")
            .cites("config.md:760 invalid or unsupported values")
            .needs(Need::Root)
            .needs(since("time"))
            .breaks(Break::Repair)
            .runs(|c| {
                c.set("/linux/timeOffsets", json!({"boottime": {"secs": 1}}));
                c.create_refused()
            }),
    ]
}

fn mappings() -> Vec<Case> {
    let mut all = vec![
        case("namespaces/user-mappings")
            .cites("config-linux.md:88 the starting uid/gid in the container")
            .cites("config-linux.md:89 the starting uid/gid on the host to be mapped")
            .cites("config-linux.md:90 the number of ids to be mapped")
            .needs(Need::Root)
            .breaks(sets("/linux/uidMappings/1/hostID", 400_000))
            .runs(|c| {
                c.user_namespace(100_000, 1000);
                let more = json!({"containerID": 1000, "hostID": 300_000, "size": 5});
                c.set("/linux/uidMappings/-", more.clone());
                c.set("/linux/gidMappings/-", more);
                let seen = c.observe()?;
                equal("uid map", &seen.uid_map, &["0 100000 1000", "1000 300000 5"])?;
                equal("gid map", &seen.gid_map, &["0 100000 1000", "1000 300000 5"])
            }),
        case("namespaces/user-keeps-owners")
            .cites("config-linux.md:92 SHOULD NOT modify the ownership of referenced filesystems")
            .needs(Need::Root)
            .breaks(Break::Refuse("create".into()))
            .runs(owners),
    ];
    for (key, line) in [("containerID", 88), ("hostID", 89), ("size", 90)] {
        all.push(
            case(format!("namespaces/user-mapping-without-{key}"))
                .cites(format!("config-linux.md:{line} `{key}` (uint32, REQUIRED)"))
                .advice()
                .needs(Need::Root)
                .breaks(Break::Repair)
                .runs(move |c| {
                    c.user_namespace(100_000, 1000);
                    c.remove(&format!("/linux/uidMappings/0/{key}"));
                    c.create_refused()
                }),
        );
    }
    all
}

fn owners(c: &mut Context) -> Verdict {
    c.user_namespace(100_000, 1000);
    let file = c.rootfs().join("etc/file");
    std::fs::write(&file, "")?;
    let before = std::fs::metadata(&file)?.uid();
    c.request(&["stat:/etc/file"]);
    let seen = c.observe()?;
    equal("owner on the host", &std::fs::metadata(&file)?.uid(), &before)?;
    let inside = seen.tried("stat:/etc/file").value["uid"].clone();
    c.saw(format!("owner inside {inside}"));
    equal("owner inside", &inside, &Value::from(65_534))
}
