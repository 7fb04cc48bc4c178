//! The shim without containerd, as deck uses it: started by hand, events to a program, Docker's
//! log, attached clients; and what concerns control groups, which a virtual machine runs as well.
//!
//! Needs root, an engine and busybox; without root it says so and does nothing. The engine is runc,
//! or what `HULL_SHIM_ENGINE` names; with `HULL_TEST_SYSTEMD` systemd makes the control groups.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cgroups;
mod fixture;
mod privileges;
mod streams;
