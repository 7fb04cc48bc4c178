//! Control groups (config-linux.md).

use std::path::Path;

use serde_json::{Value, json};

use crate::case::{Case, Verdict, case, ensure, equal, fail};
use crate::context::Context;
use crate::mutant::{Break, drops, sets};
use crate::needs::Need;

const APPLIED: &str = "runtime.md:113 MUST be applied";

/// The chapter.
pub fn cases() -> Vec<Case> {
    let mut all = paths();
    all.extend(refused());
    all.extend(refused_names());
    all.extend(pids());
    all.extend(unified());
    all.extend(ownership());
    all
}

fn paths() -> Vec<Case> {
    let controllers = ["memory", "pids", "devices", "cpu", "freezer"];
    vec![
        case("cgroups/absolute-path")
            .cites("config-linux.md:317 MUST take the path to be relative to the cgroups mount")
            .cites("config-linux.md:315 MUST be either an absolute path or a relative path")
            .needs(Need::Root)
            .breaks(sets("/linux/cgroupsPath", "/elsewhere-of-the-suite"))
            .runs(move |c| {
                let container = c.create()?;
                for controller in controllers.iter().filter(|name| c.host.has_controller(name)) {
                    let path = container.cgroup(&c.host, controller)?;
                    let inside = path.ends_with(c.cgroup.trim_start_matches('/'));
                    ensure(inside, || format!("{controller}: {}", path.display()))?;
                }
                Ok(())
            }),
        case("cgroups/same-path-same-place")
            .cites("config-linux.md:320 MUST consistently attach to the same place")
            .needs(Need::Root)
            .breaks(drops("/linux/cgroupsPath"))
            .runs(|c| {
                let mut places = Vec::new();
                for _ in 0..2 {
                    let mut container = c.create()?;
                    places.push(container.cgroup(&c.host, "pids")?);
                    container.kill("KILL")?;
                    container.wait()?;
                    container.delete()?;
                }
                c.saw(format!("{places:?}"));
                let last = Path::new(&c.cgroup).file_name();
                ensure(places.iter().all(|place| place.file_name() == last), || {
                    format!("{places:?}")
                })
            }),
        case("cgroups/relative-path")
            .cites("config-linux.md:315 MUST be either an absolute path or a relative path")
            .cites("config-linux.md:320 MUST consistently attach to the same place")
            .needs(Need::Root)
            .breaks(drops("/linux/cgroupsPath"))
            .runs(|c| {
                let relative = c.cgroup.trim_start_matches('/').to_owned();
                c.set("/linux/cgroupsPath", relative.as_str());
                let container = c.create()?;
                let path = container.cgroup(&c.host, "pids")?;
                c.saw(path.display().to_string());
                ensure(path.ends_with(&relative), || path.display().to_string())
            }),
        case("cgroups/path-with-parent-steps")
            .cites("config-linux.md:322 MUST generate an error if this is the case")
            .needs(Need::Root)
            .breaks(sets("/linux/cgroupsPath", "/elsewhere-of-the-suite"))
            .runs(|c| {
                let path = format!("{0}/../../..{0}", c.cgroup);
                c.set("/linux/cgroupsPath", path);
                let (container, output) = c.try_create()?;
                if !output.ok() {
                    return Ok(());
                }
                // Taken as a path below the mount point: no step leads above it.
                let place = container.cgroup(&c.host, "pids")?;
                ensure(place.ends_with(c.cgroup.trim_start_matches('/')), || {
                    place.display().to_string()
                })
            }),
    ]
}

/// Values below /linux/resources that must be refused.
fn bad(name: &str, cite: &str, since: &'static str, pointer: &'static str, value: Value) -> Case {
    let start = case(format!("cgroups/{name}")).cites(cite).needs(Need::Root);
    let advice = cite.contains("REQUIRED") || cite.contains("You MUST");
    let start = if advice { start.advice() } else { start };
    start.needs(Need::Spec(since)).breaks(Break::Repair).runs(move |c| {
        c.set(&format!("/linux/resources{pointer}"), value.clone());
        c.create_refused()
    })
}

const VALUES: &str = "config.md:760 invalid or unsupported values";

fn refused() -> Vec<Case> {
    const FIT: &str = "config-linux.md:300 MUST generate an error if such a check fails";
    let device = |line| format!("config-linux.md:{line} `major, minor` (int64, REQUIRED)");
    vec![
        bad("cpuset-of-nothing", FIT, "1.0.0", "/cpu/cpus", json!("4000")),
        bad("cpuset-no-list", VALUES, "1.0.0", "/cpu/cpus", json!("first")),
        bad("cpu-period-too-small", VALUES, "1.0.0", "/cpu/period", json!(1)),
        bad(
            "cpu-burst-above-quota",
            "config-linux.md:495 MUST be no larger than any positive `quota`",
            "1.1.0",
            "/cpu",
            json!({"quota": 10_000, "period": 50_000, "burst": 20_000}),
        ),
        bad("block-io-weight-too-large", VALUES, "1.0.0", "/blockIO/weight", json!(70_000)),
        bad(
            "block-io-weight-device-empty",
            "config-linux.md:538 You MUST specify at least one of",
            "1.0.0",
            "/blockIO/weightDevice",
            json!([{"major": 8, "minor": 0}]),
        ),
        bad(
            "block-io-weight-device-number",
            &device(533),
            "1.0.0",
            "/blockIO/weightDevice",
            json!([{"weight": 100}]),
        ),
        bad(
            "block-io-throttle-number",
            &device(542),
            "1.0.0",
            "/blockIO/throttleReadBpsDevice",
            json!([{"rate": 100}]),
        ),
        bad(
            "block-io-throttle-iops-number",
            &device(548),
            "1.0.0",
            "/blockIO/throttleReadIOPSDevice",
            json!([{"rate": 100}]),
        ),
        bad(
            "block-io-throttle-rate",
            "config-linux.md:544 `rate` (uint64, REQUIRED)",
            "1.0.0",
            "/blockIO/throttleWriteBpsDevice",
            json!([{"major": 8, "minor": 0}]),
        ),
        bad(
            "block-io-throttle-iops-rate",
            "config-linux.md:550 `rate` (uint64, REQUIRED)",
            "1.0.0",
            "/blockIO/throttleWriteIOPSDevice",
            json!([{"major": 8, "minor": 0}]),
        ),
    ]
}

fn refused_names() -> Vec<Case> {
    vec![
        bad(
            "huge-page-size-missing",
            "config-linux.md:608 `pageSize` (string, REQUIRED)",
            "1.0.0",
            "/hugepageLimits",
            json!([{"limit": 0}]),
        ),
        bad(
            "huge-page-limit-missing",
            "config-linux.md:614 `limit` (uint64, REQUIRED)",
            "1.0.0",
            "/hugepageLimits",
            json!([{"pageSize": "2MB"}]),
        ),
        bad(
            "huge-page-size-unknown",
            VALUES,
            "1.0.0",
            "/hugepageLimits",
            json!([{"pageSize": "3MB", "limit": 0}]),
        ),
        bad(
            "network-name-missing",
            "config-linux.md:641 `name` (string, REQUIRED)",
            "1.0.0",
            "/network/priorities",
            json!([{"priority": 1}]),
        ),
        bad(
            "network-priority-missing",
            "config-linux.md:642 `priority` (uint32, REQUIRED)",
            "1.0.0",
            "/network/priorities",
            json!([{"name": "lo"}]),
        ),
        bad(
            "rdma-empty",
            "config-linux.md:692 You MUST specify at least one of",
            "1.0.0",
            "/rdma",
            json!({"mlx5_1": {}}),
        ),
    ]
}

fn pids() -> Vec<Case> {
    vec![
        case("cgroups/pids-limit-zero")
            .cites("config-linux.md:671 SHOULD be treated as such by runtimes")
            .needs(Need::Root)
            .needs(Need::Spec("1.3.0"))
            .needs(Need::Controller("pids"))
            .breaks(drops("/linux/resources"))
            .runs(|c| {
                c.set("/linux/resources/pids/limit", 0);
                let container = c.create()?;
                let seen = container.cgroup_file(&c.host, "pids", "pids.max")?;
                c.saw(format!("pids.max {seen}"));
                ensure(["0", "1"].contains(&seen.as_str()), || format!("pids.max is {seen}"))
            }),
        case("cgroups/pids-unlimited")
            .cites(APPLIED)
            .needs(Need::Root)
            .needs(Need::Controller("pids"))
            .breaks(sets("/linux/resources/pids/limit", 50))
            .runs(|c| {
                c.set("/linux/resources/pids/limit", -1);
                let container = c.create()?;
                let seen = container.cgroup_file(&c.host, "pids", "pids.max")?;
                equal("pids.max", seen.as_str(), "max")
            }),
        case("cgroups/memory-check-before-update")
            .cites("config-linux.md:466 MUST reject the new limit")
            .needs(Need::Root)
            .needs(Need::Controller("memory"))
            .breaks(Break::Pretend("update".into()))
            .runs(|c| {
                c.set(
                    "/linux/resources/memory",
                    json!({
                        "limit": 268_435_456, "checkBeforeUpdate": true,
                    }),
                );
                c.stay(&["fill:32"]);
                let container = c.start()?;
                container.seen()?;
                let file = c.driver.dir.join("resources.json");
                let low = json!({"memory": {"limit": 65_536, "checkBeforeUpdate": true}});
                std::fs::write(&file, low.to_string())?;
                let file = file.display().to_string();
                let output = container.call("update", &["--resources", &file])?;
                c.saw(output.summary());
                ensure(!output.ok(), || "a limit below the usage is taken".into())
            }),
    ]
}

fn unified() -> Vec<Case> {
    let unified = |name: &str, cite: &str, file: &'static str, value: &'static str| {
        case(format!("cgroups/unified-{name}"))
            .cites(cite)
            .needs(Need::Root)
            .needs(Need::CgroupV2)
            .breaks(drops("/linux/resources"))
            .runs(move |c| {
                c.set("/linux/resources/unified", json!({file: value}));
                let container = c.create()?;
                let seen = container.cgroup_file(&c.host, "memory", file)?;
                equal(file, seen.as_str(), value)
            })
    };
    vec![
        unified(
            "writes-files",
            "config-linux.md:719 MUST still be written to the relevant file",
            "memory.high",
            "67108864",
        ),
        unified(
            "enables-controllers",
            "config-linux.md:717 MUST ensure that the needed cgroup controllers are enabled",
            "pids.max",
            "99",
        ),
        case("cgroups/unified-absent-controller")
            .cites("config-linux.md:721 a cgroup controller that is not present")
            .needs(Need::Root)
            .needs(Need::CgroupV2)
            .breaks(Break::Repair)
            .runs(|c| {
                c.set("/linux/resources/unified", json!({"nothing.max": "1"}));
                c.create_refused()
            }),
        case("cgroups/unified-on-v1")
            .cites("config-linux.md:721 a cgroup controller that is not present")
            .needs(Need::Root)
            .needs(Need::CgroupV1)
            .needs(Need::Spec("1.0.2"))
            .breaks(Break::Repair)
            .runs(|c| {
                c.set("/linux/resources/unified", json!({"memory.high": "67108864"}));
                c.create_refused()
            }),
    ]
}

fn ownership() -> Vec<Case> {
    vec![
        case("cgroups/v1-keeps-owner")
            .cites("config-linux.md:343 SHOULD NOT change the ownership of container cgroups")
            .needs(Need::Root)
            .needs(Need::CgroupV1)
            .breaks(Break::Refuse("create".into()))
            .runs(|c| {
                c.user_namespace(100_000, 1000);
                c.namespace("cgroup", None);
                owner(c, 0)
            }),
        case("cgroups/v2-keeps-owner-without-mount")
            .cites("config-linux.md:347 unless it will also create a new cgroup namespace")
            .cites("config-linux.md:360 the runtime SHOULD NOT change the cgroup ownership")
            .needs(Need::Root)
            .needs(Need::CgroupV2)
            .breaks(Break::Refuse("create".into()))
            .runs(|c| {
                c.user_namespace(100_000, 1000);
                owner(c, 0)
            }),
        case("cgroups/v2-gives-owner-with-mount")
            .cites("config-linux.md:352 if and only if the cgroup filesystem is to be mounted")
            .cites("config-linux.md:363 SHOULD only change the ownership of the container's cgroup")
            .needs(Need::Root)
            .needs(Need::CgroupV2)
            .breaks(drops("/mounts/4"))
            .runs(|c| {
                c.user_namespace(100_000, 1000);
                c.namespace("cgroup", None);
                c.mount("/sys/fs/cgroup", "cgroup", "cgroup", &["rw"]);
                owner(c, 100_000)
            }),
    ]
}

fn owner(c: &mut Context, wanted: u32) -> Verdict {
    use std::os::unix::fs::MetadataExt;
    let container = c.create()?;
    let place = container.cgroup(&c.host, "pids")?;
    match std::fs::metadata(&place) {
        Ok(found) => equal("owner of the cgroup", &found.uid(), &wanted),
        Err(error) => fail(format!("{}: {error}", place.display())),
    }
}
