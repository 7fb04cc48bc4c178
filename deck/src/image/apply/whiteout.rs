//! What a name says about lower layers (image-spec layer.md#whiteouts, and AUFS' own files); pure.

use crate::error::{Error, Result};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// What an entry's last component means.
#[derive(Debug, PartialEq, Eq)]
pub enum Name<'a> {
    /// A file as any other.
    Plain,
    /// Hides everything lower layers have in the directory.
    Opaque,
    /// Hides one name of lower layers.
    Whiteout(&'a OsStr),
    /// AUFS' bookkeeping: not for us.
    Bookkeeping,
}

/// Reads a last component.
pub fn name(last: &OsStr) -> Result<Name<'_>> {
    let Some(rest) = last.as_bytes().strip_prefix(b".wh.") else { return Ok(Name::Plain) };
    match rest {
        b".wh..opq" => Ok(Name::Opaque),
        b"" | b"." | b".." => {
            Err(Error::invalid(format!("archive: whiteout {last:?} of no name a file can have")))
        }
        rest if rest.starts_with(b".wh.") => Ok(Name::Bookkeeping),
        rest => Ok(Name::Whiteout(OsStr::from_bytes(rest))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whiteouts_name_one_file_of_the_directory() {
        assert_eq!(name(OsStr::new("a")).unwrap(), Name::Plain);
        assert_eq!(name(OsStr::new(".wh.a")).unwrap(), Name::Whiteout(OsStr::new("a")));
        assert_eq!(name(OsStr::new(".wh..wh..opq")).unwrap(), Name::Opaque);
        assert_eq!(name(OsStr::new(".wh..wh.plnk")).unwrap(), Name::Bookkeeping);
        for bad in [".wh.", ".wh..", ".wh..."] {
            assert!(name(OsStr::new(bad)).is_err(), "{bad}");
        }
    }
}
