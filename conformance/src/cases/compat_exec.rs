//! `exec` as engines call it: beyond the specification, which leaves it out.

use serde_json::{Value, json};

use super::compat::{compat, option, staying, word};
use crate::case::{Case, Verdict, ensure, equal, fail};
use crate::container::worked;
use crate::mutant::{Break, pretends, skips};
use crate::needs::Need;
use crate::process::Exit;

/// `exec`'s part of the compatibility chapter.
pub fn cases() -> Vec<Case> {
    let mut all = exec();
    all.extend(exec_process());
    all
}

fn exec() -> Vec<Case> {
    let seen = |name: &str,
                options: &'static [&'static str],
                broken: Break,
                look: fn(&crate::observation::Observation) -> Verdict| {
        compat(name, "exec").breaks(broken).runs(move |c| {
            let container = staying(c)?;
            look(&container.exec_seen(options, &[])?)
        })
    };
    let mut all = vec![
        seen("exec-cwd", &["--cwd", "/tmp"], option("--cwd"), |seen| {
            equal("cwd", seen.cwd.as_str(), "/tmp")
        }),
        seen("exec-env", &["--env", "ADDED=1", "--env", "MORE=2"], option("--env"), |seen| {
            equal("ADDED", &seen.variable("ADDED"), &Some("1"))?;
            equal("MORE", &seen.variable("MORE"), &Some("2"))?;
            equal("SUITE", &seen.variable("SUITE"), &Some("conformance"))
        }),
        seen("exec-cap", &["--cap", "CAP_CHOWN"], option("--cap"), |seen| {
            let has = seen.caps("CapEff").is_some_and(|bits| bits & 1 == 1);
            ensure(has, || format!("CapEff {:x?}", seen.caps("CapEff")))
        }),
    ];
    all.push(
        compat("exec-no-new-privs", "exec --no-new-privs")
            .needs(Need::Root)
            .breaks(word("--no-new-privs", ""))
            .runs(|c| {
                c.set("/process/noNewPrivileges", false);
                let container = staying(c)?;
                let seen = container.exec_seen(&["--no-new-privs"], &[])?;
                equal("NoNewPrivs", seen.field("NoNewPrivs"), "1")
            }),
    );
    all.push(
        compat("exec-user", "exec --user UID:GID").needs(Need::Root).breaks(option("--user")).runs(
            |c| {
                let container = staying(c)?;
                let seen = container.exec_seen(&["--user", "1234:4321"], &[])?;
                equal("uids", &seen.uids, &[1234; 4])?;
                equal("gids", &seen.gids, &[4321; 4])
            },
        ),
    );
    all.push(
        compat("exec-additional-gids", "exec --additional-gids")
            .needs(Need::Root)
            .breaks(option("--additional-gids"))
            .runs(|c| {
                let container = staying(c)?;
                let seen = container.exec_seen(&["--additional-gids", "77"], &[])?;
                ensure(seen.groups.contains(&77), || format!("groups {:?}", seen.groups))
            }),
    );
    all.extend(exec_ends());
    all
}

fn exec_ends() -> Vec<Case> {
    let mut all = Vec::new();
    all.push(
        compat("exec-exit-status", "exec ends as the process does").breaks(skips("exec")).runs(
            |c| {
                let container = staying(c)?;
                let output = container.exec(&[], &["/probe", "exit", "9"])?;
                equal("exit", &output.exit, &Some(Exit::Code(9)))
            },
        ),
    );
    all.push(
        compat("exec-same-surroundings", "exec joins the container").breaks(skips("exec")).runs(
            |c| {
                c.stay(&[]);
                let container = c.start()?;
                let first = container.seen()?;
                let second = container.exec_seen(&[], &[])?;
                equal("namespaces", &second.namespaces, &first.namespaces)?;
                equal("cgroups", &second.cgroups, &first.cgroups)?;
                equal("capabilities", &second.caps("CapEff"), &first.caps("CapEff"))
            },
        ),
    );
    all.push(
        compat("exec-detached", "exec --detach --pid-file").breaks(option("--pid-file")).runs(
            |c| {
                let container = staying(c)?;
                let file = c.driver.dir.join("exec.pid").display().to_string();
                let options = ["--detach", "--pid-file", &file];
                worked("exec", &container.exec(&options, &["/probe", "stay"])?)?;
                let text = std::fs::read_to_string(&file)
                    .or_else(|error| fail(format!("the pid file: {error}")))?;
                let pid: i32 = text.parse().or_else(|_| fail(format!("it holds {text:?}")))?;
                ensure(std::path::Path::new(&format!("/proc/{pid}")).exists(), || {
                    format!("there is no process {pid}")
                })
            },
        ),
    );
    all.push(
        compat("exec-in-stopped", "exec fails in a stopped container")
            .breaks(pretends("exec"))
            .runs(|c| {
                let container = c.start()?;
                container.wait()?;
                let output = container.exec(&[], &["/probe", "exit", "0"])?;
                ensure(!output.ok(), || "exec works".into())
            }),
    );
    all
}

/// `exec --process FILE`, as containerd's shim calls it.
fn exec_process() -> Vec<Case> {
    let given = |name: &str,
                 pointer: &'static str,
                 value: Value,
                 other: Value,
                 look: fn(&crate::observation::Observation) -> Verdict| {
        compat(name, "exec --process FILE").breaks(Break::Process(pointer.into(), other)).runs(
            move |c| {
                let container = staying(c)?;
                let mut process = c.config["process"].clone();
                process["args"] = json!(["/probe", "report"]);
                crate::json::put(&mut process, pointer, value.clone());
                let file = c.driver.dir.join("process.json");
                std::fs::write(&file, process.to_string())?;
                let file = file.display().to_string();
                let output = container.exec(&["--process", &file], &[])?;
                worked("exec", &output)?;
                look(&crate::container::parse(&output.stdout)?)
            },
        )
    };
    vec![
        given("exec-process-cwd", "/cwd", json!("/tmp"), json!("/"), |seen| {
            equal("cwd", seen.cwd.as_str(), "/tmp")
        }),
        given("exec-process-env", "/env", json!(["ONLY=1"]), json!(["OTHER=1"]), |seen| {
            equal("ONLY", &seen.variable("ONLY"), &Some("1"))?;
            equal("SUITE", &seen.variable("SUITE"), &None)
        }),
        given(
            "exec-process-capabilities",
            "/capabilities",
            json!({}),
            json!({"bounding": ["CAP_KILL"], "permitted": ["CAP_KILL"]}),
            |seen| equal("CapBnd", &seen.caps("CapBnd"), &Some(0)),
        ),
        given(
            "exec-process-rlimits",
            "/rlimits",
            json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]),
            json!([]),
            |seen| equal("limits", &seen.rlimits.get("RLIMIT_NOFILE"), &Some(&(100, 200))),
        ),
    ]
}
