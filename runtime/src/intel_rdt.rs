//! `linux.intelRdt`: cache and memory bandwidth by resctrl (config-linux.md "IntelRdt", kernel
//! Documentation/filesystems/resctrl.rst).
//!
//! Runs in the runtime. Of the groups in the file system, which other programs make as well, only
//! those the runtime itself has made are ever removed.

pub mod stats;
pub mod update;

use crate::error::{At, Error, Kind, Result};
use crate::spec::linux::IntelRdt;
use nix::errno::Errno;
use nix::libc;
use nix::sys::statfs::{FsType, statfs};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// The mount point the kernel provides.
const DEFAULT_ROOT: &str = "/sys/fs/resctrl";
/// `RDTGROUP_SUPER_MAGIC` (linux/magic.h).
const RESCTRL_MAGIC: i64 = 0x765_5821;
/// The most that is read of one of its files.
const LIMIT: u64 = 1024 * 1024;

/// What is to be done for one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RdtPlan {
    root: PathBuf,
    /// The control group's directory; the root itself for closID `/`.
    group: PathBuf,
    /// The monitoring group's directory.
    monitor: Option<PathBuf>,
    /// The lines of `l3CacheSchema` and `memBwSchema`, which must agree with an existing group.
    agreed: Vec<String>,
    /// Every line to write, in order.
    lines: Vec<String>,
    /// The configuration names the group, so it is not the runtime's to remove.
    named: bool,
}

/// What the runtime has made, and removes with the container. Part of the container's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RdtState {
    /// The container's control group.
    pub group: PathBuf,
    /// The control group goes with the container.
    pub remove_group: bool,
    /// The container's monitoring group, which goes with it.
    pub monitor: Option<PathBuf>,
}

/// Makes a plan from the configuration and the machine's resctrl file system; none without
/// `intelRdt`, which then must stay untouched.
///
/// # Errors
/// `Kind::Unsupported` when resctrl is not mounted; `Kind::Config` for values that cannot be.
pub fn plan(config: Option<&IntelRdt>, id: &str) -> Result<Option<RdtPlan>> {
    config.map(|config| plan_at(config, id, &find_root()?)).transpose()
}

fn plan_at(config: &IntelRdt, id: &str, root: &Path) -> Result<RdtPlan> {
    let named = !config.clos_id.is_empty();
    let name = if named { &config.clos_id } else { id };
    let group = match name {
        "/" => root.to_owned(),
        // Directories of the file system that are no groups.
        "." | ".." | "info" | "mon_groups" | "mon_data" => return Err(invalid(name)),
        name if name.contains(['/', '\0', '\n']) => return Err(invalid(name)),
        name => root.join(name),
    };
    let mut agreed = Vec::new();
    for (property, line, resource) in [
        ("l3CacheSchema", &config.l3_cache_schema, "L3"),
        ("memBwSchema", &config.mem_bw_schema, "MB"),
    ] {
        if line.is_empty() {
            continue;
        }
        if !root.join("info").join(resource).is_dir() {
            return Err(Error::unsupported(format!(
                "intelRdt.{property} is set, but this machine has no resctrl resource {resource}"
            )));
        }
        agreed.push(line.clone());
    }
    if !config.mem_bw_schema.is_empty() && !config.mem_bw_schema.starts_with("MB:") {
        return Err(Error::config("intelRdt.memBwSchema must start with \"MB:\""));
    }
    let lines: Vec<String> = agreed.iter().chain(&config.schemata).cloned().collect();
    if let Some(line) = lines.iter().find(|line| line.contains('\n')) {
        return Err(Error::config(format!("intelRdt: {line:?} contains a line end")));
    }
    let monitor = config.enable_monitoring.then(|| group.join("mon_groups").join(id));
    Ok(RdtPlan { root: root.to_owned(), group, monitor, agreed, lines, named })
}

fn invalid(name: &str) -> Error {
    Error::config(format!("invalid intelRdt.ClosID {name:?}"))
}

/// Where resctrl is mounted.
fn find_root() -> Result<PathBuf> {
    // The type of f_type differs between machines and C libraries.
    #[allow(clippy::unnecessary_cast, clippy::useless_conversion, clippy::cast_possible_truncation)]
    let magic = FsType(RESCTRL_MAGIC as _);
    if statfs(DEFAULT_ROOT).is_ok_and(|fs| fs.filesystem_type() == magic) {
        return Ok(DEFAULT_ROOT.into());
    }
    let mounts = procfs::process::Process::myself().and_then(|process| process.mountinfo());
    let mounts = mounts.map_err(|error| {
        Error::new(Kind::Kernel(Errno::EIO), format!("reading /proc/self/mountinfo: {error}"))
    })?;
    mounts
        .into_iter()
        .find(|mount| mount.fs_type == "resctrl")
        .map(|mount| mount.mount_point)
        .ok_or_else(|| {
            Error::unsupported(
                "intelRdt is specified in config, but the resctrl file system is not mounted",
            )
        })
}

impl RdtPlan {
    /// What [`RdtPlan::apply`] is going to make, for the container's record: it must be on disk
    /// before that, so that nothing is left behind whenever the runtime is killed.
    pub fn intent(&self) -> RdtState {
        RdtState {
            group: self.group.clone(),
            remove_group: !self.named && !self.group.exists(),
            monitor: self.monitor.clone(),
        }
    }

    /// Makes the groups and puts the process into them.
    ///
    /// # Errors
    /// The kernel's answer, with its own explanation from `info/last_cmd_status`.
    pub fn apply(&self, pid: libc::pid_t) -> Result<RdtState> {
        let mut state = self.intent();
        self.enter(pid, &mut state).map_err(|error| match self.last_command_status() {
            Some(status) => Error::new(error.kind(), format!("{error}, last_cmd_status: {status}")),
            None => error,
        })?;
        Ok(state)
    }

    fn enter(&self, pid: libc::pid_t, state: &mut RdtState) -> Result<()> {
        if self.group != self.root {
            let made = self.make_group()?;
            state.remove_group = made && !self.named;
            if !made {
                self.compare()?;
            }
        }
        if !self.lines.is_empty() {
            // One write: the kernel takes as many lines as there are.
            let text: String = self.lines.iter().flat_map(|line| [line, "\n"]).collect();
            write(&self.group.join("schemata"), &text)?;
        }
        let pid = pid.to_string();
        write(&self.group.join("tasks"), &pid)?;
        if let Some(monitor) = &self.monitor {
            make_directory(monitor)?;
            write(&monitor.join("tasks"), &pid)?;
        }
        Ok(())
    }

    /// True when the group was not there.
    fn make_group(&self) -> Result<bool> {
        // config-linux.md: "If closID is set, and none of […] are set, runtime MUST check if
        // corresponding pre-configured directory closID is present".
        if self.named && self.lines.is_empty() {
            let there = || {
                format!(
                    "clos dir {} not accessible (must be pre-created without a schema)",
                    self.group.display()
                )
            };
            return fs::metadata(&self.group).map(|_| false).at(there);
        }
        make_directory(&self.group)
    }

    /// config-linux.md: "if closID directory […] exists, runtimes MUST compare l3CacheSchema
    /// and/or memBwSchema value with schemata file, and generate an error if doesn't match".
    fn compare(&self) -> Result<()> {
        if !self.named || self.agreed.is_empty() {
            return Ok(());
        }
        let path = self.group.join("schemata");
        let text = read(&path)?;
        let present: BTreeMap<&str, Values> = text.lines().filter_map(parse_line).collect();
        for line in &self.agreed {
            let wanted = parse_line(line)
                .ok_or_else(|| Error::config(format!("intelRdt: cannot read schema {line:?}")))?;
            let step = self.bandwidth_step();
            let same = present.get(wanted.0).is_some_and(|present| {
                wanted.1.iter().all(|(domain, value)| {
                    present.get(domain).is_some_and(|now| same_value(wanted.0, value, now, step))
                })
            });
            if !same {
                return Err(Error::config(format!(
                    "intelRdt: {line:?} does not match the schemata of the existing {}",
                    self.group.display()
                )));
            }
        }
        Ok(())
    }

    /// The kernel rounds bandwidth percentages up to multiples of this; 1 if it does not.
    fn bandwidth_step(&self) -> u64 {
        let text = read(&self.root.join("info/MB/bandwidth_gran")).ok();
        text.and_then(|text| text.trim().parse().ok()).filter(|step| *step > 0).unwrap_or(1)
    }

    fn last_command_status(&self) -> Option<String> {
        read(&self.root.join("info/last_cmd_status")).ok().map(|text| text.trim().to_owned())
    }
}

/// Removes what the runtime has made for the container; what is gone is no error. Processes that
/// are still in the groups fall back to the parents.
pub fn destroy(state: &RdtState) -> Result<()> {
    let own_group = state.remove_group.then_some(&state.group);
    // A monitoring group goes with its control group, but that one may be somebody else's.
    for path in state.monitor.iter().chain(own_group) {
        match fs::remove_dir(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            other => other.at(|| format!("rmdir({})", path.display()))?,
        }
    }
    Ok(())
}

/// Domain numbers and their values.
type Values<'a> = BTreeMap<&'a str, &'a str>;

/// `L3:0=ff;1=c0`, where numbers may have leading zeros and spaces around them.
fn parse_line(line: &str) -> Option<(&str, Values<'_>)> {
    let (resource, values) = line.split_once(':')?;
    let values = values.split(';').map(|value| {
        let (domain, value) = value.split_once('=')?;
        let digits = domain.trim();
        let domain = digits.trim_start_matches('0');
        Some((if domain.is_empty() && !digits.is_empty() { "0" } else { domain }, value.trim()))
    });
    Some((resource.trim(), values.collect::<Option<_>>()?))
}

fn same_value(resource: &str, wanted: &str, present: &str, step: u64) -> bool {
    let number = |text: &str| {
        let radix = if resource == "MB" { 10 } else { 16 };
        u64::from_str_radix(text.trim_start_matches("0x"), radix).ok()
    };
    let (Some(wanted), Some(present)) = (number(wanted), number(present)) else { return false };
    wanted == present || (resource == "MB" && wanted.next_multiple_of(step) == present)
}

/// True when it was not there.
fn make_directory(path: &Path) -> Result<bool> {
    match fs::create_dir(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error).at(|| format!("mkdir({})", path.display())),
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    // Not created: these files are the kernel's.
    let file = fs::OpenOptions::new().write(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .at(|| format!("write {text:?} to {}", path.display()))
}

fn read(path: &Path) -> Result<String> {
    let mut text = String::new();
    let file = fs::File::open(path);
    file.and_then(|file| file.take(LIMIT).read_to_string(&mut text))
        .at(|| format!("read {}", path.display()))?;
    Ok(text)
}

#[cfg(test)]
#[path = "intel_rdt_tests.rs"]
mod tests;
