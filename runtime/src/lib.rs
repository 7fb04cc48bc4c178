//! Hull, a low-level OCI runtime.
//!
//! The way of a container: [`spec`] reads config.json; [`plan`] turns it, the command line and the
//! facts of the host into a list of effects without touching anything; [`spawn`] opens what the
//! plan names, makes the cgroup and clones the container's first process; [`init`] is that
//! process: it carries out its part of the plan and becomes the user's program; [`container`]
//! remembers containers on disk so that later commands find them.

pub mod cgroup;
pub mod checkpoint;
pub mod cli;
pub mod console;
pub mod container;
pub mod error;
pub mod exec;
pub mod features;
pub mod foreground;
pub mod hooks;
pub mod host;
pub mod init;
pub mod intel_rdt;
pub mod launch;
pub mod log;
pub mod netdev;
pub mod notify_socket;
pub mod pid_file;
pub mod plan;
pub mod seal;
pub mod seccomp;
pub mod spawn;
pub mod spec;
pub mod sys;
pub mod systemd;

pub use error::{At, Error, Kind, Result};
