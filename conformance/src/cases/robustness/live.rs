//! Bad requests to a running container: an error, and the container runs on unharmed.

use serde_json::{Value, json};

use super::{clean_error, unharmed};
use crate::case::{Case, case};
use crate::mutant::pretends;
use crate::needs::Need;

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut all: Vec<Case> = CALLS.iter().map(|(name, line)| call(name, line)).collect();
    all.extend(processes());
    all.extend(resources());
    all
}

/// Name and command line; `{id}` is the container, `{dir}` the case's directory.
const CALLS: [(&str, &str); 37] = [
    ("create-again", "create --bundle {dir}/bundle {id}"),
    ("run-again", "run --bundle {dir}/bundle {id}"),
    ("start-again", "start {id}"),
    ("delete-while-it-runs", "delete {id}"),
    ("resume-while-it-runs", "resume {id}"),
    ("kill-signal-unknown", "kill {id} NOSUCHSIGNAL"),
    ("kill-signal-too-large", "kill {id} 65"),
    ("kill-signal-negative", "kill {id} -9"),
    ("kill-signal-in-hex", "kill {id} 0x9"),
    ("kill-signal-beyond-64-bits", "kill {id} 18446744073709551625"),
    ("kill-signal-with-plus-byte", "kill {id} 265"),
    ("exec-missing-program", "exec {id} /nowhere"),
    ("exec-not-in-path", "exec {id} nosuchprogram"),
    ("exec-directory", "exec {id} /etc"),
    ("exec-without-command", "exec {id}"),
    ("exec-user-in-words", "exec --user root:x:y {id} /probe exit 0"),
    ("exec-user-fraction", "exec --user 1.5 {id} /probe exit 0"),
    ("exec-user-half", "exec --user 1: {id} /probe exit 0"),
    ("exec-user-in-hex", "exec --user 0x1 {id} /probe exit 0"),
    ("exec-group-beyond-32-bits", "exec --user 0:4294967296 {id} /probe exit 0"),
    ("exec-group-negative", "exec --user 0:-1 {id} /probe exit 0"),
    ("exec-cwd-relative", "exec --cwd tmp {id} /probe exit 0"),
    ("exec-cwd-a-file", "exec --cwd /probe {id} /probe exit 0"),
    ("exec-additional-gid-negative", "exec --additional-gids -1 {id} /probe exit 0"),
    ("exec-additional-gid-beyond-32-bits", "exec --additional-gids 4294967296 {id} /probe exit 0"),
    ("exec-additional-gid-in-words", "exec --additional-gids staff {id} /probe exit 0"),
    ("exec-pid-file-in-no-directory", "exec --pid-file {dir}/nowhere/pid {id} /probe exit 0"),
    ("exec-process-missing", "exec --process {dir}/nowhere {id}"),
    ("exec-process-a-directory", "exec --process {dir}/bundle {id}"),
    ("exec-preserve-fds-in-words", "exec --preserve-fds many {id} /probe exit 0"),
    ("exec-preserve-fds-not-open", "exec --preserve-fds 50 {id} /probe exit 0"),
    (
        "exec-console-socket-missing",
        "exec --tty --detach --console-socket {dir}/no {id} /probe exit 0",
    ),
    ("exec-tty-detached-without-socket", "exec --tty --detach {id} /probe exit 0"),
    ("update-nothing-is-a-number", "update --pids-limit many {id}"),
    ("update-cpu-quota-too-small", "update --cpu-quota 1 {id}"),
    ("update-cpuset-not-there", "update --cpuset-cpus 4000 {id}"),
    ("ps-format-unknown", "ps --format nosuch {id}"),
];

fn call(name: &str, line: &'static str) -> Case {
    let verb = line.split(' ').next().unwrap_or_default();
    let mut start = case(format!("robustness/running-{name}"))
        .cites("runtime.md:59 it MUST generate an error")
        .cites("runtime.md:84 as if the operation were never attempted");
    if ["update", "resume", "ps"].contains(&verb) || name.contains("group") {
        start = start.needs(Need::Root);
    }
    start.breaks(pretends(verb)).runs(move |c| {
        c.stay(&[]);
        let container = c.start()?;
        container.seen()?;
        let dir = c.driver.dir.display().to_string();
        let line = line.replace("{dir}", &dir).replace("{id}", &container.id);
        let words: Vec<&str> = line.split(' ').collect();
        let output = c.driver.call(&words)?;
        clean_error(c, &output)?;
        if verb == "update" {
            // Its words depend on the version of cgroups.
            c.error.clear();
        }
        unharmed(c, &container)
    })
}

/// Files given to `exec --process`.
fn processes() -> Vec<Case> {
    let good = json!({"cwd": "/", "args": ["/probe", "exit", "0"], "user": {"uid": 0, "gid": 0}});
    let with = |pointer: &str, value: Value| {
        let mut process = good.clone();
        crate::json::put(&mut process, pointer, value);
        process.to_string()
    };
    let files = [
        ("empty", String::new()),
        ("null", "null".into()),
        ("array", "[]".into()),
        ("no-json", "args: /probe".into()),
        ("empty-object", "{}".into()),
        ("args-empty", with("/args", json!([]))),
        ("args-no-list", with("/args", json!("/probe"))),
        ("args-with-nul", with("/args/0", json!("/probe\0"))),
        ("cwd-empty", with("/cwd", json!(""))),
        ("cwd-relative", with("/cwd", json!("tmp"))),
        ("uid-negative", with("/user/uid", json!(-1))),
        ("uid-minus-one", with("/user/uid", json!(4_294_967_295_u32))),
        ("uid-beyond-32-bits", with("/user/uid", json!(4_294_967_296_u64))),
        ("gid-in-words", with("/user/gid", json!("0"))),
        ("env-no-list", with("/env", json!({"A": "1"}))),
        ("env-with-nul", with("/env", json!(["A=\0"]))),
        ("rlimit-unknown", with("/rlimits", json!([{"type": "RLIMIT_X", "soft": 1, "hard": 1}]))),
        (
            "rlimit-negative",
            with("/rlimits", json!([{"type": "RLIMIT_CORE", "soft": -1, "hard": 1}])),
        ),
        ("capabilities-no-object", with("/capabilities", json!(["CAP_KILL"]))),
        ("oom-score-too-large", with("/oomScoreAdj", json!(1001))),
    ];
    files.map(|(name, text)| process(name, text)).into()
}

fn process(name: &str, text: String) -> Case {
    case(format!("robustness/running-exec-process-{name}"))
        .cites("runtime.md:59 it MUST generate an error")
        .cites("runtime.md:84 as if the operation were never attempted")
        .breaks(pretends("exec"))
        .runs(move |c| {
            c.stay(&[]);
            let container = c.start()?;
            container.seen()?;
            let file = c.driver.dir.join("process.json");
            std::fs::write(&file, &text)?;
            let output = container.exec(&["--process", &file.display().to_string()], &[])?;
            clean_error(c, &output)?;
            unharmed(c, &container)
        })
}

/// Files given to `update --resources`.
fn resources() -> Vec<Case> {
    [
        ("empty", ""),
        ("array", "[]"),
        ("no-json", "pids: 5"),
        ("pids-in-words", r#"{"pids": {"limit": "five"}}"#),
        ("memory-fraction", r#"{"memory": {"limit": 0.5}}"#),
        ("cpu-period-negative", r#"{"cpu": {"period": -1}}"#),
        ("cpu-quota-too-small", r#"{"cpu": {"quota": 1}}"#),
        ("cpus-in-words", r#"{"cpu": {"cpus": "first"}}"#),
    ]
    .map(|(name, text)| {
        case(format!("robustness/running-update-resources-{name}"))
            .cites("runc's command line: update --resources FILE")
            .needs(Need::Root)
            .breaks(pretends("update"))
            .runs(move |c| {
                c.stay(&[]);
                let container = c.start()?;
                container.seen()?;
                let file = c.driver.dir.join("resources.json");
                std::fs::write(&file, text)?;
                let options = ["--resources", &file.display().to_string()];
                let output = container.call("update", &options)?;
                clean_error(c, &output)?;
                // Its words depend on the version of cgroups.
                c.error.clear();
                unharmed(c, &container)
            })
    })
    .into()
}
