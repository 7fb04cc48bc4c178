//! The messages between containerd, a shim and a shim's clients.
//!
//! Field numbers are those of containerd's public `.proto` files, named at each module; the wire
//! format of version 2 and version 3 of the Task service is the same. They are written by hand
//! because a generated set of the whole API is many times the size of what a shim says
//! (docs/adr/030-shim-crates.md).
#![allow(missing_docs, reason = "fields are named and explained by the .proto files cited")]

pub mod bootstrap;
pub mod events;
pub mod options;
pub mod rpc;
pub mod stats_v1;
pub mod stats_v2;
pub mod task;
pub mod types;

pub use types::{Any, Empty, Envelope, Mount, ProcessInfo, Status, Timestamp};
