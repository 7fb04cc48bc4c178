//! Durations as callers of OCI runtimes write them: Go's `time.ParseDuration`, `1m30s`.

use super::flags::usage;
use crate::error::Result;
use std::time::Duration;

/// Units and their nanoseconds; those that are a prefix of another come after it.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Reads numbers with units, one after the other; negative ones become zero.
pub fn parse(text: &str) -> Result<Duration> {
    let invalid = || usage(format!("invalid duration {text:?} (write 5s, 500ms or 1m30s)"));
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    let mut total = 0_u64;
    while !rest.is_empty() || total == 0 && rest == text {
        let (nanoseconds, after) = first(rest).ok_or_else(invalid)?;
        total = total.checked_add(nanoseconds).ok_or_else(invalid)?;
        rest = after;
    }
    Ok(if negative { Duration::ZERO } else { Duration::from_nanos(total) })
}

/// The first number with its unit, in nanoseconds, and what is behind it.
fn first(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, rest) = text.split_at_checked(end)?;
    let (_, (rest, scale)) = UNITS
        .iter()
        .filter_map(|(unit, scale)| Some((unit.len(), (rest.strip_prefix(unit)?, *scale))))
        .max_by_key(|(length, _)| *length)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanoseconds = whole.checked_mul(scale)?;
    let mut part = scale;
    for digit in fraction.chars() {
        part /= 10;
        nanoseconds = nanoseconds.checked_add(part * u64::from(digit.to_digit(10)?))?;
    }
    Some((nanoseconds, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_reads_them() {
        for (text, nanoseconds) in [
            ("5s", 5_000_000_000),
            ("1m30s", 90_000_000_000),
            ("500ms", 500_000_000),
            ("1.5h", 5_400_000_000_000),
            ("100us", 100_000),
            ("100µs", 100_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("7ns", 7),
            ("+2m", 120_000_000_000),
            ("0", 0),
            ("0s", 0),
            ("-3s", 0),
        ] {
            assert_eq!(parse(text).unwrap(), Duration::from_nanos(nanoseconds), "{text}");
        }
        for text in ["", "5", "s", "5x", "1.2.3s", ".s", "5s6", "99999999999h", "1e3s", "--1s"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
