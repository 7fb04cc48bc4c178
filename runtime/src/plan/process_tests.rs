use super::*;
use crate::spec::config::ConsoleSize;

fn process() -> Process {
    Process { args: vec!["sh".into()], cwd: "/".into(), ..Process::default() }
}

fn planned(change: impl FnOnce(&mut Process)) -> ProcessPlan {
    let mut process = process();
    change(&mut process);
    plan(&process, None).unwrap()
}

/// The one problem of a process.
fn refused(change: impl FnOnce(&mut Process)) -> String {
    let mut process = process();
    change(&mut process);
    let problems = plan(&process, None).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems.first().unwrap().to_string()
}

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn defaults() {
    let plan = planned(|_| {});
    assert_eq!(plan.argv, [c"sh".to_owned()]);
    assert_eq!(plan.umask, 0o022);
    assert!(plan.needs_home && plan.envp.is_empty() && plan.path.is_none());
    assert!(plan.scheduler.is_none() && plan.io_priority.is_none());
    assert!(plan.oom_score_adj.is_none() && plan.final_affinity.is_none());
    assert_eq!(planned(|p| p.user.umask = Some(0o77)).umask, 0o077);
}

#[test]
fn the_last_value_of_a_variable_wins_at_its_place() {
    let env = strings(&["A=1", "PATH=/bin", "B=2", "A=3", "HOME=", "PATH=/usr/bin", "E==x"]);
    let plan = planned(|p| p.env = env);
    let expected: Vec<CString> =
        [c"B=2", c"A=3", c"PATH=/usr/bin", c"E==x"].into_iter().map(CString::from).collect();
    assert_eq!(plan.envp, expected);
    assert_eq!(plan.path.as_deref(), Some(c"/usr/bin"));
    assert!(plan.needs_home);
    assert!(!planned(|p| p.env = strings(&["HOME=", "HOME=/root"])).needs_home);
}

#[test]
fn an_empty_last_home_hides_earlier_ones() {
    let plan = planned(|p| p.env = strings(&["HOME=/root", "HOME="]));
    assert!(plan.needs_home && plan.envp.is_empty());
}

#[test]
fn broken_variables() {
    let env = |variable: &str| {
        let env = strings(&[variable]);
        refused(|p| p.env = env)
    };
    assert!(env("NOVALUE").contains("missing '='"));
    assert!(env("=x").contains("name cannot be empty"));
    assert!(env("A=\0x").contains("nul byte"));
}

#[test]
fn broken_argv_and_cwd() {
    assert_eq!(refused(|p| p.args.clear()), "process.args: args must not be empty");
    assert!(refused(|p| p.args.push("a\0b".into())).starts_with("process.args[1]: "));
    assert!(refused(|p| p.cwd = "tmp".into()).contains("Cwd must be an absolute path"));
    assert!(refused(|p| p.cwd = "/a\0b".into()).contains("NUL"));
}

fn limit(typ: &str, soft: u64, hard: u64) -> SpecRlimit {
    SpecRlimit { typ: typ.into(), soft, hard }
}

#[test]
fn limits() {
    let plan = planned(|p| {
        p.rlimits = vec![limit("RLIMIT_NOFILE", 1, u64::MAX), limit("RLIMIT_RTTIME", 0, 0)];
    });
    let numbers: Vec<_> = plan.rlimits.iter().map(|it| (it.resource, it.soft, it.hard)).collect();
    assert_eq!(numbers, [(7, 1, u64::MAX), (15, 0, 0)]);
    assert!(refused(|p| p.rlimits = vec![limit("RLIMIT_FOO", 0, 0)]).contains("RLIMIT_FOO"));
    assert!(refused(|p| p.rlimits = vec![limit("RLIMIT_AS", 2, 1)]).contains("above"));
    let twice = vec![limit("RLIMIT_AS", 1, 1), limit("RLIMIT_AS", 1, 1)];
    assert!(refused(|p| p.rlimits = twice).contains("listed twice"));
}

#[test]
fn limit_numbers_are_this_machines() {
    use nix::sys::resource::Resource;
    for (name, resource) in [
        ("RLIMIT_NOFILE", Resource::RLIMIT_NOFILE),
        ("RLIMIT_NPROC", Resource::RLIMIT_NPROC),
        ("RLIMIT_AS", Resource::RLIMIT_AS),
        ("RLIMIT_MEMLOCK", Resource::RLIMIT_MEMLOCK),
        ("RLIMIT_RTPRIO", Resource::RLIMIT_RTPRIO),
    ] {
        assert_eq!(number(&RLIMITS, name), Some(resource as u32));
    }
}

#[test]
fn oom_score_is_bounded() {
    assert_eq!(planned(|p| p.oom_score_adj = Some(-1000)).oom_score_adj, Some(-1000));
    for value in [-1001, 1001, i64::MAX] {
        assert!(refused(|p| p.oom_score_adj = Some(value)).starts_with("process.oomScoreAdj"));
    }
}

#[test]
fn schedulers() {
    let named = |policy: &str| Scheduler { policy: policy.into(), ..Scheduler::default() };
    let flags = strings(&["SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_KEEP_PARAMS"]);
    let fifo = Scheduler { priority: 5, flags, ..named("SCHED_FIFO") };
    let attr = planned(|p| p.scheduler = Some(fifo)).scheduler.unwrap();
    assert_eq!((attr.policy, attr.priority, attr.flags), (1, 5, 0x11));
    let deadline = Scheduler { runtime: 1, deadline: 2, period: 3, ..named("SCHED_DEADLINE") };
    let attr = planned(|p| p.scheduler = Some(deadline)).scheduler.unwrap();
    assert_eq!((attr.policy, attr.runtime, attr.deadline, attr.period), (6, 1, 2, 3));
    for (wrong, word) in [
        (named("SCHED_FOO"), "SCHED_FOO"),
        (named(""), "policy"),
        (Scheduler { nice: 20, ..named("SCHED_OTHER") }, "nice"),
        (Scheduler { priority: 1, ..named("SCHED_BATCH") }, "priority"),
        (Scheduler { priority: -1, ..named("SCHED_RR") }, "negative"),
        (Scheduler { period: 1, ..named("SCHED_RR") }, "period"),
        (Scheduler { flags: strings(&["X"]), ..named("SCHED_RR") }, "\"X\""),
    ] {
        assert!(refused(|p| p.scheduler = Some(wrong)).contains(word));
    }
}

#[test]
fn io_priorities() {
    let io = |class: &str, priority| IoPriority { class: class.into(), priority };
    let plan = planned(|p| p.io_priority = Some(io("IOPRIO_CLASS_IDLE", 7)));
    assert_eq!(plan.io_priority, Some(3 << 13 | 7));
    for wrong in [io("IOPRIO_CLASS_RT", 8), io("IOPRIO_CLASS_RT", -1), io("RT", 1)] {
        assert!(refused(|p| p.io_priority = Some(wrong)).starts_with("process.ioPriority."));
    }
}

#[test]
fn lists() {
    let mask = |numbers: &[usize]| Ok(Mask::new(numbers.iter().copied()));
    assert_eq!(parse_list("0-2,7, 2000 ,"), mask(&[0, 1, 2, 7, 2000]));
    assert_eq!(parse_list(""), mask(&[]));
    for wrong in ["3-1", "a", "1-", "-1", "65537", "+1", "1-2-3", "99999999999999999999"] {
        assert!(parse_list(wrong).unwrap_err().contains(wrong), "{wrong}");
    }
}

#[test]
fn affinities() {
    let cpus = |initial: &str, last: &str| {
        Some(CpuAffinity { initial: initial.into(), last: last.into() })
    };
    let plan = planned(|p| p.exec_cpu_affinity = cpus("", "1-2"));
    assert_eq!(plan.initial_affinity, None);
    assert_eq!(plan.final_affinity, Some(Mask::new([1, 2])));
    let problem = refused(|p| p.exec_cpu_affinity = cpus("x", ""));
    assert!(problem.starts_with("process.execCPUAffinity.initial: "), "{problem}");
    assert!(refused(|p| p.exec_cpu_affinity = cpus("", ",")).contains("names no CPU"));
}

fn memory(mode: &str, nodes: &str, flags: &[&str]) -> Result<MemoryPolicy, String> {
    let flags = strings(flags);
    let policy = SpecMemoryPolicy { mode: mode.into(), nodes: nodes.into(), flags };
    let linux = Linux { memory_policy: Some(policy), ..Linux::default() };
    plan(&process(), Some(&linux))
        .map(|plan| plan.memory_policy.unwrap())
        .map_err(|problems| problems.first().unwrap().to_string())
}

#[test]
fn memory_policies() {
    let policy = memory("MPOL_INTERLEAVE", "2-3", &["MPOL_F_STATIC_NODES"]).unwrap();
    assert_eq!(policy, MemoryPolicy { mode: 3 | 1 << 15, nodes: Mask::new([2, 3]) });
    assert_eq!(memory("MPOL_PREFERRED", "", &[]).unwrap().mode, 1);
    for (mode, nodes, flags, word) in [
        ("MPOL_FOO", "", &[][..], "MPOL_FOO"),
        ("", "", &[], "mode"),
        ("MPOL_BIND", "", &[], "at least one"),
        ("MPOL_DEFAULT", "0", &[], "no nodes"),
        ("MPOL_LOCAL", "0", &[], "no nodes"),
        ("MPOL_BIND", "x", &[], "nodes"),
        ("MPOL_BIND", "0", &["F"], "\"F\""),
    ] {
        assert!(memory(mode, nodes, flags).unwrap_err().contains(word), "{mode} {nodes}");
    }
}

#[test]
fn personalities() {
    let with = |domain: &str, flags: &[&str]| {
        let personality = Personality { domain: domain.into(), flags: strings(flags) };
        let linux = Linux { personality: Some(personality), ..Linux::default() };
        plan(&process(), Some(&linux)).map(|plan| plan.personality)
    };
    assert_eq!(with("LINUX32", &[]).unwrap(), Some(8));
    assert_eq!(with("LINUX", &[]).unwrap(), Some(0));
    assert!(with("BSD", &[]).is_err() && with("LINUX", &["X"]).is_err());
}

#[test]
fn console_size_needs_a_terminal_and_an_extent() {
    let size = |height, width, terminal| {
        planned(|p| {
            p.console_size = Some(ConsoleSize { height, width });
            p.terminal = terminal;
        })
        .console_size
    };
    assert_eq!(size(24, 80, true), Some(tty::Size { rows: 24, columns: 80 }));
    assert_eq!(size(24, 80, false), None);
    assert_eq!(size(0, 80, true), None);
    assert_eq!(size(24, 70_000, true), None);
}

#[test]
fn all_problems_are_reported() {
    let broken = Process { oom_score_adj: Some(2000), ..Process::default() };
    assert_eq!(plan(&broken, None).unwrap_err().len(), 3);
}
