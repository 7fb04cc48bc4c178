//! `images`.

use crate::cli::client::Call;
use crate::cli::failure::Outcome;
use crate::cli::filter;
use crate::cli::human::{short_id, size};
use crate::cli::json::Fields;
use crate::cli::list::{List, Row};
use crate::cli::session::Session;
use crate::cli::time;
use clap::Args;
use serde_json::{Value, json};

/// Options of `images`.
#[derive(Args)]
pub struct Ls {
    /// Images in between, too
    #[arg(short, long)]
    all: bool,
    /// Show digests
    #[arg(long)]
    digests: bool,
    /// Only those that match: dangling=true, label=…, reference=…
    #[arg(short, long, value_parser = filter::parse)]
    filter: Vec<(String, String)>,
    /// Go template, 'table TEMPLATE', or json
    #[arg(long)]
    format: Option<String>,
    /// Don't cut anything
    #[arg(long)]
    no_trunc: bool,
    /// Only ids
    #[arg(short, long)]
    quiet: bool,
    /// Only of this name: REPOSITORY[:TAG]
    repository: Option<String>,
}

const HEADINGS: &[(&str, &str)] = &[
    ("ID", "IMAGE ID"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("SharedSize", "SHARED SIZE"),
    ("UniqueSize", "UNIQUE SIZE"),
];

/// Runs `images`.
pub async fn ls(session: &Session, args: Ls) -> Outcome {
    let mut filters = args.filter;
    filters.extend(args.repository.map(|name| ("reference".to_owned(), name)));
    let call = Call::get("/images/json").flag("all", args.all).filters(&filters);
    let answer = session.client.json(call).await?;
    let rows: Vec<_> = answer
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|image| rows(image, args.no_trunc, args.digests))
        .collect();
    let format = args.format.as_deref().or(session.settings.text("imagesFormat")).unwrap_or("");
    let digest = if args.digests { "{{.Digest}}\t" } else { "" };
    let table = format!(
        "{{{{.Repository}}}}\t{{{{.Tag}}}}\t{digest}{{{{.ID}}}}\t{{{{.CreatedSince}}}}\t{{{{.Size}}}}"
    );
    List { format, quiet: args.quiet, table: &table, id: "ID", headings: HEADINGS }.print(&rows)
}

/// An image's rows: one a name; with digests one for each of a name's digests.
#[expect(clippy::cast_precision_loss, reason = "few digits are shown")]
pub fn rows(image: &Value, whole: bool, digests: bool) -> Vec<Row> {
    let names = |key: &str| -> Vec<&str> {
        let list = image.list(key).iter().filter_map(Value::as_str);
        list.filter(|name| !name.starts_with("<none>")).collect()
    };
    let (tags, repo_digests) = (names("RepoTags"), names("RepoDigests"));
    let mut named: Vec<(&str, &str, &str)> = Vec::new();
    for tag in &tags {
        let (repository, tag) = super::split_tag(tag);
        let own = repo_digests.iter().filter_map(|digest| {
            let (name, digest) = digest.split_once('@')?;
            (name == repository).then_some(digest)
        });
        let own: Vec<_> = own.collect();
        let tag = tag.unwrap_or("<none>");
        match own.as_slice() {
            own if digests && !own.is_empty() => {
                named.extend(own.iter().map(|digest| (repository, tag, *digest)));
            }
            _ => named.push((repository, tag, "<none>")),
        }
    }
    if tags.is_empty() {
        let own = repo_digests.iter().filter_map(|digest| digest.split_once('@'));
        named.extend(own.map(|(name, digest)| (name, "<none>", digest)));
    }
    if named.is_empty() {
        named.push(("<none>", "<none>", "<none>"));
    }
    let id = image.text("Id");
    let bytes = |key: &str| match image.int(key) {
        -1 => "N/A".to_owned(),
        count => size(count as f64, 3),
    };
    let row = |(repository, tag, digest): (&str, &str, &str)| {
        Row::labelled(
            json!({
                "Repository": repository,
                "Tag": tag,
                "Digest": digest,
                "ID": if whole { id } else { short_id(id) },
                "CreatedSince": time::ago(image.int("Created")),
                "CreatedAt": time::long(image.int("Created")),
                "Size": bytes("Size"),
                "Containers": match image.int("Containers") {
                    -1 => "N/A".to_owned(),
                    count => count.to_string(),
                },
                "VirtualSize": size(image.int("Size") as f64, 4),
                "SharedSize": bytes("SharedSize"),
                "UniqueSize": "N/A",
            }),
            image.at_key("Labels"),
        )
    };
    named.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(image: &Value, digests: bool) -> Vec<String> {
        let text = |row: &Row, key: &str| row.fields[key].as_str().unwrap().to_owned();
        rows(image, false, digests)
            .iter()
            .map(|row| {
                format!("{}:{}@{}", text(row, "Repository"), text(row, "Tag"), text(row, "Digest"))
            })
            .collect()
    }

    #[test]
    fn a_row_for_each_name() {
        let image = json!({
            "RepoTags": ["h:5/a:1", "b:2"], "RepoDigests": ["h:5/a@sha256:11"], "Size": 1000
        });
        assert_eq!(names(&image, false), ["h:5/a:1@<none>", "b:2@<none>"]);
        assert_eq!(names(&image, true), ["h:5/a:1@sha256:11", "b:2@<none>"]);
        assert_eq!(names(&json!({"RepoTags": ["<none>:<none>"]}), false), ["<none>:<none>@<none>"]);
        let untagged = json!({"RepoTags": null, "RepoDigests": ["a@sha256:11"]});
        assert_eq!(names(&untagged, true), ["a:<none>@sha256:11"]);
    }
}
