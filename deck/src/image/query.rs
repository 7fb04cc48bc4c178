//! Finding and describing images: reads of the database.

use crate::error::{Error, Result};
use crate::image::types::{Filter, HistoryEntry, Image, Usage};
use crate::image::{Digest, ImageConfig, Reference};
use crate::store::images::{self, ImageRow};
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};

/// The id of the image a user means.
pub fn resolve(db: &Connection, name: &str) -> Result<Digest> {
    if let Ok(reference) = name.parse::<Reference>()
        && let Some(id) = by_reference(db, &reference.or_latest())?
    {
        return Ok(id);
    }
    let hex = name.strip_prefix("sha256:").unwrap_or(name);
    let short = (1..=64).contains(&hex.len())
        && hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if short {
        let found = images::ids_starting(db, &format!("sha256:{hex}"))?;
        match &found[..] {
            [id] => return Ok(id.clone()),
            [] => {}
            _ => return Err(Error::invalid(format!("image id {name:?} fits several images"))),
        }
    }
    let shown = match name.parse::<Reference>() {
        Ok(reference) => reference.or_latest().familiar(),
        Err(_) if short => name.to_owned(),
        Err(error) => return Err(error),
    };
    Err(Error::not_found(format!("No such image: {shown}")))
}

/// The names meant by one that is to be saved: a repository's are all of its tags.
pub fn meant(db: &Connection, name: &str) -> Result<Vec<String>> {
    if let Ok(reference) = name.parse::<Reference>()
        && reference.tag.is_none()
        && reference.digest.is_none()
    {
        let tags = tags_of(db, &reference)?;
        if !tags.is_empty() {
            return Ok(tags.into_iter().map(|(tag, _)| format!("{reference}:{tag}")).collect());
        }
    }
    resolve(db, name).map(|_| vec![name.to_owned()])
}

/// A repository's tags and their images.
pub fn tags_of(db: &Connection, repository: &Reference) -> Result<Vec<(String, Digest)>> {
    let mut found = Vec::new();
    for row in images::images(db)? {
        for name in images::tags(db, &row.id)? {
            let Ok(named) = name.parse::<Reference>() else { continue };
            if named.name() == repository.name() {
                found.extend(named.tag.map(|tag| (tag, row.id.clone())));
            }
        }
    }
    Ok(found)
}

fn by_reference(db: &Connection, reference: &Reference) -> Result<Option<Digest>> {
    if let Some(digest) = &reference.digest {
        return images::by_digest(db, &reference.name(), digest);
    }
    images::by_tag(db, &reference.to_string())
}

/// All about an image.
pub fn image(db: &Connection, id: &Digest) -> Result<Image> {
    let row = images::image(db, id)?
        .ok_or_else(|| Error::not_found(format!("No such image: {}", id.as_str())))?;
    describe(db, row)
}

fn describe(db: &Connection, row: ImageRow) -> Result<Image> {
    let size = images::image_layers(db, &row.id)?.iter().map(|layer| layer.size).sum();
    Ok(Image {
        repo_tags: repo_tags(db, &row.id)?,
        repo_digests: repo_digests(db, &row.id)?,
        config: ImageConfig::parse(&row.config)?,
        id: row.id,
        manifest: row.manifest,
        media_type: row.media_type,
        manifest_size: row.manifest_size,
        size,
        content_size: row.content_size,
        last_tagged: row.last_tagged,
        parent: row.parent,
    })
}

fn familiar(name: &str) -> String {
    name.parse::<Reference>().map_or_else(|_| name.to_owned(), |name| name.familiar())
}

/// Familiar tagged names.
pub fn repo_tags(db: &Connection, id: &Digest) -> Result<Vec<String>> {
    let mut names: Vec<String> = images::tags(db, id)?.iter().map(|name| familiar(name)).collect();
    names.sort();
    Ok(names)
}

/// Familiar names with digests.
pub fn repo_digests(db: &Connection, id: &Digest) -> Result<Vec<String>> {
    let digests = images::digests(db, id)?;
    let mut names: Vec<String> =
        digests.iter().map(|(name, digest)| format!("{}@{digest}", familiar(name))).collect();
    names.sort();
    Ok(names)
}

/// Images a filter lets through, newest first.
pub fn list(db: &Connection, filter: &Filter) -> Result<Vec<Image>> {
    let created = |name: &Option<String>| -> Result<Option<i128>> {
        let Some(name) = name else { return Ok(None) };
        Ok(Some(image(db, &resolve(db, name)?)?.config.created_nanoseconds()))
    };
    let (before, since) = (created(&filter.before)?, created(&filter.since)?);
    let mut found = Vec::new();
    for row in images::images(db)? {
        if filter.until.is_some_and(|time| row.created >= time) {
            continue;
        }
        let mut image = describe(db, row)?;
        let at = image.config.created_nanoseconds();
        let in_time = before.is_none_or(|time| at < time) && since.is_none_or(|time| at > time);
        if in_time && filter.passes(&image) {
            filter.keep_matching(&mut image);
            found.push(image);
        }
    }
    Ok(found)
}

impl Filter {
    /// Whether names and labels fit.
    fn passes(&self, image: &Image) -> bool {
        let labels = &image.config.config.labels;
        let has = |label: &String| match label.split_once('=') {
            Some((key, value)) => labels.get(key).is_some_and(|found| found == value),
            None => labels.contains_key(label),
        };
        self.dangling.is_none_or(|dangling| image.repo_tags.is_empty() == dangling)
            && self.labels.iter().all(has)
            && !self.not_labels.iter().any(has)
            && (self.references.is_empty()
                || image.repo_tags.iter().chain(&image.repo_digests).any(|name| self.names(name)))
    }

    /// With patterns, only names that fit are shown.
    fn keep_matching(&self, image: &mut Image) {
        if !self.references.is_empty() {
            image.repo_tags.retain(|name| self.names(name));
            image.repo_digests.retain(|name| self.names(name));
        }
    }

    fn names(&self, name: &str) -> bool {
        let Ok(reference) = name.parse::<Reference>() else { return false };
        let bare = reference.familiar_name();
        let path = bare.rsplit('/').next().unwrap_or(&bare);
        self.references.iter().any(|pattern| {
            [name, &bare, path, &reference.to_string(), &reference.name()]
                .iter()
                .any(|text| matches(pattern.as_bytes(), text.as_bytes()))
        })
    }
}

/// Shell patterns of path.Match: `*` and `?` stop at `/`; linear in the text for each star.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if let Some(next) = single(pattern, p, text[t]) {
            (p, t) = (next, t + 1);
        } else if pattern.get(p) == Some(&b'*') {
            star = Some((p + 1, t));
            p += 1;
        } else if let Some((after, from)) = star
            && text[from] != b'/'
        {
            star = Some((after, from + 1));
            (p, t) = (after, from + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// Where the pattern goes on after taking one byte, if it does take it.
fn single(pattern: &[u8], at: usize, byte: u8) -> Option<usize> {
    match *pattern.get(at)? {
        b'*' => None,
        b'?' => (byte != b'/').then_some(at + 1),
        b'[' => {
            let end = at + 1 + pattern[at + 1..].iter().skip(1).position(|b| *b == b']')? + 1;
            let class = &pattern[at + 1..end];
            let (negated, class) = match class.strip_prefix(b"^") {
                Some(class) => (true, class),
                None => (false, class),
            };
            let mut rest = class;
            let mut found = false;
            while let Some((&low, after)) = rest.split_first() {
                if let [b'-', high, tail @ ..] = after {
                    found |= (low..=*high).contains(&byte);
                    rest = tail;
                } else {
                    found |= low == byte;
                    rest = after;
                }
            }
            (found != negated && byte != b'/').then_some(end + 1)
        }
        b'\\' => (*pattern.get(at + 1)? == byte).then_some(at + 2),
        plain => (plain == byte).then_some(at + 1),
    }
}

/// The history, newest first, with sizes of the layers it made.
pub fn history(db: &Connection, name: &str) -> Result<Vec<HistoryEntry>> {
    let image = image(db, &resolve(db, name)?)?;
    let mut sizes = images::image_layers(db, &image.id)?.into_iter().map(|layer| layer.size);
    let mut entries: Vec<HistoryEntry> = image
        .config
        .history
        .iter()
        .map(|step| HistoryEntry {
            id: "<missing>".to_owned(),
            created: step.created_seconds(),
            created_by: step.created_by.clone(),
            tags: None,
            size: if step.empty_layer { 0 } else { sizes.next().unwrap_or(0) },
            comment: step.comment.clone(),
        })
        .collect();
    // Layers no history tells of.
    entries.extend(sizes.map(|size| HistoryEntry {
        id: "<missing>".to_owned(),
        created: image.config.created_seconds(),
        created_by: String::new(),
        tags: None,
        size,
        comment: String::new(),
    }));
    entries.reverse();
    if let Some(first) = entries.first_mut() {
        first.id = image.id.to_string();
        first.tags = (!image.repo_tags.is_empty()).then_some(image.repo_tags);
    }
    Ok(entries)
}

/// Bytes on disk, by what shares them.
pub fn usage(db: &Connection) -> Result<Usage> {
    let rows = images::images(db)?;
    let mut users: BTreeMap<Digest, (u64, u64)> = BTreeMap::new();
    let mut layers = BTreeMap::new();
    for row in &rows {
        let own = images::image_layers(db, &row.id)?;
        let distinct: BTreeSet<&Digest> = own.iter().map(|layer| &layer.chain).collect();
        for chain in distinct {
            users.entry(chain.clone()).or_default().0 += 1;
        }
        for layer in &own {
            users.entry(layer.chain.clone()).or_default().1 = layer.size;
        }
        layers.insert(row.id.clone(), own);
    }
    let mut usage =
        Usage { layers: users.values().map(|(_, size)| size).sum(), ..Usage::default() };
    usage.blobs = rows.iter().map(|row| row.content_size).sum();
    for (id, own) in layers {
        let (mut unique, mut shared) = (0, 0);
        for layer in own {
            let count = users.get(&layer.chain).map_or(1, |(count, _)| *count);
            *(if count > 1 { &mut shared } else { &mut unique }) += layer.size;
        }
        usage.images.insert(id, (unique, shared));
    }
    Ok(usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_pathmatch_does() {
        let check = |pattern: &str, text: &str| matches(pattern.as_bytes(), text.as_bytes());
        assert!(check("ng*", "nginx") && check("*", "x") && check("n?inx:1.*", "nginx:1.25"));
        assert!(check("[a-m]x", "bx") && !check("[a-m]x", "zx") && check("[^a]x", "bx"));
        assert!(!check("a*", "a/b") && check("a/*", "a/b") && !check("ng", "nginx"));
        assert!(!check("[", "[") && !check("[a", "a") && check("", ""));
    }
}
