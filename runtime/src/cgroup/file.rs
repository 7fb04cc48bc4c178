//! Reading and writing the files of a cgroup directory.

use crate::error::{At, Error, Result};
use crate::sys::fd::open_path;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use std::fmt::Display;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

/// How much is read at once.
const CHUNK: usize = 4096;

/// Opens `dir`/`file` for writing only; never creates it.
pub(super) fn open_write(dir: &Path, file: &str) -> std::io::Result<File> {
    Ok(open_path(&dir.join(file), OFlag::O_WRONLY)?.into())
}

/// Writes `value` to the open `file` in one write(2), as cgroup files want it.
pub(super) fn write_open(file: &mut File, value: &str) -> std::io::Result<()> {
    let count = file.write(value.as_bytes())?;
    if count < value.len() { Err(Errno::EIO.into()) } else { Ok(()) }
}

/// Writes `value` to `dir`/`file`; a value of several lines is written line by line, because
/// keyed files take one key for each write(2).
pub(super) fn write_raw(dir: &Path, file: &str, value: &str) -> std::io::Result<()> {
    let mut open = open_write(dir, file)?;
    if !value.trim_end_matches('\n').contains('\n') {
        return write_open(&mut open, value);
    }
    value.lines().filter(|line| !line.is_empty()).try_for_each(|line| write_open(&mut open, line))
}

/// [`write_raw`] with the context of a failure.
pub(super) fn write(dir: &Path, file: &str, value: &str) -> Result<()> {
    write_raw(dir, file, value).at(|| format!("write {value:?} to {:?}", dir.join(file)))
}

/// The content of `dir`/`file`.
pub(super) fn read_raw(dir: &Path, file: &str) -> std::io::Result<String> {
    read_open(&mut open_path(&dir.join(file), OFlag::O_RDONLY)?.into())
}

/// The content of an open file of cgroupfs or /proc.
///
/// The kernel fills the buffer it is given with as many whole records as fit (fs/seq_file.c). Such
/// records are short, so a read that leaves more than half of the buffer free was the last, and
/// nearly all files take the one.
pub(super) fn read_open(file: &mut File) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    loop {
        // Not Vec::resize(), which compiled for size writes byte by byte.
        let mut chunk = vec![0; CHUNK];
        let count = file.read(&mut chunk)?;
        chunk.truncate(count);
        if bytes.is_empty() {
            bytes = chunk;
        } else {
            bytes.append(&mut chunk);
        }
        if count < CHUNK / 2 {
            return String::from_utf8(bytes).map_err(|_| Errno::EILSEQ.into());
        }
    }
}

/// The content of `dir`/`file`; nothing if there is no such file, or the cgroup went away.
pub(super) fn read_optional(dir: &Path, file: &str) -> Result<Option<String>> {
    match read_raw(dir, file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if gone(&error) => Ok(None),
        Err(error) => Err(error).at(|| format!("read {:?}", dir.join(file))),
    }
}

/// Whether the kernel says that there is no such file: ENODEV is what a file opened before its
/// cgroup was removed answers.
pub(super) fn gone(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV))
}

/// Whether the kernel refused for want of a permission, in the wide sense: read-only mounts too.
pub(super) fn forbidden(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES | libc::EROFS))
}

/// The content of `dir`/`file` is not what the kernel's documentation promises.
pub(super) fn malformed(dir: &Path, file: &str, text: impl Display) -> Error {
    let place = dir.join(file);
    Error::unsupported(format!("parse {place:?}: unexpected content {:?}", text.to_string()))
}
