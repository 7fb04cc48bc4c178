//! Published and exposed ports: `-p [IP:][HOST:]CONTAINER[/PROTOCOL]` with ranges, `--expose`.

use std::net::IpAddr;

/// One container port and where it is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// `80/tcp`
    pub container: String,
    /// The host's address; empty for all.
    pub ip: String,
    /// The host's port or range to choose from; empty for any.
    pub host: String,
}

/// Reads one `-p`.
///
/// # Errors
/// Docker's words and what can't be meant.
pub fn published(text: &str) -> Result<Vec<Published>, String> {
    if text.contains('=') {
        return published(&short_form(text)?);
    }
    let (ip, host, rest) = split(text)?;
    let (container, protocol) = protocol(rest)?;
    if container.is_empty() {
        return Err(format!("no port specified: {text}<empty>"));
    }
    let (start, end) =
        range(container).ok_or_else(|| format!("invalid containerPort: {container}"))?;
    let hosts = match host {
        "" => None,
        host => Some(range(host).ok_or_else(|| format!("invalid hostPort: {host}"))?),
    };
    if let Some((first, last)) = hosts
        && last - first != end - start
        && end != start
    {
        return Err(format!(
            "invalid ranges specified for container and host Ports: {container} and {host}"
        ));
    }
    let ports = (start..=end).map(|port| Published {
        container: format!("{port}/{protocol}"),
        ip: ip.clone(),
        host: match hosts {
            None => String::new(),
            // One container port: any of the host's range.
            Some((first, last)) if start == end && first != last => format!("{first}-{last}"),
            Some((first, _)) => (first + (port - start)).to_string(),
        },
    });
    Ok(ports.collect())
}

/// Reads one `--expose`: `80`, `80-90/udp`.
///
/// # Errors
/// It is no port or range.
pub fn exposed(text: &str) -> Result<Vec<String>, String> {
    if text.contains(':') {
        return Err(format!("invalid port format for --expose: {text}"));
    }
    let (ports, protocol) = protocol(text)?;
    let (start, end) =
        range(ports).ok_or_else(|| format!("invalid range format for --expose: {text}"))?;
    Ok((start..=end).map(|port| format!("{port}/{protocol}")).collect())
}

/// Address, host port, container port with its protocol.
fn split(text: &str) -> Result<(String, &str, &str), String> {
    let Some((front, container)) = text.rsplit_once(':') else {
        return Ok((String::new(), "", text));
    };
    // The address may hold colons itself: it ends at the last one, or at its bracket.
    let (ip, host) = match front.rsplit_once(':') {
        Some(_) if front.ends_with(']') => (front, ""),
        Some((ip, host)) => (ip, host),
        None => ("", front),
    };
    let bare = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(ip);
    // A zone (`fe80::1%eth0`) is no part of the address proper.
    let address = bare.split('%').next().unwrap_or(bare);
    if !address.is_empty() && address.parse::<IpAddr>().is_err() {
        return Err(format!("invalid IP address: {ip}"));
    }
    Ok((bare.to_owned(), host, container))
}

fn protocol(text: &str) -> Result<(&str, String), String> {
    let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("invalid proto: {protocol}"));
    }
    Ok((port, protocol))
}

fn range(text: &str) -> Option<(u16, u16)> {
    let (start, end) = text.split_once('-').unwrap_or((text, text));
    let (start, end) = (number(start)?, number(end)?);
    (start <= end).then_some((start, end))
}

fn number(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// `published=8080,target=80,protocol=tcp` as `8080:80/tcp`.
fn short_form(text: &str) -> Result<String, String> {
    let (mut target, mut published, mut protocol) = ("", "", "tcp");
    for field in text.split(',') {
        match field.split_once('=') {
            Some(("target", value)) => target = value,
            Some(("published", value)) => published = value,
            Some(("protocol", value)) => protocol = value,
            _ => return Err(format!("invalid field format (should be key=value): {field}")),
        }
    }
    if target.is_empty() || [target, published, protocol].iter().any(|part| part.contains('=')) {
        return Err(format!("missing target port in {text}"));
    }
    let colon = if published.is_empty() { "" } else { ":" };
    Ok(format!("{published}{colon}{target}/{protocol}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> (String, String, String) {
        let ports = published(text).unwrap();
        assert_eq!(ports.len(), 1, "{text}");
        (ports[0].ip.clone(), ports[0].host.clone(), ports[0].container.clone())
    }

    fn triple(ip: &str, host: &str, container: &str) -> (String, String, String) {
        (ip.into(), host.into(), container.into())
    }

    #[test]
    fn forms() {
        assert_eq!(one("80"), triple("", "", "80/tcp"));
        assert_eq!(one("81:80"), triple("", "81", "80/tcp"));
        assert_eq!(one("53:53/udp"), triple("", "53", "53/udp"));
        assert_eq!(one("127.0.0.1:81:80/SCTP"), triple("127.0.0.1", "81", "80/sctp"));
        assert_eq!(one("127.0.0.1::80"), triple("127.0.0.1", "", "80/tcp"));
        assert_eq!(one("[::1]:81:80"), triple("::1", "81", "80/tcp"));
        assert_eq!(one("[::1]::80"), triple("::1", "", "80/tcp"));
        assert_eq!(one("8000-9000:80"), triple("", "8000-9000", "80/tcp"));
        assert_eq!(one("published=81,target=80"), triple("", "81", "80/tcp"));
    }

    #[test]
    fn ranges() {
        let ports = published("8000-8001:90-91/udp").unwrap();
        assert_eq!(ports[1].host, "8001");
        assert_eq!(ports[1].container, "91/udp");
        assert_eq!(exposed("80-82").unwrap(), ["80/tcp", "81/tcp", "82/tcp"]);
        assert_eq!(published("1-65535").unwrap().len(), 65535);
    }

    #[test]
    fn nonsense() {
        for text in [
            "",
            ":",
            "x",
            "80:",
            "80:x",
            "70000",
            "80:80/icmp",
            "a:1:2",
            "1-2:3-9",
            "2-1",
            "-",
            "+1",
            "target=",
            "x=1",
            "1.2.3:80:80",
            "80:-1",
            "target==",
        ] {
            assert!(published(text).is_err(), "{text}");
        }
        assert!(exposed("1:2").is_err());
    }
}
