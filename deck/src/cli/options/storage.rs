//! Volumes, binds, tmpfs, the root file system.

use super::{Part, put};
use crate::cli::parse::volume::{self, Volume};
use crate::cli::parse::{env, mount};
use clap::Args;
use serde_json::{Value, json};

/// Options of storage.
#[derive(Args)]
#[expect(clippy::struct_field_names, reason = "clap makes the flags' names of them")]
pub struct Storage {
    /// Mount: type=bind|volume|tmpfs,source=…,target=…[,readonly]…
    #[arg(long, value_parser = mount::parse)]
    mount: Vec<Value>,
    /// Mount the root file system read-only
    #[arg(long)]
    read_only: bool,
    /// Option of the storage driver: NAME=VALUE
    #[arg(long, value_name = "OPTION")]
    storage_opt: Vec<String>,
    /// Mount a tmpfs: DIR[:OPTIONS]
    #[arg(long)]
    tmpfs: Vec<String>,
    /// Mount a volume or a directory: [SOURCE:]DIR[:OPTIONS]
    #[arg(short, long)]
    volume: Vec<String>,
    /// Driver of new volumes
    #[arg(long, value_name = "DRIVER")]
    volume_driver: Option<String>,
    /// Mount the volumes of another container: NAME[:ro|rw]
    #[arg(long, value_name = "CONTAINER")]
    volumes_from: Vec<String>,
}

impl Storage {
    pub(super) fn fill(&self, config: &mut Part, host: &mut Part) -> Result<(), String> {
        let here = std::env::current_dir()
            .map_err(|error| format!("read the working directory: {error}"))?;
        let mut anonymous = Part::new();
        let mut binds = Vec::new();
        for text in &self.volume {
            match volume::parse(text, &here)? {
                Volume::Anonymous(target) => _ = anonymous.insert(target, json!({})),
                Volume::Bind(bind) => binds.push(bind),
            }
        }
        let mut tmpfs = Part::new();
        for text in &self.tmpfs {
            let (target, options) = text.split_once(':').unwrap_or((text, ""));
            if !target.starts_with('/') {
                return Err(format!("invalid tmpfs: {text}: not an absolute path"));
            }
            tmpfs.insert(target.to_owned(), options.into());
        }
        for text in &self.volumes_from {
            let mode = text.split_once(':').map_or("rw", |(_, mode)| mode);
            if text.is_empty() || !matches!(mode, "ro" | "rw" | "z" | "Z") {
                return Err(format!("invalid mode: {mode} in --volumes-from {text}"));
            }
        }
        put(config, "Volumes", anonymous);
        put(host, "Binds", binds);
        put(host, "Mounts", self.mount.clone());
        put(host, "Tmpfs", tmpfs);
        put(host, "ReadonlyRootfs", self.read_only);
        put(host, "StorageOpt", json!(env::map(&self.storage_opt)));
        put(host, "VolumeDriver", self.volume_driver.clone());
        put(host, "VolumesFrom", self.volumes_from.clone());
        Ok(())
    }
}
