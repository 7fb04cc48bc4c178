//! Sizes: `512m`, `1.5GiB`, `1024`; powers of 1024.

/// 2^63: the first value an i64 can't hold; f64 has it exactly.
pub const TOO_LARGE: f64 = 9_223_372_036_854_775_808.0;

/// Reads a size in bytes.
///
/// # Errors
/// It is no size, or too large for the API.
pub fn bytes(text: &str) -> Result<i64, String> {
    let wrong = || format!("invalid size: '{text}'");
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let unit = unit.trim_start();
    let power = match unit {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        "p" | "pb" | "pib" => 5,
        _ => return Err(wrong()),
    };
    let value = number * 1024_f64.powi(power);
    if value >= TOO_LARGE {
        return Err(wrong());
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked above; fractions of bytes go")]
    Ok(value as i64)
}

/// As [`bytes`], or `-1` for no limit.
///
/// # Errors
/// As [`bytes`].
pub fn bytes_or_unlimited(text: &str) -> Result<i64, String> {
    if text == "-1" { Ok(-1) } else { bytes(text) }
}

/// Reads `--cpus`: nano-CPUs.
///
/// # Errors
/// It is no number, negative, or finer than a billionth.
pub fn nano_cpus(text: &str) -> Result<i64, String> {
    let wrong = || format!("failed to parse {text} as a rational number");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.len() > 9 {
        return Err(wrong());
    }
    let number = |digits: &str| match digits {
        "" => Ok(0),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse::<i64>().map_err(|_| wrong())
        }
        _ => Err(wrong()),
    };
    let nanos = number(&format!("{fraction:0<9}"))?;
    number(whole)?.checked_mul(1_000_000_000).and_then(|n| n.checked_add(nanos)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, want) in [
            ("0", 0),
            ("32", 32),
            ("32b", 32),
            ("32k", 32 << 10),
            ("32KiB", 32 << 10),
            ("1.5m", 3 << 19),
            ("2 GB", 2 << 30),
            ("1t", 1 << 40),
        ] {
            assert_eq!(bytes(text), Ok(want), "{text}");
        }
        for text in ["", "m", "-1", "1x", "1ib", "1e3", "99999999p", "nan", "1..2"] {
            assert!(bytes(text).is_err(), "{text}");
        }
        assert_eq!(bytes_or_unlimited("-1"), Ok(-1));
    }

    #[test]
    fn cpus() {
        assert_eq!(nano_cpus("1.5"), Ok(1_500_000_000));
        assert_eq!(nano_cpus(".000000001"), Ok(1));
        assert_eq!(nano_cpus("2"), Ok(2_000_000_000));
        for text in ["", ".", "-1", "x", "1.0000000001", "99999999999999999999", "1.+1"] {
            assert!(nano_cpus(text).is_err(), "{text}");
        }
    }
}
