//! Cgroup limits, from Docker's terms to the spec's; pure but for numbers of block devices.

use super::host::Host;
use super::wishes::{BlkioRate, Resources, Wishes};
use crate::error::{Error, Result};
use serde_json::{Map, Value, json};

/// Least memory of a container: Docker's, below it nothing starts.
const MIN_MEMORY: i64 = 6 << 20;

/// `linux.resources` without the device list; also what an update sends.
///
/// # Errors
/// 400 for limits that contradict each other or are out of range.
pub fn resources(wishes: &Wishes) -> Result<Value> {
    let wished = &wishes.resources;
    check(wished)?;
    let mut all = Map::new();
    let mut put = |key: &str, value: Value| {
        if value.as_object().is_none_or(|map| !map.is_empty()) {
            all.insert(key.to_owned(), value);
        }
    };
    put("memory", memory(wished));
    put("cpu", cpu(wished)?);
    if let Some(limit) = wished.pids_limit.filter(|limit| *limit != 0) {
        put("pids", json!({"limit": limit.max(-1)}));
    }
    put("blockIO", block_io(wished)?);
    if !wished.hugepages.is_empty() {
        let one = |(size, limit): (&String, &u64)| json!({"pageSize": size, "limit": limit});
        put("hugepageLimits", wished.hugepages.iter().map(one).collect());
    }
    Ok(Value::Object(all))
}

fn check(wished: &Resources) -> Result<()> {
    let invalid = |message: &str| Err(Error::invalid(message));
    if wished.memory != 0 && wished.memory < MIN_MEMORY {
        return invalid("Minimum memory limit allowed is 6MB");
    }
    if wished.memory_swap > 0 && wished.memory == 0 {
        return invalid("You should always set the Memory limit when using Memoryswap limit");
    }
    if wished.memory_swap > 0 && wished.memory_swap < wished.memory {
        return invalid("Minimum memoryswap limit should be larger than memory limit, see usage");
    }
    if wished.memory_reservation > 0
        && wished.memory > 0
        && wished.memory < wished.memory_reservation
    {
        return invalid(
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        );
    }
    if wished.memory_swappiness.is_some_and(|value| value > 100) {
        return invalid(
            "Invalid value for memory swappiness: valid memory swappiness range is 0-100",
        );
    }
    if wished.nano_cpus > 0 && (wished.cpu_period != 0 || wished.cpu_quota != 0) {
        return invalid(
            "Conflicting options: Nano CPUs and CPU Period or Quota cannot both be set",
        );
    }
    if wished.nano_cpus < 0 {
        return invalid("Range of CPUs is from 0.01 up");
    }
    if wished.cpu_period != 0 && !(1000..=1_000_000).contains(&wished.cpu_period) {
        return invalid("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s");
    }
    if wished.cpu_quota > 0 && wished.cpu_quota < 1000 {
        return invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)");
    }
    if wished.blkio_weight != 0 && !(10..=1000).contains(&wished.blkio_weight) {
        return invalid("Range of blkio weight is from 10 to 1000");
    }
    for cpus in [&wished.cpuset_cpus, &wished.cpuset_mems] {
        if !cpus.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-' || byte == b',') {
            return Err(Error::invalid(format!(
                "Invalid value {cpus} for a list of CPUs or nodes"
            )));
        }
    }
    Ok(())
}

fn memory(wished: &Resources) -> Value {
    let mut memory = Map::new();
    let mut put = |key: &str, value: Value| memory.insert(key.to_owned(), value);
    if wished.memory > 0 {
        put("limit", json!(wished.memory));
        // Without a word about swap as much again may be swapped: Docker's rule.
        let swap = if wished.memory_swap == 0 {
            wished.memory.saturating_mul(2)
        } else {
            wished.memory_swap
        };
        put("swap", json!(swap));
    } else if wished.memory_swap < 0 {
        put("swap", json!(-1));
    }
    if wished.memory_reservation > 0 {
        put("reservation", json!(wished.memory_reservation));
    }
    if wished.kernel_memory > 0 {
        put("kernel", json!(wished.kernel_memory));
    }
    if let Some(swappiness) = wished.memory_swappiness {
        put("swappiness", json!(swappiness));
    }
    if wished.oom_kill_disable {
        put("disableOOMKiller", json!(true));
    }
    Value::Object(memory)
}

fn cpu(wished: &Resources) -> Result<Value> {
    let mut cpu = Map::new();
    let mut put = |key: &str, value: Value| cpu.insert(key.to_owned(), value);
    if wished.cpu_shares > 0 {
        put("shares", json!(wished.cpu_shares));
    }
    if wished.nano_cpus > 0 {
        // A tenth of a second, of which so much.
        let period: i64 = 100_000;
        let quota = i128::from(wished.nano_cpus) * i128::from(period) / 1_000_000_000;
        let quota = i64::try_from(quota).map_err(|_| Error::invalid("too many CPUs"))?;
        if quota < 1000 {
            return Err(Error::invalid("Range of CPUs is from 0.01 up"));
        }
        put("period", json!(period));
        put("quota", json!(quota));
    }
    if wished.cpu_period > 0 {
        put("period", json!(wished.cpu_period));
    }
    if wished.cpu_quota != 0 {
        put("quota", json!(wished.cpu_quota));
    }
    if wished.cpu_realtime_period > 0 {
        put("realtimePeriod", json!(wished.cpu_realtime_period));
    }
    if wished.cpu_realtime_runtime > 0 {
        put("realtimeRuntime", json!(wished.cpu_realtime_runtime));
    }
    if !wished.cpuset_cpus.is_empty() {
        put("cpus", json!(wished.cpuset_cpus));
    }
    if !wished.cpuset_mems.is_empty() {
        put("mems", json!(wished.cpuset_mems));
    }
    Ok(Value::Object(cpu))
}

fn block_io(wished: &Resources) -> Result<Value> {
    let mut block = Map::new();
    if wished.blkio_weight > 0 {
        block.insert("weight".to_owned(), json!(wished.blkio_weight));
    }
    let lists = [
        ("weightDevice", "weight", &wished.blkio_weight_device),
        ("throttleReadBpsDevice", "rate", &wished.blkio_read_bps),
        ("throttleWriteBpsDevice", "rate", &wished.blkio_write_bps),
        ("throttleReadIOPSDevice", "rate", &wished.blkio_read_iops),
        ("throttleWriteIOPSDevice", "rate", &wished.blkio_write_iops),
    ];
    for (key, field, rates) in lists {
        if rates.is_empty() {
            continue;
        }
        let list = rates.iter().map(|rate| rate_of(rate, field)).collect::<Result<Vec<_>>>()?;
        block.insert(key.to_owned(), Value::Array(list));
    }
    Ok(Value::Object(block))
}

fn rate_of(rate: &BlkioRate, field: &str) -> Result<Value> {
    let device = Host::device(&rate.path)?
        .filter(|device| device.kind == 'b')
        .ok_or_else(|| Error::invalid(format!("{} is no block device", rate.path.display())))?;
    Ok(json!({"major": device.major, "minor": device.minor, field: rate.rate}))
}
