//! Published ports: who reaches them, which are given, what stands in the way.

use crate::Case;
use crate::world::{
    HOST4, HOST6, OUTSIDE, World, fetch, fetch_udp, id, is_closed, serve, sh, tcp, v4,
};
use deck::net::{ContainerNet, PortRequest, Protocol};
use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::Path;

pub const CASES: &[Case] = &[
    ("ports::reached_from_everywhere", reached_from_everywhere),
    ("ports::udp_follows_the_container", udp_follows_the_container),
    ("ports::loopback_only_stays_on_the_host", loopback_only_stays_on_the_host),
    ("ports::chosen_random_ranges_and_conflicts", chosen_random_ranges_and_conflicts),
    ("ports::sctp_has_its_rules", sctp_has_its_rules),
];

fn reached_from_everywhere(world: &World) {
    world.network("front", true, &[]);
    let ports = [tcp(80, Some((8080, 8080)))];
    let web = world.publishing("web", &["front"], &ports);
    let other = world.container("other", &["front"]);
    let third = world.container("third", &["bridge"]);
    serve(Some(&web.netns), 80, "web");
    let outside = Some(Path::new(OUTSIDE));
    let shown = &web.attached.ports["80/tcp"].as_ref().unwrap();
    assert_eq!(shown.iter().map(|b| b.host_ip.as_str()).collect::<Vec<_>>(), ["0.0.0.0", "::"]);
    // From outside, with the client's own address, in both families.
    assert_eq!(fetch(outside, v4(HOST4, 8080)).unwrap(), "web 192.0.2.2");
    assert_eq!(fetch(outside, v4(HOST6, 8080)).unwrap(), "web 2001:db8::2");
    // From the host.
    assert_eq!(fetch(None, v4(HOST4, 8080)).unwrap(), format!("web {HOST4}"));
    assert!(fetch(None, v4(HOST6, 8080)).unwrap().starts_with("web "));
    assert!(fetch(None, v4("127.0.0.1", 8080)).unwrap().starts_with("web "));
    assert!(is_closed(None, v4("::1", 8080)), "a refusal, not silence");
    // From the container itself, a neighbour, and another network.
    for place in [&web.netns, &other.netns] {
        assert!(fetch(Some(place), v4(HOST4, 8080)).unwrap().starts_with("web "));
        assert!(fetch(Some(place), v4(HOST6, 8080)).unwrap().starts_with("web "));
    }
    assert!(fetch(Some(&third.netns), v4(HOST4, 8080)).unwrap().starts_with("web "));
    // The same where frames on bridges don't pass the packet filter.
    sh("sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0");
    for place in [&web.netns, &other.netns] {
        assert!(fetch(Some(place), v4(HOST4, 8080)).unwrap().starts_with("web "));
        assert!(fetch(Some(place), v4(HOST6, 8080)).unwrap().starts_with("web "));
    }
    sh("sysctl -qw net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1");
    world.networks.detach(&web.id).unwrap();
    assert!(is_closed(outside, v4(HOST4, 8080)));
}

fn udp_follows_the_container(world: &World) {
    let ports = [PortRequest { protocol: Protocol::Udp, ..tcp(53, Some((5300, 5300))) }];
    let outside = Some(Path::new(OUTSIDE));
    let first = world.publishing("first", &["bridge"], &ports);
    serve(Some(&first.netns), 53, "first");
    // One client's socket all the time: only the tracked connection tells where it goes.
    let socket = deck::net::netns::inside(Path::new(OUTSIDE), || {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
        socket.connect(v4(HOST4, 5300))?;
        Ok(socket)
    })
    .unwrap();
    assert_eq!(crate::world::ask(&socket, b"?").unwrap(), b"first 192.0.2.2");
    assert!(fetch_udp(None, v4("127.0.0.1", 5300)).unwrap().starts_with("first "));
    assert!(fetch_udp(Some(&first.netns), v4(HOST4, 5300)).unwrap().starts_with("first "));
    world.networks.detach(&first.id).unwrap();
    // Somebody on the host hears the client while the container is away.
    let _ = socket.send(b"?");
    assert_eq!(socket.recv(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    let keeper = world.container("keeper", &["bridge"]);
    let second = world.publishing("second", &["bridge"], &ports);
    assert_ne!(second.ip("bridge"), keeper.ip("bridge"));
    serve(Some(&second.netns), 53, "second");
    assert_eq!(crate::world::ask(&socket, b"?").unwrap(), b"second 192.0.2.2");
    assert!(fetch_udp(outside, v4(HOST4, 5300)).unwrap().starts_with("second "));
}

fn loopback_only_stays_on_the_host(world: &World) {
    let only = |ip: &str, port| PortRequest {
        host_ip: Some(ip.parse().unwrap()),
        ..tcp(80, Some((port, port)))
    };
    let ports = [only("127.0.0.1", 8081), only(HOST4, 8082)];
    let web = world.publishing("web", &["bridge"], &ports);
    serve(Some(&web.netns), 80, "web");
    serve(None, 9999, "secret");
    assert!(fetch(None, v4("127.0.0.1", 8081)).unwrap().starts_with("web "));
    assert!(is_closed(None, v4("127.0.0.1", 8082)));
    assert!(fetch(None, v4(HOST4, 8082)).unwrap().starts_with("web "));
    let outside = Some(Path::new(OUTSIDE));
    assert!(fetch(outside, v4(HOST4, 8082)).unwrap().starts_with("web "));
    assert!(is_closed(outside, v4(HOST4, 8081)));
    // A neighbour of the host, and a container, that send packets for 127.0.0.1 to it.
    let spoof = "sysctl -qw net.ipv4.conf.all.route_localnet=1; ip address del 127.0.0.1/8 dev lo; \
                 ip route add 127.0.0.1/32 via";
    sh(&format!("nsenter --net={OUTSIDE} sh -ec '{spoof} {HOST4} dev eth0'"));
    let netns = web.netns.display();
    let gateway = &web.attached.networks["bridge"].gateway;
    sh(&format!("nsenter --net={netns} sh -ec '{spoof} {gateway} dev eth0'"));
    assert!(is_closed(outside, v4("127.0.0.1", 8081)));
    assert!(is_closed(Some(&web.netns), v4("127.0.0.1", 9999)));
    assert!(fetch(Some(&web.netns), v4(HOST4, 9999)).is_ok(), "the host itself is reachable");
}

fn chosen_random_ranges_and_conflicts(world: &World) {
    let host_port = |ports: &deck::net::PortMap, key: &str| -> u16 {
        ports[key].as_ref().unwrap()[0].host_port.parse().unwrap()
    };
    let one = world.publishing("one", &["bridge"], &[tcp(80, Some((8000, 8002))), tcp(81, None)]);
    let _listener = TcpListener::bind("0.0.0.0:8001").unwrap();
    let two = world.publishing("two", &["bridge"], &[tcp(80, Some((8000, 8002))), tcp(81, None)]);
    assert_eq!(host_port(&one.attached.ports, "80/tcp"), 8000);
    assert_eq!(host_port(&two.attached.ports, "80/tcp"), 8002);
    let (first, second) =
        (host_port(&one.attached.ports, "81/tcp"), host_port(&two.attached.ports, "81/tcp"));
    assert!(first != second && (32768..=60999).contains(&first), "{first} {second}");
    let refused = |ports: &[PortRequest]| {
        let wish = world.wish("three", &["bridge"]);
        let error = world.networks.attach(&ContainerNet { ports: ports.to_vec(), ..wish });
        error.unwrap_err().message
    };
    let text = refused(&[tcp(80, Some((8000, 8000)))]);
    assert!(text.contains("driver failed programming external connectivity on endpoint three ("));
    assert!(text.ends_with("Bind for 0.0.0.0:8000 failed: port is already allocated"), "{text}");
    let text = refused(&[tcp(80, Some((8001, 8001)))]);
    assert!(text.ends_with("address already in use"), "{text}");
    let text = refused(&[tcp(80, Some((8000, 8002)))]);
    assert!(text.contains("all ports are allocated in 8000-8002"), "{text}");
    // Nothing of the refused one is left.
    assert!(world.networks.attached(&id("three")).unwrap().is_none());
}

fn sctp_has_its_rules(world: &World) {
    let ports = [PortRequest { protocol: Protocol::Sctp, ..tcp(7, Some((7777, 7777))) }];
    let web = world.publishing("web", &["bridge"], &ports);
    let ip = web.ip("bridge");
    let rules = sh("nft -nn list map inet deck any4");
    assert!(rules.contains(&format!("132 . 7777 : {ip} . 7")), "{rules}");
    assert_eq!(web.attached.ports["7/sctp"].as_ref().unwrap()[0].host_port, "7777");
}
