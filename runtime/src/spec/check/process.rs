//! `process` (config.md#process, #posix-process, #linux-process, #user).

use super::Problems;
use super::list;
use crate::spec::Problem;
use crate::spec::config::{IoPriority, Process, Rlimit, Scheduler, User};

/// getrlimit(2)
const RLIMITS: [&str; 16] = [
    "RLIMIT_AS",
    "RLIMIT_CORE",
    "RLIMIT_CPU",
    "RLIMIT_DATA",
    "RLIMIT_FSIZE",
    "RLIMIT_LOCKS",
    "RLIMIT_MEMLOCK",
    "RLIMIT_MSGQUEUE",
    "RLIMIT_NICE",
    "RLIMIT_NOFILE",
    "RLIMIT_NPROC",
    "RLIMIT_RSS",
    "RLIMIT_RTPRIO",
    "RLIMIT_RTTIME",
    "RLIMIT_SIGPENDING",
    "RLIMIT_STACK",
];

const POLICIES: [&str; 7] = [
    "SCHED_OTHER",
    "SCHED_FIFO",
    "SCHED_RR",
    "SCHED_BATCH",
    "SCHED_ISO",
    "SCHED_IDLE",
    "SCHED_DEADLINE",
];

const SCHED_FLAGS: [&str; 7] = [
    "SCHED_FLAG_RESET_ON_FORK",
    "SCHED_FLAG_RECLAIM",
    "SCHED_FLAG_DL_OVERRUN",
    "SCHED_FLAG_KEEP_POLICY",
    "SCHED_FLAG_KEEP_PARAMS",
    "SCHED_FLAG_UTIL_CLAMP_MIN",
    "SCHED_FLAG_UTIL_CLAMP_MAX",
];

const IO_CLASSES: [&str; 3] = ["IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"];

/// Judges the process object at `at`, be it of config.json or of `exec --process`.
pub fn check_process(process: &Process, at: &str) -> Vec<Problem> {
    let mut problems = Problems::default();
    check(process, at, &mut problems);
    problems.0
}

pub(super) fn check(process: &Process, at: &str, problems: &mut Problems) {
    args(process, at, problems);
    env(&process.env, at, problems);
    cwd(&process.cwd, at, problems);
    user(&process.user, at, problems);
    rlimits(&process.rlimits, at, problems);
    problems.text(|| format!("{at}.apparmorProfile"), &process.apparmor_profile);
    problems.text(|| format!("{at}.selinuxLabel"), &process.selinux_label);
    // proc(5): the file takes no other values.
    if let Some(adj) = process.oom_score_adj.filter(|adj| !(-1000..=1000).contains(adj)) {
        problems.add(format!("{at}.oomScoreAdj"), format!("{adj} is not from -1000 to 1000"));
    }
    if let Some(scheduler) = &process.scheduler {
        self::scheduler(scheduler, &format!("{at}.scheduler"), problems);
    }
    if let Some(priority) = &process.io_priority {
        io_priority(priority, &format!("{at}.ioPriority"), problems);
    }
    if let Some(affinity) = &process.exec_cpu_affinity {
        for (name, cpus) in [("initial", &affinity.initial), ("final", &affinity.last)] {
            if let Err(why) = list::parse(cpus) {
                let at = format!("{at}.execCPUAffinity.{name}");
                problems.add(at, format!("bad CPU list {cpus:?}: {why}"));
            }
        }
    }
}

/// config.md#process: "at least one entry is REQUIRED".
fn args(process: &Process, at: &str, problems: &mut Problems) {
    if process.args.is_empty() {
        problems.add(format!("{at}.args"), "args must not be empty");
    }
    for (i, arg) in process.args.iter().enumerate() {
        problems.text(|| format!("{at}.args[{i}]"), arg);
    }
}

/// config.md#process: the semantics of environ, whose entries are `name=value`.
fn env(env: &[String], at: &str, problems: &mut Problems) {
    for (i, entry) in env.iter().enumerate() {
        let at = || format!("{at}.env[{i}]");
        if !problems.text(at, entry) {
            continue;
        }
        match entry.find('=') {
            None => {
                let what = format!("invalid environment variable {entry:?}: missing '='");
                problems.add(at(), what);
            }
            Some(0) => {
                let what = "invalid environment variable: name cannot be empty";
                problems.add(at(), what);
            }
            Some(_) => {}
        }
    }
}

/// config.md#process: "This value MUST be an absolute path."
fn cwd(cwd: &str, at: &str, problems: &mut Problems) {
    let at = || format!("{at}.cwd");
    if cwd.is_empty() {
        problems.add(at(), "Cwd property must not be empty");
    } else if !cwd.starts_with('/') {
        problems.add(at(), format!("Cwd must be an absolute path, {cwd:?} is not"));
    } else {
        problems.text(at, cwd);
    }
}

/// config.md#posix-platform-user
fn user(user: &User, at: &str, problems: &mut Problems) {
    problems.id(|| format!("{at}.user.uid"), user.uid);
    problems.id(|| format!("{at}.user.gid"), user.gid);
    for (i, &gid) in user.additional_gids.iter().enumerate() {
        problems.id(|| format!("{at}.user.additionalGids[{i}]"), gid);
    }
    // umask(2) ignores other bits, so such a mask is not the one that was meant.
    if let Some(umask) = user.umask.filter(|&umask| umask > 0o777) {
        problems.add(format!("{at}.user.umask"), format!("0{umask:o} is more than 0777"));
    }
}

/// config.md#posix-process: unknown types and duplicates are errors.
fn rlimits(rlimits: &[Rlimit], at: &str, problems: &mut Problems) {
    for (i, limit) in rlimits.iter().enumerate() {
        let at = || format!("{at}.rlimits[{i}]");
        problems.known(|| at() + ".type", "rlimit", &limit.typ, &RLIMITS);
        if rlimits.iter().take(i).any(|other| other.typ == limit.typ) {
            problems.add(at() + ".type", format!("duplicated rlimit {:?}", limit.typ));
        }
        // setrlimit(2), EINVAL
        if limit.soft > limit.hard {
            let what = format!("soft limit {} is above hard limit {}", limit.soft, limit.hard);
            problems.add(at(), what);
        }
    }
}

/// config.md#linux-process, with the rules of sched_setattr(2) by which the kernel refuses values
/// that don't go together.
fn scheduler(scheduler: &Scheduler, at: &str, problems: &mut Problems) {
    let policy = scheduler.policy.as_str();
    if policy.is_empty() {
        problems.add(format!("{at}.policy"), "scheduler policy is required");
        return;
    }
    problems.known(|| format!("{at}.policy"), "scheduler policy", policy, &POLICIES);
    for (i, flag) in scheduler.flags.iter().enumerate() {
        problems.known(|| format!("{at}.flags[{i}]"), "scheduler flag", flag, &SCHED_FLAGS);
    }
    let nice = scheduler.nice;
    if matches!(policy, "SCHED_OTHER" | "SCHED_BATCH") && !(-20..=19).contains(&nice) {
        problems.add(format!("{at}.nice"), format!("{nice} is not from -20 to 19"));
    }
    let priority = scheduler.priority;
    let real_time = matches!(policy, "SCHED_FIFO" | "SCHED_RR");
    if real_time && !(1..=99).contains(&priority) {
        problems.add(format!("{at}.priority"), format!("{priority} is not from 1 to 99"));
    } else if !real_time && priority != 0 {
        let what = "can only be specified for SCHED_FIFO or SCHED_RR policy";
        problems.add(format!("{at}.priority"), what);
    }
    deadline(scheduler, at, problems);
}

/// sched(7): runtime <= deadline <= period, where a period of 0 stands for the deadline.
fn deadline(scheduler: &Scheduler, at: &str, problems: &mut Problems) {
    let Scheduler { runtime, deadline, period, .. } = *scheduler;
    if scheduler.policy != "SCHED_DEADLINE" {
        if (runtime, deadline, period) != (0, 0, 0) {
            let what =
                "runtime, deadline and period can only be specified for SCHED_DEADLINE policy";
            problems.add(at, what);
        }
    } else if runtime == 0 || runtime > deadline || (period != 0 && deadline > period) {
        problems.add(at, "0 < runtime <= deadline <= period does not hold");
    }
}

/// config.md#linux-process: "an integer ranging from 0 (highest) to 7 (lowest)".
fn io_priority(priority: &IoPriority, at: &str, problems: &mut Problems) {
    problems.known(|| format!("{at}.class"), "ioPriority class", &priority.class, &IO_CLASSES);
    let level = priority.priority;
    if !(0..=7).contains(&level) {
        problems.add(format!("{at}.priority"), format!("{level} is not from 0 to 7"));
    }
}
