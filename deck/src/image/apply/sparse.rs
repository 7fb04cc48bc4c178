//! Files with holes: GNU's old format, which the tar crate expands, and the pax format 1.0.

use super::entry::Failure;
use super::malformed;
use crate::error::{Error, Result};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;

/// Zeros of at least this many bytes, aligned, become a hole.
const BLOCK: usize = 4096;
/// Most extents of a pax sparse file.
const MAX_EXTENTS: u64 = 1 << 20;

/// Copies expanded content, leaving out blocks of zeros.
pub fn copy_holes(reader: &mut dyn Read, file: &File, buffer: &mut [u8]) -> Result<u64, Failure> {
    let mut offset = 0;
    loop {
        let count = fill(reader, buffer)?;
        if count == 0 {
            break;
        }
        for block in buffer[..count].chunks(BLOCK) {
            if block.iter().any(|byte| *byte != 0) {
                file.write_all_at(block, offset)?;
            }
            offset += block.len() as u64;
        }
    }
    file.set_len(offset)?;
    Ok(offset)
}

/// Copies content with a map in front: decimal lines, count first, padded to 512 bytes.
pub fn copy_pax(
    reader: &mut dyn Read,
    file: &File,
    size: u64,
    buffer: &mut [u8],
) -> Result<u64, Failure> {
    let mut map = Map { reader, block: [0; 512], at: 512 };
    let count = map.number()?;
    if count > MAX_EXTENTS {
        return Err(Failure::Own(Error::invalid("archive: too many extents of a sparse file")));
    }
    let mut extents = Vec::new();
    for _ in 0..count {
        extents.push((map.number()?, map.number()?));
    }
    let mut end = 0;
    for (offset, length) in extents {
        let next = offset.checked_add(length).filter(|next| *next <= size && offset >= end);
        end = next.ok_or_else(|| {
            Failure::Own(Error::invalid("archive: extents of a sparse file overlap or exceed it"))
        })?;
        let mut at = offset;
        while at < end {
            let want = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
            let part = &mut buffer[..want];
            reader.read_exact(part).map_err(|error| Failure::Own(malformed(error)))?;
            file.write_all_at(part, at)?;
            at += want as u64;
        }
    }
    file.set_len(size)?;
    Ok(size)
}

/// Fills the buffer as far as the reader goes, so that blocks stay aligned.
fn fill(reader: &mut dyn Read, buffer: &mut [u8]) -> Result<usize, Failure> {
    let mut filled = 0;
    while filled < buffer.len() {
        let count =
            reader.read(&mut buffer[filled..]).map_err(|error| Failure::Own(malformed(error)))?;
        if count == 0 {
            break;
        }
        filled += count;
    }
    Ok(filled)
}

/// Reads the map's lines block by block.
struct Map<'a> {
    reader: &'a mut dyn Read,
    block: [u8; 512],
    at: usize,
}

impl Map<'_> {
    fn number(&mut self) -> Result<u64, Failure> {
        let bad = || Failure::Own(Error::invalid("archive: malformed map of a sparse file"));
        let (mut value, mut digits) = (0u64, 0);
        loop {
            if self.at == self.block.len() {
                self.reader
                    .read_exact(&mut self.block)
                    .map_err(|error| Failure::Own(malformed(error)))?;
                self.at = 0;
            }
            let byte = self.block[self.at];
            self.at += 1;
            match byte {
                b'\n' if digits > 0 => return Ok(value),
                b'0'..=b'9' => {
                    let digit = u64::from(byte - b'0');
                    value = value
                        .checked_mul(10)
                        .and_then(|value| value.checked_add(digit))
                        .ok_or_else(bad)?;
                    digits += 1;
                }
                _ => return Err(bad()),
            }
        }
    }
}
