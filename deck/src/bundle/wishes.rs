//! What a container shall be: Docker's create request after the engine has resolved and checked
//! what needs the host's knowledge (volumes, networks, other containers).

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The wishes of a create request. Defaults are Docker's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wishes {
    /// Replaces the image's entrypoint, and drops its command; `Some([])` drops both.
    pub entrypoint: Option<Vec<String>>,
    /// Replaces the image's command.
    pub cmd: Option<Vec<String>>,
    /// `NAME=value` over the image's; a bare `NAME` takes it out.
    pub env: Vec<String>,
    /// Replaces the image's user.
    pub user: Option<String>,
    /// Supplementary groups, names or numbers.
    pub group_add: Vec<String>,
    /// Replaces the image's working directory.
    pub working_dir: Option<String>,
    /// A terminal for the process.
    pub tty: bool,
    /// Rows and columns of the terminal at start.
    pub console_size: Option<(u16, u16)>,
    /// Host name in the container.
    pub hostname: String,
    /// NIS domain name.
    pub domainname: String,
    /// A static init on the host to run as pid 1.
    pub init: Option<PathBuf>,
    /// Annotations, beside those made of the image.
    pub annotations: BTreeMap<String, String>,
    /// Files and directories, in the order they are mounted in.
    pub mounts: Vec<MountWish>,
    /// The root file system is read-only.
    pub read_only: bool,
    /// Bytes of /dev/shm; 64 MiB if none.
    pub shm_size: Option<u64>,
    /// Namespaces.
    pub namespaces: Namespaces,
    /// Privileges.
    pub security: Security,
    /// Limits.
    pub resources: Resources,
    /// Resource limits of the process.
    pub ulimits: Vec<Ulimit>,
    /// Kernel parameters of the container's namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// Devices of the host.
    pub devices: Vec<DeviceWish>,
    /// Rules as `c 1:3 rwm`, `a`.
    pub device_cgroup_rules: Vec<String>,
    /// -1000 to 1000.
    pub oom_score_adj: Option<i32>,
    /// The cgroup: `/docker/ID`, or `slice:prefix:name` for systemd.
    pub cgroups_path: Option<String>,
    /// Program and arguments of hooks by stage name (`createRuntime`, …).
    pub hooks: BTreeMap<String, Vec<Vec<String>>>,
}

/// Something mounted into the container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MountWish {
    /// Absolute path in the container.
    pub target: PathBuf,
    /// What is mounted.
    pub source: MountSource,
    /// Read-only.
    pub read_only: bool,
    /// `rprivate`, `shared`, `rslave`, …; `rprivate` if none.
    pub propagation: Option<String>,
    /// Only the mount itself, not what is mounted below it.
    pub non_recursive: bool,
    /// Read-only covers only the top mount.
    pub read_only_non_recursive: bool,
}

/// Where a mount's content comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountSource {
    /// A path of the host: binds, volumes, and the engine's hosts, hostname and resolv.conf.
    Bind(PathBuf),
    /// A new tmpfs with mount options (`size=…`, `mode=…`, `noexec`).
    Tmpfs(Vec<String>),
}

impl Default for MountSource {
    fn default() -> Self {
        Self::Tmpfs(Vec::new())
    }
}

/// One namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Namespace {
    /// A new one.
    #[default]
    Private,
    /// The host's.
    Host,
    /// The one at a path.
    Path(PathBuf),
}

/// The namespaces of a container; a mount namespace is always new.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Namespaces {
    /// Network.
    pub network: Namespace,
    /// Processes.
    pub pid: Namespace,
    /// IPC; with the host's or another's, /dev/shm has to come in `mounts`.
    pub ipc: Namespace,
    /// Host name.
    pub uts: Namespace,
    /// Cgroups; `Host` is Docker's default on cgroup v1.
    pub cgroup: Namespace,
    /// Users; `None` for none.
    pub user: Option<UserNamespace>,
}

/// A user namespace: maps of container id, host id, count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserNamespace {
    /// Users.
    pub uid_mappings: Vec<(u32, u32, u32)>,
    /// Groups.
    pub gid_mappings: Vec<(u32, u32, u32)>,
}

/// Privileges of a container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Security {
    /// Everything the host's root may.
    pub privileged: bool,
    /// Names with or without `CAP_`, or `ALL`.
    pub cap_add: Vec<String>,
    /// As `cap_add`.
    pub cap_drop: Vec<String>,
    /// No privileges by exec.
    pub no_new_privileges: bool,
    /// The system call filter.
    pub seccomp: Seccomp,
    /// `unconfined`, or a loaded profile; the host's default profile if none.
    pub apparmor: Option<String>,
    /// The process' whole SELinux context.
    pub selinux_process: Option<String>,
    /// The mounts' SELinux context.
    pub selinux_mount: Option<String>,
    /// Replaces the default masked paths.
    pub masked_paths: Option<Vec<String>>,
    /// Replaces the default read-only paths.
    pub readonly_paths: Option<Vec<String>>,
}

/// Where the system call filter comes from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum Seccomp {
    /// Docker's policy for the container's capabilities.
    #[default]
    Default,
    /// No filter.
    Unconfined,
    /// A profile in Docker's JSON form, with its `includes` and `excludes`.
    Profile(String),
}

/// Cgroup limits; 0 and `None` are no limit, as in Docker.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Bytes.
    pub memory: i64,
    /// Bytes of memory and swap; -1 for unlimited swap.
    pub memory_swap: i64,
    /// Bytes.
    pub memory_reservation: i64,
    /// Bytes; deprecated in kernels.
    pub kernel_memory: i64,
    /// 0 to 100.
    pub memory_swappiness: Option<u64>,
    /// Suspends instead of killing (cgroup v1).
    pub oom_kill_disable: bool,
    /// Relative weight.
    pub cpu_shares: u64,
    /// CPUs times 10^9.
    pub nano_cpus: i64,
    /// Microseconds.
    pub cpu_period: i64,
    /// Microseconds.
    pub cpu_quota: i64,
    /// Microseconds.
    pub cpu_realtime_period: i64,
    /// Microseconds.
    pub cpu_realtime_runtime: i64,
    /// `0-3,5`.
    pub cpuset_cpus: String,
    /// `0,1`.
    pub cpuset_mems: String,
    /// Processes and threads; -1 for unlimited.
    pub pids_limit: Option<i64>,
    /// 10 to 1000.
    pub blkio_weight: u16,
    /// Weights by device.
    pub blkio_weight_device: Vec<BlkioRate>,
    /// Bytes read a second.
    pub blkio_read_bps: Vec<BlkioRate>,
    /// Bytes written a second.
    pub blkio_write_bps: Vec<BlkioRate>,
    /// Reads a second.
    pub blkio_read_iops: Vec<BlkioRate>,
    /// Writes a second.
    pub blkio_write_iops: Vec<BlkioRate>,
    /// Limits of huge pages in bytes, by page size (`2MB`).
    pub hugepages: BTreeMap<String, u64>,
}

/// A rate or weight of one block device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlkioRate {
    /// The device's path on the host.
    pub path: PathBuf,
    /// The rate or weight.
    pub rate: u64,
}

/// One resource limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// `nofile`.
    pub name: String,
    /// Soft; -1 for unlimited.
    pub soft: i64,
    /// Hard; -1 for unlimited.
    pub hard: i64,
}

/// A device, or a directory of devices, of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceWish {
    /// Path on the host.
    pub host_path: PathBuf,
    /// Path in the container.
    pub container_path: PathBuf,
    /// `r`, `w`, `m`.
    pub permissions: String,
}
