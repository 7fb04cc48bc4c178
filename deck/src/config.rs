//! Where deck keeps its things and which programs it calls.

use std::path::PathBuf;

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
