//! What networks and containers get, and the rules that come of it, without a kernel.

use super::model::*;
use super::plan::{self, Host};
use super::ports::Published;
use super::records::State;
use super::spec::{self, HostFacts};
use super::{rules, view};
use crate::error::Result;
use std::cell::Cell;

fn facts(number: u32) -> HostFacts {
    HostFacts {
        id: format!("{number:012x}{:052x}", 0),
        unique: [1, 2, 3, 4, 5],
        ..HostFacts::default()
    }
}

fn state() -> State {
    let mut state = State::default();
    let number = Cell::new(0xa00);
    spec::add_predefined(&mut state, &mut || {
        number.set(number.get() + 1);
        Ok(facts(number.get()))
    })
    .unwrap();
    state
}

fn create(state: &mut State, json: &str) -> Result<Network> {
    let spec: NetworkSpec = serde_json::from_str(json).unwrap();
    let number = 0xb00 + u32::try_from(state.networks.len()).unwrap();
    let network = spec::plan(&spec, state, &facts(number))?;
    state.networks.push(network.clone());
    Ok(network)
}

fn wish(number: u32, networks: &[&str], ports: &[PortRequest]) -> ContainerNet {
    let on = |name: &&str| EndpointSpec { network: (*name).into(), ..EndpointSpec::default() };
    ContainerNet {
        id: format!("{number:064x}"),
        name: format!("c{number}"),
        hostname: format!("h{number}"),
        endpoints: networks.iter().map(on).collect(),
        ports: ports.to_vec(),
        ..ContainerNet::default()
    }
}

fn attach_with(
    state: &mut State,
    wish: &ContainerNet,
    is_free: &dyn Fn(&Published) -> bool,
) -> Result<Attached> {
    let number = Cell::new(0);
    let new_id = || {
        number.set(number.get() + 1);
        Ok(format!("{}{:02x}{}", &wish.id[54..], number.get(), "e".repeat(52)))
    };
    let host = Host { is_free, ephemeral: (32768, 32770), new_id: &new_id };
    let container = plan::attach(state, wish, &host)?;
    state.containers.push(container.clone());
    view::attached(state, &container, "")
}

fn attach(state: &mut State, wish: &ContainerNet) -> Result<Attached> {
    attach_with(state, wish, &|_| true)
}

fn tcp(port: u16, host: Option<(u16, u16)>) -> PortRequest {
    PortRequest { container_port: port, protocol: Protocol::Tcp, host_ip: None, host_ports: host }
}

#[test]
fn default_networks_look_like_dockers() {
    let state = state();
    let names: Vec<&str> = state.networks.iter().map(|n| n.name.as_str()).collect();
    assert_eq!(names, ["bridge", "host", "none"]);
    let json = serde_json::to_value(&state.networks[0]).unwrap();
    assert_eq!(json["IPAM"]["Config"][0]["Subnet"], "172.17.0.0/16");
    assert_eq!(json["IPAM"]["Config"][0]["Gateway"], "172.17.0.1");
    assert_eq!(json["Options"]["com.docker.network.bridge.name"], "deck0");
    assert_eq!(json["EnableIPv6"], false);
    assert_eq!(json["ConfigFrom"]["Network"], "");
}

#[test]
fn networks_are_refused_for_what_cannot_be() {
    let mut state = state();
    create(&mut state, r#"{"Name":"n1","IPAM":{"Config":[{"Subnet":"10.0.0.0/24"}]}}"#).unwrap();
    let subnet = |text: &str| format!(r#"{{"Name":"x","IPAM":{{"Config":[{{{text}}}]}}}}"#);
    let cases = [
        (r#"{"Name":"n1"}"#.to_owned(), 409),
        (r#"{"Name":"host"}"#.into(), 403),
        (r#"{"Name":"-x"}"#.into(), 400),
        (r#"{"Name":" "}"#.into(), 400),
        (r#"{"Name":"container:x"}"#.into(), 400),
        (r#"{"Name":"a/b"}"#.into(), 400),
        (r#"{"Name":"x","Driver":"macvlan"}"#.into(), 404),
        (r#"{"Name":"x","Scope":"swarm"}"#.into(), 400),
        (r#"{"Name":"x","IPAM":{"Driver":"dhcp"}}"#.into(), 400),
        (r#"{"Name":"x","Options":{"com.docker.network.bridge.inhibit_ipv4":"1"}}"#.into(), 400),
        (r#"{"Name":"x","Options":{"com.docker.network.driver.mtu":"9"}}"#.into(), 400),
        (r#"{"Name":"x","Options":{"com.docker.network.bridge.name":"a\" drop"}}"#.into(), 400),
        (r#"{"Name":"x","Options":{"com.docker.network.bridge.name":"deck0"}}"#.into(), 403),
        (subnet(r#""Subnet":"10.0.0.0/16""#), 403),
        (subnet(r#""Subnet":"10.1.0.1/16""#), 400),
        (subnet(r#""Subnet":"10.1.0.0/16","Gateway":"10.2.0.1""#), 400),
        (subnet(r#""Subnet":"10.1.0.0/16","IPRange":"10.2.0.0/24""#), 400),
        (subnet(r#""Subnet":"fd00::/64""#), 400),
        (r#"{"Name":"x","EnableIPv4":false}"#.into(), 400),
    ];
    for (json, status) in cases {
        assert_eq!(create(&mut state, &json).map(|_| ()).unwrap_err().status, status, "{json}");
    }
    create(&mut state, r#"{"Name":"a name","IPAM":{"Config":[{"Subnet":"10.9.0.0/24"}]}}"#)
        .unwrap();
    // As clients send what they leave open.
    let json = r#"{"Name":"n2","IPAM":null,"Options":null,"Labels":null,"EnableIPv6":true}"#;
    let network = create(&mut state, json).unwrap();
    let subnets: Vec<String> =
        network.ipam.config.iter().map(|pool| pool.subnet.unwrap().to_string()).collect();
    assert_eq!(subnets, ["172.18.0.0/16", "fd01:203:405::/64"]);
}

#[test]
fn addresses_and_ranges_are_kept_to() {
    let mut state = state();
    let json = r#"{"Name":"n","IPAM":{"Config":[{"Subnet":"10.0.0.0/24","IPRange":"10.0.0.8/30",
        "Gateway":"10.0.0.8","AuxiliaryAddresses":{"router":"10.0.0.9"}}]}}"#;
    create(&mut state, json).unwrap();
    let mut ip = |number| {
        attach(&mut state, &wish(number, &["n"], &[]))
            .map(|attached| attached.networks["n"].ip_address.clone())
    };
    assert_eq!(ip(1).unwrap(), "10.0.0.10");
    assert_eq!(ip(2).unwrap(), "10.0.0.11");
    assert_eq!(ip(3).unwrap_err().status, 400);
    let mut chosen = wish(4, &["n"], &[]);
    chosen.endpoints[0].ipv4 = Some([10, 0, 0, 200].into());
    let attached = attach(&mut state, &chosen).unwrap();
    let settings = &attached.networks["n"];
    assert_eq!((settings.ip_address.as_str(), settings.ip_prefix_len), ("10.0.0.200", 24));
    assert_eq!(settings.mac_address, "02:42:0a:00:00:c8");
    assert_eq!(settings.dns_names.as_ref().unwrap()[0], "c4");
    chosen.id = format!("{:064x}", 5);
    assert_eq!(attach(&mut state, &chosen).unwrap_err().status, 403);
    // What left is not given again before it is gone.
    let gone = state.containers.remove(0);
    state.leftover = gone.endpoints;
    assert_eq!(attach(&mut state, &wish(6, &["n"], &[])).unwrap_err().status, 400);
    state.leftover.clear();
    assert!(attach(&mut state, &wish(6, &["n"], &[])).is_ok());
}

#[test]
fn ports_are_given_once() {
    let mut state = state();
    let of = |attached: &Attached, port: &str| {
        attached.ports[port].as_ref().unwrap()[0].host_port.clone()
    };
    let ports = [tcp(80, Some((8000, 8001))), tcp(81, None)];
    let first = attach(&mut state, &wish(1, &["bridge"], &ports)).unwrap();
    assert_eq!((of(&first, "80/tcp").as_str(), of(&first, "81/tcp").as_str()), ("8000", "32768"));
    let free = |port: &Published| port.host_port != 32769;
    let second = attach_with(&mut state, &wish(2, &["bridge"], &ports), &free).unwrap();
    assert_eq!((of(&second, "80/tcp").as_str(), of(&second, "81/tcp").as_str()), ("8001", "32770"));
    let error = attach(&mut state, &wish(3, &["bridge"], &ports)).unwrap_err();
    assert!(
        error.message.contains("driver failed programming external connectivity on endpoint c3")
    );
    assert!(error.message.contains("Bind for 0.0.0.0:8001 failed: port is already allocated"));
    // One address and all of them clash, two addresses don't; nor do protocols.
    let at = |ip: &str, protocol| PortRequest {
        host_ip: Some(ip.parse().unwrap()),
        protocol,
        ..tcp(80, Some((8000, 8000)))
    };
    let mut one = |number, request| attach(&mut state, &wish(number, &["bridge"], &[request]));
    assert!(one(4, at("127.0.0.1", Protocol::Tcp)).is_err());
    assert!(one(5, at("127.0.0.1", Protocol::Udp)).is_ok());
    assert!(one(6, at("127.0.0.2", Protocol::Udp)).is_ok());
    assert_eq!(one(7, at("::", Protocol::Tcp)).unwrap_err().status, 400);
}

#[test]
fn the_gateway_is_the_one_with_a_way_out() {
    let mut state = state();
    create(&mut state, r#"{"Name":"a","Internal":true}"#).unwrap();
    create(&mut state, r#"{"Name":"b"}"#).unwrap();
    create(&mut state, r#"{"Name":"c"}"#).unwrap();
    let mut all = wish(1, &["a", "c", "b"], &[]);
    let gateway = |state: &State, id: &str| {
        let container = state.container(id).unwrap();
        plan::gateway(state, container).map(|endpoint| endpoint.interface.clone())
    };
    attach(&mut state, &all).unwrap();
    assert_eq!(gateway(&state, &all.id).unwrap(), "eth2");
    all.endpoints[1].gw_priority = 1;
    all.id = format!("{:064x}", 2);
    attach(&mut state, &all).unwrap();
    assert_eq!(gateway(&state, &all.id).unwrap(), "eth1");
    let inner = wish(3, &["a"], &[tcp(80, None)]);
    assert!(attach(&mut state, &inner).unwrap().ports.is_empty());
    assert_eq!(gateway(&state, &inner.id), None);
}

#[test]
fn default_bridge_refuses_what_docker_refuses() {
    let mut state = state();
    let mut aliased = wish(1, &["bridge"], &[]);
    aliased.endpoints[0].aliases = vec!["x".into()];
    assert_eq!(attach(&mut state, &aliased).unwrap_err().status, 400);
    let mut chosen = wish(1, &["bridge"], &[]);
    chosen.endpoints[0].ipv4 = Some([172, 17, 0, 9].into());
    assert_eq!(attach(&mut state, &chosen).unwrap_err().status, 400);
    for network in ["host", "none"] {
        assert_eq!(attach(&mut state, &wish(1, &[network], &[])).unwrap_err().status, 400);
    }
    assert_eq!(attach(&mut state, &wish(1, &["nowhere"], &[])).unwrap_err().status, 404);
    assert_eq!(attach(&mut state, &wish(1, &["bridge", "bridge"], &[])).unwrap_err().status, 403);
}

#[test]
fn rules_are_the_whole_table_or_its_end() {
    let mut state = state();
    let none = rules::ruleset(&state);
    assert_eq!(none, "table inet deck\ndelete table inet deck\n");
    create(&mut state, r#"{"Name":"six","EnableIPv6":true,"Internal":false}"#).unwrap();
    let mut ports = vec![tcp(80, Some((8080, 8080)))];
    attach(&mut state, &wish(1, &["six"], &ports)).unwrap();
    ports[0].host_ip = Some([127, 0, 0, 1].into());
    attach(&mut state, &wish(2, &["bridge"], &ports)).unwrap_err();
    ports[0].host_ports = Some((8081, 8081));
    attach(&mut state, &wish(2, &["bridge"], &ports)).unwrap();
    let text = rules::ruleset(&state);
    for wanted in [
        "elements = { 6 . 8080 : 172.18.0.2 . 80 }",
        "elements = { 127.0.0.1 . 6 . 8081 : 172.17.0.2 . 80 }",
        "elements = { 6 . 8080 : fd01:203:405::2 . 80 }",
        "iifname { \"deck0\", \"br-000000000b03\" } ip daddr 127.0.0.0/8 drop",
        "ip saddr 172.17.0.0/16 oifname != \"deck0\" masquerade",
        "oifname \"deck0\" drop",
    ] {
        assert!(text.contains(wanted), "{wanted}\n{text}");
    }
    assert!(!text.contains("iifkind"));
    state.forwarding.ipv4 = true;
    assert!(rules::ruleset(&state).contains("meta nfproto ipv4 drop"));
    state.containers.clear();
    assert_eq!(rules::ruleset(&state), none);
}

#[test]
fn endpoints_have_link_local_addresses_options_and_links_to_come() {
    let mut state = state();
    create(&mut state, r#"{"Name":"n"}"#).unwrap();
    let mut wish = wish(1, &["n"], &[]);
    let endpoint = &mut wish.endpoints[0];
    endpoint.link_local = vec!["169.254.8.8".parse().unwrap()];
    endpoint.driver_opts = [("mine".to_owned(), "on".to_owned())].into();
    endpoint.links = vec![Link { name: "later".into(), alias: "db".into(), ..Link::default() }];
    let mut bad = wish.clone();
    let attached = attach(&mut state, &wish).unwrap();
    let json = serde_json::to_value(&attached.networks["n"]).unwrap();
    assert_eq!(json["IPAMConfig"]["LinkLocalIPs"], serde_json::json!(["169.254.8.8"]));
    assert_eq!(json["DriverOpts"]["mine"], "on");
    assert_eq!(json["Links"], serde_json::json!(["later:db"]));
    for address in ["10.0.0.1", "fe80::1"] {
        // No such address, and a family the network hasn't.
        bad.endpoints[0].link_local = vec![address.parse().unwrap()];
        assert_eq!(attach(&mut state, &bad).unwrap_err().status, 400, "{address}");
    }
    bad.endpoints[0].link_local.clear();
    let known = "com.docker.network.endpoint.sysctls";
    bad.endpoints[0].driver_opts = [(known.to_owned(), "x".to_owned())].into();
    assert_eq!(attach(&mut state, &bad).unwrap_err().status, 400);
}
