//! The kernel's interfaces that nix does not cover; the only place with `unsafe`.
//!
//! Each function wraps one system call: typed in, `OwnedFd` or `Errno` out, no policy.

pub mod alloc;
pub mod bpf;
pub mod cap;
pub mod child;
pub mod clone;
pub mod dir;
pub mod entry;
pub mod exec;
pub mod fd;
pub mod ids;
pub mod mount;
pub mod netlink;
pub mod process;
pub mod sched;
pub mod seccomp;
pub mod tty;
pub mod uts;
