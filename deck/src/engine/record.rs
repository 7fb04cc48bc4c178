//! What is remembered of a container.

use super::model::config::ContainerConfig;
use super::model::host::HostConfig;
use crate::net::{EndpointSettings, PortMap};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Container {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Unique, without Docker's leading slash.
    pub name: String,
    /// Nanoseconds since the epoch.
    pub created: i64,
    /// The image's id; empty when it was made without one.
    pub image: String,
    /// The image's manifest, as inspect shows it.
    pub manifest: Option<Manifest>,
    /// What runs: the request over the image's defaults.
    pub config: ContainerConfig,
    /// How it runs.
    pub host: HostConfig,
    /// Program and arguments, as inspect shows them.
    pub command: Vec<String>,
    /// The networks it is on, and what was asked of them.
    pub endpoints: BTreeMap<String, EndpointSettings>,
    /// What it got on them while it runs.
    pub attached: BTreeMap<String, EndpointSettings>,
    /// What is published while it runs.
    pub ports: PortMap,
    /// Volumes, binds and tmpfs.
    pub mounts: Vec<MountPoint>,
    /// Life so far.
    pub state: State,
    /// Restarts by policy since the last start by a user.
    pub restart_count: u32,
    /// A user stopped it: `unless-stopped` keeps it so.
    pub stopped_by_user: bool,
    /// What probes said.
    pub health: Option<Health>,
}

/// An image's manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Media type.
    #[serde(rename = "mediaType")]
    pub media_type: String,
    /// Digest.
    pub digest: String,
    /// Bytes.
    pub size: u64,
}

/// Docker's words for what a container does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Never started.
    #[default]
    Created,
    /// Its process runs.
    Running,
    /// Its processes are frozen.
    Paused,
    /// It ended and will be started again.
    Restarting,
    /// It is being removed.
    Removing,
    /// It ended.
    Exited,
    /// Its removal failed halfway.
    Dead,
}

impl Status {
    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
        }
    }

    /// Whether there is a process.
    pub fn is_alive(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }
}

/// A container's life so far. Times are nanoseconds since the epoch, 0 for never.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// What it does.
    pub status: Status,
    /// Its first process, on the host; 0 for none.
    pub pid: i32,
    /// That process' start time in clock ticks since boot: with the boot's id it tells a process
    /// from a later one with the same pid (proc(5), field 22).
    pub pid_start: u64,
    /// `/proc/sys/kernel/random/boot_id` of that start.
    pub boot: String,
    /// The shim's socket.
    pub shim: String,
    /// Counts starts: an exit belongs to one of them.
    pub generation: u64,
    /// Counts ends.
    pub ends: u64,
    /// Of the last end.
    pub exit_code: i64,
    /// Why the last start failed.
    pub error: String,
    /// The kernel killed something in it for memory.
    pub oom_killed: bool,
    /// Last start.
    pub started: i64,
    /// Last end.
    pub finished: i64,
}

/// Something mounted, as inspect shows it, with what the next start needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MountPoint {
    /// `bind`, `volume` or `tmpfs`.
    pub kind: String,
    /// The volume's name.
    pub name: String,
    /// Path on the host; empty for tmpfs.
    pub source: String,
    /// Path in the container.
    pub destination: String,
    /// The volume's driver.
    pub driver: String,
    /// Options as given: `ro`, `z`, …
    pub mode: String,
    /// Writable.
    pub writable: bool,
    /// `rprivate`, …
    pub propagation: String,
    /// Of a tmpfs: mount options.
    pub options: Vec<String>,
    /// A directory in the volume.
    pub subpath: String,
    /// Only the mount itself.
    pub non_recursive: bool,
    /// Read-only covers only the top mount.
    pub read_only_non_recursive: bool,
    /// Made for this container alone, without a name given: goes with it.
    pub anonymous: bool,
    /// A new volume is not filled from the image.
    pub no_copy: bool,
}

/// What probes of health said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Health {
    /// `starting`, `healthy`, `unhealthy`.
    pub status: String,
    /// Failures in a row.
    pub failing_streak: i64,
    /// The last five probes.
    pub log: Vec<Probe>,
}

/// One probe of health.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Probe {
    /// RFC 3339.
    pub start: String,
    /// RFC 3339.
    pub end: String,
    /// 0 healthy, 1 unhealthy, else something is wrong with the probe.
    pub exit_code: i64,
    /// The beginning of what it printed.
    pub output: String,
}

/// A process started in a container with `exec`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Exec {
    /// 64 hexadecimal digits.
    pub id: String,
    /// The container.
    pub container: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// `NAME=value` over the container's.
    pub env: Vec<String>,
    /// Instead of the container's.
    pub user: String,
    /// Instead of the container's.
    pub working_dir: String,
    /// A terminal.
    pub tty: bool,
    /// All privileges.
    pub privileged: bool,
    /// Streams the client wants.
    pub stdin: bool,
    /// See `stdin`.
    pub stdout: bool,
    /// See `stdin`.
    pub stderr: bool,
    /// As given.
    pub detach_keys: String,
    /// Rows and columns.
    pub console_size: Option<[u16; 2]>,
    /// The container's start it belongs to.
    pub generation: u64,
    /// Its process; 0 before the start.
    pub pid: i32,
    /// It was started.
    pub started: bool,
    /// Set when it has ended.
    pub exit_code: Option<i64>,
    /// When it ended, in nanoseconds since 1970; 0 before.
    pub ended: i64,
}

impl Exec {
    /// Its process is over.
    pub fn end(&mut self, code: i64) {
        self.exit_code = Some(code);
        self.ended = super::time::now();
    }
}
