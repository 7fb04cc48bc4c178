//! `--mount`: `type=bind,source=/a,target=/b,readonly`.

use super::{csv, size};
use serde_json::{Map, Value, json};

/// Reads one `--mount` to what the API takes.
///
/// # Errors
/// Docker's words and what can't be meant.
pub fn parse(text: &str) -> Result<Value, String> {
    let mut mount = Map::new();
    mount.insert("Type".into(), "volume".into());
    let mut options = Options::default();
    for field in csv(text)? {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_lowercase(), value),
            None => match field.to_lowercase().as_str() {
                key @ ("readonly" | "ro" | "volume-nocopy" | "bind-nonrecursive") => {
                    (key.to_owned(), "true")
                }
                _ => return Err(format!("invalid field '{field}' must be a key=value pair")),
            },
        };
        set(&mut mount, &mut options, &key, value)?;
    }
    options.into_mount(mount, text)
}

#[derive(Default)]
struct Options {
    bind: Map<String, Value>,
    volume: Map<String, Value>,
    driver: Map<String, Value>,
    tmpfs: Map<String, Value>,
    image: Map<String, Value>,
}

fn set(
    mount: &mut Map<String, Value>,
    options: &mut Options,
    key: &str,
    value: &str,
) -> Result<(), String> {
    let text = Value::from(value);
    match key {
        "type" => mount.insert("Type".into(), value.to_lowercase().into()),
        "source" | "src" => mount.insert("Source".into(), text),
        "target" | "dst" | "destination" => mount.insert("Target".into(), text),
        "readonly" | "ro" => mount.insert("ReadOnly".into(), truth(key, value)?.into()),
        "consistency" => mount.insert("Consistency".into(), text),
        "bind-propagation" => options.bind.insert("Propagation".into(), text),
        "bind-nonrecursive" => {
            options.bind.insert("NonRecursive".into(), truth(key, value)?.into())
        }
        "bind-recursive" => match value {
            "enabled" => None,
            "disabled" => options.bind.insert("NonRecursive".into(), true.into()),
            "writable" => options.bind.insert("ReadOnlyNonRecursive".into(), true.into()),
            "readonly" => options.bind.insert("ReadOnlyForceRecursive".into(), true.into()),
            _ => return Err(format!("invalid value for bind-recursive: {value}")),
        },
        "volume-subpath" => options.volume.insert("Subpath".into(), text),
        "volume-nocopy" => options.volume.insert("NoCopy".into(), truth(key, value)?.into()),
        "volume-label" => labelled(&mut options.volume, "Labels", value),
        "volume-driver" => options.driver.insert("Name".into(), text),
        "volume-opt" => labelled(&mut options.driver, "Options", value),
        "tmpfs-size" => options.tmpfs.insert("SizeBytes".into(), size::bytes(value)?.into()),
        "tmpfs-mode" => {
            let mode = u32::from_str_radix(value, 8)
                .map_err(|_| format!("invalid value for tmpfs-mode: {value}"))?;
            options.tmpfs.insert("Mode".into(), mode.into())
        }
        "image-subpath" => options.image.insert("Subpath".into(), text),
        _ => return Err(format!("unexpected key '{key}' in '{key}={value}'")),
    };
    Ok(())
}

fn labelled(map: &mut Map<String, Value>, name: &str, pair: &str) -> Option<Value> {
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    let entry = map.entry(name).or_insert_with(|| json!({}));
    entry.as_object_mut()?.insert(key.to_owned(), value.into())
}

fn truth(key: &str, value: &str) -> Result<bool, String> {
    match value {
        "1" | "true" | "True" | "TRUE" | "t" => Ok(true),
        "0" | "false" | "False" | "FALSE" | "f" => Ok(false),
        _ => Err(format!("invalid value for {key}: {value}")),
    }
}

impl Options {
    fn into_mount(mut self, mut mount: Map<String, Value>, text: &str) -> Result<Value, String> {
        let kind = mount.get("Type").and_then(Value::as_str).unwrap_or("").to_owned();
        if !matches!(kind.as_str(), "bind" | "volume" | "tmpfs" | "image") {
            return Err(format!("unsupported mount type '{kind}' in '{text}'"));
        }
        if mount.get("Target").and_then(Value::as_str).unwrap_or("").is_empty() {
            return Err("target is required".into());
        }
        let source = mount.get("Source").and_then(Value::as_str).unwrap_or("");
        if source.is_empty() && matches!(kind.as_str(), "bind" | "image") {
            return Err("source is required".into());
        }
        if kind == "bind" && !source.starts_with('/') {
            let path = std::path::absolute(source).map_err(|error| format!("{source}: {error}"))?;
            mount.insert("Source".into(), path.to_string_lossy().into());
        }
        if !self.driver.is_empty() {
            self.volume.insert("DriverConfig".into(), self.driver.into());
        }
        for (owner, name, options) in [
            ("bind", "BindOptions", self.bind),
            ("volume", "VolumeOptions", self.volume),
            ("tmpfs", "TmpfsOptions", self.tmpfs),
            ("image", "ImageOptions", self.image),
        ] {
            if options.is_empty() {
                continue;
            }
            if owner != kind {
                return Err(format!("cannot mix '{owner}-*' options with mount type '{kind}'"));
            }
            mount.insert(name.into(), options.into());
        }
        Ok(mount.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        assert_eq!(
            parse("type=bind,src=/a,dst=/b,readonly,bind-propagation=rslave").unwrap(),
            json!({"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": true,
                   "BindOptions": {"Propagation": "rslave"}})
        );
        assert_eq!(
            parse("source=v,target=/b,volume-opt=type=nfs,volume-label=a=b").unwrap(),
            json!({"Type": "volume", "Source": "v", "Target": "/b", "VolumeOptions":
                   {"Labels": {"a": "b"}, "DriverConfig": {"Options": {"type": "nfs"}}}})
        );
        assert_eq!(
            parse("type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1770").unwrap(),
            json!({"Type": "tmpfs", "Target": "/t",
                   "TmpfsOptions": {"SizeBytes": 1_048_576, "Mode": 0o1770}})
        );
    }

    #[test]
    fn nonsense() {
        for text in [
            "",
            "x",
            "type=bind,target=/b",
            "type=nope,target=/b",
            "type=volume",
            "target=/b,x=1",
            "type=tmpfs,target=/t,bind-propagation=shared",
            "target=/b,ro=maybe",
            "type=tmpfs,target=/t,tmpfs-mode=9",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
