//! What [`super::Images`] takes and gives.

use crate::image::{Digest, ImageConfig, Platform, RunConfig};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// An image in the store.
#[derive(Debug, Clone)]
pub struct Image {
    /// Digest of the configuration: Docker's image id.
    pub id: Digest,
    /// Digest of the manifest the content is stored under.
    pub manifest: Digest,
    /// The manifest's media type.
    pub media_type: String,
    /// The manifest's size in bytes.
    pub manifest_size: u64,
    /// The parsed configuration.
    pub config: ImageConfig,
    /// Familiar names with tags, sorted: `nginx:latest`.
    pub repo_tags: Vec<String>,
    /// Familiar names with manifest digests, sorted: `nginx@sha256:…`.
    pub repo_digests: Vec<String>,
    /// Bytes of the unpacked layers, shared ones included.
    pub size: u64,
    /// Bytes of the stored, usually compressed, blobs.
    pub content_size: u64,
    /// When a tag was last set: nanoseconds since the epoch, 0 for never.
    pub last_tagged: i64,
    /// The image it was committed on, if it is still here.
    pub parent: Option<Digest>,
}

/// Which images to list; empty fields don't filter.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Patterns with `*`, `?` and `[]` against familiar names with or without tag.
    pub references: Vec<String>,
    /// Only images without (true) or with (false) a tag.
    pub dangling: Option<bool>,
    /// `key` or `key=value`; all must match.
    pub labels: Vec<String>,
    /// As `labels`; none may match.
    pub not_labels: Vec<String>,
    /// Made before this image.
    pub before: Option<String>,
    /// Made after this image.
    pub since: Option<String>,
    /// Made before this time, seconds since the epoch.
    pub until: Option<i64>,
}

/// Credentials as `X-Registry-Auth` and `docker login` carry them.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Auth {
    /// User name.
    #[serde(default)]
    pub username: String,
    /// Password.
    #[serde(default)]
    pub password: String,
    /// Refresh token that stands for the password.
    #[serde(default, rename = "identitytoken")]
    pub identity_token: String,
    /// Bearer token, used as it is.
    #[serde(default, rename = "registrytoken")]
    pub registry_token: String,
    /// The registry they are for.
    #[serde(default, rename = "serveraddress")]
    pub server_address: String,
}

impl std::fmt::Debug for Auth {
    /// Secrets stay out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth")
            .field("username", &self.username)
            .field("server_address", &self.server_address)
            .finish_non_exhaustive()
    }
}

/// One line of what `rmi` or a prune did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Deleted {
    /// A name that is gone.
    Untagged(String),
    /// An image or layer that is gone.
    Deleted(String),
}

/// What a prune did.
#[derive(Debug, Clone, Default)]
pub struct Pruned {
    /// Lines as of `rmi`.
    pub deleted: Vec<Deleted>,
    /// Bytes freed.
    pub reclaimed: u64,
}

/// One line of `history`, newest first.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct HistoryEntry {
    /// The image's id on the first line, `<missing>` on others.
    pub id: String,
    /// Seconds since the epoch.
    pub created: i64,
    /// The command.
    pub created_by: String,
    /// Names of the image on the first line.
    pub tags: Option<Vec<String>>,
    /// Bytes of the layer.
    pub size: u64,
    /// The comment.
    pub comment: String,
}

/// What to make of a container's changes.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// The snapshot to read.
    pub snapshot: String,
    /// The image the container runs.
    pub parent: Option<Digest>,
    /// The new image's whole run configuration.
    pub config: RunConfig,
    /// Who.
    pub author: String,
    /// Why.
    pub comment: String,
    /// The history line: the container's command.
    pub created_by: String,
    /// The name to give it.
    pub name: Option<super::Reference>,
}

/// How to make an image of a root file system archive.
#[derive(Debug, Clone, Default)]
pub struct Import {
    /// The name to give it.
    pub name: Option<super::Reference>,
    /// The image's run configuration.
    pub config: RunConfig,
    /// The comment.
    pub comment: String,
    /// The platform to claim; the host's if none.
    pub platform: Option<Platform>,
}

/// One answer of a search.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SearchResult {
    /// The repository.
    pub name: String,
    /// What it says about itself.
    #[serde(default)]
    pub description: String,
    /// Likes.
    #[serde(default)]
    pub star_count: i64,
    /// Curated.
    #[serde(default)]
    pub is_official: bool,
    /// Built by the registry (always false nowadays).
    #[serde(default)]
    pub is_automated: bool,
}

/// What the store holds on disk.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    /// Bytes of all unpacked layers, each counted once.
    pub layers: u64,
    /// Bytes of all stored blobs.
    pub blobs: u64,
    /// By image: bytes no other image shares, bytes shared.
    pub images: BTreeMap<Digest, (u64, u64)>,
    /// Where it lies.
    pub path: PathBuf,
}
