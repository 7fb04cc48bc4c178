//! `history`.

use super::path;
use crate::cli::client::Call;
use crate::cli::failure::Outcome;
use crate::cli::human::{ellipsis, short_id, size};
use crate::cli::json::Fields;
use crate::cli::list::{List, Row};
use crate::cli::session::Session;
use crate::cli::time;
use clap::{ArgAction, Args};
use serde_json::{Value, json};

/// Options of `history`.
#[derive(Args)]
pub struct History {
    /// Go template, 'table TEMPLATE', or json
    #[arg(long, default_value = "")]
    format: String,
    /// Sizes and times for people
    #[arg(short = 'H', long, default_value_t = true, action = ArgAction::Set, num_args = 0..=1,
          require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    human: bool,
    /// Don't cut anything
    #[arg(long)]
    no_trunc: bool,
    /// Only ids
    #[arg(short, long)]
    quiet: bool,
    /// Image
    image: String,
}

/// Runs `history`.
pub async fn history(session: &Session, args: History) -> Outcome {
    let answer = session.client.json(Call::get(&format!("{}/history", path(&args.image)))).await?;
    let rows: Vec<_> = answer
        .as_array()
        .into_iter()
        .flatten()
        .map(|entry| row(entry, args.no_trunc, args.human))
        .collect();
    let table = if args.human {
        "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}"
    } else {
        "{{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}"
    };
    let headings = &[
        ("ID", "IMAGE"),
        ("CreatedSince", "CREATED"),
        ("CreatedAt", "CREATED AT"),
        ("CreatedBy", "CREATED BY"),
    ];
    List { format: &args.format, quiet: args.quiet, table, id: "ID", headings }.print(&rows)
}

fn row(entry: &Value, whole: bool, human: bool) -> Row {
    let id = entry.text("Id");
    let by = entry.text("CreatedBy").replace('\t', " ");
    let created = entry.int("Created");
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let bytes = entry.int("Size") as f64;
    Row::new(json!({
        "ID": if whole { id } else { short_id(id) },
        "CreatedSince": if human { time::ago(created) } else { time::rfc3339(created) },
        "CreatedAt": time::rfc3339(created),
        "CreatedBy": if whole { by } else { ellipsis(&by, 45) },
        "Size": if human { size(bytes, 3) } else { entry.int("Size").to_string() },
        "Comment": entry.text("Comment"),
    }))
}
