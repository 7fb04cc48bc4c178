//! What is done to the host: bridges, rules, forwarding, a container's interfaces. Thin, and each
//! step can be done again.

use super::link::{Links, Veth};
use super::netns;
use super::ports::Published;
use super::records::{Container, Endpoint, Forwarding, State};
use super::spec::{Bridge, HostFacts};
use super::{conntrack, plan};
use crate::error::{At, Error, Result};
use ipnet::IpNet;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest as _, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

const V4: &str = "/proc/sys/net/ipv4";
const V6: &str = "/proc/sys/net/ipv6";

/// Keeps other deck processes from changing the host until it is dropped.
///
/// # Errors
/// The lock file can't be made.
pub fn lock(directory: &Path) -> Result<Flock<File>> {
    let path = directory.join("lock");
    Flock::lock(lock_file(&path)?, FlockArg::LockExclusive)
        .map_err(|(_, errno)| errno)
        .at(|| format!("lock {}", path.display()))
}

/// A lock by another name, unless somebody holds it.
///
/// # Errors
/// The lock file can't be made.
pub fn try_lock(directory: &Path, name: &str) -> Result<Option<Flock<File>>> {
    let path = directory.join(name);
    match Flock::lock(lock_file(&path)?, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(errno).at(|| format!("lock {}", path.display())),
    }
}

fn lock_file(path: &Path) -> Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    file.at(|| format!("open {}", path.display()))
}

/// 64 random hexadecimal digits.
///
/// # Errors
/// /dev/urandom can't be read.
pub fn new_id() -> Result<String> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .at(|| "read /dev/urandom")?;
    Ok(bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(digit).collect())
}

fn digit(nibble: u8) -> Option<char> {
    char::from_digit(nibble.into(), 16)
}

/// What a new network must fit in with.
///
/// # Errors
/// The kernel's answers.
pub fn facts() -> Result<HostFacts> {
    let mut links = Links::open()?;
    // The host's own part need only be unlikely to be a neighbour's (RFC 4193, 3.2.2).
    let machine = fs::read("/etc/machine-id").unwrap_or_default();
    let digest = Sha256::digest([b"deck unique local addresses ".as_slice(), &machine].concat());
    let mut unique = [0; 5];
    unique.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    Ok(HostFacts {
        routed: links.routed()?,
        links: links.names()?,
        unique,
        id: new_id()?,
        now: jiff::Timestamp::now().to_string(),
    })
}

/// Whether a port of the host can be bound: what tells of listeners before anything starts.
/// Protocols the host itself doesn't speak can't be in anybody's use.
pub fn is_free(port: &Published) -> bool {
    use super::model::Protocol;
    let address = (port.host_ip, port.host_port);
    match port.protocol {
        Protocol::Tcp => TcpListener::bind(address).map(drop).is_ok(),
        Protocol::Udp => UdpSocket::bind(address).map(drop).is_ok(),
        Protocol::Sctp => true,
    }
}

/// First and last port the kernel gives out, as a user may have set them.
pub fn ephemeral_ports() -> (u16, u16) {
    let text = fs::read_to_string(format!("{V4}/ip_local_port_range")).unwrap_or_default();
    let mut words = text.split_ascii_whitespace().map(str::parse);
    match (words.next(), words.next()) {
        (Some(Ok(first)), Some(Ok(last))) if first <= last => (first, last),
        _ => (32768, 60999),
    }
}

/// Makes the bridges that are used, with forwarding; tells what is changed for all of them.
///
/// # Errors
/// The kernel's answers; 409 when a device of another has the name.
pub fn ensure_bridges(bridges: &[Bridge], forwarding: &mut Forwarding) -> Result<()> {
    let mut links = Links::open()?;
    for bridge in bridges {
        ensure_bridge(&mut links, bridge)?;
    }
    let outward = || bridges.iter().filter(|bridge| !bridge.internal);
    if outward().any(|bridge| bridge.ipv4.is_some()) {
        forwarding.ipv4 |= turn_on(&format!("{V4}/ip_forward"))?;
    }
    if outward().any(|bridge| bridge.ipv6.is_some()) {
        let path = format!("{V6}/conf/all/forwarding");
        if is_off(&path)? {
            keep_router_advertisements(forwarding)?;
        }
        forwarding.ipv6 |= turn_on(&path)?;
    }
    Ok(())
}

fn ensure_bridge(links: &mut Links, bridge: &Bridge) -> Result<()> {
    let name = &bridge.name;
    match links.add_bridge(name, bridge.mtu) {
        Ok(()) => {}
        Err(Errno::EEXIST) if links.kind(name)?.as_deref() == Some("bridge") => {}
        Err(Errno::EEXIST) => {
            return Err(Error::conflict(format!("network device {name} is not a bridge")));
        }
        Err(errno) => return Err(errno).at(|| format!("make bridge {name}")),
    }
    // Containers must not tell the host about routers (CVE-2020-13401).
    set(&format!("{V6}/conf/{name}/accept_ra"), "0")?;
    if bridge.ipv6.is_none() {
        set(&format!("{V6}/conf/{name}/disable_ipv6"), "1")?;
    }
    if bridge.ipv4.is_some() {
        // For ports published on 127.0.0.1; the table's raw chain keeps containers out.
        set(&format!("{V4}/conf/{name}/route_localnet"), "1")?;
    }
    let index = links.index(name)?.ok_or_else(|| gone(name))?;
    let gateways = [bridge.ipv4.map(IpNet::V4), bridge.ipv6.map(IpNet::V6)];
    for gateway in gateways.into_iter().flatten() {
        links.add_address(index, gateway)?;
    }
    links.up(index)
}

fn gone(name: &str) -> Error {
    Error::internal(format!("network device {name} is gone"))
}

/// Removes bridges nobody is on and, with the last bridge, what was changed for all.
///
/// # Errors
/// The kernel's answers.
pub fn remove_unused(state: &State, forwarding: &mut Forwarding) -> Result<()> {
    let mut links = Links::open()?;
    let present = links.names()?;
    let mut used = false;
    for network in &state.networks {
        let Ok(bridge) = Bridge::of(network) else { continue };
        if state.on(&network.id).next().is_some() {
            used = true;
        } else if present.contains(&bridge.name) {
            links.remove(&bridge.name)?;
        }
    }
    if used {
        return Ok(());
    }
    if forwarding.ipv4 {
        set(&format!("{V4}/ip_forward"), "0")?;
    }
    if forwarding.ipv6 {
        set(&format!("{V6}/conf/all/forwarding"), "0")?;
    }
    for interface in &forwarding.accept_ra {
        set(&format!("{V6}/conf/{interface}/accept_ra"), "1")?;
    }
    *forwarding = Forwarding::default();
    Ok(())
}

/// Removes a bridge; none is no error.
///
/// # Errors
/// The kernel's answer.
pub fn remove_bridge(bridge: &Bridge) -> Result<()> {
    let mut links = Links::open()?;
    // No answer is waited for where there is nothing: removing costs tens of milliseconds.
    match links.index(&bridge.name)? {
        Some(_) => links.remove(&bridge.name),
        None => Ok(()),
    }
}

/// Feeds nft(8) one transaction, in the calling thread's network namespace.
///
/// # Errors
/// nft is missing or refuses; its first line of complaint.
pub fn nft(text: &str) -> Result<()> {
    let mut child = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .at(|| "start nft (install the package nftables)")?;
    // Bounded: nft reads all of it before it says anything.
    let written = child.stdin.take().map_or(Ok(()), |mut pipe| pipe.write_all(text.as_bytes()));
    let output = child.wait_with_output().at(|| "wait for nft")?;
    if output.status.success() {
        return written.at(|| "write to nft");
    }
    let message = String::from_utf8_lossy(&output.stderr);
    let line = message.lines().next().unwrap_or("it said nothing");
    Err(Error::internal(format!("nft refused the rules of deck's table: {line}")))
}

/// Puts a container's interfaces where they belong, with addresses and routes.
///
/// # Errors
/// The kernel's answers.
pub fn plug(state: &State, container: &Container, endpoints: &[Endpoint]) -> Result<()> {
    let file = File::open(&container.netns)
        .at(|| format!("open network namespace {}", container.netns.display()))?;
    let mut links = Links::open()?;
    for endpoint in endpoints {
        let bridge = bridge_of(state, endpoint)?;
        let index = links.index(&bridge.name)?.ok_or_else(|| gone(&bridge.name))?;
        let veth = Veth {
            name: endpoint.veth.clone(),
            peer: endpoint.interface.clone(),
            mac: endpoint.mac,
            mtu: bridge.mtu,
            isolated: !bridge.icc,
        };
        // The host talks to the bridge, never to the port itself.
        links.add_veth(&veth, index, &file)?;
    }
    netns::inside(&container.netns, || {
        let mut links = Links::open()?;
        for endpoint in endpoints {
            configure(&mut links, endpoint)?;
        }
        default_routes(&mut links, state, container)
    })
}

fn bridge_of(state: &State, endpoint: &Endpoint) -> Result<Bridge> {
    let network = state.network(&endpoint.network);
    Bridge::of(network.ok_or_else(|| Error::not_found("the endpoint's network is gone"))?)
}

/// In the container's namespace.
fn configure(links: &mut Links, endpoint: &Endpoint) -> Result<()> {
    let name = &endpoint.interface;
    if endpoint.ipv6.is_some() {
        set(&format!("{V6}/conf/{name}/accept_ra"), "0")?;
    } else {
        set(&format!("{V6}/conf/{name}/disable_ipv6"), "1")?;
    }
    let index = links.index(name)?.ok_or_else(|| gone(name))?;
    let addresses = [endpoint.ipv4.map(IpNet::V4), endpoint.ipv6.map(IpNet::V6)];
    // The networks of RFC 3927 and of RFC 4291, 2.5.6.
    let link_local =
        endpoint.spec.link_local.iter().filter_map(|address| {
            IpNet::new(*address, if address.is_ipv4() { 16 } else { 64 }).ok()
        });
    for address in addresses.into_iter().flatten().chain(link_local) {
        links.add_address(index, address)?;
    }
    links.up(index)
}

/// In the container's namespace: the way out leads through the gateway endpoint and no other.
fn default_routes(links: &mut Links, state: &State, container: &Container) -> Result<()> {
    let chosen = plan::gateway(state, container).map(|endpoint| endpoint.id.clone());
    let (adding, removing): (Vec<_>, Vec<_>) =
        container.endpoints.iter().partition(|endpoint| Some(&endpoint.id) == chosen.as_ref());
    for (endpoint, add) in
        removing.into_iter().map(|e| (e, false)).chain(adding.into_iter().map(|e| (e, true)))
    {
        let bridge = bridge_of(state, endpoint)?;
        let Some(index) = links.index(&endpoint.interface)? else { continue };
        let v4 = bridge.ipv4.map(|net| IpAddr::V4(net.addr()));
        let v6 = bridge.ipv6.map(|net| IpAddr::V6(net.addr()));
        for gateway in v4.into_iter().chain(v6) {
            links.default_route(index, gateway, add)?;
        }
    }
    Ok(())
}

/// Chooses the default route anew, after an endpoint went.
///
/// # Errors
/// The kernel's answers.
pub fn reroute(state: &State, container: &Container) -> Result<()> {
    netns::inside(&container.netns, || default_routes(&mut Links::open()?, state, container))
}

/// Removes interfaces and forgets their flows.
///
/// # Errors
/// The first failure; the rest was still tried.
pub fn unplug(endpoints: &[Endpoint], published: &[Published]) -> Result<()> {
    let mut links = Links::open()?;
    let mut result = Ok(());
    for endpoint in endpoints {
        result = result.and(links.remove(&endpoint.veth));
    }
    result.and(forget_flows(endpoints, published))
}

/// Forgets the flows of endpoints, and the UDP flows to published ports.
///
/// # Errors
/// The kernel's answers.
pub fn forget_flows(endpoints: &[Endpoint], published: &[Published]) -> Result<()> {
    let addresses: Vec<IpAddr> = endpoints.iter().flat_map(Endpoint::addresses).collect();
    conntrack::forget(&addresses, published)
}

fn set(path: &str, value: &str) -> Result<()> {
    match fs::write(path, value) {
        // A kernel without IPv6 has nothing to be set.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result.at(|| format!("write {value} to {path}")),
    }
}

fn is_off(path: &str) -> Result<bool> {
    let now = fs::read_to_string(path).at(|| format!("read {path}"))?;
    Ok(now.trim() == "0")
}

/// Whether it had to be turned on.
fn turn_on(path: &str) -> Result<bool> {
    if !is_off(path)? {
        return Ok(false);
    }
    fs::write(path, "1").at(|| format!("write 1 to {path}")).map(|()| true)
}

/// Forwarding turns listening to router advertisements off, and with it a host's own way out,
/// unless `accept_ra` is 2 (ip-sysctl.rst).
fn keep_router_advertisements(forwarding: &mut Forwarding) -> Result<()> {
    let Ok(entries) = fs::read_dir(format!("{V6}/conf")) else { return Ok(()) };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{V6}/conf/{name}/accept_ra");
        let on = fs::read_to_string(&path).is_ok_and(|value| value.trim() == "1");
        if on && name != "lo" {
            set(&path, "2")?;
            forwarding.accept_ra.push(name);
        }
    }
    Ok(())
}
