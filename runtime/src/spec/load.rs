//! Opening a bundle (runtime-spec bundle.md) and reading the JSON in it.
//!
//! A bundle may come from someone hostile: only a regular file is read, and no more of it than a
//! configuration can be.

use super::{Process, Spec};
use crate::error::{At, Error, Result};
use crate::sys::fd::{open_path, read_expected};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, readlink};
use nix::sys::stat::{Mode, SFlag, fstat};
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

/// The largest configuration that is read. Docker's are 20 KiB; seccomp profiles and thousands of
/// mounts come to a few MiB.
const MOST: u64 = 16 << 20;

const CONFIG: &str = "config.json";

/// A bundle and its configuration.
#[derive(Debug)]
pub struct Bundle {
    /// The bundle's directory, absolute, links resolved.
    pub path: PathBuf,
    /// What config.json says.
    pub spec: Spec,
    /// config.json as it was read.
    pub raw: Vec<u8>,
}

impl Bundle {
    /// Opens the bundle in `dir` and parses its configuration; [`super::check`] judges it.
    pub fn open(dir: &Path) -> Result<Self> {
        let fd =
            open_path(dir, OFlag::O_PATH | OFlag::O_DIRECTORY).at(|| format!("bundle {dir:?}"))?;
        // proc(5): the kernel's own name of the directory, so that a later change of a link in the
        // given path doesn't make it another bundle.
        let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
        let path = PathBuf::from(readlink(link.as_str()).at(|| format!("readlink {link:?}"))?);
        let raw = match openat(&fd, CONFIG, reading(), Mode::empty()) {
            Ok(file) => read(&file).at(|| CONFIG)?,
            Err(Errno::ENOENT) => {
                let message = format!(
                    "JSON specification file {CONFIG} not found (\"hull spec\" writes one)"
                );
                return Err(Error::config(message)).at(|| format!("bundle {path:?}"));
            }
            Err(errno) => return Err(errno).at(|| format!("open {:?}", path.join(CONFIG))),
        };
        Self::from_bytes(path, raw)
    }

    /// The bundle at `path` with a configuration that was read before.
    pub fn from_bytes(path: PathBuf, raw: Vec<u8>) -> Result<Self> {
        let spec = parse(&raw).at(|| CONFIG)?;
        Ok(Self { path, spec, raw })
    }
}

/// Reads a process object from a file, for `exec --process`. The caller's own file may be a pipe
/// that has still to be written.
pub fn load_process(path: &Path) -> Result<Process> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let file = open_path(path, flags).at(|| format!("open {path:?}"))?;
    read_all(file).and_then(|raw| parse(&raw)).at(|| format!("{}", path.display()))
}

/// O_NONBLOCK keeps the opening of a fifo from waiting for its writer (open(2)).
fn reading() -> OFlag {
    OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC
}

/// The bytes of a regular file.
fn read(file: &OwnedFd) -> Result<Vec<u8>> {
    let stat = fstat(file).at(|| "fstat")?;
    if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
        return Err(Error::config("not a regular file"));
    }
    let most = usize::try_from(MOST).unwrap_or(usize::MAX);
    match read_expected(file.as_fd(), usize::try_from(stat.st_size).unwrap_or(0), most) {
        Err(Errno::EFBIG) => Err(too_big()),
        other => other.at(|| "read"),
    }
}

fn too_big() -> Error {
    Error::config(format!("larger than {} MiB", MOST >> 20))
}

/// All that comes out of a file or pipe.
fn read_all(file: OwnedFd) -> Result<Vec<u8>> {
    let mut raw = Vec::new();
    File::from(file).take(MOST + 1).read_to_end(&mut raw).at(|| "read")?;
    if raw.len() as u64 > MOST {
        return Err(too_big());
    }
    Ok(raw)
}

/// Parses one JSON object and nothing after it.
pub fn parse<T: DeserializeOwned>(raw: &[u8]) -> Result<T> {
    if raw.starts_with(b"\xef\xbb\xbf") {
        return Err(Error::config("begins with a byte order mark, which JSON must not (RFC 8259)"));
    }
    match raw.trim_ascii() {
        b"" | b"null" => return Err(Error::config("config cannot be null")),
        [b'{', ..] => {}
        _ => return Err(Error::config("not a JSON object")),
    }
    // At once for the whole text: serde_json would look at each string.
    let text = std::str::from_utf8(raw).map_err(|error| {
        let valid = raw.get(..error.valid_up_to()).unwrap_or_default();
        let line = valid.split(|byte| *byte == b'\n').count();
        let column = valid.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        Error::config(format!("not UTF-8 (RFC 8259) at line {line} column {column}"))
    })?;
    serde_json::from_str(text).map_err(|error| explain::<T>(text, &error))
}

/// Names the property at which parsing failed. Parsing again while keeping track is slower by half,
/// so only broken input pays for it.
fn explain<T: DeserializeOwned>(text: &str, error: &serde_json::Error) -> Error {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let Err(tracked) = serde_path_to_error::deserialize::<_, T>(&mut deserializer) else {
        return Error::config(error.to_string());
    };
    let path = tracked.path().to_string();
    // A `?` stands for a key that was not read to its end, a `.` for the whole.
    match path.trim_end_matches(['?', '.']) {
        "" => Error::config(error.to_string()),
        path => Error::config(format!("{path}: {}", tracked.inner())),
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
