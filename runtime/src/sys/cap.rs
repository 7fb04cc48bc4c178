//! Capability sets of the calling thread: capset(2) and prctl(2).
#![allow(unsafe_code, reason = "capset(2), and prctl(2) options nix lacks")]

use nix::errno::Errno;
use nix::libc;

const LINUX_CAPABILITY_VERSION_3: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: libc::c_int,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Sets the three sets of capset(2); bit n is capability n.
///
/// # Errors
/// EPERM when a set grows beyond what is allowed.
pub fn set(effective: u64, permitted: u64, inheritable: u64) -> Result<(), Errno> {
    let header = Header { version: LINUX_CAPABILITY_VERSION_3, pid: 0 };
    let half = |shift: u32| {
        let part = |set: u64| u32::try_from((set >> shift) & 0xffff_ffff).unwrap_or_default();
        Data {
            effective: part(effective),
            permitted: part(permitted),
            inheritable: part(inheritable),
        }
    };
    let data = [half(0), half(32)];
    // SAFETY: version 3 takes two data elements; both structures outlive the call.
    Errno::result(unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) })
        .map(drop)
}

/// The permitted set.
///
/// # Errors
/// None known.
pub fn permitted() -> Result<u64, Errno> {
    let header = Header { version: LINUX_CAPABILITY_VERSION_3, pid: 0 };
    let mut data = [Data { effective: 0, permitted: 0, inheritable: 0 }; 2];
    // SAFETY: version 3 fills two data elements; both structures outlive the call.
    Errno::result(unsafe {
        libc::syscall(libc::SYS_capget, &raw const header, data.as_mut_ptr())
    })?;
    let [low, high] = data;
    Ok(u64::from(low.permitted) | u64::from(high.permitted) << 32)
}

/// Drops one capability from the bounding set.
///
/// # Errors
/// EINVAL for a number the kernel does not know, EPERM without CAP_SETPCAP.
pub fn drop_bounding(capability: u32) -> Result<(), Errno> {
    prctl(libc::PR_CAPBSET_DROP, capability.into(), 0)
}

/// Raises one capability in the ambient set.
///
/// # Errors
/// EPERM when it is not both permitted and inheritable.
pub fn raise_ambient(capability: u32) -> Result<(), Errno> {
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE as libc::c_ulong, capability.into())
}

/// Clears the ambient set.
///
/// # Errors
/// EINVAL before Linux 4.3.
pub fn clear_ambient() -> Result<(), Errno> {
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong, 0)
}

/// Keeps the permitted set when all user ids change from 0.
///
/// # Errors
/// EPERM with locked securebits.
pub fn keep_on_setuid(on: bool) -> Result<(), Errno> {
    prctl(libc::PR_SET_KEEPCAPS, libc::c_ulong::from(on), 0)
}

/// The signal sent when the parent dies; 0 for none.
///
/// # Errors
/// EINVAL for an unknown signal.
pub fn set_parent_death_signal(signal: i32) -> Result<(), Errno> {
    prctl(libc::PR_SET_PDEATHSIG, libc::c_ulong::try_from(signal).unwrap_or_default(), 0)
}

/// Whether /proc/PID of this process can be opened, and it traced, by others of the same user.
///
/// # Errors
/// None known.
pub fn set_dumpable(on: bool) -> Result<(), Errno> {
    prctl(libc::PR_SET_DUMPABLE, libc::c_ulong::from(on), 0)
}

/// No new privileges by execve, for good.
///
/// # Errors
/// None known.
pub fn set_no_new_privs() -> Result<(), Errno> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0)
}

/// Orphaned descendants become children of this process.
///
/// # Errors
/// None known.
pub fn set_child_subreaper() -> Result<(), Errno> {
    prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0)
}

fn prctl(option: libc::c_int, argument: libc::c_ulong, second: libc::c_ulong) -> Result<(), Errno> {
    let zero: libc::c_ulong = 0;
    // SAFETY: the options above take integers only.
    Errno::result(unsafe { libc::prctl(option, argument, second, zero, zero) }).map(drop)
}

/// CAP_CHECKPOINT_RESTORE, the last one so far.
const LIKELY: u32 = 40;

/// The highest capability the running kernel knows.
pub fn last() -> u32 {
    // prctl(PR_CAPBSET_READ) answers EINVAL above the last one; binary search takes six calls.
    let known = |capability: u32| {
        // SAFETY: reads one bit by number.
        unsafe { libc::prctl(libc::PR_CAPBSET_READ, libc::c_ulong::from(capability), 0, 0, 0) >= 0 }
    };
    // Two calls on all kernels since Linux 5.9.
    if known(LIKELY) && !known(LIKELY + 1) {
        return LIKELY;
    }
    let (mut low, mut high): (u32, u32) = (37, 63);
    while low < high {
        let middle = (low + high).div_ceil(2);
        if known(middle) { low = middle } else { high = middle - 1 }
    }
    low
}
