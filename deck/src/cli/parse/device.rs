//! `--device HOST[:CONTAINER][:rwm]`, and rates of block devices.

use super::size;
use serde_json::{Value, json};

/// Reads one `--device`.
///
/// # Errors
/// It can't be meant, or names a CDI device.
pub fn parse(text: &str) -> Result<Value, String> {
    if !text.starts_with('/') && text.contains('=') {
        return Err(format!("--device {text}: CDI devices are not supported"));
    }
    let parts: Vec<&str> = text.split(':').collect();
    let mode =
        |text: &str| !text.is_empty() && text.len() <= 3 && text.chars().all(|c| "rwm".contains(c));
    let (source, target, permissions) = match parts.as_slice() {
        [source] => (*source, *source, "rwm"),
        [source, last] if mode(last) => (*source, *source, *last),
        [source, target] => (*source, *target, "rwm"),
        [source, target, last] if mode(last) => (*source, *target, *last),
        _ => return Err(format!("invalid device specification: {text}")),
    };
    if !source.starts_with('/') || !target.starts_with('/') {
        return Err(format!("invalid device specification: {text}: not an absolute path"));
    }
    Ok(json!({
        "PathOnHost": source, "PathInContainer": target, "CgroupPermissions": permissions
    }))
}

/// Reads `PATH:RATE`, the rate being a size (`bytes`) or a count.
///
/// # Errors
/// It can't be meant.
pub fn rate(text: &str, bytes: bool) -> Result<Value, String> {
    let wrong = || format!("bad format: {text}: expected DEVICE:RATE");
    let (path, rate) = text.split_once(':').ok_or_else(wrong)?;
    if !path.starts_with("/dev/") {
        return Err(format!("bad format for device path: {text}"));
    }
    let rate = if bytes { size::bytes(rate).ok() } else { rate.parse().ok() };
    let rate = rate.filter(|rate| *rate >= 0).ok_or_else(wrong)?;
    Ok(json!({"Path": path, "Rate": rate}))
}

/// Reads `PATH:WEIGHT`.
///
/// # Errors
/// It can't be meant, or the weight is neither 0 nor 10 to 1000.
pub fn weight(text: &str) -> Result<Value, String> {
    let wrong = || format!("bad format: {text}: expected DEVICE:WEIGHT");
    let (path, weight) = text.split_once(':').ok_or_else(wrong)?;
    let weight: u16 = weight.parse().map_err(|_| wrong())?;
    if !path.starts_with("/dev/") || weight != 0 && !(10..=1000).contains(&weight) {
        return Err(format!("invalid weight for device: {text}"));
    }
    Ok(json!({"Path": path, "Weight": weight}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices() {
        let device = |source, target, permissions| {
            Ok(json!({"PathOnHost": source, "PathInContainer": target,
                      "CgroupPermissions": permissions}))
        };
        assert_eq!(parse("/dev/fuse"), device("/dev/fuse", "/dev/fuse", "rwm"));
        assert_eq!(parse("/dev/a:r"), device("/dev/a", "/dev/a", "r"));
        assert_eq!(parse("/dev/a:/dev/b:rw"), device("/dev/a", "/dev/b", "rw"));
        for text in ["", "dev", "/a:b", "/a:/b:x", "/a:/b:r:w", "nvidia.com/gpu=all"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rates_and_weights() {
        assert_eq!(rate("/dev/sda:1m", true), Ok(json!({"Path": "/dev/sda", "Rate": 1_048_576})));
        assert_eq!(rate("/dev/sda:5", false), Ok(json!({"Path": "/dev/sda", "Rate": 5})));
        assert!(rate("/dev/sda:-5", false).is_err());
        assert!(rate("/sda:5", false).is_err());
        assert_eq!(weight("/dev/sda:10"), Ok(json!({"Path": "/dev/sda", "Weight": 10})));
        assert!(weight("/dev/sda:5").is_err());
    }
}
