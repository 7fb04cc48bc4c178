//! The shim without containerd, as deck uses it: started by hand, events to a program, Docker's
//! log, attached clients. Needs root, runc and busybox; without root it says so and does nothing.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use hull_shim::proto::events::topic;
use hull_shim::proto::options::{OPTIONS, Options};
use hull_shim::proto::task::{
    CloseIoRequest, CreateTaskRequest, CreateTaskResponse, DeleteRequest, DeleteResponse,
    ExecProcessRequest, SERVICE_V3, ShutdownRequest, StartRequest, StartResponse, WaitRequest,
    WaitResponse,
};
use hull_shim::proto::{Any, Empty};
use hull_shim::ttrpc::Client;
use prost::Message;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const SHIM: &str = env!("CARGO_BIN_EXE_containerd-shim-hull-v2");
const LIMIT: Option<Duration> = Some(Duration::from_secs(30));

/// A bundle, and the shim that serves it.
struct Fixture {
    dir: tempfile::TempDir,
    id: String,
    client: Client,
}

fn may_run() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        println!("not root: nothing is tested");
    }
    root
}

fn config(args: &[&str]) -> serde_json::Value {
    serde_json::json!({
        "ociVersion": "1.0.2",
        "process": {"args": args, "cwd": "/", "user": {"uid": 0, "gid": 0}, "env": ["PATH=/bin"]},
        "root": {"path": "rootfs"},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["newinstance", "ptmxmode=0666", "mode=0620"]}
        ],
        "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}]}
    })
}

impl Fixture {
    fn new(name: &str, args: &[&str]) -> Self {
        let dir = tempfile::Builder::new().prefix("hull-direct").tempdir().unwrap();
        let id = format!("hull-direct-{name}-{}", std::process::id());
        let bin = dir.path().join("rootfs/bin");
        fs::create_dir_all(&bin).unwrap();
        for point in ["rootfs/proc", "rootfs/dev"] {
            fs::create_dir(dir.path().join(point)).unwrap();
        }
        fs::copy("/bin/busybox", bin.join("busybox")).unwrap();
        for applet in ["sh", "cat", "echo", "sleep", "head", "tr"] {
            symlink("busybox", bin.join(applet)).unwrap();
        }
        let mut config = config(args);
        config["linux"]["cgroupsPath"] = format!("/{id}").into();
        fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
        let publish = dir.path().join("publish");
        fs::write(&publish, format!("#!/bin/sh\necho \"$3\" >>{}/events\n", dir.path().display()))
            .unwrap();
        fs::set_permissions(&publish, fs::Permissions::from_mode(0o755)).unwrap();
        let client = start(dir.path(), &id, &publish);
        Self { dir, id, client }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn call<A: Message, B: Message + Default>(&mut self, method: &str, argument: &A) -> B {
        self.client
            .call(SERVICE_V3, method, argument, LIMIT)
            .unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    fn create(&mut self, stdin: bool, stream: &str, terminal: bool) -> u32 {
        let options = Options {
            binary_name: "/usr/sbin/runc".to_owned(),
            root: self.path("engine").to_string_lossy().into_owned(),
            ..Options::default()
        };
        let request = CreateTaskRequest {
            id: self.id.clone(),
            bundle: self.dir.path().to_string_lossy().into_owned(),
            stdin: if stdin { stream.to_owned() } else { String::new() },
            stdout: stream.to_owned(),
            stderr: if terminal { String::new() } else { stream.to_owned() },
            terminal,
            options: Some(Any::pack(OPTIONS, &options)),
            ..CreateTaskRequest::default()
        };
        self.call::<_, CreateTaskResponse>("Create", &request).pid
    }

    fn start(&mut self, exec_id: &str) {
        let (id, exec_id) = (self.id.clone(), exec_id.to_owned());
        let _: StartResponse = self.call("Start", &StartRequest { id, exec_id });
    }

    fn wait(&mut self, exec_id: &str) -> u32 {
        let (id, exec_id) = (self.id.clone(), exec_id.to_owned());
        self.call::<_, WaitResponse>("Wait", &WaitRequest { id, exec_id }).exit_status
    }

    /// Deletes the container and ends the shim; its events, in order.
    fn finish(mut self) -> Vec<String> {
        let id = self.id.clone();
        let _: DeleteResponse = self.call("Delete", &DeleteRequest { id, exec_id: String::new() });
        let id = self.id.clone();
        let _: Empty = self.call("Shutdown", &ShutdownRequest { id, now: false });
        // The last events may still be on their way; the connection ends after them.
        let request = WaitRequest { id: self.id.clone(), exec_id: String::new() };
        while self.client.call::<_, WaitResponse>(SERVICE_V3, "Wait", &request, LIMIT).is_ok() {}
        let events = self.path("events");
        let text = eventually("the delete event", || {
            fs::read_to_string(&events).ok().filter(|text| text.contains(topic::DELETE))
        });
        text.lines().map(str::to_owned).collect()
    }
}

fn start(bundle: &Path, id: &str, publish: &Path) -> Client {
    let output = Command::new(SHIM)
        .args(["-namespace", "direct", "-id", id, "-address"])
        .arg(bundle.join("none.sock"))
        .arg("-publish-binary")
        .arg(publish)
        .arg("start")
        .env_remove("TTRPC_ADDRESS")
        .current_dir(bundle)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "start: {}", String::from_utf8_lossy(&output.stderr));
    let address = String::from_utf8(output.stdout).unwrap();
    Client::connect(Path::new(address.strip_prefix("unix://").unwrap()), "direct").unwrap()
}

fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

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

#[test]
fn a_client_that_does_not_read_holds_nobody_up() {
    if !may_run() {
        return;
    }
    let script = "head -c 8000000 /dev/zero | tr '\\0' x; echo done";
    let mut shim = Fixture::new("slow", &["sh", "-c", script]);
    let (log, attach) = (shim.path("c-json.log"), shim.path("a.sock"));
    let stream = format!(
        "json-file://{}?max-size=1000000&max-file=2&attach={}",
        log.display(),
        attach.display()
    );
    shim.create(false, &stream, false);
    let _idle = UnixStream::connect(&attach).unwrap();
    shim.start("");
    assert_eq!(shim.wait(""), 0);
    eventually("the last line", || {
        fs::read_to_string(&log).ok().filter(|text| text.contains("done\\n"))
    });
    assert!(fs::metadata(shim.path("c-json.log.1")).unwrap().len() <= 1_000_000);
    assert!(!shim.path("c-json.log.2").exists());
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
        let spec = serde_json::json!({
            "args": ["sh", "-c", "read x; echo got $x"], "cwd": "/", "env": ["PATH=/bin"],
            "user": {"uid": 0, "gid": 0}
        });
        let request = ExecProcessRequest {
            id: shim.id.clone(),
            exec_id: exec_id.clone(),
            terminal,
            stdin: stream.clone(),
            stdout: stream.clone(),
            stderr: String::new(),
            spec: Some(Any { type_url: "process".to_owned(), value: spec.to_string().into() }),
        };
        let _: Empty = shim.call("Exec", &request);
        shim.start(&exec_id);
        let mut client = UnixStream::connect(&attach).unwrap();
        client.write_all(b"word\n").unwrap();
        let mut bytes = Vec::new();
        client.read_to_end(&mut bytes).unwrap();
        let (out, err) = streams(&bytes);
        assert!(out.contains("got word"), "terminal {terminal}: {out:?}");
        assert_eq!(err, "");
        assert_eq!(shim.wait(&exec_id), 0);
        let id = shim.id.clone();
        let _: Empty = shim.call(
            "CloseIO",
            &CloseIoRequest { id: id.clone(), exec_id: exec_id.clone(), stdin: true },
        );
        let _: DeleteResponse = shim.call("Delete", &DeleteRequest { id, exec_id });
        assert!(!attach.exists(), "the socket goes with the process");
    }
    let (id, exec_id) = (shim.id.clone(), String::new());
    let kill = hull_shim::proto::task::KillRequest { id, exec_id, signal: 9, all: false };
    let _: Empty = shim.call("Kill", &kill);
    assert_eq!(shim.wait(""), 137);
    let events = shim.finish();
    assert_eq!(events.iter().filter(|topic| *topic == topic::EXIT).count(), 3);
}
