//! From the C library's `main` to ours, without the start of Rust's runtime library.
//!
//! That start makes some ten system calls (a guard page and a signal stack that tell of stack
//! overflows, which the kernel's SIGSEGV tells as well), twice for a command that executes itself
//! anew from a sealed binary. What of it Hull relies on is done here.
#![allow(unsafe_code, reason = "argv as C passes it")]

use nix::libc::{self, c_char, c_int};
use nix::sys::signal::{SigHandler, Signal, signal};
use std::ffi::{CStr, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::sync::OnceLock;

static ARGUMENTS: OnceLock<Vec<OsString>> = OnceLock::new();

/// Prepares the process: the arguments and open standard descriptors.
///
/// # Safety
/// `argv` is what the C library passes to `main`: `argc` strings.
pub unsafe fn prepare(argc: c_int, argv: *const *const c_char) {
    let count = usize::try_from(argc).unwrap_or_default();
    let arguments = (0..count).map(|index| {
        // SAFETY: the caller's promise.
        let word = unsafe { CStr::from_ptr(*argv.add(index)) };
        OsStr::from_bytes(word.to_bytes()).to_owned()
    });
    // Only the first call counts, and there is one.
    let _ = ARGUMENTS.set(arguments.collect());
    open_standard_descriptors();
}

/// Makes of SIGPIPE an error of write(2).
pub fn ignore_sigpipe() {
    // SAFETY: no function of this program is installed. An error is impossible for SIGPIPE.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) };
}

/// Ends the process without the C library's last steps, which have nothing to do here: output is
/// written by then, and the kernel takes back the rest.
pub fn exit(code: u8) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(code.into()) }
}

/// The words of the command line, the program's name first.
pub fn arguments() -> &'static [OsString] {
    ARGUMENTS.get().map_or(&[], Vec::as_slice)
}

/// A file opened by a process without, say, standard error would become its standard error.
fn open_standard_descriptors() {
    let entry = |fd| libc::pollfd { fd, events: 0, revents: 0 };
    let mut fds = [entry(0), entry(1), entry(2)];
    // SAFETY: three entries, on this stack. One call tells of all three.
    if unsafe { libc::poll(fds.as_mut_ptr(), 3, 0) } <= 0 {
        return;
    }
    for closed in fds.iter().filter(|fd| fd.revents & libc::POLLNVAL != 0) {
        // SAFETY: a constant path; the lowest free number is the closed one, for lower ones are
        // open by now. It stays open for good.
        let opened = unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) };
        if opened != closed.fd {
            // SAFETY: nothing has been set up that would want to be torn down.
            unsafe { libc::_exit(1) };
        }
    }
}
