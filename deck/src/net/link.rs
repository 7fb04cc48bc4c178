//! Network devices, addresses and routes: rtnetlink(7) messages of the few kinds needed.

use super::netlink::{Message, NEW, Netlink, attribute, field};
use crate::error::{At, Result};
use ipnet::IpNet;
use nix::errno::Errno;
use nix::libc;
use std::fs::File;
use std::net::IpAddr;
use std::os::fd::AsRawFd;

// Not in libc: linux/if_link.h, linux/veth.h.
const IFLA_INFO_SLAVE_KIND: u16 = 4;
const IFLA_INFO_SLAVE_DATA: u16 = 5;
const IFLA_BRPORT_MODE: u16 = 4;
const IFLA_BRPORT_ISOLATED: u16 = 33;
const VETH_INFO_PEER: u16 = 1;
const IFLA_BR_FORWARD_DELAY: u16 = 1;
const RTN_UNICAST: u8 = 1;
const RT_SCOPE_UNIVERSE: u8 = 0;
const IFA_FLAGS: u16 = 8;
const IFA_F_NODAD: u32 = 2;

/// A link-layer address.
pub type Mac = [u8; 6];

const UP: u32 = libc::IFF_UP as u32;

/// `struct ifinfomsg`.
fn ifinfo(index: i32, flags: u32, change: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..].copy_from_slice(&change.to_ne_bytes());
    bytes
}

/// The devices of one network namespace.
pub struct Links(Netlink);

/// A veth pair to make: one end on a bridge here, the other in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Veth {
    /// This end's name.
    pub name: String,
    /// The container's end's name.
    pub peer: String,
    /// The container's end's address.
    pub mac: Mac,
    /// Of both ends.
    pub mtu: u32,
    /// No traffic to other isolated ports of the bridge.
    pub isolated: bool,
}

impl Links {
    /// Of the namespace the calling thread is in.
    ///
    /// # Errors
    /// socket(2).
    pub fn open() -> Result<Self> {
        Netlink::route().map(Self).at(|| "open an rtnetlink socket")
    }

    /// The index of a device; `None` when there is none of that name.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn index(&mut self, name: &str) -> Result<Option<i32>> {
        let request =
            Message::new(libc::RTM_GETLINK, 0, &ifinfo(0, 0, 0)).string(libc::IFLA_IFNAME, name);
        match self.0.get(request, |link| field(link, 4).map(i32::from_ne_bytes)) {
            Ok(index) => Ok(Some(index)),
            Err(Errno::ENODEV) => Ok(None),
            Err(errno) => Err(errno).at(|| format!("look for network device {name}")),
        }
    }

    /// What a device is (`bridge`, `veth` …); `None` for plain hardware.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn kind(&mut self, name: &str) -> Result<Option<String>> {
        let request =
            Message::new(libc::RTM_GETLINK, 0, &ifinfo(0, 0, 0)).string(libc::IFLA_IFNAME, name);
        let kind = self.0.get(request, |link| {
            let info = attribute(link.get(16..)?, libc::IFLA_LINKINFO);
            let kind = info.and_then(|info| attribute(info, libc::IFLA_INFO_KIND));
            let kind = kind.and_then(|kind| kind.strip_suffix(&[0]));
            Some(kind.map(|kind| String::from_utf8_lossy(kind).into_owned()))
        });
        kind.at(|| format!("look for network device {name}"))
    }

    /// Makes a bridge, up, with forwarding of frames from the first moment.
    ///
    /// # Errors
    /// The kernel's answer; EEXIST for a taken name.
    pub fn add_bridge(&mut self, name: &str, mtu: u32) -> Result<(), Errno> {
        let request = Message::new(libc::RTM_NEWLINK, NEW, &ifinfo(0, UP, UP))
            .string(libc::IFLA_IFNAME, name)
            .attribute(libc::IFLA_MTU, &mtu.to_ne_bytes())
            .nested(libc::IFLA_LINKINFO, |info| {
                info.string(libc::IFLA_INFO_KIND, "bridge").nested(libc::IFLA_INFO_DATA, |data| {
                    data.attribute(IFLA_BR_FORWARD_DELAY, &0_u32.to_ne_bytes())
                })
            });
        self.0.execute(request)
    }

    /// Makes a veth pair: this end on `bridge` and up, the other one in `netns`, down.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn add_veth(&mut self, veth: &Veth, bridge: i32, netns: &File) -> Result<()> {
        let mtu = veth.mtu.to_ne_bytes();
        let request = Message::new(libc::RTM_NEWLINK, NEW, &ifinfo(0, UP, UP))
            .string(libc::IFLA_IFNAME, &veth.name)
            .attribute(libc::IFLA_MTU, &mtu)
            .attribute(libc::IFLA_MASTER, &bridge.to_ne_bytes())
            .nested(libc::IFLA_LINKINFO, |info| {
                info.string(libc::IFLA_INFO_KIND, "veth").nested(libc::IFLA_INFO_DATA, |data| {
                    data.nested(VETH_INFO_PEER, |peer| {
                        peer.raw(&ifinfo(0, 0, 0))
                            .string(libc::IFLA_IFNAME, &veth.peer)
                            .attribute(libc::IFLA_ADDRESS, &veth.mac)
                            .attribute(libc::IFLA_MTU, &mtu)
                            .attribute(libc::IFLA_NET_NS_FD, &netns.as_raw_fd().to_ne_bytes())
                    })
                })
            });
        self.0.execute(request).at(|| format!("make veth pair {}", veth.name))?;
        self.set_port(veth)
    }

    /// Hairpin mode, so that a container reaches itself through a published port where frames on
    /// bridges pass the packet filter (`bridge-nf-call-iptables`); isolation as asked for.
    fn set_port(&mut self, veth: &Veth) -> Result<()> {
        let request = Message::new(libc::RTM_NEWLINK, 0, &ifinfo(0, 0, 0))
            .string(libc::IFLA_IFNAME, &veth.name)
            .nested(libc::IFLA_LINKINFO, |info| {
                info.string(IFLA_INFO_SLAVE_KIND, "bridge").nested(IFLA_INFO_SLAVE_DATA, |data| {
                    data.attribute(IFLA_BRPORT_MODE, &[1])
                        .attribute(IFLA_BRPORT_ISOLATED, &[u8::from(veth.isolated)])
                })
            });
        self.0.execute(request).at(|| format!("set the bridge port {}", veth.name))
    }

    /// Removes a device; none of that name is no error.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn remove(&mut self, name: &str) -> Result<()> {
        let request =
            Message::new(libc::RTM_DELLINK, 0, &ifinfo(0, 0, 0)).string(libc::IFLA_IFNAME, name);
        match self.0.execute(request) {
            Ok(()) | Err(Errno::ENODEV) => Ok(()),
            Err(errno) => Err(errno).at(|| format!("remove network device {name}")),
        }
    }

    /// Sets a device up.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn up(&mut self, index: i32) -> Result<()> {
        let request = Message::new(libc::RTM_NEWLINK, 0, &ifinfo(index, UP, UP));
        self.0.execute(request).at(|| format!("set network device {index} up"))
    }

    /// Adds an address. IPv6 addresses are usable at once: deck gives each to one container only,
    /// so duplicates need not be looked for (two seconds).
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn add_address(&mut self, index: i32, address: IpNet) -> Result<()> {
        let octets = octets(address.addr());
        let mut fixed = [0; 8];
        fixed[0] = family(address.addr());
        fixed[1] = address.prefix_len();
        fixed[4..].copy_from_slice(&index.to_ne_bytes());
        let mut request = Message::new(libc::RTM_NEWADDR, NEW, &fixed)
            .attribute(libc::IFA_LOCAL, &octets)
            .attribute(libc::IFA_ADDRESS, &octets);
        request = match address {
            IpNet::V4(v4) => request.attribute(libc::IFA_BROADCAST, &v4.broadcast().octets()),
            IpNet::V6(_) => request.attribute(IFA_FLAGS, &IFA_F_NODAD.to_ne_bytes()),
        };
        match self.0.execute(request) {
            Ok(()) | Err(Errno::EEXIST) => Ok(()),
            Err(errno) => Err(errno).at(|| format!("add address {address}")),
        }
    }

    /// Adds or removes the default route.
    ///
    /// # Errors
    /// The kernel's answer; a route that is there, or not there to be removed, is none.
    pub fn default_route(&mut self, index: i32, gateway: IpAddr, add: bool) -> Result<()> {
        let mut fixed = [0_u8; 12];
        fixed[0] = family(gateway);
        fixed[4] = libc::RT_TABLE_MAIN;
        fixed[5] = libc::RTPROT_BOOT;
        fixed[6] = RT_SCOPE_UNIVERSE;
        fixed[7] = RTN_UNICAST;
        let kind = if add { libc::RTM_NEWROUTE } else { libc::RTM_DELROUTE };
        let request = Message::new(kind, if add { NEW } else { 0 }, &fixed)
            .attribute(libc::RTA_GATEWAY, &octets(gateway))
            .attribute(libc::RTA_OIF, &index.to_ne_bytes());
        match self.0.execute(request) {
            Ok(()) | Err(Errno::EEXIST | Errno::ESRCH) => Ok(()),
            Err(errno) => Err(errno).at(|| format!("default route through {gateway}")),
        }
    }

    /// The names of all devices.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn names(&mut self) -> Result<Vec<String>> {
        let request = Message::new(libc::RTM_GETLINK, 0, &ifinfo(0, 0, 0));
        self.0
            .list(&request, |link| {
                let name = attribute(link.get(16..)?, libc::IFLA_IFNAME)?;
                Some(String::from_utf8_lossy(name.strip_suffix(&[0])?).into_owned())
            })
            .at(|| "list network devices")
    }

    /// What the host's routes lead to, except by default: subnets that are taken.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn routed(&mut self) -> Result<Vec<IpNet>> {
        self.0
            .list(&Message::new(libc::RTM_GETROUTE, 0, &[0; 12]), |route| {
                let (family, length) = (*route.first()?, *route.get(1)?);
                let destination = attribute(route.get(12..)?, libc::RTA_DST)?;
                let address = address(family, destination)?;
                IpNet::new(address, length).ok()
            })
            .at(|| "list routes")
    }
}

/// Sets the loopback device of the calling thread's namespace up.
///
/// # Errors
/// The kernel's answer.
pub fn loopback_up() -> Result<()> {
    let mut links = Links::open()?;
    // The loopback device is the first of its namespace.
    links.up(1)
}

fn family(address: IpAddr) -> u8 {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    u8::try_from(family).unwrap_or(0)
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

pub fn address(family: u8, bytes: &[u8]) -> Option<IpAddr> {
    match i32::from(family) {
        libc::AF_INET => Some(IpAddr::from(field::<4>(bytes, 0)?)),
        libc::AF_INET6 => Some(IpAddr::from(field::<16>(bytes, 0)?)),
        _ => None,
    }
}
