//! Device nodes, and the rules of the cgroup that guards them; pure but for the nodes asked for.

use super::host::{Host, HostDevice};
use super::wishes::{DeviceWish, Wishes};
use crate::error::{Error, Result};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The nodes: those wished for, or with privileges all of the host's.
pub fn devices(wishes: &Wishes, host: &Host) -> Result<Vec<Value>> {
    let mut nodes: Vec<Value> = Vec::new();
    if wishes.security.privileged {
        nodes.extend(host.devices.iter().map(|device| node(device, &device.path)));
    }
    for wish in &wishes.devices {
        check(wish)?;
        let found = Host::devices_at(&wish.host_path)?;
        if found.is_empty() {
            let path = wish.host_path.display();
            return Err(Error::invalid(format!(
                "error gathering device information while adding custom device {path:?}: \
                 not a device node"
            )));
        }
        for device in found {
            let target = match device.path.strip_prefix(&wish.host_path) {
                Ok(below) if !below.as_os_str().is_empty() => wish.container_path.join(below),
                _ => wish.container_path.clone(),
            };
            nodes.retain(|node| node["path"] != json!(target));
            nodes.push(node(&device, &target));
        }
    }
    Ok(nodes)
}

fn check(wish: &DeviceWish) -> Result<()> {
    let valid = !wish.permissions.is_empty()
        && wish.permissions.chars().all(|letter| "rwm".contains(letter));
    if !valid {
        return Err(Error::invalid(format!("invalid device mode: {:?}", wish.permissions)));
    }
    if !wish.container_path.is_absolute() {
        let path = wish.container_path.display();
        return Err(Error::invalid(format!("device path {path:?} is not absolute")));
    }
    Ok(())
}

fn node(device: &HostDevice, path: &Path) -> Value {
    json!({
        "path": path,
        "type": device.kind.to_string(),
        "major": device.major,
        "minor": device.minor,
        "fileMode": device.mode,
        "uid": device.uid,
        "gid": device.gid,
    })
}

/// `{"devices": […]}`: deny all, allow what every container needs, then what is wished for.
pub fn rules(wishes: &Wishes, nodes: &[Value]) -> Result<Value> {
    if wishes.security.privileged {
        return Ok(json!({"devices": [{"allow": true, "access": "rwm"}]}));
    }
    let mut list = vec![json!({"allow": false, "access": "rwm"})];
    // null, zero, full, random, urandom, tty, console.
    for (major, minor) in [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1)] {
        list.push(rule("c", Some(major), Some(minor), "rwm"));
    }
    for wish in &wishes.devices {
        let own = |node: &&Value| {
            let path = node["path"].as_str().map(PathBuf::from).unwrap_or_default();
            path.starts_with(&wish.container_path)
        };
        for node in nodes.iter().filter(own) {
            let kind = node["type"].as_str().unwrap_or("c");
            let (major, minor) = (node["major"].as_i64(), node["minor"].as_i64());
            list.push(rule(kind, major, minor, &wish.permissions));
        }
    }
    for text in &wishes.device_cgroup_rules {
        list.push(parse(text)?);
    }
    Ok(json!({"devices": list}))
}

fn rule(kind: &str, major: Option<i64>, minor: Option<i64>, access: &str) -> Value {
    let mut rule = json!({"allow": true, "type": kind, "access": access});
    if let Some(major) = major {
        rule["major"] = json!(major);
    }
    if let Some(minor) = minor {
        rule["minor"] = json!(minor);
    }
    rule
}

/// `c 10:* rwm`, `a`.
fn parse(text: &str) -> Result<Value> {
    let invalid = || Error::invalid(format!("invalid device cgroup rule format: {text:?}"));
    let parts: Vec<&str> = text.split_whitespace().collect();
    let ([kind, numbers, access], "a" | "b" | "c") =
        (<[&str; 3]>::try_from(parts.clone()).map_err(|_| invalid())?, parts[0])
    else {
        return Err(invalid());
    };
    let (major, minor) = numbers.split_once(':').ok_or_else(invalid)?;
    let number = |text: &str| match text {
        "*" => Ok(None),
        text if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            text.parse::<i64>().map(Some).map_err(|_| invalid())
        }
        _ => Err(invalid()),
    };
    let letters = access.chars().all(|letter| "rwm".contains(letter));
    if access.is_empty() || access.len() > 3 || !letters {
        return Err(invalid());
    }
    Ok(rule(kind, number(major)?, number(minor)?, access))
}
