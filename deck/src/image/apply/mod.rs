//! Applying layer archives to a directory: the tar crate parses, everything written is ours.
//!
//! The archive is hostile. Every path is resolved below one directory's descriptor by openat2 with
//! RESOLVE_IN_ROOT, so links lead nowhere else, whoever made them; the last component is never
//! followed. Names with `..` are refused, and so is what grows beyond the limits.

mod entry;
mod meta;
pub(super) mod path;
mod sparse;
mod target;
pub mod tree;
mod whiteout;

use crate::error::{At, Error, Result};
use std::collections::BTreeSet;
use std::io::Read;
use std::path::PathBuf;
pub use target::Root;

/// What `.wh.` files become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whiteouts {
    /// Overlay's: devices 0:0 and the opaque attribute (overlayfs.rst).
    Overlay,
    /// The removal of what is there: layers applied one over the other.
    Remove,
    /// Plain files: archives that are no layers (`cp`).
    Literal,
}

/// A range of ids: container, host, count.
pub type IdRange = (u32, u32, u32);

/// How an archive is applied.
#[derive(Debug, Clone)]
pub struct Options {
    /// What whiteouts become.
    pub whiteouts: Whiteouts,
    /// Most entries.
    pub entries: u64,
    /// Most bytes of files, headers and padding together.
    pub bytes: u64,
    /// Maps of users; empty for none.
    pub uids: Vec<IdRange>,
    /// Maps of groups.
    pub gids: Vec<IdRange>,
    /// Whether a directory and something that is none take each other's place; else that is an
    /// error.
    pub replace: bool,
}

impl Options {
    /// The limits of a layer: four million entries, 256 GiB.
    pub fn layer(whiteouts: Whiteouts) -> Self {
        let (entries, bytes) = (4_000_000, 256 << 30);
        Self { whiteouts, entries, bytes, uids: Vec::new(), gids: Vec::new(), replace: true }
    }
}

/// What an archive came to.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Bytes of file content.
    pub size: u64,
    /// Entries.
    pub entries: u64,
    /// Directories made because an entry lay below them: they take after the lower layer's.
    pub implied: BTreeSet<PathBuf>,
}

/// Applies an archive, and reads the reader to its end.
///
/// # Errors
/// The archive is malformed, hostile, or beyond the limits; the disk fails.
pub fn apply(root: &Root, reader: &mut dyn Read, options: &Options) -> Result<Applied> {
    let mut limited = Limited { reader, left: options.bytes };
    let mut state = entry::Applier::new(root, options);
    {
        let mut archive = tar::Archive::new(&mut limited);
        let entries = archive.entries().at(|| "read archive")?;
        for entry in entries {
            let mut entry = entry.map_err(malformed)?;
            state.apply(&mut entry)?;
        }
    }
    // What follows the end mark counts for the digest, and for the limits.
    std::io::copy(&mut limited, &mut std::io::sink()).map_err(malformed)?;
    state.finish()
}

/// An archive that can't be read is the giver's fault, not the host's.
#[expect(clippy::needless_pass_by_value, reason = "as map_err gives it")]
fn malformed(error: std::io::Error) -> Error {
    if let Some(own) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        return Error::new(own.status, own.message.clone());
    }
    Error::invalid(format!("archive: {}", wording(&error)))
}

/// What reading an archive met, as one short line: the tar crate quotes header fields as they are.
pub fn wording(error: &std::io::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.chars().take(120).flat_map(char::escape_debug).collect()
}

/// Ends with an error where the archive grows too large.
struct Limited<'a> {
    reader: &'a mut dyn Read,
    left: u64,
}

impl Read for Limited<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            std::io::Error::other(Error::invalid("archive: unpacks to more bytes than allowed"))
        })?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
