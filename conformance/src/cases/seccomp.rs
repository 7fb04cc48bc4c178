//! Seccomp (config-linux.md).

use serde_json::{Value, json};

use crate::case::{Case, Verdict, case, ensure, equal};
use crate::context::Context;
use crate::mutant::{Break, drops, sets};
use crate::needs::Need;

/// `getpriority(PRIO_PROCESS, 0)` by its number on x86_64: integers only, and nothing else calls it.
const GETPRIORITY: &str = "call:140,0,0";

fn claim(pointer: &str, value: Value) -> Need {
    Need::Claim(
        match pointer {
            "actions" => "/linux/seccomp/actions",
            "operators" => "/linux/seccomp/operators",
            "archs" => "/linux/seccomp/archs",
            "flags" => "/linux/seccomp/supportedFlags",
            _ => "/linux/seccomp/enabled",
        },
        value,
    )
}

/// The chapter.
pub fn cases() -> Vec<Case> {
    let mut all = actions();
    all.extend(OPERATORS.iter().map(operator));
    all.extend(lists());
    all.extend(refused());
    all.extend(refused_arguments());
    all
}

/// A filter with one rule for getpriority(2).
fn filter(action: &str, errno: Option<u32>) -> Value {
    let mut rule = json!({"names": ["getpriority"], "action": action});
    if let Some(errno) = errno {
        rule["errnoRet"] = json!(errno);
    }
    json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]})
}

fn attempt(c: &mut Context, wanted: &str) -> Verdict {
    c.request(&[GETPRIORITY]);
    let seen = c.observe()?;
    let errno = seen.tried(GETPRIORITY).errno;
    c.saw(format!("Seccomp {}, getpriority gives {errno:?}", seen.field("Seccomp")));
    equal("getpriority's errno", errno.as_str(), wanted)
}

fn actions() -> Vec<Case> {
    const ACTION: &str = "config-linux.md:948 the action for seccomp rules";
    const NAMES: &str = "config-linux.md:946 the names of the syscalls";
    let errno = |name: &str, number, wanted: &'static str| {
        case(format!("seccomp/{name}"))
            .cites(ACTION)
            .cites(NAMES)
            .cites("features-linux.md:107 MUST recognize the elements in this array")
            .needs(Need::X86)
            .breaks(drops("/linux/seccomp"))
            .runs(move |c| {
                c.set("/linux/seccomp", filter("SCMP_ACT_ERRNO", number));
                attempt(c, wanted)
            })
    };
    vec![
        errno("errno-default", None, "EPERM"),
        errno("errno-given", Some(38), "ENOSYS"),
        case("seccomp/default-action")
            .cites("config-linux.md:885 the default action for seccomp")
            .needs(Need::X86)
            .breaks(sets("/linux/seccomp/defaultAction", "SCMP_ACT_ALLOW"))
            .runs(|c| {
                // Refused by default: allowed is all the probe and the runtimes need.
                c.set("/linux/seccomp", everything_but("getpriority"));
                attempt(c, "EPERM")
            }),
        case("seccomp/kill-process")
            .cites(ACTION)
            .needs(Need::X86)
            .needs(claim("actions", json!("SCMP_ACT_KILL_PROCESS")))
            .breaks(drops("/linux/seccomp"))
            .runs(|c| {
                c.set("/linux/seccomp", filter("SCMP_ACT_KILL_PROCESS", None));
                c.request(&[GETPRIORITY]);
                let container = c.start()?;
                equal("end", &container.wait()?, &crate::process::Exit::Signal(libc::SIGSYS))
            }),
        case("seccomp/every-entry-of-the-abi")
            .cites("runtime.md:113 MUST be applied")
            .cites("features-linux.md:111 MUST recognize the elements in this array")
            .needs(Need::X86)
            .needs(Need::Interrupt)
            .needs(claim("archs", json!("SCMP_ARCH_X86")))
            .breaks(drops("/linux/seccomp"))
            .runs(|c| {
                let mut filter = filter("SCMP_ACT_ERRNO", None);
                filter["architectures"] = json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]);
                filter["syscalls"][0]["names"] = json!(["getpid", "getpriority"]);
                c.set("/linux/seccomp", filter);
                c.request(&["getpid32:", GETPRIORITY]);
                let seen = c.observe()?;
                equal("getpid by int 0x80", seen.tried("getpid32:").errno.as_str(), "EPERM")?;
                equal("getpriority", seen.tried(GETPRIORITY).errno.as_str(), "EPERM")
            }),
        case("seccomp/without-no-new-privileges")
            .cites("runtime.md:113 MUST be applied")
            .needs(Need::Root)
            .needs(Need::X86)
            .breaks(drops("/linux/seccomp"))
            .runs(|c| {
                c.set("/process/noNewPrivileges", false);
                c.set("/linux/seccomp", filter("SCMP_ACT_ERRNO", None));
                attempt(c, "EPERM")
            }),
        case("seccomp/unknown-syscall-is-skipped")
            .cites(NAMES)
            .needs(Need::X86)
            .breaks(drops("/linux/seccomp"))
            .runs(|c| {
                let mut filter = filter("SCMP_ACT_ERRNO", None);
                filter["syscalls"][0]["names"] = json!(["getpriority", "no_such_call"]);
                c.set("/linux/seccomp", filter);
                attempt(c, "EPERM")
            }),
    ]
}

/// Allows every system call of x86_64 but one.
fn everything_but(name: &str) -> Value {
    let allowed: Vec<&str> =
        include_str!("../../data/syscalls.txt").split_whitespace().filter(|n| *n != name).collect();
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": [{"names": allowed, "action": "SCMP_ACT_ALLOW"}],
    })
}

/// An operator, its value for argument 1 of getpriority, and the arguments it does and does not
/// catch.
struct Operator {
    name: &'static str,
    value: u64,
    other: Option<u64>,
    caught: u64,
    passed: u64,
}

const OPERATORS: [Operator; 7] = [
    Operator { name: "SCMP_CMP_NE", value: 5, other: None, caught: 6, passed: 5 },
    Operator { name: "SCMP_CMP_LT", value: 5, other: None, caught: 4, passed: 5 },
    Operator { name: "SCMP_CMP_LE", value: 5, other: None, caught: 5, passed: 6 },
    Operator { name: "SCMP_CMP_EQ", value: 5, other: None, caught: 5, passed: 6 },
    Operator { name: "SCMP_CMP_GE", value: 5, other: None, caught: 5, passed: 4 },
    Operator { name: "SCMP_CMP_GT", value: 5, other: None, caught: 6, passed: 5 },
    Operator { name: "SCMP_CMP_MASKED_EQ", value: 6, other: Some(4), caught: 13, passed: 6 },
];

fn operator(operator: &'static Operator) -> Case {
    case(format!("seccomp/{}", operator.name))
        .cites("config-linux.md:969 the index for syscall arguments in seccomp")
        .cites("config-linux.md:970 the value for syscall arguments in seccomp")
        .cites("config-linux.md:972 the operator for syscall arguments in seccomp")
        .cites("features-linux.md:109 MUST recognize the elements in this array")
        .needs(Need::X86)
        .needs(claim("operators", json!(operator.name)))
        .breaks(drops("/linux/seccomp/syscalls/0/args"))
        .runs(|c| {
            let mut condition = json!({"index": 1, "value": operator.value, "op": operator.name});
            if let Some(other) = operator.other {
                condition["valueTwo"] = json!(other);
            }
            let mut filter = filter("SCMP_ACT_ERRNO", Some(95));
            filter["syscalls"][0]["args"] = json!([condition]);
            c.set("/linux/seccomp", filter);
            // PRIO_PGRP: an absent group gives ESRCH, never the filter's EOPNOTSUPP.
            let [caught, passed] =
                [operator.caught, operator.passed].map(|value| format!("call:140,1,{value}"));
            c.request(&[&caught, &passed]);
            let seen = c.observe()?;
            equal(&caught, seen.tried(&caught).errno.as_str(), "EOPNOTSUPP")?;
            let free = seen.tried(&passed).errno;
            ensure(free != "EOPNOTSUPP", || format!("{passed} is caught too"))
        })
}

/// What `features` lists must be taken.
fn lists() -> Vec<Case> {
    let flags = |name: &str, cite: &str, pointer: &'static str| {
        case(format!("seccomp/{name}"))
            .cites(cite)
            .needs(Need::Features)
            .breaks(sets("/linux/seccomp/flags/-", "SECCOMP_FILTER_FLAG_NONE"))
            .runs(move |c| {
                let features = c.driver.runtime.features.clone().unwrap_or_default();
                let Some(flags) = features.pointer(pointer).filter(|flags| flags.is_array()) else {
                    return Err(crate::case::Stop::Skip("no flags are claimed".into()));
                };
                let mut filter = filter("SCMP_ACT_ERRNO", None);
                filter["flags"] = flags.clone();
                // Waiting for a listener makes sense only with one.
                if let Some(list) = filter["flags"].as_array_mut() {
                    list.retain(|flag| flag != "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV");
                }
                c.saw(format!("flags {}", filter["flags"]));
                c.set("/linux/seccomp", filter);
                attempt(c, "EPERM")
            })
    };
    vec![
        flags(
            "supported-flags",
            "features-linux.md:116 MUST recognize and support the elements",
            "/linux/seccomp/supportedFlags",
        ),
        flags(
            "known-flags",
            "features-linux.md:113 MUST recognize the elements in this array in the `flags`",
            "/linux/seccomp/supportedFlags",
        ),
    ]
}

/// Filters that must be refused.
fn bad(name: &str, cite: &str, since: &'static str, seccomp: Value) -> Case {
    let advice = cite.contains("REQUIRED");
    let start = case(format!("seccomp/{name}")).cites(cite).needs(Need::Spec(since));
    let start = if advice { start.advice() } else { start };
    start.breaks(Break::Repair).runs(move |c| {
        c.set("/linux/seccomp", seccomp.clone());
        c.refused()
    })
}

const VALUES: &str = "config.md:760 invalid or unsupported values";

/// A filter of one rule.
fn rule(rule: &Value) -> Value {
    json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]})
}

fn refused() -> Vec<Case> {
    vec![
        bad(
            "default-action-missing",
            "config-linux.md:885 `defaultAction` (string, REQUIRED)",
            "1.0.0",
            json!({"syscalls": []}),
        ),
        bad("default-action-unknown", VALUES, "1.0.0", json!({"defaultAction": "SCMP_ACT_X"})),
        bad(
            "default-errno-without-errno-action",
            "config-linux.md:888 When the action doesn't support an errno",
            "1.1.0",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1}),
        ),
        bad(
            "errno-without-errno-action",
            "config-linux.md:963 When the action doesn't support an errno",
            "1.0.2",
            filter("SCMP_ACT_KILL", Some(1)),
        ),
        bad(
            "names-empty",
            "config-linux.md:947 MUST contain at least one entry",
            "1.0.0",
            rule(&json!({"names": [], "action": "SCMP_ACT_ERRNO"})),
        ),
        bad(
            "names-missing",
            "config-linux.md:946 `names` (array of strings, REQUIRED)",
            "1.0.0",
            rule(&json!({"action": "SCMP_ACT_ERRNO"})),
        ),
        bad(
            "action-missing",
            "config-linux.md:948 `action` (string, REQUIRED)",
            "1.0.0",
            rule(&json!({"names": ["getpriority"]})),
        ),
        bad(
            "action-unknown",
            VALUES,
            "1.0.0",
            rule(&json!({"names": ["getpriority"], "action": "SCMP_ACT_X"})),
        ),
        bad(
            "architecture-unknown",
            VALUES,
            "1.0.0",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X"]}),
        ),
        bad(
            "flag-unknown",
            VALUES,
            "1.0.2",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_X"]}),
        ),
        bad(
            "listener-metadata-alone",
            "config-linux.md:939 MUST NOT be set if `listenerPath` is not set",
            "1.0.3",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "x"}),
        ),
        bad(
            "listener-of-nobody",
            "config-linux.md:930 If sending to this socket fails, the runtime MUST generate",
            "1.1.0",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/no/socket",
                "syscalls": [{"names": ["getpriority"], "action": "SCMP_ACT_NOTIFY"}]}),
        ),
    ]
}

fn refused_arguments() -> Vec<Case> {
    let argument = |argument: Value| {
        rule(&json!({"names": ["getpriority"], "action": "SCMP_ACT_ERRNO", "args": [argument]}))
    };
    vec![
        bad(
            "index-missing",
            "config-linux.md:969 `index` (uint, REQUIRED)",
            "1.0.0",
            argument(json!({"value": 1, "op": "SCMP_CMP_EQ"})),
        ),
        bad(
            "value-missing",
            "config-linux.md:970 `value` (uint64, REQUIRED)",
            "1.0.0",
            argument(json!({"index": 1, "op": "SCMP_CMP_EQ"})),
        ),
        bad(
            "operator-missing",
            "config-linux.md:972 `op` (string, REQUIRED)",
            "1.0.0",
            argument(json!({"index": 1, "value": 1})),
        ),
        bad(
            "operator-unknown",
            VALUES,
            "1.0.0",
            argument(json!({"index": 1, "value": 1, "op": "SCMP_CMP_X"})),
        ),
    ]
}
