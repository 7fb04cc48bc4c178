//! Hooks: config.md "POSIX-platform Hooks", runtime.md "Lifecycle".

use crate::harness::{Container, eventually};
use crate::needs::{Kind, lacks};
use serde_json::{Value, json};
use std::fs;

const ALL: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// A container whose hooks note their name and their standard input in the bundle.
fn noting() -> Container {
    let mut c = Container::sleeping();
    let dir = c.text("notes");
    fs::create_dir(c.path("notes")).unwrap();
    // createContainer and startContainer see the container's file system, so the notes are bound
    // under the same path there.
    crate::harness::mount(&mut c.spec, &dir, "bind", &dir, &["bind"]);
    let script = format!("cat >{dir}/$1.json; echo $1 >>{dir}/order");
    for name in ALL {
        let path = if name == "startContainer" { "/bin/sh" } else { "/bin/busybox" };
        let args = json!(["sh", "-c", script, "sh", name]);
        c.spec["hooks"][name] = json!([{"path": path, "args": args}]);
    }
    c
}

/// Adds one hook that runs a shell script of the host.
fn hook(c: &mut Container, name: &str, script: &str) {
    let entry = json!({"path": "/bin/sh", "args": ["sh", "-c", script]});
    c.spec["hooks"][name] = json!([entry]);
}

fn order(c: &Container) -> Vec<String> {
    fs::read_to_string(c.path("notes/order")).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn hooks_run_in_the_order_of_the_lifecycle() {
    // config.md "Poststart": after the user-specified process is executed.
    lacks!(Kind::Runc(..) | Kind::Crun(..) => "poststart does not wait for the program's start");
    let c = noting();
    c.create();
    assert_eq!(order(&c), ALL[..3]);
    c.start();
    eventually("poststart", || order(&c).len() == 5);
    assert_eq!(order(&c), ALL[..5]);
    c.delete(&["--force"]).ok();
    assert_eq!(order(&c), ALL);
}

#[test]
fn hooks_read_the_state_on_stdin() {
    lacks!(Kind::Crun(..) => "tells some hooks another bundle");
    let c = noting().edit(|s| s["annotations"] = json!({"org.hull.test": "note"}));
    c.create();
    let pid = c.pid();
    c.start();
    eventually("poststart", || order(&c).len() == 5);
    c.delete(&["--force"]).ok();
    for name in ALL {
        let text = fs::read_to_string(c.path(&format!("notes/{name}.json"))).unwrap();
        let state: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(state["id"], json!(c.id), "{name}");
        assert_eq!(state["bundle"].as_str().unwrap(), c.text("").trim_end_matches('/'), "{name}");
        assert_eq!(state["annotations"]["org.hull.test"], "note", "{name}");
        assert!(state["ociVersion"].is_string(), "{name}");
        if ["prestart", "createRuntime"].contains(&name) {
            assert_eq!(state["pid"], json!(pid), "{name}");
        }
        // runtime.md "State": the status names the step of the lifecycle.
        let want: &[&str] = match name {
            "prestart" | "createRuntime" | "createContainer" => &["creating"],
            "startContainer" => &["created"],
            "poststart" => &["running"],
            _ => &["stopped"],
        };
        let got = state["status"].as_str().unwrap();
        let loose = matches!(crate::needs::kind(), Kind::Crun(..) | Kind::Runc(1, ..4));
        assert!(loose || want.contains(&got), "{name}: {got}");
    }
}

#[test]
fn several_hooks_of_a_kind_run_in_their_order() {
    let mut c = Container::new(&["true"]);
    let file = c.text("order");
    let entry = |n: u32| {
        let script = format!("echo {n} >>{file}");
        json!({"path": "/bin/sh", "args": ["sh", "-c", script]})
    };
    c.spec["hooks"]["createRuntime"] = json!([entry(1), entry(2), entry(3)]);
    c.run().ok();
    assert_eq!(fs::read_to_string(c.path("order")).unwrap(), "1\n2\n3\n");
}

#[test]
fn hooks_run_where_the_specification_says() {
    let c = Container::new(&["true"]);
    let file = c.text("notes");
    fs::write(&file, "").unwrap();
    let mut c = c.edit(|s| {
        crate::harness::mount(s, &file, "bind", &file, &["bind"]);
    });
    let note = |name: &str| format!("echo {name} $(readlink /proc/self/ns/uts) >>{file}");
    for name in ["createRuntime", "createContainer", "startContainer"] {
        hook(&mut c, name, &note(name));
    }
    c.run().ok();
    let own = fs::read_link("/proc/self/ns/uts").unwrap();
    let text = fs::read_to_string(&file).unwrap();
    let seen: Vec<(&str, bool)> = text
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(name, ns)| (name, ns == own.to_str().unwrap()))
        .collect();
    assert_eq!(
        seen,
        [("createRuntime", true), ("createContainer", false), ("startContainer", false)]
    );
}

#[test]
fn hooks_get_their_arguments_and_environment() {
    let mut c = Container::new(&["true"]);
    let out = c.text("env");
    let script = format!("env >{out}; echo \"$0 $1\" >>{out}");
    c.spec["hooks"]["createRuntime"] = json!([{
        "path": "/bin/sh", "args": ["ignored", "-c", script, "zero", "one"],
        "env": ["PATH=/usr/bin:/bin", "KEY=value"],
    }]);
    c.run().ok();
    let text = fs::read_to_string(c.path("env")).unwrap();
    assert!(text.contains("KEY=value\n") && text.ends_with("zero one\n"), "{text}");
    assert!(!text.contains("HOME="), "{text}");
}

#[test]
fn a_failing_hook_of_create_undoes_the_create() {
    for name in ["prestart", "createRuntime", "createContainer"] {
        let mut c = Container::new(&["true"]);
        hook(&mut c, name, "echo why >&2; exit 3");
        c.create_with(&[]).fails();
        c.call(&["state", &c.id]).fails();
        assert!(c.leftovers().is_empty(), "{name}: {:?}", c.leftovers());
    }
}

#[test]
fn a_failing_start_container_hook_stops_the_container() {
    let mut c = Container::sh("touch /ran");
    hook(&mut c, "startContainer", "exit 3");
    c.run().fails();
    assert!(!c.rootfs("ran").exists());
    assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
}

#[test]
fn a_failing_poststop_hook_does_not_stop_the_delete() {
    lacks!(Kind::Crun(..) => "reports it differently");
    // runtime.md "Lifecycle" 13: a warning, and go on as if the hook had succeeded.
    let mut c = Container::new(&["true"]);
    hook(&mut c, "poststop", "exit 3");
    c.create();
    c.start();
    c.stopped();
    c.delete(&[]);
    c.call(&["state", &c.id]).fails();
    assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
}

#[test]
fn a_failed_create_runs_the_poststop_hooks() {
    lacks!(Kind::Crun(..) | Kind::Runc(1, ..2) => "does not");
    let mut c = Container::new(&["true"]);
    let flag = c.text("poststop-ran");
    hook(&mut c, "createRuntime", "exit 3");
    hook(&mut c, "poststop", &format!("touch {flag}"));
    c.create_with(&[]).fails();
    assert!(c.path("poststop-ran").exists());
}

#[test]
fn a_hook_past_its_timeout_is_killed() {
    let mut c = Container::new(&["true"]);
    c.spec["hooks"]["createRuntime"] =
        json!([{"path": "/bin/sleep", "args": ["sleep", "999"], "timeout": 1}]);
    let begin = std::time::Instant::now();
    c.create_with(&[]).fails();
    assert!(begin.elapsed().as_secs() < 10);
    assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
}

#[test]
fn bad_hooks_are_refused() {
    lacks!(Kind::Runc(..) | Kind::Crun(..) => "takes relative paths or timeouts below 1");
    // config.md "POSIX-platform Hooks": path MUST be absolute; timeout MUST be greater than zero.
    for entry in [
        json!({"path": "bin/true"}),
        json!({"path": ""}),
        json!({"path": "/bin/true", "timeout": 0}),
        json!({"path": "/bin/true", "timeout": -1}),
    ] {
        let c = Container::new(&["true"]).edit(|s| s["hooks"]["poststop"] = json!([entry]));
        c.create_with(&[]).fails();
        assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
    }
}

#[test]
fn a_hook_that_does_not_exist_is_an_error() {
    let c = Container::new(&["true"]);
    let path = c.text("missing");
    let c = c.edit(|s| s["hooks"]["createRuntime"] = json!([{"path": path}]));
    c.create_with(&[]).fails();
    assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
}

#[test]
fn a_hook_that_does_not_read_its_stdin_is_fine() {
    lacks!(Kind::Crun(..) => "hands the state over in a pipe that has to be read");
    let mut c =
        Container::new(&["true"]).edit(|s| s["annotations"] = json!({"big": "x".repeat(200_000)}));
    hook(&mut c, "createRuntime", "exec <&-; exit 0");
    c.run().ok();
}
