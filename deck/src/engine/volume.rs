//! Named and anonymous volumes: directories below the data root.

use super::events::Event;
use super::filter::Filters;
use super::mounts::volume_name;
use super::record::{Container, MountPoint};
use super::{Engine, text, time};
use crate::error::{At, Error, Result};
use crate::store::records::{self, Table};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A volume's record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// Nanoseconds since the epoch.
    pub created: i64,
    /// Where its content is.
    pub mountpoint: String,
    /// The user's labels.
    pub labels: BTreeMap<String, String>,
    /// `type`, `device`, `o` of mount(8), mounted while a container uses it.
    pub options: BTreeMap<String, String>,
    /// No name was given.
    pub anonymous: bool,
}

/// A volume as `GET /volumes` shows it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the Engine API's fields under their own names")]
pub struct Shown {
    pub created_at: String,
    pub driver: &'static str,
    pub labels: Option<BTreeMap<String, String>>,
    pub mountpoint: String,
    pub name: String,
    pub options: Option<BTreeMap<String, String>>,
    pub scope: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_data: Option<Usage>,
}

/// What a volume takes and who uses it.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Usage {
    /// Containers.
    pub ref_count: i64,
    /// Bytes.
    pub size: i64,
}

/// `POST /volumes/create`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the Engine API's fields under their own names")]
pub struct Wanted {
    pub name: String,
    pub driver: String,
    pub driver_opts: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
}

impl Volume {
    /// What the API shows.
    pub fn shown(&self) -> Shown {
        let some = |map: &BTreeMap<String, String>| (!map.is_empty()).then(|| map.clone());
        Shown {
            created_at: time::rfc3339(self.created / time::SECOND * time::SECOND),
            driver: "local",
            labels: some(&self.labels),
            mountpoint: self.mountpoint.clone(),
            name: self.name.clone(),
            options: some(&self.options),
            scope: "local",
            usage_data: None,
        }
    }
}

impl Engine {
    /// Makes a volume by request.
    ///
    /// # Errors
    /// 400 for names and options that can't be, 404 for another driver.
    pub fn create_volume(&self, wanted: &Wanted) -> Result<Volume> {
        driver_known(&wanted.driver)?;
        let anonymous = wanted.name.is_empty();
        let name = if anonymous { text::new_id()? } else { volume_name(&wanted.name)? };
        self.make_volume(&name, anonymous, &wanted.labels, &wanted.driver_opts)
    }

    /// Makes a volume, or finds it.
    ///
    /// # Errors
    /// 400 for options that can't be meant, 409 when it is there with others.
    pub(super) fn make_volume(
        &self,
        name: &str,
        anonymous: bool,
        labels: &BTreeMap<String, String>,
        options: &BTreeMap<String, String>,
    ) -> Result<Volume> {
        if let Some(volume) = self.volume_record(name)? {
            if !options.is_empty() && *options != volume.options {
                return Err(Error::conflict(format!(
                    "volume {name} is there with other options: remove it first"
                )));
            }
            return Ok(volume);
        }
        check_options(options)?;
        let path = self.config.volumes_dir().join(name).join("_data");
        let parent = path.parent().unwrap_or(&path);
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o701)
            .create(parent)
            .at(|| format!("mkdir {}", parent.display()))?;
        if let Err(error) = std::fs::create_dir(&path)
            && error.kind() != std::io::ErrorKind::AlreadyExists
        {
            return Err(error).at(|| format!("mkdir {}", path.display()));
        }
        let volume = Volume {
            name: name.into(),
            created: time::now(),
            mountpoint: path.display().to_string(),
            labels: labels.clone(),
            options: options.clone(),
            anonymous,
        };
        let added = records::insert(&self.database(), Table::Volumes, name, name, &volume);
        match added {
            // Another process made it meanwhile.
            Err(error) if error.status == 409 => self.volume(name),
            Err(error) => Err(error),
            Ok(()) => {
                self.emit_volume("create", name, &[]);
                Ok(volume)
            }
        }
    }

    /// A volume.
    ///
    /// # Errors
    /// 404.
    pub fn volume(&self, name: &str) -> Result<Volume> {
        self.volume_record(name)?
            .ok_or_else(|| Error::not_found(format!("get {name}: no such volume")))
    }

    fn volume_record(&self, name: &str) -> Result<Option<Volume>> {
        records::get(&self.database(), Table::Volumes, name)
    }

    /// Volumes that fit filters, by name.
    ///
    /// # Errors
    /// 400 for filters that mean nothing.
    pub fn volumes(&self, filters: &Filters) -> Result<Vec<Volume>> {
        filters.allow(&["dangling", "driver", "label", "label!", "name"])?;
        let dangling = filters.flag("dangling")?;
        let used = self.used_volumes()?;
        let mut volumes: Vec<Volume> = records::all(&self.database(), Table::Volumes)?;
        volumes.retain(|volume| {
            let names = filters.get("name");
            (names.is_empty() || names.iter().any(|name| volume.name.contains(name.as_str())))
                && filters.any("driver", "local")
                && filters.labels(&volume.labels)
                && dangling.is_none_or(|dangling| dangling != used.contains_key(&volume.name))
        });
        volumes.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(volumes)
    }

    /// Volumes containers have, with how many have them.
    ///
    /// # Errors
    /// The database fails.
    pub fn used_volumes(&self) -> Result<BTreeMap<String, i64>> {
        let mut used = BTreeMap::new();
        for container in self.containers()? {
            for point in container.mounts.iter().filter(|point| point.kind == "volume") {
                *used.entry(point.name.clone()).or_insert(0) += 1;
            }
        }
        Ok(used)
    }

    /// Removes a volume and what is in it.
    ///
    /// # Errors
    /// 404 unless forced, 409 when containers have it.
    pub fn remove_volume(&self, name: &str, force: bool) -> Result<()> {
        let volume = match self.volume(name) {
            Err(error) if error.status == 404 && force => return Ok(()),
            other => other?,
        };
        let users: Vec<String> = self
            .containers()?
            .into_iter()
            .filter(|c| c.mounts.iter().any(|p| p.kind == "volume" && p.name == volume.name))
            .map(|container| container.id)
            .collect();
        if !users.is_empty() {
            return Err(Error::conflict(format!(
                "remove {name}: volume is in use - [{}]",
                users.join(", ")
            )));
        }
        self.delete_volume_files(name)?;
        self.emit_volume("destroy", name, &[]);
        Ok(())
    }

    /// Removes record and directory: the record first, so that no container gets half a volume.
    pub(super) fn delete_volume_files(&self, name: &str) -> Result<()> {
        let name = volume_name(name)?;
        records::delete(&self.database(), Table::Volumes, &name)?;
        let directory = self.config.volumes_dir().join(&name);
        let data = directory.join("_data");
        let _ = umount2(&data, MntFlags::MNT_DETACH);
        match std::fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).at(|| format!("remove {}", directory.display()))
            }
            _ => Ok(()),
        }
    }

    /// Whether nothing is in a volume: then a container's image may fill it.
    pub(super) fn volume_is_new(&self, name: &str) -> bool {
        self.volume_record(name).ok().flatten().is_some_and(|volume| {
            volume.options.is_empty()
                && std::fs::read_dir(&volume.mountpoint)
                    .is_ok_and(|mut entries| entries.next().is_none())
        })
    }

    /// Copies what the image has at the volumes' places into them: into a directory beside, which
    /// takes the volume's place when it is whole, so that a crash leaves an empty volume that is
    /// filled again.
    pub(super) fn fill_volumes(&self, container: &Container, fill: &[&MountPoint]) -> Result<()> {
        let root = self.mount_root(container)?;
        for point in fill {
            if !root.is_directory(&point.destination) {
                continue;
            }
            let data = Path::new(&point.source);
            let beside = data.with_file_name("_new");
            drop(std::fs::remove_dir_all(&beside));
            root.copy_out(&point.destination, &beside)
                .at(|| format!("fill volume {} from {}", point.name, point.destination))?;
            std::fs::rename(&beside, data)
                .at(|| format!("rename {} to {}", beside.display(), data.display()))?;
        }
        Ok(())
    }

    /// Where a volume's content is on the host, mounted if it needs to be, for a container that
    /// starts; below it the subpath, which must not lead out.
    ///
    /// # Errors
    /// 404 when the volume is gone, the mount fails, the subpath isn't there.
    pub(super) fn volume_source(&self, point: &MountPoint) -> Result<PathBuf> {
        let volume = self.volume(&point.name)?;
        let path = PathBuf::from(&volume.mountpoint);
        if !volume.options.is_empty() && !is_mounted(&path) {
            mount_options(&volume, &path)?;
        }
        if point.subpath.is_empty() {
            return Ok(path);
        }
        super::root::subpath(&path, &point.subpath)
            .at(|| format!("volume {}: subpath {}", point.name, point.subpath))
    }

    /// An event of a volume.
    pub(super) fn emit_volume(&self, action: &str, name: &str, more: &[(&str, &str)]) {
        let mut attributes = BTreeMap::from([("driver".to_string(), "local".to_string())]);
        attributes.extend(more.iter().map(|(k, v)| ((*k).to_string(), (*v).to_string())));
        self.emit(&Event::new("volume", action, name, attributes));
    }
}

/// Refuses drivers of volumes that aren't there. A container without volumes may name any, as
/// Docker asks for the driver when a volume is made.
///
/// # Errors
/// 404 in Docker's words.
pub(super) fn driver_known(driver: &str) -> Result<()> {
    if matches!(driver, "" | "local") {
        return Ok(());
    }
    Err(Error::not_found(format!(
        "error looking up volume plugin {driver}: plugin \"{driver}\" not found"
    )))
}

/// Checks the options of the local driver.
pub fn check_options(options: &BTreeMap<String, String>) -> Result<()> {
    for key in options.keys() {
        if !matches!(key.as_str(), "type" | "device" | "o") {
            return Err(Error::invalid(format!("create volume: invalid option: \"{key}\"")));
        }
    }
    if !options.is_empty() && !options.contains_key("device") {
        return Err(Error::invalid("create volume: missing required option: \"device\""));
    }
    Ok(())
}

/// Whether a directory is a mount point: its device differs from its parent's, or it is another
/// directory of the same one.
fn is_mounted(path: &Path) -> bool {
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let wanted = path.to_string_lossy();
    text.lines().any(|line| line.split(' ').nth(4) == Some(&wanted))
}

/// Mounts what a volume's options name.
fn mount_options(volume: &Volume, path: &Path) -> Result<()> {
    let get = |key: &str| volume.options.get(key).map_or("", String::as_str);
    let (mut flags, mut data) = (MsFlags::empty(), Vec::new());
    let mut bind = false;
    for option in get("o").split(',').filter(|option| !option.is_empty()) {
        match option {
            "bind" => bind = true,
            "rbind" => {
                bind = true;
                flags |= MsFlags::MS_REC;
            }
            "ro" => flags |= MsFlags::MS_RDONLY,
            "rw" => {}
            "nosuid" => flags |= MsFlags::MS_NOSUID,
            "nodev" => flags |= MsFlags::MS_NODEV,
            "noexec" => flags |= MsFlags::MS_NOEXEC,
            "noatime" => flags |= MsFlags::MS_NOATIME,
            other => data.push(other),
        }
    }
    let what = || format!("mount volume {}: {} on {}", volume.name, get("device"), path.display());
    if bind {
        let recursive = flags & MsFlags::MS_REC;
        mount(Some(get("device")), path, None::<&str>, MsFlags::MS_BIND | recursive, None::<&str>)
            .at(what)?;
        let rest = flags & !MsFlags::MS_REC;
        if !rest.is_empty() {
            let remount = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | rest;
            mount(None::<&str>, path, None::<&str>, remount, None::<&str>).at(what)?;
        }
        return Ok(());
    }
    mount(Some(get("device")), path, Some(get("type")), flags, Some(data.join(",").as_str()))
        .at(what)
}
