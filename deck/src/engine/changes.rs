//! `diff` and `commit`: what a container wrote.

use super::Engine;
use super::model::config::ContainerConfig;
use crate::error::{Error, Result};
use crate::image::{ChangeKind, Commit, Digest, Image, Reference, RunConfig};
use serde::Serialize;

/// One of `GET /containers/{id}/changes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Shown {
    /// In the container.
    pub path: String,
    /// 0 modified, 1 added, 2 deleted.
    pub kind: u8,
}

/// What `POST /commit` asks for.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// The container.
    pub container: String,
    /// `repository[:tag]`, empty for none.
    pub name: String,
    /// Who.
    pub author: String,
    /// Why.
    pub comment: String,
    /// Dockerfile instructions over the container's configuration.
    pub changes: Vec<String>,
    /// Over the container's configuration.
    pub config: Option<ContainerConfig>,
    /// Freezes the container meanwhile.
    pub pause: bool,
}

/// What is mounted over in every container. Where the image has none, the runtime makes it; that is
/// no change of the container's (Docker keeps it in a layer below).
const MOUNT_POINTS: &[&str] = &[
    "dev",
    "dev/console",
    "dev/mqueue",
    "dev/pts",
    "dev/shm",
    "etc/hostname",
    "etc/hosts",
    "etc/mtab",
    "etc/resolv.conf",
    "proc",
    "sys",
    "sys/fs/cgroup",
];

impl Engine {
    /// What differs from the image; `None` when nothing does.
    ///
    /// # Errors
    /// 404.
    pub fn changes(&self, reference: &str) -> Result<Option<Vec<Shown>>> {
        let id = self.find(reference)?.id;
        let changes = Self::wait_for(self.images.snapshots().changes(&id, MOUNT_POINTS))?;
        let shown: Vec<Shown> = changes
            .into_iter()
            .map(|change| Shown {
                path: change.path.display().to_string(),
                kind: match change.kind {
                    ChangeKind::Modified => 0,
                    ChangeKind::Added => 1,
                    ChangeKind::Deleted => 2,
                },
            })
            .collect();
        Ok((!shown.is_empty()).then_some(shown))
    }

    /// Makes an image of what a container wrote.
    ///
    /// # Errors
    /// 400 for names and changes that can't be meant, 404.
    pub fn commit(&self, asked: &Asked) -> Result<Image> {
        let id = self.find(&asked.container)?.id;
        let lock = self.lock(&id)?;
        let container = self.settled(&id, &lock)?;
        let name = match asked.name.as_str() {
            "" => None,
            text => Some(text.parse::<Reference>()?.or_latest()),
        };
        let mut config = run_config(asked.config.as_ref().unwrap_or(&container.config));
        for change in &asked.changes {
            super::dockerfile::apply(&mut config, change)?;
        }
        let running = container.state.status == super::record::Status::Running;
        let paused = asked.pause
            && running
            && match self.task(&container).and_then(|mut task| task.pause()) {
                // It ends just now: nothing writes any more.
                Err(error) if error.status == 409 || !super::end::lives(&container) => false,
                done => done.map(|()| true)?,
            };
        let image = Self::wait_for(self.images.commit(&Commit {
            snapshot: id.clone(),
            parent: container.image.parse::<Digest>().ok(),
            config,
            author: asked.author.clone(),
            comment: asked.comment.clone(),
            created_by: super::text::command(&container.command),
            name,
        }));
        if paused {
            self.task(&container)?.resume()?;
        }
        let image = image?;
        let more = [("comment", asked.comment.as_str()), ("imageID", image.id.as_str())];
        self.emit_container(&container, "commit", &more);
        Ok(image)
    }
}

/// The image's part of a container's configuration.
pub fn run_config(config: &ContainerConfig) -> RunConfig {
    RunConfig {
        user: config.user.clone(),
        exposed_ports: config.exposed_ports.clone(),
        env: config.env.clone().unwrap_or_default(),
        entrypoint: config.entrypoint.clone(),
        cmd: config.cmd.clone(),
        volumes: config.volumes.clone().unwrap_or_default(),
        working_dir: config.working_dir.clone(),
        labels: config.labels.clone(),
        stop_signal: config.stop_signal.clone(),
        stop_timeout: config.stop_timeout,
        shell: config.shell.clone(),
        healthcheck: config.healthcheck.clone(),
        on_build: config.on_build.clone(),
    }
}

/// A name and tag as the API gives them apart.
///
/// # Errors
/// Never for no name; 400 for a tag alone.
pub fn joined(repository: &str, tag: &str) -> Result<String> {
    match (repository, tag) {
        ("", "") => Ok(String::new()),
        ("", tag) => Err(Error::invalid(format!("invalid reference format: tag {tag} alone"))),
        (repository, "") => Ok(repository.into()),
        (repository, digest) if digest.contains(':') => Ok(format!("{repository}@{digest}")),
        (repository, tag) => Ok(format!("{repository}:{tag}")),
    }
}
