//! `search`.

use crate::cli::auth;
use crate::cli::client::Call;
use crate::cli::failure::Outcome;
use crate::cli::filter;
use crate::cli::human::ellipsis;
use crate::cli::json::Fields;
use crate::cli::list::{List, Row};
use crate::cli::session::Session;
use clap::Args;
use serde_json::{Value, json};

/// Options of `search`.
#[derive(Args)]
pub struct Search {
    /// Only those that match: stars=3, is-official=true
    #[arg(short, long, value_parser = filter::parse)]
    filter: Vec<(String, String)>,
    /// Go template, 'table TEMPLATE', or json
    #[arg(long, default_value = "")]
    format: String,
    /// At most so many
    #[arg(long, default_value_t = 0)]
    limit: u32,
    /// Don't cut anything
    #[arg(long)]
    no_trunc: bool,
    /// What to look for
    term: String,
}

/// Runs `search`.
pub async fn search(session: &Session, args: Search) -> Outcome {
    let registry = auth::registry_of(&args.term);
    let mut call = Call::get("/images/search")
        .query("term", &args.term)
        .filters(&args.filter)
        .header("x-registry-auth", auth::header(&session.settings, &registry)?);
    if args.limit > 0 {
        call = call.query("limit", args.limit.to_string());
    }
    let answer = session.client.json(call).await?;
    let mut found: Vec<&Value> = answer.as_array().into_iter().flatten().collect();
    found.sort_by_key(|result| std::cmp::Reverse(result.int("star_count")));
    let rows: Vec<_> = found.into_iter().map(|result| row(result, args.no_trunc)).collect();
    let table = "{{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}";
    let headings =
        &[("StarCount", "STARS"), ("IsOfficial", "OFFICIAL"), ("IsAutomated", "AUTOMATED")];
    List { format: &args.format, quiet: false, table, id: "Name", headings }.print(&rows)
}

fn row(result: &Value, whole: bool) -> Row {
    let description = result.text("description").replace(['\n', '\r'], " ");
    let official = if result.truth("is_official") { "[OK]" } else { "" };
    Row::new(json!({
        "Name": result.text("name"),
        "Description": if whole { description } else { ellipsis(&description, 45) },
        "StarCount": result.int("star_count").to_string(),
        "IsOfficial": official,
        "IsAutomated": if result.truth("is_automated") { "[OK]" } else { "" },
    }))
}
