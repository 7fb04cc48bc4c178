//! The kernel's interfaces that nix does not cover; the only place with `unsafe`.
//!
//! Each function wraps one system call: typed in, `OwnedFd` or `Errno` out, no policy.

pub mod bpf;
pub mod netlink;
pub mod sched;
pub mod seccomp;
