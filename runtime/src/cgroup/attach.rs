//! Attaching a device program to a cgroup v2 directory.

use super::devices::Rule;
use super::program;
use crate::error::{At, Result};
use crate::sys::bpf;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
use nix::sys::stat::Mode;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Attaches a program for `rules` to the directory, in the place of those that are there unless
/// it is `new`. Programs of parents stay in force: a program can only restrict further.
pub(super) fn attach(path: &Path, rules: &[Rule], new: bool) -> Result<OwnedFd> {
    let dir = directory(path)?;
    let program = load(&program::compile(rules)).at(|| "load the device program")?;
    let old = if new { Vec::new() } else { attached(dir.as_fd())? };
    let context = || format!("attach the device program to {path:?}");
    if let [only] = old.as_slice() {
        // In one step, so that there is no moment without a program. Kernels before 5.6 can't.
        match bpf::attach_device_program(dir.as_fd(), program.as_fd(), Some(only.as_fd())) {
            Err(Errno::EINVAL) => {}
            other => return other.map(|()| program).at(context),
        }
    }
    bpf::attach_device_program(dir.as_fd(), program.as_fd(), None).at(context)?;
    for old in &old {
        bpf::detach_device_program(dir.as_fd(), old.as_fd())
            .at(|| format!("detach an old device program from {path:?}"))?;
    }
    Ok(program)
}

/// Detaches `program` from the directory.
pub(super) fn detach(path: &Path, program: &OwnedFd) -> Result<()> {
    match bpf::detach_device_program(directory(path)?.as_fd(), program.as_fd()) {
        Err(Errno::ENOENT) => Ok(()),
        other => other.at(|| format!("detach the device program from {path:?}")),
    }
}

fn directory(path: &Path) -> Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    open(path, flags, Mode::empty()).at(|| format!("open {path:?}"))
}

/// The programs attached to `dir`, but for those a security module hides.
fn attached(dir: BorrowedFd<'_>) -> Result<Vec<OwnedFd>> {
    let mut programs = Vec::new();
    for id in bpf::device_program_ids(dir).at(|| "list device programs")? {
        match bpf::program_by_id(id) {
            Err(Errno::EPERM | Errno::EACCES | Errno::ENOENT) => {}
            other => programs.push(other.at(|| format!("open device program {id}"))?),
        }
    }
    Ok(programs)
}

/// Before Linux 5.11 programs count as locked memory of their user, and the usual limit is soon
/// reached; it is raised for a second attempt and then put back.
fn load(program: &[bpf::Insn]) -> Result<OwnedFd, Errno> {
    let first = bpf::load_device_program(program);
    let Err(Errno::EPERM) = first else { return first };
    let (soft, hard) = getrlimit(Resource::RLIMIT_MEMLOCK)?;
    if setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY).is_err() {
        return first;
    }
    let second = bpf::load_device_program(program);
    setrlimit(Resource::RLIMIT_MEMLOCK, soft, hard)?;
    second
}
