//! The types of runtime-spec `config.md`: what a bundle's config.json may say.
//!
//! The reader is lenient where the specification asks for it: unknown properties are ignored
//! (config.md "Extensibility"), enumerations stay strings so that an unknown value becomes a
//! [`Problem`](crate::spec::Problem) with a JSON pointer instead of a parse error, and `null`
//! stands for "absent" as Go's encoder writes it.

use super::linux::Linux;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

/// Reads `null` as the type's empty value; Go programs write `null` for nil slices and maps.
pub(crate) fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads an object, or `null` for none. Never an array: serde's own structures also take the values
/// of their fields in order.
pub(crate) fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    struct Object<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
        type Value = Option<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_some<D: Deserializer<'de>>(self, value: D) -> Result<Self::Value, D::Error> {
            value.deserialize_map(self)
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
    }

    deserializer.deserialize_option(Object(PhantomData))
}

/// [`object`] where an absent one has an empty value.
pub(crate) fn object_or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(object(deserializer)?.unwrap_or_default())
}

/// The whole of config.json.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Spec {
    /// `ociVersion`: SemVer 2.0.0 of the specification the bundle was written for.
    pub oci_version: Option<String>,
    /// `process`: the program to run; required by `start`.
    #[serde(deserialize_with = "object")]
    pub process: Option<Process>,
    /// `root`: the container's root file system.
    #[serde(deserialize_with = "object")]
    pub root: Option<Root>,
    /// `hostname`, set in the container's UTS namespace.
    #[serde(deserialize_with = "nullable")]
    pub hostname: String,
    /// `domainname`, set in the container's UTS namespace.
    #[serde(deserialize_with = "nullable")]
    pub domainname: String,
    /// `mounts`, made in the listed order.
    #[serde(deserialize_with = "nullable")]
    pub mounts: Vec<Mount>,
    /// `hooks`, run at the points the lifecycle names.
    #[serde(deserialize_with = "object")]
    pub hooks: Option<Hooks>,
    /// `annotations`, carried to state and hooks.
    #[serde(deserialize_with = "nullable")]
    pub annotations: BTreeMap<String, String>,
    /// `linux`: platform specific configuration.
    #[serde(deserialize_with = "object")]
    pub linux: Option<Linux>,
}

/// `root` (config.md "Root").
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub struct Root {
    /// Path to the root file system, absolute or relative to the bundle.
    #[serde(deserialize_with = "nullable")]
    pub path: String,
    /// The root file system is read-only inside the container.
    #[serde(deserialize_with = "nullable")]
    pub readonly: bool,
}

/// One entry of `mounts` (config.md "Mounts").
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Mount {
    /// Path inside the container.
    #[serde(deserialize_with = "nullable")]
    pub destination: String,
    /// Type of the file system; may be absent for bind mounts.
    #[serde(rename = "type", deserialize_with = "nullable")]
    pub typ: String,
    /// Device name, or file or directory to bind.
    #[serde(deserialize_with = "nullable")]
    pub source: String,
    /// mount(8) options.
    #[serde(deserialize_with = "nullable")]
    pub options: Vec<String>,
    /// Mapping of uids from the source file system to the destination.
    #[serde(deserialize_with = "nullable")]
    pub uid_mappings: Vec<IdMapping>,
    /// Mapping of gids from the source file system to the destination.
    #[serde(deserialize_with = "nullable")]
    pub gid_mappings: Vec<IdMapping>,
}

/// A range of ids (config-linux.md "User namespace mappings"; also of id-mapped mounts).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct IdMapping {
    /// First id inside.
    #[serde(rename = "containerID")]
    pub container_id: u32,
    /// First id outside.
    #[serde(rename = "hostID")]
    pub host_id: u32,
    /// How many ids.
    pub size: u32,
}

/// `process` (config.md "Process").
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Process {
    /// A terminal is attached to the process.
    #[serde(deserialize_with = "nullable")]
    pub terminal: bool,
    /// Size of the terminal in characters; ignored without one.
    #[serde(deserialize_with = "object")]
    pub console_size: Option<ConsoleSize>,
    /// Who the process runs as.
    #[serde(deserialize_with = "object_or_default")]
    pub user: User,
    /// argv; the first element is looked up in the container's PATH.
    #[serde(deserialize_with = "nullable")]
    pub args: Vec<String>,
    /// Environment, `NAME=value`.
    #[serde(deserialize_with = "nullable")]
    pub env: Vec<String>,
    /// Working directory, absolute.
    #[serde(deserialize_with = "nullable")]
    pub cwd: String,
    /// The five capability sets.
    #[serde(deserialize_with = "object")]
    pub capabilities: Option<Capabilities>,
    /// Resource limits.
    #[serde(deserialize_with = "nullable")]
    pub rlimits: Vec<Rlimit>,
    /// `PR_SET_NO_NEW_PRIVS` is set.
    #[serde(deserialize_with = "nullable")]
    pub no_new_privileges: bool,
    /// AppArmor profile of the process.
    #[serde(deserialize_with = "nullable")]
    pub apparmor_profile: String,
    /// `/proc/[pid]/oom_score_adj`; absent leaves it alone.
    pub oom_score_adj: Option<i64>,
    /// sched_setattr(2).
    #[serde(deserialize_with = "object")]
    pub scheduler: Option<Scheduler>,
    /// SELinux label of the process.
    #[serde(deserialize_with = "nullable")]
    pub selinux_label: String,
    /// ioprio_set(2).
    #[serde(deserialize_with = "object")]
    pub io_priority: Option<IoPriority>,
    /// CPU affinity of processes started by exec.
    #[serde(rename = "execCPUAffinity")]
    #[serde(deserialize_with = "object")]
    pub exec_cpu_affinity: Option<CpuAffinity>,
}

/// `process.consoleSize`, in characters.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ConsoleSize {
    /// Rows.
    pub height: u64,
    /// Columns.
    pub width: u64,
}

/// `process.user` (POSIX platforms).
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct User {
    /// User id in the container.
    pub uid: u32,
    /// Group id in the container.
    pub gid: u32,
    /// umask(2) of the process; absent: the runtime's default, 0022.
    pub umask: Option<u32>,
    /// Supplementary groups, exactly these.
    #[serde(deserialize_with = "nullable")]
    pub additional_gids: Vec<u32>,
}

/// `process.capabilities`: names like `CAP_KILL`.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    /// Bounding set.
    #[serde(deserialize_with = "nullable")]
    pub bounding: Vec<String>,
    /// Effective set.
    #[serde(deserialize_with = "nullable")]
    pub effective: Vec<String>,
    /// Inheritable set.
    #[serde(deserialize_with = "nullable")]
    pub inheritable: Vec<String>,
    /// Permitted set.
    #[serde(deserialize_with = "nullable")]
    pub permitted: Vec<String>,
    /// Ambient set.
    #[serde(deserialize_with = "nullable")]
    pub ambient: Vec<String>,
}

/// One entry of `process.rlimits`.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub struct Rlimit {
    /// `RLIMIT_NOFILE` and so on.
    #[serde(rename = "type", deserialize_with = "nullable")]
    pub typ: String,
    /// Ceiling.
    pub hard: u64,
    /// Enforced value.
    pub soft: u64,
}

/// `process.scheduler`: see sched_setattr(2).
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub struct Scheduler {
    /// `SCHED_OTHER`, `SCHED_FIFO`, … .
    #[serde(deserialize_with = "nullable")]
    pub policy: String,
    /// Nice value for OTHER and BATCH.
    pub nice: i32,
    /// Static priority for FIFO and RR.
    pub priority: i32,
    /// `SCHED_FLAG_…` names.
    #[serde(deserialize_with = "nullable")]
    pub flags: Vec<String>,
    /// Nanoseconds, DEADLINE only.
    pub runtime: u64,
    /// Nanoseconds, DEADLINE only.
    pub deadline: u64,
    /// Nanoseconds, DEADLINE only.
    pub period: u64,
}

/// `process.ioPriority`: see ioprio_set(2).
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub struct IoPriority {
    /// `IOPRIO_CLASS_RT`, `IOPRIO_CLASS_BE` or `IOPRIO_CLASS_IDLE`.
    #[serde(deserialize_with = "nullable")]
    pub class: String,
    /// 0 (highest) to 7.
    pub priority: i64,
}

/// `process.execCPUAffinity`: lists like `0-3,7`.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub struct CpuAffinity {
    /// While the runtime's process is being moved into the container's cgroup.
    #[serde(deserialize_with = "nullable")]
    pub initial: String,
    /// When the process starts.
    #[serde(rename = "final", deserialize_with = "nullable")]
    pub last: String,
}

/// One hook (config.md "POSIX-platform Hooks").
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub struct Hook {
    /// Absolute path of the executable.
    #[serde(deserialize_with = "nullable")]
    pub path: String,
    /// argv with argv\[0\].
    #[serde(deserialize_with = "nullable")]
    pub args: Vec<String>,
    /// Environment; absent: see [`crate::hooks`].
    pub env: Option<Vec<String>>,
    /// Seconds until the hook is aborted; positive.
    pub timeout: Option<i64>,
}

/// `hooks`: six lists, each run in the listed order.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Hooks {
    /// Deprecated; runtime namespace, before createRuntime.
    #[serde(deserialize_with = "nullable")]
    pub prestart: Vec<Hook>,
    /// Runtime namespace, during create, before pivot_root.
    #[serde(deserialize_with = "nullable")]
    pub create_runtime: Vec<Hook>,
    /// Container namespace, during create, before pivot_root.
    #[serde(deserialize_with = "nullable")]
    pub create_container: Vec<Hook>,
    /// Container namespace, before the user process is executed.
    #[serde(deserialize_with = "nullable")]
    pub start_container: Vec<Hook>,
    /// Runtime namespace, after the user process is executed.
    #[serde(deserialize_with = "nullable")]
    pub poststart: Vec<Hook>,
    /// Runtime namespace, after the container is deleted.
    #[serde(deserialize_with = "nullable")]
    pub poststop: Vec<Hook>,
}

impl Hooks {
    /// All lists with their names, in the order of the lifecycle (runtime.md).
    pub fn lists(&self) -> [(&'static str, &[Hook]); 6] {
        [
            ("prestart", &self.prestart),
            ("createRuntime", &self.create_runtime),
            ("createContainer", &self.create_container),
            ("startContainer", &self.start_container),
            ("poststart", &self.poststart),
            ("poststop", &self.poststop),
        ]
    }
}
