//! Facts about the machine, asked for only when a configuration depends on them.

use nix::fcntl::readlink;
use nix::sys::statfs::{FsType, statfs};
use nix::sys::utsname::uname;
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

/// The first two numbers of the kernel's version; zeroes if it has none.
pub fn kernel_version() -> (u32, u32) {
    static ANSWER: OnceLock<(u32, u32)> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        let name = uname().ok();
        let release = name.as_ref().and_then(|name| name.release().to_str());
        release.and_then(version).unwrap_or_default()
    })
}

/// `6.18.44-amd64` is (6, 18).
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// This process lives in a user namespace other than the initial one.
pub fn in_user_namespace() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        // USER_NS_INIT_INO of <linux/nsfs.h>; fixed since Linux 3.8.
        readlink("/proc/self/ns/user").is_ok_and(|name| name != "user:[4026531837]")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (release, expected) in [
            ("6.18.44-fc-v595", Some((6, 18))),
            ("6.1", Some((6, 1))),
            ("5.14-rc3", Some((5, 14))),
            ("6", None),
            ("", None),
            ("next.6", None),
        ] {
            assert_eq!(version(release), expected, "{release}");
        }
        assert!(kernel_version() > (4, 0));
    }
}
