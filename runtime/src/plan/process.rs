//! `process` of config.json as the kernel takes it: byte strings, numbers and masks.
//!
//! Pure. Everything that can be refused is refused here, before anything has been touched; init
//! only hands the results to system calls, without allocating.

use crate::spec::config::{CpuAffinity, IoPriority, Rlimit as SpecRlimit, Scheduler};
use crate::spec::linux::{MemoryPolicy as SpecMemoryPolicy, Personality};
use crate::spec::{Linux, Problem, Process};
use crate::sys::sched::{Mask, SchedAttr};
use crate::sys::tty;
use std::collections::BTreeSet;
use std::ffi::CString;

/// The umask of processes whose configuration names none (runtime-spec leaves it open; 0022 is
/// what other runtimes use, so it must not be inherited from the caller).
const DEFAULT_UMASK: u32 = 0o022;
/// The highest CPU or memory node number accepted, so that a typing error cannot ask for a mask of
/// gigabytes.
const MAX_NUMBER: usize = 64 * 1024;

/// What init or an exec'd process becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessPlan {
    /// argv; never empty.
    pub argv: Vec<CString>,
    /// The environment, without duplicates and without an empty HOME.
    pub envp: Vec<CString>,
    /// PATH of `envp`, for finding `argv[0]`.
    pub path: Option<CString>,
    /// HOME is missing: whoever has the container's /etc/passwd at hand adds it.
    pub needs_home: bool,
    /// Absolute working directory.
    pub cwd: CString,
    /// umask(2).
    pub umask: u32,
    /// Limits, each resource at most once.
    pub rlimits: Vec<Rlimit>,
    /// `/proc/self/oom_score_adj`.
    pub oom_score_adj: Option<i16>,
    /// sched_setattr(2).
    pub scheduler: Option<SchedAttr>,
    /// The cgroup limits the processors, which some policies can't be used with.
    pub limited_cpus: bool,
    /// ioprio_set(2): class and level.
    pub io_priority: Option<u16>,
    /// CPUs until an exec'd process is in the container's cgroup.
    pub initial_affinity: Option<Mask>,
    /// CPUs of an exec'd process.
    pub final_affinity: Option<Mask>,
    /// set_mempolicy(2).
    pub memory_policy: Option<MemoryPolicy>,
    /// personality(2).
    pub personality: Option<u32>,
    /// A terminal is wanted.
    pub terminal: bool,
    /// Size of that terminal.
    pub console_size: Option<tty::Size>,
}

/// One resource limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rlimit {
    /// The kernel's number of the resource.
    pub resource: u32,
    /// The name in the specification, for messages.
    pub name: &'static str,
    /// Enforced value.
    pub soft: u64,
    /// Ceiling.
    pub hard: u64,
}

/// Arguments of set_mempolicy(2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryPolicy {
    /// `MPOL_…` with `MPOL_F_…`.
    pub mode: i32,
    /// Memory nodes; may be empty.
    pub nodes: Mask,
}

/// Turns `process` and what `linux` says about processes into a plan.
///
/// # Errors
/// All problems found.
pub fn plan(process: &Process, linux: Option<&Linux>) -> Result<ProcessPlan, Vec<Problem>> {
    let mut problems = Problems(Vec::new());
    let environment = environment(&process.env, &mut problems);
    let (initial_affinity, final_affinity) =
        affinity(process.exec_cpu_affinity.as_ref(), &mut problems);
    let memory_policy = linux.and_then(|linux| linux.memory_policy.as_ref());
    let personality = linux.and_then(|linux| linux.personality.as_ref());
    let plan = ProcessPlan {
        argv: argv(&process.args, &mut problems),
        envp: environment.variables,
        path: environment.path,
        needs_home: environment.needs_home,
        cwd: cwd(&process.cwd, &mut problems),
        umask: process.user.umask.unwrap_or(DEFAULT_UMASK) & 0o777,
        rlimits: rlimits(&process.rlimits, &mut problems),
        oom_score_adj: process.oom_score_adj.and_then(|value| oom_score_adj(value, &mut problems)),
        scheduler: process.scheduler.as_ref().and_then(|it| scheduler(it, &mut problems)),
        limited_cpus: linux
            .and_then(|linux| linux.resources.as_ref()?.cpu.as_ref())
            .is_some_and(|cpu| !cpu.cpus.is_empty()),
        io_priority: process.io_priority.as_ref().and_then(|it| io_priority(it, &mut problems)),
        initial_affinity,
        final_affinity,
        memory_policy: memory_policy.and_then(|it| mempolicy(it, &mut problems)),
        personality: personality.and_then(|it| domain(it, &mut problems)),
        terminal: process.terminal,
        console_size: process.console_size.filter(|_| process.terminal).and_then(|size| {
            // A tty without extent is what a missing size means, too.
            let whole = |value: u64| u16::try_from(value).ok().filter(|value| *value > 0);
            Some(tty::Size { rows: whole(size.height)?, columns: whole(size.width)? })
        }),
    };
    if problems.0.is_empty() { Ok(plan) } else { Err(problems.0) }
}

struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, at: impl Into<String>, what: impl Into<String>) {
        self.0.push(Problem::new(at, what));
    }

    /// A byte string for the kernel, or a problem when it contains a NUL.
    fn c_string(&mut self, at: impl FnOnce() -> String, text: &str) -> Option<CString> {
        let string = CString::new(text).ok();
        if string.is_none() {
            self.add(at(), format!("{text:?} contains a NUL byte"));
        }
        string
    }
}

fn argv(args: &[String], problems: &mut Problems) -> Vec<CString> {
    if args.is_empty() {
        problems.add("process.args", "args must not be empty");
    }
    let each = args.iter().enumerate();
    each.filter_map(|(n, text)| problems.c_string(|| format!("process.args[{n}]"), text)).collect()
}

fn cwd(cwd: &str, problems: &mut Problems) -> CString {
    if !cwd.starts_with('/') {
        problems.add("process.cwd", format!("Cwd must be an absolute path, not {cwd:?}"));
    }
    problems.c_string(|| "process.cwd".into(), cwd).unwrap_or_default()
}

struct Environment {
    variables: Vec<CString>,
    path: Option<CString>,
    needs_home: bool,
}

/// The last of several values of one name wins, at its own place, as in Go's os/exec: engines
/// append what overrides.
fn environment(env: &[String], problems: &mut Problems) -> Environment {
    let mut seen = BTreeSet::new();
    let mut variables = Vec::with_capacity(env.len() + 1);
    let (mut path, mut needs_home) = (None, true);
    for (n, variable) in env.iter().enumerate().rev() {
        let at = || format!("process.env[{n}]");
        let Some((name, value)) = variable.split_once('=') else {
            problems
                .add(at(), format!("invalid environment variable: missing '=' in {variable:?}"));
            continue;
        };
        if name.is_empty() {
            problems.add(at(), "invalid environment variable: name cannot be empty");
            continue;
        }
        if !seen.insert(name) {
            continue;
        }
        if variable.contains('\0') {
            problems.add(
                at(),
                format!("invalid environment variable {name:?}: contains nul byte (\\x00)"),
            );
            continue;
        }
        match name {
            "PATH" => path = problems.c_string(at, value),
            "HOME" if value.is_empty() => continue,
            "HOME" => needs_home = false,
            _ => {}
        }
        variables.extend(problems.c_string(at, variable));
    }
    variables.reverse();
    Environment { variables, path, needs_home }
}

/// Numbers are the generic ones of the kernel (asm-generic/resource.h), which all architectures
/// of this runtime use.
const RLIMITS: [(&str, u32); 16] = [
    ("RLIMIT_CPU", 0),
    ("RLIMIT_FSIZE", 1),
    ("RLIMIT_DATA", 2),
    ("RLIMIT_STACK", 3),
    ("RLIMIT_CORE", 4),
    ("RLIMIT_RSS", 5),
    ("RLIMIT_NPROC", 6),
    ("RLIMIT_NOFILE", 7),
    ("RLIMIT_MEMLOCK", 8),
    ("RLIMIT_AS", 9),
    ("RLIMIT_LOCKS", 10),
    ("RLIMIT_SIGPENDING", 11),
    ("RLIMIT_MSGQUEUE", 12),
    ("RLIMIT_NICE", 13),
    ("RLIMIT_RTPRIO", 14),
    ("RLIMIT_RTTIME", 15),
];

fn rlimits(limits: &[SpecRlimit], problems: &mut Problems) -> Vec<Rlimit> {
    let mut plan: Vec<Rlimit> = Vec::with_capacity(limits.len());
    for (n, limit) in limits.iter().enumerate() {
        let at = || format!("process.rlimits[{n}]");
        let Some((name, resource)) = RLIMITS.into_iter().find(|(name, _)| *name == limit.typ)
        else {
            problems.add(at(), format!("unknown rlimit type {:?}", limit.typ));
            continue;
        };
        // config.md: "If rlimits contains duplicated entries with same type, the runtime MUST
        // generate an error."
        if plan.iter().any(|known| known.resource == resource) {
            problems.add(at(), format!("{name} is listed twice"));
        }
        let (soft, hard) = (limit.soft, limit.hard);
        if soft > hard {
            problems.add(at(), format!("{name}: soft limit {soft} is above hard limit {hard}"));
        }
        plan.push(Rlimit { resource, name, soft, hard });
    }
    plan
}

fn oom_score_adj(value: i64, problems: &mut Problems) -> Option<i16> {
    let value = i16::try_from(value).ok().filter(|value| (-1000..=1000).contains(value));
    if value.is_none() {
        problems.add("process.oomScoreAdj", "must be between -1000 and 1000");
    }
    value
}

const POLICIES: [(&str, u32); 7] = [
    ("SCHED_OTHER", 0),
    ("SCHED_FIFO", 1),
    ("SCHED_RR", 2),
    ("SCHED_BATCH", 3),
    ("SCHED_ISO", 4),
    ("SCHED_IDLE", 5),
    ("SCHED_DEADLINE", 6),
];

const SCHED_FLAGS: [(&str, u64); 7] = [
    ("SCHED_FLAG_RESET_ON_FORK", 0x01),
    ("SCHED_FLAG_RECLAIM", 0x02),
    ("SCHED_FLAG_DL_OVERRUN", 0x04),
    ("SCHED_FLAG_KEEP_POLICY", 0x08),
    ("SCHED_FLAG_KEEP_PARAMS", 0x10),
    ("SCHED_FLAG_UTIL_CLAMP_MIN", 0x20),
    ("SCHED_FLAG_UTIL_CLAMP_MAX", 0x40),
];

fn scheduler(scheduler: &Scheduler, problems: &mut Problems) -> Option<SchedAttr> {
    const AT: &str = "process.scheduler";
    let Scheduler { nice, priority, runtime, deadline, period, .. } = *scheduler;
    let name = scheduler.policy.as_str();
    let Some(policy) = number(&POLICIES, name) else {
        problems.add(format!("{AT}.policy"), format!("invalid scheduler policy {name:?}"));
        return None;
    };
    if matches!(name, "SCHED_OTHER" | "SCHED_BATCH") && !(-20..=19).contains(&nice) {
        problems.add(format!("{AT}.nice"), format!("{nice} is not between -20 and 19"));
    }
    if priority != 0 && !matches!(name, "SCHED_FIFO" | "SCHED_RR") {
        problems.add(format!("{AT}.priority"), format!("{name} has no priority"));
    }
    if name != "SCHED_DEADLINE" && (runtime, deadline, period) != (0, 0, 0) {
        problems.add(AT, format!("{name} has no runtime, deadline or period"));
    }
    let mut flags = 0;
    for flag in &scheduler.flags {
        match number(&SCHED_FLAGS, flag) {
            Some(bit) => flags |= bit,
            None => {
                problems.add(format!("{AT}.flags"), format!("invalid scheduler flag {flag:?}"));
            }
        }
    }
    let Ok(priority) = u32::try_from(priority) else {
        problems.add(format!("{AT}.priority"), format!("{priority} is negative"));
        return None;
    };
    Some(SchedAttr { policy, flags, nice, priority, runtime, deadline, period })
}

fn io_priority(priority: &IoPriority, problems: &mut Problems) -> Option<u16> {
    const CLASSES: [(&str, u16); 3] =
        [("IOPRIO_CLASS_RT", 1), ("IOPRIO_CLASS_BE", 2), ("IOPRIO_CLASS_IDLE", 3)];
    // linux/ioprio.h IOPRIO_CLASS_SHIFT.
    const CLASS_SHIFT: u16 = 13;
    let class = number(&CLASSES, &priority.class);
    if class.is_none() {
        let what = format!("invalid ioPriority class {:?}", priority.class);
        problems.add("process.ioPriority.class", what);
    }
    let level = u16::try_from(priority.priority).ok().filter(|level| *level <= 7);
    if level.is_none() {
        let what = format!("{} is not between 0 and 7", priority.priority);
        problems.add("process.ioPriority.priority", what);
    }
    Some(class? << CLASS_SHIFT | level?)
}

fn affinity(
    affinity: Option<&CpuAffinity>,
    problems: &mut Problems,
) -> (Option<Mask>, Option<Mask>) {
    let Some(affinity) = affinity else { return (None, None) };
    let mut mask = |name: &str, list: &str| {
        if list.is_empty() {
            return None;
        }
        let parsed = match parse_list(list) {
            Ok(mask) if mask.is_empty() => Err(format!("{list:?} names no CPU")),
            other => other,
        };
        parsed.map_err(|what| problems.add(format!("process.execCPUAffinity.{name}"), what)).ok()
    };
    (mask("initial", &affinity.initial), mask("final", &affinity.last))
}

/// Values of `linux.memoryPolicy.mode` (set_mempolicy(2)).
const MEMORY_POLICY_MODES: [(&str, i32); 7] = [
    ("MPOL_DEFAULT", 0),
    ("MPOL_PREFERRED", 1),
    ("MPOL_BIND", 2),
    ("MPOL_INTERLEAVE", 3),
    ("MPOL_LOCAL", 4),
    ("MPOL_PREFERRED_MANY", 5),
    ("MPOL_WEIGHTED_INTERLEAVE", 6),
];

/// Values of `linux.memoryPolicy.flags`.
const MEMORY_POLICY_FLAGS: [(&str, i32); 3] = [
    ("MPOL_F_STATIC_NODES", 1 << 15),
    ("MPOL_F_RELATIVE_NODES", 1 << 14),
    ("MPOL_F_NUMA_BALANCING", 1 << 13),
];

fn mempolicy(policy: &SpecMemoryPolicy, problems: &mut Problems) -> Option<MemoryPolicy> {
    const AT: &str = "linux.memoryPolicy";
    let name = policy.mode.as_str();
    let mode = number(&MEMORY_POLICY_MODES, name);
    if mode.is_none() {
        problems.add(format!("{AT}.mode"), format!("invalid memory policy mode {name:?}"));
    }
    let mut flags = 0;
    for flag in &policy.flags {
        match number(&MEMORY_POLICY_FLAGS, flag) {
            Some(bit) => flags |= bit,
            None => {
                problems.add(format!("{AT}.flags"), format!("invalid memory policy flag {flag:?}"));
            }
        }
    }
    let nodes = match parse_list(&policy.nodes) {
        Ok(nodes) => nodes,
        Err(what) => {
            problems.add(format!("{AT}.nodes"), what);
            return None;
        }
    };
    // Which modes take nodes: set_mempolicy(2). MPOL_PREFERRED may go without.
    match name {
        "MPOL_DEFAULT" | "MPOL_LOCAL" if !nodes.is_empty() => {
            problems.add(format!("{AT}.nodes"), format!("{name} takes no nodes"));
        }
        "MPOL_BIND" | "MPOL_INTERLEAVE" | "MPOL_PREFERRED_MANY" | "MPOL_WEIGHTED_INTERLEAVE"
            if nodes.is_empty() =>
        {
            problems.add(format!("{AT}.nodes"), format!("{name} needs at least one node"));
        }
        _ => {}
    }
    Some(MemoryPolicy { mode: mode? | flags, nodes })
}

fn domain(personality: &Personality, problems: &mut Problems) -> Option<u32> {
    const DOMAINS: [(&str, u32); 2] = [("LINUX", 0), ("LINUX32", 8)];
    if let Some(flag) = personality.flags.first() {
        problems.add("linux.personality.flags", format!("no flags are supported, not {flag:?}"));
    }
    let domain = number(&DOMAINS, &personality.domain);
    if domain.is_none() {
        let what = format!("invalid personality domain {:?}", personality.domain);
        problems.add("linux.personality.domain", what);
    }
    domain
}

fn number<T: Copy>(table: &[(&str, T)], name: &str) -> Option<T> {
    table.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

/// Reads the kernel's list format, `0-3,7` (cpuset(7)); spaces and empty elements are allowed.
fn parse_list(list: &str) -> Result<Mask, String> {
    let wrong = |element: &str| format!("invalid element {element:?} in list {list:?}");
    let mut numbers = Vec::new();
    for element in list.split(',').map(str::trim).filter(|element| !element.is_empty()) {
        let (first, last) = element.split_once('-').unwrap_or((element, element));
        let number = |text: &str| {
            // `parse` alone would take "+1".
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|number: &usize| digits && *number <= MAX_NUMBER)
        };
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => numbers.extend(first..=last),
            _ => return Err(wrong(element)),
        }
    }
    Ok(Mask::new(numbers))
}

#[cfg(test)]
#[path = "process_tests.rs"]
mod tests;
