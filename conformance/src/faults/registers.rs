//! System calls in a stopped process' registers.

use nix::errno::Errno;
use nix::unistd::Pid;

#[cfg(target_arch = "x86_64")]
mod own {
    use super::{Errno, Pid};
    use nix::sys::ptrace::{getregs, setregs};

    /// The number of the call it is about to make.
    pub fn number(pid: Pid) -> Result<u64, Errno> {
        getregs(pid).map(|registers| registers.orig_rax)
    }

    /// Lets the call not be made (ptrace(2): a number that does not exist).
    pub fn skip(pid: Pid) -> Result<(), Errno> {
        let mut registers = getregs(pid)?;
        registers.orig_rax = u64::MAX;
        setregs(pid, registers)
    }

    /// Puts an error in the place of the call's result.
    pub fn fail(pid: Pid, errno: Errno) -> Result<(), Errno> {
        let mut registers = getregs(pid)?;
        registers.rax = i64::from(-(errno as i32)).cast_unsigned();
        setregs(pid, registers)
    }
}

/// Elsewhere the registers have other names: the sweeps need x86_64 and are skipped.
#[cfg(not(target_arch = "x86_64"))]
mod own {
    use super::{Errno, Pid};

    pub fn number(_: Pid) -> Result<u64, Errno> {
        Err(Errno::ENOSYS)
    }

    pub fn skip(_: Pid) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }

    pub fn fail(_: Pid, _: Errno) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }
}

pub use own::{fail, number, skip};
