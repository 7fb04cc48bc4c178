//! Command lines that mean nothing, where no container is.

use serde_json::Value;

use super::{clean_error, one_line};
use crate::case::{Case, Verdict, case, ensure, equal};
use crate::container::worked;
use crate::context::Context;
use crate::mutant::pretends;
use crate::process;

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut all: Vec<Case> = CALLS.iter().map(|(name, line)| call(name, line)).collect();
    all.extend(CREATES.iter().map(|(name, options)| create(name, options)));
    all.extend(ids());
    all
}

/// Name and command line; `nobody` is no container.
const CALLS: [(&str, &str); 51] = [
    ("create-without-id", "create"),
    ("create-with-two-ids", "create nobody nobody"),
    ("create-unknown-option", "create --no-such-option nobody"),
    ("create-bundle-without-value", "create --bundle"),
    ("create-bundle-missing", "create --bundle /nowhere nobody"),
    ("create-bundle-a-device", "create --bundle /dev/null nobody"),
    ("run-without-id", "run"),
    ("run-unknown-option", "run --no-such-option nobody"),
    ("run-bundle-missing", "run --bundle /nowhere nobody"),
    ("start-without-id", "start"),
    ("start-with-two-ids", "start nobody nobody"),
    ("start-unknown-option", "start --no-such-option nobody"),
    ("start-of-none", "start nobody"),
    ("state-without-id", "state"),
    ("state-with-two-ids", "state nobody nobody"),
    ("state-unknown-option", "state --no-such-option nobody"),
    ("state-of-none", "state nobody"),
    ("kill-without-id", "kill"),
    ("kill-unknown-option", "kill --no-such-option nobody"),
    ("kill-of-none", "kill nobody KILL"),
    ("kill-signal-unknown", "kill nobody NOSUCHSIGNAL"),
    ("kill-signal-too-large", "kill nobody 99999"),
    ("kill-signal-negative", "kill nobody -1"),
    ("delete-without-id", "delete"),
    ("delete-unknown-option", "delete --no-such-option nobody"),
    ("delete-of-none", "delete nobody"),
    ("exec-without-id", "exec"),
    ("exec-without-command", "exec nobody"),
    ("exec-unknown-option", "exec --no-such-option nobody /probe"),
    ("exec-of-none", "exec nobody /probe"),
    ("exec-process-missing", "exec --process /nowhere nobody"),
    ("ps-without-id", "ps"),
    ("ps-of-none", "ps nobody"),
    ("ps-format-unknown", "ps --format nosuch nobody"),
    ("list-format-unknown", "list --format nosuch"),
    ("list-unknown-option", "list --no-such-option"),
    ("pause-without-id", "pause"),
    ("pause-of-none", "pause nobody"),
    ("resume-without-id", "resume"),
    ("resume-of-none", "resume nobody"),
    ("update-without-id", "update"),
    ("update-of-none", "update --pids-limit 5 nobody"),
    ("update-memory-in-words", "update --memory much nobody"),
    ("update-resources-missing", "update --resources /nowhere nobody"),
    ("events-without-id", "events"),
    ("events-of-none", "events --stats nobody"),
    ("spec-bundle-missing", "spec --bundle /nowhere"),
    ("log-missing-directory", "--log /nowhere/log state nobody"),
    ("log-format-unknown", "--log-format nosuch state nobody"),
    ("option-unknown", "--no-such-option state nobody"),
    ("command-unknown", "nosuchcommand"),
];

fn call(name: &str, line: &'static str) -> Case {
    let verb = line.split(' ').find(|word| !word.contains(['-', '/']) && *word != "nosuch");
    case(format!("robustness/call-{name}"))
        .cites("runtime.md:93 support the following operations")
        .breaks(pretends(verb.unwrap_or_default()))
        .runs(move |c| {
            let words: Vec<&str> = line.split(' ').collect();
            let output = c.driver.call(&words)?;
            c.saw(output.summary());
            c.told(&output);
            let failed = matches!(output.exit, Some(process::Exit::Code(code)) if code != 0);
            ensure(failed, || output.summary())?;
            // Wrong usage may be answered with the right one, on either stream.
            let silent = output.stderr.is_empty() && output.stdout.is_empty();
            ensure(!silent, || "fails without a word".into())?;
            let crashed = output.stderr.contains("panic") || output.stderr.contains("goroutine");
            ensure(!crashed, || "it crashes".into())?;
            let root = std::fs::read_dir(c.driver.root()).map(|entries| entries.flatten().count());
            ensure(root.unwrap_or(0) == 0, || "it leaves something in the state directory".into())
        })
}

/// Name and options of a `create` whose bundle is good; `{dir}` is the case's directory.
const CREATES: [(&str, &str); 9] = [
    ("pid-file-in-no-directory", "--pid-file {dir}/nowhere/pid"),
    ("pid-file-a-directory", "--pid-file {dir}/bundle"),
    ("console-socket-without-terminal", "--console-socket {dir}/nowhere"),
    ("console-socket-missing", "terminal --console-socket {dir}/nowhere"),
    ("console-socket-a-file", "terminal --console-socket {dir}/bundle/config.json"),
    ("console-socket-a-directory", "terminal --console-socket {dir}/bundle"),
    ("preserve-fds-in-words", "--preserve-fds many"),
    ("preserve-fds-negative", "--preserve-fds -1"),
    ("preserve-fds-not-open", "--preserve-fds 50"),
];

fn create(name: &str, options: &'static str) -> Case {
    case(format!("robustness/create-{name}"))
        .cites("runtime.md:59 it MUST generate an error")
        .cites("runtime.md:84 as if the operation were never attempted")
        .breaks(pretends("create"))
        .runs(move |c| {
            let dir = c.driver.dir.display().to_string();
            let options = options.replace("{dir}", &dir);
            let mut words: Vec<&str> = options.split(' ').collect();
            if words[0] == "terminal" {
                words.remove(0);
                c.set("/process/terminal", true);
            }
            c.write()?;
            let container = c.handle();
            let bundle = c.bundle().display().to_string();
            let mut all = vec!["create", "--bundle", &bundle];
            all.extend(words);
            all.push(&container.id);
            let output = c.driver.call(&all)?;
            clean_error(c, &output)?;
            c.nothing_left(&container)
        })
}

/// Ids that are no names of a directory entry.
fn ids() -> Vec<Case> {
    let long = "x".repeat(1025);
    let ids = [
        ("empty", String::new()),
        ("dot", ".".into()),
        ("dots", "..".into()),
        ("slash", "a/b".into()),
        ("up", "../escape".into()),
        ("absolute", "/escape".into()),
        ("blank", "a b".into()),
        ("newline", "a\nb".into()),
        ("long", long),
        ("star", "*".into()),
        ("option", "--help-me".into()),
        ("non-ascii", "caf\u{e9}".into()),
        ("escape", "a\u{1b}[31m".into()),
        ("colon", "a:b".into()),
        ("percent", "a%2fb".into()),
        ("backslash", "a\\b".into()),
        ("quote", "a\"b".into()),
        ("down-and-up", "a/../b".into()),
    ];
    ids.map(|(name, id)| {
        case(format!("robustness/id-{name}"))
            .cites("runtime.md:110 or is not valid in any other way")
            .cites("CVE-2021-41103: ids are no paths")
            .breaks(pretends("create"))
            .runs(move |c| named(c, &id))
    })
    .into()
}

/// An id is refused, or names a container like any other: the format is the runtime's choice.
fn named(c: &mut Context, id: &str) -> Verdict {
    c.write()?;
    let before = entries(&c.driver.dir)?;
    let bundle = c.bundle().display().to_string();
    let output = c.driver.call(&["create", "--bundle", &bundle, id])?;
    c.saw(output.summary());
    let after = entries(&c.driver.dir)?;
    let new: Vec<_> = after.iter().filter(|name| !before.contains(name)).collect();
    ensure(new.iter().all(|name| name.starts_with("call.")), || {
        format!("beside the state directory there are now {new:?}")
    })?;
    if !output.ok() {
        c.told(&output);
        return one_line(&output);
    }
    let state = c.driver.call(&["state", id])?;
    let document: Value = serde_json::from_str(&state.stdout).unwrap_or_default();
    equal("the id in state", &document["id"], &Value::from(id))?;
    worked("delete", &c.driver.call(&["delete", "--force", id])?)
}

fn entries(directory: &std::path::Path) -> std::io::Result<Vec<String>> {
    let names = std::fs::read_dir(directory)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names.collect()
}
