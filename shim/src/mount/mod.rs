//! The root file system: mounted before `create`, unmounted after `delete`.

mod idmap;
mod options;

use crate::error::{At, Error, Result};
use crate::proto::Mount;
use crate::sys;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::Mode;
use nix::unistd::{SysconfVar, fchdir, sysconf};
use options::{Plan, shorten};
use std::fs;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Mounts a snapshot at `rootfs`; undoes what it did when one of the mounts fails.
///
/// # Errors
/// Options that make no sense, or mount(2)'s.
pub fn mount_all(mounts: &[Mount], rootfs: &Path) -> Result<()> {
    for entry in mounts {
        let done = target(rootfs, &entry.target).and_then(|(target, _hold)| one(entry, &target));
        if let Err(error) = done {
            let _ = unmount_all(rootfs);
            return Err(error)
                .at(|| format!("mount rootfs component {} {}", entry.r#type, entry.source));
        }
    }
    Ok(())
}

/// A place below `rootfs`, resolved without leaving it, as a path by descriptor.
fn target(rootfs: &Path, below: &str) -> Result<(PathBuf, Option<std::os::fd::OwnedFd>)> {
    let below = below.trim_start_matches('/');
    if below.is_empty() {
        return Ok((rootfs.to_owned(), None));
    }
    let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
    let root = open(rootfs, flags | OFlag::O_DIRECTORY, Mode::empty())
        .at(|| format!("open {}", rootfs.display()))?;
    let how = OpenHow::new()
        .flags(flags)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let found = openat2(&root, below, how).at(|| format!("open {below} in the root"))?;
    Ok((PathBuf::from(format!("/proc/self/fd/{}", found.as_raw_fd())), Some(found)))
}

fn one(entry: &Mount, target: &Path) -> Result<()> {
    let plan = Plan::new(&entry.options)?;
    if let Some(kind) =
        entry.r#type.strip_prefix("fuse3.").or_else(|| entry.r#type.strip_prefix("fuse."))
    {
        return fuse(entry, kind, target);
    }
    if let Some((uids, gids)) = &plan.idmap {
        return idmap::mount(entry, &plan, uids, gids, target);
    }
    effect(entry, &plan, target)
}

/// The calls of a plan.
fn effect(entry: &Mount, plan: &Plan, target: &Path) -> Result<()> {
    let page = sysconf(SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4096);
    let page = usize::try_from(page).unwrap_or(4096);
    let data = plan.data.join(",");
    if data.len() < page {
        call(entry, plan.flags, &data, target)?;
    } else {
        let (dir, data) = shorten(&plan.data).ok_or_else(|| {
            Error::invalid(format!("options of {} bytes: mount(2) takes {page}", data.len()))
        })?;
        in_directory(Path::new(&dir), || call(entry, plan.flags, &data.join(","), target))?;
    }
    let none: Option<&str> = None;
    if let Some(flags) = plan.remount {
        mount(none, target, none, flags, none).at(|| format!("remount {}", target.display()))?;
    }
    if let Some(flags) = plan.propagation {
        mount(none, target, none, flags, none)
            .at(|| format!("set propagation of {}", target.display()))?;
    }
    Ok(())
}

fn call(entry: &Mount, flags: MsFlags, data: &str, target: &Path) -> Result<()> {
    let source = Some(entry.source.as_str());
    let data = (!data.is_empty()).then_some(data);
    mount(source, target, Some(entry.r#type.as_str()), flags, data)
        .at(|| format!("mount at {}", target.display()))
}

/// Runs `body` with another working directory. There is one thread: nobody else notices.
fn in_directory(dir: &Path, body: impl FnOnce() -> Result<()>) -> Result<()> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_PATH;
    let old = open(".", flags, Mode::empty()).at(|| "open the working directory".to_owned())?;
    std::env::set_current_dir(dir).at(|| format!("change to {}", dir.display()))?;
    let done = body();
    fchdir(&old).at(|| "change back".to_owned())?;
    done
}

/// File systems in user space bring a helper: mount.fuse3(8).
fn fuse(entry: &Mount, kind: &str, target: &Path) -> Result<()> {
    let mut command = sys::command("mount.fuse3");
    command.arg(&entry.source).arg(target);
    if !entry.options.is_empty() {
        command.args(["-o", &entry.options.join(",")]);
    }
    let ended = command
        .args(["-t", kind])
        .stdin(Stdio::null())
        .output()
        .at(|| "run mount.fuse3".to_owned())?;
    if ended.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    Err(Error::unknown(format!("mount.fuse3: {}", said.trim().replace('\n', "; "))))
}

/// Unmounts all that is mounted at and below `rootfs`; nothing there is fine. Links are not
/// followed: the bundle is containerd's, but what is mounted in it is not.
///
/// # Errors
/// umount2(2), other than that nothing is mounted.
pub fn unmount_all(rootfs: &Path) -> Result<()> {
    loop {
        // Detaching takes what is mounted below with it.
        match umount2(rootfs, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
            Ok(()) | Err(Errno::EINTR) => {}
            Err(Errno::EINVAL | Errno::ENOENT) => return unmount_below(rootfs),
            Err(errno) => {
                return Err(errno).at(|| format!("unmount {}", rootfs.display()));
            }
        }
    }
}

/// Mounts below a directory that is no mount itself.
fn unmount_below(rootfs: &Path) -> Result<()> {
    let text = fs::read_to_string("/proc/self/mountinfo").at(|| "read mountinfo".to_owned())?;
    let prefix = format!("{}/", rootfs.display());
    for point in text.lines().rev().filter_map(|line| line.split(' ').nth(4)) {
        if point.starts_with(&prefix) {
            let flags = MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW;
            umount2(point, flags).at(|| format!("unmount {point}"))?;
        }
    }
    Ok(())
}
