//! What containerd, Docker, Podman and CRI-O rely on of runc's command line, beyond the
//! specification; `exec` lies beside it in compat_exec.rs.

use serde_json::{Value, json};

use crate::case::{Builder, Case, Stop, Verdict, case, ensure, equal, fail};
use crate::container::{Container, worked};
use crate::context::Context;
use crate::mutant::{Break, refuses, sets, skips};
use crate::needs::Need;
use crate::process::Exit;
use crate::runtime::Output;

/// The chapter.
pub fn cases() -> Vec<Case> {
    let mut all = run();
    all.extend(query());
    all.extend(signals());
    all.extend(resources());
    all.extend(errors());
    all.extend(files());
    all
}

/// Starts a case of the chapter; `who` relies on it, or how it is called.
pub(super) fn compat(name: &str, who: &str) -> Builder {
    case(format!("compat/{name}")).cites(format!("runc's command line: {who}"))
}

/// The runtime leaves out an option and its value.
pub(super) fn option(name: &str) -> Break {
    Break::Option(name.into())
}

/// The runtime takes a word for another.
pub(super) fn word(from: &str, to: &str) -> Break {
    Break::Word(from.into(), to.into())
}

/// A container whose probe stays.
pub(super) fn staying(c: &mut Context) -> Result<Container, Stop> {
    c.stay(&[]);
    let container = c.start()?;
    container.seen()?;
    Ok(container)
}

fn run() -> Vec<Case> {
    vec![
        compat("run-exit-status", "run ends as the process does")
            .breaks(sets("/process/args", json!(["/probe", "exit", "0"])))
            .runs(|c| {
                c.set("/process/args", json!(["/probe", "exit", "42"]));
                c.write()?;
                let output = c.handle().try_run(&[])?;
                equal("exit", &output.exit, &Some(Exit::Code(42)))
            }),
        compat("run-deletes", "run in the foreground deletes the container at its end")
            .breaks(sets("/root/path", "nowhere"))
            .runs(|c| {
                c.write()?;
                let container = c.handle();
                worked("run", &container.try_run(&[])?)?;
                crate::container::parse(&container.output())?;
                c.nothing_left(&container)
            }),
        compat("run-keep", "run --keep leaves the stopped container")
            .breaks(word("--keep", ""))
            .runs(|c| {
                c.write()?;
                let mut container = c.handle();
                worked("run --keep", &container.try_run(&["--keep"])?)?;
                equal("status", container.status()?.as_str(), "stopped")?;
                container.delete()
            }),
        compat("run-detach", "run --detach returns while the process runs")
            .breaks(skips("run"))
            .runs(|c| {
                c.stay(&[]);
                c.write()?;
                let container = c.handle();
                worked("run --detach", &container.try_run(&["--detach"])?)?;
                container.seen()?;
                equal("status", container.status()?.as_str(), "running")
            }),
        compat("options-in-one-word", "--bundle=DIR").breaks(skips("create")).runs(|c| {
            c.write()?;
            let container = c.handle();
            let bundle = format!("--bundle={}", c.bundle().display());
            let output = c.driver.call(&["create", &bundle, &container.id])?;
            worked("create", &output)?;
            equal("status", container.status()?.as_str(), "created")
        }),
        compat("options-of-create", "--no-new-keyring, --preserve-fds 0")
            .breaks(refuses("create"))
            .runs(|c| {
                c.write()?;
                let container = c.handle();
                let options = ["--no-new-keyring", "--preserve-fds", "0"];
                worked("create", &container.try_create(&options)?)?;
                container.start()?;
                container.seen().map(drop)
            }),
    ]
}

fn query() -> Vec<Case> {
    vec![
        compat("version", "a line with the word version, one with spec:")
            .breaks(Break::Print(String::new(), "nothing".into()))
            .runs(|c| {
                let mut command = c.driver.command();
                command.arg("--version");
                let output = c.driver.finish(command, crate::runtime::Streams::default())?;
                c.saw(output.stdout.trim());
                ensure(output.stdout.contains(" version "), || "no version".into())?;
                ensure(output.stdout.lines().any(|line| line.starts_with("spec: ")), || {
                    "no line with spec:".into()
                })
            }),
        compat("state-created-time", "state tells when the container was created")
            .breaks(Break::State("/created".into(), None))
            .runs(|c| {
                let state = c.create()?.state()?;
                let time = state["created"].as_str().unwrap_or_default().to_owned();
                c.saw(time.as_str());
                ensure(time.contains('T') && time.starts_with("20"), || format!("{time:?}"))
            }),
        compat("state-rootfs", "state tells the root's path")
            .breaks(Break::State("/rootfs".into(), None))
            .runs(|c| {
                let rootfs = c.rootfs();
                equal("rootfs", &c.create()?.state()?["rootfs"], &json!(rootfs))
            }),
        compat("list-json", "list --format json")
            .breaks(Break::Print("list".into(), "[]".into()))
            .runs(|c| {
                let container = c.create()?;
                let output = c.driver.call(&["list", "--format", "json"])?;
                worked("list", &output)?;
                let list: Value = serde_json::from_str(&output.stdout).unwrap_or_default();
                let ids: Vec<&Value> =
                    list.as_array().into_iter().flatten().map(|each| &each["id"]).collect();
                equal("ids", &ids, &[&json!(container.id)])
            }),
        compat("list-quiet", "list --quiet prints ids")
            .breaks(Break::Print("list".into(), "other".into()))
            .runs(|c| {
                let container = c.create()?;
                let output = c.driver.call(&["list", "--quiet"])?;
                equal("output", output.stdout.trim(), container.id.as_str())
            }),
        compat("ps-json", "ps --format json prints pids")
            .needs(Need::Root)
            .breaks(Break::Print("ps".into(), "[]".into()))
            .runs(|c| {
                let container = staying(c)?;
                let output = container.call("ps", &["--format", "json"])?;
                worked("ps", &output)?;
                let pids: Value = serde_json::from_str(&output.stdout).unwrap_or_default();
                equal("pids", &pids, &json!([container.pid()?]))
            }),
        compat("spec", "spec writes config.json once").breaks(skips("spec")).runs(|c| {
            let bundle = c.driver.dir.join("new");
            std::fs::create_dir(&bundle)?;
            let bundle = bundle.display().to_string();
            worked("spec", &c.driver.call(&["spec", "--bundle", &bundle])?)?;
            let text = std::fs::read_to_string(format!("{bundle}/config.json"))
                .or_else(|error| fail(format!("config.json: {error}")))?;
            let config: Value = serde_json::from_str(&text).unwrap_or_default();
            equal("args", &config["process"]["args"], &json!(["sh"]))?;
            let again = c.driver.call(&["spec", "--bundle", &bundle])?;
            ensure(!again.ok(), || "it is overwritten".into())
        }),
        compat("events-stats", "events --stats prints one JSON object")
            .needs(Need::Root)
            .breaks(Break::Print("events".into(), "{}".into()))
            .runs(|c| {
                let container = staying(c)?;
                let output = container.call("events", &["--stats"])?;
                worked("events --stats", &output)?;
                let event: Value = serde_json::from_str(&output.stdout).unwrap_or_default();
                equal("type", &event["type"], &json!("stats"))?;
                equal("id", &event["id"], &json!(container.id))?;
                let usage = &event["data"]["memory"]["usage"]["usage"];
                ensure(usage.is_u64(), || format!("memory usage is {usage}"))?;
                let current = &event["data"]["pids"]["current"];
                equal("pids", current, &json!(1))
            }),
    ]
}

fn signals() -> Vec<Case> {
    vec![
        compat("kill-default-is-term", "kill without a signal").breaks(skips("kill")).runs(|c| {
            let container = staying(c)?;
            worked("kill", &container.call("kill", &[])?)?;
            equal("exit", &container.wait()?, &Exit::Code(0))
        }),
        compat("kill-lower-case", "kill ID kill").breaks(skips("kill")).runs(|c| {
            let container = staying(c)?;
            container.kill("kill")?;
            equal("end", &container.wait()?, &Exit::Signal(9))
        }),
        compat("delete-force-running", "delete --force ends and deletes")
            .breaks(skips("delete"))
            .runs(|c| {
                let container = staying(c)?;
                worked("delete", &container.call("delete", &["--force"])?)?;
                crate::process::settles(<[i32]>::is_empty);
                c.nothing_left(&container)
            }),
        compat("delete-force-created", "delete --force of a created container")
            .breaks(skips("delete"))
            .runs(|c| {
                let container = c.create()?;
                worked("delete", &container.call("delete", &["--force"])?)?;
                crate::process::settles(<[i32]>::is_empty);
                c.nothing_left(&container)
            }),
        compat("delete-force-of-none", "delete --force of none works")
            .breaks(refuses("delete"))
            .runs(|c| worked("delete", &c.driver.call(&["delete", "--force", "nobody"])?)),
        compat("pause-and-resume", "pause, resume and the status paused")
            .needs(Need::Root)
            .breaks(skips("pause"))
            .runs(|c| {
                let container = staying(c)?;
                worked("pause", &container.call("pause", &[])?)?;
                equal("status", container.status()?.as_str(), "paused")?;
                let output = container.exec(&[], &["/probe", "exit", "0"])?;
                ensure(!output.ok(), || "exec works in a paused container".into())?;
                worked("resume", &container.call("resume", &[])?)?;
                equal("status", container.status()?.as_str(), "running")
            }),
    ]
}

fn resources() -> Vec<Case> {
    let update = |name: &str,
                  options: &'static [&'static str],
                  controller: &'static str,
                  file: &'static str,
                  wanted: &'static str| {
        compat(name, "update")
            .needs(Need::Root)
            .needs(Need::CgroupV1)
            .needs(Need::Controller(controller))
            .breaks(skips("update"))
            .runs(move |c| {
                let container = staying(c)?;
                worked("update", &container.call("update", options)?)?;
                let seen = container.cgroup_file(&c.host, controller, file)?;
                equal(file, seen.as_str(), wanted)
            })
    };
    vec![
        update("update-pids", &["--pids-limit", "33"], "pids", "pids.max", "33"),
        update(
            "update-memory",
            &["--memory", "67108864"],
            "memory",
            "memory.limit_in_bytes",
            "67108864",
        ),
        update("update-cpu-quota", &["--cpu-quota", "20000"], "cpu", "cpu.cfs_quota_us", "20000"),
        compat("update-resources", "update --resources FILE")
            .needs(Need::Root)
            .needs(Need::CgroupV1)
            .breaks(skips("update"))
            .runs(|c| {
                let container = staying(c)?;
                let file = c.driver.dir.join("resources.json");
                std::fs::write(&file, json!({"pids": {"limit": 44}}).to_string())?;
                let file = file.display().to_string();
                worked("update", &container.call("update", &["--resources", &file])?)?;
                equal(
                    "pids.max",
                    container.cgroup_file(&c.host, "pids", "pids.max")?.as_str(),
                    "44",
                )
            }),
    ]
}

/// Texts that engines look for.
fn errors() -> Vec<Case> {
    let told = |name: &str, who: &str, program: &'static str, wanted: &'static str| {
        compat(name, who).breaks(Break::Mute).runs(move |c| {
            c.set("/process/args", json!([program]));
            let (container, output) = c.try_create()?;
            let output = if output.ok() { container.call("start", &[])? } else { output };
            says(c, &output, wanted)
        })
    };
    let unknown = |verb: &'static str| {
        compat(&format!("{verb}-of-none-text"), "containerd looks for `does not exist`")
            .breaks(Break::Mute)
            .runs(move |c| {
                let output = c.driver.call(&[verb, "nobody"])?;
                says(c, &output, "does not exist")
            })
    };
    vec![
        told(
            "text-not-found-in-path",
            "Docker makes it 127",
            "nosuchprogram",
            "executable file not found in $PATH",
        ),
        told(
            "text-no-such-file",
            "Docker makes it 127",
            "/nosuchprogram",
            "no such file or directory",
        ),
        told("text-is-a-directory", "Docker makes it 126", "/etc", "is a directory"),
        compat("text-permission-denied", "Docker makes it 126").breaks(Break::Mute).runs(|c| {
            std::fs::write(c.rootfs().join("etc/file"), "no program")?;
            c.set("/process/args", json!(["/etc/file"]));
            let (container, output) = c.try_create()?;
            let output = if output.ok() { container.call("start", &[])? } else { output };
            says(c, &output, "permission denied")
        }),
        unknown("state"),
        unknown("kill"),
        unknown("delete"),
        compat("kill-of-stopped-text", "containerd looks for `not running`")
            .breaks(Break::Mute)
            .runs(|c| {
                let container = c.start()?;
                container.wait()?;
                let output = container.call_after("kill", &["TERM"])?;
                says(c, &output, "not running")
            }),
        compat("exec-not-found-status", "exec of no program: 255 and runc's words")
            .breaks(Break::Mute)
            .runs(|c| {
                let container = staying(c)?;
                let output = container.exec(&[], &["nosuchprogram"])?;
                equal("exit", &output.exit, &Some(Exit::Code(255)))?;
                says(c, &output, "executable file not found in $PATH")
            }),
    ]
}

fn says(c: &mut Context, output: &Output, wanted: &str) -> Verdict {
    c.saw(output.summary());
    ensure(!output.ok(), || "no error".into())?;
    ensure(output.stderr.to_lowercase().contains(&wanted.to_lowercase()), || {
        format!("the error does not say {wanted:?}")
    })
}

fn files() -> Vec<Case> {
    vec![
        compat("pid-file", "a number and nothing else").breaks(option("--pid-file")).runs(|c| {
            let container = c.create()?;
            let path = c.driver.dir.join(format!("{}.pid", container.id));
            let text = std::fs::read_to_string(&path)
                .or_else(|error| fail(format!("{}: {error}", path.display())))?;
            c.saw(format!("{text:?}"));
            ensure(text.parse::<u32>().is_ok(), || format!("the pid file holds {text:?}"))
        }),
        compat("log-json", "--log FILE --log-format json: the last error's msg")
            .breaks(option("--log"))
            .runs(|c| {
                let log = c.driver.dir.join("log.json");
                let path = log.display().to_string();
                c.set("/root/path", "nowhere");
                c.write()?;
                let bundle = c.bundle().display().to_string();
                let output = c.driver.call(&[
                    "--log",
                    &path,
                    "--log-format",
                    "json",
                    "create",
                    "--bundle",
                    &bundle,
                    "logged",
                ])?;
                ensure(!output.ok(), || "create works".into())?;
                let text = std::fs::read_to_string(&log)
                    .or_else(|error| fail(format!("the log: {error}")))?;
                let mut lines = text.lines().filter_map(|line| serde_json::from_str(line).ok());
                let last = lines.rfind(|line: &Value| line["level"] == "error");
                c.saw(format!("{last:?}"));
                let told =
                    last.is_some_and(|line| line["msg"].as_str().is_some_and(|m| !m.is_empty()));
                ensure(told, || format!("no error in {text:?}"))
            }),
        compat("state-directory-is-private", "0700 whatever the umask").breaks(Break::Expose).runs(
            |c| {
                use std::os::unix::fs::PermissionsExt;
                std::fs::remove_dir(c.driver.root())?;
                let old = nix::sys::stat::umask(nix::sys::stat::Mode::empty());
                let created = c.create();
                nix::sys::stat::umask(old);
                let container = created?;
                for path in [c.driver.root(), c.driver.root().join(&container.id)] {
                    let mode = std::fs::metadata(&path)
                        .map(|found| found.permissions().mode() & 0o777)
                        .or_else(|error| fail(format!("{}: {error}", path.display())))?;
                    ensure(mode & 0o066 == 0, || format!("{} has {mode:o}", path.display()))?;
                }
                Ok(())
            },
        ),
    ]
}
