//! Moments as Docker prints them.

use super::human;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::time::Duration;

/// "3 minutes ago"; empty for a moment that never was.
pub fn ago(seconds: i64) -> String {
    let passed = Timestamp::now().as_second().saturating_sub(seconds);
    let passed = Duration::from_secs(u64::try_from(passed).unwrap_or(0));
    format!("{} ago", human::duration(passed))
}

/// Go's `Time.String` without fractions: `2026-01-02 03:04:05 +0100 CET`.
pub fn long(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(
        |_| String::new(),
        |time| time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %z %Z").to_string(),
    )
}

/// RFC 3339 in seconds, in the local time zone.
pub fn rfc3339(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(
        |_| String::new(),
        |time| {
            let zoned = time.to_zoned(TimeZone::system());
            zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string().replace("+00:00", "Z")
        },
    )
}

/// RFC 3339 with nine digits, in the local time zone (events).
pub fn nanos(nanoseconds: i64) -> String {
    Timestamp::from_nanosecond(i128::from(nanoseconds)).map_or_else(
        |_| String::new(),
        |time| {
            let zoned = time.to_zoned(TimeZone::system());
            zoned.strftime("%Y-%m-%dT%H:%M:%S.%9f%:z").to_string().replace("+00:00", "Z")
        },
    )
}

/// Go's `Time.String` of an RFC 3339 text, with its fraction, in UTC.
pub fn created(text: &str) -> String {
    let Ok(time) = text.parse::<Timestamp>() else { return text.to_owned() };
    let zoned = time.to_zoned(TimeZone::UTC);
    let fraction = format!("{:09}", time.subsec_nanosecond());
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{}{point}{fraction} +0000 UTC", zoned.strftime("%Y-%m-%d %H:%M:%S"))
}

/// `Mon Jan _2 15:04:05 2006` of an RFC 3339 text; the text itself where it is none.
pub fn ansi(text: &str) -> String {
    text.parse::<Timestamp>().map_or_else(
        |_| text.to_owned(),
        |time| time.to_zoned(TimeZone::UTC).strftime("%a %b %e %H:%M:%S %Y").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        assert_eq!(created("1970-01-01T00:01:00.5Z"), "1970-01-01 00:01:00.5 +0000 UTC");
        assert_eq!(created("x"), "x");
        assert_eq!(ansi("2026-05-07T21:09:36.000000000+00:00"), "Thu May  7 21:09:36 2026");
        assert_eq!(ago(Timestamp::now().as_second() - 120), "2 minutes ago");
    }
}
