//! What control groups a container gets and what is written to them: pure, from the configuration
//! and the host's [`Layout`].

pub mod change;
mod devices;
mod directory;
mod gvariant;
pub mod systemd;
mod v1;
mod v2;

pub use devices::rules;

use crate::cgroup::devices::{Rule, Whitelist};
use crate::cgroup::layout::{Layout, Unified};
use crate::spec::Problem;
use crate::spec::linux::{Device, Memory, Resources};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What the plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// `linux.cgroupsPath`; empty if absent.
    pub cgroups_path: &'a str,
    /// The container's id: the name of its cgroup when there is no path.
    pub id: &'a str,
    /// `linux.resources`.
    pub resources: Option<&'a Resources>,
    /// `linux.devices`: their paths replace default devices and their rules.
    pub devices: &'a [Device],
    /// A missing permission is no error, unless a path or a limit is asked for.
    pub rootless: bool,
    /// The user the cgroup is delegated to (runtime-spec, "Cgroup ownership"; cgroup v2 only).
    pub owner: Option<u32>,
}

/// The control groups of one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgroupPlan {
    /// Where; one for each v1 hierarchy, and one for the unified hierarchy if there is any.
    pub directories: Vec<Directory>,
    /// What is written, in order.
    pub writes: Vec<Write>,
    /// Access to devices.
    pub devices: Devices,
    /// Refuse limits below what is in use already.
    pub check_usage: Option<UsageCheck>,
    /// Who owns the v2 directory.
    pub owner: Option<u32>,
    /// Whether a directory that can't be made for want of a permission is left out.
    pub rootless: bool,
    /// Whether the configuration named a path, which then has to be honoured.
    pub path_given: bool,
    /// What the user should hear of.
    pub warnings: Vec<String>,
    /// The unit by which systemd makes the directory.
    pub unit: Option<systemd::UnitPlan>,
}

/// One cgroup directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// Its controllers; of the unified hierarchy those to enable: none on a hybrid host.
    pub controllers: Vec<String>,
    /// Mount point of the hierarchy.
    pub mount: PathBuf,
    /// Absolute path, below `mount` (or the mount point itself).
    pub path: PathBuf,
    /// Whether this is the unified hierarchy.
    pub unified: bool,
}

/// One write to a file of a cgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Whose file it is; chooses the directory on cgroup v1.
    pub controller: Cow<'static, str>,
    /// File name.
    pub file: Cow<'static, str>,
    /// Value.
    pub value: String,
    /// What a failure means.
    pub rule: WriteRule,
}

/// What a failing [`Write`] means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteRule {
    /// An error.
    Must,
    /// No such file: this kernel has nothing to limit there.
    IfPresent,
    /// No such file: this one has the same meaning under another name or scale.
    Else {
        /// The other file.
        file: &'static str,
        /// Its value.
        value: String,
    },
    /// EINVAL: the value does not fit one that a later write changes; it is tried again after all
    /// the others.
    Retry,
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "values are numbers or strings, written as they are at the call"
)]
impl Write {
    fn new(
        controller: &'static str,
        file: impl Into<Cow<'static, str>>,
        value: impl ToString,
        rule: WriteRule,
    ) -> Self {
        Self {
            controller: Cow::Borrowed(controller),
            file: file.into(),
            value: value.to_string(),
            rule,
        }
    }

    fn must(
        controller: &'static str,
        file: impl Into<Cow<'static, str>>,
        value: impl ToString,
    ) -> Self {
        Self::new(controller, file, value, WriteRule::Must)
    }
}

/// How access to devices is limited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Devices {
    /// By the devices controller of cgroup v1.
    V1(Whitelist),
    /// By an eBPF program on the cgroup v2 directory.
    V2(Vec<Rule>),
}

/// Limits that must not be below the present usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageCheck {
    /// Of memory; 0: none.
    pub memory: u64,
    /// Of memory and swap; 0: none.
    pub swap: u64,
}

impl CgroupPlan {
    /// The directories by controller, as they are recorded in a container's state: one with an
    /// empty name for the unified hierarchy.
    pub fn paths(&self) -> BTreeMap<String, PathBuf> {
        directory::paths(&self.directories)
    }
}

/// Plans the control groups for `request`; all problems of the configuration at once.
pub fn plan(layout: &Layout, request: &Request<'_>) -> Result<CgroupPlan, Vec<Problem>> {
    let mut problems = Vec::new();
    let defaults = Resources::default();
    let resources = request.resources.unwrap_or(&defaults);
    let directories = match directory::directories(layout, request) {
        Ok(directories) => directories,
        Err(problem) => {
            problems.push(problem);
            Vec::new()
        }
    };
    let writes = limits(layout, resources, &mut problems);
    let devices = match rules(&resources.devices, request.devices) {
        Ok(rules) => confine(layout, rules, &mut problems),
        Err(found) => {
            problems.extend(found);
            Devices::V2(Vec::new())
        }
    };
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(CgroupPlan {
        directories,
        writes,
        devices,
        check_usage: check_usage(layout, resources),
        owner: request.owner.filter(|_| matches!(layout, Layout::V2(_))),
        rootless: request.rootless,
        path_given: !request.cgroups_path.is_empty(),
        warnings: warnings(resources),
        unit: None,
    })
}

/// The writes and the check of `update`, which changes limits only: neither directories nor
/// devices.
pub fn update(
    layout: &Layout,
    resources: &Resources,
) -> Result<(Vec<Write>, Option<UsageCheck>), Vec<Problem>> {
    let mut problems = Vec::new();
    let writes = limits(layout, resources, &mut problems);
    if problems.is_empty() { Ok((writes, check_usage(layout, resources))) } else { Err(problems) }
}

/// The writes for `resources`.
fn limits(layout: &Layout, resources: &Resources, problems: &mut Vec<Problem>) -> Vec<Write> {
    let mut out = Out { writes: Vec::new(), problems, known: controllers(layout) };
    match layout {
        Layout::V1 { .. } => v1::limits(resources, &mut out),
        Layout::V2(unified) => v2::limits(resources, unified, &mut out),
    }
    out.writes
}

/// The controllers of the host.
fn controllers(layout: &Layout) -> Vec<&str> {
    match layout {
        Layout::V1 { hierarchies, .. } => hierarchies
            .iter()
            .flat_map(|hierarchy| &hierarchy.controllers)
            .map(String::as_str)
            .collect(),
        Layout::V2(Unified { controllers, .. }) => controllers.iter().map(String::as_str).collect(),
    }
}

/// Device rules in the form the host takes.
fn confine(layout: &Layout, rules: Vec<Rule>, problems: &mut Vec<Problem>) -> Devices {
    if matches!(layout, Layout::V2(_)) {
        return Devices::V2(rules);
    }
    if !controllers(layout).contains(&"devices") {
        // Without it a container could open every device of the host it can name.
        problems.push(Problem::new(
            "linux.resources.devices",
            "the host has no devices cgroup controller",
        ));
    }
    match Whitelist::new(&rules) {
        Ok(whitelist) => Devices::V1(whitelist),
        Err(error) => {
            problems.push(Problem::new("linux.resources.devices", error.to_string()));
            Devices::V1(Whitelist::default())
        }
    }
}

/// `memory.checkBeforeUpdate`; the kernel itself does it for cgroup v1.
fn check_usage(layout: &Layout, resources: &Resources) -> Option<UsageCheck> {
    let memory = resources.memory.as_ref()?;
    let positive = |limit: Option<i64>| limit.and_then(|limit| u64::try_from(limit).ok());
    let check = UsageCheck {
        memory: positive(memory.limit).unwrap_or(0),
        swap: positive(memory.swap).unwrap_or(0),
    };
    let asked = memory.check_before_update == Some(true) && matches!(layout, Layout::V2(_));
    (asked && (check.memory > 0 || check.swap > 0)).then_some(check)
}

/// What is accepted and has no effect.
fn warnings(resources: &Resources) -> Vec<String> {
    let deprecated = |memory: &Memory| memory.kernel.is_some() || memory.kernel_tcp.is_some();
    let mut warnings: Vec<_> = devices::warnings(&resources.devices).collect();
    if resources.memory.as_ref().is_some_and(deprecated) {
        warnings.push("kernel memory settings are ignored and will be removed".to_owned());
    }
    warnings
}

/// Where the conversions put their results.
struct Out<'a> {
    writes: Vec<Write>,
    problems: &'a mut Vec<Problem>,
    known: Vec<&'a str>,
}

impl Out<'_> {
    /// Whether the host has `controller`; a problem at `at` otherwise.
    fn needs(&mut self, controller: &str, at: &str) -> bool {
        let known = self.known.contains(&controller);
        if !known {
            let what = format!("the host has no {controller} cgroup controller");
            self.problem(at, what);
        }
        known
    }

    fn problem(&mut self, at: impl Into<String>, what: impl Into<String>) {
        self.problems.push(Problem::new(at, what));
    }

    fn write(&mut self, write: Write) {
        self.writes.push(write);
    }
}

/// The value of pids.max for `linux.resources.pids.limit`: no process at all can't be meant, and
/// systemd has no way to say it either.
fn pids_max(limit: i64) -> String {
    match limit {
        0 => "1".to_owned(),
        1.. => limit.to_string(),
        _ => "max".to_owned(),
    }
}

/// A device number of the configuration.
fn device_number(at: &str, major: i64, minor: i64, out: &mut Out<'_>) -> Option<String> {
    if u32::try_from(major).is_err() || u32::try_from(minor).is_err() {
        out.problem(at, format!("invalid device number {major}:{minor}"));
        return None;
    }
    Some(format!("{major}:{minor}"))
}

/// Whether `size` is a page size as the hugetlb files spell it (config-linux.md, "Huge page
/// limits"); it becomes a part of a file name.
fn is_page_size(size: &str) -> bool {
    let digits = size.trim_end_matches(['K', 'M', 'G', 'B']);
    let unit = size.get(digits.len()..).unwrap_or_default();
    matches!(unit, "KB" | "MB" | "GB")
        && !digits.starts_with('0')
        && !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// The limits on huge pages and RDMA, which both versions of cgroups share but for file names.
fn hugetlb_and_rdma(resources: &Resources, hugetlb_suffix: &str, out: &mut Out<'_>) {
    let at = "linux.resources.hugepageLimits";
    if !resources.hugepage_limits.is_empty() && out.needs("hugetlb", at) {
        for (index, limit) in resources.hugepage_limits.iter().enumerate() {
            let size = &limit.page_size;
            if !is_page_size(size) {
                out.problem(
                    format!("{at}[{index}].pageSize"),
                    format!("invalid huge page size {size:?}"),
                );
                continue;
            }
            let value = limit.limit;
            out.write(Write::must("hugetlb", format!("hugetlb.{size}{hugetlb_suffix}"), value));
            // Reservations are counted apart since Linux 5.7.
            let file = format!("hugetlb.{size}.rsvd{hugetlb_suffix}");
            out.write(Write::new("hugetlb", file, value, WriteRule::IfPresent));
        }
    }
    if !resources.rdma.is_empty() && out.needs("rdma", "linux.resources.rdma") {
        for (device, limit) in &resources.rdma {
            if device.is_empty() || device.contains(char::is_whitespace) {
                out.problem("linux.resources.rdma", format!("invalid device name {device:?}"));
                continue;
            }
            let mut value = device.clone();
            for (key, limit) in
                [("hca_handle", limit.hca_handles), ("hca_object", limit.hca_objects)]
            {
                let setting = limit.map(|limit| format!(" {key}={limit}"));
                value.push_str(&setting.unwrap_or_default());
            }
            if value.len() > device.len() {
                out.write(Write::must("rdma", "rdma.max", value));
            }
        }
    }
}

#[cfg(test)]
mod tests;
