//! What a server may do.

use crate::fixture::{Fixture, may_run};
use std::fs;

/// CAP_CHOWN to CAP_SETUID without CAP_SETPCAP, CAP_LINUX_IMMUTABLE, CAP_SYS_PTRACE, CAP_SYS_ADMIN,
/// CAP_SYS_RESOURCE, CAP_MKNOD and CAP_SETFCAP (linux/capability.h).
const KEPT: u64 = 0xff | 1 << 9 | 1 << 19 | 1 << 21 | 1 << 24 | 1 << 27 | 1 << 31;

#[test]
fn a_server_has_given_up_what_it_does_not_need() {
    if !may_run() {
        return;
    }
    // Its engine makes a container nevertheless: a child has all of root's capabilities again.
    let mut shim = Fixture::new("diet", &["sleep", "100"]);
    shim.create(false, "", false);
    shim.start("");
    let status = fs::read_to_string(format!("/proc/{}/status", shim.pid())).unwrap();
    for set in ["CapEff", "CapPrm"] {
        let line = status.lines().find_map(|line| line.strip_prefix(set)?.strip_prefix(':'));
        let has = u64::from_str_radix(line.unwrap().trim(), 16).unwrap();
        assert_eq!(has & !KEPT, 0, "{set} {has:x}");
    }
    shim.kill();
    assert_eq!(shim.wait(""), 137);
    shim.finish();
}
