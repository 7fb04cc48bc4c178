//! Bad input and interrupted work: an error in one line, and nothing left.

use std::os::unix::process::CommandExt;
use std::time::Duration;

use serde_json::json;

use crate::case::{Case, Verdict, case, ensure, fail};
use crate::container::Container;
use crate::context::Context;
use crate::mutant::{Break, pretends, skips};
use crate::process;
use crate::runtime::Output;

/// The chapter.
pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for (kind, pointers) in TYPES {
        for pointer in pointers.split_whitespace() {
            all.extend(wrong_types(kind, pointer));
        }
    }
    all.extend(texts());
    all.extend(calls());
    all.extend(ids());
    all.extend(killed());
    all
}

/// Properties by the type of their value.
const TYPES: [(&str, &str); 5] = [
    (
        "string",
        "/ociVersion /hostname /domainname /root/path /process/cwd /process/args/0 /process/env/0 \
         /mounts/0/destination /mounts/0/type /mounts/0/source /mounts/1/options/0 \
         /linux/cgroupsPath /linux/namespaces/0/type /linux/rootfsPropagation \
         /linux/maskedPaths/0 /linux/readonlyPaths/0 /linux/sysctl/kernel.msgmax \
         /process/rlimits/0/type /linux/seccomp/defaultAction /linux/personality/domain \
         /hooks/prestart/0/path /linux/devices/0/path /linux/devices/0/type \
         /linux/resources/cpu/cpus /process/capabilities/bounding/0",
    ),
    (
        "integer",
        "/process/user/uid /process/user/gid /process/user/umask /process/user/additionalGids/0 \
         /process/oomScoreAdj /process/rlimits/0/soft /process/rlimits/0/hard \
         /linux/resources/memory/limit /linux/resources/memory/swap /linux/resources/cpu/shares \
         /linux/resources/cpu/quota /linux/resources/cpu/period /linux/resources/pids/limit \
         /linux/resources/blockIO/weight /linux/devices/0/major /linux/devices/0/minor \
         /linux/devices/0/fileMode /linux/uidMappings/0/hostID /linux/gidMappings/0/size \
         /hooks/prestart/0/timeout /process/consoleSize/height",
    ),
    (
        "boolean",
        "/root/readonly /process/terminal /process/noNewPrivileges \
         /linux/resources/memory/disableOOMKiller /linux/resources/devices/0/allow",
    ),
    (
        "array",
        "/process/args /process/env /process/rlimits /process/user/additionalGids /mounts \
         /mounts/1/options /linux/namespaces /linux/devices /linux/maskedPaths \
         /linux/readonlyPaths /linux/uidMappings /linux/seccomp/syscalls \
         /process/capabilities/bounding /hooks/prestart /linux/resources/devices",
    ),
    (
        "object",
        "/root /process /process/user /process/capabilities /linux /linux/resources \
         /linux/resources/memory /linux/resources/cpu /linux/resources/pids /linux/seccomp \
         /linux/sysctl /annotations /hooks /mounts/0 /linux/namespaces/0",
    ),
];

fn wrong_types(kind: &'static str, pointer: &'static str) -> Vec<Case> {
    let values = [
        ("string", json!("suite")),
        ("integer", json!(7)),
        ("boolean", json!(true)),
        ("array", json!([])),
        ("object", json!({})),
    ];
    let others = values.into_iter().filter(move |(other, _)| *other != kind);
    others
        .map(|(other, value)| {
            let name = pointer.trim_start_matches('/').replace('/', ".");
            case(format!("robustness/{name}-is-{other}"))
                .cites("config.md:760 MUST generate an error when invalid or unsupported values")
                .cites("runtime.md:84 as if the operation were never attempted")
                .breaks(Break::Repair)
                .runs(move |c| {
                    c.set(pointer, value.clone());
                    c.write()?;
                    bad_create(c)
                })
        })
        .collect()
}

/// `create` of what lies in the bundle must fail cleanly.
fn bad_create(c: &mut Context) -> Verdict {
    let container = c.handle();
    let output = container.try_create(&[])?;
    // What is not looked at before the program starts may be refused then.
    let output = if output.ok() { container.call("start", &[])? } else { output };
    c.saw(output.summary());
    clean_error(&output)?;
    after(c, &container)
}

fn after(c: &mut Context, container: &Container) -> Verdict {
    if container.call("state", &[])?.ok() {
        // A failed start leaves a created or stopped container, which its owner deletes.
        container.call("delete", &["--force"])?;
    }
    c.nothing_left(container)
}

/// One line on standard error, exit status not 0, no crash.
fn clean_error(output: &Output) -> Verdict {
    ensure(!output.ok(), || "the runtime takes it without an error".into())?;
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

/// Files that are no configuration.
fn texts() -> Vec<Case> {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let texts: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("blank", b" \n".to_vec()),
        ("null", b"null".to_vec()),
        ("number", b"17".to_vec()),
        ("string", b"\"config\"".to_vec()),
        ("array", b"[]".to_vec()),
        ("empty-object", b"{}".to_vec()),
        ("open-object", b"{".to_vec()),
        ("no-json", b"ociVersion: 1.0.2".to_vec()),
        ("nul-bytes", vec![0; 64]),
        ("no-utf8", b"{\"ociVersion\": \"\xff\xfe\"}".to_vec()),
        ("utf16", "{\"a\":1}".encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("deeply-nested", deep.into_bytes()),
        ("control-character", b"{\"hostname\": \"a\x01b\"}".to_vec()),
        ("lone-surrogate", b"{\"ociVersion\": \"\\ud800\"}".to_vec()),
        ("huge-number", b"{\"ociVersion\": 1e999999}".to_vec()),
        ("trailing-comma", b"{\"ociVersion\": \"1.0.2\",}".to_vec()),
        ("comment", b"// a comment\n{\"ociVersion\": \"1.0.2\"}".to_vec()),
    ];
    let mut all: Vec<Case> = texts
        .into_iter()
        .map(|(name, text)| {
            bad_file(format!("robustness/config-{name}"), move |c| {
                Ok(std::fs::write(c.bundle().join("config.json"), &text)?)
            })
        })
        .collect();
    for tenths in 1..10 {
        all.push(bad_file(format!("robustness/config-cut-at-{tenths}0-percent"), move |c| {
            let text = c.config.to_string();
            let cut = text.len() * tenths / 10;
            Ok(std::fs::write(c.bundle().join("config.json"), &text[..cut])?)
        }));
    }
    all.push(bad_file("robustness/config-is-a-directory".into(), |c| {
        Ok(std::fs::create_dir(c.bundle().join("config.json"))?)
    }));
    all.push(bad_file("robustness/config-is-a-dangling-link".into(), |c| {
        let link = c.bundle().join("config.json");
        Ok(std::os::unix::fs::symlink("nowhere", link)?)
    }));
    all
}

fn bad_file(id: String, make: impl Fn(&mut Context) -> Verdict + Send + Sync + 'static) -> Case {
    case(id)
        .cites("runtime.md:59 it MUST generate an error")
        .cites("runtime.md:84 as if the operation were never attempted")
        .breaks(pretends("create"))
        .runs(move |c| {
            make(c)?;
            let container = c.handle();
            let output = container.try_create(&[])?;
            c.saw(output.summary());
            clean_error(&output)?;
            c.nothing_left(&container)
        })
}

/// Command lines that mean nothing.
fn calls() -> Vec<Case> {
    let calls: [(&str, &str); 14] = [
        ("create", "create --no-such-option x"),
        ("create", "create --bundle"),
        ("create", "create --bundle /nowhere x"),
        ("run", "run --bundle /nowhere x"),
        ("start", "start x y"),
        ("start", "start --no-such-option x"),
        ("state", "state x y"),
        ("kill", "kill x NOSUCHSIGNAL"),
        ("kill", "kill x 99999"),
        ("kill", "kill x -1"),
        ("delete", "delete --no-such-option x"),
        ("exec", "exec x /probe"),
        ("update", "update x"),
        ("pause", "pause x"),
    ];
    let numbered = calls.into_iter().enumerate();
    numbered
        .map(|(at, (verb, line))| {
            case(format!("robustness/call-{}-{verb}", at + 1))
                .cites("runtime.md:93 support the following operations")
                .breaks(pretends(verb))
                .runs(move |c| {
                    let words: Vec<&str> = line.split(' ').collect();
                    let output = c.driver.call(&words)?;
                    c.saw(format!("{line}: {}", output.summary()));
                    let failed =
                        matches!(output.exit, Some(process::Exit::Code(code)) if code != 0);
                    ensure(failed, || output.summary())?;
                    let silent = output.stderr.is_empty() && output.stdout.is_empty();
                    ensure(!silent, || "fails without a word".into())
                })
        })
        .collect()
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
    ];
    ids.map(|(name, id)| {
        case(format!("robustness/id-{name}"))
            .cites("runtime.md:110 or is not valid in any other way")
            .cites("CVE-2021-41103: ids are no paths")
            .breaks(pretends("create"))
            .runs(move |c| {
                c.write()?;
                let before = entries(&c.driver.dir)?;
                let bundle = c.bundle().display().to_string();
                let output = c.driver.call(&["create", "--bundle", &bundle, &id])?;
                c.saw(output.summary());
                ensure(!output.ok(), || "it is taken".into())?;
                let after = entries(&c.driver.dir)?;
                let new: Vec<_> = after.iter().filter(|name| !before.contains(name)).collect();
                ensure(new.iter().all(|name| name.starts_with("call.")), || {
                    format!("beside the state directory there are now {new:?}")
                })
            })
    })
    .into()
}

fn entries(directory: &std::path::Path) -> std::io::Result<Vec<String>> {
    let names = std::fs::read_dir(directory)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names.collect()
}

/// `create` killed after some milliseconds: one `delete --force` must clear away what it had made.
fn killed() -> Vec<Case> {
    [0, 1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20]
        .map(|delay: u64| {
            case(format!("robustness/create-killed-after-{delay}-ms"))
                .cites("runtime.md:143 MUST delete the resources that were created during the")
                .breaks(skips("delete"))
                .runs(move |c| killed_after(c, Duration::from_millis(delay)))
        })
        .into()
}

fn killed_after(c: &mut Context, delay: Duration) -> Verdict {
    c.write()?;
    let container = c.handle();
    let mut command = c.driver.command();
    command.arg("--root").arg(c.driver.root());
    command.args(["create", "--bundle"]).arg(c.bundle()).arg(&container.id);
    command.stdin(std::process::Stdio::null());
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    command.process_group(0);
    let child = command.spawn()?;
    let pid = i32::try_from(child.id()).unwrap_or(-1);
    std::thread::sleep(delay);
    process::kill_group(pid);
    let exit = process::wait(pid, Duration::from_secs(5));
    c.saw(format!("create ended with {exit:?}"));
    let state = container.call("state", &[])?;
    let output = container.call("delete", &["--force"])?;
    c.saw(format!("state {}, delete {}", state.summary(), output.summary()));
    // Killed before it began, there is nothing to delete.
    let begun = c.driver.root().join(&container.id).exists() || state.ok();
    ensure(output.ok() || !begun, || format!("delete {}", output.summary()))?;
    // The orphaned init ends when the pipe or the socket to its parent does.
    process::settle(Duration::from_secs(2));
    c.nothing_left(&container)?;
    // And the id is free: a container of its own lives and goes again.
    crate::container::worked("create", &container.try_create(&[])?)?;
    crate::container::worked("delete", &container.call("delete", &["--force"])?)?;
    c.nothing_left(&container)
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
        assert!(clean_error(&output(1, "error\n")).is_ok());
        assert!(clean_error(&output(0, "error\n")).is_err());
        assert!(clean_error(&output(1, "")).is_err());
        assert!(clean_error(&output(1, "one\ntwo\n")).is_err());
    }
}
