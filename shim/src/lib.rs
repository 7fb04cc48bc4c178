//! A containerd shim (runtime v2) for hull, and for every engine with runc's command line.
//!
//! For whoever talks to a running shim: [`proto`] has the messages, [`ttrpc`] the protocol and a
//! blocking client. [`diet`] is for servers that keep few privileges.

mod args;
mod bootstrap;
mod cgroup;
pub mod cli;
mod delete;
pub mod diet;
mod engine;
pub mod error;
mod files;
mod info;
mod io;
mod mount;
mod options;
mod poller;
pub mod proto;
mod serve;
mod start;
mod sys;
mod sys_mount;
pub mod ttrpc;

pub use start::socket_path;
