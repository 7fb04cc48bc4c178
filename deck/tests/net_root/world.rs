//! The tests' world: a host, a neighbour outside, and containers.

use deck::config::Config;
use deck::net::{
    Attached, ContainerNet, EndpointSpec, NetworkSpec, Networks, PortRequest, Protocol, netns,
};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

pub const OUTSIDE: &str = "/run/outside";
pub const HOST4: &str = "192.0.2.1";
pub const HOST6: &str = "2001:db8::1";
const PATIENCE: Duration = Duration::from_secs(30);

pub struct World {
    pub root: PathBuf,
    pub networks: Networks,
}

/// Runs a line of shell; its output.
pub fn sh(line: &str) -> String {
    let output = Command::new("sh").args(["-ec", line]).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What must be the same before and after.
fn snapshot() -> String {
    sh(
        "nft list ruleset; ip -o link | sed 's/ state [A-Z]*//'; ip -o address; ip route show table all; \
        ip -6 route show table all; sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding; \
        sysctl -a --pattern 'accept_ra$' 2>/dev/null; grep -c nsfs /proc/self/mountinfo || true",
    )
}

pub fn networks(root: &Path) -> Networks {
    let config = Config {
        data_root: root.join("data"),
        exec_root: root.join("run"),
        config_root: root.join("etc"),
        runtime: "/nonexistent".into(),
        shim: "/nonexistent".into(),
    };
    Networks::open(&config).unwrap()
}

impl World {
    /// A case, after which the host is as it was.
    pub fn run(case: fn(&World)) {
        let root = tempfile::tempdir_in("/run").unwrap();
        let outside = Path::new(OUTSIDE);
        netns::create(outside).unwrap();
        sh(&format!(
            "ip link add up0 type veth peer name eth0 netns {OUTSIDE}; ip link set up0 up
             ip address add {HOST4}/24 dev up0; ip address add {HOST6}/64 dev up0 nodad
             nsenter --net={OUTSIDE} sh -ec 'ip link set eth0 up
               ip address add 192.0.2.2/24 dev eth0; ip address add 2001:db8::2/64 dev eth0 nodad'"
        ));
        settle();
        let before = snapshot();
        let world = World { root: root.path().into(), networks: networks(root.path()) };
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| case(&world)));
        world.networks.reconcile(&|_| false).unwrap();
        let after = snapshot();
        sh("ip link del up0");
        netns::remove(outside).unwrap();
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
        assert_eq!(before, after);
    }

    pub fn network(&self, name: &str, ipv6: bool, options: &[(&str, &str)]) {
        let spec = NetworkSpec {
            name: name.into(),
            enable_ipv6: Some(ipv6),
            options: options.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
            ..NetworkSpec::default()
        };
        self.networks.create(&spec).unwrap();
    }

    /// A container's wishes; its namespace is made.
    pub fn wish(&self, name: &str, networks: &[&str]) -> ContainerNet {
        let id = id(name);
        let netns = self.networks.netns_path(&id);
        if !netns::is_mounted(&netns) {
            netns::create(&netns).unwrap();
        }
        ContainerNet {
            id,
            name: name.into(),
            hostname: name.into(),
            netns,
            endpoints: networks.iter().map(|network| on(network)).collect(),
            ..ContainerNet::default()
        }
    }

    pub fn container(&self, name: &str, networks: &[&str]) -> Container {
        self.start(self.wish(name, networks))
    }

    pub fn publishing(&self, name: &str, networks: &[&str], ports: &[PortRequest]) -> Container {
        self.start(ContainerNet { ports: ports.to_vec(), ..self.wish(name, networks) })
    }

    pub fn start(&self, wish: ContainerNet) -> Container {
        let attached = self.networks.attach(&wish).unwrap();
        Container { id: wish.id, netns: wish.netns, attached }
    }
}

pub fn on(network: &str) -> EndpointSpec {
    EndpointSpec { network: network.into(), ..EndpointSpec::default() }
}

pub struct Container {
    pub id: String,
    pub netns: PathBuf,
    pub attached: Attached,
}

impl Container {
    pub fn ip(&self, network: &str) -> IpAddr {
        self.attached.networks[network].ip_address.parse().unwrap()
    }

    pub fn ip6(&self, network: &str) -> IpAddr {
        self.attached.networks[network].global_ipv6_address.parse().unwrap()
    }
}

/// 64 hexadecimal digits that go with a name.
pub fn id(name: &str) -> String {
    name.bytes().map(|byte| format!("{byte:02x}")).chain(["0".repeat(64)]).collect::<String>()[..64]
        .into()
}

pub fn tcp(container_port: u16, host: Option<(u16, u16)>) -> PortRequest {
    PortRequest { container_port, protocol: Protocol::Tcp, host_ip: None, host_ports: host }
}

/// Enters a namespace, or stays on the host.
pub fn inside<T: Send>(place: Option<&Path>, f: impl FnOnce() -> T + Send) -> T {
    match place {
        Some(path) => netns::inside(path, || Ok(f())).unwrap(),
        None => f(),
    }
}

/// Serves TCP and UDP on a port; tells clients their address and `text`.
pub fn serve(place: Option<&Path>, port: u16, text: &'static str) {
    let (listener, socket) = inside(place, || {
        (TcpListener::bind(("::", port)).unwrap(), UdpSocket::bind(("::", port)).unwrap())
    });
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let peer = stream.peer_addr().map(|peer| peer.ip().to_canonical());
            let _ = write!(stream, "{text} {}", peer.map_or(String::new(), |p| p.to_string()));
        }
    });
    thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((_, peer)) = socket.recv_from(&mut buffer) {
            let answer = format!("{text} {}", peer.ip().to_canonical());
            let _ = socket.send_to(answer.as_bytes(), peer);
        }
    });
}

/// What a TCP server says, or why it can't be reached.
pub fn fetch(place: Option<&Path>, address: impl Into<SocketAddr>) -> io::Result<String> {
    let address = address.into();
    inside(place, || {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    })
}

/// Whether nothing is reached: refused, or dropped for as long as a drop is to be believed.
pub fn is_closed(place: Option<&Path>, address: impl Into<SocketAddr>) -> bool {
    const DROPPED: Duration = Duration::from_millis(300);
    let address = address.into();
    inside(place, || TcpStream::connect_timeout(&address, DROPPED).is_err())
}

pub fn fetch_udp(place: Option<&Path>, address: impl Into<SocketAddr>) -> io::Result<String> {
    let address = address.into();
    let socket = inside(place, || {
        let own = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        UdpSocket::bind(own).unwrap()
    });
    socket.connect(address)?;
    ask(&socket, b"?").map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

pub fn ask(socket: &UdpSocket, question: &[u8]) -> io::Result<Vec<u8>> {
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send(question)?;
    let mut buffer = vec![0; 4096];
    let length = socket.recv(&mut buffer)?;
    buffer.truncate(length);
    Ok(buffer)
}

/// IPv6 link-local addresses and their routes come when the kernel is done with a link.
fn settle() {
    for _ in 0..500 {
        let text = sh("ip -o -6 address show dev up0");
        if text.contains("fe80") && !text.contains("tentative") {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("up0 got no link-local address");
}

pub fn v4(text: &str, port: u16) -> SocketAddr {
    (text.parse::<IpAddr>().unwrap(), port).into()
}
