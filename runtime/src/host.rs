//! Facts about the machine, asked for only when a configuration depends on them.

use nix::sys::statfs::{FsType, statfs};
use std::path::Path;

/// AppArmor is compiled in and switched on.
pub fn apparmor_enabled() -> bool {
    std::fs::read("/sys/module/apparmor/parameters/enabled")
        .is_ok_and(|text| text.starts_with(b"Y"))
        && Path::new("/sys/kernel/security/apparmor").exists()
}

/// SELinux is switched on: its file system is mounted.
pub fn selinux_enabled() -> bool {
    const SELINUX_MAGIC: FsType = FsType(0xf97c_ff8c_u32 as _);
    statfs("/sys/fs/selinux").is_ok_and(|status| status.filesystem_type() == SELINUX_MAGIC)
}

/// This process lives in a user namespace other than the initial one (user_namespaces(7): only
/// the initial one maps all ids onto themselves).
pub fn in_user_namespace() -> bool {
    std::fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| {
        let mut fields = map.split_ascii_whitespace();
        !matches!(
            (fields.next(), fields.next(), fields.next()),
            (Some("0"), Some("0"), Some("4294967295"))
        )
    })
}
