//! A machine that gives way: full and read-only disks, cgroups and processes that vanish, clocks
//! of another time namespace, no process left to make, many commands at once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Instant, SystemTime};

use nix::mount::{MsFlags, mount, umount};
use serde_json::json;

use crate::case::{Builder, Case, Stop, Verdict, case, ensure, fail};
use crate::container::{Container, worked};
use crate::context::Context;
use crate::mutant::{pretends, refuses};
use crate::needs::Need;
use crate::process;
use crate::runtime::Output;

/// Commands at once.
const COMMANDS: usize = 1000;
/// Says that this machine's clock may be set: it is a virtual one that is thrown away.
const MAY_SET_CLOCK: &str = "/run/hull-conformance-may-set-the-clock";

/// The chapter.
pub fn cases() -> Vec<Case> {
    let mut all = disk();
    all.extend(vanishing());
    all.extend([
        adversity("pids-limit-reached")
            .needs(Need::Controller("pids"))
            .breaks(refuses("delete"))
            .runs(pids_limit),
        adversity("clocks-of-another-time-namespace")
            .needs(Need::Namespace("time"))
            .needs(Need::File("/usr/bin/unshare"))
            .breaks(refuses("state"))
            .runs(other_clocks),
        adversity("wall-clock-jumps")
            .needs(Need::File(MAY_SET_CLOCK))
            .breaks(refuses("state"))
            .runs(wall_clock),
        adversity("a-thousand-commands-at-once").breaks(refuses("exec")).runs(a_thousand),
    ]);
    all
}

fn adversity(name: impl std::fmt::Display) -> Builder {
    case(format!("adversity/{name}"))
        .cites("runtime.md:143 MUST delete the resources that were created during the")
        .needs(Need::Root)
}

fn disk() -> Vec<Case> {
    // From no room at all to as much as a container needs; a page is the least tmpfs gives.
    let full = [0, 1, 2, 3, 4, 6, 8, 12].map(|pages| {
        adversity(format!("create-with-{pages}-pages-of-disk"))
            .breaks(refuses("delete"))
            .runs(move |c| create_with_room(c, pages))
    });
    let mut all = Vec::from(full);
    all.extend([
        adversity("delete-on-a-full-disk").breaks(refuses("delete")).runs(|c| {
            let container = on_a_disk(c, "64k")?;
            fill(&c.driver.root())?;
            gone(c, &container)
        }),
        adversity("exec-on-a-full-disk").breaks(refuses("state")).runs(|c| {
            let container = on_a_disk(c, "64k")?;
            fill(&c.driver.root())?;
            let output = container.exec(&[], &["/probe", "exit", "0"])?;
            fails_cleanly_or_works("exec", &output)?;
            ensure(container.status()? == "running", || "the container is lost".into())?;
            gone(c, &container)
        }),
        adversity("state-directory-read-only").breaks(refuses("state")).runs(read_only),
    ]);
    all
}

/// Puts the state root on a disk of this size.
fn small_disk(c: &Context, options: &str) -> Verdict {
    let root = c.driver.root();
    Ok(mount(Some("tmpfs"), &root, Some("tmpfs"), MsFlags::empty(), Some(options))?)
}

/// A running container whose state is on a small disk.
fn on_a_disk(c: &mut Context, size: &str) -> Result<Container, Stop> {
    small_disk(c, &format!("size={size},mode=700"))?;
    c.stay(&[]);
    let container = c.start()?;
    container.seen()?;
    Ok(container)
}

/// Writes until nothing more fits.
fn fill(directory: &Path) -> Verdict {
    use std::io::Write;
    let mut file = fs::File::create(directory.join(",filling"))?;
    while file.write_all(&[7; 1024]).is_ok() {}
    Ok(())
}

fn create_with_room(c: &mut Context, pages: u32) -> Verdict {
    small_disk(c, &format!("size={}k,mode=700", 4 * (pages + 1)))?;
    // A page for what keeps the rest from being used up by the first directory.
    fs::write(c.driver.root().join(",page"), [7; 4096])?;
    c.stay(&[]);
    let (container, output) = c.try_create()?;
    c.saw(output.summary());
    fails_cleanly_or_works("create", &output)?;
    if output.ok() {
        ensure(container.status()? == "created", || "create says it worked".into())?;
    }
    gone(c, &container)
}

/// `delete --force` works, and nothing is left.
fn gone(c: &Context, container: &Container) -> Verdict {
    let output = container.call("delete", &["--force"])?;
    ensure(output.ok(), || format!("delete --force {}", output.summary()))?;
    process::settles(<[i32]>::is_empty);
    let state = c.driver.root().join(&container.id);
    ensure(!state.exists(), || "the state directory is left".into())?;
    if fs::read_to_string("/proc/self/mountinfo")?.contains(&c.driver.root().display().to_string())
    {
        umount(&c.driver.root())?;
    }
    c.nothing_left(container)
}

fn fails_cleanly_or_works(verb: &str, output: &Output) -> Verdict {
    let lines = output.stderr.lines().filter(|line| !line.is_empty()).count();
    let clean = matches!(output.exit, Some(process::Exit::Code(_))) && lines == 1;
    ensure(output.ok() || clean, || format!("{verb} {} in {lines} lines", output.summary()))
}

fn read_only(c: &mut Context) -> Verdict {
    let container = on_a_disk(c, "1m")?;
    let flags = |flag| MsFlags::MS_REMOUNT | flag;
    let none: Option<&str> = None;
    mount(none, &c.driver.root(), none, flags(MsFlags::MS_RDONLY), none)?;
    ensure(container.status()? == "running", || "the container is lost".into())?;
    let (other, output) = c.try_create()?;
    c.saw(output.summary());
    ensure(!output.ok(), || "create says it worked".into())?;
    fails_cleanly_or_works("create", &output)?;
    drop(other);
    fails_cleanly_or_works("delete", &container.call("delete", &["--force"])?)?;
    mount(none, &c.driver.root(), none, flags(MsFlags::empty()), none)?;
    gone(c, &container)
}

fn vanishing() -> Vec<Case> {
    vec![
        adversity("cgroup-removed-when-stopped").breaks(refuses("delete")).runs(|c| {
            c.stay(&[]);
            let container = c.start()?;
            container.seen()?;
            process::kill(container.pid()?);
            container.wait()?;
            remove_cgroups(c);
            ensure(container.status()? == "stopped", || "it is not stopped".into())?;
            worked("delete", &container.call("delete", &[])?)?;
            c.nothing_left(&container)
        }),
        adversity("cgroup-removed-when-running").breaks(refuses("delete")).runs(|c| {
            c.stay(&[]);
            let container = c.start()?;
            container.seen()?;
            for directory in cgroups(c) {
                let parent = directory.parent().unwrap_or(&directory).join("cgroup.procs");
                // A controller that takes no process without its own settings keeps it.
                let _ = fs::write(parent, container.pid()?.to_string());
            }
            remove_cgroups(c);
            ensure(container.status()? == "running", || "the container is lost".into())?;
            gone(c, &container)
        }),
        adversity("init-killed-before-start").breaks(pretends("start")).runs(|c| {
            let container = c.create()?;
            process::kill(container.pid()?);
            container.wait()?;
            let status = container.status()?;
            ensure(status == "stopped", || format!("its init is dead, state tells {status}"))?;
            let output = container.call("start", &[])?;
            c.saw(output.summary());
            ensure(!output.ok(), || "start says it worked".into())?;
            fails_cleanly_or_works("start", &output)?;
            worked("delete", &container.call("delete", &[])?)?;
            c.nothing_left(&container)
        }),
    ]
}

/// The container's cgroups that are there.
fn cgroups(c: &Context) -> Vec<PathBuf> {
    let below = c.cgroup.trim_start_matches('/');
    let all = c.host.hierarchies().into_iter().map(|mount| mount.join(below));
    all.filter(|path| path.exists()).collect()
}

/// One that keeps its process, as some v1 controllers do, is left as it is.
fn remove_cgroups(c: &Context) {
    for directory in cgroups(c) {
        for _ in 0..200 {
            if fs::remove_dir(&directory).is_ok() {
                break;
            }
            // The processes leave a moment after their end.
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

/// cgroup v1 counts forks only, so a process may still be put in; v2 counts that too.
fn pids_limit(c: &mut Context) -> Verdict {
    c.set("/linux/resources", json!({"pids": {"limit": 1}}));
    c.stay(&[]);
    let container = c.start()?;
    container.seen()?;
    let output = container.exec(&[], &["/probe", "exit", "0"])?;
    c.saw(output.summary());
    fails_cleanly_or_works("exec", &output)?;
    ensure(container.status()? == "running", || "the container is lost".into())?;
    gone(c, &container)
}

/// The runtime's commands read clocks that have jumped ahead; a whole life of a container.
fn other_clocks(c: &mut Context) -> Verdict {
    c.stay(&[]);
    c.write()?;
    let ahead = |words: &[&str]| {
        let mut command = Command::new("/usr/bin/unshare");
        command.args(["--time", "--monotonic", "400000000", "--boottime", "400000000"]);
        let inner = c.driver.command();
        command
            .arg(inner.get_program())
            .envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.current_dir(&c.driver.dir).arg("--root").arg(c.driver.root()).args(words);
        c.driver.finish(command, crate::runtime::Streams { name: "ahead", ..Default::default() })
    };
    let bundle = c.bundle().display().to_string();
    for words in [
        &["create", "--bundle", &bundle, "ahead"][..],
        &["start", "ahead"],
        &["state", "ahead"],
        &["exec", "ahead", "/probe", "exit", "0"],
        &["kill", "ahead", "KILL"],
        &["delete", "--force", "ahead"],
    ] {
        worked(words[0], &ahead(words)?)?;
    }
    process::settles(<[i32]>::is_empty);
    gone(c, &Container::new(std::rc::Rc::clone(&c.driver), "ahead".into(), c.bundle()))
}

/// The machine's clock, put right in the end.
struct WallClock {
    right: SystemTime,
    since: Instant,
}

impl WallClock {
    /// Sets it to this many seconds from the right time.
    fn jump(&self, seconds: i64) -> Verdict {
        let right = self.right + self.since.elapsed();
        let right = right.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let time = format!("@{}", right.saturating_add_signed(seconds));
        let set = Command::new("date").args(["--set", &time]).stdout(Stdio::null()).status()?;
        ensure(set.success(), || format!("date --set {time}: {set}"))
    }
}

impl Drop for WallClock {
    fn drop(&mut self) {
        let _ = self.jump(0);
    }
}

/// Years ahead before start, years back while it runs.
fn wall_clock(c: &mut Context) -> Verdict {
    const YEARS: i64 = 10 * 365 * 86400;
    let clock = WallClock { right: SystemTime::now(), since: Instant::now() };
    c.stay(&[]);
    let container = c.create()?;
    clock.jump(YEARS)?;
    ensure(container.status()? == "created", || "the container is lost".into())?;
    worked("start", &container.call("start", &[])?)?;
    container.seen()?;
    clock.jump(-YEARS)?;
    ensure(container.status()? == "running", || "the container is lost".into())?;
    worked("exec", &container.exec(&[], &["/probe", "exit", "0"])?)?;
    worked("kill", &container.call("kill", &["KILL"])?)?;
    container.wait()?;
    clock.jump(0)?;
    ensure(container.status()? == "stopped", || "it is not stopped".into())?;
    worked("delete", &container.call("delete", &[])?)?;
    c.nothing_left(&container)
}

fn a_thousand(c: &mut Context) -> Verdict {
    c.stay(&[]);
    let container = c.start()?;
    container.seen()?;
    let pid = container.pid()?;
    let mut children = Vec::new();
    for number in 0..COMMANDS {
        let mut command = c.driver.command();
        command.arg("--root").arg(c.driver.root());
        let words: &[&str] = match number % 8 {
            0 => &["exec", &container.id, "/probe", "exit", "0"],
            1 => &["kill", &container.id, "USR1"],
            2 => &["ps", &container.id],
            3 => &["list"],
            _ => &["state", &container.id],
        };
        command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        children.push((words[0], command.spawn()?));
    }
    let mut failed = Vec::new();
    for (verb, child) in children {
        let pid = i32::try_from(child.id()).unwrap_or(-1);
        match process::wait(pid, c.driver.patience() * 4) {
            Some(process::Exit::Code(0)) => {}
            exit => failed.push(format!("{verb}: {exit:?}")),
        }
    }
    if let Some(first) = failed.first() {
        return fail(format!("{} of {COMMANDS} commands fail: {first}", failed.len()));
    }
    let alone = process::settles(|children| children == [pid]);
    ensure(alone, || format!("processes are {:?}", process::living_children()))?;
    ensure(container.status()? == "running", || "the container is lost".into())?;
    gone(c, &container)
}
