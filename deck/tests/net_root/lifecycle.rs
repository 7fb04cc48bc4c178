//! Many at once, and kills at any point.

use crate::Case;
use crate::world::{World, fetch, id, networks, on, serve, sh, tcp};
use deck::net::{ContainerNet, Ipam, IpamPool, NetworkSpec, netns};
use nix::fcntl::{Flock, FlockArg};
use std::collections::HashSet;
use std::path::Path;
use std::process::{Command, exit};
use std::thread;
use std::time::{Duration, Instant};

pub const CASES: &[Case] = &[
    ("lifecycle::fifty_at_once", fifty_at_once),
    ("lifecycle::kills_leave_nothing", kills_leave_nothing),
    ("lifecycle::detach_is_repeatable", detach_is_repeatable),
    ("lifecycle::the_last_address_is_given_again_at_once", the_last_address_is_given_again_at_once),
    ("lifecycle::bridges_stay_until_swept", bridges_stay_until_swept),
];

fn fifty_at_once(world: &World) {
    const COUNT: u16 = 50;
    world.network("front", true, &[]);
    let start = Instant::now();
    let containers: Vec<_> = thread::scope(|scope| {
        let one = |number: u16| {
            // Each with the records open for itself, as processes have.
            let networks = networks(&world.root);
            let wish = world.wish(&format!("c{number}"), &["front"]);
            let ports = vec![tcp(80, None)];
            let wish = ContainerNet { ports, ..wish };
            (networks.attach(&wish).unwrap(), wish)
        };
        let threads: Vec<_> = (0..COUNT).map(|n| scope.spawn(move || one(n))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    println!("  {COUNT} attached in {} ms", start.elapsed().as_millis());
    let unique = |of: fn(&deck::net::Attached) -> String| {
        containers.iter().map(|(attached, _)| of(attached)).collect::<HashSet<_>>().len()
    };
    assert_eq!(unique(|a| a.networks["front"].ip_address.clone()), 50);
    assert_eq!(unique(|a| a.networks["front"].global_ipv6_address.clone()), 50);
    assert_eq!(unique(|a| a.ports["80/tcp"].as_ref().unwrap()[0].host_port.clone()), 50);
    for (attached, wish) in &containers {
        serve(Some(&wish.netns), 80, "one");
        let port: u16 = attached.ports["80/tcp"].as_ref().unwrap()[0].host_port.parse().unwrap();
        assert!(fetch(None, (std::net::Ipv4Addr::LOCALHOST, port)).is_ok());
    }
    let start = Instant::now();
    thread::scope(|scope| {
        for (_, wish) in &containers {
            scope.spawn(|| networks(&world.root).detach(&wish.id).unwrap());
        }
    });
    println!("  {COUNT} detached in {} ms", start.elapsed().as_millis());
    assert!(world.networks.inspect("front").unwrap().containers.is_empty());
    world.networks.remove("front").unwrap();
}

/// Before any sweep: a network with one address serves one container after another.
fn the_last_address_is_given_again_at_once(world: &World) {
    let subnet = Some("10.203.0.0/30".parse().unwrap());
    let pool = IpamPool { subnet, ..IpamPool::default() };
    let ipam = Some(Ipam { config: vec![pool], ..Ipam::default() });
    let spec = NetworkSpec { name: "narrow".into(), ipam, ..NetworkSpec::default() };
    world.networks.create(&spec).unwrap();
    for name in ["a", "b", "c"] {
        let container = world.container(name, &["narrow"]);
        assert_eq!(container.ip("narrow").to_string(), "10.203.0.2");
        let full = world.networks.attach(&world.wish("late", &["narrow"])).unwrap_err();
        assert!(full.message.contains("address"), "{full}");
        world.networks.detach(&container.id).unwrap();
    }
    netns::remove(&world.networks.netns_path(&id("late"))).unwrap();
}

fn bridges_stay_until_swept(world: &World) {
    let bridges = || sh("ip -br link show type bridge").lines().count();
    let first = world.container("first", &["bridge"]);
    world.networks.detach(&first.id).unwrap();
    assert!(world.networks.is_left().unwrap());
    assert_eq!(bridges(), 1);
    // Someone on it keeps it, whoever left.
    let second = world.container("second", &["bridge"]);
    world.networks.sweep_later(Duration::ZERO).unwrap();
    assert_eq!(bridges(), 1);
    assert!(!world.networks.is_left().unwrap());
    world.networks.detach(&second.id).unwrap();
    // One waits for all: the others leave it to that one.
    let file = std::fs::File::open(world.root.join("run/net/sweeper")).unwrap();
    let waiting = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, no)| no).unwrap();
    world.networks.sweep_later(Duration::from_secs(3600)).unwrap();
    assert_eq!(bridges(), 1);
    drop(waiting);
    world.networks.sweep_later(Duration::ZERO).unwrap();
    assert_eq!(bridges(), 0);
}

/// The process that is killed: containers come and go in it.
pub fn victim(root: &str) -> ! {
    let networks = networks(Path::new(root));
    for number in 0.. {
        let id = id(&format!("v{}", number % 3));
        let netns = networks.netns_path(&id);
        let _ = netns::remove(&netns);
        let _ = netns::create(&netns);
        let wish = ContainerNet {
            id: id.clone(),
            name: "victim".into(),
            netns,
            endpoints: vec![on("front"), on("bridge")],
            ports: vec![tcp(80, None), tcp(81, None)],
            ..ContainerNet::default()
        };
        let _ = networks.attach(&wish);
        let _ = networks.detach(&id);
    }
    exit(0)
}

fn kills_leave_nothing(world: &World) {
    const KILLS: u64 = 16;
    world.network("front", true, &[]);
    let program = std::env::current_exe().unwrap();
    for kill in 0..KILLS {
        let mut child =
            Command::new(&program).arg("attach-and-detach").arg(&world.root).spawn().unwrap();
        thread::sleep(Duration::from_millis(20 + kill * 20));
        child.kill().unwrap();
        child.wait().unwrap();
        world.networks.reconcile(&|_| false).unwrap();
        let left = sh("ip -o link | grep -cE 'deck0|br-|dk[0-9a-f]' || true; nft list tables");
        assert_eq!(left.trim(), "0", "after {kill}");
        assert!(std::fs::read_dir(world.root.join("run/netns")).unwrap().next().is_none());
    }
}

fn detach_is_repeatable(world: &World) {
    let web = world.container("web", &["bridge"]);
    let again = world.wish("web", &["bridge"]);
    // The same container again, without a detach in between.
    let second = world.networks.attach(&again).unwrap();
    assert_eq!(second.networks["bridge"].ip_address, web.ip("bridge").to_string());
    world.networks.detach(&web.id).unwrap();
    world.networks.detach(&web.id).unwrap();
    world.networks.detach(&id("never")).unwrap();
    assert!(!netns::is_mounted(&web.netns));
}
