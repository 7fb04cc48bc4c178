//! (skeleton)
pub mod cgroup;
pub mod seccomp;
