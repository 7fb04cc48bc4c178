//! ENOSYS for system calls that are newer than the profile.
//!
//! C libraries try a new system call and fall back to an older one on ENOSYS, and on nothing else.
//! A profile that fails unknown calls with EPERM, or kills, breaks every program that is newer
//! than it. So the filter starts with a stub: per architecture, numbers greater than the greatest
//! one the profile names get ENOSYS. Same rules as runc (since 1.0.0-rc93), whose behaviour
//! engines count on.

use super::compile::native;
use super::insn::{ARCH, Insn, NR, X32_BIT, encode};
use crate::plan::seccomp::{Action, Arch, FilterPlan};
use libseccomp::{ScmpArch, ScmpSyscall};

/// The greatest system call number a profile names on an architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Horizon {
    /// The architecture.
    pub arch: &'static Arch,
    /// The number; x32's with its marker bit.
    pub last: u32,
}

const RET_ENOSYS: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs();

/// The greatest number on each architecture of the filter, whatever the action. Architectures
/// where the profile names nothing have none.
pub fn horizons(plan: &FilterPlan) -> Vec<Horizon> {
    let mut archs = plan.archs.clone();
    // Docker's profile does not name the native architecture on some machines.
    archs.extend(native().ok().filter(|native| !plan.archs.contains(native)));
    let last = |arch: &Arch| {
        let names = plan.rules.iter().flat_map(|rule| rule.names.iter());
        let numbers = names
            .filter_map(|name| ScmpSyscall::from_name_by_arch(name, arch.scmp).ok())
            // Names the architecture lacks have negative pseudo-numbers.
            .filter_map(|syscall| u32::try_from(syscall.as_raw_syscall()).ok());
        // Number 0 alone is none either, as with runc.
        numbers.max().filter(|&last| last > 0)
    };
    archs.iter().filter_map(|&arch| last(arch).map(|last| Horizon { arch, last })).collect()
}

/// The stub for a filter with this default action; it falls through to the program behind it.
pub fn stub(default: Action, horizons: &[Horizon]) -> Vec<u8> {
    // Allowed calls reach the kernel, which answers ENOSYS itself if need be; a tracer may emulate
    // what the kernel does not know.
    if matches!(default, Action::Allow | Action::Log | Action::Trace(_))
        || default.ret() == RET_ENOSYS
    {
        return Vec::new();
    }
    let mut audits: Vec<u32> = horizons.iter().map(|horizon| horizon.arch.audit).collect();
    audits.sort_unstable();
    audits.dedup();
    // From the end, because a section ends with a jump over all that follow it.
    let mut tail: Vec<Insn> = Vec::new();
    for &audit in audits.iter().rev() {
        let mut section = section(horizons.iter().filter(|horizon| horizon.arch.audit == audit));
        section.push(Insn::jump(u32::try_from(tail.len()).unwrap_or(u32::MAX)));
        let skip = u8::try_from(section.len()).unwrap_or(u8::MAX);
        section.insert(0, Insn::jump_equal(audit, 0, skip));
        section.append(&mut tail);
        tail = section;
    }
    if !tail.is_empty() {
        tail.insert(0, Insn::load(ARCH));
    }
    encode(&tail)
}

/// The checks for the horizons of one kernel architecture: one, or x86-64's and x32's.
fn section<'a>(horizons: impl Iterator<Item = &'a Horizon>) -> Vec<Insn> {
    let mut section = vec![Insn::load(NR)];
    for horizon in horizons {
        match horizon.arch.scmp {
            ScmpArch::X8664 => section.push(Insn::jump_any_bit(X32_BIT, 2, 0)),
            ScmpArch::X32 => section.push(Insn::jump_any_bit(X32_BIT, 0, 2)),
            // Calls the kernel does not know come as number 0 there, setup(2), which is gone
            // for decades: the entry code has only eight bits for the number and puts greater
            // ones elsewhere.
            ScmpArch::S390 | ScmpArch::S390X => {
                section.extend([Insn::jump_equal(0, 0, 1), Insn::ret(RET_ENOSYS)]);
            }
            _ => {}
        }
        section.extend([Insn::jump_greater(horizon.last, 0, 1), Insn::ret(RET_ENOSYS)]);
    }
    section
}
