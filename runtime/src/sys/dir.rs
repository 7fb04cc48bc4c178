//! getdents64(2): the names in a directory, with two system calls where fdopendir(3) takes a dozen.
#![allow(unsafe_code, reason = "getdents64(2)")]

use nix::errno::Errno;
use nix::libc;
use std::ffi::{CStr, CString};
use std::mem::offset_of;
use std::os::fd::{AsRawFd, BorrowedFd};

/// The names in `directory`, without `.` and `..`, from where it was read up to.
///
/// # Errors
/// getdents64(2): ENOTDIR, ENOENT for one that was removed.
pub fn names(directory: BorrowedFd<'_>) -> Result<Vec<CString>, Errno> {
    let mut names = Vec::new();
    let mut buffer = [0_u8; 4096];
    loop {
        // SAFETY: the kernel writes at most the buffer's length, and says how much.
        let read = Errno::result(unsafe {
            libc::syscall(
                libc::SYS_getdents64,
                directory.as_raw_fd(),
                buffer.as_mut_ptr(),
                buffer.len(),
            )
        })?;
        let read = usize::try_from(read).unwrap_or(0);
        if read == 0 {
            return Ok(names);
        }
        names.extend(records(buffer.get(..read).unwrap_or_default()));
    }
}

/// The names in `struct linux_dirent64` records, one after the other.
fn records(mut buffer: &[u8]) -> impl Iterator<Item = CString> {
    const LENGTH: usize = offset_of!(libc::dirent64, d_reclen);
    const NAME: usize = offset_of!(libc::dirent64, d_name);
    std::iter::from_fn(move || {
        loop {
            let length = buffer.get(LENGTH..LENGTH + 2)?.try_into().ok().map(u16::from_ne_bytes)?;
            let record = buffer.get(..usize::from(length)).filter(|record| !record.is_empty())?;
            buffer = buffer.get(record.len()..)?;
            let name = CStr::from_bytes_until_nul(record.get(NAME..)?).ok()?;
            if !matches!(name.to_bytes(), b"." | b"..") {
                return Some(name.to_owned());
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fd::open_path;
    use nix::fcntl::OFlag;
    use std::collections::BTreeSet;
    use std::os::fd::AsFd;

    #[test]
    fn as_many_names_as_there_are() {
        let directory = tempfile::tempdir().unwrap();
        // More than one buffer holds.
        let made: BTreeSet<CString> =
            (0..300).map(|n| CString::new(format!("name-{n:030}")).unwrap()).collect();
        for name in &made {
            std::fs::write(directory.path().join(name.to_str().unwrap()), "").unwrap();
        }
        let fd = open_path(directory.path(), OFlag::O_RDONLY | OFlag::O_DIRECTORY).unwrap();
        assert_eq!(names(fd.as_fd()).unwrap().into_iter().collect::<BTreeSet<_>>(), made);
    }

    #[test]
    fn no_directory() {
        let fd = open_path(std::path::Path::new("/dev/null"), OFlag::O_RDONLY).unwrap();
        assert_eq!(names(fd.as_fd()), Err(Errno::ENOTDIR));
    }

    #[test]
    fn a_short_record_ends_the_list() {
        assert_eq!(records(&[0; 10]).count(), 0);
        assert_eq!(records(&[0; 64]).count(), 0);
    }
}
