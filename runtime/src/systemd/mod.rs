//! Asking systemd for cgroups: a small blocking client for the few calls of
//! org.freedesktop.systemd1(5) that a container needs.
//!
//! [`wire`] is the D-Bus protocol (dbus.freedesktop.org, "D-Bus Specification"), pure; [`bus`] a
//! connection; [`unit`] the calls. What is asked for is decided by
//! [`crate::plan::cgroup::systemd`].

pub mod bus;
pub mod keeper;
pub mod scope;
pub mod unit;
pub mod wire;

pub use keeper::Keeper;
pub use scope::Scope;
pub use unit::{Manager, Unit};
