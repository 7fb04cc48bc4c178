//! The types of runtime-spec `config-linux.md`.

use super::config::{IdMapping, nullable, object};
use super::names::Names;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `linux`.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Linux {
    /// Uids of the user namespace.
    #[serde(deserialize_with = "nullable")]
    pub uid_mappings: Vec<IdMapping>,
    /// Gids of the user namespace.
    #[serde(deserialize_with = "nullable")]
    pub gid_mappings: Vec<IdMapping>,
    /// Kernel parameters, `net.ipv4.ip_forward` = `1`.
    #[serde(deserialize_with = "nullable")]
    pub sysctl: BTreeMap<String, String>,
    /// cgroup limits.
    #[serde(deserialize_with = "object")]
    pub resources: Option<Resources>,
    /// Path of the container's cgroup; absolute is relative to the cgroup mount point.
    #[serde(deserialize_with = "nullable")]
    pub cgroups_path: String,
    /// Namespaces to create or to join.
    #[serde(deserialize_with = "nullable")]
    pub namespaces: Vec<Namespace>,
    /// Device nodes that must exist in the container.
    #[serde(deserialize_with = "nullable")]
    pub devices: Vec<Device>,
    /// Network devices to move into the container, by host name.
    #[serde(deserialize_with = "nullable")]
    pub net_devices: BTreeMap<String, NetDevice>,
    /// System call filter.
    #[serde(deserialize_with = "object")]
    pub seccomp: Option<Seccomp>,
    /// `shared`, `slave`, `private` or `unbindable`.
    #[serde(deserialize_with = "nullable")]
    pub rootfs_propagation: String,
    /// Paths made unreadable in the container.
    #[serde(deserialize_with = "nullable")]
    pub masked_paths: Vec<String>,
    /// Paths made read-only in the container.
    #[serde(deserialize_with = "nullable")]
    pub readonly_paths: Vec<String>,
    /// SELinux label of the mounts.
    #[serde(deserialize_with = "nullable")]
    pub mount_label: String,
    /// Intel resource director technology.
    #[serde(deserialize_with = "object")]
    pub intel_rdt: Option<IntelRdt>,
    /// set_mempolicy(2).
    #[serde(deserialize_with = "object")]
    pub memory_policy: Option<MemoryPolicy>,
    /// personality(2).
    #[serde(deserialize_with = "object")]
    pub personality: Option<Personality>,
    /// Offsets of the time namespace, by clock name.
    #[serde(deserialize_with = "nullable")]
    pub time_offsets: BTreeMap<String, TimeOffset>,
}

impl Linux {
    /// The user and group that root of the container is outside of its user namespace.
    pub fn root_ids(&self) -> (u32, u32) {
        let first = |maps: &[IdMapping]| {
            maps.iter().find(|map| map.container_id == 0).map_or(0, |map| map.host_id)
        };
        (first(&self.uid_mappings), first(&self.gid_mappings))
    }
}

/// One entry of `linux.namespaces`.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub struct Namespace {
    /// `pid`, `network`, `mount`, `ipc`, `uts`, `user`, `cgroup` or `time`.
    #[serde(rename = "type", deserialize_with = "nullable")]
    pub typ: String,
    /// Absolute path in the runtime's mount namespace; empty: create a new one.
    #[serde(deserialize_with = "nullable")]
    pub path: String,
}

/// One entry of `linux.devices`.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Device {
    /// Full path inside the container.
    #[serde(deserialize_with = "nullable")]
    pub path: String,
    /// `c`, `b`, `u` or `p`.
    #[serde(rename = "type", deserialize_with = "nullable")]
    pub typ: String,
    /// Major number, unless the type is `p`.
    pub major: Option<i64>,
    /// Minor number, unless the type is `p`.
    pub minor: Option<i64>,
    /// Mode bits; may carry Go's or POSIX's type bits, which are ignored.
    pub file_mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
}

/// One value of `linux.netDevices`.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub struct NetDevice {
    /// Name inside the container; empty: as on the host.
    #[serde(deserialize_with = "nullable")]
    pub name: String,
}

/// One entry of `linux.resources.devices`.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceRule {
    /// Allowed or denied.
    pub allow: bool,
    /// `a`, `c` or `b`; empty means all.
    #[serde(rename = "type", deserialize_with = "nullable")]
    pub typ: String,
    /// Absent or -1: all.
    pub major: Option<i64>,
    /// Absent or -1: all.
    pub minor: Option<i64>,
    /// Composition of `r`, `w` and `m`.
    #[serde(deserialize_with = "nullable")]
    pub access: String,
}

/// `linux.resources`.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Resources {
    /// Device access rules, in order.
    #[serde(deserialize_with = "nullable")]
    pub devices: Vec<DeviceRule>,
    /// Memory.
    #[serde(deserialize_with = "object")]
    pub memory: Option<Memory>,
    /// CPU time and placement.
    #[serde(deserialize_with = "object")]
    pub cpu: Option<Cpu>,
    /// Number of tasks.
    #[serde(deserialize_with = "object")]
    pub pids: Option<Pids>,
    /// Block I/O.
    #[serde(rename = "blockIO")]
    #[serde(deserialize_with = "object")]
    pub block_io: Option<BlockIo>,
    /// Huge page limits.
    #[serde(deserialize_with = "nullable")]
    pub hugepage_limits: Vec<HugepageLimit>,
    /// net_cls and net_prio.
    #[serde(deserialize_with = "object")]
    pub network: Option<Network>,
    /// RDMA limits by device.
    #[serde(deserialize_with = "nullable")]
    pub rdma: BTreeMap<String, Rdma>,
    /// cgroup v2 files by name.
    #[serde(deserialize_with = "nullable")]
    pub unified: BTreeMap<String, String>,
}

/// `linux.resources.memory`; sizes in bytes, -1 means unlimited.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Memory {
    /// Hard limit.
    pub limit: Option<i64>,
    /// Soft limit.
    pub reservation: Option<i64>,
    /// Memory and swap together.
    pub swap: Option<i64>,
    /// Deprecated kernel memory limit.
    pub kernel: Option<i64>,
    /// Deprecated kernel TCP buffer limit.
    #[serde(rename = "kernelTCP")]
    pub kernel_tcp: Option<i64>,
    /// 0 to 100.
    pub swappiness: Option<u64>,
    /// The OOM killer is disabled (v1).
    #[serde(rename = "disableOOMKiller")]
    pub disable_oom_killer: Option<bool>,
    /// Hierarchical accounting (v1).
    pub use_hierarchy: Option<bool>,
    /// Refuse a limit below the present usage.
    pub check_before_update: Option<bool>,
}

/// `linux.resources.cpu`; times in microseconds.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Cpu {
    /// Relative weight, v1 scale.
    pub shares: Option<u64>,
    /// Time per period; not positive: unlimited.
    pub quota: Option<i64>,
    /// Accumulated unused quota.
    pub burst: Option<u64>,
    /// Period.
    pub period: Option<u64>,
    /// Realtime time per period (v1).
    pub realtime_runtime: Option<i64>,
    /// Realtime period (v1).
    pub realtime_period: Option<u64>,
    /// CPUs, list format.
    #[serde(deserialize_with = "nullable")]
    pub cpus: String,
    /// Memory nodes, list format.
    #[serde(deserialize_with = "nullable")]
    pub mems: String,
    /// SCHED_IDLE for the cgroup: 0 or 1.
    pub idle: Option<i64>,
}

/// `linux.resources.pids`.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pids {
    /// Greatest number of tasks; -1: unlimited.
    pub limit: Option<i64>,
}

/// `linux.resources.blockIO`.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct BlockIo {
    /// 10 to 1000.
    pub weight: Option<u16>,
    /// Weight against the container's own child cgroups (v1, CFQ).
    pub leaf_weight: Option<u16>,
    /// Per device weights.
    #[serde(deserialize_with = "nullable")]
    pub weight_device: Vec<WeightDevice>,
    /// Bytes per second.
    #[serde(deserialize_with = "nullable")]
    pub throttle_read_bps_device: Vec<ThrottleDevice>,
    /// Bytes per second.
    #[serde(deserialize_with = "nullable")]
    pub throttle_write_bps_device: Vec<ThrottleDevice>,
    /// Operations per second.
    #[serde(rename = "throttleReadIOPSDevice", deserialize_with = "nullable")]
    pub throttle_read_iops_device: Vec<ThrottleDevice>,
    /// Operations per second.
    #[serde(rename = "throttleWriteIOPSDevice", deserialize_with = "nullable")]
    pub throttle_write_iops_device: Vec<ThrottleDevice>,
}

/// A device weight.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct WeightDevice {
    /// Major number.
    pub major: i64,
    /// Minor number.
    pub minor: i64,
    /// 10 to 1000.
    pub weight: Option<u16>,
    /// 10 to 1000 (v1, CFQ).
    pub leaf_weight: Option<u16>,
}

/// A device throttle.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ThrottleDevice {
    /// Major number.
    pub major: i64,
    /// Minor number.
    pub minor: i64,
    /// Bytes or operations per second.
    pub rate: u64,
}

/// One entry of `linux.resources.hugepageLimits`.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HugepageLimit {
    /// `<size><unit-prefix>B`, for example `2MB`.
    // Go's reader ignores case, and bundles written by hand use that.
    #[serde(alias = "pagesize", deserialize_with = "nullable")]
    pub page_size: String,
    /// Bytes.
    pub limit: u64,
}

/// `linux.resources.network`.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Network {
    /// net_cls.classid.
    #[serde(rename = "classID")]
    pub class_id: Option<u32>,
    /// net_prio.ifpriomap.
    #[serde(deserialize_with = "nullable")]
    pub priorities: Vec<InterfacePriority>,
}

/// Priority of one interface.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InterfacePriority {
    /// Interface name in the runtime's network namespace.
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    /// Priority.
    pub priority: u32,
}

/// RDMA limits of one device.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Rdma {
    /// hca_handle.
    pub hca_handles: Option<u32>,
    /// hca_object.
    pub hca_objects: Option<u32>,
}

/// `linux.seccomp`.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Seccomp {
    /// `SCMP_ACT_…` for system calls no rule names.
    #[serde(deserialize_with = "nullable")]
    pub default_action: String,
    /// errno of the default action.
    pub default_errno_ret: Option<u32>,
    /// `SCMP_ARCH_…`.
    #[serde(deserialize_with = "nullable")]
    pub architectures: Vec<String>,
    /// `SECCOMP_FILTER_FLAG_…`; absent and empty differ (absent: the runtime's default).
    pub flags: Option<Vec<String>>,
    /// Unix socket that gets the notify fd.
    #[serde(deserialize_with = "nullable")]
    pub listener_path: String,
    /// Opaque data for the seccomp agent.
    #[serde(deserialize_with = "nullable")]
    pub listener_metadata: String,
    /// Rules.
    #[serde(deserialize_with = "nullable")]
    pub syscalls: Vec<SyscallRule>,
}

/// One entry of `linux.seccomp.syscalls`.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SyscallRule {
    /// System call names.
    #[serde(deserialize_with = "nullable")]
    pub names: Names,
    /// `SCMP_ACT_…`.
    #[serde(deserialize_with = "nullable")]
    pub action: String,
    /// errno, or trace message, of the action.
    pub errno_ret: Option<u32>,
    /// Conditions.
    #[serde(deserialize_with = "nullable")]
    pub args: Vec<SyscallArg>,
}

/// A condition on one argument.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SyscallArg {
    /// 0 to 5.
    pub index: u32,
    /// Operand (mask, for MASKED_EQ).
    pub value: u64,
    /// Second operand (value, for MASKED_EQ).
    pub value_two: u64,
    /// `SCMP_CMP_…`.
    #[serde(deserialize_with = "nullable")]
    pub op: String,
}

/// `linux.intelRdt`.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct IntelRdt {
    /// Name of the class of service.
    #[serde(rename = "closID", deserialize_with = "nullable")]
    pub clos_id: String,
    /// Lines for the schemata file.
    #[serde(deserialize_with = "nullable")]
    pub schemata: Vec<String>,
    /// Deprecated by schemata.
    #[serde(deserialize_with = "nullable")]
    pub l3_cache_schema: String,
    /// Deprecated by schemata.
    #[serde(deserialize_with = "nullable")]
    pub mem_bw_schema: String,
    /// A monitoring group is made for the container.
    #[serde(deserialize_with = "nullable")]
    pub enable_monitoring: bool,
}

/// `linux.memoryPolicy`.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub struct MemoryPolicy {
    /// `MPOL_…`.
    #[serde(deserialize_with = "nullable")]
    pub mode: String,
    /// Node list.
    #[serde(deserialize_with = "nullable")]
    pub nodes: String,
    /// `MPOL_F_…`.
    #[serde(deserialize_with = "nullable")]
    pub flags: Vec<String>,
}

/// `linux.personality`.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub struct Personality {
    /// `LINUX` or `LINUX32`.
    #[serde(deserialize_with = "nullable")]
    pub domain: String,
    /// None are defined.
    #[serde(deserialize_with = "nullable")]
    pub flags: Vec<String>,
}

/// Offset of one clock.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default)]
pub struct TimeOffset {
    /// Seconds.
    pub secs: i64,
    /// Nanoseconds.
    pub nanosecs: u32,
}
