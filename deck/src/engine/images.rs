//! Images as the API shows them, and what containers have to say about them.

use super::Engine;
use super::events::Event;
use super::filter::Filters;
use super::record::Container;
use super::time;
use super::version::Version;
use crate::error::{Error, Result};
use crate::image::{Deleted, Digest, Filter, Image, Import, Platform, Reference, RunConfig, Sink};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Read;

/// What `import` is asked for.
#[derive(Debug, Clone, Default)]
pub struct Imported {
    /// The new image's name; empty for none.
    pub name: String,
    /// Its comment.
    pub message: String,
    /// Dockerfile instructions.
    pub changes: Vec<String>,
    /// What it is for; the host's if none.
    pub platform: Option<Platform>,
}

impl Engine {
    /// Images that fit filters, newest first.
    ///
    /// # Errors
    /// 400 for filters that mean nothing, 404 for images named in them.
    pub fn list_images(
        &self,
        filters: &Filters,
        _all: bool,
        shared: bool,
        version: Version,
    ) -> Result<Vec<Value>> {
        filters.allow(&["before", "dangling", "label", "label!", "reference", "since", "until"])?;
        let images = self.images.list(&self.image_filter(filters)?)?;
        let usage = if shared { Some(self.images.usage()?) } else { None };
        let mut users: BTreeMap<String, i64> = BTreeMap::new();
        for container in self.containers()? {
            *users.entry(container.image).or_insert(0) += 1;
        }
        Ok(images
            .into_iter()
            .map(|image| {
                let shared = usage.as_ref().map_or(-1, |usage| {
                    let (_, shared) = usage.images.get(&image.id).copied().unwrap_or_default();
                    i64::try_from(shared).unwrap_or(i64::MAX)
                });
                let count = users.get(image.id.as_str()).copied().unwrap_or(0);
                summary(&image, shared, if usage.is_some() { count } else { -1 }, version)
            })
            .collect())
    }

    fn image_filter(&self, filters: &Filters) -> Result<Filter> {
        let _ = self;
        let until = filters.one("until")?;
        let until = until.map(|text| time::parse(text, time::now())).transpose()?.flatten();
        Ok(Filter {
            references: filters.get("reference").to_vec(),
            dangling: filters.flag("dangling")?,
            labels: filters.get("label").to_vec(),
            not_labels: filters.get("label!").to_vec(),
            before: filters.one("before")?.map(str::to_string),
            since: filters.one("since")?.map(str::to_string),
            until: until.map(|until| until / time::SECOND),
        })
    }

    /// An image as inspect shows it.
    ///
    /// # Errors
    /// 404.
    pub fn inspect_image(&self, name: &str) -> Result<Value> {
        let image = self.images.resolve(name)?;
        let config = &image.config;
        let mut shown = json!({
            "Id": image.id,
            "RepoTags": image.repo_tags,
            "RepoDigests": image.repo_digests,
            "Parent": image.parent.as_ref().map_or("", |parent| parent.as_str()),
            "Comment": config.comment,
            "Created": config.created,
            "DockerVersion": config.docker_version,
            "Author": config.author,
            "Config": config_shown(&config.config),
            "Architecture": config.architecture,
            "Os": config.os,
            "Size": image.size,
            "VirtualSize": image.size,
            "GraphDriver": { "Data": null, "Name": super::inspect::DRIVER },
            "RootFS": { "Type": "layers", "Layers": config.rootfs.diff_ids },
            "Metadata": {
                "LastTagTime": time::rfc3339(image.last_tagged),
            },
            "Descriptor": {
                "mediaType": image.media_type, "digest": image.manifest,
                "size": image.manifest_size,
            },
        });
        if let Some(variant) = &config.variant {
            shown["Variant"] = json!(variant);
        }
        Ok(shown)
    }

    /// Names an image.
    ///
    /// # Errors
    /// 404.
    pub fn tag_image(&self, image: &str, name: &Reference) -> Result<()> {
        self.images.tag(image, name)?;
        let id = self.images.resolve(image)?.id;
        self.emit_image(id.as_str(), &name.familiar(), "tag");
        Ok(())
    }

    /// Removes names, and images without any left.
    ///
    /// # Errors
    /// 404; 409 in Docker's words when containers have it.
    pub fn remove_image(&self, name: &str, force: bool, prune: bool) -> Result<Vec<Deleted>> {
        let containers = self.containers()?;
        let in_use = |id: &Digest| {
            let mut users = containers.iter().filter(|user| user.image == id.as_str());
            let alive = |user: &&Container| user.state.status.is_alive();
            users
                .clone()
                .find(alive)
                .or_else(|| users.next())
                .map(|user| (user.id[..12].to_string(), user.state.status.is_alive()))
        };
        let image = self.images.resolve(name)?;
        let deleted = Self::wait_for(self.images.remove(name, force, prune, &in_use))?;
        for line in &deleted {
            match line {
                Deleted::Untagged(name) => self.emit_image(image.id.as_str(), name, "untag"),
                Deleted::Deleted(id) => self.emit_image(id, id, "delete"),
            }
        }
        Ok(deleted)
    }

    /// Removes images nobody uses.
    ///
    /// # Errors
    /// 400 for filters that mean nothing.
    pub fn prune_images(&self, filters: &Filters) -> Result<Value> {
        filters.allow(&["dangling", "label", "label!", "until"])?;
        let all = filters.flag("dangling")? == Some(false);
        let containers = self.containers()?;
        let in_use =
            |id: &Digest| containers.iter().any(|container| container.image == id.as_str());
        let filter = Filter { dangling: None, ..self.image_filter(filters)? };
        let pruned = Self::wait_for(self.images.prune(all, &filter, &in_use))?;
        let deleted = (!pruned.deleted.is_empty()).then_some(pruned.deleted);
        Ok(json!({ "ImagesDeleted": deleted, "SpaceReclaimed": pruned.reclaimed }))
    }

    /// Makes an image of a root file system.
    ///
    /// # Errors
    /// 400 for names and changes that can't be meant; the archive is malformed.
    pub async fn import_image(
        &self,
        imported: Imported,
        reader: Box<dyn Read + Send>,
        sink: &Sink,
    ) -> Result<Image> {
        let mut config = RunConfig::default();
        for change in &imported.changes {
            super::dockerfile::apply(&mut config, change)?;
        }
        let name = match imported.name.as_str() {
            "" => None,
            text => Some(text.parse::<Reference>()?.or_latest()),
        };
        let comment = match imported.message.as_str() {
            "" => "Imported from -".to_string(),
            text => text.to_string(),
        };
        let options = Import { name, config, comment, platform: imported.platform };
        let image = self.images.import(reader, &options, sink).await?;
        self.emit_image(image.id.as_str(), image.id.as_str(), "import");
        Ok(image)
    }

    /// `/system/df`.
    ///
    /// # Errors
    /// The records fail.
    pub fn system_df(&self, version: Version) -> Result<Value> {
        let (containers, volumes) = self.disk_usage()?;
        let images = self.list_images(&Filters::default(), true, true, version)?;
        let layers = self.images.usage()?.layers;
        Ok(json!({
            "LayersSize": layers, "Images": images, "Containers": containers,
            "Volumes": volumes, "BuildCache": [], "BuilderSize": 0,
        }))
    }

    /// Logs in at a registry.
    ///
    /// # Errors
    /// 401 when it refuses.
    pub async fn login(&self, auth: &crate::image::Auth) -> Result<Value> {
        if auth.server_address.contains(char::is_whitespace) {
            return Err(Error::invalid("invalid registry address"));
        }
        let (status, token) = self.images.login(auth).await?;
        Ok(json!({ "Status": status, "IdentityToken": token }))
    }

    /// An event of an image.
    pub fn emit_image(&self, id: &str, name: &str, action: &str) {
        let attributes = BTreeMap::from([("name".to_string(), name.to_string())]);
        self.emit(&Event::new("image", action, id, attributes));
    }
}

/// One of `GET /images/json`.
fn summary(image: &Image, shared: i64, containers: i64, version: Version) -> Value {
    let mut shown = json!({
        "Id": image.id,
        "ParentId": image.parent.as_ref().map_or("", |parent| parent.as_str()),
        "RepoTags": image.repo_tags,
        "RepoDigests": image.repo_digests,
        "Created": image.config.created_seconds(),
        "Size": image.size,
        "SharedSize": shared,
        "Labels": image.config.config.labels,
        "Containers": containers,
    });
    // Gone in API 1.44.
    if version < Version(1, 44) {
        shown["VirtualSize"] = json!(image.size);
    }
    shown
}

/// The image's configuration with what old clients read.
fn config_shown(config: &RunConfig) -> Value {
    let mut shown = json!(config);
    if let Value::Object(map) = &mut shown {
        for key in ["Cmd", "Entrypoint", "Env", "Labels", "Volumes", "OnBuild"] {
            map.entry(key).or_insert(Value::Null);
        }
        for key in ["User", "WorkingDir"] {
            map.entry(key).or_insert_with(|| json!(""));
        }
    }
    shown
}
