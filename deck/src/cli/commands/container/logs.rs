//! `logs`.

use super::path;
use crate::cli::client::Call;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::frames;
use crate::cli::json::Fields;
use crate::cli::parse::duration::moment;
use crate::cli::session::Session;
use clap::Args;
use serde_json::Value;

/// Options of `logs`.
#[derive(Args)]
pub struct Logs {
    /// Show extra attributes
    #[arg(long)]
    details: bool,
    /// Go on with what comes
    #[arg(short, long)]
    follow: bool,
    /// Only lines since a time or a duration ago: 2026-01-02T03:04:05Z, 10m
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only lines before a time or a duration ago
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only so many lines from the end, or all
    #[arg(short = 'n', long, default_value = "all", value_name = "COUNT")]
    tail: String,
    /// Show when each line was written
    #[arg(short, long)]
    timestamps: bool,
    /// Container
    container: String,
}

/// Runs `logs`.
pub async fn logs(session: &Session, args: Logs) -> Outcome {
    let now = jiff::Timestamp::now();
    let time = |text: &Option<String>| {
        text.as_deref().map(|text| moment(text, now)).transpose().map_err(Failure::new)
    };
    let (since, until) = (time(&args.since)?, time(&args.until)?);
    let container: Value =
        session.client.json(Call::get(&format!("{}/json", path(&args.container)))).await?;
    let call = Call::get(&format!("{}/logs", path(container.text("Id"))))
        .flag("stdout", true)
        .flag("stderr", true)
        .flag("follow", args.follow)
        .flag("timestamps", args.timestamps)
        .flag("details", args.details)
        .query("tail", &args.tail)
        .query_some("since", since.as_deref())
        .query_some("until", until.as_deref());
    let body = session.client.send(call).await?.into_body();
    let reader = crate::cli::client::reader(body);
    let (out, err) = (tokio::io::stdout(), tokio::io::stderr());
    if container.at_key("Config").truth("Tty") {
        frames::raw(reader, out).await?;
    } else {
        frames::demultiplex(reader, out, err).await?;
    }
    Ok(())
}
