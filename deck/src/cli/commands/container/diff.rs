//! `diff`.

use super::path;
use crate::cli::client::Call;
use crate::cli::failure::Outcome;
use crate::cli::json::Fields;
use crate::cli::list::{List, Row};
use crate::cli::session::Session;
use clap::Args;
use serde_json::json;

/// Options of `diff`.
#[derive(Args)]
pub struct Diff {
    /// Container
    container: String,
}

/// Runs `diff`.
pub async fn diff(session: &Session, args: Diff) -> Outcome {
    let answer =
        session.client.json(Call::get(&format!("{}/changes", path(&args.container)))).await?;
    let rows: Vec<_> = answer
        .as_array()
        .into_iter()
        .flatten()
        .map(|change| {
            let kind = match change.int("Kind") {
                1 => "A",
                2 => "D",
                _ => "C",
            };
            Row::new(json!({"Type": kind, "Path": change.text("Path")}))
        })
        .collect();
    let format = "{{.Type}} {{.Path}}";
    List { format, quiet: false, table: "", id: "Path", headings: &[] }.print(&rows)
}
