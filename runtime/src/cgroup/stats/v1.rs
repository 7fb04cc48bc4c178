//! Usage as the controllers of cgroup v1 tell it.

use super::super::file::{malformed, read_optional};
use super::parse::{blkio, huge_page_sizes, keyed, list, number, value};
use super::{Blkio, BlkioEntry, Cpu, CpuUsage, Cpuset, Hugetlb, Memory, MemoryEntry, Pids, Stats};
use crate::cgroup::Cgroup;
use crate::error::Result;
use std::path::Path;

/// Nanoseconds in one of the ticks that cpuacct.stat counts: USER_HZ is 100 on all architectures.
const TICK: u64 = 10_000_000;

/// All controllers there are.
pub(super) fn stats(cgroup: &Cgroup) -> Result<Stats> {
    let mut stats = Stats::default();
    if let Some(dir) = cgroup.place("cpuset") {
        stats.cpuset = cpuset(dir)?;
    }
    if let Some(dir) = cgroup.place("memory") {
        stats.memory = memory(dir)?;
    }
    if let Some(dir) = cgroup.place("cpu") {
        throttling(dir, &mut stats.cpu)?;
    }
    if let Some(dir) = cgroup.place("cpuacct") {
        stats.cpu.usage = usage(dir)?;
    }
    if let Some(dir) = cgroup.place("pids") {
        let limit = value(dir, "pids.max")?.unwrap_or(0);
        stats.pids = Pids {
            current: value(dir, "pids.current")?.unwrap_or(0),
            limit: if limit == u64::MAX { 0 } else { limit },
        };
    }
    if let Some(dir) = cgroup.place("blkio") {
        stats.blkio = block_io(dir)?;
    }
    if let Some(dir) = cgroup.place("hugetlb") {
        for size in huge_page_sizes() {
            if let Some(usage) = huge_pages(dir, &size)? {
                stats.hugetlb.insert(size, usage);
            }
        }
    }
    Ok(stats)
}

fn throttling(dir: &Path, cpu: &mut Cpu) -> Result<()> {
    let stat = keyed(dir, "cpu.stat")?;
    let get = |key| stat.get(key).copied().unwrap_or(0);
    cpu.throttling.periods = get("nr_periods");
    cpu.throttling.throttled_periods = get("nr_throttled");
    cpu.throttling.throttled_time = get("throttled_time");
    Ok(())
}

fn usage(dir: &Path) -> Result<CpuUsage> {
    let stat = keyed(dir, "cpuacct.stat")?;
    let ticks = |key| stat.get(key).copied().unwrap_or(0).saturating_mul(TICK);
    let mut usage = CpuUsage {
        total: value(dir, "cpuacct.usage")?.unwrap_or(0),
        kernel: ticks("system"),
        user: ticks("user"),
        ..CpuUsage::default()
    };
    if let Some(text) = read_optional(dir, "cpuacct.usage_percpu")? {
        usage.percpu = text.split_whitespace().filter_map(number).collect();
    }
    // A header, then `cpu user system` for each.
    if let Some(text) = read_optional(dir, "cpuacct.usage_all")? {
        for line in text.lines().skip(1) {
            let mut words = line.split(' ').skip(1).map(number);
            let (Some(Some(user)), Some(Some(kernel))) = (words.next(), words.next()) else {
                return Err(malformed(dir, "cpuacct.usage_all", line));
            };
            usage.percpu_user.push(user);
            usage.percpu_kernel.push(kernel);
        }
    }
    Ok(usage)
}

fn cpuset(dir: &Path) -> Result<Cpuset> {
    // A hierarchy mounted with `noprefix` has the names without it.
    let read = |name: &str| -> Result<Option<String>> {
        match read_optional(dir, &format!("cpuset.{name}"))? {
            Some(text) => Ok(Some(text)),
            None => read_optional(dir, name),
        }
    };
    let numbers = |name: &str| -> Result<Vec<u16>> {
        let text = read(name)?.unwrap_or_default();
        list(&text).ok_or_else(|| malformed(dir, name, text))
    };
    let value = |name: &str| -> Result<i64> {
        let Some(text) = read(name)? else { return Ok(0) };
        text.trim_end().parse().map_err(|_| malformed(dir, name, text))
    };
    let flag = |name: &str| Ok(u64::try_from(value(name)?).unwrap_or(0));
    let flag: &dyn Fn(&str) -> Result<u64> = &flag;
    Ok(Cpuset {
        cpus: numbers("cpus")?,
        cpu_exclusive: flag("cpu_exclusive")?,
        mems: numbers("mems")?,
        mem_hardwall: flag("mem_hardwall")?,
        mem_exclusive: flag("mem_exclusive")?,
        memory_migrate: flag("memory_migrate")?,
        memory_spread_page: flag("memory_spread_page")?,
        memory_spread_slab: flag("memory_spread_slab")?,
        memory_pressure: flag("memory_pressure")?,
        sched_load_balance: flag("sched_load_balance")?,
        sched_relax_domain_level: value("sched_relax_domain_level")?,
    })
}

fn memory(dir: &Path) -> Result<Memory> {
    let raw = keyed(dir, "memory.stat")?;
    Ok(Memory {
        cache: raw.get("cache").copied().unwrap_or(0),
        usage: memory_entry(dir, "memory")?,
        swap: memory_entry(dir, "memory.memsw")?,
        kernel: memory_entry(dir, "memory.kmem")?,
        kernel_tcp: memory_entry(dir, "memory.kmem.tcp")?,
        raw,
        psi: None,
    })
}

/// Swap and kernel memory are options of the kernel, and the limit of the latter is gone since
/// Linux 6.1.
fn memory_entry(dir: &Path, prefix: &str) -> Result<MemoryEntry> {
    let get = |name: &str| Ok(value(dir, &format!("{prefix}.{name}"))?.unwrap_or(0));
    let get: &dyn Fn(&str) -> Result<u64> = &get;
    let Some(usage) = value(dir, &format!("{prefix}.usage_in_bytes"))? else {
        return Ok(MemoryEntry::default());
    };
    Ok(MemoryEntry {
        limit: get("limit_in_bytes")?,
        usage,
        max: get("max_usage_in_bytes")?,
        failcnt: get("failcnt")?,
    })
}

/// The files by scheduler: BFQ with debugging, BFQ, CFQ, and what is counted without either. The
/// first group whose first file has something in it is taken.
fn block_io(dir: &Path) -> Result<Blkio> {
    let read = |file: &str| -> Result<Vec<BlkioEntry>> {
        let text = read_optional(dir, file)?.unwrap_or_default();
        blkio(&text).ok_or_else(|| malformed(dir, file, text))
    };
    for scheduler in ["blkio.bfq", "blkio"] {
        let get = |name: &str| read(&format!("{scheduler}.{name}_recursive"));
        let sectors = get("sectors")?;
        if !sectors.is_empty() {
            return Ok(Blkio {
                io_service_bytes_recursive: get("io_service_bytes")?,
                io_serviced_recursive: get("io_serviced")?,
                io_queue_recursive: get("io_queued")?,
                io_service_time_recursive: get("io_service_time")?,
                io_wait_time_recursive: get("io_wait_time")?,
                io_merged_recursive: get("io_merged")?,
                io_time_recursive: get("time")?,
                sectors_recursive: sectors,
                psi: None,
            });
        }
    }
    for (prefix, suffix) in
        [("blkio.bfq", "_recursive"), ("blkio.throttle", "_recursive"), ("blkio.throttle", "")]
    {
        let serviced = read(&format!("{prefix}.io_serviced{suffix}"))?;
        if !serviced.is_empty() {
            return Ok(Blkio {
                io_service_bytes_recursive: read(&format!("{prefix}.io_service_bytes{suffix}"))?,
                io_serviced_recursive: serviced,
                ..Blkio::default()
            });
        }
    }
    Ok(Blkio::default())
}

/// Reservations are what is limited and counted where the kernel has them (since Linux 5.7).
fn huge_pages(dir: &Path, size: &str) -> Result<Option<Hugetlb>> {
    for prefix in [format!("hugetlb.{size}.rsvd"), format!("hugetlb.{size}")] {
        if let Some(usage) = value(dir, &format!("{prefix}.usage_in_bytes"))? {
            let max = value(dir, &format!("{prefix}.max_usage_in_bytes"))?.unwrap_or(0);
            let failcnt = value(dir, &format!("{prefix}.failcnt"))?.unwrap_or(0);
            return Ok(Some(Hugetlb { usage, max, failcnt }));
        }
    }
    Ok(None)
}
