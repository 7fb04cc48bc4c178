//! Usage of a container's cgroups, in the form of the `data` of a `stats` event.
//!
//! The names and the omission of zeros are those monitoring tools already read from OCI runtimes.
//! Times are in nanoseconds, sizes in bytes; a missing limit is 2^64-1 for memory, 0 for pids.

mod parse;
mod v1;
mod v2;

use super::Cgroup;
use crate::error::Result;
use serde::Serialize;
use std::collections::BTreeMap;

/// Usage and limits. The event's `intel_rdt` and `network_interfaces` come from elsewhere; this
/// can be flattened into the whole.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub struct Stats {
    /// CPU time.
    pub cpu: Cpu,
    /// CPUs and memory nodes (v1).
    pub cpuset: Cpuset,
    /// Memory.
    pub memory: Memory,
    /// Tasks.
    pub pids: Pids,
    /// Block I/O.
    pub blkio: Blkio,
    /// Huge pages, by page size.
    pub hugetlb: BTreeMap<String, Hugetlb>,
}

/// CPU time.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub struct Cpu {
    /// Time used.
    #[serde(skip_serializing_if = "is_default")]
    pub usage: CpuUsage,
    /// Time refused.
    #[serde(skip_serializing_if = "is_default")]
    pub throttling: Throttling,
    /// Pressure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Psi>,
}

/// CPU time used.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub struct CpuUsage {
    /// Altogether.
    #[serde(skip_serializing_if = "is_default")]
    pub total: u64,
    /// By CPU (v1).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu: Vec<u64>,
    /// By CPU, in the kernel (v1).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_kernel: Vec<u64>,
    /// By CPU, in user mode (v1).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_user: Vec<u64>,
    /// In the kernel.
    pub kernel: u64,
    /// In user mode.
    pub user: u64,
}

/// CPU time refused.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Throttling {
    /// Periods.
    #[serde(skip_serializing_if = "is_default")]
    pub periods: u64,
    /// Periods in which the quota was used up.
    #[serde(skip_serializing_if = "is_default")]
    pub throttled_periods: u64,
    /// Time spent waiting for quota.
    #[serde(skip_serializing_if = "is_default")]
    pub throttled_time: u64,
}

/// Files of cpuset.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub struct Cpuset {
    /// CPUs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cpus: Vec<u16>,
    /// The file of that name.
    pub cpu_exclusive: u64,
    /// Memory nodes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mems: Vec<u16>,
    /// The file of that name.
    pub mem_hardwall: u64,
    /// The file of that name.
    pub mem_exclusive: u64,
    /// The file of that name.
    pub memory_migrate: u64,
    /// The file of that name.
    pub memory_spread_page: u64,
    /// The file of that name.
    pub memory_spread_slab: u64,
    /// The file of that name.
    pub memory_pressure: u64,
    /// The file of that name.
    pub sched_load_balance: u64,
    /// The file of that name.
    pub sched_relax_domain_level: i64,
}

/// Memory.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub struct Memory {
    /// Page cache.
    #[serde(skip_serializing_if = "is_default")]
    pub cache: u64,
    /// Memory.
    #[serde(skip_serializing_if = "is_default")]
    pub usage: MemoryEntry,
    /// Memory and swap together.
    #[serde(skip_serializing_if = "is_default")]
    pub swap: MemoryEntry,
    /// Kernel memory (v1).
    #[serde(skip_serializing_if = "is_default")]
    pub kernel: MemoryEntry,
    /// Kernel memory of TCP buffers (v1).
    #[serde(rename = "kernelTCP", skip_serializing_if = "is_default")]
    pub kernel_tcp: MemoryEntry,
    /// memory.stat.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub raw: BTreeMap<String, u64>,
    /// Pressure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Psi>,
}

/// One kind of memory.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub struct MemoryEntry {
    /// Limit.
    pub limit: u64,
    /// Usage.
    #[serde(skip_serializing_if = "is_default")]
    pub usage: u64,
    /// Greatest usage so far.
    #[serde(skip_serializing_if = "is_default")]
    pub max: u64,
    /// How often the limit was hit.
    pub failcnt: u64,
}

/// Tasks.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub struct Pids {
    /// Number.
    #[serde(skip_serializing_if = "is_default")]
    pub current: u64,
    /// Limit; 0: none.
    #[serde(skip_serializing_if = "is_default")]
    pub limit: u64,
}

/// Block I/O.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Blkio {
    /// Bytes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_service_bytes_recursive: Vec<BlkioEntry>,
    /// Operations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_serviced_recursive: Vec<BlkioEntry>,
    /// Operations waiting.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_queue_recursive: Vec<BlkioEntry>,
    /// Time from dispatch to completion.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_service_time_recursive: Vec<BlkioEntry>,
    /// Time in the queues.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_wait_time_recursive: Vec<BlkioEntry>,
    /// Operations merged into others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_merged_recursive: Vec<BlkioEntry>,
    /// Time the devices were given to the cgroup.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_time_recursive: Vec<BlkioEntry>,
    /// Sectors.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sectors_recursive: Vec<BlkioEntry>,
    /// Pressure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Psi>,
}

/// One number about one device.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub struct BlkioEntry {
    /// Major number.
    #[serde(skip_serializing_if = "is_default")]
    pub major: u64,
    /// Minor number.
    #[serde(skip_serializing_if = "is_default")]
    pub minor: u64,
    /// `Read`, `Write`, `Total` …
    #[serde(skip_serializing_if = "String::is_empty")]
    pub op: String,
    /// The number.
    #[serde(skip_serializing_if = "is_default")]
    pub value: u64,
}

/// Huge pages of one size.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub struct Hugetlb {
    /// Usage.
    #[serde(skip_serializing_if = "is_default")]
    pub usage: u64,
    /// Greatest usage so far (v1).
    #[serde(skip_serializing_if = "is_default")]
    pub max: u64,
    /// How often the limit was hit.
    pub failcnt: u64,
}

/// Pressure stall information (v2).
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub struct Psi {
    /// Some tasks waited.
    pub some: PsiData,
    /// All tasks waited.
    pub full: PsiData,
}

/// Shares of time in percent, and microseconds altogether.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub struct PsiData {
    /// Over ten seconds.
    pub avg10: f64,
    /// Over a minute.
    pub avg60: f64,
    /// Over five minutes.
    pub avg300: f64,
    /// Microseconds.
    pub total: u64,
}

/// Whether `value` is the one that is left out.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Cgroup {
    /// Usage now. Files that this kernel does not have count as zero.
    pub fn stats(&self) -> Result<Stats> {
        match self.unified() {
            Some(path) if self.is_v2() => v2::stats(path),
            _ => v1::stats(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_left_out_as_readers_expect() {
        let stats = Stats {
            memory: Memory {
                usage: MemoryEntry { limit: u64::MAX, usage: 5, max: 0, failcnt: 0 },
                ..Memory::default()
            },
            pids: Pids { current: 2, limit: 0 },
            ..Stats::default()
        };
        let json = serde_json::to_string(&stats).unwrap();
        assert_eq!(
            json,
            concat!(
                r#"{"cpu":{},"cpuset":{"cpu_exclusive":0,"mem_hardwall":0,"mem_exclusive":0,"#,
                r#""memory_migrate":0,"memory_spread_page":0,"memory_spread_slab":0,"#,
                r#""memory_pressure":0,"sched_load_balance":0,"sched_relax_domain_level":0},"#,
                r#""memory":{"usage":{"limit":18446744073709551615,"usage":5,"failcnt":0}},"#,
                r#""pids":{"current":2},"blkio":{},"hugetlb":{}}"#
            )
        );
    }
}
