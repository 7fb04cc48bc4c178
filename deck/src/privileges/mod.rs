//! The privileges that deck gives up where it reads what others have written.
//!
//! - [`engine`]: capabilities, for every process that runs the engine. No system call filter: the
//!   engine starts shims and with them containers, and a filter is inherited for good (seccomp(2)).
//! - [`files`]: a thread that unpacks a layer or an archive, or reads a container's tree, starts
//!   nothing. It has a filter, and only the capabilities that files need.
//! - [`answers`]: the DNS server is a process of its own, so the filter is the process's.

mod calls;

use crate::error::{Error, Result};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter,
};
use std::collections::BTreeMap;

/// Capabilities of the engine beside those of the shim, which mounts the same kinds of things, by
/// the numbers of linux/capability.h.
const ENGINE: [(&str, u32); 3] = [
    // Ports below 1024: to find out whether one to be published is free.
    ("CAP_NET_BIND_SERVICE", 10),
    // Bridges, addresses and routes.
    ("CAP_NET_ADMIN", 12),
    // A container's root as a thread's root.
    ("CAP_SYS_CHROOT", 18),
];

/// Capabilities of a thread that reads and writes files.
const FILES: [(&str, u32); 8] = [
    ("CAP_CHOWN", 0),
    ("CAP_DAC_OVERRIDE", 1),
    ("CAP_DAC_READ_SEARCH", 2),
    ("CAP_FOWNER", 3),
    ("CAP_FSETID", 4),
    // trusted.* attributes, which are overlay's marks (xattr(7)); the filter keeps it to that.
    ("CAP_SYS_ADMIN", 21),
    ("CAP_MKNOD", 27),
    // security.capability attributes.
    ("CAP_SETFCAP", 31),
];

fn mask(list: &[(&str, u32)]) -> u64 {
    list.iter().fold(0, |mask, (_, number)| mask | 1 << number)
}

fn keep(mask: u64) -> Result<()> {
    hull_shim::diet::keep_to(mask).map_err(|error| Error::internal(error.to_string()))
}

/// Gives up the capabilities the engine does not need, for this thread and those it will start.
/// What root executes has them all again (capabilities(7)).
///
/// # Errors
/// capset(2).
pub fn engine() -> Result<()> {
    keep(hull_shim::diet::kept() | mask(&ENGINE))
}

/// Runs work on a thread of its own that can do nothing but work on files and on what is open.
///
/// # Errors
/// The filter can't be set; those of the work.
pub fn files<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread =
            std::thread::Builder::new().name("files".into()).spawn_scoped(scope, || {
                only_files()?;
                work()
            })?;
        thread.join().unwrap_or_else(|_| Err(Error::internal("a worker died")))
    })
}

/// Confines the calling thread as those of [`files`] are.
///
/// # Errors
/// The filter can't be set.
pub fn only_files() -> Result<()> {
    keep(mask(&FILES))?;
    filter(&[calls::ANY, calls::FILES])
}

/// Confines this process, which has one thread yet, to sockets, threads, and the files it reads.
///
/// # Errors
/// The filter can't be set.
pub fn answers() -> Result<()> {
    filter(&[calls::ANY, calls::ANSWERS])
}

/// Refuses every system call but these with EPERM, and memory that is made executable. Calls by
/// another entry (int 0x80, x32) kill the thread or are not listed.
fn filter(lists: &[&[libc::c_long]]) -> Result<()> {
    let failed = |error: &dyn std::fmt::Display| {
        Error::internal(format!("confine a thread with seccomp(2): {error}"))
    };
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        lists.iter().copied().flatten().map(|call| (*call, Vec::new())).collect();
    for call in calls::MEMORY {
        // The third argument of mmap(2) and mprotect(2).
        let execute = SeccompCmpOp::MaskedEq(libc::PROT_EXEC.unsigned_abs().into());
        let rule = SeccompCondition::new(2, SeccompCmpArgLen::Dword, execute, 0)
            .and_then(|condition| SeccompRule::new(vec![condition]))
            .map_err(|error| failed(&error))?;
        rules.insert(call, vec![rule]);
    }
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let program = std::env::consts::ARCH
        .try_into()
        .and_then(|arch| SeccompFilter::new(rules, refused, SeccompAction::Allow, arch))
        .and_then(BpfProgram::try_from)
        .map_err(|error| failed(&error))?;
    apply_filter(&program).map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind::PermissionDenied;
    use std::process::Command;

    fn status(line: &str) -> u64 {
        let text = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let value = text.lines().find_map(|found| found.strip_prefix(line)).unwrap();
        u64::from_str_radix(value.trim(), 16).unwrap()
    }

    #[test]
    fn the_dangerous_ones_are_not_kept() {
        let engine = hull_shim::diet::kept() | mask(&ENGINE);
        // CAP_SYS_MODULE, CAP_SYS_RAWIO, CAP_SYS_BOOT, CAP_SYS_TIME, CAP_BPF.
        for number in [16, 17, 22, 25, 39] {
            assert_eq!(engine & 1 << number, 0, "{number}");
        }
        assert_eq!((engine.count_ones(), mask(&FILES).count_ones()), (17, 8));
        assert_eq!(mask(&FILES) & !engine, 0);
    }

    #[test]
    fn a_thread_for_files_works_on_files_and_on_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        files(|| {
            std::fs::write(&path, "text")?;
            assert_eq!(std::fs::read_to_string(&path)?, "text");
            std::fs::rename(&path, path.with_extension("new"))?;
            std::fs::remove_file(path.with_extension("new"))?;
            assert_eq!((status("Seccomp:"), status("CapEff:") & !mask(&FILES)), (2, 0));
            let refused = [
                Command::new("true").status().err(),
                std::net::TcpListener::bind("127.0.0.1:0").err(),
                std::os::unix::net::UnixStream::pair().err(),
                std::thread::Builder::new().spawn(|| ()).err(),
                nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS).err().map(Into::into),
                nix::unistd::chroot("/").err().map(Into::into),
                nix::sys::signal::kill(nix::unistd::getpid(), None).err().map(Into::into),
            ];
            for (number, error) in refused.into_iter().enumerate() {
                assert_eq!(error.map(|error| error.kind()), Some(PermissionDenied), "{number}");
            }
            Ok(())
        })
        .unwrap();
        // The one that asked is as it was.
        assert!(Command::new("true").status().unwrap().success());
    }
}
