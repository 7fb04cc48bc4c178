//! Integration tests: a runtime's command line, from the outside, as root.
//!
//! `HULL_TEST_RUNTIME=/usr/sbin/runc cargo test --test integration` runs the same tests on
//! another runtime; see [`needs`] for what those lack.

// Tests fail by panicking; that is their report.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod harness;
mod needs;

mod capabilities;
mod cgroups;
mod checkpoint;
mod corners;
mod criu;
mod devices;
mod errors;
mod exec;
mod faults;
mod hooks;
mod lifecycle;
mod limits;
mod list;
mod migrated;
mod mounts;
mod namespaces;
mod netdevices;
mod notified;
mod notify;
mod options;
mod process;
mod query;
mod refused;
mod rootfs;
mod rootless;
mod run;
mod seccomp;
mod security;
mod sources;
mod stdio;
mod systemd;
mod tty;
mod userns;
