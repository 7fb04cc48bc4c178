//! What the container's process is given: arguments, environment, user, limits, capabilities.

use serde_json::{Value, json};

use crate::case::{Case, Verdict, case, ensure, equal};
use crate::context::Context;
use crate::mutant::{drops, sets, skips};

/// The chapter.
pub fn cases() -> Vec<Case> {
    let mut all = basics();
    all.extend(user());
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
            .breaks(crate::mutant::Break::Repair)
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
    vec![
        case("process/uid")
            .cites("config.md:370 specifies the user ID in the container namespace")
            .needs(crate::needs::Need::Root)
            .breaks(drops("/process/user/uid"))
            .runs(|c| {
                user_field(c, "/process/user/uid", json!(1234), |seen| {
                    equal("uids", &seen.uids, &[1234; 4])
                })
            }),
        case("process/gid")
            .cites("config.md:371 specifies the group ID in the container namespace")
            .needs(crate::needs::Need::Root)
            .breaks(drops("/process/user/gid"))
            .runs(|c| {
                user_field(c, "/process/user/gid", json!(4321), |seen| {
                    equal("gids", &seen.gids, &[4321; 4])
                })
            }),
    ]
}

fn user_field(
    c: &mut Context,
    pointer: &str,
    value: Value,
    look: impl Fn(&crate::observation::Observation) -> Verdict,
) -> Verdict {
    c.set(pointer, value);
    look(&c.observe()?)
}
