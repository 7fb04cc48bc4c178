//! Times: nanoseconds since the epoch inside, RFC 3339 and seconds outside.

use crate::error::{Error, Result};
use jiff::Timestamp;

/// What Go prints for a time that never was.
pub const NEVER: &str = "0001-01-01T00:00:00Z";

/// Nanoseconds in a second.
pub const SECOND: i64 = 1_000_000_000;

/// Now.
pub fn now() -> i64 {
    i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}

/// RFC 3339 in UTC with as many digits as it takes, as Go's `RFC3339Nano`.
pub fn rfc3339(nanoseconds: i64) -> String {
    if nanoseconds == 0 {
        return NEVER.to_string();
    }
    Timestamp::from_nanosecond(i128::from(nanoseconds))
        .map_or_else(|_| NEVER.to_string(), |time| time.to_string())
}

/// RFC 3339 with always nine digits, as `docker logs --timestamps` prints it.
pub fn rfc3339_padded(nanoseconds: i64) -> String {
    Timestamp::from_nanosecond(i128::from(nanoseconds))
        .map_or_else(|_| NEVER.to_string(), |time| format!("{time:.9}"))
}

/// Reads RFC 3339.
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    i64::try_from(text.parse::<Timestamp>().ok()?.as_nanosecond()).ok()
}

/// Reads what `since` and `until` carry: seconds with an optional fraction, RFC 3339, or a Go
/// duration before now. Empty and `0` are `None`.
///
/// # Errors
/// 400 when it is none of them.
pub fn parse(text: &str, now: i64) -> Result<Option<i64>> {
    if text.is_empty() || text == "0" {
        return Ok(None);
    }
    let bad = || Error::invalid(format!("{text:?} is no time: seconds, RFC 3339 or a duration"));
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
        let seconds: i64 = seconds.parse().map_err(|_| bad())?;
        let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
        let fraction: i64 = digits.parse().map_err(|_| bad())?;
        let all = seconds.checked_mul(SECOND).and_then(|all| all.checked_add(fraction));
        return all.map(Some).ok_or_else(bad);
    }
    if let Some(time) = parse_rfc3339(text) {
        return Ok(Some(time));
    }
    duration(text).map(|before| Some(now.saturating_sub(before))).ok_or_else(bad)
}

/// Reads a Go duration (`1h30m`, `1.5s`, `100ms`) as nanoseconds.
pub fn duration(text: &str) -> Option<i64> {
    const UNITS: [(&str, f64); 7] = [
        ("ns", 1.0),
        ("us", 1e3),
        ("µs", 1e3),
        ("ms", 1e6),
        ("s", 1e9),
        ("m", 6e10),
        ("h", 3.6e12),
    ];
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if rest.is_empty() {
        return None;
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let value: f64 = rest[..number].parse().ok()?;
        rest = &rest[number..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == &rest[..end])?;
        total += value * unit;
        rest = &rest[end..];
    }
    #[expect(clippy::cast_possible_truncation, reason = "`as` saturates")]
    let total = total as i64;
    Some(if negative { -total } else { total })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_dockers() {
        let now = 1_000 * SECOND;
        assert_eq!(parse("", now).unwrap(), None);
        assert_eq!(parse("10", now).unwrap(), Some(10 * SECOND));
        assert_eq!(parse("10.5", now).unwrap(), Some(10 * SECOND + SECOND / 2));
        assert_eq!(parse("10.000000001", now).unwrap(), Some(10 * SECOND + 1));
        assert_eq!(parse("1970-01-01T00:00:07Z", now).unwrap(), Some(7 * SECOND));
        assert_eq!(parse("1m30s", now).unwrap(), Some(910 * SECOND));
        assert!(parse("yesterday", now).is_err());
        assert!(parse("99999999999999999999", now).is_err());
    }

    #[test]
    fn times_are_written_as_gos() {
        assert_eq!(rfc3339(0), NEVER);
        assert_eq!(rfc3339(SECOND + 20_000_000), "1970-01-01T00:00:01.02Z");
        assert_eq!(rfc3339_padded(SECOND), "1970-01-01T00:00:01.000000000Z");
    }
}
