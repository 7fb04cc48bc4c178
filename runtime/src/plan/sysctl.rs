//! `linux.sysctl` as paths below /proc/sys (sysctl(8) naming: `.` and `/` change places).

use std::collections::BTreeMap;
use std::ffi::CString;

/// One kernel parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sysctl {
    /// As configured.
    pub name: String,
    /// Below /proc.
    pub path: CString,
    /// What is written.
    pub value: String,
}

/// Which parameters may be set is decided in [`crate::spec::check`].
pub fn plan(sysctls: &BTreeMap<String, String>) -> Vec<Sysctl> {
    sysctls
        .iter()
        .filter_map(|(name, value)| {
            let path = CString::new(format!("sys/{}", path(name))).ok()?;
            Some(Sysctl { name: name.clone(), path, value: value.clone() })
        })
        .collect()
}

/// Whichever of `.` and `/` comes first separates; the other one then is part of a name
/// (sysctl.d(5)): `net.ipv4.conf.eth0/1.forwarding` is `net/ipv4/conf/eth0.1/forwarding`.
pub fn path(name: &str) -> String {
    match name.find(['.', '/']) {
        Some(first) if name.as_bytes().get(first) == Some(&b'.') => name
            .chars()
            .map(|c| match c {
                '.' => '/',
                '/' => '.',
                other => other,
            })
            .collect(),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::path;

    #[test]
    fn separators() {
        assert_eq!(path("net.ipv4.ip_forward"), "net/ipv4/ip_forward");
        assert_eq!(path("net.ipv4.conf.eth0/1.forwarding"), "net/ipv4/conf/eth0.1/forwarding");
        assert_eq!(path("net/ipv4/conf/eth0.1/forwarding"), "net/ipv4/conf/eth0.1/forwarding");
        assert_eq!(path("x"), "x");
    }
}
