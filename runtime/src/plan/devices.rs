//! Device nodes and links in /dev (config-linux.md "Devices", "Default Devices").

use super::mounts::clean;
use crate::spec::Problem;
use crate::spec::linux::Device;
use nix::libc;
use std::ffi::{CStr, CString};

/// A node to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceOp {
    /// Absolute clean path in the container.
    pub path: CString,
    /// File type bits (`S_IFCHR`, `S_IFBLK`, `S_IFIFO`) and permissions.
    pub mode: u32,
    /// Device number; 0 for a fifo.
    pub rdev: u64,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// The nodes every container has (config-linux.md "Default Devices"), all 0666.
const DEFAULTS: [(&CStr, u32, u32); 6] = [
    (c"/dev/null", 1, 3),
    (c"/dev/zero", 1, 5),
    (c"/dev/full", 1, 7),
    (c"/dev/tty", 5, 0),
    (c"/dev/random", 1, 8),
    (c"/dev/urandom", 1, 9),
];

/// Links every container has (runtime-linux.md "Dev symbolic links", and the pty multiplexer).
pub const LINKS: [(&CStr, &CStr); 5] = [
    (c"fd", c"/proc/self/fd"),
    (c"stdin", c"/proc/self/fd/0"),
    (c"stdout", c"/proc/self/fd/1"),
    (c"stderr", c"/proc/self/fd/2"),
    (c"ptmx", c"pts/ptmx"),
];

/// Default nodes that are not listed, then the listed ones.
pub fn plan(devices: &[Device], problems: &mut Vec<Problem>) -> Vec<DeviceOp> {
    let mut listed = Vec::with_capacity(devices.len());
    for (index, device) in devices.iter().enumerate() {
        match listed_device(device) {
            // The multiplexer must be the one of the container's own devpts.
            Ok(op) if op.path.as_c_str() == c"/dev/ptmx" => {}
            Ok(op) => listed.push(op),
            Err(what) => problems.push(Problem::new(format!("linux.devices[{index}]"), what)),
        }
    }
    let mut ops: Vec<DeviceOp> = DEFAULTS
        .into_iter()
        .filter(|(path, ..)| !listed.iter().any(|op| op.path.as_c_str() == *path))
        .map(|(path, major, minor)| DeviceOp {
            path: path.to_owned(),
            mode: libc::S_IFCHR | 0o666,
            rdev: libc::makedev(major, minor),
            uid: 0,
            gid: 0,
        })
        .collect();
    ops.append(&mut listed);
    ops
}

fn listed_device(device: &Device) -> Result<DeviceOp, String> {
    let (kind, is_fifo) = match device.typ.as_str() {
        "c" | "u" => (libc::S_IFCHR, false),
        "b" => (libc::S_IFBLK, false),
        "p" => (libc::S_IFIFO, true),
        other => return Err(format!("type {other:?} is not one of c, b, u, p")),
    };
    let number = |value: Option<i64>, name: &str| match value {
        _ if is_fifo => Ok(0),
        Some(value) => {
            u32::try_from(value).map_err(|_| format!("{name} {value} is not a device number"))
        }
        None => Err(format!("{name} is missing")),
    };
    Ok(DeviceOp {
        path: CString::new(clean(&device.path))
            .map_err(|_| "path contains a NUL byte".to_owned())?,
        mode: kind | device.file_mode.map_or(0o666, |mode| mode & 0o7777),
        rdev: libc::makedev(number(device.major, "major")?, number(device.minor, "minor")?),
        uid: device.uid.unwrap_or(0),
        gid: device.gid.unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_replaces_default() {
        let device: Device = serde_json::from_str(
            r#"{"path":"/dev/null","type":"c","major":1,"minor":3,"fileMode":384,"uid":5}"#,
        )
        .unwrap();
        let ops = plan(&[device], &mut Vec::new());
        assert_eq!(ops.len(), 6);
        let null = ops.iter().find(|op| op.path.as_c_str() == c"/dev/null").unwrap();
        assert_eq!((null.mode, null.uid), (libc::S_IFCHR | 0o600, 5));
    }

    #[test]
    fn numbers_are_needed_but_for_fifos() {
        let mut problems = Vec::new();
        let fifo: Device = serde_json::from_str(r#"{"path":"/dev/f","type":"p"}"#).unwrap();
        let node: Device = serde_json::from_str(r#"{"path":"/dev/x","type":"c"}"#).unwrap();
        let ops = plan(&[fifo, node], &mut problems);
        assert_eq!(ops.len(), 7);
        assert_eq!(problems[0].to_string(), "linux.devices[1]: major is missing");
    }
}
