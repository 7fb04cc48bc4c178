//! What the container's process is given: arguments, environment, user, limits, capabilities.

use serde_json::json;

use crate::case::{Case, case, ensure, equal};
use crate::context::Context;
use crate::mutant::{Break, drops, refuses, sets, skips};
use crate::needs::Need;
use crate::process::Exit;

/// The chapter.
pub fn cases() -> Vec<Case> {
    let mut all = basics();
    all.extend(user());
    all.extend(bad());
    all
}

fn basics() -> Vec<Case> {
    vec![
        case("process/args")
            .cites("runtime.md:126.2 MUST run the user-specified program as specified by `process`")
            .cites("runtime.md:71 MUST run the user-specified program")
            .cites("config.md:252 at least one entry is REQUIRED")
            .breaks(sets("/process/args", json!(["/probe", "report"])))
            .runs(|c| {
                c.request(&["stat:/a b", "read:"]);
                let seen = c.observe()?;
                equal("args", &seen.args, &["/probe", "report", "stat:/a b", "read:"])
            }),
        case("process/cwd")
            .cites("config.md:248 is the working directory that will be set for the executable")
            .breaks(sets("/process/cwd", "/"))
            .runs(|c| {
                c.set("/process/cwd", "/tmp");
                equal("cwd", c.observe()?.cwd.as_str(), "/tmp")
            }),
        case("process/env")
            .cites("runtime.md:126.2 as specified by `process`")
            .breaks(drops("/process/env"))
            .runs(|c| {
                c.set("/process/env", json!(["PATH=/", "EMPTY=", "WITH=a=b", "SPACE=a b"]));
                let seen = c.observe()?;
                c.saw(format!("env {:?}", seen.env));
                let known = [("EMPTY", ""), ("WITH", "a=b"), ("SPACE", "a b"), ("PATH", "/")];
                known
                    .iter()
                    .try_for_each(|(name, value)| equal(name, &seen.variable(name), &Some(*value)))
            }),
        case("process/env-of-the-runtime-stays-out")
            .cites("runtime.md:126.2 as specified by `process`")
            .breaks(sets("/process/env", json!(["PATH=/", "HOST_SECRET=1"])))
            .runs(|c| {
                let seen = c.observe()?;
                c.saw(format!("env {:?}", seen.env));
                let strange = |entry: &&String| {
                    let known = ["PATH=", "SUITE=", "HOME="];
                    !known.iter().any(|name| entry.starts_with(name))
                };
                let found = seen.env.iter().find(strange);
                ensure(found.is_none(), || format!("{found:?} was not asked for"))
            }),
        case("process/path-lookup")
            .cites("config.md:252 with the same semantics as `execvp`'s file")
            .breaks(sets("/process/args", json!(["/probe", "exit", "3"])))
            .runs(|c| {
                c.set("/process/args", json!(["probe", "report"]));
                equal("args", &c.observe()?.args, &["probe", "report"])
            }),
        case("process/missing-at-start")
            .cites("runtime.md:126.3 MUST generate an error if `process` was not set")
            .cites("config.md:240 REQUIRED when `start` is called")
            .breaks(Break::Repair)
            .runs(|c| {
                c.remove("/process");
                c.refused()
            }),
        case("process/no-new-privileges")
            .cites("runtime.md:113 MUST be applied")
            .breaks(drops("/process/noNewPrivileges"))
            .runs(|c| equal("NoNewPrivs", c.observe()?.field("NoNewPrivs"), "1")),
        case("process/starts-only-at-start")
            .cites("runtime.md:60 MUST NOT be run at this time")
            .cites("runtime.md:114 MUST NOT be applied until triggered by the `start` operation")
            .breaks(skips("start"))
            .runs(|c| {
                let container = c.create()?;
                std::thread::sleep(std::time::Duration::from_millis(50));
                equal("output before start", container.output().as_str(), "")?;
                container.start()?;
                container.wait()?;
                container.seen().map(drop)
            }),
    ]
}

fn user() -> Vec<Case> {
    let root = || Need::Root;
    vec![
        case("process/uid")
            .cites("config.md:370 specifies the user ID in the container namespace")
            .needs(root())
            .breaks(drops("/process/user/uid"))
            .runs(|c| {
                c.set("/process/user/uid", 1234);
                equal("uids", &c.observe()?.uids, &[1234; 4])
            }),
        case("process/gid")
            .cites("config.md:371 specifies the group ID in the container namespace")
            .needs(root())
            .breaks(drops("/process/user/gid"))
            .runs(|c| {
                c.set("/process/user/gid", 4321);
                equal("gids", &c.observe()?.gids, &[4321; 4])
            }),
        case("process/uid-in-user-namespace")
            .cites("config.md:370 specifies the user ID in the container namespace")
            .needs(root())
            .breaks(drops("/process/user/uid"))
            .runs(|c| {
                c.user_namespace(100_000, 65_536);
                c.set("/process/user/uid", 1234);
                equal("uids", &c.observe()?.uids, &[1234; 4])
            }),
        case("process/uid-not-mapped")
            .cites("runtime.md:59 MUST generate an error")
            .needs(root())
            .breaks(Break::Repair)
            .runs(|c| {
                c.user_namespace(100_000, 1000);
                c.set("/process/user/uid", 5000);
                c.refused()
            }),
        case("process/additional-groups")
            .cites("runtime.md:113 MUST be applied")
            .needs(root())
            .breaks(drops("/process/user/additionalGids"))
            .runs(|c| {
                c.set("/process/user/additionalGids", json!([7, 9, 5]));
                let groups = c.observe()?.groups;
                c.saw(format!("groups {groups:?}"));
                let own = groups.iter().filter(|gid| **gid != 0).copied().collect::<Vec<_>>();
                equal("groups", &own, &[5, 7, 9])
            }),
        case("process/umask")
            .cites("runtime.md:113 MUST be applied")
            .breaks(drops("/process/user/umask"))
            .runs(|c| {
                c.set("/process/user/umask", 0o137);
                equal("umask", &c.observe()?.umask, &0o137)
            }),
        case("process/console-size-without-terminal")
            .cites("config.md:245 MUST ignore `consoleSize` if `terminal` is `false` or unset")
            .breaks(refuses("create"))
            .runs(|c| {
                c.set("/process/consoleSize", json!({"height": 24, "width": 80}));
                equal("terminal", &c.observe()?.terminal, &None)
            }),
        case("process/exit-status")
            .cites("runtime.md:126.2 MUST run the user-specified program")
            .breaks(sets("/process/args", json!(["/probe", "exit", "0"])))
            .runs(|c| {
                c.set("/process/args", json!(["/probe", "exit", "23"]));
                let container = c.start()?;
                equal("exit", &container.wait()?, &Exit::Code(23))
            }),
        case("process/session-of-its-own")
            .cites("runtime.md:126.2 MUST run the user-specified program")
            .breaks(refuses("start"))
            .runs(|c| {
                let seen = c.observe()?;
                equal("session", &seen.sid, &seen.pid)
            }),
    ]
}

fn bad() -> Vec<Case> {
    const VALUES: &str = "config.md:760 invalid or unsupported values";
    const EXEC: &str = "runtime.md:59 MUST generate an error";
    let refused = |name: &str, cite: &str, edit: fn(&mut Context)| {
        case(format!("process/{name}")).cites(cite).breaks(Break::Repair).runs(move |c| {
            edit(c);
            c.refused()
        })
    };
    let mut all = vec![
        refused("cwd-missing", "config.md:248 `cwd` (string, REQUIRED)", |c| {
            c.remove("/process/cwd");
        }),
        refused("cwd-relative", "config.md:249 MUST be an absolute path", |c| {
            c.set("/process/cwd", "tmp");
        }),
        refused("args-empty", "config.md:252 at least one entry is REQUIRED", |c| {
            c.set("/process/args", json!([]));
        }),
        refused("args-missing", "config.md:252 at least one entry is REQUIRED", |c| {
            c.remove("/process/args");
        }),
        refused("program-missing", EXEC, |c| c.set("/process/args", json!(["/nothing"]))),
        refused("program-a-directory", EXEC, |c| c.set("/process/args", json!(["/etc"]))),
        refused("uid-negative", VALUES, |c| c.set("/process/user/uid", -1)),
        refused("uid-too-large", VALUES, |c| c.set("/process/user/uid", 4_294_967_296_u64)),
        refused("uid-minus-one", VALUES, |c| c.set("/process/user/uid", 4_294_967_295_u64)),
        refused("gid-minus-one", VALUES, |c| c.set("/process/user/gid", 4_294_967_295_u64)),
        refused("env-without-equals", VALUES, |c| c.set("/process/env/-", "NOVALUE")),
        refused("env-without-name", VALUES, |c| c.set("/process/env/-", "=value")),
    ];
    for (key, line) in [("uid", 370), ("gid", 371)] {
        all.push(
            case(format!("process/{key}-missing"))
                .cites(format!("config.md:{line} `{key}` (int, REQUIRED)"))
                .advice()
                .breaks(Break::Repair)
                .runs(move |c| {
                    c.remove(&format!("/process/user/{key}"));
                    c.refused()
                }),
        );
    }
    for (key, line) in [("height", 246), ("width", 247)] {
        all.push(
            case(format!("process/console-{key}-missing"))
                .cites(format!("config.md:{line} `{key}` (uint, REQUIRED)"))
                .advice()
                .breaks(Break::Repair)
                .runs(move |c| {
                    c.set("/process/consoleSize", json!({"height": 24, "width": 80}));
                    c.remove(&format!("/process/consoleSize/{key}"));
                    c.refused()
                }),
        );
    }
    all
}
