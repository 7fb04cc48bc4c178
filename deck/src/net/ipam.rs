//! Which subnets and addresses are given; pure.

use crate::error::{Error, Result};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IPv4 network's default subnet: the first of Docker's default pools that nothing uses.
///
/// # Errors
/// 400 when all are taken.
pub fn free_ipv4_subnet(taken: &[IpNet]) -> Result<Ipv4Net> {
    let sixteens = (17..=31).map(|second| (Ipv4Addr::new(172, second, 0, 0), 16));
    let twenties = (0..16).map(|third| (Ipv4Addr::new(192, 168, third * 16, 0), 20));
    sixteens
        .chain(twenties)
        .filter_map(|(address, length)| Ipv4Net::new(address, length).ok())
        .find(|subnet| !overlaps(IpNet::V4(*subnet), taken))
        .ok_or_else(all_taken)
}

/// An IPv6 network's default subnet: a /64 of the host's own unique local /48 (RFC 4193).
///
/// # Errors
/// 400 when all are taken.
pub fn free_ipv6_subnet(host: [u8; 5], taken: &[IpNet]) -> Result<Ipv6Net> {
    (0..=u16::MAX)
        .filter_map(|subnet| {
            let mut octets = [0; 16];
            octets[0] = 0xfd;
            octets[1..6].copy_from_slice(&host);
            octets[6..8].copy_from_slice(&subnet.to_be_bytes());
            Ipv6Net::new(Ipv6Addr::from(octets), 64).ok()
        })
        .find(|subnet| !overlaps(IpNet::V6(*subnet), taken))
        .ok_or_else(all_taken)
}

fn all_taken() -> Error {
    Error::invalid("all predefined address pools have been fully subnetted")
}

/// Whether a subnet shares addresses with one of `taken`.
pub fn overlaps(subnet: IpNet, taken: &[IpNet]) -> bool {
    taken.iter().any(|other| other.contains(&subnet) || subnet.contains(other))
}

/// The lowest address of `range` (or `subnet`) that is neither taken nor the network's own.
///
/// # Errors
/// 400 when there is none left.
pub fn next_address(
    subnet: IpNet,
    range: Option<IpNet>,
    taken: &HashSet<IpAddr>,
) -> Result<IpAddr> {
    let from = range.unwrap_or(subnet);
    // What is taken bounds the search: among so many and two more addresses one is free.
    let mut candidate = from.network();
    while from.contains(&candidate) {
        if usable(subnet, candidate) && !taken.contains(&candidate) {
            return Ok(candidate);
        }
        let Some(next) = successor(candidate) else { break };
        candidate = next;
    }
    Err(Error::invalid(format!(
        "no available IPv{} addresses on this network's address pools: {from}",
        if from.addr().is_ipv4() { 4 } else { 6 }
    )))
}

/// Whether a chosen address can be given.
///
/// # Errors
/// 400 outside the subnet, 403 for a taken one.
pub fn check_address(subnet: IpNet, wanted: IpAddr, taken: &HashSet<IpAddr>) -> Result<()> {
    if !subnet.contains(&wanted) || !usable(subnet, wanted) {
        return Err(Error::invalid(format!(
            "invalid address {wanted}: it is not a host's in the subnet {}",
            subnet.trunc()
        )));
    }
    if taken.contains(&wanted) {
        return Err(Error::new(403, format!("Address already in use: {wanted}")));
    }
    Ok(())
}

/// Neither the subnet's own address nor, in IPv4, its broadcast address. Point-to-point subnets
/// (/31, RFC 3021; /127, RFC 6164) have only hosts.
fn usable(subnet: IpNet, address: IpAddr) -> bool {
    let width = subnet.max_prefix_len() - subnet.prefix_len();
    match width {
        0 | 1 => true,
        _ => {
            address != subnet.network()
                && (subnet.addr().is_ipv6() || address != subnet.broadcast())
        }
    }
}

fn successor(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => u32::from(v4).checked_add(1).map(|n| IpAddr::V4(n.into())),
        IpAddr::V6(v6) => u128::from(v6).checked_add(1).map(|n| IpAddr::V6(n.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn ips(texts: &[&str]) -> HashSet<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn default_subnets_pass_over_the_taken() {
        assert_eq!(free_ipv4_subnet(&[]).unwrap().to_string(), "172.17.0.0/16");
        let taken = [net("172.17.5.0/24"), net("172.18.0.0/15")];
        assert_eq!(free_ipv4_subnet(&taken).unwrap().to_string(), "172.20.0.0/16");
        let taken = [net("172.16.0.0/12"), net("192.168.0.0/17")];
        assert_eq!(free_ipv4_subnet(&taken).unwrap().to_string(), "192.168.128.0/20");
        assert_eq!(free_ipv4_subnet(&[net("0.0.0.0/0")]).unwrap_err().status, 400);
        let host = [1, 2, 3, 4, 5];
        let first = free_ipv6_subnet(host, &[]).unwrap();
        assert_eq!(first.to_string(), "fd01:203:405::/64");
        let second = free_ipv6_subnet(host, &[first.into()]).unwrap();
        assert_eq!(second.to_string(), "fd01:203:405:1::/64");
    }

    #[test]
    fn addresses_are_the_lowest_free() {
        let taken = ips(&["10.0.0.1", "10.0.0.2"]);
        let next = |subnet, range: Option<&str>| {
            next_address(net(subnet), range.map(net), &taken).map(|ip| ip.to_string())
        };
        assert_eq!(next("10.0.0.0/24", None).unwrap(), "10.0.0.3");
        assert_eq!(next("10.0.0.0/24", Some("10.0.0.128/25")).unwrap(), "10.0.0.128");
        assert_eq!(next("10.0.0.0/31", None).unwrap(), "10.0.0.0");
        assert_eq!(next("10.0.0.0/30", None).unwrap_err().status, 400);
        assert_eq!(next("fd00::/64", None).unwrap(), "fd00::1");
    }

    #[test]
    fn chosen_addresses_are_hosts_of_the_subnet() {
        let taken = ips(&["10.0.0.1"]);
        let check = |ip: &str| check_address(net("10.0.0.0/24"), ip.parse().unwrap(), &taken);
        assert!(check("10.0.0.9").is_ok());
        assert_eq!(check("10.0.0.1").unwrap_err().status, 403);
        for bad in ["10.0.0.0", "10.0.0.255", "10.0.1.1", "fd00::1"] {
            assert_eq!(check(bad).unwrap_err().status, 400, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_address_is_given_twice(length in 24_u8..=30, count in 0_usize..300) {
            let subnet: IpNet = format!("10.1.0.0/{length}").parse().unwrap();
            let mut taken = HashSet::new();
            for _ in 0..count {
                let Ok(address) = next_address(subnet, None, &taken) else {
                    prop_assert_eq!(taken.len(), (1 << (32 - length)) - 2);
                    break;
                };
                prop_assert!(check_address(subnet, address, &taken).is_ok());
                taken.insert(address);
            }
        }
    }
}
