//! Drives a runtime's command line: builds bundles, runs commands with a time limit, and checks
//! that every container left nothing behind.
//!
//! The runtime is the one `HULL_TEST_RUNTIME` names, or the hull just built. Everything a test
//! makes lies in its own temporary directory (bundle, root file system, state root) and its own
//! cgroup, so tests run side by side.

use crate::needs::{Kind, kind};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long any single command may take: hangs become failures.
const LIMIT: Duration = Duration::from_secs(60);

/// What a command answered.
#[derive(Debug)]
pub struct Outcome {
    /// Exit status; 128+n when signal n ended the command.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Outcome {
    /// Standard output of a command that must have succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "stdout: {}\nstderr: {}", self.out, self.err);
        self.out
    }

    /// Standard error of a command that must have failed by itself, not by a signal.
    #[track_caller]
    pub fn fails(self) -> String {
        assert!(self.code != 0, "succeeded with stdout: {}\nstderr: {}", self.out, self.err);
        assert!(self.code <= 128 || self.code == 255, "code {}: {}", self.code, self.err);
        assert!(!self.err.contains("panicked"), "{}", self.err);
        self.err
    }

    /// Standard output of a command that must have ended with `code`.
    #[track_caller]
    pub fn exits(self, code: i32) -> String {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.out, self.err);
        self.out
    }
}

/// The exit code a shell would report.
pub fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// The runtime under test.
pub fn runtime() -> PathBuf {
    std::env::var_os("HULL_TEST_RUNTIME")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_hull")), PathBuf::from)
}

/// Polls until `check` holds.
#[track_caller]
pub fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !check() {
        assert!(Instant::now() < end, "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The names busybox answers to, asked once.
fn applets() -> &'static [String] {
    static APPLETS: OnceLock<Vec<String>> = OnceLock::new();
    APPLETS.get_or_init(|| {
        let list = Command::new("/bin/busybox").arg("--list").output().expect("busybox");
        String::from_utf8_lossy(&list.stdout).lines().map(str::to_owned).collect()
    })
}

/// Makes a small root file system from the host's static busybox.
fn make_rootfs(rootfs: &Path) {
    for dir in ["bin", "dev", "etc", "home", "proc", "root", "run", "sys", "tmp", "usr/bin", "var"]
    {
        fs::create_dir_all(rootfs.join(dir)).unwrap();
    }
    fs::set_permissions(rootfs.join("tmp"), Permissions::from_mode(0o1777)).unwrap();
    fs::copy("/bin/busybox", rootfs.join("bin/busybox")).unwrap();
    for applet in applets().iter().filter(|name| *name != "busybox") {
        symlink("/bin/busybox", rootfs.join("bin").join(applet)).unwrap();
    }
    let passwd = "root:x:0:0:root:/root:/bin/sh\nsailor:x:1000:1000::/home:/bin/sh\n";
    fs::write(rootfs.join("etc/passwd"), passwd).unwrap();
    fs::write(rootfs.join("etc/group"), "root:x:0:\nsailor:x:1000:\n").unwrap();
}

/// The configuration every test starts from: what `spec` of the field's runtimes writes, without
/// a terminal and with a writable root.
fn base_spec(id: &str) -> Value {
    let caps = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": {"uid": 0, "gid": 0},
            "args": ["true"],
            "env": ["PATH=/bin:/usr/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {"bounding": caps, "effective": caps, "permitted": caps},
            "noNewPrivileges": true,
        },
        "root": {"path": "rootfs", "readonly": false},
        "hostname": "hull-test",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
             "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs",
             "options": ["nosuid", "noexec", "nodev", "ro"]},
        ],
        "linux": {
            "cgroupsPath": cgroups_path(id),
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "namespaces": [
                {"type": "pid"}, {"type": "network"}, {"type": "ipc"},
                {"type": "uts"}, {"type": "mount"},
            ],
        },
    })
}

/// Adds a mount at the end of the list.
pub fn mount(spec: &mut Value, destination: &str, typ: &str, source: &str, options: &[&str]) {
    spec["mounts"].as_array_mut().unwrap().push(json!({
        "destination": destination, "type": typ, "source": source, "options": options,
    }));
}

/// Adds or replaces a namespace; `path` joins one that exists.
pub fn namespace(spec: &mut Value, typ: &str, path: Option<&str>) {
    drop_namespace(spec, typ);
    let entry =
        path.map_or_else(|| json!({"type": typ}), |path| json!({"type": typ, "path": path}));
    spec["linux"]["namespaces"].as_array_mut().unwrap().push(entry);
}

/// Takes a namespace off the list, so that the container stays in the runtime's.
pub fn drop_namespace(spec: &mut Value, typ: &str) {
    spec["linux"]["namespaces"].as_array_mut().unwrap().retain(|entry| entry["type"] != typ);
}

/// One container: its bundle, its state root and its cgroup.
pub struct Container {
    dir: TempDir,
    /// The container's id, unique on the machine.
    pub id: String,
    /// config.json, written by every `run` and `create`.
    pub spec: Value,
    calls: Cell<u32>,
    last: RefCell<PathBuf>,
    output: RefCell<PathBuf>,
}

impl Container {
    /// A container that will run `args`.
    pub fn new(args: &[&str]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        if !nix::unistd::geteuid().is_root() {
            skip("the integration tests make containers and need root: none was run");
            std::process::exit(0);
        }
        let serial = NEXT.fetch_add(1, Ordering::Relaxed);
        let id = format!("t{}-{serial}", std::process::id());
        let dir = tempfile::Builder::new().prefix("hull-test-").tempdir().unwrap();
        // The root user of a user namespace must be able to reach the root file system.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        make_rootfs(&dir.path().join("rootfs"));
        let mut spec = base_spec(&id);
        spec["process"]["args"] = json!(args);
        let (last, output) = (RefCell::default(), RefCell::default());
        Self { dir, id, spec, calls: Cell::new(0), last, output }
    }

    /// A container that will run a shell script.
    pub fn sh(script: &str) -> Self {
        Self::new(&["sh", "-c", script])
    }

    /// A container that stays until it is killed.
    pub fn sleeping() -> Self {
        Self::new(&["sleep", "1000"])
    }

    /// Changes the configuration.
    pub fn edit(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.spec);
        self
    }

    /// A path in the bundle directory.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    /// A path in the bundle directory, as text for config.json and command lines.
    pub fn text(&self, relative: &str) -> String {
        self.path(relative).to_str().unwrap().to_owned()
    }

    /// A path in the root file system, seen from the host.
    pub fn rootfs(&self, relative: &str) -> PathBuf {
        self.path("rootfs").join(relative)
    }

    /// Writes a file into the bundle directory.
    pub fn write(&self, relative: &str, content: &str) -> PathBuf {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Writes a shell script that can be executed and returns its path as text.
    pub fn script(&self, relative: &str, body: &str) -> String {
        let path = self.write(relative, &format!("#!/bin/sh\n{body}\n"));
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Writes config.json.
    pub fn save(&self) {
        fs::write(self.path("config.json"), self.spec.to_string()).unwrap();
    }

    /// Waits for a command, its output in files: a container may keep the descriptors.
    #[track_caller]
    pub fn wait(&self, mut command: Command, input: &str) -> Outcome {
        let call = self.calls.replace(self.calls.get() + 1);
        let (out, err) = (self.path(&format!("out.{call}")), self.path(&format!("err.{call}")));
        let given = self.write(&format!("in.{call}"), input);
        command.stdin(File::open(given).unwrap());
        command.stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
        let mut child = command.spawn().unwrap();
        let end = Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > end {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("{command:?} hangs: {:?}", fs::read_to_string(&err));
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        self.last.replace(out.clone());
        let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        Outcome { code: code(status), out: read(&out), err: read(&err) }
    }

    /// A command line of the runtime with this container's state root.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(runtime());
        if systemd() {
            command.arg("--systemd-cgroup");
        }
        command.arg("--root").arg(self.path("state")).args(args).current_dir(self.dir.path());
        // The caller's own socket activation must not reach the runtimes under test.
        for name in ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET"] {
            command.env_remove(name);
        }
        command
    }

    /// Calls the runtime.
    #[track_caller]
    pub fn call(&self, args: &[&str]) -> Outcome {
        self.wait(self.command(args), "")
    }

    /// Runs a host shell script in which `$rt` calls the runtime and `$id` names the container.
    #[track_caller]
    pub fn host_sh(&self, script: &str) -> Outcome {
        self.save();
        let mut command = Command::new("sh");
        let driver = if systemd() { "--systemd-cgroup" } else { "" };
        let runtime = format!("{} {driver} --root {}", runtime().display(), self.text("state"));
        command.args(["-c", script]).env("rt", runtime).env("id", &self.id);
        command.current_dir(self.dir.path());
        self.wait(command, "")
    }

    /// `run` in the foreground with options.
    #[track_caller]
    pub fn run_with(&self, options: &[&str]) -> Outcome {
        self.save();
        let outcome = self.call(&[&["run"], options, &[&self.id]].concat());
        self.output.replace(self.last.borrow().clone());
        outcome
    }

    /// `run` in the foreground.
    #[track_caller]
    pub fn run(&self) -> Outcome {
        self.run_with(&[])
    }

    /// `create` with options.
    #[track_caller]
    pub fn create_with(&self, options: &[&str]) -> Outcome {
        self.save();
        let outcome = self.call(&[&["create"], options, &[&self.id]].concat());
        self.output.replace(self.last.borrow().clone());
        outcome
    }

    /// `create`, which must succeed.
    #[track_caller]
    pub fn create(&self) {
        self.create_with(&[]).ok();
    }

    /// `start`, which must succeed; the program runs after it, if it has not ended already.
    #[track_caller]
    pub fn start(&self) {
        self.call(&["start", &self.id]).ok();
        if matches!(kind(), Kind::Runc(..)) {
            // runc does not wait for the execve(2), amid which cgroup v1 freezes nobody for good.
            let comm = format!("/proc/{}/comm", self.pid());
            let waits = || fs::read(&comm).is_ok_and(|name| name.starts_with(b"runc:["));
            eventually("the program", || !waits());
        }
    }

    /// `create` and `start`.
    #[track_caller]
    pub fn up(self) -> Self {
        self.create();
        self.start();
        self
    }

    /// What the container itself has printed since `create` or `run`.
    pub fn output(&self) -> String {
        fs::read_to_string(&*self.output.borrow()).unwrap()
    }

    /// `kill`.
    #[track_caller]
    pub fn kill(&self, signal: &str) -> Outcome {
        self.call(&["kill", &self.id, signal])
    }

    /// `delete`.
    #[track_caller]
    pub fn delete(&self, options: &[&str]) -> Outcome {
        self.call(&[&["delete"], options, &[&self.id]].concat())
    }

    /// `exec` with options.
    #[track_caller]
    pub fn exec_with(&self, options: &[&str], args: &[&str]) -> Outcome {
        self.call(&[&["exec"], options, &[&self.id], args].concat())
    }

    /// `exec` of a shell script.
    #[track_caller]
    pub fn exec(&self, script: &str) -> Outcome {
        self.exec_with(&[], &["sh", "-c", script])
    }

    /// The answer of `state`.
    #[track_caller]
    pub fn state(&self) -> Value {
        serde_json::from_str(&self.call(&["state", &self.id]).ok()).unwrap()
    }

    /// The status `state` reports.
    #[track_caller]
    pub fn status(&self) -> String {
        self.state()["status"].as_str().unwrap().to_owned()
    }

    /// The pid of the container's first process.
    #[track_caller]
    pub fn pid(&self) -> u32 {
        u32::try_from(self.state()["pid"].as_u64().unwrap()).unwrap()
    }

    /// Waits until the container has stopped.
    #[track_caller]
    pub fn stopped(&self) {
        eventually("stopped", || self.status() == "stopped");
    }

    /// This container's directory in every hierarchy of the host.
    pub fn cgroups(&self) -> Vec<PathBuf> {
        let path = cgroup_place(&self.id);
        let mut found = vec![Path::new("/sys/fs/cgroup").join(&path)];
        for entry in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            found.push(entry.path().join(&path));
        }
        found.retain(|path| path.is_dir());
        found
    }

    /// A value in the container's cgroup: `v1` is controller and file, `v2` the unified file.
    #[track_caller]
    pub fn cgroup(&self, v1: &str, v2: &str) -> String {
        let name = cgroup_place(&self.id);
        let path = if unified() {
            Path::new("/sys/fs/cgroup").join(name).join(v2)
        } else {
            let (controller, file) = v1.split_once('/').unwrap();
            Path::new("/sys/fs/cgroup").join(controller).join(name).join(file)
        };
        fs::read_to_string(&path)
            .unwrap_or_else(|e| panic!("{}: {e}", path.display()))
            .trim()
            .to_owned()
    }

    /// What this container has left on the host.
    pub fn leftovers(&self) -> Vec<String> {
        let mut left: Vec<String> =
            self.cgroups().iter().map(|path| path.display().to_string()).collect();
        if matches!(kind(), Kind::Crun(..)) {
            // crun makes a directory in the unified hierarchy of a hybrid host and forgets it.
            left.retain(|path| !path.starts_with("/sys/fs/cgroup/unified/"));
        }
        for entry in fs::read_dir(self.path("state")).into_iter().flatten().flatten() {
            // Names that no container id can have are caches.
            if !entry.file_name().to_string_lossy().starts_with(['.', ',']) {
                left.push(entry.path().display().to_string());
            }
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let dir = self.dir.path().to_str().unwrap();
        left.extend(mounts.lines().filter(|line| line.contains(dir)).map(str::to_owned));
        left
    }

    /// Ends every process in the container's cgroups; the last resort of a failed test.
    fn sweep(&self) {
        for cgroup in self.cgroups() {
            for pid in fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default().lines() {
                let pid = nix::unistd::Pid::from_raw(pid.parse().unwrap());
                let _ = nix::sys::signal::kill(pid, nix::sys::signal::SIGKILL);
            }
            for _ in 0..200 {
                if fs::remove_dir(&cgroup).is_ok() || !cgroup.exists() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let dir = self.dir.path().to_str().unwrap();
        for point in mounts.lines().rev().filter_map(|line| line.split(' ').nth(4)) {
            if point.starts_with(dir) {
                let _ = nix::mount::umount2(point, nix::mount::MntFlags::MNT_DETACH);
            }
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let mut command = self.command(&["delete", "--force", &self.id]);
        let _ = command.stdin(Stdio::null()).output();
        // The kernel empties a cgroup a moment after the last process was waited for.
        let end = Instant::now() + Duration::from_secs(30);
        while !self.leftovers().is_empty() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
        let left = self.leftovers();
        self.sweep();
        if !std::thread::panicking() {
            assert!(left.is_empty(), "left behind after delete --force: {left:#?}");
        }
    }
}

/// Is /sys/fs/cgroup the unified hierarchy?
pub fn unified() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// Cgroups are systemd's to make in this run: `HULL_TEST_SYSTEMD` says so.
pub fn systemd() -> bool {
    std::env::var_os("HULL_TEST_SYSTEMD").is_some()
}

/// `linux.cgroupsPath` of container `id`.
pub fn cgroups_path(id: &str) -> String {
    if systemd() { format!("system.slice:hull-test:{id}") } else { format!("/hull-test-{id}") }
}

/// Where that is, below a hierarchy's mount point.
fn cgroup_place(id: &str) -> String {
    if systemd() { format!("system.slice/hull-test-{id}.scope") } else { format!("hull-test-{id}") }
}

/// Says on the real standard error why a test does nothing; libtest would hide `eprintln!`.
pub fn skip(reason: &str) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("test");
    let _ = writeln!(std::io::stderr(), "skipped {name}: {reason}");
}
