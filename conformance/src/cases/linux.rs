//! What else config-linux.md configures: paths, propagation, sysctl, personality, memory policy,
//! resource control, network devices; and the extensibility rules of config.md.

use serde_json::{Value, json};

use crate::case::{Case, Stop, Verdict, case, ensure, equal};
use crate::context::Context;
use crate::mutant::{Break, drops, refuses, sets};
use crate::needs::Need;

const APPLIED: &str = "runtime.md:113 MUST be applied";
const VALUES: &str = "config.md:760 invalid or unsupported values";

/// The chapter.
pub fn cases() -> Vec<Case> {
    let mut all = hidden_paths();
    all.extend(propagation());
    all.extend(kernel());
    all.extend(resctrl());
    all.extend(extensibility());
    all.extend(annotations());
    all.extend(versions());
    all
}

fn hidden_paths() -> Vec<Case> {
    let relative = |name: &str, cite: &str, pointer: &'static str| {
        case(format!("linux/{name}")).cites(cite).breaks(Break::Repair).runs(move |c| {
            c.set(pointer, json!(["etc/file"]));
            c.refused()
        })
    };
    let masked = |name: &str, path: &'static str, look: fn(&mut Context) -> Verdict| {
        case(format!("linux/{name}"))
            .cites("config-linux.md:1068 absolute paths in the container namespace")
            .cites(APPLIED)
            .breaks(drops("/linux/maskedPaths"))
            .runs(move |c| {
                std::fs::write(c.rootfs().join("etc/file"), "secret")?;
                c.set("/linux/maskedPaths", json!([path, "/not/there"]));
                look(c)
            })
    };
    vec![
        masked("masked-file", "/etc/file", |c| {
            c.request(&["read:/etc/file"]);
            let tried = c.observe()?.tried("read:/etc/file");
            c.saw(format!("{} {}", tried.errno, tried.value));
            ensure(tried.value != "secret", || "it can be read".into())
        }),
        masked("masked-directory", "/etc", |c| {
            c.request(&["list:/etc", "create:/etc/new"]);
            let seen = c.observe()?;
            equal("entries", &seen.tried("list:/etc").value, &json!([]))?;
            ensure(!seen.tried("create:/etc/new").worked(), || "it can be written".into())
        }),
        masked("masked-in-proc", "/proc/timer_list", |c| {
            c.request(&["read:/proc/timer_list", "stat:/proc/timer_list"]);
            let seen = c.observe()?;
            let text = seen.tried("read:/proc/timer_list").value;
            ensure(text == "" || text.is_null(), || "it can be read".into())
        }),
        relative(
            "masked-relative",
            "config-linux.md:1068 MUST be absolute paths",
            "/linux/maskedPaths",
        ),
        case("linux/readonly-path")
            .cites("config-linux.md:1081 absolute paths in the container namespace")
            .cites(APPLIED)
            .breaks(drops("/linux/readonlyPaths"))
            .runs(|c| {
                c.set("/linux/readonlyPaths", json!(["/etc", "/not/there"]));
                c.request(&["create:/etc/new", "list:/etc"]);
                let seen = c.observe()?;
                equal("writing", seen.tried("create:/etc/new").errno.as_str(), "EROFS")?;
                ensure(seen.tried("list:/etc").worked(), || "it can't be read".into())
            }),
        case("linux/readonly-path-in-proc")
            .cites(APPLIED)
            // To others the file is closed whatever its mount says.
            .needs(Need::Root)
            .breaks(drops("/linux/readonlyPaths"))
            .runs(|c| {
                c.set("/linux/readonlyPaths", json!(["/proc/sys"]));
                c.request(&["write:/proc/sys/kernel/hostname=x"]);
                let tried = c.observe()?.tried("write:/proc/sys/kernel/hostname=x");
                equal("writing", tried.errno.as_str(), "EROFS")
            }),
        relative(
            "readonly-relative",
            "config-linux.md:1081 MUST be absolute paths",
            "/linux/readonlyPaths",
        ),
    ]
}

fn propagation() -> Vec<Case> {
    let root = |word: &'static str, tag: &'static str, broken: &str| {
        case(format!("linux/rootfs-propagation-{word}"))
            .cites(APPLIED)
            .needs(Need::Root)
            .breaks(sets("/linux/rootfsPropagation", broken))
            .runs(move |c| {
                c.set("/linux/rootfsPropagation", word);
                let seen = c.observe()?;
                let tags = seen.mount("/").map(|mount| mount.propagation.clone());
                let tags = tags.unwrap_or_default();
                c.saw(format!("/ has {tags:?}"));
                let fits = match tag {
                    "" => !tags.iter().any(|tag| tag.starts_with("shared:")),
                    tag => tags.iter().any(|have| have.starts_with(tag)),
                };
                ensure(fits, || format!("/ has {tags:?}"))
            })
    };
    vec![
        root("private", "", "shared"),
        root("shared", "shared:", "private"),
        root("unbindable", "unbindable", "private"),
        case("linux/rootfs-propagation-unknown").cites(VALUES).breaks(Break::Repair).runs(|c| {
            c.set("/linux/rootfsPropagation", "sideways");
            c.create_refused()
        }),
    ]
}

fn kernel() -> Vec<Case> {
    let sysctl =
        |name: &str, cite: &str, values: Value, read: &'static str, wanted: &'static str| {
            case(format!("linux/{name}"))
                .cites(cite)
                .needs(Need::Root)
                .breaks(drops("/linux/sysctl"))
                .runs(move |c| {
                    c.namespace("network", None);
                    c.set("/linux/sysctl", values.clone());
                    c.request(&[read]);
                    equal("value", &c.observe()?.tried(read).value, &json!(wanted))
                })
        };
    vec![
        sysctl(
            "sysctl-network",
            APPLIED,
            json!({"net.ipv4.ip_forward": "1"}),
            "read:/proc/sys/net/ipv4/ip_forward",
            "1\n",
        ),
        sysctl(
            "sysctl-ipc",
            APPLIED,
            json!({"kernel.msgmax": "4096"}),
            "read:/proc/sys/kernel/msgmax",
            "4096\n",
        ),
        sysctl(
            "sysctl-with-slashes",
            APPLIED,
            json!({"net/ipv4/ip_default_ttl": "77"}),
            "read:/proc/sys/net/ipv4/ip_default_ttl",
            "77\n",
        ),
        case("linux/sysctl-absent")
            .cites("runtime.md:59 MUST generate an error")
            .needs(Need::Root)
            .breaks(Break::Repair)
            .runs(|c| {
                c.namespace("network", None);
                c.set("/linux/sysctl", json!({"net.no_such": "1"}));
                c.create_refused()
            }),
        case("linux/personality")
            .cites("config-linux.md:1108 `domain` (string, REQUIRED) - the execution domain")
            .needs(Need::X86)
            .needs(Need::Spec("1.0.2"))
            .breaks(drops("/linux/personality"))
            .runs(|c| {
                c.set("/linux/personality", json!({"domain": "LINUX32"}));
                equal("personality", &c.observe()?.personality, &8)
            }),
        case("linux/personality-unknown").cites(VALUES).breaks(Break::Repair).runs(|c| {
            c.set("/linux/personality", json!({"domain": "BSD"}));
            c.refused()
        }),
        case("linux/memory-policy")
            .cites("config-linux.md:826 `mode` (string, REQUIRED)")
            .cites("features-linux.md:203 MUST recognize the elements in this array as the `mode`")
            .needs(Need::Spec("1.3.0"))
            .needs(Need::File("/sys/devices/system/node/node0"))
            .breaks(drops("/linux/memoryPolicy"))
            .runs(|c| {
                c.set("/linux/memoryPolicy", json!({"mode": "MPOL_BIND", "nodes": "0"}));
                equal("policy", &c.observe()?.mempolicy, &(2, vec![0]))
            }),
        case("linux/memory-policy-flags")
            .cites("features-linux.md:206 MUST recognize the elements in this in the `flags`")
            .needs(Need::Spec("1.3.0"))
            .needs(Need::File("/sys/devices/system/node/node0"))
            .needs(Need::Claim("/linux/memoryPolicy/flags", json!("MPOL_F_STATIC_NODES")))
            .breaks(drops("/linux/memoryPolicy/flags"))
            .runs(|c| {
                c.set(
                    "/linux/memoryPolicy",
                    json!({
                        "mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"],
                    }),
                );
                equal("policy", &c.observe()?.mempolicy.0, &(2 | 1 << 15))
            }),
        case("linux/memory-policy-mode-unknown")
            .cites(VALUES)
            .needs(Need::Spec("1.3.0"))
            .breaks(Break::Repair)
            .runs(|c| {
                c.set("/linux/memoryPolicy", json!({"mode": "MPOL_X"}));
                c.refused()
            }),
    ]
}

fn resctrl() -> Vec<Case> {
    vec![
        case("linux/intel-rdt-without-resctrl")
            .cites("config-linux.md:740 If no mounted `resctrl` pseudo-filesystem is available")
            .needs(Need::Root)
            .needs(Need::NoFile("/sys/fs/resctrl/schemata"))
            .breaks(Break::Repair)
            .runs(|c| {
                c.set("/linux/intelRdt", json!({"l3CacheSchema": "L3:0=f"}));
                c.create_refused()
            }),
        case("linux/net-device-absent")
            .cites("config-linux.md:224 MUST check if moving the network interface")
            .needs(Need::Root)
            .needs(Need::Spec("1.3.0"))
            .breaks(Break::Repair)
            .runs(|c| {
                c.namespace("network", None);
                c.set("/linux/netDevices", json!({"no-such-device": {}}));
                c.create_refused()
            }),
    ]
}

fn extensibility() -> Vec<Case> {
    let ignored = |name: &str, pointer: &'static str| {
        case(format!("linux/unknown-property-{name}"))
            .cites("config.md:755 log unknown properties but MUST otherwise ignore them")
            .breaks(refuses("create"))
            .runs(move |c| {
                c.set(pointer, json!({"x": [1, null, "y"]}));
                c.observe().map(drop)
            })
    };
    vec![
        ignored("at-top", "/org.example.unknown"),
        ignored("in-process", "/process/orgExampleUnknown"),
        ignored("in-linux", "/linux/orgExampleUnknown"),
        ignored("in-root", "/root/orgExampleUnknown"),
        ignored("in-mount", "/mounts/0/orgExampleUnknown"),
        ignored("in-resources", "/linux/resources/orgExampleUnknown"),
        ignored("in-namespace", "/linux/namespaces/0/orgExampleUnknown"),
    ]
}

fn annotations() -> Vec<Case> {
    let bad = |name: &str, cite: &str, value: Value| {
        case(format!("linux/annotations-{name}")).cites(cite).breaks(Break::Repair).runs(move |c| {
            c.set("/annotations", value.clone());
            c.refused()
        })
    };
    vec![
        bad("no-map", "config.md:720 Annotations MUST be a key-value map", json!(["a"])),
        bad("key-empty", "config.md:724 Keys MUST NOT be an empty string", json!({"": "x"})),
        bad("value-number", "config.md:744 Values MUST be strings", json!({"a.b": 1})),
        bad("value-list", "config.md:744 Values MUST be strings", json!({"a.b": ["x"]})),
        case("linux/annotations-value-empty")
            .cites("config.md:744 Values MUST be strings")
            .cites("config.md:723 Keys MUST be strings")
            .breaks(Break::State("/annotations".into(), None))
            .runs(|c| {
                c.set("/annotations", json!({"a.b": ""}));
                equal("value", &c.create()?.state()?["annotations"]["a.b"], &json!(""))
            }),
        case("linux/annotations-unknown-key")
            .cites("config.md:742 MUST handle unknown annotation keys like any other unknown")
            .breaks(refuses("create"))
            .runs(|c| {
                c.set("/annotations", json!({"org.example.nobody.knows": "this"}));
                c.observe().map(drop)
            }),
    ]
}

fn versions() -> Vec<Case> {
    let bad = |name: &str, value: Value| {
        case(format!("linux/oci-version-{name}"))
            .cites("config.md:17 MUST be in SemVer v2.0.0 format")
            .cites(VALUES)
            .breaks(Break::Repair)
            .runs(move |c| {
                match &value {
                    Value::Null => c.remove("/ociVersion"),
                    value => c.set("/ociVersion", value.clone()),
                }
                c.refused()
            })
    };
    let limit = |name: &'static str, line: &str, pointer: &'static str| {
        case(format!("linux/oci-version-{name}"))
            .cites(format!("features.md:{line} MUST accept this value as the `ociVersion`"))
            .needs(Need::Features)
            .breaks(sets("/ociVersion", "none"))
            .runs(move |c| -> Verdict {
                let features = c.driver.runtime.features.clone().unwrap_or_default();
                let Some(version) = features.pointer(pointer).cloned() else {
                    return Err(Stop::Fail(format!("`features` has no {pointer}")));
                };
                c.saw(format!("{version}"));
                c.set("/ociVersion", version);
                c.observe().map(drop)
            })
    };
    vec![
        bad("missing", Value::Null),
        bad("empty", json!("")),
        bad("no-semver", json!("one.two")),
        bad("two-numbers", json!("1.0")),
        bad("a-number", json!(1)),
        bad("of-the-far-future", json!("99.0.0")),
        limit("lowest", "15", "/ociVersionMin"),
        limit("highest", "18", "/ociVersionMax"),
    ]
}
