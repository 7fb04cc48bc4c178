//! Owners, modes, extended attributes and times of entries.

use super::target::Place;
use super::{IdRange, malformed};
use crate::error::{Error, Result};
use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{FchmodatFlags, Mode, UtimensatFlags, fchmodat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchownat};
use std::ffi::OsString;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;

/// Most extended attributes of an entry, and most bytes of one (xattr(7): 64 KiB).
const MAX_XATTRS: usize = 1024;
const MAX_XATTR: usize = 64 << 10;

/// What an entry says about itself besides its content.
#[derive(Debug, Clone, Default)]
pub struct Meta {
    /// Owner, mapped.
    pub uid: u32,
    /// Group, mapped.
    pub gid: u32,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// Modification: seconds, nanoseconds.
    pub mtime: (i64, i64),
    /// Extended attributes.
    pub xattrs: Vec<(OsString, Vec<u8>)>,
    /// Content is GNU's pax sparse format: version 1.0 with the map in front.
    pub sparse: Option<PaxSparse>,
}

/// A sparse file as pax headers tell it.
#[derive(Debug, Clone, Default)]
pub struct PaxSparse {
    /// The true name.
    pub name: Option<Vec<u8>>,
    /// The true size.
    pub size: u64,
}

/// Reads header and pax records of an entry.
pub fn read<R: Read>(
    entry: &mut tar::Entry<R>,
    uids: &[IdRange],
    gids: &[IdRange],
) -> Result<Meta> {
    let header = entry.header();
    let old = header.as_old();
    let uid = numeric(&old.uid, header.uid())?;
    let gid = numeric(&old.gid, header.gid())?;
    let mtime = numeric(&old.mtime, header.mtime())?;
    let mut meta = Meta {
        mode: numeric(&old.mode, header.mode())? & 0o7777,
        mtime: (i64::try_from(mtime).unwrap_or(0), 0),
        ..Meta::default()
    };
    let (mut sparse, mut major, mut minor) = (PaxSparse::default(), None, None);
    if let Some(records) = entry.pax_extensions().map_err(malformed)? {
        for record in records {
            let record = record.map_err(malformed)?;
            let (key, value) = (record.key_bytes(), record.value_bytes());
            match key {
                b"mtime" => meta.mtime = time(value)?,
                b"GNU.sparse.major" => major = Some(value.to_vec()),
                b"GNU.sparse.minor" => minor = Some(value.to_vec()),
                b"GNU.sparse.name" => sparse.name = Some(value.to_vec()),
                b"GNU.sparse.realsize" => sparse.size = number(value)?,
                b"GNU.sparse.map" | b"GNU.sparse.numblocks" => {
                    return Err(Error::invalid("archive: sparse format 0.x of GNU tar; want 1.0"));
                }
                _ => {
                    if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                        add_xattr(&mut meta.xattrs, name, value)?;
                    }
                }
            }
        }
    }
    if major.is_some() || minor.is_some() {
        if (major.as_deref(), minor.as_deref()) != (Some(b"1"), Some(b"0")) {
            return Err(Error::invalid("archive: unknown sparse format of GNU tar; want 1.0"));
        }
        meta.sparse = Some(sparse);
    }
    meta.uid = map(uid, uids)?;
    meta.gid = map(gid, gids)?;
    Ok(meta)
}

/// A number of a header; an empty field is 0, as other readers take it.
fn numeric<T: Default>(field: &[u8], value: std::io::Result<T>) -> Result<T> {
    if field.iter().all(|byte| matches!(byte, 0 | b' ')) {
        // A pax record, if there is one, made the value readable.
        return Ok(value.unwrap_or_default());
    }
    value.map_err(malformed)
}

/// Takes an attribute, save overlay's own: an image has no say in how layers are stacked.
fn add_xattr(xattrs: &mut Vec<(OsString, Vec<u8>)>, name: &[u8], value: &[u8]) -> Result<()> {
    let own = |prefix: &[u8]| name.starts_with(prefix);
    if own(b"trusted.overlay.") || own(b"user.overlay.") {
        return Ok(());
    }
    let bad = name.is_empty() || name.len() > 255 || name.contains(&0) || value.len() > MAX_XATTR;
    if bad || xattrs.len() >= MAX_XATTRS {
        return Err(Error::invalid("archive: malformed or too many extended attributes"));
    }
    xattrs.push((OsString::from_vec(name.to_vec()), value.to_vec()));
    Ok(())
}

fn number(value: &[u8]) -> Result<u64> {
    std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Error::invalid("archive: malformed number in a pax header"))
}

/// `-12.345` in seconds and nanoseconds.
fn time(value: &[u8]) -> Result<(i64, i64)> {
    let parse = || {
        let text = std::str::from_utf8(value).ok()?;
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let seconds: i64 = whole.parse().ok()?;
        let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
        let nanos: i64 = digits.parse().ok()?;
        let below = whole.starts_with('-') && nanos > 0;
        Some(if below {
            (seconds.checked_sub(1)?, 1_000_000_000 - nanos)
        } else {
            (seconds, nanos)
        })
    };
    parse().ok_or_else(|| Error::invalid("archive: malformed time in a pax header"))
}

/// Maps an id; without ranges it stays. 2^32-1 is no id (chown(2)).
fn map(id: u64, ranges: &[IdRange]) -> Result<u32> {
    let invalid = || Error::invalid(format!("archive: owner {id} is out of range"));
    let id = u32::try_from(id).map_err(|_| invalid())?;
    if id == u32::MAX {
        return Err(invalid());
    }
    if ranges.is_empty() {
        return Ok(id);
    }
    let found = ranges.iter().find_map(|&(container, host, count)| {
        let offset = id.checked_sub(container)?;
        if offset < count { host.checked_add(offset) } else { None }
    });
    found.ok_or_else(|| Error::invalid(format!("archive: owner {id} has no mapping")))
}

/// Sets owner, then mode (chown clears setuid), then attributes (chown clears capabilities).
pub fn set(place: &Place, meta: &Meta, link: bool) -> Result<(), Errno> {
    let (dir, name) = (place.dir.as_fd(), place.name.as_os_str());
    let (uid, gid) = (Uid::from_raw(meta.uid), Gid::from_raw(meta.gid));
    fchownat(dir, name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)?;
    if !link {
        // The name is no link: it was made by us in a tree nobody else sees.
        let mode = Mode::from_bits_truncate(meta.mode);
        fchmodat(dir, name, mode, FchmodatFlags::FollowSymlink)?;
    }
    for (key, value) in &meta.xattrs {
        match xattr::set(place.proc_path(), key, value) {
            Ok(()) => {}
            Err(error) => {
                let errno = Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO));
                let vital = key == "security.capability";
                // File systems without user attributes, and user attributes on links (xattr(7)).
                if vital || !matches!(errno, Errno::EOPNOTSUPP | Errno::EPERM) {
                    return Err(errno);
                }
            }
        }
    }
    Ok(())
}

/// Sets access and modification time.
pub fn set_time(place: &Place, mtime: (i64, i64)) -> Result<(), Errno> {
    let time = TimeSpec::new(mtime.0, mtime.1);
    let flags = UtimensatFlags::NoFollowSymlink;
    utimensat(place.dir.as_fd(), place.name.as_os_str(), &time, &time, flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_mapped_or_refused() {
        assert_eq!(map(7, &[]).unwrap(), 7);
        assert_eq!(map(7, &[(0, 1000, 1), (1, 100_000, 65_535)]).unwrap(), 100_006);
        for bad in [u64::from(u32::MAX), 1 << 32, u64::MAX] {
            assert!(map(bad, &[]).is_err());
        }
        assert!(map(70_000, &[(0, 100_000, 65_536)]).is_err());
        assert!(map(1, &[(0, u32::MAX, 2)]).is_err());
    }

    #[test]
    fn times_have_nanoseconds_and_may_lie_before_the_epoch() {
        assert_eq!(time(b"12.5").unwrap(), (12, 500_000_000));
        assert_eq!(time(b"-1.25").unwrap(), (-2, 750_000_000));
        assert_eq!(time(b"7").unwrap(), (7, 0));
        for bad in [&b""[..], b"x", b"1.-5", b"99999999999999999999"] {
            assert!(time(bad).is_err());
        }
    }

    #[test]
    fn overlays_own_attributes_are_not_taken() {
        let mut xattrs = Vec::new();
        add_xattr(&mut xattrs, b"trusted.overlay.redirect", b"/etc").unwrap();
        add_xattr(&mut xattrs, b"user.overlay.opaque", b"y").unwrap();
        assert!(xattrs.is_empty());
        add_xattr(&mut xattrs, b"security.capability", b"x").unwrap();
        assert_eq!(xattrs.len(), 1);
        assert!(add_xattr(&mut xattrs, b"user.big", &vec![0; MAX_XATTR + 1]).is_err());
    }
}
