//! Content on its way to the disk while the next is still being unpacked: an image counts when all
//! of it is on the disk (`sync_filesystem`), and the kernel would begin to write only then.
#![expect(unsafe_code, reason = "nix has no sync_file_range")]

use std::fs::File;
use std::os::fd::AsRawFd;

/// Written bytes that are worth a request of their own.
pub const PIECE: u64 = 1 << 20;

/// Asks the kernel to begin writing a part of a file; `length` 0 is all after `offset`. A hint:
/// whether the bytes arrive is the question of the sync at the end, which tells errors.
pub fn begin(file: &File, offset: u64, length: u64) {
    let (Ok(offset), Ok(length)) = (offset.try_into(), length.try_into()) else { return };
    // SAFETY: the descriptor is open as long as `file` is borrowed; sync_file_range(2) takes
    // numbers only.
    unsafe {
        libc::sync_file_range(file.as_raw_fd(), offset, length, libc::SYNC_FILE_RANGE_WRITE);
    }
}
