//! The operations and the lifecycle (runtime.md).

use std::time::{Duration, Instant};

use serde_json::json;

use crate::case::{Case, Verdict, case, ensure, equal, fail};
use crate::container::worked;
use crate::context::Context;
use crate::mutant::{Break, drops, pretends, sets, skips};
use crate::needs::Need;
use crate::process::Exit;

/// The chapter.
pub fn cases() -> Vec<Case> {
    let mut all = create();
    all.extend(without_id());
    all.extend(absent());
    all.extend(start());
    all.extend(kill());
    all.extend(delete());
    all
}

fn create() -> Vec<Case> {
    vec![
        case("lifecycle/create-makes-a-container")
            .cites("runtime.md:109.2 MUST create a new container")
            .cites("runtime.md:93 runtimes MUST support the following operations")
            .cites("runtime.md:5 MUST be able to use the operations defined in this specification")
            .breaks(skips("create"))
            .runs(|c| equal("status", c.create()?.status()?.as_str(), "created")),
        case("lifecycle/create-id-taken")
            .cites("runtime.md:110 is not unique across all containers")
            .cites("runtime.md:14 MUST be unique across all containers on this host")
            .breaks(pretends("create"))
            .runs(|c| {
                let container = c.create()?;
                let before = container.state()?;
                let pid = container.pid()?;
                let again = container.try_create(&[])?;
                c.saw(again.summary());
                ensure(!again.ok(), || "a second container with the same id".into())?;
                let after = container.state()?;
                equal("status", &after["status"], &before["status"])?;
                equal("pid", &after["pid"], &json!(pid))
            }),
        case("lifecycle/create-without-bundle")
            .cites("runtime.md:109 if it is not provided a path to the bundle")
            .cites("bundle.md:14 MUST be named `config.json`")
            .breaks(pretends("create"))
            .runs(|c| {
                let output = c.driver.call(&["create", "nobundle"])?;
                c.saw(output.summary());
                ensure(!output.ok(), || "no error without config.json".into())
            }),
        case("lifecycle/config-is-read-once")
            .cites("runtime.md:61 Any updates to `config.json` after this step MUST NOT affect")
            .breaks(sets("/process/args", json!(["/probe", "exit", "0"])))
            .runs(|c| {
                let container = c.create()?;
                c.set("/process/args", json!(["/probe", "exit", "3"]));
                c.set("/hostname", "changed");
                c.write()?;
                container.start()?;
                container.wait()?;
                equal("hostname", container.seen()?.hostname.as_str(), "conformance")
            }),
        case("lifecycle/environment-is-there-at-create")
            .cites("runtime.md:58 MUST be created according to the configuration")
            .cites(
                "runtime.md:60 While the resources requested in the `config.json` MUST be created",
            )
            // The waiting process need not be open to its own user.
            .needs(Need::Root)
            .breaks(drops("/linux/namespaces/3"))
            .runs(|c| {
                let container = c.create()?;
                let link = format!("/proc/{}/ns/uts", container.pid()?);
                let inside = std::fs::read_link(link)?;
                let outside = std::fs::read_link("/proc/self/ns/uts")?;
                ensure(inside != outside, || "the process is in the host's namespace".into())
            }),
        case("lifecycle/impossible-property")
            .cites(
                "runtime.md:116 it MUST generate an error and a new container MUST NOT be created",
            )
            .cites("runtime.md:59 unable to create the environment")
            .cites("runtime.md:84 as if the operation were never attempted")
            .breaks(Break::Litter)
            .runs(|c| {
                c.mount("/tmp", "no-such-file-system", "none", &[]);
                c.create_refused()
            }),
        case("lifecycle/failed-start-leaves-no-process")
            .cites("runtime.md:84 as if the operation were never attempted")
            .breaks(Break::Repair)
            .runs(|c| {
                c.set("/process/args", json!(["/no-such-program"]));
                let (container, output) = c.try_create()?;
                let output = if output.ok() { container.call("start", &[])? } else { output };
                c.saw(output.summary());
                ensure(!output.ok(), || "no error".into())?;
                let left = container.call("state", &[])?;
                ensure(!left.stdout.contains("running"), || "it runs".into())
            }),
    ]
}

fn without_id() -> Vec<Case> {
    let verbs = [
        ("state", "runtime.md:101 if it is not provided the ID of a container"),
        ("create", "runtime.md:109 and the container ID to associate"),
        ("start", "runtime.md:126 if it is not provided the container ID"),
        ("kill", "runtime.md:134 if it is not provided the container ID"),
        ("delete", "runtime.md:141 if it is not provided the container ID"),
    ];
    verbs
        .map(|(verb, cite)| {
            case(format!("lifecycle/{verb}-without-id")).cites(cite).breaks(pretends(verb)).runs(
                move |c| {
                    c.write()?;
                    let output = c.driver.call(&[verb])?;
                    c.saw(output.summary());
                    ensure(!output.ok() && output.exit.is_some(), || output.summary())
                },
            )
        })
        .into()
}

fn absent() -> Vec<Case> {
    let verbs = [
        ("state", "runtime.md:102 a container that does not exist MUST generate an error"),
        ("start", "runtime.md:127 a container that is not `created`"),
        ("kill", "runtime.md:135 a container that is neither `created` nor `running`"),
        ("delete", "runtime.md:142 a container that is not `stopped`"),
    ];
    verbs
        .map(|(verb, cite)| {
            case(format!("lifecycle/{verb}-of-none")).cites(cite).breaks(pretends(verb)).runs(
                move |c| {
                    let output = c.driver.call(&[verb, "nobody"])?;
                    c.saw(output.summary());
                    ensure(!output.ok() && output.exit.is_some(), || output.summary())
                },
            )
        })
        .into()
}

/// `verb` must fail and leave the status as it is.
fn refused_in(c: &mut Context, verb: &str, words: &[&str], status: &str) -> Verdict {
    c.stay(&[]);
    let container = c.create()?;
    if status != "created" {
        container.start()?;
        container.seen()?;
    }
    if status == "stopped" {
        container.kill("KILL")?;
        container.wait()?;
    }
    equal("status before", container.status()?.as_str(), status)?;
    let output = container.call_after(verb, words)?;
    c.saw(output.summary());
    ensure(!output.ok(), || format!("{verb} works"))?;
    equal("status after", container.status()?.as_str(), status)
}

fn start() -> Vec<Case> {
    const CITE: &str = "runtime.md:127 MUST have no effect on the container and MUST generate an";
    vec![
        case("lifecycle/start-runs-the-program")
            .cites("runtime.md:126.2 MUST run the user-specified program")
            .breaks(skips("start"))
            .runs(|c| {
                let container = c.start()?;
                equal("exit", &container.wait()?, &Exit::Code(0))?;
                container.seen().map(drop)
            }),
        case("lifecycle/start-of-running")
            .cites(CITE)
            .breaks(pretends("start"))
            .runs(|c| refused_in(c, "start", &[], "running")),
        case("lifecycle/start-of-stopped")
            .cites(CITE)
            .breaks(pretends("start"))
            .runs(|c| refused_in(c, "start", &[], "stopped")),
    ]
}

fn kill() -> Vec<Case> {
    let mut all = vec![
        case("lifecycle/kill-of-stopped")
            .cites("runtime.md:135 MUST have no effect on the container and MUST generate an error")
            .breaks(pretends("kill"))
            .runs(|c| refused_in(c, "kill", &["TERM"], "stopped")),
        case("lifecycle/kill-of-created")
            .cites("runtime.md:134.2 MUST send the specified signal to the container process")
            .breaks(skips("kill"))
            .runs(|c| {
                let container = c.create()?;
                container.kill("KILL")?;
                container.wait()?;
                equal("status", container.status()?.as_str(), "stopped")
            }),
    ];
    for (signal, number) in [("HUP", 1), ("USR1", 10), ("WINCH", 28), ("INT", 2), ("CONT", 18)] {
        for word in [signal.to_owned(), format!("SIG{signal}"), number.to_string()] {
            let broken = Break::Word(word.clone(), "USR2".into());
            all.push(
                case(format!("lifecycle/kill-{word}"))
                    .cites("runtime.md:134.2 MUST send the specified signal")
                    .breaks(broken)
                    .runs(move |c| signalled(c, &word, signal)),
            );
        }
    }
    all
}

fn signalled(c: &mut Context, word: &str, name: &str) -> Verdict {
    c.stay(&[]);
    let container = c.start()?;
    container.seen()?;
    container.kill(word)?;
    let deadline = Instant::now() + c.driver.patience();
    while Instant::now() < deadline {
        let output = container.output();
        if let Some(told) = output.lines().nth(1) {
            c.saw(format!("the process got {told}"));
            return equal("signal", told, &format!("SIG{name}"));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    fail("the signal does not arrive")
}

fn delete() -> Vec<Case> {
    const CITE: &str = "runtime.md:142 MUST have no effect on the container and MUST generate an";
    vec![
        case("lifecycle/delete-of-running")
            .cites(CITE)
            .breaks(pretends("delete"))
            .runs(|c| refused_in(c, "delete", &[], "running")),
        case("lifecycle/delete-leaves-nothing")
            .cites("runtime.md:143 MUST delete the resources that were created during the `create`")
            .cites("runtime.md:77 MUST be destroyed by undoing the steps performed during create")
            .breaks(skips("delete"))
            .runs(|c| {
                let mut container = c.start()?;
                container.wait()?;
                container.delete()?;
                c.nothing_left(&container)?;
                let state = container.call("state", &[])?;
                ensure(!state.ok(), || "state still knows it".into())
            }),
        case("lifecycle/delete-spares-the-bundle")
            .cites("runtime.md:144 MUST NOT be deleted")
            .breaks(skips("create"))
            .runs(|c| {
                let own = c.driver.dir.join("shared");
                std::fs::create_dir(&own)?;
                std::fs::write(own.join("file"), "kept")?;
                c.mount("/tmp", "none", &own.display().to_string(), &["bind"]);
                let mut container = c.start()?;
                container.wait()?;
                container.delete()?;
                ensure(own.join("file").exists(), || "the bind mount's source is gone".into())?;
                ensure(c.rootfs().join("probe").exists(), || "the root is gone".into())
            }),
        case("lifecycle/id-free-after-delete")
            .cites("runtime.md:143 MUST delete the resources")
            .breaks(skips("delete"))
            .runs(|c| {
                let mut container = c.start()?;
                container.wait()?;
                container.delete()?;
                worked("create with the same id", &container.try_create(&[])?)?;
                worked("delete --force", &container.call("delete", &["--force"])?)
            }),
        case("lifecycle/state-after-each-step")
            .cites("runtime.md:101.2 MUST return the state of a container")
            .breaks(Break::State("/status".into(), Some(json!("created"))))
            .runs(|c| {
                c.stay(&[]);
                let container = c.create()?;
                equal("status", container.status()?.as_str(), "created")?;
                container.start()?;
                equal("status", container.status()?.as_str(), "running")?;
                container.kill("KILL")?;
                container.wait()?;
                equal("status", container.status()?.as_str(), "stopped")
            }),
    ]
}
