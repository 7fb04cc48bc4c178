//! The packet filter: one nftables table of deck's own, rendered whole from the records; pure.
//!
//! nft(8) replaces the table in one transaction, so it is never half there, and rules of others are
//! never looked at. Rules are of two kinds: a few for each bridge, and one map element for each
//! published port. A container without ports changes nothing.

use super::model::Protocol;
use super::plan;
use super::records::State;
use super::spec::Bridge;
use ipnet::IpNet;
use std::fmt::Write as _;
use std::net::IpAddr;

/// Adding before deleting makes deleting never fail.
const REMOVE: &str = "table inet deck\ndelete table inet deck\n";

/// What `nft -f -` is told; without a bridge in use, that the table goes.
pub fn ruleset(state: &State) -> String {
    let bridges: Vec<Bridge> = state
        .networks
        .iter()
        .filter(|network| state.on(&network.id).next().is_some())
        .filter_map(|network| Bridge::of(network).ok())
        .collect();
    let mut text = String::from(REMOVE);
    if bridges.is_empty() {
        return text;
    }
    let names: Vec<String> = bridges.iter().map(|b| format!("\"{}\"", b.name)).collect();
    let names = names.join(", ");
    let maps = maps(state);
    let source = source_nat(&bridges);
    let forward = forward(&bridges, state);
    let _ = write!(
        text,
        "table inet deck {{
{maps}
  # Loopback addresses of the host are the host's: route_localnet on the bridges (published ports
  # on 127.0.0.1) must not open them to containers.
  chain raw {{
    type filter hook prerouting priority raw; policy accept;
    iifname {{ {names} }} ip daddr 127.0.0.0/8 drop
    iifname {{ {names} }} ip saddr 127.0.0.0/8 drop
  }}

  # Nobody outside gets to ports published on 127.0.0.1: packets are translated before the kernel
  # refuses the address.
  chain prerouting {{
    type nat hook prerouting priority dstnat; policy accept;
    ip daddr 127.0.0.0/8 accept
    ip6 daddr ::1 accept
    jump published
  }}

  # The kernel doesn't route from ::1: a refused connection is better than a lost one.
  chain output {{
    type nat hook output priority -100; policy accept;
    ip6 daddr ::1 accept
    jump published
  }}

  chain published {{
    dnat ip to ip daddr . meta l4proto . th dport map @one4
    dnat ip6 to ip6 daddr . meta l4proto . th dport map @one6
    fib daddr type local meta nfproto ipv4 dnat ip to meta l4proto . th dport map @any4
    fib daddr type local meta nfproto ipv6 dnat ip6 to meta l4proto . th dport map @any6
  }}

  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
{source}  }}

  chain forward {{
    type filter hook forward priority filter; policy accept;
{forward}  }}
}}
"
    );
    text
}

/// Published ports, by family and by whether they are on one address or on all.
fn maps(state: &State) -> String {
    let mut elements = [const { Vec::new() }; 4];
    for container in &state.containers {
        let Some(gateway) = plan::gateway(state, container) else { continue };
        for port in &container.published {
            let same = |address: &IpAddr| address.is_ipv4() == port.host_ip.is_ipv4();
            let Some(target) = gateway.addresses().find(same) else { continue };
            let any = port.host_ip.is_unspecified();
            let kind = usize::from(port.host_ip.is_ipv6()) * 2 + usize::from(!any);
            let address = if any { String::new() } else { format!("{} . ", port.host_ip) };
            let (protocol, host, inner) =
                (protocol(port.protocol), port.host_port, port.container_port);
            if let Some(list) = elements.get_mut(kind) {
                list.push(format!("{address}{protocol} . {host} : {target} . {inner}"));
            }
        }
    }
    let mut text = String::new();
    let names = [
        ("any4", "ipv4_addr", ""),
        ("one4", "ipv4_addr", "ipv4_addr . "),
        ("any6", "ipv6_addr", ""),
        ("one6", "ipv6_addr", "ipv6_addr . "),
    ];
    for ((name, address, key), list) in names.into_iter().zip(elements) {
        let _ = writeln!(text, "  map {name} {{");
        let _ =
            writeln!(text, "    type {key}inet_proto . inet_service : {address} . inet_service");
        if !list.is_empty() {
            let _ = writeln!(text, "    elements = {{ {} }}", list.join(",\n      "));
        }
        let _ = writeln!(text, "  }}");
    }
    text
}

/// nft 1.0 knows the names only where it can look them up in /etc/protocols.
fn protocol(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Sctp => 132,
    }
}

fn source_nat(bridges: &[Bridge]) -> String {
    let mut text = String::new();
    for bridge in bridges {
        let name = &bridge.name;
        let subnets = [bridge.ipv4.map(IpNet::V4), bridge.ipv6.map(IpNet::V6)];
        for subnet in subnets.into_iter().flatten() {
            let (family, snat) = match subnet {
                IpNet::V4(_) => ("ip", bridge.snat4.map(IpAddr::V4)),
                IpNet::V6(_) => ("ip6", bridge.snat6.map(IpAddr::V6)),
            };
            let subnet = subnet.trunc();
            // From a container to a port published by it or by a neighbour: the answer has to come
            // back this way.
            let _ = writeln!(
                text,
                "    {family} saddr {subnet} oifname \"{name}\" ct status dnat masquerade"
            );
            if bridge.internal || !bridge.masquerade {
                continue;
            }
            let how = match snat {
                Some(address) => format!("snat {family} to {address}"),
                None => "masquerade".into(),
            };
            let _ = writeln!(text, "    {family} saddr {subnet} oifname != \"{name}\" {how}");
        }
        if bridge.ipv4.is_some() {
            let _ = writeln!(
                text,
                "    ip saddr 127.0.0.0/8 oifname \"{name}\" ct status dnat masquerade"
            );
        }
    }
    text
}

fn forward(bridges: &[Bridge], state: &State) -> String {
    let mut text = String::new();
    for bridge in bridges {
        let name = &bridge.name;
        let verdict = if bridge.icc { "accept" } else { "drop" };
        let _ = writeln!(text, "    oifname \"{name}\" ct state established,related accept");
        let _ = writeln!(text, "    iifname \"{name}\" ct state established,related accept");
        if !bridge.internal {
            let _ = writeln!(text, "    oifname \"{name}\" ct status dnat accept");
        }
        let _ = writeln!(text, "    iifname \"{name}\" oifname \"{name}\" {verdict}");
        // What was not published is closed, also to other networks and to neighbours of the host
        // that have a route here.
        let _ = writeln!(text, "    oifname \"{name}\" drop");
        if bridge.internal {
            let _ = writeln!(text, "    iifname \"{name}\" drop");
        }
    }
    // Where deck turned forwarding on, the host must not become a router for others by that.
    // Frames on others' bridges pass here too, with bridge-nf-call-iptables.
    let limited = [(state.forwarding.ipv4, "ipv4"), (state.forwarding.ipv6, "ipv6")];
    for family in limited.into_iter().filter_map(|(on, family)| on.then_some(family)) {
        for bridge in bridges {
            let _ = writeln!(text, "    meta nfproto {family} iifname \"{}\" accept", bridge.name);
        }
        let _ = writeln!(
            text,
            "    meta nfproto {family} meta iifkind \"bridge\" meta oifkind \"bridge\" accept"
        );
        let _ = writeln!(text, "    meta nfproto {family} drop");
    }
    text
}
