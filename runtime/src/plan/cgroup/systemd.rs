//! The unit that systemd is asked to make for a container (systemd.resource-control(5)): pure.
//!
//! cgroup v2 only: systemd 258 has left v1. The limits are those of [`super::plan`], in systemd's
//! words for what it knows; they are written to the files as well, for what it doesn't. Device
//! rules are not among them: systemd's program could only take away from what ours allows.

use super::{CgroupPlan, Request, Write, gvariant};
use crate::cgroup::layout::Layout;
use crate::spec::Problem;
use crate::systemd::Unit;
use crate::systemd::wire::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Annotations with this prefix are properties of the unit.
pub const ANNOTATION: &str = "org.systemd.property.";

/// The period of a quota that doesn't say any, in microseconds.
const DEFAULT_PERIOD: u64 = 100_000;

/// What has to be known of the manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// It is the user's, not the system's.
    pub user: bool,
    /// Its own cgroup, below which all of its units are.
    pub control_group: String,
}

/// The unit to make.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitPlan {
    /// Its name, and whose it is.
    pub unit: Unit,
    /// Its properties, without its processes.
    pub properties: Vec<Property>,
    /// Limits that leave no room for the process that keeps the unit until init is in it; they
    /// are set when it is.
    pub late: Vec<Write>,
}

// Floating point numbers among the properties are never NaN.
impl Eq for UnitPlan {}

/// A property of a unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Property {
    /// Name on the bus.
    pub name: String,
    /// Value.
    pub value: Value,
    /// The first release of systemd that takes it; 0 for all that are supported (247).
    pub since: u32,
}

impl Property {
    /// A property that every release takes.
    pub fn new(name: &str, value: Value) -> Self {
        Self { name: name.to_owned(), value, since: 0 }
    }
}

/// Plans the control groups for `request`, made by systemd.
pub fn plan(
    layout: &Layout,
    request: &Request<'_>,
    facts: &Facts,
    annotations: &BTreeMap<String, String>,
) -> Result<CgroupPlan, Vec<Problem>> {
    let at = "linux.cgroupsPath";
    if !matches!(layout, Layout::V2(_)) {
        let what = "the systemd cgroup driver needs cgroup v2; use cgroupfs on this host";
        return Err(vec![Problem::new(at, what)]);
    }
    let (slice, name) = names(request, facts.user).map_err(|what| vec![Problem::new(at, what)])?;
    let below = expand(&slice).map_err(|what| vec![Problem::new(at, what)])?;
    let path = format!("{}{below}/{name}", facts.control_group.trim_end_matches('/'));
    let mut plan = super::plan(layout, &Request { cgroups_path: &path, ..*request })?;
    let crowded = |write: &Write| write.file == "pids.max" && write.value.trim() == "1";
    let (late, writes) = plan.writes.into_iter().partition(crowded);
    plan.writes = writes;
    plan.warnings.extend(prefer_idle(&mut plan.writes).map(str::to_owned));
    let mut properties = fixed(&slice, request.id);
    properties.extend(of_annotations(annotations)?);
    properties.extend(limits(&mut plan.writes));
    properties.extend(oom_policy(&plan.writes));
    let unit = Unit { name, user: facts.user };
    plan.unit = Some(UnitPlan { unit, properties, late });
    Ok(plan)
}

/// Slice and unit, from `slice:prefix:name`.
fn names(request: &Request<'_>, user: bool) -> Result<(String, String), String> {
    let default = if user { "user.slice" } else { "system.slice" };
    let parts: Vec<&str> = request.cgroups_path.split(':').collect();
    let (slice, prefix, name) = match parts.as_slice() {
        [""] => (default, "hull", request.id),
        ["", prefix, name] => (default, *prefix, *name),
        [slice, prefix, name] => (*slice, *prefix, *name),
        _ => {
            return Err(format!(
                "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, \
                 got {:?} instead",
                request.cgroups_path
            ));
        }
    };
    let unit = format!("{prefix}-{name}.scope");
    let valid = |c: char| c.is_ascii_alphanumeric() || "-_.\\@".contains(c);
    if name.is_empty() || unit.len() > 255 || !unit.chars().all(valid) {
        return Err(format!("{unit:?} is no valid unit name (systemd.unit(5))"));
    }
    if name.strip_suffix(".slice").is_some() {
        return Err(format!("a slice, {name:?}, can't have processes"));
    }
    Ok((slice.to_owned(), unit))
}

/// The path of a slice: `a-b.slice` is in `a.slice` (systemd.slice(5)).
fn expand(slice: &str) -> Result<String, String> {
    let invalid = || format!("invalid slice name: {slice}");
    let name = slice.strip_suffix(".slice").filter(|name| !name.is_empty()).ok_or_else(invalid)?;
    let valid = |c: char| c.is_ascii_alphanumeric() || "-_.\\@:".contains(c);
    if !name.chars().all(valid) {
        return Err(invalid());
    }
    let (mut path, mut prefix) = (String::new(), String::new());
    if name == "-" {
        return Ok(path);
    }
    for part in name.split('-') {
        if part.is_empty() {
            return Err(invalid());
        }
        // Writing to a String can't fail.
        let _ = write!(path, "/{prefix}{part}.slice");
        let _ = write!(prefix, "{part}-");
    }
    Ok(path)
}

/// What every container's scope has.
fn fixed(slice: &str, id: &str) -> Vec<Property> {
    let yes = |name| Property::new(name, Value::Bool(true));
    vec![
        Property::new("Description", Value::Str(format!("container {id}"))),
        Property::new("Slice", Value::Str(slice.to_owned())),
        yes("Delegate"),
        yes("MemoryAccounting"),
        yes("CPUAccounting"),
        yes("IOAccounting"),
        yes("TasksAccounting"),
        // Else the shutdown would end it before the manager of containers could.
        Property::new("DefaultDependencies", Value::Bool(false)),
    ]
}

/// The properties that annotations ask for.
fn of_annotations(annotations: &BTreeMap<String, String>) -> Result<Vec<Property>, Vec<Problem>> {
    let mut properties = Vec::new();
    let mut problems = Vec::new();
    for (key, text) in annotations {
        let Some(name) = key.strip_prefix(ANNOTATION) else { continue };
        let mut fail = |what: String| {
            problems.push(Problem::new(format!("annotations[{key:?}]"), what));
        };
        if name.len() < 3 || !name.chars().all(|c| c.is_ascii_alphabetic()) {
            fail(format!("{name:?} is not the name of a systemd property"));
            continue;
        }
        let Some(value) = gvariant::parse(text) else {
            fail(format!("{text:?} is not a value in GVariant text format"));
            continue;
        };
        match in_microseconds(name, value) {
            Ok((name, value)) => properties.push(Property::new(&name, value)),
            Err(what) => fail(what),
        }
    }
    if problems.is_empty() { Ok(properties) } else { Err(problems) }
}

/// Times that are written in seconds are on the bus in microseconds, under another name.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a time in microseconds; the conversion saturates"
)]
fn in_microseconds(name: &str, value: Value) -> Result<(String, Value), String> {
    let stem = name.strip_suffix("Sec").filter(|stem| stem.ends_with(|c: char| c.is_lowercase()));
    let Some(stem) = stem else { return Ok((name.to_owned(), value)) };
    let whole = |number: i64| u64::try_from(number).ok();
    let seconds = match value {
        Value::Byte(number) => Some(u64::from(number)),
        Value::U16(number) => Some(u64::from(number)),
        Value::U32(number) => Some(u64::from(number)),
        Value::U64(number) => Some(number),
        Value::I16(number) => whole(i64::from(number)),
        Value::I32(number) => whole(i64::from(number)),
        Value::I64(number) => whole(number),
        Value::Double(number) => {
            let micros = Value::U64((number * 1e6) as u64);
            return Ok((format!("{stem}USec"), micros));
        }
        _ => None,
    };
    let micros = seconds.and_then(|seconds| seconds.checked_mul(1_000_000));
    let micros = micros.ok_or_else(|| format!("{name} takes a number of seconds"))?;
    Ok((format!("{stem}USec"), Value::U64(micros)))
}

/// Takes the weight out of limits that have `cpu.idle` too: systemd has one property for both, and
/// the kernel refuses a weight of an idle cgroup. Gives what the user should hear of that.
pub fn prefer_idle(writes: &mut Vec<Write>) -> Option<&'static str> {
    let idle = writes.iter().any(|write| write.file == "cpu.idle" && write.value.trim() == "1");
    let before = writes.len();
    writes.retain(|write| !idle || write.file != "cpu.weight");
    (writes.len() < before).then_some(
        "unable to apply both cpu.weight and cpu.idle by systemd: cpu.weight is left out",
    )
}

/// The limits that systemd knows, from those that are written. A quota is rounded up as systemd
/// does it, so that file and unit agree.
pub fn limits(writes: &mut [Write]) -> Vec<Property> {
    let idle = writes.iter().any(|write| write.file == "cpu.idle" && write.value.trim() == "1");
    let mut properties = Vec::new();
    for write in writes {
        let name = match write.file.as_ref() {
            "memory.max" => "MemoryMax",
            "memory.low" => "MemoryLow",
            "memory.high" => "MemoryHigh",
            "memory.min" => "MemoryMin",
            "memory.swap.max" => "MemorySwapMax",
            "pids.max" => "TasksMax",
            // One property for both: 0 is idle.
            "cpu.weight" if !idle => "CPUWeight",
            "cpu.idle" if idle => {
                let value = Value::U64(0);
                properties.push(Property { name: "CPUWeight".to_owned(), value, since: 252 });
                continue;
            }
            "cpu.max" => {
                properties.extend(quota(&mut write.value));
                continue;
            }
            "cpuset.cpus" => "AllowedCPUs",
            "cpuset.mems" => "AllowedMemoryNodes",
            _ => continue,
        };
        let value = match write.file.as_ref() {
            "cpuset.cpus" | "cpuset.mems" => bits(&write.value).map(|bits| Value::bytes(&bits)),
            _ => number(&write.value).map(Value::U64),
        };
        // What systemd could not take is the kernel's to judge.
        properties.extend(value.map(|value| Property::new(name, value)));
    }
    properties
}

fn number(text: &str) -> Option<u64> {
    match text.trim() {
        "max" => Some(u64::MAX),
        text => text.parse().ok(),
    }
}

/// `QUOTA PERIOD` as properties; systemd counts in whole percents of a CPU.
fn quota(value: &mut String) -> Vec<Property> {
    let mut words = value.split_ascii_whitespace();
    let (quota, period) = (words.next().unwrap_or("max"), words.next());
    let period = match period.map(str::parse) {
        None => DEFAULT_PERIOD,
        Some(Ok(period @ 1..)) => period,
        Some(_) => return Vec::new(),
    };
    let per_second = match quota.parse::<u64>() {
        Ok(quota) => {
            let exact = u128::from(quota) * 1_000_000 / u128::from(period);
            let Ok(percent) = u64::try_from(exact.next_multiple_of(10_000)) else {
                return Vec::new();
            };
            if u128::from(percent) != exact {
                let rounded = u128::from(percent) * u128::from(period) / 1_000_000;
                *value = format!("{rounded} {period}");
            }
            percent
        }
        Err(_) => u64::MAX,
    };
    vec![
        Property::new("CPUQuotaPeriodUSec", Value::U64(period)),
        Property::new("CPUQuotaPerSecUSec", Value::U64(per_second)),
    ]
}

/// A list of CPUs or nodes (cpuset(7), "List format") as bits, the lowest first.
fn bits(list: &str) -> Option<Vec<u8>> {
    // More than any kernel has.
    const MOST: usize = 1 << 16;
    let mut bits = Vec::new();
    for range in list.split(',').map(str::trim).filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if first > last || last >= MOST {
            return None;
        }
        for bit in first..=last {
            if bits.len() <= bit / 8 {
                bits.resize(bit / 8 + 1, 0);
            }
            if let Some(byte) = bits.get_mut(bit / 8) {
                *byte |= 1 << (bit % 8);
            }
        }
    }
    (!bits.is_empty()).then_some(bits)
}

/// What happens to the others when one process is killed for want of memory; systemd would reset
/// the file, and takes the property only when the unit is made.
fn oom_policy(writes: &[Write]) -> Option<Property> {
    let group = writes.iter().find(|write| write.file == "memory.oom.group")?;
    let policy = match group.value.trim() {
        "0" => "continue",
        "1" => "kill",
        _ => return None,
    };
    let value = Value::Str(policy.to_owned());
    Some(Property { name: "OOMPolicy".to_owned(), value, since: 253 })
}

#[cfg(test)]
#[path = "systemd_tests.rs"]
mod tests;
