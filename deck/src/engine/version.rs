//! API versions: which are served, and what a path's `/vX.Y` prefix means.

use crate::error::{Error, Result};
use std::fmt;

/// A version of the Engine API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u16, pub u16);

/// The newest version served; what a request without a prefix gets.
pub const MAX: Version = Version(1, 51);
/// The oldest version served.
pub const MIN: Version = Version(1, 24);

/// The commit that this program was built from, if its builder told (`packaging/commit.sh`).
pub const COMMIT: &str = match option_env!("HULL_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl Version {
    /// Reads `1.41`.
    pub fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }
}

/// Takes a `vX.Y` prefix off a path's segments.
///
/// # Errors
/// 400 in Docker's words when the version isn't served.
pub fn strip<'a, 'b>(segments: &'a [&'b str]) -> Result<(Version, &'a [&'b str])> {
    let Some(version) =
        segments.first().and_then(|first| first.strip_prefix('v')).and_then(Version::parse)
    else {
        return Ok((MAX, segments));
    };
    if version > MAX {
        return Err(Error::invalid(format!(
            "client version {version} is too new. Maximum supported API version is {MAX}"
        )));
    }
    if version < MIN {
        return Err(Error::invalid(format!(
            "client version {version} is too old. Minimum supported API version is {MIN}, please \
             upgrade your client to a newer version"
        )));
    }
    Ok((version, &segments[1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_is_taken_off() {
        assert_eq!(strip(&["v1.41", "info"]).unwrap(), (Version(1, 41), &["info"][..]));
        assert_eq!(strip(&["info"]).unwrap(), (MAX, &["info"][..]));
        assert_eq!(strip(&["volumes", "v1"]).unwrap(), (MAX, &["volumes", "v1"][..]));
    }

    #[test]
    fn versions_outside_the_range_are_refused() {
        assert!(strip(&["v1.99", "info"]).unwrap_err().message.contains("too new"));
        assert!(strip(&["v1.23", "info"]).unwrap_err().message.contains("too old"));
        assert!(Version(1, 100) > Version(1, 99));
    }
}
