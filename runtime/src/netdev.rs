//! Network devices of a container: its loopback, and those of `linux.netDevices`
//! (config-linux.md "Network Devices").
//!
//! [`loopback_up`] is run by init, in its network namespace. [`plan`] is pure. [`attach`] is run by
//! the runtime, which has the privileges over both namespaces.

use crate::error::{At, Error, Kind, Result};
use crate::spec::Problem;
use crate::spec::linux::NetDevice;
use crate::sys::fd::leave_to_execve;
use crate::sys::netlink::{Message, Netlink, attributes, i32_at, link_header, u32_at};
use nix::errno::Errno;
use nix::libc;
use nix::sched::{CloneFlags, setns};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Length of a device name with its NUL (linux/if.h).
const IFNAMSIZ: usize = 16;
/// How many names a template may have tried; the kernel's own limit is far above.
const TEMPLATE_LIMIT: u32 = 4096;

/// Brings up the loopback device of the caller's network namespace.
///
/// It has index 1 in every namespace (LOOPBACK_IFINDEX, include/net/net_namespace.h), so one
/// request does it.
pub fn loopback_up() -> Result<()> {
    let up = || {
        let mut netlink = Netlink::open()?;
        netlink.execute(link_flags(1, true)?)?;
        leave_to_execve(netlink.into());
        Ok::<(), Errno>(())
    };
    up().at(|| "bringing up the loopback device")
}

/// Brings up the loopback device of another network namespace.
pub fn loopback_up_in(netns: BorrowedFd<'_>) -> Result<()> {
    let up = || open_in(netns)?.execute(link_flags(1, true)?).map_err(Error::from);
    up().at(|| "bringing up the loopback device")
}

/// A device to move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its name in the runtime's namespace.
    pub host_name: String,
    /// Its name in the container, or a template with `%d` for a number.
    pub container_name: String,
}

/// Checks the names of `linux.netDevices`.
///
/// # Errors
/// All problems found.
pub fn plan(devices: &BTreeMap<String, NetDevice>) -> Result<Vec<Device>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut plan: Vec<Device> = Vec::with_capacity(devices.len());
    for (host_name, device) in devices {
        let at = format!("linux.netDevices[{host_name:?}]");
        let given = if device.name.is_empty() { host_name } else { &device.name };
        if !is_valid_name(host_name) {
            let what = format!("invalid network device name {host_name:?}");
            problems.push(Problem::new(at.clone(), what));
        }
        if !is_valid_name(given) || !is_valid_template(given) {
            let what = format!("invalid network device name {given:?}");
            problems.push(Problem::new(format!("{at}.name"), what));
        }
        if !given.contains('%') && plan.iter().any(|known| known.container_name == *given) {
            let what = format!("{given:?} is the name of two devices");
            problems.push(Problem::new(format!("{at}.name"), what));
        }
        plan.push(Device { host_name: host_name.clone(), container_name: given.clone() });
    }
    if problems.is_empty() { Ok(plan) } else { Err(problems) }
}

/// As the kernel's `dev_valid_name` (net/core/dev.c).
fn is_valid_name(name: &str) -> bool {
    let length = 1..IFNAMSIZ;
    let forbidden =
        |byte: u8| matches!(byte, 0 | b'/' | b':') || byte.is_ascii_whitespace() || byte == 0x0b;
    length.contains(&name.len()) && !matches!(name, "." | "..") && !name.bytes().any(forbidden)
}

/// As the kernel's `__dev_alloc_name`: nothing but one `%d` may follow a per cent sign.
fn is_valid_template(name: &str) -> bool {
    match name.split_once('%') {
        None => true,
        Some((_, rest)) => rest.starts_with('d') && !rest.contains('%'),
    }
}

/// Moves the devices into the network namespace, with their permanent global addresses, and
/// brings them up there.
///
/// Everything that can be known before is checked before the first device is moved. There is no
/// way back: the devices belong to the namespace then, and leave it when it ends
/// (network_namespaces(7)).
pub fn attach(devices: &[Device], netns: BorrowedFd<'_>) -> Result<()> {
    if devices.is_empty() {
        return Ok(());
    }
    let mut host = Netlink::open().at(|| "socket(AF_NETLINK)")?;
    let mut container = open_in(netns)?;
    let mut indexes = Vec::with_capacity(devices.len());
    for Device { host_name, container_name } in devices {
        let index = find(&mut host, host_name)
            .at(|| format!("link not found for interface {host_name} in the runtime namespace"))?;
        if !container_name.contains('%') && exists(&mut container, container_name)? {
            return Err(Error::new(
                Kind::Exists,
                format!("network device {container_name} already exists in the container"),
            ));
        }
        indexes.push(index);
    }
    for (device, index) in devices.iter().zip(indexes) {
        attach_one(&mut host, &mut container, device, index, netns)
            .at(|| format!("moving network device {} into the container", device.host_name))?;
    }
    Ok(())
}

fn attach_one(
    host: &mut Netlink,
    container: &mut Netlink,
    device: &Device,
    index: i32,
    netns: BorrowedFd<'_>,
) -> Result<()> {
    let name = concrete_name(container, &device.container_name)?;
    // Before the device goes down, which deletes its IPv6 addresses.
    let addresses = addresses(host, index).at(|| "listing its addresses")?;
    // Down, so that nothing on either side works with it half-configured, and may be renamed.
    link_flags(index, false).and_then(|it| host.execute(it)).at(|| "taking it down")?;
    let request = move_request(index, &name, netns);
    request.and_then(|request| host.execute(request)).at(|| format!("as {name}"))?;
    let index = find(container, &name).at(|| format!("finding {name}"))?;
    for address in &addresses {
        address
            .request(index)
            .and_then(|request| container.execute(request))
            .at(|| format!("adding its address {address:?} again"))?;
    }
    link_flags(index, true).and_then(|it| container.execute(it)).at(|| "bringing it up")
}

/// A connection to another network namespace; the caller, single-threaded, is back in its own
/// when this returns.
fn open_in(netns: BorrowedFd<'_>) -> Result<Netlink> {
    let own = File::open("/proc/thread-self/ns/net").at(|| "open(/proc/thread-self/ns/net)")?;
    setns(netns, CloneFlags::CLONE_NEWNET).at(|| "setns(container's network namespace)")?;
    let socket = Netlink::open().at(|| "socket(AF_NETLINK)");
    setns(own, CloneFlags::CLONE_NEWNET).at(|| "setns(own network namespace)")?;
    socket
}

/// The first free name of a template. (Were the template passed to the kernel, there would be no
/// sure way to learn which name it chose.)
fn concrete_name(container: &mut Netlink, name: &str) -> Result<String> {
    if !name.contains('%') {
        return Ok(name.to_owned());
    }
    for number in 0..TEMPLATE_LIMIT {
        let candidate = name.replace("%d", &number.to_string());
        if candidate.len() >= IFNAMSIZ {
            break;
        }
        if !exists(container, &candidate)? {
            return Ok(candidate);
        }
    }
    Err(Error::new(Kind::Exists, format!("every name of the form {name} is taken")))
}

fn exists(netlink: &mut Netlink, name: &str) -> Result<bool> {
    match find(netlink, name) {
        Ok(_) => Ok(true),
        Err(Errno::ENODEV) => Ok(false),
        Err(errno) => Err(errno).at(|| format!("looking for network device {name}")),
    }
}

/// The index of a device.
fn find(netlink: &mut Netlink, name: &str) -> nix::Result<i32> {
    let request = Message::new(libc::RTM_GETLINK, 0, &link_header(0, 0, 0))?
        .attribute(libc::IFLA_IFNAME, &nul(name))?;
    netlink.get(request, |payload| i32_at(payload, 4))
}

fn nul(name: &str) -> Vec<u8> {
    name.bytes().chain([0]).collect()
}

fn link_flags(index: i32, up: bool) -> nix::Result<Message> {
    const IFF_UP: u32 = 1;
    let header = link_header(index, if up { IFF_UP } else { 0 }, IFF_UP);
    Message::new(libc::RTM_NEWLINK, 0, &header)
}

/// Namespace and name in one request: the kernel uses the new name if the present one is taken
/// there.
fn move_request(index: i32, name: &str, netns: BorrowedFd<'_>) -> nix::Result<Message> {
    Message::new(libc::RTM_NEWLINK, 0, &link_header(index, 0, 0))?
        .attribute(libc::IFLA_IFNAME, &nul(name))?
        .attribute(libc::IFLA_NET_NS_FD, &netns.as_raw_fd().to_ne_bytes())
}

/// An address of a device, as rtnetlink describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Address {
    family: u8,
    prefix_length: u8,
    flags: u32,
    /// Address, peer, broadcast address, metric: as they were.
    attributes: Vec<(u16, Vec<u8>)>,
}

impl Address {
    /// Reads an RTM_NEWADDR about the device `index`, if the address is one to keep: permanent
    /// and of global scope.
    fn read(payload: &[u8], index: i32) -> Option<Self> {
        // struct ifaddrmsg: family, prefix length, flags, scope, index (linux/if_addr.h).
        const FIXED: usize = 8;
        const IFA_FLAGS: u16 = 8;
        const IFA_F_PERMANENT: u32 = 0x80;
        const RT_SCOPE_UNIVERSE: u8 = 0;
        let &[family, prefix_length, flags, scope] = payload.first_chunk()?;
        if i32_at(payload, 4)? != index || scope != RT_SCOPE_UNIVERSE {
            return None;
        }
        let mut address =
            Self { family, prefix_length, flags: flags.into(), attributes: Vec::new() };
        for (kind, value) in attributes(payload.get(FIXED..)?) {
            match kind {
                IFA_FLAGS => address.flags = u32_at(value, 0)?,
                1 | 2 | 4 | 9 => address.attributes.push((kind, value.to_vec())),
                _ => {}
            }
        }
        (address.flags & IFA_F_PERMANENT != 0).then_some(address)
    }

    fn request(&self, index: i32) -> nix::Result<Message> {
        const NLM_F_EXCL_CREATE: u16 = 0x600;
        const IFA_FLAGS: u16 = 8;
        // What somebody chose: IFA_F_NODAD, HOMEADDRESS, MANAGETEMPADDR, NOPREFIXROUTE and
        // MCAUTOJOIN. The other flags are states.
        const CHOSEN: u32 = 0x02 | 0x10 | 0x100 | 0x200 | 0x400;
        let mut fixed = [self.family, self.prefix_length, 0, 0, 0, 0, 0, 0];
        if let Some(room) = fixed.last_chunk_mut() {
            *room = index.to_ne_bytes();
        }
        let flags = (self.flags & CHOSEN).to_ne_bytes();
        let request = Message::new(libc::RTM_NEWADDR, NLM_F_EXCL_CREATE, &fixed)?;
        let each = self.attributes.iter();
        each.fold(request.attribute(IFA_FLAGS, &flags), |request, (kind, value)| {
            request?.attribute(*kind, value)
        })
    }
}

fn addresses(netlink: &mut Netlink, index: i32) -> nix::Result<Vec<Address>> {
    let request = Message::new(libc::RTM_GETADDR, 0, &[0; 8])?;
    netlink.list(&request, |payload| Address::read(payload, index))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(names: &[(&str, &str)]) -> Result<Vec<Device>, Vec<Problem>> {
        let device = |name: &str| NetDevice { name: name.into() };
        plan(&names.iter().map(|(host, name)| ((*host).into(), device(name))).collect())
    }

    #[test]
    fn names() {
        let devices = planned(&[("eth0", ""), ("eth1", "lan%d")]).unwrap();
        let names: Vec<_> = devices.iter().map(|it| it.container_name.as_str()).collect();
        assert_eq!(names, ["eth0", "lan%d"]);
        assert!(planned(&[("abcdefghijklmno", "")]).is_ok());
        for wrong in
            ["", ".", "..", "a/b", "a:b", "a b", "a\tb", "a\0b", "abcdefghijklmnop", "\u{b}"]
        {
            assert!(planned(&[(wrong, "x")]).is_err(), "{wrong:?}");
        }
        for wrong in ["a/b", "%s", "%", "a%d%d", "a%d%", "100%"] {
            assert!(planned(&[("eth0", wrong)]).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn two_devices_cannot_have_one_name() {
        let problems = planned(&[("a", "x"), ("b", "x")]).unwrap_err();
        assert_eq!(problems.len(), 1);
        assert!(planned(&[("a", "x%d"), ("b", "x%d")]).is_ok());
        assert!(planned(&[("a", "b"), ("b", "a")]).is_ok());
    }

    /// An RTM_NEWADDR: 10.0.0.1/24 on device 5 with these flags and scope.
    fn message(flags: u32, scope: u8) -> Vec<u8> {
        let fixed = [2, 24, 0x80, scope, 5, 0, 0, 0];
        let attribute = |kind: u16, value: [u8; 4]| {
            [&8u16.to_ne_bytes()[..], &kind.to_ne_bytes(), &value].concat()
        };
        let label = attribute(3, *b"lan\0");
        let local = attribute(2, [10, 0, 0, 1]);
        [&fixed[..], &local, &label, &attribute(8, flags.to_ne_bytes())].concat()
    }

    #[test]
    fn only_permanent_global_addresses_are_kept() {
        let address = Address::read(&message(0x280, 0), 5).unwrap();
        assert_eq!(address.attributes, [(2, vec![10, 0, 0, 1])]);
        assert_eq!((address.family, address.prefix_length, address.flags), (2, 24, 0x280));
        // Not permanent (the wide flags count), of link scope, of another device, cut short.
        assert_eq!(Address::read(&message(0, 0), 5), None);
        assert_eq!(Address::read(&message(0x80, 253), 5), None);
        assert_eq!(Address::read(&message(0x80, 0), 6), None);
        assert_eq!(Address::read(&[2, 24, 0x80], 5), None);
    }

    #[test]
    fn addresses_that_do_not_fit_are_refused() {
        let mut address = Address::read(&message(0x80, 0), 5).unwrap();
        assert!(address.request(1).is_ok());
        address.attributes.push((1, vec![0; 70_000]));
        assert_eq!(address.request(1).unwrap_err(), Errno::EMSGSIZE);
    }
}
