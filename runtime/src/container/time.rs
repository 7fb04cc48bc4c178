//! The present time as RFC 3339 in UTC, with nanoseconds and without trailing zeros, which is
//! how Go programs print it and expect it in `state`.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now.
pub fn now() -> String {
    // A clock before 1970 is no clock.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format(i64::try_from(now.as_secs()).unwrap_or_default(), now.subsec_nanos().into())
}

/// Seconds and nanoseconds since 1970 as text.
pub fn format(seconds: i64, nanoseconds: i64) -> String {
    let (year, month, day) = date(seconds.div_euclid(86_400));
    let second = seconds.rem_euclid(86_400);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    let mut text =
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}", second % 60);
    if nanoseconds != 0 {
        let fraction = format!(".{nanoseconds:09}");
        text.push_str(fraction.trim_end_matches('0'));
    }
    text.push('Z');
    text
}

/// Days since 1970 to a date of the Gregorian calendar: eras of 400 years, years that begin in
/// March, so that the leap day comes last.
fn date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::format;

    #[test]
    fn known_dates() {
        assert_eq!(format(0, 0), "1970-01-01T00:00:00Z");
        assert_eq!(format(951_827_696, 120_000_000), "2000-02-29T12:34:56.12Z");
        assert_eq!(format(4_102_444_799, 1), "2099-12-31T23:59:59.000000001Z");
        assert_eq!(format(-1, 0), "1969-12-31T23:59:59Z");
    }
}
