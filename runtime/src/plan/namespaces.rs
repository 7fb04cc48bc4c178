//! Which namespaces are made, which are joined, and by whom (config-linux.md "Namespaces").
//!
//! Facts behind the table in [`SpawnPlan::new`]:
//! - setns(2) on a pid namespace moves only children, so the runtime itself enters, clones and
//!   goes back; no second fork is needed for that.
//! - A new user namespace owns only what is made after its ids are mapped: everything else is
//!   unshared by init once the maps are written, else sysctls and /proc/net belong to nobody.
//! - After entering another user namespace one can't come back, so a process that must join one
//!   and then be the first of (or a member of) a pid namespace needs an intermediate that does
//!   the joining and clones init as its sibling.

use crate::spec::linux::{Linux, TimeOffset};
use crate::spec::{IdMapping, Problem};
use crate::sys::clone::CLONE_NEWTIME;
use nix::libc;
use std::ffi::CString;
use std::fmt::{self, Write as _};

/// A kind of namespace (namespaces(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NamespaceType {
    /// user_namespaces(7)
    User,
    /// pid_namespaces(7)
    Pid,
    /// network_namespaces(7)
    Network,
    /// ipc_namespaces(7)
    Ipc,
    /// uts_namespaces(7)
    Uts,
    /// cgroup_namespaces(7)
    Cgroup,
    /// time_namespaces(7)
    Time,
    /// mount_namespaces(7); last, because paths mean something else after it.
    Mount,
}

/// All kinds, in the order in which they are joined.
pub const ALL: [NamespaceType; 8] = [
    NamespaceType::User,
    NamespaceType::Pid,
    NamespaceType::Network,
    NamespaceType::Ipc,
    NamespaceType::Uts,
    NamespaceType::Cgroup,
    NamespaceType::Time,
    NamespaceType::Mount,
];

impl NamespaceType {
    /// By the specification's name.
    pub fn from_spec(name: &str) -> Option<Self> {
        ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The specification's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Pid => "pid",
            Self::Network => "network",
            Self::Ipc => "ipc",
            Self::Uts => "uts",
            Self::Cgroup => "cgroup",
            Self::Time => "time",
            Self::Mount => "mount",
        }
    }

    /// The file below /proc/PID/ns.
    pub fn proc_name(self) -> &'static str {
        match self {
            Self::Network => "net",
            Self::Mount => "mnt",
            other => other.name(),
        }
    }

    /// The `CLONE_NEW…` flag.
    pub fn flag(self) -> u64 {
        let flag = match self {
            Self::User => libc::CLONE_NEWUSER,
            Self::Pid => libc::CLONE_NEWPID,
            Self::Network => libc::CLONE_NEWNET,
            Self::Ipc => libc::CLONE_NEWIPC,
            Self::Uts => libc::CLONE_NEWUTS,
            Self::Cgroup => libc::CLONE_NEWCGROUP,
            Self::Time => return CLONE_NEWTIME,
            Self::Mount => libc::CLONE_NEWNS,
        };
        u64::from(flag.cast_unsigned())
    }
}

impl fmt::Display for NamespaceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A namespace to join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// The kind that `path` must be of.
    pub kind: NamespaceType,
    /// Path in the runtime's mount namespace.
    pub path: CString,
}

/// What the configuration asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamespacePlan {
    /// `CLONE_NEW…` flags of the namespaces to make.
    pub create: u64,
    /// Namespaces to join, in joining order.
    pub join: Vec<Join>,
    /// Text for /proc/PID/uid_map; empty without mappings.
    pub uid_map: String,
    /// Text for /proc/PID/gid_map; empty without mappings.
    pub gid_map: String,
    /// Text for /proc/self/timens_offsets; empty without offsets.
    pub time_offsets: String,
}

impl NamespacePlan {
    /// Reads the sections `namespaces`, `uidMappings`, `gidMappings` and `timeOffsets`; their
    /// syntax has been checked by [`crate::spec::check`].
    pub fn new(linux: &Linux, problems: &mut Vec<Problem>) -> Self {
        let mut plan = Self::default();
        for (index, namespace) in linux.namespaces.iter().enumerate() {
            let Some(kind) = NamespaceType::from_spec(&namespace.typ) else { continue };
            if namespace.path.is_empty() {
                plan.create |= kind.flag();
            } else if let Ok(path) = CString::new(namespace.path.as_str()) {
                plan.join.push(Join { kind, path });
            } else {
                let at = format!("linux.namespaces[{index}].path");
                problems.push(Problem::new(at, "contains a NUL byte"));
            }
        }
        plan.join.sort_by_key(|join| join.kind);
        plan.uid_map = id_map(&linux.uid_mappings);
        plan.gid_map = id_map(&linux.gid_mappings);
        for (clock, offset) in &linux.time_offsets {
            let TimeOffset { secs, nanosecs } = offset;
            // Writing to a String can't fail.
            let _ = writeln!(plan.time_offsets, "{clock} {secs} {nanosecs}");
        }
        plan
    }

    /// A namespace of this kind is made.
    pub fn creates(&self, kind: NamespaceType) -> bool {
        self.create & kind.flag() != 0
    }

    /// A namespace of this kind is joined.
    pub fn joins(&self, kind: NamespaceType) -> bool {
        self.join.iter().any(|join| join.kind == kind)
    }

    /// The container does not share this kind with the runtime, as far as the plan tells.
    pub fn has(&self, kind: NamespaceType) -> bool {
        self.creates(kind) || self.joins(kind)
    }
}

/// The text of a uid_map or gid_map file (user_namespaces(7)).
pub fn id_map(mappings: &[IdMapping]) -> String {
    let mut text = String::new();
    for IdMapping { container_id, host_id, size } in mappings {
        let _ = writeln!(text, "{container_id} {host_id} {size}");
    }
    text
}

/// Who does what, in which order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpawnPlan {
    /// Joined by the runtime before the clone, left again after it.
    pub runtime_enters: Vec<NamespaceType>,
    /// Joined by the child (init, or the intermediate), in this order.
    pub child_joins: Vec<NamespaceType>,
    /// The child is an intermediate that clones init as its sibling.
    pub intermediate: bool,
    /// Flags of the clone that makes init.
    pub clone: u64,
    /// Unshared by init, after the ids are mapped.
    pub unshare: u64,
}

impl SpawnPlan {
    /// The shortest way to the wanted namespaces.
    pub fn new(namespaces: &NamespacePlan) -> Self {
        use NamespaceType::{Cgroup, Pid, Time, User};
        // The cgroup namespace's root is the cgroup its maker is in, so init makes it once it has
        // been placed; a time namespace is for children until entered (time_namespaces(7)).
        let late = Cgroup.flag() | Time.flag();
        let joined: Vec<_> = namespaces.join.iter().map(|join| join.kind).collect();
        if namespaces.creates(User) {
            // What is joined belongs to the present user namespace: join before leaving it.
            let first = namespaces.create & (User.flag() | Pid.flag());
            return Self {
                runtime_enters: joined,
                clone: first,
                unshare: namespaces.create & !first & !late,
                ..Self::default()
            };
        }
        if namespaces.joins(User) {
            let intermediate = namespaces.has(Pid);
            let now = namespaces.create & !late;
            return Self {
                child_joins: joined,
                intermediate,
                clone: if intermediate { now } else { 0 },
                unshare: if intermediate { 0 } else { now },
                ..Self::default()
            };
        }
        let (runtime_enters, child_joins) = joined.into_iter().partition(|kind| *kind == Pid);
        Self { runtime_enters, child_joins, clone: namespaces.create & !late, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::NamespaceType::{Cgroup, Ipc, Mount, Network, Pid, Time, User, Uts};
    use super::*;

    fn plan(create: &[NamespaceType], join: &[NamespaceType]) -> SpawnPlan {
        let mut join: Vec<_> =
            join.iter().map(|kind| Join { kind: *kind, path: c"/x".into() }).collect();
        join.sort_by_key(|join| join.kind);
        let create = create.iter().fold(0, |flags, kind| flags | kind.flag());
        SpawnPlan::new(&NamespacePlan { create, join, ..NamespacePlan::default() })
    }

    fn flags(kinds: &[NamespaceType]) -> u64 {
        kinds.iter().fold(0, |flags, kind| flags | kind.flag())
    }

    #[test]
    fn plain_container_is_one_clone() {
        let spawn = plan(&[Pid, Network, Ipc, Uts, Mount, Cgroup, Time], &[]);
        assert_eq!(spawn.clone, flags(&[Pid, Network, Ipc, Uts, Mount]));
        assert_eq!(spawn.unshare, 0);
        assert!(!spawn.intermediate && spawn.runtime_enters.is_empty());
    }

    #[test]
    fn pod_member_joins_in_init_mount_last() {
        let spawn = plan(&[Pid], &[Mount, Network, Ipc]);
        assert_eq!(spawn.child_joins, [Network, Ipc, Mount]);
        assert_eq!(spawn.clone, flags(&[Pid]));
    }

    #[test]
    fn pid_is_joined_by_the_runtime() {
        let spawn = plan(&[Mount], &[Pid, Uts]);
        assert_eq!(spawn.runtime_enters, [Pid]);
        assert_eq!(spawn.child_joins, [Uts]);
        assert!(!spawn.intermediate);
    }

    #[test]
    fn new_user_namespace_owns_the_rest() {
        let spawn = plan(&[User, Pid, Network, Mount, Cgroup], &[Ipc]);
        assert_eq!(spawn.clone, flags(&[User, Pid]));
        assert_eq!(spawn.unshare, flags(&[Network, Mount]));
        assert_eq!(spawn.runtime_enters, [Ipc]);
    }

    #[test]
    fn joined_user_namespace_with_new_pid_takes_an_intermediate() {
        let spawn = plan(&[Pid, Mount], &[User, Network]);
        assert!(spawn.intermediate);
        assert_eq!(spawn.child_joins, [User, Network]);
        assert_eq!(spawn.clone, flags(&[Pid, Mount]));
        let spawn = plan(&[Mount], &[User]);
        assert!(!spawn.intermediate);
        assert_eq!(spawn.unshare, flags(&[Mount]));
    }

    #[test]
    fn maps_are_kernel_text() {
        let map = [IdMapping { container_id: 0, host_id: 100_000, size: 65536 }];
        assert_eq!(id_map(&map), "0 100000 65536\n");
    }
}
