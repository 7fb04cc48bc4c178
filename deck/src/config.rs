//! Where deck keeps its things and which programs it calls: flags over the environment
//! (`DECK_DATA_ROOT`, …) over `deck.toml` over defaults.

use crate::error::{At, Error, Result};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Directories and programs; one value for a process' life.
#[derive(Debug, Clone)]
pub struct Config {
    /// Images, layers, volumes, records, logs: survives reboots. `/var/lib/deck`.
    pub data_root: PathBuf,
    /// Bundles, sockets, runtime state: gone after a reboot. `/run/deck`.
    pub exec_root: PathBuf,
    /// `/etc/deck`: `deck.toml`, `certs.d/`, `registries.toml`.
    pub config_root: PathBuf,
    /// The OCI runtime.
    pub runtime: PathBuf,
    /// The shim.
    pub shim: PathBuf,
}

/// `deck.toml`, all of it optional; an unknown key is an error, as a misspelt one would be lost.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct File {
    /// See [`Config::data_root`].
    pub data_root: Option<PathBuf>,
    /// See [`Config::exec_root`].
    pub exec_root: Option<PathBuf>,
    /// See [`Config::runtime`]: a path, or a name that is looked up in `$PATH`.
    pub runtime: Option<PathBuf>,
    /// See [`Config::shim`]: a path, or a name that is looked up in `$PATH`.
    pub shim: Option<PathBuf>,
    /// What `deck serve` listens on when no `-H` is given.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Certificate authority that signs the clients of `tcp://`.
    pub tlscacert: Option<PathBuf>,
    /// The server's certificate for `tcp://`.
    pub tlscert: Option<PathBuf>,
    /// The key of the server's certificate.
    pub tlskey: Option<PathBuf>,
}

/// Where the configuration lives when nothing else is said.
pub const CONFIG_ROOT: &str = "/etc/deck";

impl File {
    /// Reads `deck.toml` below `config_root`; a missing file is an empty one.
    ///
    /// # Errors
    /// The file can't be read, or isn't what it should be.
    pub fn read(config_root: &Path) -> Result<Self> {
        let path = config_root.join("deck.toml");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => return Err(error).at(|| format!("read {}", path.display())),
        };
        toml::from_str(&text)
            .map_err(|error| Error::invalid(format!("{}: {error}", path.display())))
    }
}

impl Config {
    /// The configuration that `file` asks for, with defaults where it is silent.
    pub fn from_file(config_root: &Path, file: &File) -> Self {
        let or = |variable: &str, given: &Option<PathBuf>, default: &str| {
            let set = std::env::var_os(variable).filter(|value| !value.is_empty());
            set.map(PathBuf::from)
                .or_else(|| given.clone())
                .unwrap_or_else(|| PathBuf::from(default))
        };
        Self {
            data_root: or("DECK_DATA_ROOT", &file.data_root, "/var/lib/deck"),
            exec_root: or("DECK_EXEC_ROOT", &file.exec_root, "/run/deck"),
            config_root: config_root.to_path_buf(),
            runtime: program(or("DECK_RUNTIME", &file.runtime, "hull")),
            shim: program(or("DECK_SHIM", &file.shim, "containerd-shim-hull-v2")),
        }
    }

    /// The environment that gives another deck process the same configuration: the shim hands it
    /// to the `deck publish` it starts.
    pub fn environment(&self) -> [(&'static str, &Path); 5] {
        [
            ("DECK_DATA_ROOT", &self.data_root),
            ("DECK_EXEC_ROOT", &self.exec_root),
            ("DECK_CONFIG_ROOT", &self.config_root),
            ("DECK_RUNTIME", &self.runtime),
            ("DECK_SHIM", &self.shim),
        ]
    }

    /// Where `deck.toml` is when no flag says so: `$DECK_CONFIG_ROOT`, else `/etc/deck`.
    pub fn default_root() -> PathBuf {
        let set = std::env::var_os("DECK_CONFIG_ROOT").filter(|value| !value.is_empty());
        set.map_or_else(|| PathBuf::from(CONFIG_ROOT), PathBuf::from)
    }

    /// Reads `deck.toml` below `config_root`.
    ///
    /// # Errors
    /// As [`File::read`].
    pub fn load(config_root: &Path) -> Result<Self> {
        Ok(Self::from_file(config_root, &File::read(config_root)?))
    }

    /// A container's directory that survives reboots: log, `hosts`, `resolv.conf`, `hostname`.
    pub fn container_dir(&self, id: &str) -> PathBuf {
        self.data_root.join("containers").join(id)
    }

    /// A container's bundle: `config.json`, the mounted root, sockets.
    pub fn bundle_dir(&self, id: &str) -> PathBuf {
        self.exec_root.join("b").join(id)
    }

    /// Where named volumes live.
    pub fn volumes_dir(&self) -> PathBuf {
        self.data_root.join("volumes")
    }
}

/// A program's path: as given when it holds a slash, else beside this program, else in `$PATH`,
/// else as given (the error comes when it is run, and names it).
fn program(name: PathBuf) -> PathBuf {
    if name.components().count() > 1 {
        return name;
    }
    let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join(&name)));
    let path = std::env::var_os("PATH").unwrap_or_default();
    beside
        .into_iter()
        .chain(std::env::split_paths(&path).map(|directory| directory.join(&name)))
        .find(|candidate| candidate.is_file())
        .unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_all_defaults() {
        let directory = tempfile::tempdir().unwrap();
        let config = Config::load(directory.path()).unwrap();
        assert_eq!(config.data_root, Path::new("/var/lib/deck"));
        assert_eq!(config.exec_root, Path::new("/run/deck"));
    }

    #[test]
    fn given_keys_win_and_unknown_ones_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deck.toml");
        std::fs::write(&path, "data-root = '/srv/deck'\nruntime = '/opt/hull'\n").unwrap();
        let config = Config::load(directory.path()).unwrap();
        assert_eq!(config.data_root, Path::new("/srv/deck"));
        assert_eq!(config.runtime, Path::new("/opt/hull"));
        std::fs::write(&path, "dataroot = '/srv/deck'\n").unwrap();
        let error = Config::load(directory.path()).unwrap_err();
        assert_eq!(error.status, 400);
        assert!(error.message.contains("dataroot"), "{error}");
    }
}
