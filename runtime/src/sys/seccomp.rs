//! seccomp(2).
#![allow(
    unsafe_code,
    reason = "nix has no seccomp(2), and a symbol of the C library is provided to libseccomp"
)]

use nix::errno::Errno;
use std::os::fd::{FromRawFd, OwnedFd};

/// Size of `struct sock_filter`, one instruction.
pub const INSN_SIZE: usize = size_of::<libc::sock_filter>();

/// The most instructions the kernel takes (`BPF_MAXINSNS`).
pub const MAX_INSNS: usize = 4096;

/// The one flag that can be used only together with [`NEW_LISTENER`].
pub const WAIT_KILLABLE_RECV: u32 = flag(libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);

/// The filter's notifications are read from a file descriptor that [`load`] returns.
pub const NEW_LISTENER: u32 = flag(libc::SECCOMP_FILTER_FLAG_NEW_LISTENER);

/// All threads of the process get the filter.
pub const TSYNC: u32 = flag(libc::SECCOMP_FILTER_FLAG_TSYNC);

/// The speculative store bypass mitigation stays off.
pub const SPEC_ALLOW: u32 = flag(libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW);

/// Actions other than allow are logged.
pub const LOG: u32 = flag(libc::SECCOMP_FILTER_FLAG_LOG);

/// libc gives the flags the type of the C header's literals; the system call takes an int.
#[allow(clippy::cast_possible_truncation, reason = "all flags are below 1 << 32")]
const fn flag(value: libc::c_ulong) -> u32 {
    value as u32
}

/// Installs the program `bpf`, an array of `struct sock_filter`, in the calling thread; returns
/// the notification fd (close-on-exec) when `flags` has [`NEW_LISTENER`].
///
/// Needs no_new_privs or CAP_SYS_ADMIN in the thread's user namespace. Allocates nothing, so that
/// a forked child may call it.
pub fn load(bpf: &[u8], flags: u32) -> Result<Option<OwnedFd>, Errno> {
    if !bpf.len().is_multiple_of(INSN_SIZE) {
        return Err(Errno::EINVAL);
    }
    let len = u16::try_from(bpf.len() / INSN_SIZE).map_err(|_| Errno::EINVAL)?;
    #[allow(clippy::cast_ptr_alignment, reason = "only the kernel reads it, as bytes of a user")]
    let filter = bpf.as_ptr().cast_mut().cast::<libc::sock_filter>();
    let program = libc::sock_fprog { len, filter };
    // SAFETY: `program` names `len` instructions of `bpf`, which lives until the call returns; the
    // kernel copies them and writes nothing.
    let ret = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
    };
    let ret = Errno::result(ret)?;
    if flags & NEW_LISTENER != 0 {
        let fd = i32::try_from(ret).map_err(|_| Errno::EBADF)?;
        // SAFETY: the call succeeded with NEW_LISTENER, so it made this fd and nobody else has it.
        return Ok(Some(unsafe { OwnedFd::from_raw_fd(fd) }));
    }
    // With TSYNC a positive value is the thread that could not be synchronised; nothing is loaded.
    if ret > 0 { Err(Errno::ESRCH) } else { Ok(None) }
}

/// Whether the kernel knows the filter flag.
///
/// The kernel looks at the flags first and at the program after that, so a null program gives
/// EFAULT where the flag is known and EINVAL where it is not, and is never loaded.
pub fn flag_supported(flag: u32) -> bool {
    let flags = if flag == WAIT_KILLABLE_RECV { flag | NEW_LISTENER } else { flag };
    let null = std::ptr::null::<libc::sock_fprog>();
    // SAFETY: a null program is refused by the kernel; no memory is read or written.
    let ret =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, null) };
    Errno::result(ret) == Err(Errno::EFAULT)
}

/// Whether the kernel knows the action `SECCOMP_RET_…`.
pub fn action_available(action: u32) -> bool {
    // SAFETY: the kernel reads one u32 from the pointer and writes nothing.
    let ret = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action)
    };
    ret == 0
}

/// Lets a libseccomp.a built against glibc with `_FORTIFY_SOURCE` (Debian's) link with musl, which
/// has no `__fprintf_chk`. libseccomp calls it only to dump a filter as text
/// (`seccomp_export_pfc`), which Hull never asks for; the dump would fail with an output error.
///
/// The true function is variadic. Stable Rust can't define one, but in the C ABIs of all Linux
/// targets with musl the named arguments of a variadic function are passed as those of any other
/// and the caller cleans up, so a callee that ignores the rest is right.
#[cfg(target_env = "musl")]
// SAFETY: musl reserves the name for the implementation but does not define it, and the signature
// is that of glibc's function in the sense above.
#[unsafe(no_mangle)]
extern "C" fn __fprintf_chk(
    _stream: *mut libc::FILE,
    _flag: libc::c_int,
    _format: *const libc::c_char,
) -> libc::c_int {
    -1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seccomp::insn::{Insn, encode};

    /// Runs `child` in a forked process with no_new_privs; its return value is the exit status.
    fn in_child(child: impl FnOnce() -> i32) -> i32 {
        // SAFETY: the child makes only system calls, as a fork of a threaded process must.
        match unsafe { libc::fork() } {
            0 => {
                // SAFETY: plain integers.
                let ret = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
                let status = if ret == 0 { child() } else { 99 };
                // SAFETY: ends the process without running the parent's exit handlers.
                unsafe { libc::_exit(status) }
            }
            pid => {
                let mut status = 0;
                // SAFETY: `status` is a valid place for the result.
                assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
                assert!(libc::WIFEXITED(status), "status {status:#x}");
                libc::WEXITSTATUS(status)
            }
        }
    }

    /// uname(2) gives `action`, everything else is allowed.
    fn uname_filter(action: u32) -> Vec<u8> {
        let nr = u32::try_from(libc::SYS_uname).unwrap();
        encode(&[
            Insn::load(0),
            Insn::jump_equal(nr, 0, 1),
            Insn::ret(action),
            Insn::ret(libc::SECCOMP_RET_ALLOW),
        ])
    }

    fn uname() -> Result<(), Errno> {
        let mut name = std::mem::MaybeUninit::<libc::utsname>::uninit();
        // SAFETY: the kernel fills the structure, which nobody reads.
        Errno::result(unsafe { libc::uname(name.as_mut_ptr()) }).map(drop)
    }

    #[test]
    fn a_loaded_filter_decides() {
        let errno = 77;
        let bpf = uname_filter(libc::SECCOMP_RET_ERRNO | errno);
        let status = in_child(|| match load(&bpf, SPEC_ALLOW) {
            Ok(None) => uname().err().map_or(1, |errno| errno as i32),
            _ => 2,
        });
        assert_eq!(status, 77);
        assert_eq!(uname(), Ok(()));
    }

    #[test]
    fn the_listener_is_returned_close_on_exec() {
        use std::os::fd::AsRawFd;
        let bpf = uname_filter(libc::SECCOMP_RET_USER_NOTIF);
        let status = in_child(|| match load(&bpf, NEW_LISTENER) {
            // SAFETY: asks for the flags of an open fd.
            Ok(Some(fd)) => unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFD) },
            _ => 2,
        });
        assert_eq!(status, libc::FD_CLOEXEC);
    }

    #[test]
    fn refuses_what_is_no_program() {
        assert_eq!(load(&[], 0).unwrap_err(), Errno::EINVAL);
        assert_eq!(load(&[0; 7], 0).unwrap_err(), Errno::EINVAL);
        assert_eq!(load(&vec![0; 8 * 65536], 0).unwrap_err(), Errno::EINVAL);
        // One instruction that does not return.
        let status = in_child(|| load(&[0; 8], 0).err().map_or(0, |errno| errno as i32));
        assert_eq!(status, libc::EINVAL);
    }

    #[test]
    fn probes() {
        for flag in [TSYNC, LOG, SPEC_ALLOW, NEW_LISTENER] {
            assert!(flag_supported(flag), "{flag:#x}");
        }
        assert!(!flag_supported(1 << 30));
        assert!(action_available(libc::SECCOMP_RET_ERRNO));
        assert!(!action_available(0x1234_0000));
    }
}
