//! Descriptors of the host, and what else of the caller a container must not get.

use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::fs::symlink;
use std::rc::Rc;

use serde_json::json;

use super::{attack, outside};
use crate::case::{Case, Stop, Verdict, ensure, equal};
use crate::container::Container;
use crate::context::Context;
use crate::mutant::{Break, sets};
use crate::needs::Need;
use crate::observation::Observation;
use crate::runtime::Driver;

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut all = descriptors();
    all.extend(caller());
    all.extend(surroundings());
    all
}

/// Leaves a descriptor of the host's directory open across exec, as a careless caller would.
fn leak(c: &Context) -> Result<i32, Stop> {
    let directory = std::fs::File::open(outside(c)?)?;
    let copy = nix::fcntl::fcntl(&directory, nix::fcntl::FcntlArg::F_DUPFD(20))?;
    ensure(directory.as_raw_fd() != copy, || "no copy".into())?;
    let _ = directory.into_raw_fd();
    Ok(copy)
}

fn descriptors() -> Vec<Case> {
    const ADVISORIES: &str = "CVE-2016-9962, CVE-2024-21626";
    vec![
        attack("no-descriptor-leaks", ADVISORIES).breaks(Break::Leak).runs(|c| {
            leak(c)?;
            let seen = c.observe()?;
            only_stdio(c, &seen.fds)
        }),
        attack("no-descriptor-leaks-to-exec", ADVISORIES).breaks(Break::Leak).runs(|c| {
            c.stay(&[]);
            let container = c.start()?;
            leak(c)?;
            let seen = container.exec_seen(&[], &[])?;
            only_stdio(c, &seen.fds)
        }),
        attack("cwd-through-a-descriptor", ADVISORIES).breaks(Break::Hang).runs(|c| {
            let number = leak(c)?;
            for number in [3, 4, 5, 6, 7, 8, 9, 10, number] {
                c.set("/process/cwd", format!("/proc/self/fd/{number}"));
                c.request(&["list:.", "read:secret"]);
                let (container, output) = c.try_create()?;
                ensure(output.exit.is_some(), || format!("create {}", output.summary()))?;
                if !output.ok() || !container.call("start", &[])?.ok() {
                    continue;
                }
                inside(&container.seen()?)?;
            }
            Ok(())
        }),
        attack("cwd-through-a-link-to-a-descriptor", ADVISORIES).breaks(Break::Hang).runs(|c| {
            let number = leak(c)?;
            symlink(format!("/proc/self/fd/{number}"), c.rootfs().join("escape"))?;
            c.set("/process/cwd", "/escape");
            c.request(&["read:secret"]);
            let (container, output) = c.try_create()?;
            ensure(output.exit.is_some(), || format!("create {}", output.summary()))?;
            if !output.ok() || !container.call("start", &[])?.ok() {
                return Ok(());
            }
            inside(&container.seen()?)
        }),
        attack("exec-cwd-through-a-descriptor", ADVISORIES)
            .breaks(Break::Word("--cwd".into(), "--no-such-option".into()))
            .runs(|c| {
                c.stay(&[]);
                let container = c.start()?;
                container.seen()?;
                let number = leak(c)?;
                // The option itself works: what fails below fails for the path.
                container.exec_seen(&["--cwd", "/tmp"], &[])?;
                for number in [3, 4, 5, 6, 7, 8, 9, 10, number] {
                    let cwd = format!("/proc/self/fd/{number}");
                    let words = ["/probe", "report", "read:secret"];
                    let output = container.exec(&["--cwd", &cwd], &words)?;
                    ensure(output.exit.is_some(), || format!("exec {}", output.summary()))?;
                    if output.ok() {
                        inside(&crate::container::parse(&output.stdout)?)?;
                    }
                }
                Ok(())
            }),
    ]
}

/// The process stands in the container's root and sees none of the host's files.
fn inside(seen: &Observation) -> Verdict {
    let out = seen.tried("read:secret").worked() || seen.cwd.contains("unreach");
    ensure(!out, || format!("the working directory leads outside: {}", seen.cwd))
}

/// The caller's session, groups and environment.
fn caller() -> Vec<Case> {
    vec![
        attack("session-keyring-of-its-own", "CVE-2014-9922 class")
            .breaks(Break::Refuse("start".into()))
            .runs(|c| {
                let seen = c.observe()?.keyring;
                let own = crate::sys::session_keyring().unwrap_or_default();
                c.saw(format!("{seen} inside, {own} outside"));
                ensure(seen != own || own.is_empty(), || "the caller's keyring".into())
            }),
        attack("no-terminal-of-the-caller", "CVE-2017-5226")
            .breaks(Break::Refuse("start".into()))
            .runs(|c| {
                c.request(&["tiocsti:", "open:/dev/tty"]);
                let seen = c.observe()?;
                ensure(!seen.tried("tiocsti:").worked(), || "TIOCSTI works".into())?;
                equal("opening /dev/tty", seen.tried("open:/dev/tty").errno.as_str(), "ENXIO")
            }),
    ]
}

/// A variable of the caller with a secret in it.
const VARIABLE: &str = "HULL_CONFORMANCE_SECRET";

fn surroundings() -> Vec<Case> {
    vec![
        attack("no-groups-of-the-caller", "CVE-2022-36109, CVE-2020-14370")
            .needs(Need::Root)
            .breaks(sets("/process/user/additionalGids", json!([5555])))
            .runs(|c| {
                nix::unistd::setgroups(&[nix::unistd::Gid::from_raw(5555)])?;
                let groups = c.observe()?.groups;
                ensure(!groups.contains(&5555), || format!("groups {groups:?}"))
            }),
        attack("environment-of-the-caller", "CVE-2021-3602, CVE-2026-57231")
            .breaks(sets("/process/env", json!([format!("{VARIABLE}=x")])))
            .runs(|c| {
                add_variable(c);
                let container = c.start()?;
                hidden(&container.seen()?)
            }),
        attack("environment-of-the-caller-of-exec", "CVE-2021-3602, CVE-2026-57231")
            .breaks(Break::Word("report".into(), "exit".into()))
            .runs(|c| {
                c.stay(&[]);
                let container = c.start()?;
                container.seen()?;
                add_variable(c);
                let second = Container::new(c.driver.clone(), container.id.clone(), c.bundle());
                hidden(&second.exec_seen(&[], &[])?)
            }),
        attack("environment-of-the-waiting-init", "CVE-2021-3602")
            .needs(Need::Root)
            .breaks(Break::Refuse("create".into()))
            .runs(|c| {
                add_variable(c);
                let created = c.create()?;
                // A second container in the same pid namespace looks at the first one's process.
                let path = format!("/proc/{}/ns/pid", created.pid()?);
                c.namespace("pid", Some(&path));
                let second = format!("{}/second", c.cgroup);
                c.set("/linux/cgroupsPath", second);
                c.request(&["read:/proc/1/environ", "stat:/proc/1/environ"]);
                let tried = c.observe()?.tried("read:/proc/1/environ");
                c.saw(format!("reading its environment: {}", tried.errno));
                let text = tried.value.as_str().unwrap_or_default();
                ensure(!text.contains(VARIABLE), || {
                    "the waiting process has the caller's environment".into()
                })
            }),
    ]
}

fn add_variable(c: &mut Context) {
    let old = &c.driver;
    let mut env = old.env.clone();
    env.push((VARIABLE.to_owned(), "secret".to_owned()));
    c.driver = Rc::new(Driver {
        runtime: old.runtime.clone(),
        broken: old.broken.clone(),
        work: old.work.clone(),
        dir: old.dir.clone(),
        user: old.user,
        env,
    });
}

fn hidden(seen: &Observation) -> Verdict {
    let told = seen.env.iter().find(|entry| entry.contains(VARIABLE));
    ensure(told.is_none(), || format!("the caller's environment is inside: {told:?}"))
}

fn only_stdio(c: &mut Context, fds: &std::collections::BTreeMap<i32, String>) -> Verdict {
    c.saw(format!("{fds:?}"));
    let extra: Vec<_> = fds.iter().filter(|(number, _)| **number > 2).collect();
    ensure(extra.is_empty(), || format!("open in the container: {extra:?}"))
}
