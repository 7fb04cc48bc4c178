//! What is remembered of a container, and what is told about it (runtime.md "State").
//!
//! The file is written twice: before the first side effect, so that `delete` finds whatever a
//! killed `create` left, and once init's pid is known, before init is let go. Keys that tools
//! read from runc's file (the init's identity, cgroup and namespace paths) have runc's names.

use super::process::Identity;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// The version of the specification that `state` and hooks are told.
pub use crate::features::OCI_VERSION_MAX as OCI_VERSION;

/// Content of state.json.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct State {
    /// Version of this format.
    pub hull: u32,
    /// The container's id.
    pub id: String,
    /// 0 until init exists.
    pub init_process_pid: i32,
    /// Start time of init in clock ticks, against reused pids.
    pub init_process_start: u64,
    /// The command that creates the container.
    pub creator: Identity,
    /// RFC 3339.
    pub created: String,
    /// Absolute path of the bundle.
    pub bundle: PathBuf,
    /// Absolute path of the root file system.
    pub rootfs: PathBuf,
    /// From the configuration.
    pub annotations: BTreeMap<String, String>,
    /// cgroup directories by controller; v2: one, with an empty name.
    pub cgroup_paths: BTreeMap<String, PathBuf>,
    /// Namespaces by `NEWPID` and so on, as paths below /proc.
    pub namespace_paths: BTreeMap<String, PathBuf>,
    /// The container has a pid namespace of its own, so that killing init kills all.
    pub own_pid_namespace: bool,
    /// The container has an own or joined user namespace.
    pub user_namespace: bool,
    /// No session keyring of its own.
    pub no_new_keyring: bool,
    /// The cgroup could not be made and was not asked for.
    pub rootless: bool,
    /// The configuration has poststart hooks: only then is it read by `start`.
    #[serde(default)]
    pub poststart: bool,
    /// The configuration has poststop hooks: only then is it read by `delete`.
    #[serde(default)]
    pub poststop: bool,
    /// Resource director directories to remove.
    pub intel_rdt: Option<crate::intel_rdt::RdtState>,
    /// The unit that systemd has made for the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<crate::systemd::Unit>,
    /// What standard input, output and error were when the container was made: `pipe:[INODE]`, or
    /// nothing for what is no pipe. CRIU has to be told which pipes lead outside.
    #[serde(default)]
    pub external_descriptors: [String; 3],
    /// The limits since the last `update`; until then those of the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<crate::spec::linux::Resources>,
}

/// Format of [`State`]; a greater number is refused.
pub const FORMAT: u32 = 1;

/// `status` of runtime.md "State"; `paused` is runc's addition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// `create` is at work.
    Creating,
    /// Waiting for `start`.
    Created,
    /// The program has been started.
    Running,
    /// Frozen.
    Paused,
    /// Init is gone.
    Stopped,
}

impl Status {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The state as hooks and the seccomp agent are told it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OciState<'a> {
    oci_version: &'static str,
    id: &'a str,
    status: &'static str,
    #[serde(skip_serializing_if = "is_zero")]
    pid: i32,
    bundle: &'a std::path::Path,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(pid: &i32) -> bool {
    *pid == 0
}

impl State {
    /// The state with this status and pid.
    pub fn oci(&self, status: Status, pid: i32) -> OciState<'_> {
        OciState {
            oci_version: OCI_VERSION,
            id: &self.id,
            status: status.name(),
            pid,
            bundle: &self.bundle,
            annotations: &self.annotations,
        }
    }

    /// The same as JSON, for a hook's stdin.
    pub fn oci_json(&self, status: Status, pid: i32) -> Vec<u8> {
        // Strings and numbers always serialise.
        serde_json::to_vec(&self.oci(status, pid)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_see_the_specified_keys() {
        let state = State { id: "a".into(), bundle: "/b".into(), ..State::default() };
        let json = String::from_utf8(state.oci_json(Status::Creating, 7)).unwrap();
        assert_eq!(
            json,
            r#"{"ociVersion":"1.3.0","id":"a","status":"creating","pid":7,"bundle":"/b"}"#
        );
        assert!(!String::from_utf8(state.oci_json(Status::Stopped, 0)).unwrap().contains("pid"));
    }
}
