//! `--pid-file`: a number without a newline, there whole or not at all.

use crate::error::{At, Result};
use nix::libc::pid_t;
use std::fs::{OpenOptions, remove_file, rename};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes `pid` to `path` by way of a file beside it.
///
/// # Errors
/// open(2), write(2), rename(2).
pub fn write(path: &Path, pid: pid_t) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}"));
    let what = || format!("writing pid file {}", path.display());
    let made = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&beside);
    let mut file = match made {
        // Left by a runtime that was killed in between.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            remove_file(&beside).at(what)?;
            OpenOptions::new().write(true).create_new(true).mode(0o644).open(&beside).at(what)?
        }
        other => other.at(what)?,
    };
    file.write_all(pid.to_string().as_bytes())
        .and_then(|()| rename(&beside, path))
        .inspect_err(|_error| {
            let _ = remove_file(&beside);
        })
        .at(what)
}

#[cfg(test)]
mod tests {
    #[test]
    fn whole_and_without_newline() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        std::fs::write(dir.path().join(".pid"), "stale").unwrap();
        super::write(&path, 42).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "42");
        assert!(!dir.path().join(".pid").exists());
        assert!(super::write(&dir.path().join("no/pid"), 1).is_err());
    }
}
