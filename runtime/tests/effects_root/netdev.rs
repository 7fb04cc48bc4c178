//! Network devices, in network namespaces of the test's own.

use crate::enter;
use hull::netdev::{Device, attach, loopback_up};
use nix::sched::{CloneFlags, setns, unshare};
use std::fs::File;
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

fn device(host_name: &str, container_name: &str) -> Device {
    Device { host_name: host_name.into(), container_name: container_name.into() }
}

/// ip(8) in the namespace of this thread; its output.
fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// Makes a device that can be moved: one end of a veth pair.
fn add(name: &str) {
    static PEERS: AtomicU32 = AtomicU32::new(0);
    let peer = PEERS.fetch_add(1, Ordering::Relaxed);
    ip(&format!("link add {name} type veth peer name peer{peer}"));
}

fn has_ip() -> bool {
    let found = Command::new("ip").arg("-V").output().is_ok();
    if !found {
        eprintln!("skipped: needs ip(8)");
    }
    found
}

fn own_netns() -> File {
    File::open("/proc/thread-self/ns/net").unwrap()
}

/// Two namespaces: the thread is in the first, the "host".
struct Two {
    host: File,
    container: File,
}

fn two_namespaces() -> Option<Two> {
    if !has_ip() || !enter(CloneFlags::CLONE_NEWNET) {
        return None;
    }
    let host = own_netns();
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    let container = own_netns();
    setns(&host, CloneFlags::CLONE_NEWNET).unwrap();
    Some(Two { host, container })
}

impl Two {
    fn in_container<T>(&self, act: impl FnOnce() -> T) -> T {
        setns(&self.container, CloneFlags::CLONE_NEWNET).unwrap();
        let result = act();
        setns(&self.host, CloneFlags::CLONE_NEWNET).unwrap();
        result
    }
}

#[test]
fn loopback_comes_up() {
    if !enter(CloneFlags::CLONE_NEWNET) {
        return;
    }
    let bind = || std::net::UdpSocket::bind("127.0.0.1:0").and_then(|it| it.connect("127.0.0.1:9"));
    assert!(bind().is_err());
    loopback_up().unwrap();
    bind().unwrap();
    loopback_up().unwrap();
}

#[test]
fn a_device_moves_with_its_permanent_global_addresses() {
    let Some(two) = two_namespaces() else { return };
    add("hd0");
    ip("link set hd0 mtu 1789 address 02:11:22:33:44:55 up");
    ip("address add 10.9.8.7/24 brd 10.9.8.255 dev hd0");
    ip("address add 10.9.9.1 peer 10.9.9.2/32 dev hd0");
    ip("address add fd00:1::1/64 dev hd0 nodad noprefixroute");
    ip("address add 10.7.7.7/24 dev hd0 scope link");
    ip("address add 10.6.6.6/24 dev hd0 valid_lft 500 preferred_lft 500");
    attach(&[device("hd0", "cd0")], two.container.as_fd()).unwrap();
    assert!(!ip("link").contains("hd0"));
    let shown = two.in_container(|| ip("address show dev cd0"));
    for expected in [
        "mtu 1789",
        "02:11:22:33:44:55",
        "UP",
        "inet 10.9.8.7/24 brd 10.9.8.255",
        "inet 10.9.9.1 peer 10.9.9.2/32",
        "inet6 fd00:1::1/64",
        "noprefixroute",
    ] {
        assert!(shown.contains(expected), "{expected} in {shown}");
    }
    for gone in ["10.7.7.7", "10.6.6.6"] {
        assert!(!shown.contains(gone), "{shown}");
    }
}

#[test]
fn the_caller_stays_in_its_namespace() {
    let Some(two) = two_namespaces() else { return };
    add("hd0");
    attach(&[device("hd0", "hd0")], two.container.as_fd()).unwrap();
    let inode = |file: &File| {
        let stat = nix::sys::stat::fstat(file).unwrap();
        (stat.st_dev, stat.st_ino)
    };
    assert_eq!(inode(&own_netns()), inode(&two.host));
    // And the name was kept.
    assert!(two.in_container(|| ip("link")).contains("hd0"));
}

#[test]
fn taken_names_and_missing_devices_are_errors_before_anything_moves() {
    let Some(two) = two_namespaces() else { return };
    add("hd0");
    add("hd1");
    two.in_container(|| add("taken"));
    let attach =
        |devices: &[Device]| attach(devices, two.container.as_fd()).unwrap_err().to_string();
    let error = attach(&[device("hd0", "fine"), device("hd1", "taken")]);
    assert_eq!(error, "network device taken already exists in the container");
    let error = attach(&[device("hd0", "fine"), device("hd9", "x")]);
    let expected = "link not found for interface hd9 in the runtime namespace: no such device";
    assert_eq!(error, expected);
    assert!(ip("link").contains("hd0"));
}

#[test]
fn templates_get_a_free_number() {
    let Some(two) = two_namespaces() else { return };
    for name in ["hd0", "hd1"] {
        add(name);
    }
    two.in_container(|| add("lan0"));
    let devices = [device("hd0", "lan%d"), device("hd1", "lan%d")];
    attach(&devices, two.container.as_fd()).unwrap();
    let shown = two.in_container(|| ip("-o link"));
    assert!(shown.contains("lan1") && shown.contains("lan2"), "{shown}");
}

#[test]
fn a_name_of_the_host_that_is_taken_in_the_container_is_no_obstacle() {
    let Some(two) = two_namespaces() else { return };
    add("hd0");
    two.in_container(|| add("hd0"));
    attach(&[device("hd0", "other")], two.container.as_fd()).unwrap();
    assert!(two.in_container(|| ip("link")).contains("other"));
}
