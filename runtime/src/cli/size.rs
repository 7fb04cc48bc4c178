//! Sizes as callers of OCI runtimes write them: docker's go-units, powers of 1024.

use super::flags::usage;
use crate::error::Result;

/// Bytes of `text`: a number, with a fraction if need be, and perhaps `k`, `m`, `g`, `t`, `p` and
/// `b` or `ib` in any case. `-1` means no limit.
pub fn parse(flag: &str, text: &str) -> Result<i64> {
    if text == "-1" {
        return Ok(-1);
    }
    bytes(text).ok_or_else(|| usage(format!("invalid value for {flag}: invalid size: '{text}'")))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "what is past the point of a byte is dropped; the range is checked first"
)]
fn bytes(text: &str) -> Option<i64> {
    let end = text.rfind(|c: char| c.is_ascii_digit() || c == '.')?;
    let (number, unit) = text.split_at_checked(end + 1)?;
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let mut letters = unit.chars();
    let power = match letters.next() {
        None => 0,
        Some('b') => return letters.next().is_none().then(|| number.parse().ok())?,
        Some(letter) => 1 + "kmgtp".find(letter)?,
    };
    if !matches!(letters.as_str(), "" | "b" | "ib") {
        return None;
    }
    let scale = 1_i64.checked_shl(10 * u32::try_from(power).ok()?)?;
    if let Ok(whole) = number.parse::<i64>() {
        return (whole >= 0).then_some(whole)?.checked_mul(scale);
    }
    let value = number.parse::<f64>().ok().filter(|value| *value >= 0.0)? * scale as f64;
    (value < i64::MAX as f64).then_some(value as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("-1", -1),
            ("0", 0),
            ("33554432", 33_554_432),
            ("1k", 1024),
            ("32M", 32 << 20),
            ("1.5g", 3 << 29),
            ("2GiB", 2 << 30),
            ("7b", 7),
            ("3 kb", 3072),
            ("1t", 1 << 40),
            ("1p", 1 << 50),
        ] {
            assert_eq!(parse("memory", text).unwrap(), expected, "{text}");
        }
        for text in ["", "x", "1x", "1kk", "-2", "-1k", "1ki", "99999999999g", "1.2.3", "k"] {
            let expected = format!("invalid value for memory: invalid size: '{text}'");
            assert_eq!(parse("memory", text).err().map(|e| e.to_string()), Some(expected));
        }
    }
}
