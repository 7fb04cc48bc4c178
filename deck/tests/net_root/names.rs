//! Names: the embedded DNS server and the files of resolvers.

use crate::Case;
use crate::world::{World, ask, fetch, id, inside, on, serve, v4};
use deck::net::{ContainerNet, EndpointSpec, Link, NetworkSpec};
use std::io::{Read, Write};
use std::net::{IpAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::thread;

pub const CASES: &[Case] = &[
    ("names::containers_find_each_other", containers_find_each_other),
    ("names::others_are_asked_for_the_rest", others_are_asked_for_the_rest),
    ("names::the_server_comes_and_goes", the_server_comes_and_goes),
    ("names::default_bridge_has_files_only", default_bridge_has_files_only),
];

const A: u16 = 1;
const PTR: u16 = 12;
const AAAA: u16 = 28;

fn question(name: &str, kind: u16) -> Vec<u8> {
    let mut bytes = vec![0xbe, 0xef, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.bytes());
    }
    bytes.extend([0, 0, u8::try_from(kind).unwrap(), 0, 1]);
    bytes
}

/// The response code and the addresses of an answer of ours, or the data of its last record.
fn read(answer: &[u8], asked: &[u8]) -> (u8, Vec<String>) {
    assert_eq!(answer[..2], asked[..2]);
    let mut records = &answer[asked.len().min(answer.len())..];
    let mut found = Vec::new();
    while records.len() >= 12 {
        let length = usize::from(u16::from_be_bytes([records[10], records[11]]));
        let data = &records[12..12 + length];
        found.push(match length {
            4 => IpAddr::from(<[u8; 4]>::try_from(data).unwrap()).to_string(),
            16 => IpAddr::from(<[u8; 16]>::try_from(data).unwrap()).to_string(),
            _ => String::from_utf8_lossy(data).into_owned(),
        });
        records = &records[12 + length..];
    }
    found.sort();
    (answer[3] & 0xf, found)
}

fn lookup(place: &Path, name: &str, kind: u16) -> (u8, Vec<String>) {
    let asked = question(name, kind);
    let socket = inside(Some(place), || UdpSocket::bind("0.0.0.0:0").unwrap());
    socket.connect("127.0.0.11:53").unwrap();
    read(&ask(&socket, &asked).unwrap(), &asked)
}

fn lookup_tcp(place: &Path, name: &str, kind: u16) -> (u8, Vec<String>) {
    let asked = question(name, kind);
    let mut stream = inside(Some(place), || TcpStream::connect("127.0.0.11:53").unwrap());
    let length = u16::try_from(asked.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length, asked.as_slice()].concat()).unwrap();
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer).unwrap();
    read(&answer, &asked)
}

fn found(address: IpAddr) -> (u8, Vec<String>) {
    (0, vec![address.to_string()])
}

fn containers_find_each_other(world: &World) {
    world.network("front", true, &[]);
    world.network("back", false, &[]);
    let web = world.start(ContainerNet {
        endpoints: vec![EndpointSpec { aliases: vec!["www".into()], ..on("front") }],
        ..world.wish("web", &[])
    });
    let link = Link { container: web.id.clone(), name: "web".into(), alias: "upstream".into() };
    let proxy = world.start(ContainerNet {
        endpoints: vec![EndpointSpec { links: vec![link], ..on("front") }, on("back")],
        ..world.wish("proxy", &[])
    });
    let db = world.container("db", &["back"]);
    serve(Some(&web.netns), 80, "web");
    assert!(web.attached.resolv_conf.contains("nameserver 127.0.0.11\n"));
    for name in ["web", "WWW", "web.front", &id("web")[..12], "upstream"] {
        assert_eq!(lookup(&proxy.netns, name, A), found(web.ip("front")), "{name}");
    }
    assert_eq!(lookup(&proxy.netns, "web", AAAA), found(web.ip6("front")));
    assert_eq!(lookup_tcp(&proxy.netns, "web", A), found(web.ip("front")));
    assert_eq!(lookup(&proxy.netns, "db", AAAA), (0, vec![]));
    // The answer leads there.
    assert!(fetch(Some(&proxy.netns), (web.ip("front"), 80)).unwrap().starts_with("web "));
    assert!(fetch(Some(&proxy.netns), (web.ip6("front"), 80)).unwrap().starts_with("web "));
    let IpAddr::V4(address) = web.ip("front") else { panic!() };
    let [a, b, c, d] = address.octets();
    let reverse = lookup(&web.netns, &format!("{d}.{c}.{b}.{a}.in-addr.arpa"), PTR);
    assert_eq!(reverse, (0, vec!["\u{3}web\u{5}front\0".into()]));
    // Each network's names are its own.
    assert_eq!(lookup(&proxy.netns, "db", A), found(db.ip("back")));
    assert_eq!(lookup(&web.netns, "db", A).1, Vec::<String>::new());
    // A new name, and a new address.
    world.networks.rename(&db.id, "store").unwrap();
    assert_eq!(lookup(&proxy.netns, "store", A), found(db.ip("back")));
    world.networks.detach(&db.id).unwrap();
    world.networks.sweep().unwrap();
    let taker = world.container("taker", &["back"]);
    assert_eq!(taker.ip("back"), db.ip("back"));
    let db = world.container("db", &["back"]);
    assert_eq!(lookup(&proxy.netns, "db", A), found(db.ip("back")));
}

/// A name server on the host's loopback that knows one address for everything, and refuses one.
fn upstream() {
    let answer = |asked: &[u8]| {
        let mut answer = asked.to_vec();
        answer[2] |= 0x80;
        if asked.windows(6).any(|window| window == b"refuse") {
            answer[3] |= 5;
            return answer;
        }
        answer[7] = 1;
        answer.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 203, 0, 113, 7]);
        answer
    };
    let socket = UdpSocket::bind("127.0.0.1:53").unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:53").unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&answer(&buffer[..length]), peer);
        }
    });
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut asked = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut asked).unwrap();
            let told = answer(&asked);
            let length = u16::try_from(told.len()).unwrap().to_be_bytes();
            stream.write_all(&[&length, told.as_slice()].concat()).unwrap();
        }
    });
}

fn others_are_asked_for_the_rest(world: &World) {
    upstream();
    world.network("front", false, &[]);
    let spec = NetworkSpec { name: "closed".into(), internal: true, ..NetworkSpec::default() };
    world.networks.create(&spec).unwrap();
    let web = world.container("web", &["front"]);
    let shut = world.container("shut", &["closed"]);
    let there: IpAddr = [203, 0, 113, 7].into();
    assert_eq!(lookup(&web.netns, "example.org", A), found(there));
    assert_eq!(lookup_tcp(&web.netns, "example.org", A), found(there));
    assert_eq!(lookup(&web.netns, "refuse.example", A).0, 5);
    // Without a way out, questions stay in, too.
    assert_eq!(lookup(&shut.netns, "example.org", A).0, 2);
    assert_eq!(lookup(&shut.netns, "shut", A), found(shut.ip("closed")));
    // Its own servers instead of the host's; nobody listens at the first.
    let mut wish = world.wish("own", &["front"]);
    wish.dns.servers = vec![[127, 0, 0, 9].into(), [127, 0, 0, 1].into()];
    let own = world.start(wish);
    assert_eq!(lookup(&own.netns, "example.org", A), found(there));
    // Many at once.
    thread::scope(|scope| {
        for number in 0..50 {
            let netns = &web.netns;
            scope.spawn(move || {
                assert_eq!(lookup(netns, &format!("n{number}.example"), A), found(there));
            });
        }
    });
}

fn server_pids(world: &World) -> Vec<String> {
    let directory = world.root.join("run/net/dns").display().to_string();
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|entry| {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).any(|word| word == directory.as_bytes())
        })
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

fn the_server_comes_and_goes(world: &World) {
    assert!(server_pids(world).is_empty());
    world.network("front", false, &[]);
    let web = world.container("web", &["front"]);
    let other = world.container("other", &["front"]);
    let pids = server_pids(world);
    let [pid] = pids.as_slice() else { panic!("{pids:?}") };
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains("Uid:\t65534\t65534\t65534\t65534"), "{status}");
    assert!(status.contains("CapEff:\t0000000000000000"), "{status}");
    assert!(status.contains("Seccomp:\t2") && status.contains("NoNewPrivs:\t1"), "{status}");
    // Killed: the next container, or a look at everything, brings it back for all, even while the
    // kernel still closes the killed one's descriptors.
    for revive in [true, true, true, false] {
        let pid = server_pids(world)[0].parse().unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL).unwrap();
        if revive {
            world.networks.reconcile(&|_| true).unwrap();
        } else {
            world.container("third", &["front"]);
        }
        assert_eq!(lookup(&web.netns, "other", A), found(other.ip("front")));
    }
    // A container may serve DNS itself.
    let own = inside(Some(&web.netns), || UdpSocket::bind("0.0.0.0:53"));
    assert!(own.is_ok());
    for name in ["web", "other", "third"] {
        world.networks.detach(&id(name)).unwrap();
    }
    for _ in 0..500 {
        if server_pids(world).is_empty() {
            return;
        }
        thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("the DNS server stays without containers");
}

fn default_bridge_has_files_only(world: &World) {
    let web = world.container("web", &["bridge"]);
    let link = Link { container: web.id.clone(), name: "web".into(), alias: "w".into() };
    let mut wish = world.wish("user", &[]);
    wish.endpoints = vec![EndpointSpec { links: vec![link], ..on("bridge") }];
    wish.extra_hosts = vec!["host:host-gateway".into()];
    let user = world.start(wish);
    let (ip, gateway) = (web.ip("bridge"), &user.attached.networks["bridge"].gateway);
    let hosts = &user.attached.hosts;
    assert!(hosts.contains(&format!("{ip}\tw {} web\n", &web.id[..12])), "{hosts}");
    assert!(hosts.contains(&format!("{gateway}\thost\n")), "{hosts}");
    assert!(hosts.contains(&format!("{}\tuser\n", user.ip("bridge"))), "{hosts}");
    // The host's name server is on its loopback: no use to the container.
    assert!(!user.attached.resolv_conf.contains("nameserver"));
    assert!(user.attached.resolv_conf.contains("search corp.example"));
    assert!(server_pids(world).is_empty());
    serve(None, 9000, "host");
    assert!(fetch(Some(&user.netns), v4(gateway, 9000)).unwrap().starts_with("host "));
}
