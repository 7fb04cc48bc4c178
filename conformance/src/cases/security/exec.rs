//! `exec` gives no more than `run` does, and is out of the container's reach until it has given
//! away its privileges.

use serde_json::{Value, json};

use super::attack;
use crate::case::{Case, Verdict, ensure, equal, fail};
use crate::context::Context;
use crate::mutant::{Break, drops, pretends, refuses, sets};
use crate::needs::Need;

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut all = exec();
    all.extend(joining());
    all
}

fn exec() -> Vec<Case> {
    let user = |name: &str, user: &'static str| {
        attack(name, "CVE-2024-40635, CVE-2026-46680")
            .needs(Need::Root)
            .breaks(pretends("exec"))
            .runs(move |c| {
                c.stay(&[]);
                let container = c.start()?;
                let output = container.exec(&["--user", user], &["/probe", "exit", "0"])?;
                c.saw(output.summary());
                ensure(!output.ok(), || format!("--user {user} is taken"))
            })
    };
    vec![
        user("exec-user-minus-one", "4294967295"),
        user("exec-user-beyond-32-bits", "4294967296"),
        user("exec-user-negative", "-1"),
        user("exec-group-minus-one", "0:4294967295"),
        attack("exec-has-the-filter", "exec without the container's seccomp filter")
            .needs(Need::X86)
            .breaks(drops("/linux/seccomp"))
            .runs(|c| {
                let rule = json!({"names": ["getpriority"], "action": "SCMP_ACT_ERRNO"});
                c.set(
                    "/linux/seccomp",
                    json!({
                        "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule],
                    }),
                );
                c.stay(&[]);
                let container = c.start()?;
                let seen = container.exec_seen(&[], &["call:140,0,0"])?;
                equal("getpriority", seen.tried("call:140,0,0").errno.as_str(), "EPERM")?;
                equal("NoNewPrivs", seen.field("NoNewPrivs"), "1")
            }),
        attack("exec-as-user-without-capabilities", "CVE-2022-29162, CVE-2025-27612")
            .needs(Need::Root)
            .breaks(Break::Word("1234".into(), "0".into()))
            .runs(|c| {
                c.stay(&[]);
                let container = c.start()?;
                let seen = container.exec_seen(&["--user", "1234"], &[])?;
                equal("CapEff", &seen.caps("CapEff"), &Some(0))?;
                equal("CapInh", &seen.caps("CapInh"), &Some(0))
            }),
        attack("exec-keeps-groups", "CVE-2022-36109, CVE-2023-25173")
            .needs(Need::Root)
            .breaks(sets("/process/user/additionalGids", json!([77])))
            .runs(|c| {
                c.set("/process/user/additionalGids", json!([7]));
                c.stay(&[]);
                let container = c.start()?;
                let groups = container.exec_seen(&[], &[])?.groups;
                let others: Vec<u32> = groups.into_iter().filter(|gid| *gid != 0).collect();
                equal("groups", &others, &[7])
            }),
        attack("exec-cap-of-a-user-is-not-ambient", "CVE-2022-29162, CVE-2025-27612")
            .needs(Need::Root)
            .breaks(Break::Word("--user".into(), "--no-such-option".into()))
            .runs(|c| {
                c.stay(&[]);
                let container = c.start()?;
                let seen = container.exec_seen(&["--user", "1234"], &[])?;
                equal("CapAmb", &seen.caps("CapAmb"), &Some(0))?;
                equal("CapPrm", &seen.caps("CapPrm"), &Some(0))
            }),
        attack("exec-with-absent-apparmor", "protection asked for and not given")
            .breaks(Break::Option("--apparmor".into()))
            .runs(|c| {
                c.stay(&[]);
                let container = c.start()?;
                container.seen()?;
                let options = ["--apparmor", "hull-conformance-no-such-profile"];
                let output = container.exec(&options, &["/probe", "exit", "0"])?;
                c.saw(output.summary());
                ensure(!output.ok(), || "it runs without the profile".into())
            }),
        attack("exec-has-no-new-privileges", "no_new_privs set at run, not at exec")
            .needs(Need::Root)
            .breaks(sets("/process/noNewPrivileges", false))
            .runs(|c| {
                c.stay(&[]);
                let container = c.start()?;
                let seen = container.exec_seen(&[], &[])?;
                equal("NoNewPrivs", seen.field("NoNewPrivs"), "1")
            }),
        attack("exec-has-the-keyring", "session keyring of the caller at exec")
            .breaks(refuses("exec"))
            .runs(|c| {
                c.stay(&[]);
                let container = c.start()?;
                let seen = container.exec_seen(&[], &[])?.keyring;
                let own = crate::sys::session_keyring().unwrap_or_default();
                c.saw(format!("{seen} inside, {own} outside"));
                ensure(seen != own || own.is_empty(), || "the caller's keyring".into())
            }),
    ]
}

/// Processes that join while the container lies in wait for them.
fn joining() -> Vec<Case> {
    const WHO: &str = "CVE-2019-5736, CVE-2016-9962";
    vec![
        attack("joining-exec-is-out-of-reach", WHO)
            .needs(Need::Root)
            .breaks(refuses("exec"))
            .runs(hunted),
        attack("joining-exec-is-out-of-reach-in-a-user-namespace", WHO)
            .needs(Need::Root)
            .breaks(refuses("exec"))
            .runs(|c| {
                c.user_namespace(100_000, 65_536);
                // All an image's owner can ask for: within its own user namespace.
                for set in ["bounding", "effective", "permitted"] {
                    c.set(&format!("/process/capabilities/{set}/-"), "CAP_SYS_PTRACE");
                }
                hunted(c)
            }),
    ]
}

/// The container's process tries to trace, read and overwrite whatever appears beside it.
fn hunted(c: &mut Context) -> Verdict {
    c.set("/process/args", json!(["/probe", "hunt", "/tmp/stop"]));
    let container = c.start()?;
    container.seen()?;
    for _ in 0..EXECS {
        // Without a name for its output, which the hunter's own has.
        let output = container.exec(&[], &["/probe", "exit", "0"])?;
        ensure(output.ok(), || format!("exec {}", output.summary()))?;
    }
    std::fs::write(c.rootfs().join("tmp/stop"), "")?;
    container.wait()?;
    let output = container.output();
    let last = output.lines().last().unwrap_or_default();
    let hunt: Value = serde_json::from_str(last)
        .or_else(|error| fail(format!("the hunter's report is no JSON ({error}): {last:?}")))?;
    c.saw(format!("{hunt}"));
    let caught = hunt["caught"].as_array().map_or(0, Vec::len);
    ensure(caught == 0, || format!("in reach of the container: {}", hunt["caught"]))
}

/// Execs during a hunt.
const EXECS: usize = 25;
