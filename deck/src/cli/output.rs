//! Writing to standard output and error without panics; a closed pipe ends the command quietly.

use super::failure::Outcome;
use std::io::Write as _;

/// Writes to standard output.
///
/// # Errors
/// It is closed or full.
pub fn print(text: &str) -> Outcome {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Writes a line to standard output.
///
/// # Errors
/// As [`print`].
pub fn line(text: impl AsRef<str>) -> Outcome {
    print(&format!("{}\n", text.as_ref()))
}

/// Writes a line to standard error. Nothing can be done where that is closed.
pub fn note(text: impl AsRef<str>) {
    let _ = writeln!(std::io::stderr(), "{}", text.as_ref());
}
