//! Who may talk to whom, and other firewalls.

use crate::Case;
use crate::world::{HOST4, OUTSIDE, World, fetch, inside, is_closed, on, serve, sh, tcp, v4};
use deck::net::NetworkSpec;
use std::path::Path;

pub const CASES: &[Case] = &[
    ("firewall::networks_are_apart", networks_are_apart),
    ("firewall::icc_off_keeps_neighbours_apart", icc_off_keeps_neighbours_apart),
    ("firewall::internal_networks_have_no_way_out", internal_networks_have_no_way_out),
    ("firewall::the_host_becomes_no_router", the_host_becomes_no_router),
    ("firewall::others_rules_stay", others_rules_stay),
    ("firewall::connect_and_disconnect", connect_and_disconnect),
];

fn networks_are_apart(world: &World) {
    world.network("front", true, &[]);
    world.network("back", true, &[]);
    let web = world.container("web", &["front"]);
    let db = world.container("db", &["back"]);
    serve(Some(&db.netns), 80, "db");
    serve(Some(Path::new(OUTSIDE)), 80, "out");
    assert!(is_closed(Some(&web.netns), (db.ip("back"), 80)));
    assert!(is_closed(Some(&web.netns), (db.ip6("back"), 80)));
    assert!(fetch(None, (db.ip("back"), 80)).is_ok(), "the host reaches its containers");
    // Out: with the host's address. In, by a route to the bridge: not where nothing is published.
    assert_eq!(fetch(Some(&web.netns), v4("192.0.2.2", 80)).unwrap(), format!("out {HOST4}"));
    assert!(fetch(Some(&web.netns), v4("2001:db8::2", 80)).unwrap().starts_with("out 2001:db8::1"));
    let ip = db.ip("back");
    sh(&format!("nsenter --net={OUTSIDE} ip route add {ip}/32 via {HOST4}"));
    assert!(is_closed(Some(Path::new(OUTSIDE)), (ip, 80)));
}

fn icc_off_keeps_neighbours_apart(world: &World) {
    world.network("apart", true, &[("com.docker.network.bridge.enable_icc", "false")]);
    let web = world.publishing("web", &["apart"], &[tcp(80, Some((8080, 8080)))]);
    let other = world.container("other", &["apart"]);
    serve(Some(&web.netns), 80, "web");
    let check = || {
        assert!(is_closed(Some(&other.netns), (web.ip("apart"), 80)));
        assert!(is_closed(Some(&other.netns), (web.ip6("apart"), 80)));
        // Also by way of the host as a router.
        let gateway = &other.attached.networks["apart"].gateway;
        let (ip, netns) = (web.ip("apart"), other.netns.display());
        let route = format!("nsenter --net={netns} ip route replace {ip}/32 via {gateway}");
        sh(&route);
        assert!(is_closed(Some(&other.netns), (ip, 80)));
        sh(&format!("nsenter --net={netns} ip route del {ip}/32"));
        // What is published is for everyone.
        assert!(fetch(Some(&other.netns), v4(HOST4, 8080)).unwrap().starts_with("web "));
    };
    sh("sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0");
    check();
    sh("sysctl -qw net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1");
}

fn internal_networks_have_no_way_out(world: &World) {
    let spec = NetworkSpec { name: "closed".into(), internal: true, ..NetworkSpec::default() };
    world.networks.create(&spec).unwrap();
    let one = world.publishing("one", &["closed"], &[tcp(80, Some((8080, 8080)))]);
    let two = world.container("two", &["closed"]);
    serve(Some(&one.netns), 80, "one");
    serve(Some(Path::new(OUTSIDE)), 80, "out");
    assert!(fetch(Some(&two.netns), (one.ip("closed"), 80)).unwrap().starts_with("one "));
    assert!(is_closed(Some(&two.netns), v4("192.0.2.2", 80)));
    assert_eq!(one.attached.networks["closed"].gateway, "");
    assert!(one.attached.ports.is_empty(), "no way in either");
    // Not by a route of its own.
    let netns = two.netns.display();
    let state = world.networks.inspect("closed").unwrap();
    let gateway = state.network.ipam.config[0].gateway.unwrap();
    sh("sysctl -qw net.ipv4.ip_forward=1");
    sh(&format!("nsenter --net={netns} ip route add default via {gateway}"));
    assert!(is_closed(Some(&two.netns), v4("192.0.2.2", 80)));
    sh("sysctl -qw net.ipv4.ip_forward=0");
}

/// Two neighbours of the host, which don't get to each other through it.
fn the_host_becomes_no_router(world: &World) {
    let far = Path::new("/run/far");
    deck::net::netns::create(far).unwrap();
    sh("ip link add up1 type veth peer name eth0 netns /run/far; ip link set up1 up
        ip address add 198.51.100.1/24 dev up1
        nsenter --net=/run/far sh -ec 'ip link set eth0 up; ip address add 198.51.100.2/24 dev eth0
          ip route add default via 198.51.100.1'");
    sh(&format!("nsenter --net={OUTSIDE} ip route add 198.51.100.0/24 via {HOST4}"));
    serve(Some(far), 80, "far");
    let (outside, there) = (Some(Path::new(OUTSIDE)), v4("198.51.100.2", 80));
    assert!(is_closed(outside, there));
    let web = world.container("web", &["bridge"]);
    assert!(is_closed(outside, there), "deck turned forwarding on for itself only");
    assert!(fetch(Some(&web.netns), there).is_ok());
    world.networks.detach(&web.id).unwrap();
    world.networks.sweep().unwrap();
    assert_eq!(sh("sysctl -n net.ipv4.ip_forward").trim(), "0");
    // A router stays one.
    sh("sysctl -qw net.ipv4.ip_forward=1");
    world.container("web", &["bridge"]);
    assert!(fetch(outside, there).is_ok());
    world.networks.reconcile(&|_| false).unwrap();
    assert_eq!(sh("sysctl -n net.ipv4.ip_forward").trim(), "1");
    sh("sysctl -qw net.ipv4.ip_forward=0; ip link del up1");
    deck::net::netns::remove(far).unwrap();
}

fn others_rules_stay(world: &World) {
    let foreign = "table inet theirs {\n\tchain c {\n\t\ttype filter hook forward priority filter; \
                   policy drop;\n\t}\n}\n";
    sh(&format!("nft -f - <<'E'\n{foreign}E"));
    let web = world.publishing("web", &["bridge"], &[tcp(80, Some((8080, 8080)))]);
    serve(Some(&web.netns), 80, "web");
    let told = deck::net::check::foreign_drops();
    assert!(told.iter().any(|line| line.contains("inet theirs c")), "{told:?}");
    assert!(is_closed(Some(Path::new(OUTSIDE)), v4(HOST4, 8080)));
    assert_eq!(sh("nft list table inet theirs"), foreign);
    sh("nft delete table inet theirs");
    assert!(deck::net::check::foreign_drops().is_empty());
    assert!(fetch(Some(Path::new(OUTSIDE)), v4(HOST4, 8080)).is_ok());
    // Rules that somebody flushed come back.
    sh("nft flush ruleset");
    assert!(fetch(Some(Path::new(OUTSIDE)), v4(HOST4, 8080)).is_err());
    world.networks.reconcile(&|_| true).unwrap();
    assert!(fetch(Some(Path::new(OUTSIDE)), v4(HOST4, 8080)).is_ok());
}

fn connect_and_disconnect(world: &World) {
    world.network("front", false, &[]);
    world.network("back", false, &[]);
    let web = world.publishing("web", &["front"], &[tcp(80, Some((8080, 8080)))]);
    let db = world.container("db", &["back"]);
    serve(Some(&web.netns), 80, "web");
    serve(Some(&db.netns), 80, "db");
    serve(Some(Path::new(OUTSIDE)), 80, "out");
    let there = (db.ip("back"), 80);
    assert!(is_closed(Some(&web.netns), there));
    let attached = world.networks.connect(&web.id, &on("back")).unwrap();
    assert_eq!(attached.networks.keys().collect::<Vec<_>>(), ["back", "front"]);
    assert!(fetch(Some(&web.netns), there).unwrap().starts_with("db "));
    assert_eq!(world.networks.connect(&web.id, &on("back")).unwrap_err().status, 403);
    let error = world.networks.remove("back").unwrap_err();
    assert_eq!(error.status, 403);
    assert!(error.message.contains("network back has active endpoints"), "{error}");
    // The way out and the ports move to what is left.
    assert!(fetch(Some(Path::new(OUTSIDE)), v4(HOST4, 8080)).is_ok());
    let attached = world.networks.disconnect(&web.id, "front").unwrap();
    assert_eq!(attached.networks.keys().collect::<Vec<_>>(), ["back"]);
    assert!(fetch(Some(&web.netns), v4("192.0.2.2", 80)).is_ok());
    assert!(fetch(Some(Path::new(OUTSIDE)), v4(HOST4, 8080)).is_ok());
    assert_eq!(world.networks.disconnect(&web.id, "front").unwrap_err().status, 403);
    world.networks.disconnect(&web.id, "back").unwrap();
    assert_eq!(inside(Some(&web.netns), || sh("ip -o link | wc -l")).trim(), "1");
    assert!(is_closed(Some(Path::new(OUTSIDE)), v4(HOST4, 8080)));
}
