//! Facts about the machine, asked for only when a configuration depends on them.

use nix::fcntl::readlink;
use nix::sys::statfs::{FsType, statfs};
use std::path::Path;
use std::sync::OnceLock;

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

/// This process lives in a user namespace other than the initial one.
pub fn in_user_namespace() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        // USER_NS_INIT_INO of <linux/nsfs.h>; fixed since Linux 3.8.
        readlink("/proc/self/ns/user").is_ok_and(|name| name != "user:[4026531837]")
    })
}
