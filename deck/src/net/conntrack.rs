//! Connection tracking entries of a container or a port, removed when what they say has changed.
//!
//! A UDP flow never ends while its client keeps sending: its entry would go on leading to an
//! address that is gone or belongs to another container.

use super::link;
use super::model::Protocol;
use super::netlink::{Message, Netlink, attribute, field};
use super::ports::Published;
use crate::error::{At, Result};
use nix::errno::Errno;
use nix::libc;
use std::net::IpAddr;

// linux/netfilter/nfnetlink_conntrack.h.
/// `NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET`.
const GET: u16 = 1 << 8 | 1;
/// `NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE`.
const DELETE: u16 = 1 << 8 | 2;
const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
const CTA_IP_V4_SRC: u16 = 1;
const CTA_IP_V6_SRC: u16 = 3;
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_DST_PORT: u16 = 3;
const NLA_F_NESTED: u16 = 0x8000;

/// An entry: its original direction as the kernel told it, and what is asked about it.
struct Entry {
    original: Vec<u8>,
    source: Option<IpAddr>,
    answerer: Option<IpAddr>,
    udp_port: Option<u16>,
}

/// Removes the entries of flows to and from `addresses`, and of UDP flows to `ports` of the host.
/// An entry that ended meanwhile is no error.
///
/// # Errors
/// The kernel's answer.
pub fn forget(addresses: &[IpAddr], ports: &[Published]) -> Result<()> {
    let is_udp = |port: &&Published| port.protocol == Protocol::Udp;
    let ports: Vec<u16> = ports.iter().filter(is_udp).map(|port| port.host_port).collect();
    if addresses.is_empty() && ports.is_empty() {
        return Ok(());
    }
    let mut netlink = Netlink::netfilter().at(|| "open an nfnetlink socket")?;
    for family in [libc::AF_INET, libc::AF_INET6] {
        let family = u8::try_from(family).unwrap_or(0);
        let request = Message::new(GET, 0, &[family, 0, 0, 0]);
        let entries = match netlink.list(&request, |payload| entry(family, payload)) {
            Ok(entries) => entries,
            // No connection tracking: nothing to forget.
            Err(Errno::EOPNOTSUPP | Errno::EINVAL | Errno::EPROTONOSUPPORT) => continue,
            Err(errno) => return Err(errno).at(|| "list tracked connections"),
        };
        let concerned = |entry: &&Entry| {
            let ends = [entry.source, entry.answerer];
            ends.iter().flatten().any(|end| addresses.contains(end))
                || entry.udp_port.is_some_and(|port| ports.contains(&port))
        };
        for entry in entries.iter().filter(concerned) {
            let request = Message::new(DELETE, 0, &[family, 0, 0, 0])
                .attribute(CTA_TUPLE_ORIG | NLA_F_NESTED, &entry.original);
            match netlink.execute(request) {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(errno) => return Err(errno).at(|| "forget a tracked connection"),
            }
        }
    }
    Ok(())
}

fn entry(family: u8, payload: &[u8]) -> Option<Entry> {
    const UDP: u8 = 17;
    let attributes = payload.get(4..)?;
    let original = attribute(attributes, CTA_TUPLE_ORIG)?;
    let protocol = attribute(original, CTA_TUPLE_PROTO)?;
    let is_udp = attribute(protocol, CTA_PROTO_NUM)? == [UDP];
    let port = attribute(protocol, CTA_PROTO_DST_PORT).and_then(|port| field(port, 0));
    Some(Entry {
        original: original.to_vec(),
        source: source(family, original),
        answerer: source(family, attribute(attributes, CTA_TUPLE_REPLY)?),
        udp_port: port.filter(|_| is_udp).map(u16::from_be_bytes),
    })
}

fn source(family: u8, tuple: &[u8]) -> Option<IpAddr> {
    let addresses = attribute(tuple, CTA_TUPLE_IP)?;
    let v4 = attribute(addresses, CTA_IP_V4_SRC);
    link::address(family, v4.or_else(|| attribute(addresses, CTA_IP_V6_SRC))?)
}
