//! The image store against real registries and other tools. Needs root, and Debian's
//! docker-registry, skopeo, umoci, apache2-utils (htpasswd) and openssl.

// Tests fail by panicking; that is their report.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod archives;
mod bench;
mod bundles;
mod clients;
mod engines;
mod faults;
mod fixture;
mod harness;
mod hostile;
mod liars;
mod registries;
mod server;
mod snapshots;
mod tokens;
