//! Networks: bridges, addresses, published ports, names.
//!
//! What is to be ([`model`]'s types) is decided by pure functions over the records, written to the
//! database in one transaction, and only then done to the host: whatever is killed where, the
//! records name everything that may be there.

pub mod check;
mod conntrack;
pub mod dns;
pub mod facade;
pub mod files;
mod host;
mod ipam;
mod link;
pub mod model;
pub mod netlink;
pub mod netns;
mod plan;
#[cfg(test)]
mod plan_tests;
pub mod ports;
pub mod records;
mod rules;
pub mod spec;
mod view;

pub use facade::Networks;
pub use model::*;
