//! Checkpoints whose containers have ties to the outside, with CRIU itself, where it works.

use crate::checkpoint::{only_hull, quietly, works};
use crate::harness::{Container, eventually, mount, namespace, skip};
use crate::tty::receiver;
use serde_json::json;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command};

/// A network namespace, for as long as this lives.
struct Network(Child);

impl Network {
    fn new() -> Self {
        let holder = Command::new("unshare").args(["--net", "sleep", "1000"]).spawn().unwrap();
        let network = Self(holder);
        let own = fs::read_link("/proc/self/ns/net").unwrap();
        eventually("it is another namespace", || {
            fs::read_link(network.path()).is_ok_and(|link| link != own)
        });
        network
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.0.id())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn link(path: &str) -> String {
    fs::read_link(path).unwrap().display().to_string()
}

#[test]
fn a_joined_network_namespace_is_joined_again() {
    only_hull!();
    if !works() {
        return;
    }
    let network = Network::new();
    let mut c = Container::sleeping();
    namespace(&mut c.spec, "network", Some(&network.path()));
    quietly(&c, "run --detach").ok();
    quietly(&c, "checkpoint --image-path images").ok();
    quietly(&c, "restore --detach --image-path images").ok();
    assert_eq!(link(&format!("/proc/{}/ns/net", c.pid())), link(&network.path()));
}

/// A container with the host's programs.
fn with_tools(script: &str) -> Container {
    Container::sh(script).edit(|s| {
        for dir in ["usr/bin", "lib", "lib64", "usr/lib"] {
            let path = format!("/{dir}");
            mount(s, &path, "bind", &path, &["bind", "ro"]);
        }
        s["process"]["env"] = json!(["PATH=/bin:/usr/bin"]);
    })
}

#[test]
fn a_lock_is_held_again() {
    only_hull!();
    if !works() {
        return;
    }
    let c = with_tools("exec flock /lock sleep 1000");
    quietly(&c, "run --detach").ok();
    let free = || c.exec("flock --nonblock /lock true").code == 0;
    eventually("it has the lock", || !free());
    let without = quietly(&c, "checkpoint --image-path none").fails();
    assert!(without.contains("file lock"), "{without}");
    assert!(!free());
    quietly(&c, "checkpoint --file-locks --image-path images").ok();
    quietly(&c, "restore --detach --file-locks --image-path images").ok();
    assert!(!free());
}

#[test]
fn a_connection_goes_on() {
    only_hull!();
    if !works() {
        return;
    }
    let tick = "n=0; while true; do n=$((n+1)); echo $n; sleep 0.05; done";
    let script = format!(
        "ip link set lo up; ({tick}) | nc -l -p 7000 127.0.0.1 >/dev/null & \
         until nc 127.0.0.1 7000 </dev/zero >/heard; do sleep 0.05; done"
    );
    let c = Container::sh(&script).edit(|s| {
        for set in ["bounding", "effective", "permitted"] {
            s["process"]["capabilities"][set] = json!(["CAP_NET_ADMIN", "CAP_KILL"]);
        }
    });
    let heard = || {
        let text = fs::read_to_string(c.rootfs("heard")).unwrap_or_default();
        text.lines().rev().nth(1).and_then(|line| line.parse::<u64>().ok()).unwrap_or(0)
    };
    quietly(&c, "run --detach").ok();
    eventually("it hears something", || heard() > 5);
    let without = quietly(&c, "checkpoint --image-path none").fails();
    assert!(without.contains("onnected TCP socket"), "{without}");
    quietly(&c, "checkpoint --tcp-established --image-path images").ok();
    let before = heard();
    quietly(&c, "restore --detach --tcp-established --image-path images").ok();
    eventually("it hears more", || heard() > before + 5);
}

/// What comes from a terminal's master, up to `end`.
fn read_until(master: OwnedFd, end: &str) -> String {
    let (mut master, mut text) = (File::from(master), String::new());
    let mut buffer = [0; 200];
    while !text.contains(end) {
        let length = master.read(&mut buffer).unwrap();
        text.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    text
}

#[test]
fn a_terminal_is_given_anew() {
    only_hull!();
    if !works() {
        return;
    }
    let script = "test -t 0 && while ! test -e /go; do sleep 0.05; done; tty; echo here";
    let c = Container::sh(&format!("{script}; sleep 1000"))
        .edit(|spec| spec["process"]["terminal"] = json!(true));
    let start = |command: &str, name: &str| {
        let socket = c.text(name);
        let master = receiver(Path::new(&socket));
        quietly(&c, &format!("{command} --detach --console-socket {socket}")).ok();
        master.join().unwrap().1
    };
    let first = start("run", "first");
    quietly(&c, "checkpoint --image-path images").ok();
    drop(first);
    let second = start("restore --image-path images", "second");
    c.write("rootfs/go", "");
    let told = read_until(second, "here");
    assert!(told.contains("/dev/"), "{told}");
}

/// Whether CRIU finds the feature in this kernel; if not, the test says so.
fn finds(feature: &str) -> bool {
    let mut check = Command::new("criu");
    check.args(["check", "--feature", feature]);
    let found = check.output().is_ok_and(|output| output.status.success());
    if !found {
        skip(&format!("CRIU does not find {feature} here"));
    }
    found
}

/// It counts, with a megabyte of memory that never changes, whose size it tells when asked.
const COUNTS: &str = "x=$(head -c 1000000 /dev/zero | tr '\\0' a); n=0; \
    while true; do \
        n=$((n+1)); echo $n > /count; \
        if test -e /ask; then echo ${#x} > /size; rm /ask; fi; \
        sleep 0.02; \
    done";

/// How far it has counted.
fn count(c: &Container) -> u64 {
    let text = fs::read_to_string(c.rootfs("count")).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

/// It goes on where it was, and has its memory.
fn goes_on(c: &Container, before: u64) {
    eventually("it goes on", || count(c) > before + 5);
    c.write("rootfs/ask", "");
    eventually("it has its memory", || {
        fs::read_to_string(c.rootfs("size")).is_ok_and(|size| size == "1000000\n")
    });
}

/// Bytes of memory in the images.
fn pages(images: &Path) -> u64 {
    let files = fs::read_dir(images).unwrap().flatten();
    let pages = files.filter(|file| file.file_name().to_string_lossy().starts_with("pages-"));
    pages.map(|file| file.metadata().unwrap().len()).sum()
}

/// Memory of pages that were not saved again comes from the first images.
#[test]
fn memory_is_saved_in_two_steps() {
    only_hull!();
    if !works() || !finds("mem_dirty_track") {
        return;
    }
    let c = Container::sh(COUNTS);
    quietly(&c, "run --detach").ok();
    eventually("it counts", || count(&c) > 20);
    quietly(&c, "checkpoint --pre-dump --image-path images/1").ok();
    assert_eq!(c.status(), "running");
    let first = pages(&c.path("images/1"));
    assert!(first > 1_000_000, "{first} bytes");
    quietly(&c, "checkpoint --parent-path ../1 --image-path images/2").ok();
    assert!(c.path("images/2/parent").exists());
    let again = pages(&c.path("images/2"));
    assert!(again < 1_000_000, "{again} bytes after {first}");
    let before = count(&c);
    quietly(&c, "restore --detach --image-path images/2").ok();
    goes_on(&c, before);
}
