//! `features` (features.md, features-linux.md).

use serde_json::{Value, json};

use crate::case::{Case, Stop, Verdict, case, ensure, fail};
use crate::context::Context;
use crate::mutant::Break;
use crate::needs::{Need, version};

/// The chapter.
pub fn cases() -> Vec<Case> {
    let lies = |pointer: &str, value: Value| Break::Features(pointer.into(), Some(value));
    vec![
        case("features/oci-version-min")
            .cites("features.md:14 `ociVersionMin` (string, REQUIRED)")
            .needs(Need::Features)
            .breaks(Break::Features("/ociVersionMin".into(), None))
            .runs(|c| {
                let features = features(c)?;
                ensure(is_version(&features["ociVersionMin"]), || "no ociVersionMin".into())
            }),
        case("features/oci-version-max")
            .cites("features.md:17 `ociVersionMax` (string, REQUIRED)")
            .cites("features.md:19 MUST NOT be less than the value of the `ociVersionMin`")
            .needs(Need::Features)
            .breaks(lies("/ociVersionMax", json!("0.1.0")))
            .runs(|c| {
                let features = features(c)?;
                let [low, high] = ["ociVersionMin", "ociVersionMax"]
                    .map(|name| features[name].as_str().map(version).unwrap_or_default());
                ensure(high >= low && high > (0, 0, 0), || format!("{low:?} to {high:?}"))
            }),
        case("features/only-defined-properties")
            .cites("features.md:20 MUST NOT contain properties that are not defined")
            .needs(Need::Features)
            .breaks(lies("/orgExampleUnknown", json!(true)))
            .runs(|c| {
                let features = features(c)?;
                unknown(&features, &KNOWN)?;
                unknown(&features["linux"], &KNOWN_LINUX)
            }),
        case("features/annotations")
            .cites("features.md:131 MUST be a key-value map that follows the same convention")
            .needs(Need::Features)
            .breaks(lies("/annotations", json!({"": 1})))
            .runs(|c| {
                let features = features(c)?;
                let Some(map) = features["annotations"].as_object() else {
                    return match features["annotations"] {
                        Value::Null => Ok(()),
                        _ => fail("annotations is no map"),
                    };
                };
                let bad = map.iter().find(|(key, value)| key.is_empty() || !value.is_string());
                ensure(bad.is_none(), || format!("{bad:?}"))
            }),
        case("features/hooks-are-supported")
            .cites("features.md:32 MUST support the elements in this array as the `hooks`")
            .needs(Need::Features)
            .breaks(lies("/hooks", json!(["prestart", "noSuchHook"])))
            .runs(hooks),
        case("features/mount-options-are-known")
            .cites("features.md:49 MUST recognize the elements in this array as the `options`")
            .cites("features.md:50 SHOULD NOT contain filesystem-specific mount options")
            .needs(Need::Root)
            .needs(Need::Features)
            .breaks(lies("/mountOptions", json!(["no-such-option"])))
            .runs(mount_options),
        case("features/same-twice")
            .cites("features.md:7 SHOULD be determined on the compilation time of the runtime")
            .needs(Need::Features)
            .breaks(lies("/annotations/org.example", json!("1")))
            .runs(|c| {
                let before = c.driver.runtime.features.clone();
                let now = features(c)?;
                ensure(before.as_ref() == Some(&now), || "it changes between calls".into())
            }),
        case("features/null-is-not-empty")
            .cites("features.md:10 MUST NOT be confused with an empty value")
            .needs(Need::Features)
            .breaks(lies("/linux/namespaces", json!([])))
            .runs(|c| {
                // Every runtime that runs these cases knows a kind of namespace.
                let features = features(c)?;
                let list = &features["linux"]["namespaces"];
                ensure(list.as_array().is_none_or(|list| !list.is_empty()), || {
                    "an empty list of namespaces says that none is supported".into()
                })
            }),
        case("features/idmap-is-told")
            .cites("features-linux.md:257 MUST still set this value to `true`")
            .needs(Need::Features)
            .needs(Need::Spec("1.2.0"))
            .breaks(lies("/linux/mountExtensions/idmap/enabled", json!("yes")))
            .runs(|c| {
                let features = features(c)?;
                let told = &features["linux"]["mountExtensions"]["idmap"]["enabled"];
                ensure(told.is_null() || told.is_boolean(), || format!("it is {told}"))
            }),
    ]
}

const KNOWN: [&str; 7] = [
    "ociVersionMin",
    "ociVersionMax",
    "hooks",
    "mountOptions",
    "linux",
    "annotations",
    "potentiallyUnsafeConfigAnnotations",
];

const KNOWN_LINUX: [&str; 10] = [
    "namespaces",
    "capabilities",
    "cgroup",
    "seccomp",
    "apparmor",
    "selinux",
    "intelRdt",
    "memoryPolicy",
    "mountExtensions",
    "netDevices",
];

fn features(c: &mut Context) -> Result<Value, Stop> {
    let mut command = c.driver.command();
    command.arg("features");
    let output = c.driver.finish(command, crate::runtime::Streams::default())?;
    crate::container::worked("features", &output)?;
    serde_json::from_str(&output.stdout).or_else(|error| fail(format!("no JSON: {error}")))
}

fn is_version(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.split('.').count() >= 3)
}

fn unknown(object: &Value, known: &[&str]) -> Verdict {
    let keys = object.as_object().into_iter().flat_map(serde_json::Map::keys);
    let strange: Vec<&String> = keys.filter(|key| !known.contains(&key.as_str())).collect();
    ensure(strange.is_empty(), || format!("not in the specification: {strange:?}"))
}

fn hooks(c: &mut Context) -> Verdict {
    let features = features(c)?;
    let names: Vec<&str> =
        features["hooks"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for name in &names {
        c.hook(name, name, 0);
    }
    let mut container = c.start()?;
    container.wait()?;
    container.delete()?;
    names.iter().try_for_each(|name| c.hooked(name).map(drop))
}

fn mount_options(c: &mut Context) -> Verdict {
    let features = features(c)?;
    let list = features["mountOptions"].as_array().cloned().unwrap_or_default();
    let source = c.host_tree("")?;
    let alone = ["bind", "rbind", "remount", "tmpcopyup", "idmap", "ridmap", "mand", "nomand"];
    for option in list.iter().filter_map(Value::as_str).filter(|name| !alone.contains(name)) {
        // Recursive and propagation options go with binds, the others with any file system.
        let bind = option.starts_with('r') || option.contains("bindable");
        let bind = bind || ["shared", "slave", "private"].contains(&option);
        let (fstype, options) =
            if bind { ("none", vec!["rbind", option]) } else { ("tmpfs", vec![option]) };
        c.remove("/mounts/4");
        c.mount("/run", fstype, &source, &options);
        let mut container = c.create().map_err(|stop| match stop {
            Stop::Fail(text) => Stop::Fail(format!("{option}: {text}")),
            other => other,
        })?;
        container.kill("KILL")?;
        container.wait()?;
        container.delete()?;
    }
    c.saw(format!("{} options", list.len()));
    Ok(())
}
