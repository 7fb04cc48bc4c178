//! What a container has mounted: `-v`, `--mount`, `--tmpfs`, `--volumes-from`, the image's
//! volumes. Pure; volumes are made and filled by whoever calls.

use super::model::config::ContainerConfig;
use super::model::host::{HostConfig, Mount};
use super::record::MountPoint;
use crate::error::{Error, Result};
use std::collections::BTreeMap;

/// Words for propagation.
const PROPAGATION: &[&str] = &["private", "rprivate", "slave", "rslave", "shared", "rshared"];

/// Everything that is mounted, by destination; `from` tells the mounts of another container.
///
/// # Errors
/// 400 for what can't be meant; what `from` says.
pub fn resolve(
    config: &ContainerConfig,
    host: &HostConfig,
    from: &dyn Fn(&str) -> Result<Vec<MountPoint>>,
) -> Result<Vec<MountPoint>> {
    let mut points: BTreeMap<String, MountPoint> = BTreeMap::new();
    for source in host.volumes_from.iter().flatten() {
        let (container, mode) = source.split_once(':').unwrap_or((source, ""));
        let writable = match mode {
            "" | "rw" | "z" | "Z" => None,
            "ro" => Some(false),
            _ => return Err(Error::invalid(format!("invalid mode: {mode}"))),
        };
        for mut point in from(container)? {
            point.writable = writable.unwrap_or(point.writable);
            // It belongs to the other one, which removes it.
            point.anonymous = false;
            points.insert(point.destination.clone(), point);
        }
    }
    let mut own: BTreeMap<String, MountPoint> = BTreeMap::new();
    let mut add = |point: MountPoint| match own.insert(point.destination.clone(), point) {
        Some(twice) => Err(Error::invalid(format!("Duplicate mount point: {}", twice.destination))),
        None => Ok(()),
    };
    for text in host.binds.iter().flatten() {
        add(bind(text)?)?;
    }
    for mount in host.mounts.iter().flatten() {
        add(from_mount(mount)?)?;
    }
    for (destination, options) in host.tmpfs.iter().flatten() {
        add(MountPoint {
            kind: "tmpfs".into(),
            destination: destination_of(destination)?,
            writable: true,
            options: options.split(',').filter(|o| !o.is_empty()).map(str::to_string).collect(),
            ..MountPoint::default()
        })?;
    }
    points.extend(own);
    for destination in config.volumes.iter().flatten().map(|(destination, _)| destination) {
        // Old clients put binds here.
        let point =
            if destination.contains(':') { bind(destination)? } else { anonymous(destination)? };
        points.entry(point.destination.clone()).or_insert(point);
    }
    Ok(points.into_values().collect())
}

/// A new volume without a name.
fn anonymous(destination: &str) -> Result<MountPoint> {
    Ok(MountPoint {
        kind: "volume".into(),
        destination: destination_of(destination)?,
        driver: "local".into(),
        writable: true,
        anonymous: true,
        ..MountPoint::default()
    })
}

/// Reads `[source:]destination[:options]`.
fn bind(text: &str) -> Result<MountPoint> {
    let bad = || Error::invalid(format!("invalid volume specification: '{text}'"));
    let parts: Vec<&str> = text.split(':').collect();
    let (source, destination, mode) = match &parts[..] {
        [destination] => return anonymous(destination),
        [source, destination] => (*source, *destination, ""),
        [source, destination, mode] => (*source, *destination, *mode),
        _ => return Err(bad()),
    };
    if source.is_empty() {
        return Err(bad());
    }
    let mut point = MountPoint {
        destination: destination_of(destination)?,
        mode: mode.into(),
        writable: true,
        ..MountPoint::default()
    };
    if source.starts_with('/') {
        point.kind = "bind".into();
        point.source = clean(source);
        point.propagation = "rprivate".into();
    } else {
        point.kind = "volume".into();
        point.name = volume_name(source)?;
        point.driver = "local".into();
    }
    for word in mode.split(',').filter(|word| !word.is_empty()) {
        match word {
            "rw" | "z" | "Z" | "consistent" | "cached" | "delegated" => {}
            "ro" => point.writable = false,
            "nocopy" if point.kind == "volume" => point.no_copy = true,
            "bind-nonrecursive" if point.kind == "bind" => point.non_recursive = true,
            word if PROPAGATION.contains(&word) && point.kind == "bind" => {
                point.propagation = word.into();
            }
            _ => return Err(Error::invalid(format!("invalid mode: {mode}"))),
        }
    }
    Ok(point)
}

/// What a `--mount` asks for.
fn from_mount(mount: &Mount) -> Result<MountPoint> {
    let kind = mount.kind.as_str();
    let bad =
        |what: &str| Error::invalid(format!("invalid mount config for type \"{kind}\": {what}"));
    if !matches!(mount.consistency.as_str(), "" | "default" | "consistent" | "cached" | "delegated")
    {
        return Err(bad(&format!("unknown consistency {}", mount.consistency)));
    }
    let mut point = MountPoint {
        kind: kind.into(),
        destination: destination_of(&mount.target).map_err(|error| bad(&error.message))?,
        writable: !mount.read_only,
        ..MountPoint::default()
    };
    let only = |is: &str, given: bool, name: &str| {
        if given && kind != is {
            Err(bad(&format!("field {name} must not be specified")))
        } else {
            Ok(())
        }
    };
    only("bind", mount.bind_options.is_some(), "BindOptions")?;
    only("volume", mount.volume_options.is_some(), "VolumeOptions")?;
    only("tmpfs", mount.tmpfs_options.is_some(), "TmpfsOptions")?;
    match kind {
        "bind" => {
            if !mount.source.starts_with('/') {
                return Err(bad(&format!(
                    "invalid mount path: '{}' mount path must be absolute",
                    mount.source
                )));
            }
            let options = mount.bind_options.clone().unwrap_or_default();
            point.source = clean(&mount.source);
            point.propagation = match options.propagation.as_str() {
                "" => "rprivate".into(),
                word if PROPAGATION.contains(&word) => word.into(),
                other => return Err(bad(&format!("invalid propagation mode: {other}"))),
            };
            let (partly, wholly) =
                (options.read_only_non_recursive, options.read_only_force_recursive);
            if (partly || wholly) && !mount.read_only {
                return Err(bad("recursion of read-only is set without ReadOnly"));
            }
            // What lies below is read-only or the start fails, so the wish is fulfilled unless
            // something forbids it.
            if wholly && (partly || options.non_recursive) {
                return Err(bad("ReadOnlyForceRecursive contradicts the other options"));
            }
            point.non_recursive = options.non_recursive;
            point.read_only_non_recursive = partly;
            // A `-v` makes the host's directory, a `--mount` doesn't.
            if !options.create_mountpoint {
                point.options.push("must-exist".into());
            }
        }
        "volume" => {
            let options = mount.volume_options.clone().unwrap_or_default();
            if options
                .driver_config
                .as_ref()
                .is_some_and(|d| !matches!(d.name.as_str(), "" | "local"))
            {
                return Err(bad("only the local driver is there"));
            }
            point.driver = "local".into();
            point.no_copy = options.no_copy;
            point.subpath = options.subpath;
            if leads_out(&point.subpath) {
                return Err(bad("subpath must be a relative path within the volume"));
            }
            if mount.source.is_empty() {
                point.anonymous = true;
                if !point.subpath.is_empty() {
                    return Err(bad("must not set Subpath when using anonymous volumes"));
                }
            } else {
                point.name = volume_name(&mount.source)?;
            }
        }
        "tmpfs" => {
            if !mount.source.is_empty() {
                return Err(bad("field Source must not be specified"));
            }
            let options = mount.tmpfs_options.clone().unwrap_or_default();
            if options.size_bytes > 0 {
                point.options.push(format!("size={}", options.size_bytes));
            }
            if options.mode > 0 {
                point.options.push(format!("mode={:o}", options.mode));
            }
            point.options.extend(options.options.iter().flatten().map(|words| words.join("=")));
        }
        other => return Err(Error::invalid(format!("mount type unknown: \"{other}\""))),
    }
    Ok(point)
}

/// A path in the container: absolute, not the root, without `.` and `..`.
fn destination_of(text: &str) -> Result<String> {
    let path = clean(text);
    if !text.starts_with('/') {
        return Err(Error::invalid(format!(
            "invalid mount path: '{text}' mount path must be absolute"
        )));
    }
    if path == "/" {
        return Err(Error::invalid("invalid specification: destination can't be '/'"));
    }
    Ok(path)
}

/// A path without `.`, `..`, doubled and trailing slashes, by its words alone.
pub fn clean(text: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Whether a path is none below where it starts, by its words alone; links are for the kernel.
fn leads_out(path: &str) -> bool {
    let mut depth = 0_i32;
    path.starts_with('/')
        || path.split('/').any(|part| {
            depth += match part {
                "" | "." => 0,
                ".." => -1,
                _ => 1,
            };
            depth < 0
        })
}

/// A volume's name: it is a directory's too.
///
/// # Errors
/// 400 in Docker's words.
pub fn volume_name(name: &str) -> Result<String> {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if first && name.len() >= 2 && name.len() <= 255 && bytes.all(good) {
        return Ok(name.to_string());
    }
    Err(Error::invalid(format!(
        "\"{name}\" includes invalid characters for a local volume name, only \
         \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use \
         absolute path"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(config: &str, host: &str) -> Result<Vec<MountPoint>> {
        resolve(
            &serde_json::from_str(config).unwrap(),
            &serde_json::from_str(host).unwrap(),
            &|_| {
                Ok(vec![MountPoint {
                    kind: "volume".into(),
                    name: "other".into(),
                    destination: "/data".into(),
                    writable: true,
                    anonymous: true,
                    ..MountPoint::default()
                }])
            },
        )
    }

    #[test]
    fn a_subpath_is_below_its_volume() {
        let subpath = |path: &str| {
            let host = serde_json::json!({"Mounts": [{"Type": "volume", "Source": "vol",
                "Target": "/t", "VolumeOptions": {"Subpath": path}}]});
            resolved("{}", &host.to_string())
        };
        for good in ["a", "a/../b", "./a/", ""] {
            assert!(subpath(good).is_ok(), "{good}");
        }
        for bad in ["/etc", "..", "../etc", "a/../../b"] {
            let error = subpath(bad).unwrap_err().message;
            assert!(error.contains("relative path within the volume"), "{bad}: {error}");
        }
    }

    #[test]
    fn all_ways_to_mount() {
        let points = resolved(
            r#"{"Volumes":{"/anon":{},"/data":{}}}"#,
            r#"{"Binds":["/a/../b:/bind:ro","vol:/vol"],"VolumesFrom":["x:ro"],
                "Tmpfs":{"/tmp":"size=1m"},
                "Mounts":[{"Type":"bind","Source":"/s","Target":"/t/"}]}"#,
        )
        .unwrap();
        let by = |destination: &str| points.iter().find(|p| p.destination == destination).unwrap();
        assert_eq!(by("/bind").source, "/b");
        assert!(!by("/bind").writable);
        assert_eq!(by("/vol").name, "vol");
        assert!(by("/anon").anonymous);
        assert_eq!(by("/data").name, "other");
        assert!(!by("/data").writable && !by("/data").anonymous);
        assert_eq!(by("/tmp").options, ["size=1m"]);
        assert_eq!(by("/t").source, "/s");
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for host in [
            r#"{"Binds":["/a:b"]}"#,
            r#"{"Binds":["/a:/"]}"#,
            r#"{"Binds":["/a:/b/.."]}"#,
            r#"{"Binds":["../a:/b"]}"#,
            r#"{"Binds":["/a:/b:rw,what"]}"#,
            r#"{"Binds":["/a:/b","/c:/b"]}"#,
            r#"{"Binds":["/a:/b:ro:x"]}"#,
            r#"{"Mounts":[{"Type":"npipe","Target":"/a"}]}"#,
            r#"{"Mounts":[{"Type":"bind","Source":"rel","Target":"/a"}]}"#,
            r#"{"Mounts":[{"Type":"bind","Source":"/s","Target":"/a",
                "BindOptions":{"ReadOnlyForceRecursive":true}}]}"#,
            r#"{"Mounts":[{"Type":"bind","Source":"/s","Target":"/a","ReadOnly":true,
                "BindOptions":{"ReadOnlyForceRecursive":true,"NonRecursive":true}}]}"#,
            r#"{"Mounts":[{"Type":"bind","Source":"/s","Target":"/a",
                "BindOptions":{"ReadOnlyNonRecursive":true}}]}"#,
            r#"{"Mounts":[{"Type":"tmpfs","Source":"x","Target":"/a"}]}"#,
            r#"{"Mounts":[{"Type":"tmpfs","Target":"/a","BindOptions":{}}]}"#,
        ] {
            assert!(resolved("{}", host).is_err(), "{host}");
        }
    }
}
