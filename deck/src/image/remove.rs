//! Names given and taken, images removed.

use crate::error::{Error, Result};
use crate::image::layers::blocking;
use crate::image::types::{Deleted, Filter, Pruned};
use crate::image::{Digest, Images, Reference, config, query};
use crate::store::images;
use crate::store::write;
use rusqlite::Connection;
use std::sync::Arc;

/// Nanoseconds since the epoch.
pub fn now() -> i64 {
    i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}

/// Gives an image a name.
pub fn tag(db: &Connection, image: &str, name: &Reference) -> Result<()> {
    if name.digest.is_some() {
        return Err(Error::invalid("refusing to create a tag with a digest reference"));
    }
    if name.familiar_name() == "sha256" {
        return Err(Error::invalid(
            "refusing to create an ambiguous tag using digest algorithm as name",
        ));
    }
    let id = query::resolve(db, image)?;
    images::set_tag(db, &name.clone().or_latest().to_string(), &id, now())
}

/// Removes a name or an image.
pub async fn remove(
    all: &Images,
    name: &str,
    force: bool,
    prune_parents: bool,
    in_use: &(dyn Fn(&Digest) -> Option<(String, bool)> + Sync),
) -> Result<Vec<Deleted>> {
    let deleted = {
        let mut db = all.store.db();
        let transaction = write(&mut db)?;
        let deleted = remove_rows(&transaction, name, force, prune_parents, in_use)?;
        transaction.commit()?;
        deleted
    };
    let store = Arc::clone(&all.store);
    blocking(move |_| store.sweep()).await?;
    Ok(deleted)
}

fn remove_rows(
    db: &Connection,
    name: &str,
    force: bool,
    prune_parents: bool,
    in_use: &(dyn Fn(&Digest) -> Option<(String, bool)> + Sync),
) -> Result<Vec<Deleted>> {
    let id = query::resolve(db, name)?;
    let (tags, digests) = (images::tags(db, &id)?, images::digests(db, &id)?);
    let named = name.parse::<Reference>().ok().map(Reference::or_latest).filter(|reference| {
        tags.contains(&reference.to_string())
            || digests.iter().any(|(name, digest)| {
                *name == reference.name() && Some(digest) == reference.digest.as_ref()
            })
    });
    let mut deleted = Vec::new();
    if let Some(reference) = named {
        let last = tags.len() <= 1;
        if tags.len() == 1 && reference.digest.is_none() || tags.is_empty() {
            check_use(&id, name, force, in_use, &format!("remove repository reference {name:?}"))?;
        }
        untag(db, &reference, &tags, &digests, &mut deleted)?;
        if !last || !images::tags(db, &id)?.is_empty() || in_use(&id).is_some() {
            return Ok(deleted);
        }
        if reference.digest.is_some() && !images::digests(db, &id)?.is_empty() {
            return Ok(deleted);
        }
    } else {
        let mut repositories: Vec<String> = tags
            .iter()
            .filter_map(|tag| tag.parse::<Reference>().ok())
            .map(|reference| reference.name())
            .collect();
        repositories.dedup();
        if repositories.len() > 1 && !force {
            return Err(Error::conflict(format!(
                "conflict: unable to delete {} (must be forced) - image is referenced in multiple \
                 repositories",
                id.short()
            )));
        }
        check_use(&id, name, force, in_use, &format!("delete {}", id.short()))?;
    }
    delete(db, &id, prune_parents, in_use, &mut deleted)?;
    Ok(deleted)
}

/// An image a container uses stays: a running one's always, a stopped one's unless forced.
fn check_use(
    id: &Digest,
    _name: &str,
    force: bool,
    in_use: &(dyn Fn(&Digest) -> Option<(String, bool)> + Sync),
    verb: &str,
) -> Result<()> {
    match in_use(id) {
        Some((container, true)) => Err(Error::conflict(format!(
            "conflict: unable to {verb} (cannot be forced) - image is being used by running \
             container {container}"
        ))),
        Some((container, false)) if !force => Err(Error::conflict(format!(
            "conflict: unable to {verb} (must be forced) - image is being used by stopped \
             container {container}"
        ))),
        _ => Ok(()),
    }
}

/// Takes one name; with the last tag of a repository go its digests.
fn untag(
    db: &Connection,
    reference: &Reference,
    tags: &[String],
    digests: &[(String, Digest)],
    deleted: &mut Vec<Deleted>,
) -> Result<()> {
    let name = reference.name();
    if let Some(digest) = &reference.digest {
        images::remove_digest(db, &name, digest.as_str())?;
        deleted.push(Deleted::Untagged(reference.with_digest(digest).familiar()));
        return Ok(());
    }
    images::remove_tag(db, &reference.to_string())?;
    deleted.push(Deleted::Untagged(reference.familiar()));
    let others = tags.iter().filter(|tag| **tag != reference.to_string());
    let mut others = others.filter_map(|tag| tag.parse::<Reference>().ok());
    if others.any(|other| other.name() == name) {
        return Ok(());
    }
    for (_, digest) in digests.iter().filter(|(other, _)| *other == name) {
        images::remove_digest(db, &name, digest.as_str())?;
        deleted.push(Deleted::Untagged(reference.with_digest(digest).familiar()));
    }
    Ok(())
}

/// Removes an image, its names, and untagged parents it was committed on.
fn delete(
    db: &Connection,
    id: &Digest,
    prune_parents: bool,
    in_use: &(dyn Fn(&Digest) -> Option<(String, bool)> + Sync),
    deleted: &mut Vec<Deleted>,
) -> Result<()> {
    let mut next = Some(id.clone());
    while let Some(id) = next.take() {
        if !images::children(db, &id)?.is_empty() {
            return Err(Error::conflict(format!(
                "conflict: unable to delete {} (cannot be forced) - image has dependent child \
                 images",
                id.short()
            )));
        }
        let image = query::image(db, &id)?;
        let names = image.repo_tags.iter().chain(&image.repo_digests).cloned();
        deleted.extend(names.map(Deleted::Untagged));
        let layers = images::image_layers(db, &id)?;
        images::remove_image(db, &id)?;
        deleted.push(Deleted::Deleted(id.to_string()));
        for chain in config::chain_ids(&image.config.rootfs.diff_ids).iter().rev() {
            let here = layers.iter().any(|layer| layer.chain == *chain);
            if here && images::images_with_layer(db, chain)? == 0 {
                deleted.push(Deleted::Deleted(chain.to_string()));
            }
        }
        if let Some(parent) = image.parent.filter(|_| prune_parents)
            && images::image(db, &parent)?.is_some()
            && images::tags(db, &parent)?.is_empty()
            && images::digests(db, &parent)?.is_empty()
            && images::children(db, &parent)?.is_empty()
            && in_use(&parent).is_none()
        {
            next = Some(parent);
        }
    }
    Ok(())
}

/// Removes what nothing uses.
pub async fn prune(
    all: &Images,
    every: bool,
    filter: &Filter,
    in_use: &(dyn Fn(&Digest) -> bool + Sync),
) -> Result<Pruned> {
    let mut pruned = Pruned::default();
    {
        let mut db = all.store.db();
        let transaction = write(&mut db)?;
        let before = query::usage(&transaction)?.layers;
        let dangling = if every { filter.dangling } else { Some(true) };
        let filter = Filter { dangling, ..filter.clone() };
        for image in query::list(&transaction, &filter)? {
            let id = image.id;
            if in_use(&id)
                || images::image(&transaction, &id)?.is_none()
                || !images::children(&transaction, &id)?.is_empty()
            {
                continue;
            }
            let uses = |id: &Digest| in_use(id).then(|| (String::new(), true));
            delete(&transaction, &id, true, &uses, &mut pruned.deleted)?;
        }
        pruned.reclaimed = before.saturating_sub(query::usage(&transaction)?.layers);
        transaction.commit()?;
    }
    let store = Arc::clone(&all.store);
    let freed = blocking(move |_| Ok(store.sweep()? + store.sweep_partial()?)).await?;
    pruned.reclaimed += freed;
    Ok(pruned)
}
