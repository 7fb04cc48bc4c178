//! Sizes and durations as Docker prints them (go-units).

use std::time::Duration;

const DECIMAL: &[&str] = &["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];
const BINARY: &[&str] = &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"];

/// `1.234MB`: powers of 1000, `digits` significant digits.
pub fn size(bytes: f64, digits: usize) -> String {
    scaled(bytes, 1000.0, DECIMAL, digits)
}

/// `1.205MiB`: powers of 1024, four significant digits.
pub fn binary(bytes: f64) -> String {
    scaled(bytes, 1024.0, BINARY, 4)
}

fn scaled(mut number: f64, base: f64, units: &[&str], digits: usize) -> String {
    let mut unit = 0;
    while number >= base && unit < units.len() - 1 {
        number /= base;
        unit += 1;
    }
    format!("{}{}", significant(number, digits), units[unit])
}

/// Go's `%.<digits>g` for the numbers that occur here.
pub fn significant(number: f64, digits: usize) -> String {
    if number == 0.0 {
        return "0".into();
    }
    // `{:e}` rounds as %g does; its exponent says where the point goes.
    let text = format!("{number:.*e}", digits.saturating_sub(1));
    let Some((_, exponent)) = text.split_once('e') else { return text };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let width = i32::try_from(digits).unwrap_or(4);
    if exponent < -4 || exponent >= width {
        let (mantissa, _) = text.split_once('e').unwrap_or((&text, ""));
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trim(mantissa), exponent.abs());
    }
    let decimals = usize::try_from(width - 1 - exponent).unwrap_or(0);
    trim(&format!("{number:.decimals$}")).to_owned()
}

fn trim(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

/// "Less than a second", "5 minutes", "About an hour", "3 weeks" …
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours) = (seconds / 60, (duration.as_secs_f64() / 3600.0).round());
    if seconds < 1 {
        "Less than a second".into()
    } else if seconds == 1 {
        "1 second".into()
    } else if seconds < 60 {
        format!("{seconds} seconds")
    } else if minutes == 1 {
        "About a minute".into()
    } else if minutes < 60 {
        format!("{minutes} minutes")
    } else if hours <= 1.0 {
        "About an hour".into()
    } else if hours < 48.0 {
        format!("{hours} hours")
    } else if hours < 24.0 * 7.0 * 2.0 {
        format!("{} days", (hours / 24.0).floor())
    } else if hours < 24.0 * 30.0 * 2.0 {
        format!("{} weeks", (hours / 24.0 / 7.0).floor())
    } else if hours < 24.0 * 365.0 * 2.0 {
        format!("{} months", (hours / 24.0 / 30.0).floor())
    } else {
        format!("{} years", (hours / 24.0 / 365.0).floor())
    }
}

/// An id's first twelve digits, without `sha256:`.
pub fn short_id(id: &str) -> &str {
    let id = id.strip_prefix("sha256:").unwrap_or(id);
    id.get(..12).unwrap_or(id)
}

/// Cuts to a width in characters, the last one being `…`.
pub fn ellipsis(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    kept + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(size(0.0, 4), "0B");
        assert_eq!(size(999.0, 4), "999B");
        assert_eq!(size(1000.0, 4), "1kB");
        assert_eq!(size(1_234_567.0, 4), "1.235MB");
        assert_eq!(size(1_234_567.0, 3), "1.23MB");
        assert_eq!(size(77_845_000.0, 3), "77.8MB");
        assert_eq!(size(999_999.0, 3), "1e+03kB");
        assert_eq!(binary(1_048_576.0 * 1.5), "1.5MiB");
        assert_eq!(binary(344.0 * 1024.0), "344KiB");
    }

    #[test]
    fn durations() {
        let at = |seconds| duration(Duration::from_secs(seconds));
        let hour = 3600;
        assert_eq!(at(0), "Less than a second");
        assert_eq!(at(1), "1 second");
        assert_eq!(at(59), "59 seconds");
        assert_eq!(at(60), "About a minute");
        assert_eq!(at(600), "10 minutes");
        assert_eq!(at(hour), "About an hour");
        assert_eq!(at(47 * hour), "47 hours");
        assert_eq!(at(49 * hour), "2 days");
        assert_eq!(at(24 * 14 * hour), "2 weeks");
        assert_eq!(at(24 * 60 * hour), "2 months");
        assert_eq!(at(24 * 365 * 2 * hour), "2 years");
    }

    #[test]
    fn cutting() {
        assert_eq!(ellipsis("abcdef", 4), "abc…");
        assert_eq!(ellipsis("abcd", 4), "abcd");
        assert_eq!(short_id("sha256:0123456789abcdef"), "0123456789ab");
    }
}
