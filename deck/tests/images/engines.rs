//! What Docker and Podman save is loaded, and what deck saves they load: each compression, the same
//! image id.

use crate::archives::load;
use crate::fixture::{docker_archive, layers};
use crate::harness::{Home, deck, good};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A dockerd of its own: in a mount namespace, with directories beside the store's. It makes no
/// network and no rules.
pub struct Dockerd {
    pub child: Child,
    socket: PathBuf,
}

impl Dockerd {
    pub fn start(dir: &Path) -> Self {
        let dir = dir.join("dockerd");
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("config.json"), "{}").unwrap();
        let socket = dir.join("s");
        let script = "mount -t tmpfs none /run && mkdir /run/lock && exec dockerd --host unix://$1/s --data-root $1/d --exec-root $1/x \
            --pidfile $1/pid --config-file $1/config.json --bridge none --iptables=false \
            --ip6tables=false --ip-forward=false --exec-opt native.cgroupdriver=cgroupfs --log-level error";
        let child = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"])
            .arg(&dir)
            .stdout(Stdio::null())
            .stderr(fs::File::create(dir.join("log")).unwrap())
            .spawn()
            .unwrap();
        let started = Self { child, socket };
        for _ in 0..1200 {
            if started.docker(&["version"]).output().unwrap().status.success() {
                return started;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("dockerd: {}", fs::read_to_string(dir.join("log")).unwrap());
    }

    pub fn docker(&self, args: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.args(["--host", &format!("unix://{}", self.socket.display())]).args(args);
        command.stdin(Stdio::null());
        command
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        // SIGTERM, so that it ends its containerd.
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

/// A podman with directories of its own; not with the host's overlay options: the store may lie on
/// any file system.
fn podman(home: &Home, args: &[&str]) -> Command {
    let mut command = podman_in(home.dir.path(), "vfs");
    command.args(args);
    command
}

pub fn podman_in(dir: &Path, driver: &str) -> Command {
    let dir = dir.join("podman");
    let mut command = Command::new("podman");
    for (flag, name) in [("--root", "p"), ("--runroot", "r"), ("--tmpdir", "t")] {
        command.arg(flag).arg(dir.join(name));
    }
    command.args(["--cgroup-manager", "cgroupfs", "--events-backend", "file"]);
    command.args(["--storage-driver", driver]).stdin(Stdio::null());
    command
}

/// The same archive, compressed by every tool.
fn compressed(plain: &Path) -> Vec<PathBuf> {
    let mut all = vec![plain.to_owned()];
    for tool in ["gzip", "bzip2", "xz", "zstd"] {
        let output = Command::new(tool).arg("-c").arg(plain).output().unwrap();
        assert!(output.status.success(), "{tool}");
        let path = plain.with_extension(tool);
        fs::write(&path, output.stdout).unwrap();
        all.push(path);
    }
    all
}

/// deck loads an archive in each compression, from a file and from a pipe, as that image.
fn loads(archive: &Path, name: &str, id: &str) {
    for path in compressed(archive) {
        let home = Home::new();
        good(deck(&home).args(["load", "-q", "-i"]).arg(&path));
        let image = home.images().resolve(name).unwrap();
        assert_eq!(image.id.as_str(), id, "{}", path.display());
        let home = Home::new();
        good(deck(&home).args(["load", "-q"]).stdin(fs::File::open(&path).unwrap()));
        assert_eq!(home.images().resolve(name).unwrap().id.as_str(), id);
    }
}

/// A store with `made:1`, and its archive.
fn saved() -> (Home, PathBuf, String) {
    let home = Home::new();
    let image = load(&home.images(), docker_archive("made:1", &layers())).unwrap().remove(0);
    let path = home.dir.path().join("saved.tar");
    good(deck(&home).args(["save", "made:1", "-o"]).arg(&path));
    (home, path, image.id.to_string())
}

#[test]
fn docker_and_deck_read_each_other() {
    let (home, saved, id) = saved();
    let docker = Dockerd::start(home.dir.path());
    let told = |docker: &Dockerd| good(&mut docker.docker(&["inspect", "-f", "{{.Id}}", "made:1"]));
    for path in &compressed(&saved)[..4] {
        // This Docker knows no zstd.
        good(&mut docker.docker(&["load", "-q", "-i", path.to_str().unwrap()]));
        assert_eq!(told(&docker).trim(), id);
        good(&mut docker.docker(&["rmi", "made:1"]));
    }
    good(&mut docker.docker(&["load", "-q", "-i", saved.to_str().unwrap()]));
    let theirs = home.dir.path().join("docker.tar");
    good(&mut docker.docker(&["save", "made:1", "-o", theirs.to_str().unwrap()]));
    loads(&theirs, "made:1", &id);
    // By id it has no name.
    good(&mut docker.docker(&["save", &id, "-o", theirs.to_str().unwrap()]));
    let other = Home::new();
    let said = good(deck(&other).args(["load", "-i"]).arg(&theirs));
    assert!(said.contains(&id), "{said}");
}

#[test]
fn podman_and_deck_read_each_other() {
    let (home, saved, id) = saved();
    let hex = id.trim_start_matches("sha256:");
    for path in compressed(&saved) {
        good(&mut podman(&home, &["load", "-q", "-i", path.to_str().unwrap()]));
        let told = good(&mut podman(&home, &["inspect", "-f", "{{.Id}}", "made:1"]));
        assert_eq!(told.trim(), hex);
        good(&mut podman(&home, &["rmi", "made:1"]));
    }
    good(&mut podman(&home, &["load", "-q", "-i", saved.to_str().unwrap()]));
    for kind in ["docker-archive", "oci-archive"] {
        let theirs = home.dir.path().join(kind);
        let path = theirs.to_str().unwrap();
        good(&mut podman(&home, &["save", "-q", "--format", kind, "-o", path, "made:1"]));
        loads(&theirs, "made:1", &id);
    }
}
