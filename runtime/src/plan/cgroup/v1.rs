//! `linux.resources` as files of cgroup v1 (kernel documentation, admin-guide/cgroup-v1).

use super::{Out, Write, WriteRule, device_number, hugetlb_and_rdma, pids_max};
use crate::spec::linux::{BlockIo, Cpu, Memory, Network, Resources, ThrottleDevice};

/// The writes for `resources`.
pub(super) fn limits(resources: &Resources, out: &mut Out<'_>) {
    if !resources.unified.is_empty() {
        out.problem(
            "linux.resources.unified",
            "cannot use unified on cgroup v1: invalid configuration",
        );
    }
    if let Some(cpu) = &resources.cpu {
        cpuset(cpu, out);
    }
    if let Some(settings) = &resources.memory {
        memory(settings, out);
    }
    if let Some(settings) = &resources.cpu {
        cpu(settings, out);
    }
    if let Some(limit) = resources.pids.as_ref().and_then(|pids| pids.limit)
        && out.needs("pids", "linux.resources.pids")
    {
        out.write(Write::must("pids", "pids.max", pids_max(limit)));
    }
    if let Some(settings) = &resources.block_io {
        block_io(settings, out);
    }
    hugetlb_and_rdma(resources, ".limit_in_bytes", out);
    if let Some(settings) = &resources.network {
        network(settings, out);
    }
}

/// The hierarchy can be mounted so that its files lack the prefix.
fn cpuset(cpu: &Cpu, out: &mut Out<'_>) {
    let settings = [
        ("linux.resources.cpu.cpus", "cpuset.cpus", "cpus", &cpu.cpus),
        ("linux.resources.cpu.mems", "cpuset.mems", "mems", &cpu.mems),
    ];
    for (at, file, plain, value) in settings {
        if !value.is_empty() && out.needs("cpuset", at) {
            let rule = WriteRule::Else { file: plain, value: value.clone() };
            out.write(Write::new("cpuset", file, value, rule));
        }
    }
}

/// The kernel wants limit <= swap at each moment: whichever of the two does not fit yet is
/// written again after the other.
fn memory(memory: &Memory, out: &mut Out<'_>) {
    let value = |field: Option<i64>| field.filter(|&value| value != 0);
    let (limit, mut swap) = (value(memory.limit), value(memory.swap));
    let mut swap_rule = WriteRule::Retry;
    if limit == Some(-1) && swap.is_none() {
        // Unlimited memory means unlimited swap, where swap is counted at all.
        swap = Some(-1);
        swap_rule = WriteRule::IfPresent;
    }
    let mut writes = Vec::new();
    if let Some(swap) = swap.filter(|&swap| swap == -1) {
        let file = "memory.memsw.limit_in_bytes";
        writes.push(Write::new("memory", file, swap, swap_rule.clone()));
    }
    if let Some(limit) = limit {
        let file = "memory.limit_in_bytes";
        writes.push(Write::new("memory", file, limit, WriteRule::Retry));
    }
    if let Some(swap) = swap.filter(|&swap| swap != -1) {
        let file = "memory.memsw.limit_in_bytes";
        writes.push(Write::new("memory", file, swap, swap_rule));
    }
    if let Some(reservation) = value(memory.reservation) {
        writes.push(Write::must("memory", "memory.soft_limit_in_bytes", reservation));
    }
    if memory.disable_oom_killer == Some(true) {
        writes.push(Write::must("memory", "memory.oom_control", 1));
    }
    if let Some(hierarchy) = memory.use_hierarchy {
        // Always on since Linux 5.11: turning it off is then the kernel's EINVAL.
        writes.push(Write::must("memory", "memory.use_hierarchy", u8::from(hierarchy)));
    }
    match memory.swappiness {
        Some(swappiness @ 0..=100) => {
            writes.push(Write::must("memory", "memory.swappiness", swappiness));
        }
        Some(other) => out.problem(
            "linux.resources.memory.swappiness",
            format!("invalid memory swappiness value {other} (valid range is 0-100)"),
        ),
        None => {}
    }
    if !writes.is_empty() && out.needs("memory", "linux.resources.memory") {
        out.writes.extend(writes);
    }
}

/// Shares the kernel takes without correcting them.
const SHARES: std::ops::RangeInclusive<u64> = 2..=262_144;

fn cpu(cpu: &Cpu, out: &mut Out<'_>) {
    let mut writes = Vec::new();
    if let Some(shares) = cpu.shares.filter(|&shares| shares != 0) {
        // The kernel would clamp the value in silence.
        if shares < *SHARES.start() {
            let what = format!("the minimum allowed cpu-shares is {}", SHARES.start());
            out.problem("linux.resources.cpu.shares", what);
        } else if shares > *SHARES.end() {
            let what = format!("the maximum allowed cpu-shares is {}", SHARES.end());
            out.problem("linux.resources.cpu.shares", what);
        }
        writes.push(Write::must("cpu", "cpu.shares", shares));
    }
    let quota = cpu.quota.filter(|&quota| quota != 0);
    // Period and burst may not fit the old quota, or a parent's.
    let tied = if quota.is_some() { WriteRule::Retry } else { WriteRule::Must };
    if let Some(period) = cpu.period.filter(|&period| period != 0) {
        writes.push(Write::new("cpu", "cpu.cfs_period_us", period, tied.clone()));
    }
    if let Some(burst) = cpu.burst {
        writes.push(Write::new("cpu", "cpu.cfs_burst_us", burst, tied));
    }
    if let Some(quota) = quota {
        writes.push(Write::must("cpu", "cpu.cfs_quota_us", quota));
    }
    if let Some(idle) = cpu.idle {
        writes.push(Write::must("cpu", "cpu.idle", idle));
    }
    let runtime = cpu.realtime_runtime.filter(|&runtime| runtime != 0);
    if let Some(period) = cpu.realtime_period.filter(|&period| period != 0) {
        let rule = if runtime.is_some() { WriteRule::Retry } else { WriteRule::Must };
        writes.push(Write::new("cpu", "cpu.rt_period_us", period, rule));
    }
    if let Some(runtime) = runtime {
        writes.push(Write::must("cpu", "cpu.rt_runtime_us", runtime));
    }
    if !writes.is_empty() && out.needs("cpu", "linux.resources.cpu") {
        out.writes.extend(writes);
    }
}

/// The scheduler that knows weights is BFQ since Linux 5.0; its files have other names.
fn block_io(block_io: &BlockIo, out: &mut Out<'_>) {
    let at = "linux.resources.blockIO";
    let mut writes = Vec::new();
    let mut weigh = |file, other, value: String| {
        let rule = WriteRule::Else { file: other, value: value.clone() };
        writes.push(Write::new("blkio", file, value, rule));
    };
    let set = |weight: Option<u16>| weight.filter(|&weight| weight != 0);
    if let Some(weight) = set(block_io.weight) {
        weigh("blkio.weight", "blkio.bfq.weight", weight.to_string());
    }
    let mut leaves = Vec::new();
    if let Some(weight) = set(block_io.leaf_weight) {
        leaves.push(Write::must("blkio", "blkio.leaf_weight", weight));
    }
    for device in &block_io.weight_device {
        let Some(number) = device_number(at, device.major, device.minor, out) else { continue };
        if let Some(weight) = set(device.weight) {
            weigh("blkio.weight_device", "blkio.bfq.weight_device", format!("{number} {weight}"));
        }
        if let Some(weight) = set(device.leaf_weight) {
            let value = format!("{number} {weight}");
            leaves.push(Write::must("blkio", "blkio.leaf_weight_device", value));
        }
    }
    writes.extend(leaves);
    let throttles: [(&str, &[ThrottleDevice]); 4] = [
        ("blkio.throttle.read_bps_device", &block_io.throttle_read_bps_device),
        ("blkio.throttle.write_bps_device", &block_io.throttle_write_bps_device),
        ("blkio.throttle.read_iops_device", &block_io.throttle_read_iops_device),
        ("blkio.throttle.write_iops_device", &block_io.throttle_write_iops_device),
    ];
    for (file, devices) in throttles {
        for device in devices {
            if let Some(number) = device_number(at, device.major, device.minor, out) {
                writes.push(Write::must("blkio", file, format!("{number} {}", device.rate)));
            }
        }
    }
    if !writes.is_empty() && out.needs("blkio", at) {
        out.writes.extend(writes);
    }
}

fn network(network: &Network, out: &mut Out<'_>) {
    if let Some(class) = network.class_id.filter(|&class| class != 0)
        && out.needs("net_cls", "linux.resources.network.classID")
    {
        out.write(Write::must("net_cls", "net_cls.classid", class));
    }
    let at = "linux.resources.network.priorities";
    if network.priorities.is_empty() || !out.needs("net_prio", at) {
        return;
    }
    for interface in &network.priorities {
        let name = &interface.name;
        if name.is_empty() || name.contains(char::is_whitespace) {
            out.problem(at, format!("invalid interface name {name:?}"));
            continue;
        }
        let value = format!("{name} {}", interface.priority);
        out.write(Write::must("net_prio", "net_prio.ifpriomap", value));
    }
}
