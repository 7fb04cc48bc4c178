//! Networks on the real kernel, as root. The host is a network namespace of the tests' own, and so
//! is everything else: nothing outside is touched.
//!
//! Containers are namespaces without processes: a socket belongs to the namespace it was made in,
//! so the tests hold the sockets of servers and clients themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod bench;
mod firewall;
mod lifecycle;
mod names;
mod ports;
mod world;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::process::ExitCode;
use std::time::Instant;
use world::World;

type Case = (&'static str, fn(&World));

fn cases() -> Vec<Case> {
    [names::CASES, ports::CASES, firewall::CASES, lifecycle::CASES, bench::CASES].concat()
}

fn main() -> ExitCode {
    // deck itself, as the networks start it.
    if let Some(code) = deck::net::dns::main() {
        return code;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|word| word == "attach-and-detach") {
        lifecycle::victim(&arguments[1]);
    }
    if !nix::unistd::Uid::effective().is_root() {
        println!("skipped: networks need root");
        return ExitCode::SUCCESS;
    }
    private_host();
    let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
    let mut failed = 0;
    for (name, case) in cases() {
        // Figures are for those who ask for them.
        let wanted = filter.map_or(!name.starts_with("bench"), |f| name.contains(f.as_str()));
        if !wanted {
            continue;
        }
        let start = Instant::now();
        let result = std::panic::catch_unwind(|| World::run(case));
        let verdict = if result.is_ok() { "ok" } else { "FAILED" };
        println!("{name} ... {verdict} ({} ms)", start.elapsed().as_millis());
        failed += u32::from(result.is_err());
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Namespaces of our own, with the tests' resolv.conf and nobody else's mounts.
fn private_host() {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).unwrap();
    // A new namespace takes this over from the first one (ip-sysctl.rst, devconf_inherit_init_net).
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_PRIVATE | MsFlags::MS_REC, none).unwrap();
    // /proc/sys shows the reader's namespace, but /run is everybody's.
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), none).unwrap();
    std::fs::write("/run/resolv.conf", "nameserver 127.0.0.1\nsearch corp.example\n").unwrap();
    mount(Some("/run/resolv.conf"), "/etc/resolv.conf", none, MsFlags::MS_BIND, none).unwrap();
    world::sh("ip link set lo up");
}
