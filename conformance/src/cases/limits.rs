//! Resource limits, capabilities and scheduling of the container's process (config.md).

use serde_json::{Value, json};

use crate::case::{Case, Verdict, case, ensure, equal};
use crate::context::Context;
use crate::mutant::{Break, drops, sets};
use crate::needs::Need;
use crate::observation::Observation;

/// The chapter.
pub fn cases() -> Vec<Case> {
    let mut all = rlimits();
    all.extend(bad_rlimits());
    all.extend(capabilities());
    all.extend(oom());
    all.extend(scheduler());
    all.extend(required());
    all
}

/// Limits low enough to be set without CAP_SYS_RESOURCE, high enough to run with.
const LIMITS: [(&str, u64, u64); 16] = [
    ("RLIMIT_CPU", 500, 1000),
    ("RLIMIT_FSIZE", 100_000_000, 200_000_000),
    ("RLIMIT_DATA", 1_000_000_000, 2_000_000_000),
    ("RLIMIT_STACK", 4_194_304, 8_388_608),
    ("RLIMIT_CORE", 0, 0),
    ("RLIMIT_RSS", 1_000_000_000, 2_000_000_000),
    ("RLIMIT_NPROC", 1000, 2000),
    ("RLIMIT_NOFILE", 256, 512),
    ("RLIMIT_MEMLOCK", 32_768, 65_536),
    ("RLIMIT_AS", 4_000_000_000, 8_000_000_000),
    ("RLIMIT_LOCKS", 100, 200),
    ("RLIMIT_SIGPENDING", 100, 200),
    ("RLIMIT_MSGQUEUE", 1000, 2000),
    ("RLIMIT_NICE", 0, 0),
    ("RLIMIT_RTPRIO", 0, 0),
    ("RLIMIT_RTTIME", 100_000, 200_000),
];

fn rlimits() -> Vec<Case> {
    LIMITS
        .map(|(name, soft, hard)| {
            // The suite's own limits may be these already: spoil them with others.
            let other = if hard == 0 {
                Break::Refuse("create".into())
            } else {
                sets("/process/rlimits/0/soft", soft - 1)
            };
            case(format!("limits/{name}"))
                .cites("config.md:269 a `getrlimit(3)` on `type` MUST succeed")
                .cites("config.md:272 the value of the limit enforced")
                .cites("config.md:273 `rlim.rlim_cur` MUST match the configured value")
                .cites("config.md:274 the ceiling for the soft limit")
                .cites("config.md:275 `rlim.rlim_max` MUST match the configured value")
                .breaks(other)
                .runs(move |c| {
                    let limit = json!([{"type": name, "soft": soft, "hard": hard}]);
                    c.set("/process/rlimits", limit);
                    let seen = c.observe()?;
                    equal("limits", &seen.rlimits.get(name), &Some(&(soft, hard)))
                })
        })
        .into()
}

fn bad_rlimits() -> Vec<Case> {
    const UNKNOWN: &str = "config.md:268 MUST generate an error for any values which cannot be";
    let bad = |name: &str, cite: &str, limits: Value| {
        let start = case(format!("limits/{name}")).cites(cite);
        let start = if name.ends_with("missing") { start.advice() } else { start };
        start.breaks(Break::Repair).runs(move |c| {
            c.set("/process/rlimits", limits.clone());
            c.refused()
        })
    };
    let one = json!({"type": "RLIMIT_CORE", "soft": 0, "hard": 0});
    vec![
        bad("type-twice", "config.md:278 duplicated entries with same `type`", json!([one, one])),
        bad("type-unknown", UNKNOWN, json!([{"type": "RLIMIT_X", "soft": 0, "hard": 0}])),
        bad("type-lower-case", UNKNOWN, json!([{"type": "rlimit_core", "soft": 0, "hard": 0}])),
        bad("soft-above-hard", UNKNOWN, json!([{"type": "RLIMIT_CORE", "soft": 2, "hard": 1}])),
        bad(
            "type-missing",
            "config.md:264 `type` (string, REQUIRED)",
            json!([
            {"soft": 0, "hard": 0}]),
        ),
        bad(
            "soft-missing",
            "config.md:272 `soft` (uint64, REQUIRED)",
            json!([
            {"type": "RLIMIT_CORE", "hard": 0}]),
        ),
        bad(
            "hard-missing",
            "config.md:274 `hard` (uint64, REQUIRED)",
            json!([
            {"type": "RLIMIT_CORE", "soft": 0}]),
        ),
    ]
}

/// The bits of some capabilities (linux/capability.h).
const CHOWN: u64 = 1;
const KILL: u64 = 1 << 5;
const NET_BIND_SERVICE: u64 = 1 << 10;
const AUDIT_WRITE: u64 = 1 << 29;

fn capabilities() -> Vec<Case> {
    const CITE: &str = "runtime.md:113 MUST be applied";
    let sets_of = [
        ("CapBnd", "bounding"),
        ("CapEff", "effective"),
        ("CapPrm", "permitted"),
        ("CapInh", "inheritable"),
        ("CapAmb", "ambient"),
    ];
    let mut all: Vec<Case> = sets_of
        .map(|(field, name)| {
            let one = json!(["CAP_KILL"]);
            case(format!("limits/capabilities-{name}"))
                .cites(CITE)
                .breaks(match name {
                    // A root process' effective set is what is permitted (capabilities(7)).
                    "effective" => Break::All(vec![
                        sets("/process/capabilities/effective", one.clone()),
                        sets("/process/capabilities/permitted", one.clone()),
                        sets("/process/capabilities/bounding", one),
                        drops("/process/capabilities/inheritable"),
                        drops("/process/capabilities/ambient"),
                    ]),
                    _ => sets(&format!("/process/capabilities/{name}"), one),
                })
                .runs(move |c| {
                    capability_sets(c);
                    let seen = c.observe()?;
                    let wanted = CHOWN | KILL;
                    equal(field, &seen.caps(field), &Some(wanted))
                })
        })
        .into();
    all.extend([
        case("limits/capabilities-of-the-default")
            .cites(CITE)
            .breaks(sets("/process/capabilities/bounding/-", "CAP_CHOWN"))
            .runs(|c| {
                let seen = c.observe()?;
                let wanted = KILL | NET_BIND_SERVICE | AUDIT_WRITE;
                ["CapBnd", "CapPrm", "CapEff"]
                    .iter()
                    .try_for_each(|field| equal(field, &seen.caps(field), &Some(wanted)))?;
                equal("CapInh", &seen.caps("CapInh"), &Some(0))?;
                equal("CapAmb", &seen.caps("CapAmb"), &Some(0))
            }),
        case("limits/capabilities-none")
            .cites(CITE)
            .breaks(sets("/process/capabilities/bounding", json!(["CAP_KILL"])))
            .runs(|c| {
                c.set("/process/capabilities", json!({}));
                let seen = c.observe()?;
                ["CapBnd", "CapPrm", "CapEff", "CapInh", "CapAmb"]
                    .iter()
                    .try_for_each(|field| equal(field, &seen.caps(field), &Some(0)))
            }),
        unknown_capability(),
        case("limits/capabilities-claimed-are-known")
            .cites("features-linux.md:27 MUST recognize the elements in this array")
            .needs(Need::Features)
            .breaks(sets("/process/capabilities/bounding", json!([])))
            .runs(|c| {
                let features = c.driver.runtime.features.clone().unwrap_or_default();
                let claimed = features["linux"]["capabilities"].clone();
                let count = claimed.as_array().map_or(0, Vec::len);
                c.set("/process/capabilities/bounding", claimed);
                let seen = c.observe()?;
                let bits = seen.caps("CapBnd").unwrap_or(0).count_ones();
                c.saw(format!("{count} claimed, {bits} in the bounding set"));
                // What the suite itself lacks can't be granted.
                ensure(bits > 3, || format!("only {bits} in the bounding set"))
            }),
    ]);
    all
}

fn capability_sets(c: &mut Context) {
    let both = json!(["CAP_CHOWN", "CAP_KILL"]);
    for name in ["bounding", "effective", "permitted", "inheritable", "ambient"] {
        c.set(&format!("/process/capabilities/{name}"), both.clone());
    }
}

fn unknown_capability() -> Case {
    case("limits/capabilities-unknown")
        .cites("config.md:288 MUST be logged as a warning by the runtime")
        .cites("config.md:290 SHOULD NOT fail if the container configuration requests")
        .cites("runtime.md:89 it MUST continue as if the warning had not been logged")
        .breaks(Break::Mute)
        .runs(|c| {
            c.set("/process/capabilities/bounding/-", "CAP_NO_SUCH");
            let (container, output) = c.try_create()?;
            c.saw(output.summary());
            ensure(output.ok(), || format!("create {}", output.summary()))?;
            container.start()?;
            container.seen()?;
            ensure(output.stderr.contains("CAP_NO_SUCH"), || "no warning on stderr".into())
        })
}

fn oom() -> Vec<Case> {
    vec![
        case("limits/oom-score-adj")
            .cites("config.md:303 the runtime MUST set `oom_score_adj` to the given value")
            .breaks(drops("/process/oomScoreAdj"))
            .runs(|c| {
                c.set("/process/oomScoreAdj", 321);
                equal("oom_score_adj", c.observe()?.oom_score_adj.as_str(), "321")
            }),
        case("limits/oom-score-adj-of-exec")
            .cites("config.md:303 the runtime MUST set `oom_score_adj` to the given value")
            .breaks(drops("/process/oomScoreAdj"))
            .runs(|c| {
                c.set("/process/oomScoreAdj", 321);
                c.stay(&[]);
                let container = c.start()?;
                let seen = container.exec_seen(&[], &[])?;
                equal("oom_score_adj", seen.oom_score_adj.as_str(), "321")
            }),
        case("limits/oom-score-adj-unset")
            .cites("config.md:303.2 the runtime MUST NOT change the value of `oom_score_adj`")
            .breaks(sets("/process/oomScoreAdj", 500))
            .runs(|c| {
                let own = std::fs::read_to_string("/proc/self/oom_score_adj")?;
                equal("oom_score_adj", c.observe()?.oom_score_adj.as_str(), own.trim())
            }),
    ]
}

type Look = fn(&Observation) -> Verdict;

fn scheduler() -> Vec<Case> {
    const CITE: &str = "runtime.md:113 MUST be applied";
    const POLICY: &str = "config.md:310 represents the scheduling policy";
    const CLASS: &str = "config.md:341 specifies the I/O scheduling class";
    let applied =
        |name: &str, cite: &str, since, pointer: &'static str, value: Value, look: Look| {
            case(format!("limits/{name}"))
                .cites(cite)
                .cites(CITE)
                .needs(Need::Root)
                .needs(Need::Spec(since))
                .breaks(drops(pointer))
                .runs(move |c| {
                    c.set(pointer, value.clone());
                    look(&c.observe()?)
                })
        };
    let scheduler = "/process/scheduler";
    vec![
        applied(
            "scheduler-batch",
            POLICY,
            "1.1.0",
            scheduler,
            json!(
            {"policy": "SCHED_BATCH", "nice": 5}),
            |seen| equal("policy and nice", &(seen.scheduler.policy, seen.scheduler.nice), &(3, 5)),
        ),
        applied(
            "scheduler-idle",
            POLICY,
            "1.1.0",
            scheduler,
            json!(
            {"policy": "SCHED_IDLE"}),
            |seen| equal("policy", &seen.scheduler.policy, &5),
        ),
        applied(
            "scheduler-other",
            POLICY,
            "1.1.0",
            scheduler,
            json!(
            {"policy": "SCHED_OTHER", "nice": 7}),
            |seen| equal("nice", &seen.scheduler.nice, &7),
        ),
        applied(
            "io-priority",
            CLASS,
            "1.1.0",
            "/process/ioPriority",
            json!(
            {"class": "IOPRIO_CLASS_BE", "priority": 6}),
            |seen| equal("ioprio", &seen.ioprio, &(2 << 13 | 6)),
        ),
        applied(
            "io-priority-idle",
            "config.md:342 the priority level within the class",
            "1.1.0",
            "/process/ioPriority",
            json!({"class": "IOPRIO_CLASS_IDLE", "priority": 0}),
            |seen| equal("class", &(seen.ioprio >> 13), &3),
        ),
        case("limits/cpu-affinity-unset")
            .cites("config.md:352 SHOULD NOT change process' CPU affinity")
            .needs(Need::Root)
            .breaks(sets("/linux/resources/cpu/cpus", "0"))
            .runs(|c| {
                let seen = c.observe()?;
                let own = nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0))?;
                let count = nix::sched::CpuSet::count();
                let own: Vec<usize> =
                    (0..count).filter(|cpu| own.is_set(*cpu).unwrap_or(false)).collect();
                equal("affinity", &seen.affinity, &own)
            }),
    ]
}

fn required() -> Vec<Case> {
    const VALUES: &str = "config.md:760 invalid or unsupported values";
    let bad = |name: &str, cite: &str, since, pointer: &'static str, value: Value| {
        let start = case(format!("limits/{name}")).cites(cite);
        let start = if name.ends_with("missing") { start.advice() } else { start };
        start.needs(Need::Spec(since)).breaks(Break::Repair).runs(move |c| {
            c.set(pointer, value.clone());
            c.refused()
        })
    };
    vec![
        bad(
            "scheduler-policy-missing",
            "config.md:310 `policy` (string, REQUIRED)",
            "1.1.0",
            "/process/scheduler",
            json!({"nice": 1}),
        ),
        bad(
            "scheduler-policy-unknown",
            VALUES,
            "1.1.0",
            "/process/scheduler",
            json!({"policy": "SCHED_X"}),
        ),
        bad(
            "io-priority-class-missing",
            "config.md:341 `class` (string, REQUIRED)",
            "1.1.0",
            "/process/ioPriority",
            json!({"priority": 1}),
        ),
        bad(
            "io-priority-class-unknown",
            VALUES,
            "1.1.0",
            "/process/ioPriority",
            json!({"class": "IOPRIO_X", "priority": 1}),
        ),
        bad(
            "io-priority-priority-missing",
            "config.md:342 `priority` (int, REQUIRED)",
            "1.1.0",
            "/process/ioPriority",
            json!({"class": "IOPRIO_CLASS_BE"}),
        ),
        bad("oom-score-adj-out-of-range", VALUES, "1.0.0", "/process/oomScoreAdj", json!(1001)),
    ]
}
