//! Writing limits, for a new container or a running one.

use super::Cgroup;
use super::create::unplaced;
use super::file::{gone, read_optional, read_raw, write, write_raw};
use crate::error::{At, Error, Kind, Result};
use crate::plan::cgroup::{UsageCheck, Write, WriteRule};
use nix::errno::Errno;
use std::path::{Path, PathBuf};

/// An old value.
struct Old {
    path: PathBuf,
    file: String,
    value: String,
}

/// The values before an update.
pub struct Undo(Vec<Old>);

impl Undo {
    /// Writes them back, latest first.
    pub fn write_back(&self) {
        // Twice, because values may depend on each other; what can't be restored in the end was
        // not changed by us either, or the kernel no longer takes it.
        for _ in 0..2 {
            for Old { path, file, value } in self.0.iter().rev() {
                let _ = write_raw(path, file, value);
            }
        }
    }
}

impl Cgroup {
    /// Changes the limits of a running container: all of them or none. The values before are
    /// written back if the kernel refuses one; else they are returned, for the case that another
    /// part of the change fails.
    pub fn update(&self, writes: &[Write], check: Option<UsageCheck>) -> Result<Undo> {
        if let Some(check) = check {
            self.check_usage(check)?;
        }
        let mut old = Vec::with_capacity(writes.len());
        for write in writes {
            old.extend(self.old(write)?);
        }
        let undo = Undo(old);
        match self.write_all(writes) {
            Ok(()) => Ok(undo),
            Err(error) => {
                undo.write_back();
                Err(error)
            }
        }
    }

    /// Writes `writes` in order, then those again that did not fit at first.
    pub(super) fn write_all(&self, writes: &[Write]) -> Result<()> {
        let mut again = Vec::new();
        for write in writes {
            let path = self.place(&write.controller).ok_or_else(|| unplaced(&write.controller))?;
            match write_raw(path, &write.file, &write.value) {
                Ok(()) => {}
                Err(error) => match (&write.rule, error.raw_os_error()) {
                    (WriteRule::Retry, Some(libc::EINVAL)) => again.push((path, write)),
                    (WriteRule::IfPresent, Some(libc::ENOENT)) => {}
                    (WriteRule::Else { file, value }, Some(libc::ENOENT)) => {
                        write_raw(path, file, value)
                            .map_err(|error| explain(self, path, write, &error))
                            .at(|| context(path, write))?;
                    }
                    _ => {
                        return Err(explain(self, path, write, &error)).at(|| context(path, write));
                    }
                },
            }
        }
        again.into_iter().try_for_each(|(path, own)| write(path, &own.file, &own.value))
    }

    /// Refuses limits that are not above what is in use: the kernel would kill for them. What
    /// can't be read is not checked.
    pub(super) fn check_usage(&self, check: UsageCheck) -> Result<()> {
        let Some(path) = self.place("memory") else { return Ok(()) };
        let Ok(text) = read_raw(path, "memory.current") else { return Ok(()) };
        let Ok(usage) = text.trim_end().parse::<u64>() else { return Ok(()) };
        for (what, limit) in [("memory+swap", check.swap), ("memory", check.memory)] {
            if limit > 0 && limit <= usage {
                return Err(Error::new(
                    Kind::State,
                    format!("rejecting {what} limit {limit} <= usage {usage}"),
                ));
            }
        }
        Ok(())
    }

    /// What `write` would overwrite.
    fn old(&self, write: &Write) -> Result<Option<Old>> {
        let path = self.place(&write.controller).ok_or_else(|| unplaced(&write.controller))?;
        let mut file: &str = &write.file;
        let mut new: &str = &write.value;
        let mut text = read_optional(path, file)?;
        if let (None, WriteRule::Else { file: other, value }) = (&text, &write.rule) {
            (file, new) = (other, value);
            text = read_optional(path, other)?;
        }
        Ok(text.map(|text| Old {
            path: path.to_owned(),
            file: file.to_owned(),
            value: restoring(file, new, &text),
        }))
    }
}

/// The value that undoes the write of `new` to `file`, which contained `old`.
fn restoring(file: &str, new: &str, old: &str) -> String {
    if file == "memory.oom_control" {
        // The file tells more than it takes.
        let disabled = old.lines().find_map(|line| line.strip_prefix("oom_kill_disable "));
        return disabled.unwrap_or("0").to_owned();
    }
    let keyed = matches!(file, "io.max" | "io.latency" | "rdma.max" | "net_prio.ifpriomap")
        || file.starts_with("blkio.throttle.")
        || file.ends_with("weight_device")
        || matches!(file, "io.weight" | "io.bfq.weight");
    if !keyed {
        // An empty write is not passed on to cgroupfs; a line end clears a list.
        return if old.is_empty() { "\n".to_owned() } else { old.trim_end().to_owned() };
    }
    let mut keys: Vec<&str> = new.lines().map(|line| key(file, line)).collect();
    keys.dedup();
    let lines = keys.into_iter().map(|key| {
        let line = old.lines().find(|line| line.split(' ').next() == Some(key));
        line.map_or_else(|| unset(file, key, old), str::to_owned)
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// What `line` of a keyed file is about: a device, an interface, or all devices.
fn key<'a>(file: &str, line: &'a str) -> &'a str {
    match line.split_once(' ') {
        Some((key, _)) => key,
        // A number alone is the weight of devices without one of their own.
        None if file.ends_with("weight") => "default",
        None => line,
    }
}

/// The line that removes `key` from a keyed file it is not in.
fn unset(file: &str, key: &str, old: &str) -> String {
    match file {
        "io.max" => format!("{key} rbps=max wbps=max riops=max wiops=max"),
        "rdma.max" => format!("{key} hca_handle=max hca_object=max"),
        // Before Linux 5.4 the file has but the one number.
        _ if key == "default" => old.trim_end().to_owned(),
        "io.weight" => format!("{key} default"),
        _ => format!("{key} 0"),
    }
}

fn context(path: &Path, write: &Write) -> String {
    format!("write {:?} to {:?}", write.value, path.join(write.file.as_ref()))
}

/// The reason for a refusal, where there is more to say than the error number.
fn explain(cgroup: &Cgroup, path: &Path, write: &Write, error: &std::io::Error) -> Error {
    let number = |file| {
        let text = read_raw(path, file).ok();
        text.and_then(|text| text.trim_end().parse::<u64>().ok()).unwrap_or(0)
    };
    match error.raw_os_error() {
        Some(libc::EBUSY) if write.file == "memory.limit_in_bytes" => Error::new(
            Kind::Kernel(Errno::EBUSY),
            format!(
                "unable to set memory limit to {} (current usage: {}, peak usage: {})",
                write.value,
                number("memory.usage_in_bytes"),
                number("memory.max_usage_in_bytes")
            ),
        ),
        _ if gone(error) && cgroup.is_v2() => {
            let enabled = read_raw(path, "cgroup.controllers").unwrap_or_default();
            let name = write.controller.as_ref();
            if name == "cgroup" || enabled.split_whitespace().any(|own| own == name) {
                return Errno::ENOENT.into();
            }
            Error::unsupported(format!("controller {name:?} not available"))
        }
        _ => Error::from(Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_values_are_restored_in_the_form_the_file_takes() {
        let table = [
            ("cpu.shares", "512", "1024\n", "1024"),
            ("cpu.max", "50000 100000", "max 100000\n", "max 100000"),
            ("cpuset.cpus", "0", "", "\n"),
            ("memory.oom_control", "1", "oom_kill_disable 0\nunder_oom 0\n", "0"),
            (
                "io.max",
                "8:0 rbps=1",
                "8:16 rbps=9 wbps=max riops=max wiops=max\n",
                "8:0 rbps=max wbps=max riops=max wiops=max",
            ),
            (
                "io.max",
                "8:0 rbps=1",
                "8:0 rbps=9 wbps=max riops=max wiops=max\n",
                "8:0 rbps=9 wbps=max riops=max wiops=max",
            ),
            ("blkio.throttle.read_bps_device", "8:0 5", "", "8:0 0"),
            ("blkio.throttle.read_bps_device", "8:0 5", "8:0 7\n8:16 1\n", "8:0 7"),
            ("io.weight", "200", "default 100\n8:0 50\n", "default 100"),
            ("io.weight", "8:0 200", "default 100\n", "8:0 default"),
            ("io.bfq.weight", "200", "100\n", "100"),
            ("net_prio.ifpriomap", "lo 3", "lo 0\neth0 1\n", "lo 0"),
        ];
        for (file, new, old, expected) in table {
            assert_eq!(restoring(file, new, old), expected, "{file}");
        }
    }
}
