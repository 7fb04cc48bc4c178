//! Limits of a control group, one a case: given in config.json, read from the cgroup's files.

use serde_json::Value;

use crate::case::{Case, Verdict, case, equal};
use crate::context::Context;
use crate::mutant::drops;
use crate::needs::Need;

const APPLIED: &str = "runtime.md:113 MUST be applied";

/// The limits' part of the chapter on cgroups.
pub fn cases() -> Vec<Case> {
    LIMITS.iter().map(limit).collect()
}

/// A limit, and the files it shows in.
struct Limit {
    name: &'static str,
    cite: &'static str,
    /// Pointer below /linux/resources and the value as JSON.
    given: &'static [(&'static str, &'static str)],
    controller: &'static str,
    v1: (&'static str, &'static str),
    v2: (&'static str, &'static str),
    since: &'static str,
}

const LIMITS: [Limit; 13] = [
    Limit {
        name: "memory-limit",
        cite: APPLIED,
        given: &[("/memory/limit", "67108864")],
        controller: "memory",
        v1: ("memory.limit_in_bytes", "67108864"),
        v2: ("memory.max", "67108864"),
        since: "1.0.0",
    },
    Limit {
        name: "memory-reservation",
        cite: APPLIED,
        given: &[("/memory/reservation", "33554432")],
        controller: "memory",
        v1: ("memory.soft_limit_in_bytes", "33554432"),
        v2: ("memory.low", "33554432"),
        since: "1.0.0",
    },
    Limit {
        name: "memory-swap",
        cite: APPLIED,
        given: &[("/memory/limit", "67108864"), ("/memory/swap", "134217728")],
        controller: "memory",
        v1: ("memory.memsw.limit_in_bytes", "134217728"),
        v2: ("memory.swap.max", "67108864"),
        since: "1.0.0",
    },
    Limit {
        name: "memory-kernel-is-no-error",
        cite: "config-linux.md:452 `kernel` (int64, OPTIONAL, NOT RECOMMENDED)",
        given: &[("/memory/limit", "67108864"), ("/memory/kernel", "33554432")],
        controller: "memory",
        v1: ("memory.limit_in_bytes", "67108864"),
        v2: ("memory.max", "67108864"),
        since: "1.0.0",
    },
    Limit {
        name: "memory-kernel-tcp-is-no-error",
        cite: "config-linux.md:453 `kernelTCP` (int64, OPTIONAL, NOT RECOMMENDED)",
        given: &[("/memory/limit", "67108864"), ("/memory/kernelTCP", "33554432")],
        controller: "memory",
        v1: ("memory.limit_in_bytes", "67108864"),
        v2: ("memory.max", "67108864"),
        since: "1.0.0",
    },
    Limit {
        name: "cpu-quota",
        cite: "config-linux.md:493 specifies the total amount of time in microseconds",
        given: &[("/cpu/quota", "25000"), ("/cpu/period", "50000")],
        controller: "cpu",
        v1: ("cpu.cfs_quota_us", "25000"),
        v2: ("cpu.max", "25000 50000"),
        since: "1.0.0",
    },
    Limit {
        name: "cpu-period",
        cite: APPLIED,
        given: &[("/cpu/quota", "25000"), ("/cpu/period", "50000")],
        controller: "cpu",
        v1: ("cpu.cfs_period_us", "50000"),
        v2: ("cpu.max", "25000 50000"),
        since: "1.0.0",
    },
    Limit {
        name: "cpu-burst",
        cite: "config-linux.md:495 the maximum amount of accumulated time",
        given: &[("/cpu/quota", "25000"), ("/cpu/period", "50000"), ("/cpu/burst", "10000")],
        controller: "cpu",
        v1: ("cpu.cfs_burst_us", "10000"),
        v2: ("cpu.max.burst", "10000"),
        since: "1.1.0",
    },
    Limit {
        name: "cpu-shares",
        cite: APPLIED,
        given: &[("/cpu/shares", "512")],
        controller: "cpu",
        v1: ("cpu.shares", "512"),
        v2: ("cpu.weight", "59"),
        since: "1.0.0",
    },
    Limit {
        name: "cpu-idle",
        cite: APPLIED,
        given: &[("/cpu/idle", "1")],
        controller: "cpu",
        v1: ("cpu.idle", "1"),
        v2: ("cpu.idle", "1"),
        since: "1.1.0",
    },
    Limit {
        name: "cpuset",
        cite: APPLIED,
        given: &[("/cpu/cpus", "\"0\""), ("/cpu/mems", "\"0\"")],
        controller: "cpuset",
        v1: ("cpuset.cpus", "0"),
        v2: ("cpuset.cpus", "0"),
        since: "1.0.0",
    },
    Limit {
        name: "pids-limit",
        cite: APPLIED,
        given: &[("/pids/limit", "77")],
        controller: "pids",
        v1: ("pids.max", "77"),
        v2: ("pids.max", "77"),
        since: "1.0.0",
    },
    Limit {
        name: "block-io-weight",
        cite: APPLIED,
        given: &[("/blockIO/weight", "500")],
        controller: "blkio",
        v1: ("blkio.bfq.weight", "500"),
        v2: ("io.bfq.weight", "default 500"),
        since: "1.0.0",
    },
];

fn limit(limit: &'static Limit) -> Case {
    case(format!("cgroups/{}", limit.name))
        .cites(limit.cite)
        .cites(APPLIED)
        .needs(Need::Root)
        .needs(Need::Controller(limit.controller))
        .needs(Need::Spec(limit.since))
        .breaks(drops("/linux/resources"))
        .runs(|c| {
            for (pointer, value) in limit.given {
                let value: Value = serde_json::from_str(value).unwrap_or_default();
                c.set(&format!("/linux/resources{pointer}"), value);
            }
            let (file, wanted) = if c.host.is_v1() { limit.v1 } else { limit.v2 };
            offered(c, limit.controller, file)?;
            let container = c.create()?;
            let seen = container.cgroup_file(&c.host, limit.controller, file)?;
            c.saw(format!("{file} {seen}"));
            equal(file, seen.as_str(), wanted)
        })
}

/// Skips when the kernel does not offer the file at all.
fn offered(c: &Context, controller: &str, file: &str) -> Verdict {
    let Some(mount) = c.host.cgroup_v1.get(controller) else { return Ok(()) };
    // A cgroup of the suite's own: the root lacks most files.
    let probe = mount.join(c.cgroup.trim_start_matches('/')).join("offered");
    std::fs::create_dir_all(&probe)?;
    let there = probe.join(file).exists();
    std::fs::remove_dir(&probe)?;
    if there {
        return Ok(());
    }
    Err(crate::case::Stop::Skip(format!("this kernel has no {file}")))
}
