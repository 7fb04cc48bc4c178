//! Takes away what a case, or the runtime under it, has left.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use nix::mount::{MntFlags, umount2};

use crate::host::Host;
use crate::process;

/// After one case: its orphans, cgroups, mounts and files.
pub fn after(dir: &Path, cgroup: &str, host: &Host, live: &Mutex<Vec<i32>>) {
    clear_cgroups(cgroup, host, || {
        if let Ok(live) = live.lock() {
            process::kill_children(&live);
        }
    });
    unmount(dir);
    // Left in the temporary directory at worst; the run's end tries again.
    let _ = fs::remove_dir_all(dir);
}

/// At the end of a run.
pub fn all(dir: &Path, tag: &str, host: &Host) {
    clear_cgroups(tag, host, || {
        process::kill_children(&[]);
    });
    unmount(dir);
    if let Err(error) = fs::remove_dir_all(dir) {
        eprintln!("hull-conformance: {} is left: {error}", dir.display());
    }
}

/// Kills what is in the cgroups, reaps it, and removes them.
pub fn clear_cgroups(cgroup: &str, host: &Host, reap: impl FnOnce()) {
    empty_cgroups(cgroup, host);
    reap();
    remove_cgroups(cgroup, host);
}

fn directories(cgroup: &str, host: &Host) -> Vec<PathBuf> {
    let below = cgroup.trim_start_matches('/');
    host.hierarchies().into_iter().map(|mount| mount.join(below)).collect()
}

/// Kills what is in the cgroups, frozen or not.
fn empty_cgroups(cgroup: &str, host: &Host) {
    for directory in directories(cgroup, host) {
        for each in tree(&directory) {
            // Only one of these files exists in a version of cgroups.
            let _ = fs::write(each.join("cgroup.kill"), "1");
            for pid in processes(&each) {
                process::kill(pid);
            }
            let _ = fs::write(each.join("freezer.state"), "THAWED");
            let _ = fs::write(each.join("cgroup.freeze"), "0");
        }
    }
}

fn remove_cgroups(cgroup: &str, host: &Host) {
    for directory in directories(cgroup, host) {
        for each in tree(&directory).into_iter().rev() {
            for _ in 0..50 {
                if fs::remove_dir(&each).is_ok() || !each.exists() {
                    break;
                }
                // Killed processes leave their cgroup a moment later.
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
        }
    }
}

fn processes(directory: &Path) -> Vec<i32> {
    let listed = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    listed.lines().filter_map(|line| line.parse().ok()).collect()
}

/// A directory and all below it, parents first.
fn tree(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut all = vec![directory.to_owned()];
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            all.extend(tree(&entry.path()));
        }
    }
    all
}

/// Detaches every mount below a directory, the last one first.
pub fn unmount(dir: &Path) {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let targets = mountinfo.lines().rev().filter_map(|line| line.split(' ').nth(4));
    for target in targets.filter(|target| Path::new(target).starts_with(dir)) {
        // Tried again at the end of the run.
        let _ = umount2(target, MntFlags::MNT_DETACH);
    }
}
