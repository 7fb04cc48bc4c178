//! Bad input and interrupted work: an error in one line, and nothing left.

mod calls;
mod files;
mod killed;
mod live;
mod state;
mod types;
mod values;

use serde_json::json;

use crate::case::{Case, Verdict, ensure, fail};
use crate::container::Container;
use crate::context::Context;
use crate::process;
use crate::runtime::Output;

/// The chapter.
pub fn cases() -> Vec<Case> {
    let mut all = types::cases();
    all.extend(values::cases());
    all.extend(files::cases());
    all.extend(calls::cases());
    all.extend(live::cases());
    all.extend(state::cases());
    all.extend(killed::cases());
    all
}

/// Gives the property at `pointer` valid surroundings, so that what the case then puts there is the
/// only fault.
fn surround(c: &mut Context, pointer: &str) {
    let valid = [
        ("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}])),
        ("/process/user/additionalGids", json!([7])),
        ("/process/scheduler", json!({"policy": "SCHED_OTHER", "nice": 1})),
        ("/process/ioPriority", json!({"class": "IOPRIO_CLASS_BE", "priority": 4})),
        ("/linux/maskedPaths", json!(["/etc/masked"])),
        ("/linux/readonlyPaths", json!(["/etc"])),
        ("/linux/sysctl", json!({"kernel.msgmax": "8192"})),
        ("/linux/personality", json!({"domain": "LINUX"})),
        (
            "/linux/seccomp",
            json!({
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{"names": ["getpriority"], "action": "SCMP_ACT_ERRNO"}],
            }),
        ),
        (
            "/linux/devices",
            json!([{
                "path": "/dev/made", "type": "c", "major": 1, "minor": 3, "fileMode": 438,
            }]),
        ),
        ("/linux/resources/devices", json!([{"allow": false, "access": "rwm"}])),
        ("/hooks/prestart", json!([{"path": c.driver.work.join("probe"), "args": ["probe"]}])),
    ];
    if pointer.starts_with("/linux/uidMappings") || pointer.starts_with("/linux/gidMappings") {
        c.user_namespace(100_000, 65_536);
    }
    if pointer.starts_with("/linux/timeOffsets") {
        c.namespace("time", None);
        c.set("/linux/timeOffsets", json!({"monotonic": {"secs": 1, "nanosecs": 0}}));
    }
    // The whole property is the fault when the pointer ends at it.
    if let Some((at, value)) =
        valid.into_iter().find(|(at, _)| pointer.starts_with(&format!("{at}/")))
    {
        c.set(at, value);
    }
}

/// `create` of what lies in the bundle must fail cleanly.
fn bad_create(c: &mut Context) -> Verdict {
    let container = c.handle();
    let output = container.try_create(&[])?;
    // What is not looked at before the program starts may be refused then.
    let output = if output.ok() { container.call("start", &[])? } else { output };
    clean_error(c, &output)?;
    if container.call("state", &[])?.ok() {
        // A failed start leaves a created or stopped container, which its owner deletes.
        container.call("delete", &["--force"])?;
    }
    c.nothing_left(&container)
}

/// One line on standard error, exit status not 0, no crash.
fn clean_error(c: &mut Context, output: &Output) -> Verdict {
    c.saw(output.summary());
    ensure(!output.ok(), || "the runtime takes it without an error".into())?;
    c.told(output);
    one_line(output)
}

fn one_line(output: &Output) -> Verdict {
    ensure(matches!(output.exit, Some(process::Exit::Code(_))), || output.summary())?;
    let lines: Vec<&str> = output.stderr.lines().filter(|line| !line.is_empty()).collect();
    let crashed = lines.iter().any(|line| line.contains("panic") || line.contains("goroutine"));
    ensure(!crashed, || format!("it crashes: {}", lines[0]))?;
    match lines.len() {
        1 => Ok(()),
        0 => fail("fails without a word"),
        count => fail(format!("tells the error in {count} lines")),
    }
}

/// The container still runs, alone, and goes without a trace.
fn unharmed(c: &mut Context, container: &Container) -> Verdict {
    let pid = container.pid()?;
    let alone = process::settles(|children| children == [pid]);
    ensure(alone, || format!("processes are {:?}, not {pid} alone", process::living_children()))?;
    let status = container.status()?;
    ensure(status == "running", || format!("afterwards the container is {status}"))?;
    crate::container::worked("delete", &container.call("delete", &["--force"])?)?;
    process::settles(<[i32]>::is_empty);
    c.nothing_left(container)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_at_least_three_hundred() {
        assert!(cases().len() >= 300, "{}", cases().len());
    }

    #[test]
    fn a_clean_error_is_one_line() {
        let output = |code, stderr: &str| Output {
            exit: Some(process::Exit::Code(code)),
            stdout: String::new(),
            stderr: stderr.into(),
        };
        assert!(one_line(&output(1, "error\n")).is_ok());
        assert!(one_line(&output(1, "")).is_err());
        assert!(one_line(&output(1, "one\ntwo\n")).is_err());
        assert!(one_line(&output(2, "thread panicked\n")).is_err());
    }
}
