//! Hooks: when they are called, where, with what, and what their failure does.

use serde_json::{Value, json};

use crate::case::{Case, Verdict, case, ensure, equal, fail};
use crate::context::Context;
use crate::mutant::{Break, drops, moves, pretends, reverses, sets, skips};
use crate::needs::Need;

/// A kind of hook and the lines that speak of it.
struct Kind {
    name: &'static str,
    /// "MUST be invoked by the runtime".
    invoked: &'static str,
    /// "If any hook fails".
    failure: &'static str,
    /// "MUST be executed in the … namespace", and which.
    executed: [&'static str; 2],
    /// "path MUST resolve in the … namespace".
    resolved: [&'static str; 2],
    inside: bool,
    since: &'static str,
}

const KINDS: [Kind; 6] = [
    Kind {
        name: "prestart",
        invoked: "runtime.md:62",
        failure: "runtime.md:63",
        executed: ["config.md:562", "config.md:602.2"],
        resolved: ["config.md:561", "config.md:602"],
        inside: false,
        since: "1.0.0",
    },
    Kind {
        name: "createRuntime",
        invoked: "runtime.md:64",
        failure: "runtime.md:65",
        executed: ["config.md:572", "config.md:609.2"],
        resolved: ["config.md:571", "config.md:609"],
        inside: false,
        since: "1.0.2",
    },
    Kind {
        name: "createContainer",
        invoked: "runtime.md:66",
        failure: "runtime.md:67",
        executed: ["config.md:576", "config.md:621.2"],
        resolved: ["config.md:575", "config.md:621"],
        inside: true,
        since: "1.0.2",
    },
    Kind {
        name: "startContainer",
        invoked: "runtime.md:69",
        failure: "runtime.md:70",
        executed: ["config.md:580", "config.md:633.2"],
        resolved: ["config.md:579", "config.md:633"],
        inside: true,
        since: "1.0.2",
    },
    Kind {
        name: "poststart",
        invoked: "runtime.md:72",
        failure: "runtime.md:73",
        executed: ["config.md:584", "config.md:641.2"],
        resolved: ["config.md:583", "config.md:641"],
        inside: false,
        since: "1.0.0",
    },
    Kind {
        name: "poststop",
        invoked: "runtime.md:78",
        failure: "runtime.md:79",
        executed: ["config.md:588", "config.md:649.2"],
        resolved: ["config.md:587", "config.md:649"],
        inside: false,
        since: "1.0.0",
    },
];

/// The chapter.
pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for kind in &KINDS {
        all.extend([called(kind), state(kind), order(kind), namespace(kind), failure(kind)]);
        all.extend(path(kind));
    }
    all.extend(times());
    all.extend(moments());
    all
}

/// Through the whole life of a container.
fn live(c: &mut Context) -> Verdict {
    c.stay(&[]);
    let mut container = c.start()?;
    container.seen()?;
    container.kill("KILL")?;
    container.wait()?;
    container.delete()
}

fn called(kind: &'static Kind) -> Case {
    case(format!("hooks/{}-called", kind.name))
        .cites(format!("{} MUST be invoked by the runtime", kind.invoked))
        .needs(Need::Spec(kind.since))
        .breaks(drops(&format!("/hooks/{}", kind.name)))
        .runs(|c| {
            c.hook(kind.name, "one", 0);
            live(c)?;
            let count = c.hooks().len();
            equal("number of calls", &count, &1)
        })
}

fn state(kind: &'static Kind) -> Case {
    case(format!("hooks/{}-state-on-stdin", kind.name))
        .cites("config.md:592 MUST be passed to hooks over stdin")
        .needs(Need::Spec(kind.since))
        .breaks(sets(&format!("/hooks/{}/0/args/-", kind.name), "deaf"))
        .runs(|c| {
            c.set("/annotations", json!({"org.example.hook": "seen"}));
            c.hook(kind.name, "one", 0);
            c.stay(&[]);
            let mut container = c.start()?;
            let pid = container.pid()?;
            container.kill("KILL")?;
            container.wait()?;
            container.delete()?;
            let state = c.hooked("one")?["state"].clone();
            c.saw(format!("state {state}"));
            equal("id", &state["id"], &json!(container.id))?;
            equal("bundle", &state["bundle"], &json!(c.bundle()))?;
            equal("annotation", &state["annotations"]["org.example.hook"], &json!("seen"))?;
            ensure(state["ociVersion"].is_string(), || "no ociVersion".into())?;
            status(kind, &state)?;
            // Inside, the pid may be told as the container sees it.
            let known = kind.inside || kind.name == "poststop" || state["pid"] == json!(pid);
            ensure(known, || format!("pid is {}, not {pid}", state["pid"]))
        })
}

fn status(kind: &Kind, state: &Value) -> Verdict {
    let allowed: &[&str] = match kind.name {
        "poststart" => &["running"],
        "poststop" => &["stopped"],
        _ => &["creating", "created"],
    };
    let told = state["status"].as_str().unwrap_or_default();
    ensure(allowed.contains(&told), || format!("status is {told:?}, not one of {allowed:?}"))
}

fn order(kind: &'static Kind) -> Case {
    case(format!("hooks/{}-listed-order", kind.name))
        .cites("config.md:591 MUST be called in the listed order")
        .needs(Need::Spec(kind.since))
        .breaks(reverses(&format!("/hooks/{}", kind.name)))
        .runs(|c| {
            for name in ["one", "two", "three"] {
                c.hook(kind.name, name, 0);
            }
            live(c)?;
            let names: Vec<Value> = c.hooks().iter().map(|call| call["hook"].clone()).collect();
            equal("order", &names, &[json!("one"), json!("two"), json!("three")])
        })
}

fn namespace(kind: &'static Kind) -> Case {
    let (word, other) = match kind.name {
        "createContainer" => ("container", "createRuntime"),
        "startContainer" => ("container", "createContainer"),
        _ => ("runtime", "createContainer"),
    };
    let resolved =
        if kind.inside && kind.name == "startContainer" { "container" } else { "runtime" };
    let mut builder = case(format!("hooks/{}-namespace", kind.name));
    for id in kind.executed {
        builder = builder.cites(format!("{id} MUST be executed in the {word} namespace"));
    }
    for id in kind.resolved {
        builder = builder.cites(format!("{id} MUST resolve in the {resolved} namespace"));
    }
    let list = |name: &str| format!("/hooks/{name}");
    builder.needs(Need::Spec("1.0.2")).breaks(moves(&list(kind.name), &list(other))).runs(|c| {
        c.hook(kind.name, "one", 0);
        c.stay(&[]);
        let mut container = c.start()?;
        let inside = container.seen()?.namespaces;
        container.kill("KILL")?;
        container.wait()?;
        container.delete()?;
        let seen = c.hooked("one")?["namespaces"].clone();
        let own = super::own_namespaces();
        ["mnt", "uts", "ipc"].iter().try_for_each(|name| {
            let wanted = if kind.inside { &inside[*name] } else { &own[*name] };
            equal(&format!("the hook's {name} namespace"), &seen[*name], &json!(wanted))
        })
    })
}

fn failure(kind: &'static Kind) -> Case {
    let words = match kind.name {
        "poststop" => "MUST log a warning, but the remaining hooks and lifecycle continue",
        _ => "the runtime MUST generate an error, stop the container",
    };
    case(format!("hooks/{}-failure", kind.name))
        .cites(format!("{} {words}", kind.failure))
        .needs(Need::Spec(kind.since))
        .breaks(match kind.name {
            "poststop" => Break::Spoil("delete".into()),
            _ => sets(&format!("/hooks/{}/0/args/4", kind.name), "0"),
        })
        .runs(|c| match kind.name {
            "poststop" => failed_poststop(c),
            _ => failed_hook(c, kind.name),
        })
}

fn failed_poststop(c: &mut Context) -> Verdict {
    c.hook("poststop", "one", 1);
    c.hook("poststop", "two", 0);
    live(c)?;
    c.hooked("one")?;
    c.hooked("two").map(drop)
}

fn failed_hook(c: &mut Context, kind: &str) -> Verdict {
    c.hook(kind, "one", 1);
    c.hook(kind, "after", 0);
    c.hook("poststop", "stop", 0);
    c.stay(&[]);
    let (container, output) = c.try_create()?;
    let late = ["startContainer", "poststart"].contains(&kind);
    let output = if late {
        crate::container::worked("create", &output)?;
        container.call("start", &[])?
    } else {
        output
    };
    c.saw(output.summary());
    ensure(!output.ok(), || "no error".into())?;
    c.hooked("one")?;
    ensure(c.hooked("after").is_err(), || "the next hook is called all the same".into())?;
    let left = container.call("state", &[])?;
    if left.ok() {
        // Destroyed at once or left to `delete`: what matters is that nothing runs.
        ensure(left.stdout.contains("stopped"), || format!("state {}", left.stdout.trim()))?;
        return fail("the lifecycle does not go on to step 12: the container is not destroyed");
    }
    c.nothing_left(&container)?;
    c.hooked("stop").map(drop)
}

fn path(kind: &'static Kind) -> Vec<Case> {
    let absolute = match kind.name {
        "prestart" => "config.md:556 `path` MUST be absolute",
        _ => "config.md:566 `path` MUST be absolute",
    };
    let greater = match kind.name {
        "prestart" => "config.md:560 `timeout` MUST be greater than zero",
        _ => "config.md:570 `timeout` MUST be greater than zero",
    };
    let required = match kind.name {
        "prestart" => "config.md:555 `path` (string, REQUIRED)",
        _ => "config.md:565 `path` (string, REQUIRED)",
    };
    let bad = [
        ("path-relative", absolute, "path", json!("probe")),
        ("path-missing", required, "path", Value::Null),
        ("timeout-zero", greater, "timeout", json!(0)),
        ("timeout-negative", greater, "timeout", json!(-1)),
    ];
    bad.map(|(name, cite, key, value)| {
        case(format!("hooks/{}-{name}", kind.name))
            .cites(cite)
            .cites("config.md:760 MUST generate an error when invalid or unsupported values")
            .needs(Need::Spec(kind.since))
            .breaks(Break::Repair)
            .runs(move |c| {
                c.hook(kind.name, "one", 0);
                let pointer = format!("/hooks/{}/0/{key}", kind.name);
                match &value {
                    Value::Null => c.remove(&pointer),
                    value => c.set(&pointer, value.clone()),
                }
                c.refused()
            })
    })
    .into()
}

fn times() -> Vec<Case> {
    vec![
        case("hooks/prestart-before-create-runtime")
            .cites("config.md:596.2 MUST be called before the `createRuntime` hooks")
            .needs(Need::Spec("1.0.2"))
            .breaks(Break::All(vec![
                moves("/hooks/prestart", "/hooks/kept"),
                moves("/hooks/createRuntime", "/hooks/prestart"),
                moves("/hooks/kept", "/hooks/createRuntime"),
            ]))
            .runs(|c| sequence(c, &["prestart", "createRuntime"])),
        case("hooks/create-container-after-create-runtime")
            .cites("config.md:618.2 MUST be called after the `createRuntime` hooks")
            .needs(Need::Spec("1.0.2"))
            .breaks(moves("/hooks/createContainer", "/hooks/prestart"))
            .runs(|c| sequence(c, &["createRuntime", "createContainer"])),
        case("hooks/start-container-before-process")
            .cites("config.md:630 MUST be called before the user-specified process is executed")
            .needs(Need::Spec("1.0.2"))
            .breaks(drops("/hooks/startContainer"))
            .runs(|c| {
                c.hook("startContainer", "one", 0);
                c.request(&["stat:/hooks.log"]);
                let container = c.create()?;
                ensure(c.hooks().is_empty(), || "called at create".into())?;
                container.start()?;
                let seen = container.seen()?.tried("stat:/hooks.log");
                ensure(seen.worked(), || "the process runs before the hook".into())
            }),
        case("hooks/poststart-before-start-returns")
            .cites("config.md:638 before the `start` operation returns")
            .breaks(drops("/hooks/poststart"))
            .runs(|c| {
                c.hook("poststart", "one", 0);
                c.stay(&[]);
                let container = c.create()?;
                ensure(c.hooks().is_empty(), || "called at create".into())?;
                container.start()?;
                c.hooked("one").map(drop)
            }),
        case("hooks/poststart-after-process")
            .cites("config.md:638 MUST be called after the user-specified process is executed")
            .breaks(moves("/hooks/poststart", "/hooks/createRuntime"))
            .runs(|c| {
                c.hook("poststart", "one", 0);
                c.stay(&[]);
                let container = c.start()?;
                container.seen()?;
                let command = c.hooked("one")?["container"]["command"].clone();
                equal("the container's command at the hook", &command, &json!("/probe stay"))
            }),
        case("hooks/poststop-during-delete")
            .cites("config.md:646 after the container is deleted but before the `delete`")
            .breaks(skips("delete"))
            .runs(|c| {
                c.hook("poststop", "one", 0);
                let mut container = c.start()?;
                container.wait()?;
                ensure(c.hooks().is_empty(), || "called before delete".into())?;
                container.delete()?;
                c.hooked("one").map(drop)
            }),
    ]
}

fn sequence(c: &mut Context, kinds: &[&str]) -> Verdict {
    for kind in kinds.iter().rev() {
        c.hook(kind, kind, 0);
    }
    live(c)?;
    let names: Vec<Value> = c.hooks().iter().map(|call| call["hook"].clone()).collect();
    let wanted: Vec<Value> = kinds.iter().map(|kind| json!(kind)).collect();
    equal("order of calls", &names, &wanted)
}

/// The hooks of create come when the mounts are made and the root is not exchanged yet.
fn moments() -> Vec<Case> {
    let at = [("prestart", "596"), ("createRuntime", "607"), ("createContainer", "618")];
    at.map(|(kind, line)| {
        case(format!("hooks/{kind}-before-pivot-root"))
            .cites(format!("config.md:{line} before the `pivot_root` or any equivalent operation"))
            .needs(Need::Spec("1.0.2"))
            .needs(Need::Root)
            .breaks(moves(
                &format!("/hooks/{kind}"),
                if kind == "createContainer" {
                    "/hooks/startContainer"
                } else {
                    "/hooks/poststart"
                },
            ))
            .runs(move |c| {
                c.hook(kind, "one", 0);
                c.mount("/run", "tmpfs", "tmpfs", &[]);
                live(c)?;
                let record = c.hooked("one")?;
                let list = if kind == "createContainer" {
                    &record["entries"]
                } else {
                    &record["container"]["entries"]
                };
                let pivoted = list.as_array().is_some_and(|list| list.contains(&json!("probe")));
                ensure(!pivoted, || "the root has been exchanged already".into())?;
                if kind == "createContainer" {
                    return Ok(());
                }
                let target = json!(c.rootfs().join("run"));
                let mounts = record["container"]["mounts"].as_array().cloned();
                ensure(mounts.is_some_and(|mounts| mounts.contains(&target)), || {
                    "the mounts are not there yet".into()
                })
            })
    })
    .into_iter()
    .chain([case("hooks/failing-create-hook-is-an-error")
        .cites("runtime.md:59 it MUST generate an error")
        .breaks(pretends("create"))
        .runs(|c| {
            c.hook("prestart", "one", 7);
            let (_, output) = c.try_create()?;
            ensure(!output.ok(), || "no error".into())
        })])
    .collect()
}
