//! Containers of an ordinary user, who has no entry in any database: one id of his own is all he
//! can map, and no cgroup is his.

use crate::harness::runtime;
use crate::needs::{Kind, lacks};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// An id that belongs to nobody.
const USER: u32 = 64_321;

/// A bundle and state directory of the user.
struct Rootless {
    dir: tempfile::TempDir,
    /// Where the user can execute the runtime.
    runtime: PathBuf,
}

impl Rootless {
    fn new(change: impl FnOnce(&mut Value)) -> Self {
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
        chown(dir.path());
        let own = Self { dir, runtime: copy };
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
        let id = USER.to_string();
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]).arg(&self.runtime);
        command.arg("--root").arg(self.dir.path().join("state")).args(args);
        command.current_dir(self.dir.path()).env("XDG_RUNTIME_DIR", self.dir.path());
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
fn chown(path: &Path) {
    let own = format!("{USER}:{USER}");
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
