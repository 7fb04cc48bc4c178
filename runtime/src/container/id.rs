//! Which container ids are valid.

use crate::error::{Error, Result};

/// Longest file name (limits.h NAME_MAX); an id names a directory.
const MAX: usize = 255;

/// Checks an id: letters, digits, `_`, `+`, `-`, `.`; neither `.` nor `..`.
///
/// # Errors
/// One line that says what is wrong.
pub fn check(id: &str) -> Result<()> {
    if id.is_empty() {
        return Err(Error::config("container id cannot be empty"));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+-.".contains(c);
    if matches!(id, "." | "..") || id.len() > MAX || !id.chars().all(allowed) {
        return Err(Error::config(format!(
            "invalid container ID format: {id:?} (use letters, digits and _ + - . only)"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn ids() {
        for good in ["a", "A-b_c.d+e", "..a", "0"] {
            assert!(super::check(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a b", "ä", "a\n", &"x".repeat(256)] {
            assert!(super::check(bad).is_err(), "{bad}");
        }
    }
}
