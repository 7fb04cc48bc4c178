//! Logs, attached clients, execs.

use crate::fixture::{Fixture, eventually, executable, may_run};
use hull_shim::proto::Empty;
use hull_shim::proto::events::topic;
use hull_shim::proto::task::CloseIoRequest;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Docker's frames, as text of each stream.
fn streams(mut bytes: &[u8]) -> (String, String) {
    let mut texts = [String::new(), String::new()];
    while let Some((header, rest)) = bytes.split_at_checked(8) {
        let length = u32::from_be_bytes(header[4..].try_into().unwrap()) as usize;
        texts[usize::from(header[0]) - 1] += &String::from_utf8_lossy(&rest[..length]);
        bytes = &rest[length..];
    }
    let [out, err] = texts;
    (out, err)
}

#[test]
fn a_log_and_an_attached_client_get_the_same() {
    if !may_run() {
        return;
    }
    let mut shim = Fixture::new("log", &["sh", "-c", "cat; echo err >&2; exit 3"]);
    let (log, attach) = (shim.path("c-json.log"), shim.path("a.sock"));
    let stream = format!("json-file://{}?attach={}&stdin-once=1", log.display(), attach.display());
    assert!(shim.create(true, &stream, false) > 0);
    assert_eq!(fs::metadata(&attach).unwrap().permissions().mode() & 0o777, 0o600);
    let mut client = UnixStream::connect(&attach).unwrap();
    shim.start("");
    client.write_all(b"to the container\n").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).unwrap();
    assert_eq!(streams(&bytes), ("to the container\n".to_owned(), "err\n".to_owned()));
    assert_eq!(shim.wait(""), 3);
    let text = fs::read_to_string(&log).unwrap();
    let entries: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(entries[0]["log"], "to the container\n");
    assert_eq!((&entries[1]["log"], &entries[1]["stream"]), (&"err\n".into(), &"stderr".into()));
    let expect = [topic::CREATE, topic::START, topic::EXIT, topic::DELETE];
    assert_eq!(shim.finish(), expect);
}

/// The length of a file that somebody writes to, once it stays the same.
fn settled(path: &Path) -> u64 {
    let length = || fs::metadata(path).map_or(0, |meta| meta.len());
    let (mut last, mut since) = (0, Instant::now());
    eventually("the writer waits", || {
        let now = length();
        if now != last || now == 0 {
            (last, since) = (now, Instant::now());
        }
        (since.elapsed() > Duration::from_millis(300)).then_some(now)
    })
}

/// A process that writes as much as it can, and its log.
fn writer(name: &str, script: &str, more: &str) -> (Fixture, PathBuf, UnixStream) {
    let mut shim = Fixture::new(name, &["sh", "-c", script]);
    let (log, attach) = (shim.path("c-json.log"), shim.path("a.sock"));
    let stream = format!("json-file://{}?{more}attach={}", log.display(), attach.display());
    shim.create(false, &stream, false);
    let client = UnixStream::connect(&attach).unwrap();
    shim.start("");
    (shim, log, client)
}

#[test]
fn an_engine_begins_with_no_signal_blocked() {
    if !may_run() {
        return;
    }
    let mut shim = Fixture::new("mask", &["sleep", "100"]);
    // Some engines unblock signals themselves, as does dash: seen before them, by bash.
    let (engine, mask) = (shim.path("engine-sh"), shim.path("mask"));
    let script = format!(
        "#!/bin/bash\ngrep SigBlk /proc/self/status >{}\nexec {} \"$@\"\n",
        mask.display(),
        shim.engine.display()
    );
    executable(&engine, &script);
    shim.engine = engine;
    shim.create(false, "", false);
    assert_eq!(fs::read_to_string(&mask).unwrap(), "SigBlk:\t0000000000000000\n");
    shim.start("");
    shim.kill();
    shim.finish();
}

#[test]
fn a_process_waits_for_a_client_that_does_not_read() {
    if !may_run() {
        return;
    }
    let script = "head -c 8000000 /dev/zero | tr '\\0' x; echo done";
    let (mut shim, log, mut client) = writer("slow", script, "max-size=4000000&max-file=2&");
    // The client's socket, the shim's piece, and the pipe are full by then.
    assert!(settled(&log) < 2_000_000);
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).unwrap();
    let (out, _) = streams(&bytes);
    assert_eq!((out.len(), out.ends_with("xdone\n")), (8_000_005, true));
    assert_eq!(shim.wait(""), 0);
    assert!(fs::read_to_string(&log).unwrap().contains("done\\n"));
    assert!(fs::metadata(shim.path("c-json.log.1")).unwrap().len() <= 4_000_000);
    assert!(!shim.path("c-json.log.2").exists());
    shim.finish();
}

#[test]
fn what_a_killed_process_wrote_is_logged_and_kept_for_its_client() {
    if !may_run() {
        return;
    }
    let script = "while :; do echo 0123456789012345678901234567890123456789; done";
    let (mut shim, log, mut client) = writer("killed", script, "");
    settled(&log);
    shim.kill();
    // The shim goes on for the client alone; another one may take its name.
    shim.finish();
    shim.again();
    shim.create(false, "", false);
    shim.start("");
    shim.kill();
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).unwrap();
    let (out, _) = streams(&bytes);
    let text = fs::read_to_string(&log).unwrap();
    let logged: String = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|entry| entry["log"].as_str().unwrap().to_owned())
        .collect();
    assert!(out == logged, "{} bytes came, {} were logged", out.len(), logged.len());
    shim.finish();
}

#[test]
fn a_client_that_attaches_before_the_start_misses_nothing() {
    if !may_run() {
        return;
    }
    let mut shim = Fixture::new("early", &["sleep", "100"]);
    shim.create(false, "", false);
    shim.start("");
    let attach = shim.path("e.sock");
    let stream = format!("none://?attach={}", attach.display());
    for round in 0..20 {
        let exec_id = format!("e{round}");
        shim.exec(&exec_id, &["echo", "short"], &stream, false, false);
        let mut client = UnixStream::connect(&attach).unwrap();
        shim.start(&exec_id);
        let mut bytes = Vec::new();
        client.read_to_end(&mut bytes).unwrap();
        assert_eq!(streams(&bytes).0, "short\n", "round {round}");
        assert_eq!(shim.wait(&exec_id), 0);
        shim.delete(&exec_id);
    }
    // One that never runs can be deleted, and its client is let go.
    shim.exec("never", &["true"], &stream, false, false);
    let mut client = UnixStream::connect(&attach).unwrap();
    shim.delete("never");
    // Closed, or reset where it had not even been accepted (unix(7)).
    let end = client.read(&mut [0]);
    assert!(end.as_ref().map_or_else(is_reset, |length| *length == 0), "{end:?}");
    assert!(!attach.exists());
    shim.kill();
    shim.finish();
}

#[test]
fn execs_and_terminals_are_attached_to_as_well() {
    if !may_run() {
        return;
    }
    let mut shim = Fixture::new("exec", &["sleep", "100"]);
    shim.create(false, "", false);
    shim.start("");
    for terminal in [false, true] {
        let attach = shim.path(if terminal { "t.sock" } else { "e.sock" });
        let stream = format!("none://?attach={}", attach.display());
        let exec_id = format!("e{terminal}");
        shim.exec(&exec_id, &["sh", "-c", "read x; echo got $x"], &stream, true, terminal);
        shim.start(&exec_id);
        let mut client = UnixStream::connect(&attach).unwrap();
        client.write_all(b"word\n").unwrap();
        let mut bytes = Vec::new();
        client.read_to_end(&mut bytes).unwrap();
        let (out, err) = streams(&bytes);
        assert!(out.contains("got word"), "terminal {terminal}: {out:?}");
        assert_eq!(err, "");
        assert_eq!(shim.wait(&exec_id), 0);
        let request = CloseIoRequest { id: shim.id.clone(), exec_id: exec_id.clone(), stdin: true };
        let _: Empty = shim.call("CloseIO", &request);
        shim.delete(&exec_id);
        assert!(!attach.exists(), "the socket goes with the process");
    }
    shim.kill();
    let events = shim.finish();
    assert_eq!(events.iter().filter(|topic| *topic == topic::EXIT).count(), 3);
}

#[test]
fn a_container_that_may_be_checkpointed_has_pipes_for_fifos() {
    if !may_run() {
        return;
    }
    for (checkpoints, kind) in [(false, "/fifo"), (true, "pipe:[")] {
        let mut shim = Fixture::new(&format!("criu{checkpoints}"), &["sh", "-c", "echo out; cat"]);
        let fifo = shim.path("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        if checkpoints {
            shim.criu_work = shim.path("criu").to_string_lossy().into_owned();
        }
        // Both its ends: the test never waits for the shim.
        let mut client = fs::File::options().read(true).write(true).open(&fifo).unwrap();
        let pid = shim.create(false, &fifo.to_string_lossy(), false);
        let end = fs::read_link(format!("/proc/{pid}/fd/1")).unwrap();
        assert!(end.to_string_lossy().contains(kind), "{}", end.display());
        shim.start("");
        let mut line = [0; 4];
        client.read_exact(&mut line).unwrap();
        assert_eq!(&line, b"out\n");
        assert_eq!(shim.wait(""), 0);
        shim.finish();
    }
}

fn is_reset(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::ConnectionReset
}
