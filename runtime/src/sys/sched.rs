//! Scheduling, memory policy, limits and the session keyring of the calling process.
#![allow(unsafe_code, reason = "these system calls have no safe wrapper, or nix's is too small")]

use nix::errno::Errno;
use nix::libc::{self, c_int, c_long, c_ulong, pid_t};
use std::ffi::CStr;

/// Bits of one word of a kernel bit mask.
const WORD_BITS: usize = c_ulong::BITS as usize;

/// A set of CPU or memory node numbers as the kernel takes it, of any length.
///
/// libc's `cpu_set_t` ends at 1024 while machines do not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mask(Vec<c_ulong>);

impl Mask {
    /// The set of `numbers`.
    pub fn new(numbers: impl IntoIterator<Item = usize>) -> Self {
        let mut words: Vec<c_ulong> = Vec::new();
        for number in numbers {
            let index = number / WORD_BITS;
            if words.len() <= index {
                words.resize(index + 1, 0);
            }
            if let Some(word) = words.get_mut(index) {
                *word |= 1 << (number % WORD_BITS);
            }
        }
        Self(words)
    }

    /// Whether no number is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Whether `number` is in the set.
    pub fn contains(&self, number: usize) -> bool {
        self.0.get(number / WORD_BITS).is_some_and(|word| word >> (number % WORD_BITS) & 1 == 1)
    }
}

/// What sched_setattr(2) takes, without utilisation clamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SchedAttr {
    /// `SCHED_…`.
    pub policy: u32,
    /// `SCHED_FLAG_…`.
    pub flags: u64,
    /// For SCHED_OTHER and SCHED_BATCH.
    pub nice: i32,
    /// For SCHED_FIFO and SCHED_RR.
    pub priority: u32,
    /// Nanoseconds, for SCHED_DEADLINE.
    pub runtime: u64,
    /// Nanoseconds, for SCHED_DEADLINE.
    pub deadline: u64,
    /// Nanoseconds, for SCHED_DEADLINE.
    pub period: u64,
}

/// sched_setattr(2) for the calling thread.
///
/// # Errors
/// EINVAL for values that do not fit the policy, EPERM (also SCHED_DEADLINE in a cpuset), EBUSY.
pub fn sched_setattr(attr: &SchedAttr) -> Result<(), Errno> {
    // SCHED_ATTR_SIZE_VER0 (linux/sched/types.h): the structure as every kernel knows it.
    const SIZE: u32 = 48;
    let attr = libc::sched_attr {
        size: SIZE,
        sched_policy: attr.policy,
        sched_flags: attr.flags,
        sched_nice: attr.nice,
        sched_priority: attr.priority,
        sched_runtime: attr.runtime,
        sched_deadline: attr.deadline,
        sched_period: attr.period,
    };
    // SAFETY: a structure of at least the length its size field says, which outlives the call.
    Errno::result(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attr, 0) })
        .map(drop)
}

/// sched_setaffinity(2) for the calling thread.
///
/// # Errors
/// EINVAL when no CPU of the mask may be used.
pub fn sched_setaffinity(mask: &Mask) -> Result<(), Errno> {
    let bytes = size_of_val(mask.0.as_slice());
    // SAFETY: the pointer and length describe the mask's own words.
    Errno::result(unsafe { libc::syscall(libc::SYS_sched_setaffinity, 0, bytes, mask.0.as_ptr()) })
        .map(drop)
}

/// Lets the calling thread run on all CPUs its cpuset has, now and later: the kernel cuts the mask
/// to those it knows and keeps it for when the cpuset changes.
///
/// # Errors
/// sched_setaffinity(2); not known to happen.
pub fn reset_affinity() -> Result<(), Errno> {
    // The largest NR_CPUS of any architecture.
    static ALL: [u8; 8192 / 8] = [0xff; 8192 / 8];
    // SAFETY: the pointer and length describe the array.
    Errno::result(unsafe { libc::syscall(libc::SYS_sched_setaffinity, 0, ALL.len(), ALL.as_ptr()) })
        .map(drop)
}

/// ioprio_set(2) for the calling thread.
///
/// # Errors
/// EINVAL for an unknown class or level, EPERM for the realtime class.
pub fn ioprio_set(value: u16) -> Result<(), Errno> {
    const IOPRIO_WHO_PROCESS: c_int = 1;
    // SAFETY: plain integers.
    Errno::result(unsafe {
        libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, c_int::from(value))
    })
    .map(drop)
}

/// set_mempolicy(2) for the calling thread; an empty mask is passed as none.
///
/// # Errors
/// EINVAL when mode, flags and nodes do not go together or no node of the mask is allowed.
pub fn set_mempolicy(mode: c_int, nodes: &Mask) -> Result<(), Errno> {
    let (pointer, bits) = if nodes.is_empty() {
        (std::ptr::null(), 0)
    } else {
        // The kernel reads one bit less than it is told (set_mempolicy(2), BUGS in maxnode).
        (nodes.0.as_ptr(), nodes.0.len() * WORD_BITS + 1)
    };
    // SAFETY: null with zero bits, or the mask's own words.
    Errno::result(unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, pointer, bits) }).map(drop)
}

/// personality(2).
///
/// # Errors
/// EINVAL.
pub fn personality(domain: c_ulong) -> Result<(), Errno> {
    // SAFETY: a plain integer.
    Errno::result(unsafe { libc::syscall(libc::SYS_personality, domain) }).map(drop)
}

/// prlimit(2), setting only; `pid` 0 is the caller.
///
/// # Errors
/// EPERM for a hard limit above the present one without CAP_SYS_RESOURCE; EINVAL when the soft
/// limit exceeds the hard one.
pub fn set_rlimit(pid: pid_t, resource: u32, soft: u64, hard: u64) -> Result<(), Errno> {
    let limit = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    let none = std::ptr::null_mut::<libc::rlimit64>();
    // SAFETY: `limit` outlives the call; a null old limit is allowed. The raw call because the
    // type of the resource argument differs between C libraries.
    Errno::result(unsafe {
        libc::syscall(libc::SYS_prlimit64, pid, resource, &raw const limit, none)
    })
    .map(drop)
}

/// A key's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key(c_long);

/// Joins the session keyring of that name, made if it does not exist; keyctl(2)
/// KEYCTL_JOIN_SESSION_KEYRING.
///
/// # Errors
/// EDQUOT (the user's key quota), ENOSYS without key support, EACCES.
pub fn join_session_keyring(name: &CStr) -> Result<Key, Errno> {
    // SAFETY: a NUL-terminated name that outlives the call.
    Errno::result(unsafe {
        libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr())
    })
    .map(Key)
}

/// Adds permission bits to a key: keyctl(2) KEYCTL_DESCRIBE, then KEYCTL_SETPERM.
///
/// # Errors
/// EACCES, and EINVAL when the kernel's description can't be read.
pub fn grant_on_key(key: Key, bits: u32) -> Result<(), Errno> {
    // "keyring;uid;gid;permissions;name": the name, ours, is the only long part.
    let mut text = [0u8; 512];
    // SAFETY: the kernel writes at most `text.len()` bytes.
    let length = Errno::result(unsafe {
        libc::syscall(libc::SYS_keyctl, libc::KEYCTL_DESCRIBE, key.0, text.as_mut_ptr(), text.len())
    })?;
    let length = usize::try_from(length).unwrap_or_default().min(text.len());
    let now = key_permissions(text.get(..length).unwrap_or_default()).ok_or(Errno::EINVAL)?;
    if now & bits == bits {
        return Ok(());
    }
    // SAFETY: plain integers.
    Errno::result(unsafe {
        libc::syscall(libc::SYS_keyctl, libc::KEYCTL_SETPERM, key.0, now | bits)
    })
    .map(drop)
}

/// The permissions field of a key's description.
fn key_permissions(description: &[u8]) -> Option<u32> {
    let field = description.split(|byte| *byte == b';').nth(3)?;
    u32::from_str_radix(std::str::from_utf8(field).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_have_any_length() {
        let mask = Mask::new([0, 5, 2000]);
        assert_eq!(mask.0.len(), 2000 / WORD_BITS + 1);
        assert_eq!(mask.0.first(), Some(&0b10_0001));
        assert!(mask.contains(2000) && mask.contains(5));
        assert!(!mask.contains(1999) && !mask.contains(1_000_000));
        assert!(Mask::default().is_empty() && !mask.is_empty());
    }

    #[test]
    fn schedulers_reach_the_kernel() {
        // SCHED_BATCH at nice 19 is open to all; the test's own thread only.
        let batch = SchedAttr { policy: 3, nice: 19, ..SchedAttr::default() };
        assert_eq!(sched_setattr(&batch), Ok(()));
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        // Fields 19 and 41 of proc(5), counted after the command's name: nice, policy.
        let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        assert_eq!((fields.get(16), fields.get(38)), (Some(&"19"), Some(&"3")));
        let unknown = SchedAttr { policy: 99, ..SchedAttr::default() };
        assert_eq!(sched_setattr(&unknown), Err(Errno::EINVAL));
    }

    #[test]
    fn affinity_can_be_set_beyond_1024() {
        // CPU 0 exists on every machine this could run on, but a cpuset may exclude it.
        let allowed = nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0)).unwrap();
        let mine = (0..1024).filter(|cpu| allowed.is_set(*cpu) == Ok(true));
        assert_eq!(sched_setaffinity(&Mask::new(mine.chain([5000]))), Ok(()));
        assert_eq!(sched_setaffinity(&Mask::new([60_000])), Err(Errno::EINVAL));
    }

    #[test]
    fn best_effort_io_priority_is_open_to_all() {
        assert_eq!(ioprio_set(2 << 13 | 4), Ok(()));
        assert_eq!(ioprio_set(7 << 13), Err(Errno::EINVAL));
    }

    #[test]
    fn limits_can_be_lowered() {
        let resource = nix::sys::resource::Resource::RLIMIT_CORE;
        let (_, hard) = nix::sys::resource::getrlimit(resource).unwrap();
        assert_eq!(set_rlimit(0, resource as u32, 0, hard), Ok(()));
        assert_eq!(nix::sys::resource::getrlimit(resource), Ok((0, hard)));
        assert_eq!(set_rlimit(0, 999, 0, 0), Err(Errno::EINVAL));
    }

    #[test]
    fn key_descriptions() {
        assert_eq!(key_permissions(b"keyring;0;0;3f130000;_ses.x\0"), Some(0x3f13_0000));
        assert_eq!(key_permissions(b"keyring;0;0"), None);
        assert_eq!(key_permissions(b"keyring;0;0;zz;"), None);
    }
}
