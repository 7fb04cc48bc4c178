//! Signals by number or name.

use crate::error::{Error, Result};
use nix::sys::signal::Signal;

/// The number of `9`, `KILL`, `SIGKILL`, `SIGRTMIN+3`; in any case.
///
/// # Errors
/// 400 in Docker's words.
pub fn parse(text: &str) -> Result<i32> {
    let bad = || Error::invalid(format!("Invalid signal: {text}"));
    if let Ok(number) = text.parse::<i32>() {
        return if (1..=64).contains(&number) { Ok(number) } else { Err(bad()) };
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = |rest: &str, base: i32, sign: i32| match rest {
        "" => Ok(base),
        rest => rest[1..]
            .parse::<i32>()
            .ok()
            .filter(|number| (0..=30).contains(number))
            .map(|number| base + sign * number)
            .ok_or_else(bad),
    };
    // signal(7): glibc keeps 32 and 33 for itself.
    if let Some(rest) = name.strip_prefix("RTMIN")
        && (rest.is_empty() || rest.starts_with('+'))
    {
        return offset(rest, 34, 1);
    }
    if let Some(rest) = name.strip_prefix("RTMAX")
        && (rest.is_empty() || rest.starts_with('-'))
    {
        return offset(rest, 64, -1);
    }
    format!("SIG{name}").parse::<Signal>().map(|signal| signal as i32).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_spellings() {
        for text in ["9", "KILL", "SIGKILL", "sigkill"] {
            assert_eq!(parse(text).unwrap(), 9);
        }
        assert_eq!(parse("SIGRTMIN+3").unwrap(), 37);
        assert_eq!(parse("RTMAX-1").unwrap(), 63);
        for text in ["", "0", "65", "SIGFOO", "RTMIN+99", "RTMINé"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
