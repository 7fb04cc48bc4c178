//! Bad inputs: one clear error, nothing left behind; logs as engines read them.

use crate::harness::Container;
use crate::needs::{Kind, lacks};
use serde_json::{Value, json};
use std::fs;

#[test]
fn the_last_log_line_is_the_error() {
    let c = Container::new(&["nosuchcmd"]);
    let log = c.text("log.json");
    c.save();
    let err = c.call(&["--log", &log, "--log-format", "json", "run", &c.id]);
    assert_ne!(err.code, 0);
    let text = fs::read_to_string(&log).unwrap();
    let last: Value = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .rfind(|entry| entry["level"] == "error")
        .unwrap_or_else(|| panic!("no error in {text}"));
    let message = last["msg"].as_str().unwrap();
    assert!(message.contains("nosuchcmd") && message.contains("executable file"), "{message}");
    assert!(last["time"].as_str().unwrap().starts_with("20"), "{last}");
    lacks!(Kind::Crun(..) => "prints nothing on stderr then");
    assert!(err.err.contains("nosuchcmd"), "also on stderr: {}", err.err);
}

#[test]
fn a_text_log_is_appended_to() {
    let c = Container::new(&["nosuchcmd"]);
    let log = c.write("log", "before\n");
    c.save();
    c.call(&["--log", log.to_str().unwrap(), "run", &c.id]).fails();
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.starts_with("before\n") && text.contains("nosuchcmd"), "{text}");
    lacks!(Kind::Crun(..) => "has another format");
    assert!(text.contains("level=error msg="), "{text}");
}

#[test]
fn unknown_log_formats_are_refused() {
    let c = Container::sleeping();
    c.call(&["--log-format", "xml", "list"]).fails();
}

#[test]
fn errors_are_one_line() {
    lacks!(Kind::Runc(..) => "prints a log line", Kind::Crun(..) => "has its own form");
    let c = Container::new(&["true"]).edit(|s| s["root"]["path"] = json!("missing"));
    let err = c.create_with(&[]).fails();
    assert_eq!(err.lines().count(), 1, "{err}");
    assert!(err.contains("missing"), "{err}");
}

#[test]
fn bundles_that_are_no_bundles() {
    let c = Container::sleeping();
    c.call(&["create", "--bundle", &c.text("missing"), &c.id]).fails();
    fs::create_dir(c.path("empty")).unwrap();
    let err = c.call(&["create", "--bundle", &c.text("empty"), &c.id]).fails();
    assert!(err.contains("config.json"), "{err}");
    fs::create_dir_all(c.path("dir/config.json")).unwrap();
    c.call(&["create", "--bundle", &c.text("dir"), &c.id]).fails();
    assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
}

#[test]
fn configs_that_are_no_json() {
    let c = Container::sleeping();
    for text in
        ["", "{", "[]", "null", "7", "\"x\"", "{\"ociVersion\": 1}", "{}\u{0}", "{\"process\":"]
    {
        fs::write(c.path("config.json"), text).unwrap();
        c.call(&["create", &c.id]).fails();
        assert!(c.leftovers().is_empty(), "{text}: {:?}", c.leftovers());
    }
}

#[test]
fn deep_json_does_not_crash() {
    let c = Container::sleeping();
    let deep = format!(
        "{{\"ociVersion\": \"1.0.2\", \"x\": {}{}}}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    fs::write(c.path("config.json"), deep).unwrap();
    let outcome = c.call(&["create", &c.id]);
    assert_ne!(outcome.code, 0);
    assert!(outcome.code < 128 || outcome.code == 255, "{outcome:?}");
}

#[test]
fn values_of_the_wrong_type() {
    lacks!(Kind::Crun(..) => "takes wrong types as absent");
    for (pointer, value) in [
        ("/process/args", json!("true")),
        ("/process/cwd", json!(7)),
        ("/process/user/uid", json!("root")),
        ("/root/path", json!([])),
        ("/mounts", json!({"a": 1})),
        ("/linux/namespaces", json!("pid")),
        ("/linux/resources", json!([1])),
        ("/hostname", json!({"x": 1})),
    ] {
        let c = Container::new(&["true"]).edit(|s| *s.pointer_mut(pointer).unwrap() = value);
        c.create_with(&[]).fails();
        assert!(c.leftovers().is_empty(), "{pointer}: {:?}", c.leftovers());
    }
}

#[test]
fn missing_process_and_empty_args_are_refused() {
    let c = Container::new(&[]);
    c.run().fails();
    let mut c = Container::new(&["true"]);
    c.spec.as_object_mut().unwrap().remove("process");
    c.run().fails();
    assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
}

#[test]
fn unsupported_versions_are_refused() {
    lacks!(Kind::Runc(..) | Kind::Crun(..) => "does not look at ociVersion");
    // runtime.md "Errors": a runtime MUST refuse a version it does not support.
    for version in [json!("99.0.0"), json!("one"), json!("")] {
        let c = Container::new(&["true"]).edit(|s| s["ociVersion"] = version);
        c.create_with(&[]).fails();
    }
}

#[test]
fn unknown_properties_are_ignored() {
    // config.md "Extensibility".
    let c = Container::sh("echo fine").edit(|s| {
        s["somethingNew"] = json!({"a": 1});
        s["process"]["somethingNew"] = json!(true);
        s["linux"]["somethingNew"] = json!([1]);
    });
    assert_eq!(c.run().ok(), "fine\n");
}

#[test]
fn nul_bytes_are_refused() {
    lacks!(Kind::Crun(..) => "cuts the strings");
    for pointer in ["/process/args/0", "/process/cwd", "/process/env/0"] {
        let c = Container::new(&["true"])
            .edit(|s| *s.pointer_mut(pointer).unwrap() = json!("/a\u{0}b"));
        let outcome = c.run();
        assert_ne!(outcome.code, 0, "{pointer}");
        assert!(c.leftovers().is_empty(), "{pointer}: {:?}", c.leftovers());
    }
}

#[test]
fn environment_entries_without_a_name_are_refused() {
    lacks!(Kind::Runc(1, ..3) | Kind::Crun(..) => "passes them on");
    for entry in ["NOEQUALS", "=value"] {
        let c = Container::new(&["true"]);
        let c = c.edit(|s| s["process"]["env"] = json!(["PATH=/bin", entry]));
        c.run().fails();
    }
}

#[test]
fn a_root_dir_of_slash_is_refused() {
    lacks!(Kind::Runc(1, ..2) | Kind::Crun(..) => "takes it");
    let c = Container::sleeping();
    let mut command = std::process::Command::new(crate::harness::runtime());
    command.args(["--root", "/", "list"]);
    c.wait(command, "").fails();
}
