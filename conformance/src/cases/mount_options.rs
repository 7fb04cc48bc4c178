//! The option strings of mounts, one case each (config.md, Linux mount options).

use serde_json::json;

use crate::case::{Case, Verdict, case, ensure, equal, fail};
use crate::context::Context;
use crate::mutant::{Break, sets};
use crate::needs::Need;
use crate::observation::Mount;

/// Where the mount under test lies, and its index in the configuration.
const TARGET: &str = "/run";
const OPTIONS: &str = "/mounts/4/options";

/// Lines of the table in config.md.
fn line(option: &str) -> Option<&'static str> {
    let start = format!("`{option}` | ");
    let found = crate::spec::ALL.iter().find(|sentence| sentence.text.starts_with(&start));
    found.map(|sentence| sentence.id.as_str())
}

fn cited(option: &str, id: &str) -> crate::case::Builder {
    let line = line(option).unwrap_or_default();
    case(id.to_owned())
        .cites(format!("{line} `{option}` | "))
        .needs(Need::Claim("/mountOptions", json!(option)))
}

/// The chapter.
pub fn cases() -> Vec<Case> {
    let mut all: Vec<Case> = EFFECTS.iter().map(effect).collect();
    all.extend(KNOWN.map(known));
    all.extend(RECURSIVE.iter().map(recursive));
    all.extend(PROPAGATION.iter().map(propagation));
    all.extend(binds());
    all.push(remount());
    all
}

/// Options given to a tmpfs, and what its line in mountinfo then has or lacks.
struct Effect {
    option: &'static str,
    given: &'static [&'static str],
    has: &'static str,
    lacks: &'static str,
}

const fn sets_flag(option: &'static str, given: &'static [&'static str]) -> Effect {
    Effect { option, given, has: option, lacks: "" }
}

const fn clears(option: &'static str, given: &'static [&'static str]) -> Effect {
    Effect { option, given, has: "", lacks: given[0] }
}

const EFFECTS: [Effect; 20] = [
    sets_flag("nosuid", &["nosuid"]),
    sets_flag("nodev", &["nodev"]),
    sets_flag("noexec", &["noexec"]),
    sets_flag("noatime", &["noatime"]),
    sets_flag("nodiratime", &["nodiratime"]),
    sets_flag("ro", &["ro"]),
    sets_flag("relatime", &["relatime"]),
    sets_flag("nosymfollow", &["nosymfollow"]),
    sets_flag("sync", &["sync"]),
    sets_flag("dirsync", &["dirsync"]),
    sets_flag("lazytime", &["lazytime"]),
    Effect { option: "strictatime", given: &["strictatime"], has: "", lacks: "relatime" },
    clears("suid", &["nosuid", "suid"]),
    clears("dev", &["nodev", "dev"]),
    clears("exec", &["noexec", "exec"]),
    clears("rw", &["ro", "rw"]),
    clears("atime", &["noatime", "atime"]),
    clears("diratime", &["nodiratime", "diratime"]),
    clears("async", &["sync", "async"]),
    clears("symfollow", &["nosymfollow", "symfollow"]),
];

fn effect(effect: &'static Effect) -> Case {
    let broken = match effect.option {
        // The kernel's default is what is asked for: spoil it visibly.
        "relatime" => &["noatime"],
        _ if effect.has.is_empty() => &effect.given[..effect.given.len() - 1],
        _ => &[][..],
    };
    let since = if effect.option.ends_with("symfollow") { "1.1.0" } else { "1.0.0" };
    cited(effect.option, &format!("mount-options/{}", effect.option))
        .cites("config.md:161 options correspond to `mount(8)`")
        .needs(Need::Spec(since))
        .breaks(sets(OPTIONS, json!(broken)))
        .runs(|c| {
            c.mount(TARGET, "tmpfs", "tmpfs", effect.given);
            let mount = mounted(c)?;
            let found = |option: &str| mount.has(option) || mount.super_has(option);
            let have = effect.has.is_empty() || found(effect.has);
            let lack = effect.lacks.is_empty() || !found(effect.lacks);
            ensure(have && lack, || {
                format!("{:?} gives {:?} {:?}", effect.given, mount.options, mount.super_options)
            })
        })
}

fn mounted(c: &mut Context) -> Result<Mount, crate::case::Stop> {
    let seen = c.observe()?;
    match seen.mount(TARGET) {
        Some(mount) => {
            c.saw(format!("{:?}", mount.options));
            Ok(mount.clone())
        }
        None => fail(format!("nothing is mounted at {TARGET}")),
    }
}

/// Options whose effect can't be read back; tmpfs would refuse them as data of its own.
const KNOWN: [&str; 8] = [
    "defaults",
    "iversion",
    "noiversion",
    "nolazytime",
    "norelatime",
    "nostrictatime",
    "loud",
    "silent",
];

fn known(option: &'static str) -> Case {
    cited(option, &format!("mount-options/{option}"))
        .needs(Need::Spec("1.1.0"))
        .breaks(sets(OPTIONS, json!(["no-such-option"])))
        .runs(move |c| {
            c.mount(TARGET, "tmpfs", "tmpfs", &[option]);
            mounted(c).map(drop)
        })
}

/// A recursive option, what the mounts below are given before, and what they then have or lack.
struct Recursive {
    option: &'static str,
    before: &'static str,
    has: &'static str,
    lacks: &'static str,
}

const fn spreads(option: &'static str, has: &'static str) -> Recursive {
    Recursive { option, before: "", has, lacks: "" }
}

const fn withdraws(option: &'static str, before: &'static str) -> Recursive {
    Recursive { option, before, has: "", lacks: before }
}

const RECURSIVE: [Recursive; 18] = [
    spreads("rro", "ro"),
    spreads("rnosuid", "nosuid"),
    spreads("rnodev", "nodev"),
    spreads("rnoexec", "noexec"),
    spreads("rnoatime", "noatime"),
    spreads("rnodiratime", "nodiratime"),
    spreads("rrelatime", "relatime"),
    spreads("rnosymfollow", "nosymfollow"),
    withdraws("rrw", "ro"),
    withdraws("rsuid", "nosuid"),
    withdraws("rdev", "nodev"),
    withdraws("rexec", "noexec"),
    withdraws("ratime", "noatime"),
    withdraws("rdiratime", "nodiratime"),
    withdraws("rsymfollow", "nosymfollow"),
    Recursive { option: "rstrictatime", before: "", has: "", lacks: "relatime" },
    Recursive { option: "rnorelatime", before: "", has: "rw", lacks: "" },
    Recursive { option: "rnostrictatime", before: "", has: "rw", lacks: "" },
];

fn recursive(option: &'static Recursive) -> Case {
    let broken = if option.has == "rw" { json!(["rbind", "no-such"]) } else { json!(["rbind"]) };
    let broken = match option.option {
        // The kernel's default is what is asked for: spoil it visibly.
        "rrelatime" => json!(["rbind", "rnoatime"]),
        _ => broken,
    };
    cited(option.option, &format!("mount-options/{}", option.option))
        .needs(Need::Root)
        .needs(Need::Spec("1.1.0"))
        .breaks(match option.has {
            "rw" => Break::Refuse("create".into()),
            _ => sets(OPTIONS, broken),
        })
        .runs(|c| {
            let source = c.host_tree(option.before)?;
            c.mount(TARGET, "none", &source, &["rbind", option.option]);
            let seen = c.observe()?;
            let Some(below) = seen.mount("/run/below") else {
                return fail("the mount below is not there");
            };
            c.saw(format!("{:?}", below.options));
            let have = option.has.is_empty() || below.has(option.has);
            let lack = option.lacks.is_empty() || !below.has(option.lacks);
            ensure(have && lack, || format!("the mount below has {:?}", below.options))
        })
}

/// A propagation, the tag it shows, and whether it goes down.
struct Propagation {
    option: &'static str,
    tag: &'static str,
    down: bool,
}

const PROPAGATION: [Propagation; 8] = [
    Propagation { option: "shared", tag: "shared:", down: false },
    Propagation { option: "slave", tag: "master:", down: false },
    Propagation { option: "private", tag: "", down: false },
    Propagation { option: "unbindable", tag: "unbindable", down: false },
    Propagation { option: "rshared", tag: "shared:", down: true },
    Propagation { option: "rslave", tag: "master:", down: true },
    Propagation { option: "rprivate", tag: "", down: true },
    Propagation { option: "runbindable", tag: "unbindable", down: true },
];

fn propagation(propagation: &'static Propagation) -> Case {
    let followed = ["shared:", "master:"].contains(&propagation.tag);
    let other = if followed { "rprivate" } else { "rshared" };
    cited(propagation.option, &format!("mount-options/{}", propagation.option))
        .needs(Need::Root)
        .breaks(sets(OPTIONS, json!(["rbind", other])))
        .runs(|c| {
            let source = c.host_tree("")?;
            // Something in the host's peer group, so that a slave has a master.
            c.set("/linux/rootfsPropagation", "rslave");
            c.mount(TARGET, "none", &source, &["rbind", propagation.option]);
            let seen = c.observe()?;
            let targets = if propagation.down { &["/run", "/run/below"][..] } else { &["/run"] };
            for target in targets {
                let tags = seen.mount(target).map(|mount| mount.propagation.clone());
                let tags = tags.unwrap_or_default();
                c.saw(format!("{target}: {tags:?}"));
                let fits = match propagation.tag {
                    "" => !tags.iter().any(|tag| tag.starts_with("shared:")),
                    tag => tags.iter().any(|have| have.starts_with(tag)),
                };
                ensure(fits, || format!("{target} has {tags:?}"))?;
            }
            Ok(())
        })
}

fn binds() -> Vec<Case> {
    let bind = |option: &'static str, below: bool| {
        cited(option, &format!("mount-options/{option}"))
            .needs(Need::Root)
            .breaks(sets(OPTIONS, json!([if below { "bind" } else { "rbind" }])))
            .runs(move |c| {
                let source = c.host_tree("")?;
                c.mount(TARGET, "none", &source, &[option]);
                let seen = c.observe()?;
                ensure(seen.mount(TARGET).is_some(), || "not mounted".into())?;
                equal("mount below is there", &seen.mount("/run/below").is_some(), &below)
            })
    };
    vec![bind("bind", false), bind("rbind", true)]
}

fn remount() -> Case {
    cited("remount", "mount-options/remount")
        .needs(Need::Root)
        .breaks(sets("/mounts/5/options", json!(["remount"])))
        .runs(|c| -> Verdict {
            c.mount(TARGET, "tmpfs", "tmpfs", &["nosuid"]);
            c.mount(TARGET, "tmpfs", "tmpfs", &["remount", "ro"]);
            c.request(&["create:/run/file"]);
            let seen = c.observe()?;
            let count = seen.mounts.iter().filter(|mount| mount.target == TARGET).count();
            equal("mounts at the target", &count, &1)?;
            equal("writing", seen.tried("create:/run/file").errno.as_str(), "EROFS")
        })
}
