//! System call filters: from the plan to the program the container's process loads.
//!
//! libseccomp needs milliseconds for a profile of Docker's size, more than everything else in a
//! container's start together. It runs in the runtime, never in the container's process, and only
//! the first time a profile is seen ([`cache`]); the program is kept beside the container's state
//! so that `exec` does not even need the profile.

pub mod cache;
pub mod compile;
pub mod enosys;
pub mod insn;
#[cfg(test)]
mod interpreter;
pub mod notify;
pub mod search;

use crate::error::{Error, Result};
use crate::plan::seccomp::{Action, FLAGS, FilterPlan};
use crate::sys::seccomp::{
    INSN_SIZE, MAX_INSNS, NEW_LISTENER, action_available, flag_supported, load,
};
use nix::errno::Errno;
use std::os::fd::OwnedFd;
use std::path::Path;

/// A filter the kernel can load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// An array of `struct sock_filter`.
    bpf: Vec<u8>,
    /// `SECCOMP_FILTER_FLAG_…`.
    flags: u32,
}

/// Starts a stored filter; the digit is the version of the form.
const MAGIC: &[u8; 8] = b"hullbpf1";

impl Filter {
    /// The flags given to seccomp(2), for the log.
    pub fn flags(&self) -> u32 {
        self.flags
    }

    /// Whether loading yields a notification fd that must go to the seccomp agent.
    pub fn notifies(&self) -> bool {
        self.flags & NEW_LISTENER != 0
    }

    /// Loads the filter into the calling thread; see [`load`].
    pub fn load(&self) -> Result<Option<OwnedFd>, Errno> {
        load(&self.bpf, self.flags)
    }

    /// The form in which the filter is kept beside the container's state.
    pub fn to_bytes(&self) -> Vec<u8> {
        [&MAGIC[..], &self.flags.to_ne_bytes(), &self.bpf].concat()
    }

    /// The filter [`Filter::to_bytes`] wrote; the kernel checks the program itself on loading.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let invalid = || Error::config("not a stored seccomp filter of this version");
        let rest = bytes.strip_prefix(MAGIC).ok_or_else(invalid)?;
        let (flags, bpf) = rest.split_first_chunk::<4>().ok_or_else(invalid)?;
        if !is_program(bpf) {
            return Err(invalid());
        }
        Ok(Self { bpf: bpf.to_vec(), flags: u32::from_ne_bytes(*flags) })
    }
}

/// Whether `bpf` has the size of a program.
fn is_program(bpf: &[u8]) -> bool {
    bpf.len().is_multiple_of(INSN_SIZE) && (1..=MAX_INSNS).contains(&(bpf.len() / INSN_SIZE))
}

/// Makes the filter: from the cache in `cache_dir`, or by libseccomp.
///
/// `unknown` is told the system call names libseccomp does not know, when it was asked.
pub fn filter(
    cache_dir: Option<&Path>,
    plan: &FilterPlan,
    unknown: &mut dyn FnMut(&str),
) -> Result<Filter> {
    check_kernel(plan)?;
    let cache = cache_dir.and_then(|dir| cache::Cache::open(dir, plan));
    let flags = plan.flags;
    if let Some(bpf) = cache.as_ref().and_then(cache::Cache::get) {
        return Ok(Filter { bpf, flags });
    }
    let bpf = compile::compile(plan, unknown)?;
    if let Some(cache) = &cache {
        cache.put(&bpf);
    }
    Ok(Filter { bpf, flags })
}

/// Refuses what this kernel can't do. Here and not in libseccomp, because a cached filter must be
/// refused as well: the kernel kills on an action it does not know.
fn check_kernel(plan: &FilterPlan) -> Result<()> {
    for (name, flag) in FLAGS {
        if plan.flags & flag != 0 && !flag_supported(flag) {
            return Err(Error::unsupported(format!("the kernel does not support {name}")));
        }
    }
    let used = |action| plan.default == action || plan.rules.iter().any(|r| r.action == action);
    // The others are as old as seccomp filters.
    for (name, action) in
        [("kill process", Action::KillProcess), ("log", Action::Log), ("notify", Action::Notify)]
    {
        if used(action) && !action_available(action.ret()) {
            return Err(Error::unsupported(format!("seccomp {name} unsupported: by the kernel")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
