//! Go's durations: `1h30m`, `1.5s`, `500ms`.

use super::size::TOO_LARGE;

/// Nanoseconds in a unit.
const UNITS: &[(&str, f64)] =
    &[("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];

/// Reads a duration in nanoseconds.
///
/// # Errors
/// It is no duration.
pub fn nanos(text: &str) -> Result<i64, String> {
    let wrong = || format!("time: invalid duration {text:?}");
    if text == "0" {
        return Ok(0);
    }
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let (_, scale) = UNITS.iter().find(|(unit, _)| *unit == &rest[..end]).ok_or_else(wrong)?;
        total += number * scale;
        rest = &rest[end..];
    }
    if total >= TOO_LARGE {
        return Err(wrong());
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked above")]
    let total = total as i64;
    Ok(if negative { -total } else { total })
}

/// Reads a moment for the API's `since` and `until`: a duration before now, RFC 3339 (in part), or
/// seconds since the epoch; gives `seconds[.nanoseconds]`.
///
/// # Errors
/// It is none of them.
pub fn moment(text: &str, now: jiff::Timestamp) -> Result<String, String> {
    const SECOND: i128 = 1_000_000_000;
    if let (Ok(passed), true) = (nanos(text), text != "0") {
        let then = now.as_nanosecond() - i128::from(passed);
        return Ok(format!("{}.{:09}", then.div_euclid(SECOND), then.rem_euclid(SECOND)));
    }
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if text.split_once('.').map_or_else(|| number(text), |(a, b)| number(a) && number(b)) {
        return Ok(text.to_owned());
    }
    let exact = text.parse::<jiff::Timestamp>().ok();
    // Without a zone it is local time; without a time it is midnight.
    let local = || {
        let time: jiff::civil::DateTime = text.parse().ok()?;
        Some(time.to_zoned(jiff::tz::TimeZone::system()).ok()?.timestamp())
    };
    let time = exact
        .or_else(local)
        .ok_or_else(|| format!("failed to parse value as time or duration: {text:?}"))?;
    Ok(format!("{}.{:09}", time.as_second(), time.subsec_nanosecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, want) in [
            ("0", 0),
            ("1h30m", 5_400_000_000_000),
            ("1.5s", 1_500_000_000),
            ("500ms", 500_000_000),
            ("-2m", -120_000_000_000),
            ("3us", 3_000),
        ] {
            assert_eq!(nanos(text), Ok(want), "{text}");
        }
        for text in ["", "1", "-", "s", "1x", "1h1", "1..5s", "9999999h9999999h"] {
            assert!(nanos(text).is_err(), "{text}");
        }
    }

    #[test]
    fn moments() {
        let now = jiff::Timestamp::from_second(1000).unwrap();
        assert_eq!(moment("10s", now).unwrap(), "990.000000000");
        assert_eq!(moment("0", now).unwrap(), "0");
        assert_eq!(moment("123.5", now).unwrap(), "123.5");
        assert_eq!(moment("1970-01-01T00:00:07.5Z", now).unwrap(), "7.500000000");
        assert_eq!(moment("1970-01-01T02:00:07+02:00", now).unwrap(), "7.000000000");
        assert!(moment("2013-01-02", now).is_ok());
        assert!(moment("yesterday", now).is_err());
    }
}
