//! `ps`, `list`, `spec`, `features`, `explain`, help and version.

use crate::harness::Container;
use crate::needs::{Kind, lacks};
use serde_json::{Value, json};
use std::fs;

#[test]
fn ps_lists_the_containers_processes() {
    lacks!(Kind::Crun(..) => "has another table");
    let c = Container::sh("sleep 998 & sleep 999; true").up();
    crate::harness::eventually("children", || c.call(&["ps", &c.id]).ok().contains("sleep 999"));
    let out = c.call(&["ps", &c.id]).ok();
    assert!(out.starts_with("UID") && out.contains("sleep 998"), "{out}");
    let text = c.call(&["ps", "--format", "json", &c.id]).ok();
    let pids: Vec<u32> = serde_json::from_str(&text).unwrap();
    assert_eq!(pids.len(), 3, "{text}");
    assert!(pids.contains(&c.pid()));
}

#[test]
fn ps_passes_arguments_to_ps() {
    lacks!(Kind::Crun(..) => "does not");
    let c = Container::sleeping().up();
    let ps = || c.call(&["ps", &c.id, "-e", "-o", "pid,comm"]).ok();
    // Not every runtime's `start` waits until its init has become the program.
    crate::harness::eventually("the program", || ps().contains("sleep"));
    let out = ps();
    assert!(out.contains("COMMAND") && !out.contains("UID"), "{out}");
}

#[test]
fn list_shows_containers() {
    lacks!(Kind::Crun(..) => "has another table");
    let c = Container::sleeping().up();
    let table = c.call(&["list"]).ok();
    assert!(table.lines().next().unwrap().starts_with("ID"), "{table}");
    let line = table.lines().nth(1).unwrap();
    assert!(line.contains(&c.id) && line.contains("running") && line.contains("root"), "{table}");
    let list: Value = serde_json::from_str(&c.call(&["list", "--format", "json"]).ok()).unwrap();
    assert_eq!(list[0]["id"], json!(c.id));
    assert_eq!(list[0]["status"], "running");
    assert_eq!(list[0]["pid"], json!(c.pid()));
    assert_eq!(c.call(&["list", "-q"]).ok().trim(), c.id);
}

#[test]
fn list_of_nothing() {
    let c = Container::sleeping();
    fs::create_dir(c.path("state")).unwrap();
    assert_eq!(c.call(&["list", "-q"]).ok(), "");
    let text = c.call(&["list", "-f", "json"]).ok();
    let list: Value = serde_json::from_str(&text).unwrap();
    assert!(list.is_null() || list.as_array().unwrap().is_empty());
}

#[test]
fn list_goes_on_past_a_broken_entry() {
    let c = Container::sleeping().up();
    fs::create_dir(c.path("state/broken")).unwrap();
    let outcome = c.call(&["list", "-q"]);
    assert!(outcome.out.contains(&c.id), "{outcome:?}");
    c.call(&["delete", "--force", "broken"]);
    let _ = fs::remove_dir(c.path("state/broken"));
}

#[test]
fn spec_writes_a_config_that_runs() {
    let c = Container::sleeping();
    c.call(&["spec"]).ok();
    let mut spec: Value =
        serde_json::from_str(&fs::read_to_string(c.path("config.json")).unwrap()).unwrap();
    assert_eq!(spec["process"]["args"], json!(["sh"]));
    assert_eq!(spec["process"]["terminal"], true);
    assert_eq!(spec["root"]["readonly"], true);
    spec["process"]["args"] = json!(["echo", "works"]);
    spec["process"]["terminal"] = json!(false);
    // Raising limits needs CAP_SYS_RESOURCE, which the machine may not give.
    spec["process"]["rlimits"] = json!([]);
    spec["linux"]["cgroupsPath"] = c.spec["linux"]["cgroupsPath"].clone();
    fs::write(c.path("config.json"), spec.to_string()).unwrap();
    assert_eq!(c.call(&["run", &c.id]).ok(), "works\n");
}

#[test]
fn spec_never_overwrites() {
    let c = Container::sleeping();
    c.save();
    let before = fs::read_to_string(c.path("config.json")).unwrap();
    c.call(&["spec"]).fails();
    assert_eq!(fs::read_to_string(c.path("config.json")).unwrap(), before);
}

#[test]
fn spec_for_a_bundle_and_rootless() {
    lacks!(Kind::Crun(..) => "keeps the network namespace");
    let c = Container::sleeping();
    fs::create_dir(c.path("b")).unwrap();
    c.call(&["spec", "--rootless", "--bundle", &c.text("b")]).ok();
    let spec: Value =
        serde_json::from_str(&fs::read_to_string(c.path("b/config.json")).unwrap()).unwrap();
    let namespaces = spec["linux"]["namespaces"].to_string();
    assert!(namespaces.contains("user") && !namespaces.contains("network"), "{namespaces}");
    assert_eq!(spec["linux"]["uidMappings"][0]["size"], 1);
}

#[test]
fn features_tells_what_the_runtime_knows() {
    lacks!(Kind::Crun(..) => "`features` came later");
    let c = Container::sleeping();
    let features: Value = serde_json::from_str(&c.call(&["features"]).ok()).unwrap();
    assert_eq!(features["ociVersionMin"], "1.0.0");
    assert!(features["ociVersionMax"].as_str().unwrap().starts_with("1."));
    assert_eq!(features["hooks"].as_array().unwrap().len(), 6);
    let options = features["mountOptions"].as_array().unwrap();
    for option in ["bind", "rbind", "ro", "nosuid", "tmpcopyup"] {
        assert!(options.contains(&json!(option)), "{option}");
    }
    let linux = &features["linux"];
    for typ in ["cgroup", "ipc", "mount", "network", "pid", "user", "uts"] {
        assert!(linux["namespaces"].as_array().unwrap().contains(&json!(typ)), "{typ}");
    }
    assert!(linux["capabilities"].as_array().unwrap().len() >= 41);
    assert_eq!(linux["seccomp"]["enabled"], true);
    assert!(linux["seccomp"]["actions"].as_array().unwrap().contains(&json!("SCMP_ACT_ERRNO")));
    assert_eq!(linux["cgroup"]["v1"], true);
    assert_eq!(linux["cgroup"]["v2"], true);
}

#[test]
fn features_are_what_hull_does() {
    lacks!(Kind::Runc(1, ..4) | Kind::Crun(..) => "older specification");
    let c = Container::sleeping();
    let features: Value = serde_json::from_str(&c.call(&["features"]).ok()).unwrap();
    assert_eq!(features["ociVersionMax"], "1.3.0");
    assert_eq!(features["linux"]["mountExtensions"]["idmap"]["enabled"], true);
    assert!(features["linux"]["namespaces"].as_array().unwrap().contains(&json!("time")));
}

#[test]
fn version_has_the_lines_engines_parse() {
    let c = Container::sleeping();
    for flag in ["--version", "-v"] {
        let out = c.call(&[flag]).ok();
        let first = out.lines().next().unwrap();
        assert!(first.contains(" version "), "{out}");
        assert!(out.lines().any(|line| line.starts_with("commit: ")), "{out}");
        assert!(out.lines().any(|line| line.starts_with("spec: 1.")), "{out}");
        if matches!(crate::needs::kind(), Kind::Crun(..)) {
            break;
        }
    }
}

#[test]
fn help_is_there() {
    let c = Container::sleeping();
    c.call(&["--help"]).ok();
    for command in
        ["create", "start", "state", "kill", "delete", "run", "exec", "list", "ps", "spec"]
    {
        let out = c.call(&[command, "--help"]).ok();
        assert!(out.contains(command), "{out}");
    }
}

#[test]
fn unknown_commands_and_flags_fail() {
    let c = Container::sleeping();
    c.save();
    for args in [
        &["nosuch"][..],
        &["create", "--nosuch", "x"],
        &["--nosuch", "list"],
        &["state"],
        &["state", "a", "b"],
        &["create"],
    ] {
        c.call(args).fails();
    }
}

/// docs/commands.md, "Exit codes".
#[test]
fn exit_codes_of_errors() {
    lacks!(Kind::Crun(..) => "has codes of its own");
    let c = Container::sleeping();
    c.save();
    assert_eq!(c.call(&["nosuch"]).code, 3);
    for args in [
        &["state", "nosuch"][..],
        &["start", "nosuch"],
        &["kill", "nosuch", "TERM"],
        &["delete", "nosuch"],
        &["ps", "nosuch"],
        &["update", "--memory", "1m", "nosuch"],
        &["create", "--nosuch", "x"],
        &["run", "--bundle", "/nosuch", "x"],
        &["state"],
    ] {
        assert_eq!(c.call(args).code, 1, "{args:?}");
    }
}

#[test]
fn explain_shows_the_plan_and_does_nothing() {
    lacks!(Kind::Runc(..) | Kind::Crun(..) => "`explain` is hull's own");
    let c = Container::sleeping().edit(|s| {
        crate::harness::mount(s, "/somewhere", "tmpfs", "tmpfs", &[]);
    });
    c.save();
    let out = c.call(&["explain", "--bundle", &c.text("")]).ok();
    assert!(out.contains("/somewhere"), "{out}");
    assert!(out.contains("pid: a new one"), "{out}");
    assert!(out.contains("warning     no user namespace"), "{out}");
    let out = c.call(&["explain", "--format", "json", "--bundle", &c.text("")]).ok();
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert!(json["effects"]["mounts"].to_string().contains("/somewhere"), "{json}");
    assert!(json["warnings"].to_string().contains("no seccomp filter"), "{json}");
    assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
    assert!(!c.rootfs("somewhere").exists());
}

#[test]
fn explain_does_without_cgroups() {
    lacks!(Kind::Runc(..) | Kind::Crun(..) => "`explain` is hull's own");
    let c = Container::new(&["true"]);
    c.save();
    let mut command = std::process::Command::new("unshare");
    let hull = crate::harness::runtime();
    // Wherever they are: other programs' mounts of cgroups are as good.
    let script = "awk '/ - cgroup2? / {print $5}' /proc/self/mountinfo | sort -r | xargs umount -l; \
                  umount -l /sys/fs/cgroup 2>/dev/null; exec \"$0\" explain --bundle \"$1\"";
    command.args(["--mount", "sh", "-c", script]).arg(hull).arg(c.text(""));
    let out = c.wait(command, "").ok();
    assert!(out.contains("\nprocess ") && out.contains("\ncgroups "), "{out}");
    assert!(out.contains("\nwarning     no cgroup mount found"), "{out}");
}

#[test]
fn explain_names_every_problem() {
    lacks!(Kind::Runc(..) | Kind::Crun(..) => "`explain` is hull's own");
    let c = Container::sleeping().edit(|s| {
        s["process"]["cwd"] = json!("relative");
        s["linux"]["rootfsPropagation"] = json!("sideways");
    });
    c.save();
    let err = c.call(&["explain", "--bundle", &c.text("")]).fails();
    assert!(err.contains("cwd") && err.contains("rootfsPropagation"), "{err}");
}
