//! Containers of an ordinary user: of one who has no entry in any database, so that one id of his
//! own is all he can map, and no cgroup is his; and of one with ranges of ids and a manager of his
//! own, where the machine has such an account (`HULL_TEST_USER` is its id).

use crate::harness::{runtime, skip};
use crate::needs::{Kind, lacks};
use crate::notified::{profile, refusing};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// An id that belongs to nobody.
const USER: u32 = 64_321;

/// A bundle and state directory of the user.
struct Rootless {
    dir: tempfile::TempDir,
    /// Where the user can execute the runtime.
    runtime: PathBuf,
    /// The user.
    id: u32,
    /// The directory of the user's manager; none: one without any.
    session: Option<PathBuf>,
}

impl Rootless {
    fn new(change: impl FnOnce(&mut Value)) -> Self {
        Self::of(USER, None, change)
    }

    /// Of the account of the machine, if it has one.
    fn of_account(change: impl FnOnce(&mut Value)) -> Option<Self> {
        let id = std::env::var("HULL_TEST_USER").ok().and_then(|id| id.parse::<u32>().ok());
        let Some(id) = id else {
            skip("HULL_TEST_USER names no account with ranges of ids");
            return None;
        };
        let session = PathBuf::from(format!("/run/user/{id}"));
        Some(Self::of(id, Some(session), change))
    }

    fn of(id: u32, session: Option<PathBuf>, change: impl FnOnce(&mut Value)) -> Self {
        let dir = tempfile::Builder::new().prefix("hull-rl-").tempdir().unwrap();
        let copy = dir.path().join("runtime");
        fs::copy(runtime(), &copy).unwrap();
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
        let rootfs = dir.path().join("rootfs");
        for name in ["bin", "dev", "proc", "sys", "tmp", "etc"] {
            fs::create_dir_all(rootfs.join(name)).unwrap();
        }
        fs::copy("/bin/busybox", rootfs.join("bin/busybox")).unwrap();
        for applet in ["sh", "id", "cat", "sleep", "true", "mount", "touch", "stat"] {
            std::os::unix::fs::symlink("busybox", rootfs.join("bin").join(applet)).unwrap();
        }
        chown(dir.path(), id);
        let own = Self { dir, runtime: copy, id, session };
        own.call(&["spec", "--rootless"]).ok();
        let config = own.dir.path().join("config.json");
        let mut spec: Value = serde_json::from_slice(&fs::read(&config).unwrap()).unwrap();
        spec["process"]["terminal"] = json!(false);
        spec["root"]["readonly"] = json!(false);
        change(&mut spec);
        fs::write(&config, spec.to_string()).unwrap();
        own
    }

    /// Calls the runtime as the user.
    fn call(&self, args: &[&str]) -> Outcome {
        let runtime = self.runtime.to_str().unwrap();
        let state = self.dir.path().join("state");
        self.command(&[&[runtime, "--root", state.to_str().unwrap()], args].concat())
    }

    /// Runs a command as the user.
    fn command(&self, args: &[&str]) -> Outcome {
        let id = self.id.to_string();
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]).args(args);
        let session = self.session.as_deref().unwrap_or(self.dir.path());
        command.current_dir(self.dir.path()).env("XDG_RUNTIME_DIR", session);
        command.env_remove("DBUS_SESSION_BUS_ADDRESS");
        // A file, not a pipe: a container in the background keeps it open.
        let file = |name| fs::File::create(self.dir.path().join(name)).unwrap();
        let status = command.stdout(file("out")).stderr(file("err")).status().unwrap();
        let read = |name| fs::read(self.dir.path().join(name)).unwrap();
        Outcome(Output { status, stdout: read("out"), stderr: read("err") })
    }
}

impl Drop for Rootless {
    fn drop(&mut self) {
        self.call(&["delete", "--force", "rl"]);
    }
}

/// Gives everything below `path` to the user.
fn chown(path: &Path, id: u32) {
    let own = format!("{id}:{id}");
    assert!(Command::new("chown").arg("-Rh").arg(own).arg(path).status().unwrap().success());
}

struct Outcome(Output);

impl Outcome {
    #[track_caller]
    fn ok(self) -> String {
        assert!(self.0.status.success(), "{}", String::from_utf8_lossy(&self.0.stderr));
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    #[track_caller]
    fn fails(self) -> String {
        assert!(!self.0.status.success());
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }
}

fn sh(script: &str) -> impl FnOnce(&mut Value) {
    let args = json!(["sh", "-c", script]);
    move |spec| spec["process"]["args"] = args
}

#[test]
fn root_inside_is_the_user_outside() {
    let c =
        Rootless::new(sh("id -u; cat /proc/self/uid_map; touch /tmp/made; cat /sys/kernel/mm/x"));
    let out = String::from_utf8_lossy(&c.call(&["run", "rl"]).0.stdout).into_owned();
    let words: Vec<&str> = out.split_whitespace().collect();
    assert_eq!(words, ["0", "0", &USER.to_string(), "1"]);
    assert_eq!(fs::metadata(c.dir.path().join("rootfs/tmp/made")).unwrap().uid(), USER);
    assert!(!c.dir.path().join("state/rl").exists());
}

#[test]
fn the_whole_life_of_a_container() {
    let c = Rootless::new(|spec| spec["process"]["args"] = json!(["sleep", "100"]));
    c.call(&["create", "rl"]).ok();
    let state: Value = serde_json::from_str(&c.call(&["state", "rl"]).ok()).unwrap();
    assert_eq!(state["status"], "created");
    c.call(&["start", "rl"]).ok();
    assert_eq!(c.call(&["exec", "rl", "id", "-u"]).ok(), "0\n");
    assert_eq!(c.call(&["exec", "--cwd", "/tmp", "rl", "sh", "-c", "pwd; exit 0"]).ok(), "/tmp\n");
    assert!(c.call(&["list", "-q"]).ok().contains("rl"));
    c.call(&["kill", "rl", "KILL"]).ok();
    c.call(&["delete", "--force", "rl"]).ok();
    c.call(&["state", "rl"]).fails();
}

#[test]
fn limits_without_a_cgroup_are_refused() {
    lacks!(Kind::Crun(..) => "ignores limits it can't set");
    let c = Rootless::new(|spec| {
        spec["linux"]["resources"]["memory"] = json!({"limit": 50_000_000});
    });
    assert!(c.call(&["run", "rl"]).fails().contains("cgroup"));
    assert!(!c.dir.path().join("state/rl").exists());
}

/// The listener comes without the rights to look into init (pidfd_getfd(2)).
#[test]
fn a_seccomp_agent_decides_for_program_and_exec() {
    lacks!(
        Kind::Runc(..) => "some can't get the listener",
        Kind::Crun(..) => "needs its own handler for it",
    );
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("agent");
    let agent = UnixListener::bind(&socket).unwrap();
    chown(place.path(), USER);
    let deciding = refusing(agent.try_clone().unwrap());
    let c = Rootless::new(|spec| {
        sh("busybox mkdir /tmp/made; sleep 100")(spec);
        spec["linux"]["seccomp"] = profile(socket.to_str().unwrap());
    });
    c.call(&["run", "--detach", "rl"]).ok();
    assert_eq!(deciding.join().unwrap()["state"]["id"], "rl");
    let deciding = refusing(agent);
    let said = c.call(&["exec", "rl", "busybox", "mkdir", "/tmp/too"]).fails();
    assert!(said.contains("Invalid cross-device link"), "{said}");
    assert_eq!(deciding.join().unwrap()["state"]["status"], "running");
    for name in ["made", "too"] {
        assert!(!c.dir.path().join("rootfs/tmp").join(name).exists());
    }
}

#[test]
fn ids_the_user_does_not_own_are_refused() {
    let c = Rootless::new(|spec| {
        spec["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": 0, "size": 10}]);
    });
    c.call(&["run", "rl"]).fails();
    assert!(!c.dir.path().join("state/rl").exists());
}

#[test]
fn a_container_needs_a_user_namespace() {
    lacks!(Kind::Crun(..) => "makes a user namespace of its own accord");
    let c = Rootless::new(|spec| {
        let namespaces = spec["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|namespace| namespace["type"] != "user");
        for key in ["uidMappings", "gidMappings"] {
            spec["linux"].as_object_mut().unwrap().remove(key);
        }
    });
    c.call(&["run", "rl"]).fails();
    assert!(!c.dir.path().join("state/rl").exists());
}

/// The ranges of the account, behind its own id.
fn ranges(spec: &mut Value) {
    let file = |path| fs::read_to_string(path).unwrap();
    let first = |text: String| -> u32 {
        let line = text.lines().next().unwrap().to_owned();
        line.split(':').nth(1).unwrap().parse().unwrap()
    };
    let own = spec["linux"]["uidMappings"][0]["hostID"].clone();
    for (key, path) in [("uidMappings", "/etc/subuid"), ("gidMappings", "/etc/subgid")] {
        spec["linux"][key] = json!([
            {"containerID": 0, "hostID": own, "size": 1},
            {"containerID": 1, "hostID": first(file(path)), "size": 65535},
        ]);
    }
}

#[test]
fn ranges_of_ids_are_mapped_by_the_helpers() {
    let c = Rootless::of_account(|spec| {
        ranges(spec);
        sh("touch /tmp/a; busybox chown 5:6 /tmp/a; sleep 100")(spec);
        let caps = json!(["CAP_CHOWN", "CAP_SETUID", "CAP_SETGID"]);
        for set in ["bounding", "effective", "permitted"] {
            spec["process"]["capabilities"][set] = caps.clone();
        }
    });
    let Some(c) = c else { return };
    c.call(&["run", "--detach", "rl"]).ok();
    crate::harness::eventually("the file is another user's", || {
        fs::metadata(c.dir.path().join("rootfs/tmp/a")).is_ok_and(|file| file.uid() > 65_536)
    });
    assert_eq!(c.call(&["exec", "--user", "5:6", "rl", "id", "-u"]).ok(), "5\n");
    c.call(&["delete", "--force", "rl"]).ok();
}

#[test]
fn the_users_manager_makes_the_cgroup() {
    let c = Rootless::of_account(|spec| {
        spec["linux"]["cgroupsPath"] = json!("user.slice:hull-rl:one");
        spec["linux"]["resources"] = json!({"memory": {"limit": 67_108_864}});
        spec["process"]["args"] = json!(["sleep", "100"]);
        namespace(spec, "cgroup");
    });
    let Some(c) = c else { return };
    c.call(&["--systemd-cgroup", "run", "--detach", "rl"]).ok();
    let state: Value = serde_json::from_str(&c.call(&["state", "rl"]).ok()).unwrap();
    let of = |pid: &Value| fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let cgroup = of(&state["pid"]).trim().trim_start_matches("0::").to_owned();
    assert!(cgroup.ends_with("/user.slice/hull-rl-one.scope"), "{cgroup}");
    let directory = format!("/sys/fs/cgroup{cgroup}");
    let limit = fs::read_to_string(format!("{directory}/memory.max")).unwrap();
    assert_eq!(limit.trim(), "67108864");
    assert_eq!(c.call(&["exec", "rl", "cat", "/proc/self/cgroup"]).ok(), "0::/\n");
    let update = ["--systemd-cgroup", "update", "--memory", "48m", "rl"];
    c.call(&update).ok();
    let limit = fs::read_to_string(format!("{directory}/memory.max")).unwrap();
    assert_eq!(limit.trim(), "50331648");
    c.call(&["pause", "rl"]).ok();
    c.call(&["resume", "rl"]).ok();
    c.call(&["--systemd-cgroup", "delete", "--force", "rl"]).ok();
    assert!(!Path::new(&directory).exists());
}

#[test]
fn a_delegated_cgroup_is_used_without_a_manager() {
    let c = Rootless::of_account(|spec| {
        spec["linux"]["cgroupsPath"] = json!("hull-rl-delegated");
        spec["linux"]["resources"] = json!({"pids": {"limit": 17}});
        sh("cat /sys/fs/cgroup/pids.max")(spec);
        namespace(spec, "cgroup");
        let mounts = spec["mounts"].as_array_mut().unwrap();
        mounts.retain(|mount| mount["type"] != "cgroup" && mount["destination"] != "/sys");
        mounts.push(json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"}));
    });
    let Some(c) = c else { return };
    let runtime = c.runtime.to_str().unwrap().to_owned();
    let delegated = ["systemd-run", "--user", "--scope", "--quiet", "-p", "Delegate=yes"];
    let run = [&*runtime, "--root", "state", "run", "rl"];
    assert_eq!(c.command(&[&delegated[..], &run].concat()).ok().trim(), "17");
}

/// Adds a namespace to those of the configuration.
fn namespace(spec: &mut Value, kind: &str) {
    let namespaces = spec["linux"]["namespaces"].as_array_mut().unwrap();
    if !namespaces.iter().any(|namespace| namespace["type"] == kind) {
        namespaces.push(json!({"type": kind}));
    }
}

/// Who is root of a user namespace has a pid namespace that belongs to one above: it can be left, and
/// not entered again.
#[test]
fn exec_by_the_root_of_a_user_namespace() {
    let user = Rootless::new(|s| {
        let namespaces = s["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|it| it["type"] != "user");
        s["linux"].as_object_mut().unwrap().retain(|key, _| !key.ends_with("idMappings"));
        s["process"]["args"] = json!(["sleep", "1000"]);
    });
    let hull =
        format!("{} --root {}", user.runtime.display(), user.dir.path().join("in").display());
    let script = format!(
        "{hull} run --detach rl </dev/null >/dev/null 2>&1
         for _ in $(seq 20); do {hull} exec rl sh -c 'echo $$ of $(id -u)' || break; done
         {hull} delete --force rl"
    );
    let unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", &script];
    let out = user.command(&unshare).ok();
    assert_eq!(out.lines().count(), 20, "{out}");
    for line in out.lines() {
        let (pid, of) = line.split_once(' ').unwrap();
        assert_eq!(of, "of 0");
        assert_ne!(pid, "1");
        assert!(pid.parse::<u32>().unwrap() < 1000, "{pid} is no pid of the container's");
    }
}
