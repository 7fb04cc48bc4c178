//! The user's `config.json`: credentials, default formats, detach keys. Docker's own file.

use crate::{At, Error, Result};
use serde_json::{Map, Value};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The file, and where it is.
#[derive(Debug)]
pub struct Settings {
    /// The directory it lies in; certificates are beside it.
    pub directory: PathBuf,
    /// What it says.
    pub values: Map<String, Value>,
}

/// `--config`, `$DOCKER_CONFIG`, or `~/.docker`.
pub fn directory(flag: Option<&Path>) -> PathBuf {
    if let Some(path) = flag {
        return path.to_path_buf();
    }
    match std::env::var_os("DOCKER_CONFIG").filter(|value| !value.is_empty()) {
        Some(path) => path.into(),
        None => PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into()))
            .join(".docker"),
    }
}

impl Settings {
    /// Reads the file; a missing one is empty.
    ///
    /// # Errors
    /// It can't be read or is not a JSON object.
    pub fn read(directory: PathBuf) -> Result<Self> {
        let path = directory.join("config.json");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Error::from(error)).at(|| format!("read {}", path.display())),
        };
        let values = if text.trim().is_empty() {
            Map::new()
        } else {
            serde_json::from_str(&text).at(|| path.display().to_string())?
        };
        Ok(Self { directory, values })
    }

    /// A text of the file.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.values.get(key)?.as_str().filter(|text| !text.is_empty())
    }

    /// Writes the file: to a new one beside it, which then takes its name; only its owner may read
    /// it, as it holds passwords.
    ///
    /// # Errors
    /// The directory or the file can't be written.
    pub fn write(&self) -> Result<()> {
        fs::create_dir_all(&self.directory).at(|| format!("mkdir {}", self.directory.display()))?;
        // A link to a file elsewhere stays one.
        let path = self.directory.join("config.json");
        let path = fs::canonicalize(&path).unwrap_or(path);
        let fresh = path.with_extension(format!("json.{}", std::process::id()));
        let mut text = serde_json::to_string_pretty(&self.values)
            .map_err(|error| Error::internal(error.to_string()))?
            .replace("  ", "\t");
        text.push('\n');
        let written = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&fresh)
            .and_then(|mut file| {
                file.write_all(text.as_bytes())?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&fresh, &path));
        if written.is_err() {
            // What was begun is of no use to anybody.
            let _ = fs::remove_file(&fresh);
        }
        written.at(|| format!("write {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_is_written_is_read_and_private() {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = Settings::read(directory.path().join("new")).unwrap();
        settings.values.insert("detachKeys".into(), "ctrl-x".into());
        settings.write().unwrap();
        let path = directory.path().join("new/config.json");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let again = Settings::read(directory.path().join("new")).unwrap();
        assert_eq!(again.text("detachKeys"), Some("ctrl-x"));
        assert_eq!(fs::read_dir(directory.path().join("new")).unwrap().count(), 1);
    }

    #[test]
    fn a_broken_file_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("config.json"), "{").unwrap();
        assert!(Settings::read(directory.path().into()).is_err());
    }
}
