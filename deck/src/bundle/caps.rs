//! Capabilities of a container: Docker's default, more or fewer of them; pure.

use crate::bundle::wishes::Security;
use crate::error::{Error, Result};

/// Docker's default.
const DEFAULT: &[&str] = &[
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// All, in the order of their numbers (capabilities(7)).
const ALL: &[&str] = &[
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// The bounding set, in the kernel's order. `bounded` are those this process can pass on.
///
/// # Errors
/// 400 for an unknown name.
pub fn bounding(wishes: &Security, bounded: u64) -> Result<Vec<String>> {
    let (add, add_all) = names(&wishes.cap_add)?;
    let (drop, drop_all) = names(&wishes.cap_drop)?;
    let held = |name: &str| {
        ALL.iter().position(|known| *known == name).is_some_and(|bit| bounded >> bit & 1 == 1)
    };
    let wanted = |name: &str| {
        if wishes.privileged {
            return held(name);
        }
        // With ALL in both, what is named apart decides (`--cap-drop ALL --cap-add X`).
        if add.iter().any(|added| added == name) {
            return !drop.iter().any(|dropped| dropped == name);
        }
        let base =
            if add_all { held(name) && !drop_all } else { !drop_all && DEFAULT.contains(&name) };
        base && !drop.iter().any(|dropped| dropped == name)
    };
    Ok(ALL.iter().filter(|name| wanted(name)).map(|name| (*name).to_owned()).collect())
}

/// Full names, and whether `ALL` is among them.
fn names(list: &[String]) -> Result<(Vec<String>, bool)> {
    let mut found = Vec::new();
    let mut all = false;
    for name in list {
        let upper = name.trim().to_ascii_uppercase();
        if upper == "ALL" || upper == "CAP_ALL" {
            all = true;
            continue;
        }
        let full = if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") };
        if !ALL.contains(&full.as_str()) {
            return Err(Error::invalid(format!("invalid capability {name:?}")));
        }
        found.push(full);
    }
    Ok((found, all))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(add: &[&str], drop: &[&str]) -> Vec<String> {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let wishes = Security { cap_add: list(add), cap_drop: list(drop), ..Security::default() };
        bounding(&wishes, u64::MAX).unwrap()
    }

    #[test]
    fn capabilities_are_added_and_dropped_as_docker_does() {
        assert_eq!(check(&[], &[]).len(), 14);
        assert_eq!(check(&["net_admin"], &["ALL"]), ["CAP_NET_ADMIN"]);
        assert_eq!(check(&["ALL"], &["CAP_SYS_ADMIN"]).len(), 40);
        assert_eq!(check(&["ALL"], &[]).len(), 41);
        assert!(check(&[], &["ALL"]).is_empty());
        assert!(!check(&[], &["mknod"]).contains(&"CAP_MKNOD".to_owned()));
        let wishes = Security { cap_add: vec!["nope".to_owned()], ..Security::default() };
        assert_eq!(bounding(&wishes, u64::MAX).unwrap_err().status, 400);
        let wishes = Security { privileged: true, ..Security::default() };
        assert_eq!(bounding(&wishes, 0b101).unwrap(), ["CAP_CHOWN", "CAP_DAC_READ_SEARCH"]);
    }
}
