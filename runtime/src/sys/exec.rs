//! execve(2) with prepared vectors, and leaving a forked child.
#![allow(unsafe_code, reason = "execve(2), execveat(2) and _exit(2) with prepared arrays")]

use nix::errno::Errno;
use nix::libc;
use std::convert::Infallible;
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd};

/// A NULL-terminated array of C strings, as execve(2) wants it.
pub struct Vector {
    pointers: Vec<*const libc::c_char>,
    /// What the pointers point into; never touched again, so it does not move.
    _strings: Vec<CString>,
}

impl Vector {
    /// Takes the strings and builds the array once, so that nothing is allocated after the clone.
    pub fn new(strings: Vec<CString>) -> Self {
        let pointers =
            strings.iter().map(|s| s.as_ptr()).chain(std::iter::once(std::ptr::null())).collect();
        Self { pointers, _strings: strings }
    }
}

/// execve(2); returns only on failure.
///
/// # Errors
/// Whatever execve(2) answers.
pub fn execve(path: &CStr, arguments: &Vector, environment: &Vector) -> Result<Infallible, Errno> {
    // SAFETY: both arrays are NULL-terminated and point to strings owned by their Vector.
    unsafe {
        libc::execve(path.as_ptr(), arguments.pointers.as_ptr(), environment.pointers.as_ptr())
    };
    Err(Errno::last())
}

/// execveat(2) of the file `fd` itself, with this process' own environment.
///
/// # Errors
/// Whatever execveat(2) answers.
pub fn execute_fd(fd: BorrowedFd<'_>, arguments: &Vector) -> Result<Infallible, Errno> {
    unsafe extern "C" {
        static environ: *const *const libc::c_char;
    }
    // SAFETY: `environ` is the process environment, changed by nobody in this single-threaded
    // program; the arguments are NULL-terminated; the path is empty and static.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            fd.as_raw_fd(),
            c"".as_ptr(),
            arguments.pointers.as_ptr(),
            environ,
            libc::AT_EMPTY_PATH,
        )
    };
    Err(Errno::last())
}

/// Ends a forked child at once, without the parent's exit handlers.
pub fn exit_child(status: i32) -> ! {
    // SAFETY: _exit(2) does not return and runs nothing of the parent's.
    unsafe { libc::_exit(status) }
}
