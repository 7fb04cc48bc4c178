//! The `tmpcopyup` option: a tmpfs that starts with a copy of the directory it covers.
//!
//! Runs in: init, before pivot_root. Both sides are walked by descriptor; links are copied as
//! links and never followed.

use crate::error::{At, Result};
use crate::sys::fd::open_at;
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, ResolveFlag, readlinkat};
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, SFlag, fchmodat, fstatat, mkdirat, mknodat};
use nix::unistd::{fchownat, symlinkat};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

/// Deeper trees are refused rather than exhausting the stack.
const MAX_DEPTH: u32 = 256;

/// Copies everything in directory `from` into directory `to`.
///
/// # Errors
/// The first entry that can't be copied, with its name.
pub fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<()> {
    copy_directory(from, to, 0)
}

fn copy_directory(from: BorrowedFd<'_>, to: BorrowedFd<'_>, depth: u32) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(Errno::ELOOP).at(|| "directory tree is too deep");
    }
    let readable = open_below(from, c".", OFlag::O_RDONLY | OFlag::O_DIRECTORY, 0)?;
    let mut directory = Dir::from_fd(readable).at(|| "fdopendir")?;
    for entry in directory.iter() {
        let entry = entry.at(|| "readdir")?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            copy_entry(from, to, name, depth).at(|| format!("copying {name:?}"))?;
        }
    }
    Ok(())
}

fn copy_entry(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, depth: u32) -> Result<()> {
    let status = fstatat(from, name, AtFlags::AT_SYMLINK_NOFOLLOW).at(|| "fstatat")?;
    let kind = super::target::file_type(&status);
    let mode = Mode::from_bits_truncate(status.st_mode & 0o7777);
    match kind {
        SFlag::S_IFDIR => {
            mkdirat(to, name, mode).at(|| "mkdirat")?;
            let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
            let below = open_below(from, name, flags, 0)?;
            let made = open_below(to, name, flags, 0)?;
            copy_directory(below.as_fd(), made.as_fd(), depth + 1)?;
        }
        SFlag::S_IFREG => copy_file(from, to, name, mode)?,
        SFlag::S_IFLNK => {
            let link = readlinkat(from, name).at(|| "readlinkat")?;
            let link = std::ffi::CString::new(link.as_bytes()).map_err(|_| Errno::EINVAL)?;
            symlinkat(link.as_c_str(), to, name).at(|| "symlinkat")?;
        }
        kind => mknodat(to, name, kind, mode, status.st_rdev).at(|| "mknodat")?,
    }
    own(to, name, &status, kind, mode)
}

fn copy_file(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, mode: Mode) -> Result<()> {
    let source = open_below(from, name, OFlag::O_RDONLY | OFlag::O_NONBLOCK, 0)?;
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
    let copied = open_below(to, name, flags, mode.bits())?;
    let (mut source, mut copied) = (std::fs::File::from(source), std::fs::File::from(copied));
    std::io::copy(&mut source, &mut copied).at(|| "copying data")?;
    Ok(())
}

/// Owner first: chown(2) clears set-user-ID bits.
fn own(to: BorrowedFd<'_>, name: &CStr, status: &FileStat, kind: SFlag, mode: Mode) -> Result<()> {
    let (uid, gid) = (status.st_uid.into(), status.st_gid.into());
    fchownat(to, name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW).at(|| "fchownat")?;
    if kind != SFlag::S_IFLNK {
        // Nobody but init sees this tmpfs yet, so the name still is what was made above.
        fchmodat(to, name, mode, FchmodatFlags::FollowSymlink).at(|| "fchmodat")?;
    }
    Ok(())
}

fn open_below(
    dir: BorrowedFd<'_>,
    name: &CStr,
    flags: OFlag,
    mode: u32,
) -> Result<std::os::fd::OwnedFd> {
    let below = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
    open_at(dir, name, flags, mode, below).at(|| format!("openat2({name:?})"))
}
