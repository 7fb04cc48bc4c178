//! `linux.resources`, which speaks the language of cgroup v1, as files of cgroup v2 (kernel
//! documentation, admin-guide/cgroup-v2).

use super::{Out, Write, WriteRule, device_number, hugetlb_and_rdma, pids_max};
use crate::cgroup::layout::Unified;
use crate::spec::linux::{BlockIo, Cpu, Memory, Resources, ThrottleDevice};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The period the kernel starts with, in microseconds.
const DEFAULT_PERIOD: u64 = 100_000;

/// The writes for `resources`.
pub(super) fn limits(resources: &Resources, unified: &Unified, out: &mut Out<'_>) {
    if let Some(limit) = resources.pids.as_ref().and_then(|pids| pids.limit)
        && out.needs("pids", "linux.resources.pids")
    {
        out.write(Write::must("pids", "pids.max", pids_max(limit)));
    }
    if let Some(settings) = &resources.memory {
        memory(settings, out);
    }
    if let Some(settings) = &resources.block_io {
        block_io(settings, out);
    }
    if let Some(settings) = &resources.cpu {
        cpu(settings, out);
        cpuset(settings, out);
    }
    hugetlb_and_rdma(resources, ".max", out);
    if let Some(network) = &resources.network
        && (network.class_id.is_some_and(|class| class != 0) || !network.priorities.is_empty())
    {
        out.problem("linux.resources.network", "cgroup v2 has no network controllers");
    }
    files(&resources.unified, unified, out);
}

/// A limit that -1 lifts; 0 is "not set".
fn max(limit: Option<i64>) -> Option<String> {
    match limit? {
        0 => None,
        -1 => Some("max".to_owned()),
        limit => Some(limit.to_string()),
    }
}

fn memory(memory: &Memory, out: &mut Out<'_>) {
    let at = "linux.resources.memory";
    if memory.swappiness.is_some() {
        out.problem(format!("{at}.swappiness"), "cgroup v2 has no swappiness");
    }
    if memory.disable_oom_killer == Some(true) {
        out.problem(format!("{at}.disableOOMKiller"), "cgroup v2 can't disable the OOM killer");
    }
    if memory.use_hierarchy == Some(false) {
        out.problem(format!("{at}.useHierarchy"), "cgroup v2 is always hierarchical");
    }
    for (field, value) in [("limit", memory.limit), ("reservation", memory.reservation)] {
        if let Some(value) = value.filter(|&value| value < -1) {
            out.problem(format!("{at}.{field}"), format!("invalid memory value {value}"));
        }
    }
    let mut writes = Vec::new();
    match swap_max(memory.limit.unwrap_or(0), memory.swap.unwrap_or(0)) {
        // Without swap accounting there is nothing to allow or to forbid.
        Ok(Some(value)) if value == "max" || value == "0" => {
            writes.push(Write::new("memory", "memory.swap.max", value, WriteRule::IfPresent));
        }
        Ok(Some(value)) => writes.push(Write::must("memory", "memory.swap.max", value)),
        Ok(None) => {}
        Err(what) => out.problem(format!("{at}.swap"), what),
    }
    if let Some(value) = max(memory.limit) {
        writes.push(Write::must("memory", "memory.max", value));
    }
    if let Some(value) = max(memory.reservation) {
        writes.push(Write::must("memory", "memory.low", value));
    }
    if !writes.is_empty() && out.needs("memory", at) {
        out.writes.extend(writes);
    }
}

/// The value of memory.swap.max, which counts swap alone, for v1's sum of memory and swap.
fn swap_max(limit: i64, swap: i64) -> Result<Option<String>, &'static str> {
    match (limit, swap) {
        (-1, 0) | (_, -1) => Ok(Some("max".to_owned())),
        (_, 0) => Ok(None),
        (_, ..-1) => Err("the memory+swap limit is negative"),
        (-1, _) => Ok(Some(swap.to_string())),
        (0, _) => Err("unable to set swap limit without memory limit"),
        (..-1, _) => Err("the memory limit is negative"),
        _ if swap < limit => Err("memory+swap limit should be >= memory limit"),
        _ => Ok(Some((swap - limit).to_string())),
    }
}

fn cpu(cpu: &Cpu, out: &mut Out<'_>) {
    let at = "linux.resources.cpu";
    if cpu.realtime_period.is_some_and(|period| period != 0)
        || cpu.realtime_runtime.is_some_and(|runtime| runtime != 0)
    {
        out.problem(at, "cgroup v2 has no realtime limits");
    }
    let mut writes = Vec::new();
    if let Some(idle) = cpu.idle {
        writes.push(Write::must("cpu", "cpu.idle", idle));
    }
    if let Some(shares) = cpu.shares.filter(|&shares| shares != 0) {
        writes.push(Write::must("cpu", "cpu.weight", weight(shares)));
    }
    let quota = cpu.quota.filter(|&quota| quota != 0);
    let period = cpu.period.filter(|&period| period != 0);
    let limited = quota.is_some() || period.is_some();
    if let Some(burst) = cpu.burst {
        // The burst may not be greater than the quota, old or new.
        let rule = if limited { WriteRule::Retry } else { WriteRule::Must };
        writes.push(Write::new("cpu", "cpu.max.burst", burst, rule));
    }
    if limited {
        let quota = quota.filter(|&quota| quota > 0).map_or("max".to_owned(), |q| q.to_string());
        let value = format!("{quota} {}", period.unwrap_or(DEFAULT_PERIOD));
        writes.push(Write::must("cpu", "cpu.max", value));
    }
    if !writes.is_empty() && out.needs("cpu", at) {
        out.writes.extend(writes);
    }
}

/// cpu.weight for cpu.shares: the curve through (2, 1), (1024, 100) and (262144, 10000), the ends
/// and defaults of the two scales. A straight line would give the default shares weight 39.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "shares are below 2^18 where they are converted, and the result is 1 to 10000"
)]
fn weight(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        shares => {
            let log = (shares as f64).log2();
            let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
            10_f64.powf(exponent).ceil() as u64
        }
    }
}

fn cpuset(cpu: &Cpu, out: &mut Out<'_>) {
    let settings = [
        ("linux.resources.cpu.cpus", "cpuset.cpus", &cpu.cpus),
        ("linux.resources.cpu.mems", "cpuset.mems", &cpu.mems),
    ];
    for (at, file, value) in settings {
        if !value.is_empty() && out.needs("cpuset", at) {
            out.write(Write::must("cpuset", file, value));
        }
    }
}

/// io.weight for a weight of BFQ or CFQ: 10 to 1000 on a line to 1 to 10000.
fn io_weight(weight: u16) -> u64 {
    1 + (u64::from(weight).saturating_sub(10)) * 9999 / 990
}

fn block_io(block_io: &BlockIo, out: &mut Out<'_>) {
    let at = "linux.resources.blockIO";
    let set = |weight: Option<u16>| weight.filter(|&weight| weight != 0);
    let leaf = block_io.weight_device.iter().any(|device| set(device.leaf_weight).is_some());
    if leaf || set(block_io.leaf_weight).is_some() {
        out.problem(format!("{at}.leafWeight"), "cgroup v2 has no leaf weights");
    }
    let mut writes = Vec::new();
    // BFQ has its own file and the same scale as the configuration; iocost takes io.weight.
    let mut weigh = |prefix: &str, weight: u16| {
        let other = format!("{prefix}{}", io_weight(weight));
        let rule = WriteRule::Else { file: "io.weight", value: other };
        writes.push(Write::new("io", "io.bfq.weight", format!("{prefix}{weight}"), rule));
    };
    if let Some(weight) = set(block_io.weight) {
        weigh("", weight);
    }
    for device in &block_io.weight_device {
        let number = device_number(at, device.major, device.minor, out);
        if let (Some(number), Some(weight)) = (number, set(device.weight)) {
            weigh(&format!("{number} "), weight);
        }
    }
    let throttles: [(&str, &[ThrottleDevice]); 4] = [
        ("rbps", &block_io.throttle_read_bps_device),
        ("wbps", &block_io.throttle_write_bps_device),
        ("riops", &block_io.throttle_read_iops_device),
        ("wiops", &block_io.throttle_write_iops_device),
    ];
    for (key, devices) in throttles {
        for device in devices {
            let Some(number) = device_number(at, device.major, device.minor, out) else {
                continue;
            };
            // v1 lifts a limit by 0, which io.max refuses.
            let rate = match device.rate {
                0 => "max".to_owned(),
                rate => rate.to_string(),
            };
            writes.push(Write::must("io", "io.max", format!("{number} {key}={rate}")));
        }
    }
    if !writes.is_empty() && out.needs("io", at) {
        out.writes.extend(writes);
    }
}

/// Files of the core that move or kill processes: not limits.
const FORBIDDEN: [&str; 5] =
    ["cgroup.procs", "cgroup.threads", "cgroup.kill", "cgroup.freeze", "cgroup.type"];

/// `linux.resources.unified`: file names and values as they are.
fn files(files: &BTreeMap<String, String>, unified: &Unified, out: &mut Out<'_>) {
    let at = "linux.resources.unified";
    for (file, value) in files {
        if file.contains(['/', '\0']) {
            let what = format!("unified resource {file:?} must be a file name (no slashes)");
            out.problem(at, what);
            continue;
        }
        let Some((controller, _)) = file.split_once('.').filter(|(name, _)| !name.is_empty())
        else {
            let what =
                format!("unified resource {file:?} must be in the form CONTROLLER.PARAMETER");
            out.problem(at, what);
            continue;
        };
        if FORBIDDEN.contains(&file.as_str()) {
            out.problem(at, format!("unified resource {file:?} is not a limit"));
            continue;
        }
        if controller != "cgroup" && !unified.controllers.iter().any(|name| name == controller) {
            out.problem(
                at,
                format!(
                    "unified resource {file:?} can't be set: controller {controller:?} not \
                     available"
                ),
            );
            continue;
        }
        out.write(Write {
            controller: Cow::Owned(controller.to_owned()),
            file: Cow::Owned(file.clone()),
            value: value.clone(),
            rule: WriteRule::Must,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_to_weight() {
        let table = [
            (1, 1),
            (2, 1),
            (3, 2),
            (100, 17),
            (512, 59),
            (1024, 100),
            (2048, 174),
            (262_143, 10_000),
            (262_144, 10_000),
            (u64::MAX, 10_000),
        ];
        for (shares, expected) in table {
            assert_eq!(weight(shares), expected, "{shares}");
        }
    }

    #[test]
    fn swap_is_the_difference() {
        assert_eq!(swap_max(100, 300), Ok(Some("200".into())));
        assert_eq!(swap_max(100, 100), Ok(Some("0".into())));
        assert_eq!(swap_max(100, -1), Ok(Some("max".into())));
        assert_eq!(swap_max(-1, 0), Ok(Some("max".into())));
        assert_eq!(swap_max(-1, 300), Ok(Some("300".into())));
        assert_eq!(swap_max(100, 0), Ok(None));
        assert!(swap_max(0, 300).is_err());
        assert!(swap_max(300, 100).is_err());
        assert!(swap_max(-2, 100).is_err());
        assert!(swap_max(100, -2).is_err());
    }

    #[test]
    fn io_weights() {
        for (weight, expected) in [(10, 1), (100, 910), (1000, 10_000), (5, 1)] {
            assert_eq!(io_weight(weight), expected, "{weight}");
        }
    }
}
