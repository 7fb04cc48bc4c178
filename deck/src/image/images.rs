//! The door to the image store: what needs no network and little time is here, the rest forwards.

use crate::config::Config;
use crate::error::{At, Result};
use crate::image::layers::blocking;
use crate::image::snapshot::Snapshots;
use crate::image::store::Store;
use crate::image::types::{
    Auth, Commit, Deleted, Filter, HistoryEntry, Image, Import, Pruned, SearchResult, Usage,
};
use crate::image::{
    Digest, Platform, Reference, Sink, archive, commit, copy, import, load, pull, push, query,
    registry, remove,
};
use crate::store::images;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The image store. Clones share it.
#[derive(Clone)]
pub struct Images {
    pub(super) store: Arc<Store>,
    pub(super) config: Arc<Config>,
}

impl Images {
    /// Opens the store below the data root, making it where it is missing.
    ///
    /// # Errors
    /// The directories or the database can't be made.
    pub fn open(config: &Config) -> Result<Self> {
        let store = Arc::new(Store::open(config)?);
        Ok(Self { store, config: Arc::new(config.clone()) })
    }

    /// Snapshots on this store's layers.
    pub fn snapshots(&self) -> Snapshots {
        Snapshots::new(Arc::clone(&self.store))
    }

    /// Finds an image by name, id, short id or digest. A name comes before a short id.
    ///
    /// # Errors
    /// 404 `No such image: …`; 400 when a short id fits several.
    pub fn resolve(&self, name: &str) -> Result<Image> {
        let db = self.store.db();
        query::image(&db, &query::resolve(&db, name)?)
    }

    /// Copies an image's root file system to a directory that must not be there.
    ///
    /// # Errors
    /// The directory is there, or the disk fails.
    pub async fn unpack(&self, image: &Image, target: &Path) -> Result<()> {
        let (store, id, target) = (Arc::clone(&self.store), image.id.clone(), target.to_owned());
        blocking(move |_| {
            let _share = store.share()?;
            let layers = images::image_layers(&store.db(), &id)?;
            let trees: Vec<PathBuf> = layers.iter().map(|layer| store.diff(&layer.chain)).collect();
            std::fs::create_dir(&target).at(|| format!("mkdir {}", target.display()))?;
            copy::copy_layers(&trees, &target)
        })
        .await
    }

    /// Lists images, newest first.
    ///
    /// # Errors
    /// The database fails; 404 for an unknown image in `before` or `since`.
    pub fn list(&self, filter: &Filter) -> Result<Vec<Image>> {
        query::list(&self.store.db(), filter)
    }

    /// Fetches an image, unpacks its layers and names it. Without `auth` the credentials of
    /// `docker login` count.
    ///
    /// # Errors
    /// 404 when the registry has no such manifest, 401/403 as it says, 500 for all else.
    pub async fn pull(
        &self,
        reference: &Reference,
        platform: Option<&Platform>,
        auth: Option<&Auth>,
        progress: &Sink,
    ) -> Result<Image> {
        pull::pull(self, reference, platform, auth, progress).await
    }

    /// Fetches all tags of a repository, one after another; what was pulled before an error stays.
    ///
    /// # Errors
    /// Those of [`Self::pull`], and of the list of tags.
    pub async fn pull_all(
        &self,
        repository: &Reference,
        platform: Option<&Platform>,
        auth: Option<&Auth>,
        progress: &Sink,
    ) -> Result<Vec<Image>> {
        pull::pull_all(self, repository, platform, auth, progress).await
    }

    /// Sends an image to its name's registry.
    ///
    /// # Errors
    /// 404 when the name is not here; else as the registry says.
    pub async fn push(
        &self,
        reference: &Reference,
        auth: Option<&Auth>,
        progress: &Sink,
    ) -> Result<()> {
        push::push(self, reference, auth, progress).await
    }

    /// Gives an image another name. A name with a digest is refused.
    ///
    /// # Errors
    /// 404 when the image is not here.
    pub fn tag(&self, image: &str, name: &Reference) -> Result<()> {
        remove::tag(&self.store.db(), image, name)
    }

    /// Removes a name, or an image with its names. `in_use` tells for an image id which container
    /// uses it, as Docker words it, and whether that one runs: stopped ones are overruled by force.
    ///
    /// # Errors
    /// 404; 409 when it is in use, or has names in several repositories and was given by id.
    pub async fn remove(
        &self,
        name: &str,
        force: bool,
        prune_parents: bool,
        in_use: &(dyn Fn(&Digest) -> Option<(String, bool)> + Sync),
    ) -> Result<Vec<Deleted>> {
        remove::remove(self, name, force, prune_parents, in_use).await
    }

    /// Removes images nothing uses: dangling ones, or with `all` every unused one. `filter` bounds
    /// the choice by labels and `until`.
    ///
    /// # Errors
    /// The database or the disk fails.
    pub async fn prune(
        &self,
        all: bool,
        filter: &Filter,
        in_use: &(dyn Fn(&Digest) -> bool + Sync),
    ) -> Result<Pruned> {
        remove::prune(self, all, filter, in_use).await
    }

    /// The history of an image, newest first.
    ///
    /// # Errors
    /// As [`Self::resolve`].
    pub fn history(&self, name: &str) -> Result<Vec<HistoryEntry>> {
        query::history(&self.store.db(), name)
    }

    /// Writes images as one archive that Docker and OCI tools both read.
    ///
    /// # Errors
    /// 404 for a name; whatever the writer says.
    pub async fn save(&self, names: &[String], writer: Box<dyn Write + Send>) -> Result<()> {
        archive::save(self, names, writer).await
    }

    /// The names that [`Self::save`] is to be given for one of a user's: a repository's are all of
    /// its tags.
    ///
    /// # Errors
    /// 404.
    pub fn meant(&self, name: &str) -> Result<Vec<String>> {
        query::meant(&self.store.db(), name)
    }

    /// Reads images from a Docker or OCI archive, compressed or not, told by content. Without
    /// `platform` the host's is taken from an index. Each image loaded is told to `progress` as
    /// Docker's `Loaded image: …`.
    ///
    /// # Errors
    /// The archive is malformed, lies about its content, or the disk fails.
    pub async fn load(
        &self,
        reader: Box<dyn Read + Send>,
        platform: Option<&Platform>,
        progress: &Sink,
    ) -> Result<Vec<Image>> {
        load::load(self, reader, platform, progress).await
    }

    /// Makes an image of a root file system archive, compressed or not.
    ///
    /// # Errors
    /// The archive is malformed or the disk fails.
    pub async fn import(
        &self,
        reader: Box<dyn Read + Send>,
        options: &Import,
        progress: &Sink,
    ) -> Result<Image> {
        import::import(self, reader, options, progress).await
    }

    /// Makes an image of a snapshot's changes on top of the image it was made of.
    ///
    /// # Errors
    /// The snapshot or the parent is not there, or the disk fails.
    pub async fn commit(&self, commit: &Commit) -> Result<Image> {
        commit::commit(self, commit).await
    }

    /// Asks a registry's search: `term` may start with a registry's host.
    ///
    /// # Errors
    /// As the registry says.
    pub async fn search(
        &self,
        term: &str,
        limit: u32,
        auth: Option<&Auth>,
    ) -> Result<Vec<SearchResult>> {
        registry::search::search(&self.config, term, limit, auth).await
    }

    /// Tries credentials at a registry; the answer is Docker's status line and an identity token,
    /// empty where the registry gives none.
    ///
    /// # Errors
    /// 401 when they are refused.
    pub async fn login(&self, auth: &Auth) -> Result<(String, String)> {
        registry::login(&self.config, auth).await
    }

    /// What the store holds on disk.
    ///
    /// # Errors
    /// The database fails.
    pub fn usage(&self) -> Result<Usage> {
        let mut usage = query::usage(&self.store.db())?;
        self.store.root().clone_into(&mut usage.path);
        Ok(usage)
    }
}
