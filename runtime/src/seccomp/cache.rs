//! Programs that were made before, on disk.
//!
//! An entry holds the whole key (the plan and all else the program depends on) and is used only if
//! the key is equal byte for byte, so neither a collision of file names nor a foreign file can
//! give a container another profile's filter. Entries and their directory count only if they are
//! the runtime's own and nobody else may write them. All of it is best effort: whatever goes wrong
//! costs a compilation and nothing else.
//!
//! ```text
//! key | hash of the program, u64 | program      native byte order
//! ```

use super::{compile, is_program};
use crate::plan::seccomp::FilterPlan;
use crate::sys::seccomp::{INSN_SIZE, MAX_INSNS};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};
use nix::unistd::{UnlinkatFlags, geteuid, linkat, mkdir, unlinkat};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

/// Starts every key. A program depends on Hull's version too, for the stub is its own.
const MAGIC: &[u8] = concat!("hull ", env!("CARGO_PKG_VERSION"), " seccomp 3\n").as_bytes();

/// The cache, for one plan.
#[derive(Debug)]
pub struct Cache {
    dir: OwnedFd,
    /// Name of the entry.
    name: String,
    key: Vec<u8>,
}

/// Enough for Docker's profile.
const KEY_SIZE: usize = 8192;

impl Cache {
    /// Opens the directory, which is made if missing; none if it can't be trusted.
    pub fn open(dir: &Path, plan: &FilterPlan) -> Option<Self> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_RDONLY;
        let fd = match openat(AT_FDCWD, dir, flags, Mode::empty()) {
            Err(Errno::ENOENT) => {
                mkdir(dir, Mode::S_IRWXU).ok()?;
                openat(AT_FDCWD, dir, flags, Mode::empty()).ok()?
            }
            answer => answer.ok()?,
        };
        if !is_own(&fstat(&fd).ok()?, SFlag::S_IFDIR) {
            return None;
        }
        let key = key(plan)?;
        let name = format!("{:016x}", hash(&key));
        Some(Self { dir: fd, name, key })
    }

    /// The program, if it is there. A broken entry is removed, so that it can be made again.
    pub fn get(&self) -> Option<Vec<u8>> {
        // O_NONBLOCK: a FIFO must not block the open.
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let fd = match openat(&self.dir, self.name.as_str(), flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::ENOENT) => return None,
            Err(_) => return self.discard(),
        };
        self.read(File::from(fd)).or_else(|| self.discard())
    }

    /// Stores the program.
    pub fn put(&self, bpf: &[u8]) {
        let entry = [&self.key[..], &hash(bpf).to_ne_bytes(), bpf].concat();
        // Both ways the entry appears complete or not at all. The first leaves nothing behind if
        // the runtime is killed, but not every file system has it.
        if self.put_unnamed(&entry).is_err() {
            // Nothing to do about a failure: the next container compiles again.
            let _ = self.put_renamed(&entry);
        }
    }

    fn read(&self, mut file: File) -> Option<Vec<u8>> {
        const SUM: usize = size_of::<u64>();
        let stat = fstat(&file).ok()?;
        let size = usize::try_from(stat.st_size).ok()?;
        let program = size.checked_sub(self.key.len() + SUM)?;
        if !is_own(&stat, SFlag::S_IFREG) || program > MAX_INSNS * INSN_SIZE {
            return None;
        }
        let mut entry = vec![0; size];
        file.read_exact(&mut entry).ok()?;
        let (key, rest) = entry.split_at_checked(self.key.len())?;
        let (sum, bpf) = rest.split_first_chunk::<SUM>()?;
        if !same(key, &self.key) || !is_program(bpf) || u64::from_ne_bytes(*sum) != hash(bpf) {
            return None;
        }
        entry.drain(..size - program);
        Some(entry)
    }

    fn discard(&self) -> Option<Vec<u8>> {
        // Best effort; a directory in the entry's place stays and costs the cache of one profile.
        let _ = unlinkat(&self.dir, self.name.as_str(), UnlinkatFlags::NoRemoveDir);
        None
    }

    fn put_unnamed(&self, entry: &[u8]) -> std::io::Result<()> {
        let flags = OFlag::O_TMPFILE | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        let mut file = File::from(openat(&self.dir, ".", flags, OWNER)?);
        file.write_all(entry)?;
        // By way of /proc, for AT_EMPTY_PATH needs CAP_DAC_READ_SEARCH (open(2), O_TMPFILE).
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let name = self.name.as_str();
        match linkat(AT_FDCWD, path.as_str(), &self.dir, name, AtFlags::AT_SYMLINK_FOLLOW) {
            // Another runtime was faster, with the same program.
            Err(Errno::EEXIST) => Ok(()),
            answer => Ok(answer?),
        }
    }

    fn put_renamed(&self, entry: &[u8]) -> std::io::Result<()> {
        let temporary = format!("{}.{}", self.name, std::process::id());
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        let mut file = File::from(openat(&self.dir, temporary.as_str(), flags, OWNER)?);
        let written = file.write_all(entry).and_then(|()| {
            Ok(renameat(&self.dir, temporary.as_str(), &self.dir, self.name.as_str())?)
        });
        if written.is_err() {
            let _ = unlinkat(&self.dir, temporary.as_str(), UnlinkatFlags::NoRemoveDir);
        }
        written
    }
}

/// Mode of the entries.
const OWNER: Mode = Mode::S_IRUSR.union(Mode::S_IWUSR);

/// Whether the file has the type, belongs to the runtime's user, and nobody else may write it.
fn is_own(stat: &FileStat, typ: SFlag) -> bool {
    stat.st_mode & SFlag::S_IFMT.bits() == typ.bits()
        && stat.st_uid == geteuid().as_raw()
        && stat.st_mode & (Mode::S_IWGRP | Mode::S_IWOTH).bits() == 0
}

/// All the program depends on. What the kernel can do is no part of it: it is checked before, and
/// decides whether there is a program, not which.
fn key(plan: &FilterPlan) -> Option<Vec<u8>> {
    let mut key = Vec::with_capacity(KEY_SIZE);
    key.extend_from_slice(MAGIC);
    for part in [compile::version().as_str(), compile::native().ok()?.name] {
        key.extend_from_slice(part.as_bytes());
        key.push(0);
    }
    plan.encode(&mut key);
    Some(key)
}

/// No protection, only a name and a check for torn writes.
fn hash(bytes: &[u8]) -> u64 {
    // An odd number whose bits look like chance: the golden ratio's.
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let (words, rest) = bytes.as_chunks::<8>();
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    let rest = rest.iter().map(|byte| u64::from(*byte));
    let mix = |hash: u64, word: u64| (hash.rotate_left(23) ^ word).wrapping_mul(FACTOR);
    let hash = words.chain(rest).fold(bytes.len() as u64, mix);
    hash ^ (hash >> 32)
}

/// Whether two pieces are equal. Slices are compared by the C library, of which musl's takes byte
/// after byte.
fn same(a: &[u8], b: &[u8]) -> bool {
    let ((words, rest), (others, other_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let pairs = words.iter().zip(others);
    a.len() == b.len()
        && rest == other_rest
        && pairs.into_iter().all(|(a, b)| u64::from_le_bytes(*a) == u64::from_le_bytes(*b))
}

#[cfg(test)]
mod tests;
