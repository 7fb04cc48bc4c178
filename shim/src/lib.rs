//! A containerd shim (runtime v2) for hull, and for every engine with runc's command line.
//!
//! For whoever talks to a running shim: [`proto`] has the messages, [`ttrpc`] the protocol and a
//! blocking client.

pub mod error;
pub mod proto;
pub mod ttrpc;
