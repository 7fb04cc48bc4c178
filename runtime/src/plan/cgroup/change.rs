//! What `update` makes of new limits: pure.
//!
//! A request names what shall change. Two of the kernel's settings can't be written without their
//! partners (memory and swap, quota and period), so those come from the limits in force; all else
//! stays untouched. Device rules are never part of it: callers resend those of the configuration
//! with every request, and programs that grant devices to a running container rely on keeping
//! what they have set (containerd and runc agree on that).

use crate::spec::linux::{
    BlockIo, Cpu, HugepageLimit, Memory, Network, Pids, Resources, ThrottleDevice, WeightDevice,
};

/// A requested change, settled against the limits in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What to write.
    pub write: Resources,
    /// The limits in force once that is written.
    pub after: Resources,
}

impl Change {
    /// Settles `request` against the limits in force.
    pub fn new(current: &Resources, request: &Resources) -> Self {
        let mut request = request.clone();
        request.devices = Vec::new();
        implied(&mut request);
        let after = merge(current, &request);
        let mut write = request;
        if let (Some(memory), Some(merged)) = (&mut write.memory, &after.memory)
            && (memory.limit.is_some() || memory.swap.is_some())
        {
            (memory.limit, memory.swap) = (merged.limit, merged.swap);
        }
        if let (Some(cpu), Some(merged)) = (&mut write.cpu, &after.cpu)
            && (set(cpu.quota) || set(cpu.period))
        {
            (cpu.quota, cpu.period) = (merged.quota, merged.period);
        }
        Self { write, after }
    }
}

/// Zero means "not set" in these.
fn set<T: Default + PartialEq>(value: Option<T>) -> bool {
    value.is_some_and(|value| value != T::default())
}

/// What a request says without saying it: unlimited memory ends the limit of memory and swap, for
/// the one can't be without the other.
fn implied(request: &mut Resources) {
    if let Some(memory) = &mut request.memory
        && memory.limit == Some(-1)
        && memory.swap.is_none()
    {
        memory.swap = Some(0);
    }
}

/// The limits after `request`.
fn merge(current: &Resources, request: &Resources) -> Resources {
    let mut after = current.clone();
    if let Some(memory) = &request.memory {
        merge_memory(after.memory.get_or_insert_default(), memory);
    }
    if let Some(cpu) = &request.cpu {
        merge_cpu(after.cpu.get_or_insert_default(), cpu);
    }
    if let Some(limit) = request.pids.as_ref().and_then(|pids| pids.limit) {
        after.pids = Some(Pids { limit: Some(limit) });
    }
    if let Some(block_io) = &request.block_io {
        merge_block_io(after.block_io.get_or_insert_default(), block_io);
    }
    for limit in &request.hugepage_limits {
        let same = |own: &HugepageLimit| own.page_size == limit.page_size;
        upsert(&mut after.hugepage_limits, limit, same);
    }
    if let Some(network) = &request.network {
        merge_network(after.network.get_or_insert_default(), network);
    }
    after.rdma.extend(request.rdma.iter().map(|(device, limit)| (device.clone(), limit.clone())));
    after.unified.extend(request.unified.iter().map(|(file, value)| (file.clone(), value.clone())));
    after
}

fn keep<T: Clone>(target: &mut Option<T>, value: Option<&T>) {
    if let Some(value) = value {
        *target = Some(value.clone());
    }
}

fn merge_memory(after: &mut Memory, request: &Memory) {
    keep(&mut after.limit, request.limit.as_ref());
    keep(&mut after.reservation, request.reservation.as_ref());
    keep(&mut after.swap, request.swap.as_ref());
    keep(&mut after.swappiness, request.swappiness.as_ref());
    keep(&mut after.disable_oom_killer, request.disable_oom_killer.as_ref());
    keep(&mut after.use_hierarchy, request.use_hierarchy.as_ref());
    // About this request alone.
    after.check_before_update = request.check_before_update;
}

fn merge_cpu(after: &mut Cpu, request: &Cpu) {
    keep(&mut after.shares, request.shares.as_ref());
    keep(&mut after.quota, request.quota.filter(|&quota| quota != 0).as_ref());
    keep(&mut after.period, request.period.filter(|&period| period != 0).as_ref());
    keep(&mut after.burst, request.burst.as_ref());
    keep(&mut after.realtime_runtime, request.realtime_runtime.as_ref());
    keep(&mut after.realtime_period, request.realtime_period.as_ref());
    keep(&mut after.idle, request.idle.as_ref());
    if !request.cpus.is_empty() {
        after.cpus.clone_from(&request.cpus);
    }
    if !request.mems.is_empty() {
        after.mems.clone_from(&request.mems);
    }
}

fn merge_block_io(after: &mut BlockIo, request: &BlockIo) {
    keep(&mut after.weight, request.weight.as_ref());
    keep(&mut after.leaf_weight, request.leaf_weight.as_ref());
    for device in &request.weight_device {
        let same = |own: &&mut WeightDevice| (own.major, own.minor) == (device.major, device.minor);
        match after.weight_device.iter_mut().rfind(same) {
            Some(own) => {
                keep(&mut own.weight, device.weight.as_ref());
                keep(&mut own.leaf_weight, device.leaf_weight.as_ref());
            }
            None => after.weight_device.push(device.clone()),
        }
    }
    for (own, new) in [
        (&mut after.throttle_read_bps_device, &request.throttle_read_bps_device),
        (&mut after.throttle_write_bps_device, &request.throttle_write_bps_device),
        (&mut after.throttle_read_iops_device, &request.throttle_read_iops_device),
        (&mut after.throttle_write_iops_device, &request.throttle_write_iops_device),
    ] {
        for device in new {
            let same =
                |own: &ThrottleDevice| (own.major, own.minor) == (device.major, device.minor);
            upsert(own, device, same);
        }
    }
}

fn merge_network(after: &mut Network, request: &Network) {
    keep(&mut after.class_id, request.class_id.as_ref());
    for interface in &request.priorities {
        upsert(&mut after.priorities, interface, |own| own.name == interface.name);
    }
}

/// Replaces the last entry that is the `same`, or adds one.
fn upsert<T: Clone>(list: &mut Vec<T>, entry: &T, same: impl Fn(&T) -> bool) {
    match list.iter_mut().rfind(|own| same(own)) {
        Some(own) => own.clone_from(entry),
        None => list.push(entry.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(current: &str, request: &str) -> Change {
        let parse = |json| serde_json::from_str::<Resources>(json).unwrap();
        Change::new(&parse(current), &parse(request))
    }

    fn parse(json: &str) -> Resources {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn partners_come_from_the_limits_in_force() {
        let current = r#"{"cpu":{"quota":5000,"period":10000,"shares":100},
            "memory":{"limit":100,"swap":300,"reservation":50},"pids":{"limit":7}}"#;
        let change = change(current, r#"{"cpu":{"period":20000},"memory":{"limit":200}}"#);
        let write = r#"{"cpu":{"period":20000,"quota":5000},"memory":{"limit":200,"swap":300}}"#;
        assert_eq!(change.write, parse(write));
        let after = r#"{"cpu":{"quota":5000,"period":20000,"shares":100},
            "memory":{"limit":200,"swap":300,"reservation":50},"pids":{"limit":7}}"#;
        assert_eq!(change.after, parse(after));
    }

    #[test]
    fn what_is_not_asked_for_is_not_written() {
        let current = r#"{"cpu":{"quota":5000},"memory":{"limit":100},"pids":{"limit":7}}"#;
        let change = change(current, r#"{"cpu":{"shares":8},"memory":{"reservation":9}}"#);
        assert_eq!(change.write, parse(r#"{"cpu":{"shares":8},"memory":{"reservation":9}}"#));
    }

    #[test]
    fn unlimited_memory_takes_swap_with_it() {
        let change = change(r#"{"memory":{"limit":100,"swap":300}}"#, r#"{"memory":{"limit":-1}}"#);
        assert_eq!(change.write, parse(r#"{"memory":{"limit":-1,"swap":0}}"#));
        assert_eq!(change.after, change.write);
    }

    #[test]
    fn devices_are_left_alone() {
        let rule = r#"{"devices":[{"allow":true,"access":"rwm"}]}"#;
        let change = change(rule, r#"{"devices":[{"allow":false,"access":"rwm"}]}"#);
        assert_eq!(change.write, Resources::default());
        assert_eq!(change.after, parse(rule));
    }

    #[test]
    fn lists_are_updated_by_key() {
        let current = r#"{"blockIO":{"weightDevice":[{"major":8,"minor":0,"weight":10}],
            "throttleReadBpsDevice":[{"major":8,"minor":0,"rate":1}]},
            "hugepageLimits":[{"pageSize":"2MB","limit":1}],"unified":{"a.b":"1"}}"#;
        let request = r#"{"blockIO":{"weightDevice":[{"major":8,"minor":0,"leafWeight":20}],
            "throttleReadBpsDevice":[{"major":8,"minor":0,"rate":2},{"major":8,"minor":16,"rate":3}]},
            "hugepageLimits":[{"pageSize":"2MB","limit":2}],"unified":{"c.d":"2"},
            "network":{"priorities":[{"name":"lo","priority":1}]}}"#;
        let change = change(current, request);
        assert_eq!(change.write, parse(request));
        let after = r#"{"blockIO":{"weightDevice":[{"major":8,"minor":0,"weight":10,"leafWeight":20}],
            "throttleReadBpsDevice":[{"major":8,"minor":0,"rate":2},{"major":8,"minor":16,"rate":3}]},
            "hugepageLimits":[{"pageSize":"2MB","limit":2}],"unified":{"a.b":"1","c.d":"2"},
            "network":{"priorities":[{"name":"lo","priority":1}]}}"#;
        assert_eq!(change.after, parse(after));
    }

    #[test]
    fn what_is_remembered_reads_back() {
        let change = change("{}", include_str!("../../../tests/data/resources.json"));
        let text = serde_json::to_string(&change.after).unwrap();
        assert_eq!(parse(&text), change.after);
    }
}
