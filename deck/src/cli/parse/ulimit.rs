//! `--ulimit NAME=SOFT[:HARD]`.

use serde_json::{Value, json};

const NAMES: &[&str] = &[
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Reads one `--ulimit` to what the API takes.
///
/// # Errors
/// The name is none, the values are none, or the soft one is above the hard one.
pub fn parse(text: &str) -> Result<Value, String> {
    let (name, values) =
        text.split_once('=').ok_or_else(|| format!("invalid ulimit argument: {text}"))?;
    if !NAMES.contains(&name) {
        return Err(format!("invalid ulimit type: {name}"));
    }
    let number = |value: &str| match value.parse::<i64>() {
        Ok(number) if number >= -1 => Ok(number),
        _ => Err(format!("invalid ulimit value: {value}")),
    };
    let (soft, hard) = values.split_once(':').unwrap_or((values, values));
    let (soft, hard) = (number(soft)?, number(hard)?);
    if hard != -1 && (soft == -1 || soft > hard) {
        return Err(format!(
            "ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"
        ));
    }
    Ok(json!({"Name": name, "Soft": soft, "Hard": hard}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        assert_eq!(parse("nofile=1:2").unwrap(), json!({"Name": "nofile", "Soft": 1, "Hard": 2}));
        assert_eq!(parse("core=-1").unwrap(), json!({"Name": "core", "Soft": -1, "Hard": -1}));
        for text in ["nofile", "x=1", "nofile=2:1", "nofile=a", "nofile=-2", "nofile=-1:5"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
