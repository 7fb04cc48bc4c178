//! Network namespaces that outlive processes: files a namespace is mounted on.
//!
//! A container's namespace is made before its first process, so that addresses and ports are there
//! when it starts, and config.json names the file. Nothing of it depends on a living process, so it
//! can be removed whatever was killed (network_namespaces(7), `ip netns`).

use crate::error::{At, Error, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::statfs::{NSFS_MAGIC, statfs};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;

/// The calling thread's own namespace; `/proc/self` would be the main thread's.
const OWN: &str = "/proc/thread-self/ns/net";

/// Makes an empty namespace, with its loopback device up, mounted on `path`.
///
/// # Errors
/// `path` can't be made or is in use (409), or the kernel refuses a namespace.
pub fn create(path: &Path) -> Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).at(|| format!("mkdir {}", directory.display()))?;
    }
    let made = OpenOptions::new().write(true).create_new(true).mode(0o444).open(path);
    match made {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            if is_mounted(path) {
                let path = path.display();
                return Err(Error::conflict(format!("network namespace {path} is in use")));
            }
        }
        Err(error) => return Err(error).at(|| format!("create {}", path.display())),
    }
    let result = in_thread(|| {
        unshare(CloneFlags::CLONE_NEWNET).at(|| "unshare the network namespace")?;
        super::link::loopback_up()?;
        mount(Some(OWN), path, None::<&str>, MsFlags::MS_BIND, None::<&str>)
            .at(|| format!("mount a network namespace on {}", path.display()))
    });
    if result.is_err() {
        let _ = fs::remove_file(path);
    }
    result
}

/// Unmounts and removes `path`. What is in the namespace goes with its last process.
/// Nothing there is no error.
///
/// # Errors
/// The kernel refuses.
pub fn remove(path: &Path) -> Result<()> {
    // More than one mount may be on top of each other after a kill between two steps.
    while is_mounted(path) {
        umount2(path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW)
            .at(|| format!("unmount {}", path.display()))?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).at(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Whether a namespace is mounted on `path`.
pub fn is_mounted(path: &Path) -> bool {
    statfs(path).is_ok_and(|stat| stat.filesystem_type() == NSFS_MAGIC)
}

/// Runs `f` with the namespace at `path` entered: in a thread of its own, for only a thread is in
/// a namespace, and this one never comes back to other work. Processes it starts are in there too.
///
/// # Errors
/// The namespace can't be entered, or `f` fails.
pub fn inside<T: Send>(path: &Path, f: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let file = File::open(path).at(|| format!("open network namespace {}", path.display()))?;
    in_thread(|| {
        setns(&file, CloneFlags::CLONE_NEWNET)
            .at(|| format!("enter network namespace {}", path.display()))?;
        f()
    })
}

fn in_thread<T: Send>(f: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("netns".into()).spawn_scoped(scope, f)?;
        thread.join().unwrap_or_else(|_| Err(Error::internal("network thread ended early")))
    })
}
