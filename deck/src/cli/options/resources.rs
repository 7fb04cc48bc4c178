//! Limits.

use super::{Part, put};
use crate::cli::parse::{device, size, ulimit};
use clap::Args;
use serde_json::Value;

/// Options of limits.
#[derive(Args)]
pub struct Resources {
    /// Weight of block I/O, 10 to 1000
    #[arg(long, value_name = "WEIGHT", value_parser = clap::value_parser!(u16).range(0..=1000))]
    blkio_weight: Option<u16>,
    /// Weight of a device's block I/O: DEVICE:WEIGHT
    #[arg(long, value_parser = device::weight)]
    blkio_weight_device: Vec<Value>,
    /// Cgroup to put the container's into
    #[arg(long, value_name = "CGROUP")]
    cgroup_parent: Option<String>,
    /// Period of the CPU quota in microseconds
    #[arg(long, value_name = "MICROSECONDS")]
    cpu_period: Option<i64>,
    /// CPU time in a period in microseconds
    #[arg(long, value_name = "MICROSECONDS", allow_negative_numbers = true)]
    cpu_quota: Option<i64>,
    /// Real-time period in microseconds
    #[arg(long, value_name = "MICROSECONDS")]
    cpu_rt_period: Option<i64>,
    /// Real-time CPU time in a period in microseconds
    #[arg(long, value_name = "MICROSECONDS")]
    cpu_rt_runtime: Option<i64>,
    /// Weight of CPU time
    #[arg(short = 'c', long, value_name = "SHARES")]
    cpu_shares: Option<i64>,
    /// Number of CPUs: 1.5
    #[arg(long, value_parser = size::nano_cpus)]
    cpus: Option<i64>,
    /// CPUs to run on: 0-3, 0,1
    #[arg(long, value_name = "CPUS")]
    cpuset_cpus: Option<String>,
    /// Memory nodes to use: 0-3, 0,1
    #[arg(long, value_name = "NODES")]
    cpuset_mems: Option<String>,
    /// Read rate of a device: DEVICE:BYTES a second
    #[arg(long, value_parser = |text: &str| device::rate(text, true))]
    device_read_bps: Vec<Value>,
    /// Read rate of a device: DEVICE:OPERATIONS a second
    #[arg(long, value_parser = |text: &str| device::rate(text, false))]
    device_read_iops: Vec<Value>,
    /// Write rate of a device: DEVICE:BYTES a second
    #[arg(long, value_parser = |text: &str| device::rate(text, true))]
    device_write_bps: Vec<Value>,
    /// Write rate of a device: DEVICE:OPERATIONS a second
    #[arg(long, value_parser = |text: &str| device::rate(text, false))]
    device_write_iops: Vec<Value>,
    /// Limit of memory
    #[arg(short, long, value_parser = size::bytes, value_name = "BYTES")]
    memory: Option<i64>,
    /// Memory the container keeps when the host is short of it
    #[arg(long, value_parser = size::bytes, value_name = "BYTES")]
    memory_reservation: Option<i64>,
    /// Limit of memory and swap together; -1 for unlimited swap
    #[arg(long, value_parser = size::bytes_or_unlimited, value_name = "BYTES", allow_negative_numbers = true)]
    memory_swap: Option<i64>,
    /// Tendency to swap, 0 to 100; -1 for the host's
    #[arg(long, value_parser = clap::value_parser!(i64).range(-1..=100), allow_negative_numbers = true)]
    memory_swappiness: Option<i64>,
    /// No OOM killer for the container
    #[arg(long)]
    oom_kill_disable: bool,
    /// The OOM killer's preference, -1000 to 1000
    #[arg(long, value_parser = clap::value_parser!(i64).range(-1000..=1000), allow_negative_numbers = true)]
    oom_score_adj: Option<i64>,
    /// Limit of processes; -1 for none
    #[arg(long, allow_negative_numbers = true)]
    pids_limit: Option<i64>,
    /// Size of /dev/shm
    #[arg(long, value_parser = size::bytes, value_name = "BYTES")]
    shm_size: Option<i64>,
    /// Resource limit of the process: NAME=SOFT[:HARD]
    #[arg(long, value_parser = ulimit::parse)]
    ulimit: Vec<Value>,
}

impl Resources {
    pub(super) fn fill(&self, host: &mut Part) {
        put(host, "BlkioWeight", self.blkio_weight);
        put(host, "BlkioWeightDevice", self.blkio_weight_device.clone());
        put(host, "CgroupParent", self.cgroup_parent.clone());
        put(host, "CpuPeriod", self.cpu_period);
        put(host, "CpuQuota", self.cpu_quota);
        put(host, "CpuRealtimePeriod", self.cpu_rt_period);
        put(host, "CpuRealtimeRuntime", self.cpu_rt_runtime);
        put(host, "CpuShares", self.cpu_shares);
        put(host, "NanoCpus", self.cpus);
        put(host, "CpusetCpus", self.cpuset_cpus.clone());
        put(host, "CpusetMems", self.cpuset_mems.clone());
        put(host, "BlkioDeviceReadBps", self.device_read_bps.clone());
        put(host, "BlkioDeviceReadIOps", self.device_read_iops.clone());
        put(host, "BlkioDeviceWriteBps", self.device_write_bps.clone());
        put(host, "BlkioDeviceWriteIOps", self.device_write_iops.clone());
        put(host, "Memory", self.memory);
        put(host, "MemoryReservation", self.memory_reservation);
        put(host, "MemorySwap", self.memory_swap);
        if let Some(swappiness) = self.memory_swappiness {
            // 0 means something here.
            host.insert("MemorySwappiness".into(), swappiness.into());
        }
        put(host, "OomKillDisable", self.oom_kill_disable);
        put(host, "OomScoreAdj", self.oom_score_adj);
        put(host, "PidsLimit", self.pids_limit);
        put(host, "ShmSize", self.shm_size);
        put(host, "Ulimits", self.ulimit.clone());
    }
}
