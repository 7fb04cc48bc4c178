//! Making the directories of a container, setting its limits, and undoing that.

use super::destroy::PATIENCE;
use super::devices::{Entry, Whitelist};
use super::file::{forbidden, open_write, read_optional, write_open, write_raw};
use super::{Cgroup, Place, attach, cpuset};
use crate::error::{At, Error, Kind, Result};
use crate::plan::cgroup::{CgroupPlan, Devices, Directory};
use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::unistd::{Uid, UnlinkatFlags, chown, unlinkat};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Instant;

/// How often a parent may vanish while a directory is made in it: another container that shares
/// the parent can be undone at the same time.
const ATTEMPTS: usize = 8;

/// The files that a user needs for a cgroup of his own, where the kernel does not tell
/// (/sys/kernel/cgroup/delegate, since Linux 4.15).
const DELEGATE: &str = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n";

impl Cgroup {
    /// Makes what `plan` says and sets its limits. On failure nothing that was not there before is
    /// left.
    ///
    /// A directory that exists already is taken over if it has no processes and is not frozen.
    pub fn create(plan: &CgroupPlan) -> Result<Self> {
        let mut cgroup = Self { places: Vec::new(), made: Vec::new(), program: None };
        match cgroup.establish(plan) {
            Ok(()) => Ok(cgroup),
            Err(error) => {
                // The first failure is the one to tell.
                let _ = cgroup.undo();
                Err(error)
            }
        }
    }

    /// Refuses what [`Cgroup::create`] would refuse, before systemd makes the directories: it takes
    /// over those that are there.
    pub fn refuse_used_before(plan: &CgroupPlan) -> Result<()> {
        if plan.unit.is_none() {
            return Ok(());
        }
        let there: Vec<_> = plan.directories.iter().filter(|each| each.path.exists()).collect();
        let places = there.iter().map(|directory| place(directory)).collect();
        let cgroup = Self { places, made: Vec::new(), program: None };
        for directory in there {
            match cgroup.refuse_used(directory) {
                // It went meanwhile, with the container that had it.
                Err(error) if error.errno() == Some(Errno::ENOENT) => {}
                other => other?,
            }
        }
        Ok(())
    }

    /// Removes what [`Cgroup::create`] made, and nothing else.
    pub fn undo(self) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        let mut result = match (&self.program, self.unified()) {
            (Some(program), Some(path)) => attach::detach(path, program),
            _ => Ok(()),
        };
        for path in self.made.iter().rev() {
            let removed = if self.places.iter().any(|place| place.path == *path) {
                self.remove(path, end)
            } else {
                // A parent: somebody else may use it by now.
                match unlinkat(AT_FDCWD, path, UnlinkatFlags::RemoveDir) {
                    Err(Errno::EBUSY | Errno::ENOTEMPTY | Errno::ENOENT) => Ok(()),
                    other => other.at(|| format!("rmdir {path:?}")),
                }
            };
            result = result.and(removed);
        }
        result
    }

    fn establish(&mut self, plan: &CgroupPlan) -> Result<()> {
        for directory in &plan.directories {
            match self.make(directory, plan.unit.is_some()) {
                Ok(()) => {}
                Err(error) if tolerated(plan, &error) => {
                    self.places.retain(|place| place.path != directory.path);
                    if plan.directories.len() == 1 && !plan.writes.is_empty() {
                        return Err(error).at(|| {
                            "rootless needs no limits + no cgrouppath when no permission is \
                             granted for cgroups"
                        });
                    }
                }
                Err(error) => return Err(error),
            }
        }
        if self.places.is_empty() {
            return match plan.writes.first() {
                Some(write) => Err(unplaced(&write.controller)),
                None => Ok(()),
            };
        }
        if let Some(directory) = plan.directories.first().filter(|_| self.is_v2()) {
            enable_controllers(directory, plan)?;
        }
        self.write_limits(plan)?;
        let new = self.main().is_some_and(|path| self.made.iter().any(|made| made == path));
        match self.limit_devices(&plan.devices, new) {
            // A user namespace can neither write device rules nor make devices.
            Err(error) if plan.rootless && is_forbidden(&error) => {}
            other => other?,
        }
        match (plan.owner, self.unified()) {
            (Some(owner), Some(path)) => match delegate(path, owner) {
                // Its maker already owns it; nobody else can be made to.
                Err(error) if plan.rootless && error.errno() == Some(Errno::EPERM) => Ok(()),
                other => other,
            },
            _ => Ok(()),
        }
    }

    /// Makes one directory; one that is `given` is systemd's, made for this container just now.
    fn make(&mut self, directory: &Directory, given: bool) -> Result<()> {
        let path = &directory.path;
        let new = self.make_all(path, &directory.mount)?;
        self.places.push(place(directory));
        if !new && !given {
            self.refuse_used(directory)?;
        }
        if !has(directory, "cpuset") {
            return Ok(());
        }
        cpuset::inherit(path, &directory.mount, new)
    }

    /// A directory that is there already may have no processes and may not be frozen: the
    /// container's first process would never run.
    fn refuse_used(&self, directory: &Directory) -> Result<()> {
        let alone = directory.unified && self.is_v2();
        if has(directory, "devices") || alone {
            refuse_processes(&directory.path)?;
        }
        if (has(directory, "freezer") || alone) && self.is_frozen()? {
            return Err(Error::new(Kind::State, "container's cgroup unexpectedly frozen"));
        }
        Ok(())
    }

    /// Makes `path` and its parents up to `mount`; whether `path` is new.
    fn make_all(&mut self, path: &Path, mount: &Path) -> Result<bool> {
        let mut builder = DirBuilder::new();
        builder.mode(0o755);
        for _ in 0..ATTEMPTS {
            match builder.create(path) {
                Ok(()) => {
                    self.made.push(path.to_owned());
                    return Ok(true);
                }
                Err(error) if error.raw_os_error() == Some(libc::EEXIST) => return Ok(false),
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) && path != mount => {
                    if let Some(parent) = path.parent() {
                        self.make_all(parent, mount)?;
                    }
                }
                Err(error) => return Err(error).at(|| format!("mkdir {path:?}")),
            }
        }
        Err(Errno::ENOENT).at(|| format!("mkdir {path:?}"))
    }

    /// Sets the limits.
    fn write_limits(&self, plan: &CgroupPlan) -> Result<()> {
        plan.check_usage.map_or(Ok(()), |check| self.check_usage(check))?;
        self.write_all(&plan.writes)
    }

    /// Sets the device rules in the place of those that were set before; with as little
    /// interruption for running processes as the kernel allows.
    pub fn replace_devices(&mut self, devices: &Devices) -> Result<()> {
        self.limit_devices(devices, false)
    }

    /// Sets the device rules. Of a `new` cgroup it is known that it has none of its own.
    fn limit_devices(&mut self, devices: &Devices, new: bool) -> Result<()> {
        match devices {
            Devices::V2(rules) => {
                let Some(path) = self.unified() else { return Ok(()) };
                let program = attach::attach(path, rules, new)?;
                // A program goes with its cgroup; from one that stays it has to be detached.
                self.program = (!new).then_some(program);
                Ok(())
            }
            Devices::V1(whitelist) => {
                let Some(path) = self.place("devices") else { return Ok(()) };
                let current = if new { None } else { read_optional(path, "devices.list")? };
                let current = current.as_deref().and_then(Whitelist::parse);
                write_entries(path, &whitelist.entries(current.as_ref()))
            }
        }
    }
}

/// Writes `entries` in order; each of the two files is opened once at most.
fn write_entries(path: &Path, entries: &[Entry]) -> Result<()> {
    let (mut allow, mut deny) = (None, None);
    for entry in entries {
        let (name, open) =
            if entry.allow { ("devices.allow", &mut allow) } else { ("devices.deny", &mut deny) };
        let file = match open {
            Some(file) => file,
            none => {
                none.insert(open_write(path, name).at(|| format!("open {:?}", path.join(name)))?)
            }
        };
        write_open(file, &entry.value)
            .at(|| format!("write {:?} to {:?}", entry.value, path.join(name)))?;
    }
    Ok(())
}

/// Sees to it that the v2 directory has all the controllers of the mount point, as far as the
/// levels between let through.
fn enable_controllers(directory: &Directory, plan: &CgroupPlan) -> Result<()> {
    let lacking = || -> Result<bool> {
        let has = read_optional(&directory.path, "cgroup.controllers")?.unwrap_or_default();
        let enabled = |name: &String| has.split_whitespace().any(|own| own == name);
        Ok(!directory.controllers.iter().all(enabled))
    };
    if !lacking()? {
        return Ok(());
    }
    let parents: Vec<&Path> = directory
        .path
        .ancestors()
        .skip(1)
        .take_while(|path| path.starts_with(&directory.mount))
        .collect();
    let all: Vec<String> = directory.controllers.iter().map(|name| format!("+{name}")).collect();
    for parent in parents.into_iter().rev() {
        // One write for all; where one of them is refused, as many as possible. A controller
        // that is missing in the end is reported by the limit that needs it.
        if write_raw(parent, "cgroup.subtree_control", &all.join(" ")).is_err() {
            for name in &all {
                let _ = write_raw(parent, "cgroup.subtree_control", name);
            }
        }
    }
    if lacking()? { check_type(&directory.path, plan) } else { Ok(()) }
}

fn place(directory: &Directory) -> Place {
    Place {
        // Of the unified hierarchy all controllers are at the one place.
        controllers: if directory.unified { Vec::new() } else { directory.controllers.clone() },
        path: directory.path.clone(),
        unified: directory.unified,
    }
}

/// Whether it is a directory of this controller in a v1 hierarchy.
fn has(directory: &Directory, name: &str) -> bool {
    !directory.unified && directory.controllers.iter().any(|controller| controller == name)
}

/// Whether a directory that can't be made is left out.
fn tolerated(plan: &CgroupPlan, error: &Error) -> bool {
    plan.rootless && !plan.path_given && is_forbidden(error)
}

/// Whether the kernel refused for want of a permission.
fn is_forbidden(error: &Error) -> bool {
    error.errno().is_some_and(|errno| forbidden(&errno.into()))
}

/// The directory of a controller a limit needs was left out.
pub(super) fn unplaced(controller: &str) -> Error {
    Error::unsupported(format!(
        "cannot set {controller} limit: container could not join or create cgroup"
    ))
}

/// Processes that are there already would be limited, frozen and killed with the container's.
fn refuse_processes(path: &Path) -> Result<()> {
    match super::walk::pids(path, true)?.len() {
        0 => Ok(()),
        count => Err(Error::new(
            Kind::State,
            format!("container's cgroup is not empty: {count} process(es) found"),
        )),
    }
}

/// Below a cgroup with processes or threaded ones only some controllers work (kernel
/// documentation, admin-guide/cgroup-v2, "Threads").
fn check_type(path: &Path, plan: &CgroupPlan) -> Result<()> {
    let kind = read_optional(path, "cgroup.type")?.unwrap_or_default();
    let kind = kind.trim_end();
    let threaded = ["cpu", "cpuset", "pids", "perf_event"];
    let domain = plan.writes.iter().any(|write| !threaded.contains(&write.controller.as_ref()));
    match kind {
        "domain invalid" | "domain threaded" | "threaded" if domain => {
            Err(Error::unsupported(format!(
                "cannot enter cgroupv2 {path:?} with domain controllers -- it is in {kind} mode"
            )))
        }
        // It can be made usable for the other controllers.
        "domain invalid" => super::file::write(path, "cgroup.type", "threaded"),
        _ => Ok(()),
    }
}

/// Gives the directory at `path` to the user `owner` (runtime-spec, "Cgroup ownership").
fn delegate(path: &Path, owner: u32) -> Result<()> {
    let owner = Some(Uid::from_raw(owner));
    chown(path, owner, None).at(|| format!("chown {path:?}"))?;
    let files = std::fs::read_to_string("/sys/kernel/cgroup/delegate");
    for file in files.as_deref().unwrap_or(DELEGATE).lines() {
        let file = path.join(file);
        match chown(&file, owner, None) {
            Err(Errno::ENOENT) => {}
            other => other.at(|| format!("chown {file:?}"))?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::Layout;
    use crate::plan::cgroup::{Request, plan};

    /// Creates cgroups where nobody may make directories, not even root: in sysfs.
    fn forbidden(layout: &Layout, path: &str, limits: &str, rootless: bool) -> Result<Cgroup> {
        let resources = serde_json::from_str(limits).unwrap();
        let request = Request {
            cgroups_path: path,
            id: "hull-test",
            resources: Some(&resources),
            devices: &[],
            rootless,
            owner: None,
        };
        Cgroup::create(&plan(layout, &request).unwrap())
    }

    #[test]
    fn rootless_without_permission() {
        let v1 = Layout::v1("/sys", &["devices", "memory"], true);
        let v2 = Layout::v2("/sys/kernel", &["memory"], Some("/"));
        let limits = r#"{"memory":{"limit":1000000}}"#;
        for layout in [&v1, &v2] {
            let cgroup = forbidden(layout, "", "{}", true).unwrap();
            assert!(cgroup.paths().is_empty());
            let join = cgroup.join().unwrap();
            assert!(join.into.is_none() && join.tasks.is_empty());
            for (path, rootless) in [("/hull-test", true), ("", false)] {
                let error = forbidden(layout, path, "{}", rootless).unwrap_err().to_string();
                assert!(error.starts_with("mkdir "), "{error}");
            }
        }
        assert_eq!(
            forbidden(&v1, "", limits, true).unwrap_err().to_string(),
            "cannot set memory limit: container could not join or create cgroup"
        );
        let error = forbidden(&v2, "", limits, true).unwrap_err().to_string();
        assert!(error.starts_with("rootless needs no limits + no cgrouppath"), "{error}");
    }
}
