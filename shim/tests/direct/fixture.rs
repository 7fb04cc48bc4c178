//! A bundle, the shim that serves it, and the calls tests make.

use hull_shim::proto::events::topic;
use hull_shim::proto::options::{OPTIONS, Options};
use hull_shim::proto::task::{
    ConnectRequest, ConnectResponse, CreateTaskRequest, CreateTaskResponse, DeleteRequest,
    DeleteResponse, ExecProcessRequest, KillRequest, SERVICE_V3, ShutdownRequest, StartRequest,
    StartResponse, WaitRequest, WaitResponse,
};
use hull_shim::proto::{Any, Empty};
use hull_shim::ttrpc::Client;
use prost::Message;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const SHIM: &str = env!("CARGO_BIN_EXE_containerd-shim-hull-v2");
/// How long anything may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A bundle, and the shim that serves it.
pub struct Fixture {
    dir: tempfile::TempDir,
    pub id: String,
    client: Client,
    pub engine: PathBuf,
    /// The option of that name.
    pub criu_work: String,
    /// The shim, until it is told to end.
    shim: Option<u32>,
}

/// The engine that is tested with.
pub fn engine() -> PathBuf {
    std::env::var_os("HULL_SHIM_ENGINE").map_or_else(|| "/usr/sbin/runc".into(), PathBuf::from)
}

/// Whether systemd is to make the control groups.
pub fn systemd() -> bool {
    std::env::var_os("HULL_TEST_SYSTEMD").is_some()
}

/// A script.
pub fn executable(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

pub fn may_run() -> bool {
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
    /// A container that is not created yet, and its shim.
    pub fn new(name: &str, args: &[&str]) -> Self {
        Self::limited(name, args, &serde_json::json!({}))
    }

    /// The same, with `linux.resources`.
    pub fn limited(name: &str, args: &[&str], resources: &serde_json::Value) -> Self {
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
        let path =
            if systemd() { format!("hull-direct.slice:hull:{id}") } else { format!("/{id}") };
        config["linux"]["cgroupsPath"] = path.into();
        config["linux"]["resources"] = resources.clone();
        fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
        let publish = dir.path().join("publish");
        executable(
            &publish,
            &format!("#!/bin/sh\necho \"$3\" >>{}/events\n", dir.path().display()),
        );
        let mut client = start(dir.path(), &id, &publish);
        let shim = Some(pid_of_shim(&mut client, &id));
        Self { dir, id, client, engine: engine(), criu_work: String::new(), shim }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn call<A: Message, B: Message + Default>(&mut self, method: &str, argument: &A) -> B {
        self.client
            .call(SERVICE_V3, method, argument, Some(LIMIT))
            .unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    pub fn create(&mut self, stdin: bool, stream: &str, terminal: bool) -> u32 {
        let options = Options {
            binary_name: self.engine.to_string_lossy().into_owned(),
            root: self.path("engine").to_string_lossy().into_owned(),
            systemd_cgroup: systemd(),
            criu_work_path: self.criu_work.clone(),
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

    pub fn start(&mut self, exec_id: &str) {
        let (id, exec_id) = (self.id.clone(), exec_id.to_owned());
        let _: StartResponse = self.call("Start", &StartRequest { id, exec_id });
    }

    pub fn wait(&mut self, exec_id: &str) -> u32 {
        let (id, exec_id) = (self.id.clone(), exec_id.to_owned());
        self.call::<_, WaitResponse>("Wait", &WaitRequest { id, exec_id }).exit_status
    }

    /// Adds an exec whose outputs have the same name, and its input if it has one.
    pub fn exec(
        &mut self,
        exec_id: &str,
        args: &[&str],
        stream: &str,
        stdin: bool,
        terminal: bool,
    ) {
        let spec = serde_json::json!({
            "args": args, "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}
        });
        let request = ExecProcessRequest {
            id: self.id.clone(),
            exec_id: exec_id.to_owned(),
            terminal,
            stdin: if stdin { stream.to_owned() } else { String::new() },
            stdout: stream.to_owned(),
            stderr: String::new(),
            spec: Some(Any { type_url: "process".to_owned(), value: spec.to_string().into() }),
        };
        let _: Empty = self.call("Exec", &request);
    }

    /// The pid of the server.
    pub fn pid(&self) -> u32 {
        self.shim.unwrap()
    }

    pub fn kill(&mut self) {
        let (id, exec_id) = (self.id.clone(), String::new());
        let _: Empty = self.call("Kill", &KillRequest { id, exec_id, signal: 9, all: false });
        assert_eq!(self.wait(""), 137);
    }

    pub fn delete(&mut self, exec_id: &str) {
        let (id, exec_id) = (self.id.clone(), exec_id.to_owned());
        let _: DeleteResponse = self.call("Delete", &DeleteRequest { id, exec_id });
    }

    /// Starts another shim for the same container.
    pub fn again(&mut self) {
        fs::remove_file(self.path("events")).unwrap();
        self.client = start(self.dir.path(), &self.id, &self.path("publish"));
        self.shim = Some(pid_of_shim(&mut self.client, &self.id));
    }

    /// Deletes the container and ends the shim; its events, in order.
    pub fn finish(&mut self) -> Vec<String> {
        self.delete("");
        self.shim = None;
        let id = self.id.clone();
        let _: Empty = self.call("Shutdown", &ShutdownRequest { id, now: false });
        // The last events may still be on their way; the connection ends after them.
        let request = WaitRequest { id: self.id.clone(), exec_id: String::new() };
        while self.client.call::<_, WaitResponse>(SERVICE_V3, "Wait", &request, Some(LIMIT)).is_ok()
        {
        }
        let events = self.path("events");
        let text = eventually("the delete event", || {
            fs::read_to_string(&events).ok().filter(|text| text.contains(topic::DELETE))
        });
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Fixture {
    /// A test that failed leaves nothing behind.
    fn drop(&mut self) {
        let Some(pid) = self.shim else { return };
        let ended = Command::new("kill").args(["-9", &pid.to_string()]).status();
        let deleted = Command::new(SHIM)
            .args(["-namespace", "direct", "-id", &self.id, "-address", "none", "-bundle"])
            .arg(self.dir.path())
            .arg("delete")
            .stdout(Stdio::null())
            .status();
        println!("clean-up of {}: {ended:?}, {deleted:?}", self.id);
    }
}

fn pid_of_shim(client: &mut Client, id: &str) -> u32 {
    let request = ConnectRequest { id: id.to_owned() };
    client
        .call::<_, ConnectResponse>(SERVICE_V3, "Connect", &request, Some(LIMIT))
        .unwrap()
        .shim_pid
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

/// Waits for something to be there.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
