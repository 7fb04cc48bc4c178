//! Contents of the files a container's resolver reads: `/etc/hosts`, `/etc/resolv.conf`,
//! `/etc/hostname`. Pure; the engine writes and bind-mounts them.

use super::model::DnsSpec;
use crate::error::{Error, Result};
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

/// Where the embedded DNS server answers in containers on user-defined networks.
pub const EMBEDDED_DNS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

/// What a host's resolv.conf says (resolv.conf(5)).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResolvConf {
    /// `nameserver` lines, in order.
    pub servers: Vec<IpAddr>,
    /// The last `search` or `domain` line.
    pub search: Vec<String>,
    /// All `options` lines together.
    pub options: Vec<String>,
}

/// The host's resolv.conf. Where it only names systemd-resolved's stub, which listens on the host's
/// loopback, the servers behind it (systemd-resolved.service(8)). Empty when there is none.
pub fn host_resolv_conf() -> String {
    const PATH: &str = "/etc/resolv.conf";
    const BEHIND_STUB: &str = "/run/systemd/resolve/resolv.conf";
    const STUB: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 53));
    let text = std::fs::read_to_string(PATH).unwrap_or_default();
    match ResolvConf::parse(&text).servers.as_slice() {
        [server] if *server == STUB => std::fs::read_to_string(BEHIND_STUB).unwrap_or(text),
        _ => text,
    }
}

/// Who resolves names for a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolver {
    /// The host's servers, for the host network: as they are.
    Host,
    /// The host's servers, from the container's own namespace: its loopback is another one.
    Direct {
        /// Servers with IPv6 addresses can be reached.
        ipv6: bool,
    },
    /// The embedded DNS server.
    Embedded,
}

impl ResolvConf {
    /// Reads a resolv.conf; lines that say nothing are passed over, as the resolver does.
    pub fn parse(text: &str) -> Self {
        let mut conf = Self::default();
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => {
                    // A scope (`fe80::1%eth0`) means an interface of the host.
                    conf.servers.extend(words.next().and_then(|word| word.parse::<IpAddr>().ok()));
                }
                Some("search" | "domain") => conf.search = words.map(str::to_owned).collect(),
                Some("options") => conf.options.extend(words.map(str::to_owned)),
                _ => {}
            }
        }
        conf
    }

    /// The container's settings instead of the host's, where it has some.
    #[must_use]
    pub fn overridden(mut self, dns: &DnsSpec) -> Self {
        if !dns.servers.is_empty() {
            self.servers.clone_from(&dns.servers);
        }
        if !dns.search.is_empty() {
            self.search = dns.search.iter().filter(|domain| *domain != ".").cloned().collect();
        }
        if !dns.options.is_empty() {
            self.options.clone_from(&dns.options);
        }
        self
    }

    /// Whether the name servers' user asked for dots (`ndots`).
    pub fn ndots(&self) -> Option<u32> {
        self.options.iter().rev().find_map(|option| option.strip_prefix("ndots:")?.parse().ok())
    }

    fn render(&self) -> String {
        let mut text = String::from("# Written by deck.\n");
        for server in &self.servers {
            let _ = writeln!(text, "nameserver {server}");
        }
        for (word, values) in [("search", &self.search), ("options", &self.options)] {
            if !values.is_empty() {
                let _ = writeln!(text, "{word} {}", values.join(" "));
            }
        }
        text
    }
}

/// `/etc/resolv.conf` of a container, from the host's.
///
/// Servers on the host's loopback are unreachable from a container's namespace; they are left out,
/// unless the container's settings name them. Unlike Docker deck then names no public server: who
/// has no reachable one is told so by an empty list and `check`, and nobody's names go elsewhere.
pub fn resolv_conf(host: &str, dns: &DnsSpec, resolver: Resolver) -> String {
    let mut conf = ResolvConf::parse(host).overridden(dns);
    match resolver {
        Resolver::Direct { ipv6 } if dns.servers.is_empty() => {
            conf.servers.retain(|server| !server.is_loopback() && (server.is_ipv4() || ipv6));
        }
        Resolver::Host | Resolver::Direct { .. } => {}
        Resolver::Embedded => {
            conf.servers = vec![EMBEDDED_DNS.into()];
            // A name without dots is a container's: ask the embedded server before searching.
            if conf.ndots().is_none() {
                conf.options.retain(|option| !option.starts_with("ndots:"));
                conf.options.push("ndots:0".into());
            }
        }
    }
    conf.render()
}

/// One `--add-host`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraHost {
    /// The name.
    pub name: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// Reads `name:address`, `name:[address]` or `name:host-gateway`; `gateways` are the addresses the
/// host has on the container's networks.
///
/// # Errors
/// Neither an address nor `host-gateway`.
pub fn extra_host(text: &str, gateways: &[IpAddr]) -> Result<ExtraHost> {
    let bad = || Error::invalid(format!("bad format for add-host: {text:?}"));
    let (name, value) = text.split_once([':', '=']).ok_or_else(bad)?;
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(bad());
    }
    let addresses =
        if value == "host-gateway" {
            if gateways.is_empty() {
                return Err(Error::invalid(format!(
                    "add-host {text:?}: the container is on no network with a gateway to the host"
                )));
            }
            gateways.to_vec()
        } else {
            let value = value.strip_prefix('[').and_then(|v| v.strip_suffix(']')).unwrap_or(value);
            vec![value.parse().map_err(|_| {
                Error::invalid(format!("invalid IP address in add-host: {value:?}"))
            })?]
        };
    Ok(ExtraHost { name: name.to_owned(), addresses })
}

/// `/etc/hosts`: loopback, extra hosts, then the container's own addresses under its names.
pub fn hosts(
    hostname: &str,
    domainname: &str,
    own: &[IpAddr],
    extra: &[ExtraHost],
    ipv6: bool,
) -> String {
    let mut text = String::from("127.0.0.1\tlocalhost\n");
    if ipv6 {
        text.push_str(concat!(
            "::1\tlocalhost ip6-localhost ip6-loopback\n",
            "fe00::\tip6-localnet\n",
            "ff00::\tip6-mcastprefix\n",
            "ff02::1\tip6-allnodes\n",
            "ff02::2\tip6-allrouters\n",
        ));
    }
    for host in extra {
        for address in host.addresses.iter().filter(|address| address.is_ipv4() || ipv6) {
            let _ = writeln!(text, "{address}\t{}", host.name);
        }
    }
    let names = own_names(hostname, domainname);
    if !names.is_empty() {
        for address in own {
            let _ = writeln!(text, "{address}\t{names}");
        }
    }
    text
}

/// `/etc/hostname`.
pub fn hostname(hostname: &str) -> String {
    format!("{hostname}\n")
}

/// The full name and, where there are dots, the first part of it.
fn own_names(hostname: &str, domainname: &str) -> String {
    let full = if domainname.is_empty() {
        hostname.to_owned()
    } else {
        format!("{hostname}.{domainname}")
    };
    match full.split_once('.') {
        Some((short, _)) => format!("{full} {short}"),
        None => full,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "# c\nnameserver 127.0.0.53\nnameserver 192.0.2.1\nnameserver 2001:db8::1\n\
                        domain old\nsearch a.example b.example\noptions edns0\noptions trust-ad\n";

    fn lines(text: &str) -> Vec<&str> {
        text.lines().skip(1).collect()
    }

    #[test]
    fn loopback_servers_of_the_host_stay_on_the_host() {
        let text = resolv_conf(HOST, &DnsSpec::default(), Resolver::Direct { ipv6: false });
        assert_eq!(
            lines(&text),
            ["nameserver 192.0.2.1", "search a.example b.example", "options edns0 trust-ad"]
        );
        let text = resolv_conf(HOST, &DnsSpec::default(), Resolver::Direct { ipv6: true });
        assert!(text.contains("2001:db8::1"));
        let text = resolv_conf(HOST, &DnsSpec::default(), Resolver::Host);
        assert!(text.contains("127.0.0.53"));
    }

    #[test]
    fn settings_of_the_container_win_and_are_kept_as_given() {
        let dns = DnsSpec {
            servers: vec!["127.0.0.1".parse().unwrap()],
            search: vec![".".into()],
            options: vec!["ndots:2".into()],
        };
        let text = resolv_conf(HOST, &dns, Resolver::Direct { ipv6: false });
        assert_eq!(lines(&text), ["nameserver 127.0.0.1", "options ndots:2"]);
    }

    #[test]
    fn the_embedded_server_is_the_only_one() {
        let text = resolv_conf(HOST, &DnsSpec::default(), Resolver::Embedded);
        assert_eq!(
            lines(&text),
            [
                "nameserver 127.0.0.11",
                "search a.example b.example",
                "options edns0 trust-ad ndots:0"
            ]
        );
        let dns = DnsSpec { options: vec!["ndots:x".into()], ..DnsSpec::default() };
        assert!(resolv_conf("", &dns, Resolver::Embedded).ends_with("options ndots:0\n"));
    }

    #[test]
    fn extra_hosts_are_addresses_or_the_gateway() {
        let gateways = ["172.17.0.1".parse().unwrap()];
        let host = |text| extra_host(text, &gateways).map(|host| host.addresses);
        assert_eq!(host("a:host-gateway").unwrap(), gateways);
        assert_eq!(host("a:::1").unwrap(), ["::1".parse::<IpAddr>().unwrap()]);
        assert_eq!(host("a:[::1]").unwrap(), ["::1".parse::<IpAddr>().unwrap()]);
        for bad in ["a", ":1.2.3.4", "a:", "a:1.2.3", "a b:1.2.3.4"] {
            assert_eq!(host(bad).unwrap_err().status, 400, "{bad}");
        }
        assert_eq!(extra_host("a:host-gateway", &[]).unwrap_err().status, 400);
    }

    #[test]
    fn hosts_has_extra_hosts_before_own_names() {
        let extra =
            [extra_host("db:10.0.0.1", &[]).unwrap(), extra_host("x:fd00::1", &[]).unwrap()];
        let own = ["172.17.0.2".parse().unwrap()];
        assert_eq!(
            hosts("web", "example.org", &own, &extra, false),
            "127.0.0.1\tlocalhost\n10.0.0.1\tdb\n172.17.0.2\tweb.example.org web\n"
        );
        assert!(hosts("web", "", &own, &extra, true).contains("fd00::1\tx\n172.17.0.2\tweb\n"));
    }
}
