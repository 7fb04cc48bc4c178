//! `events`.

use crate::cli::client::{Call, reader};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::filter;
use crate::cli::format::Template;
use crate::cli::json::Fields;
use crate::cli::output::line;
use crate::cli::parse::duration::moment;
use crate::cli::session::Session;
use crate::cli::time;
use clap::Args;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

/// Options of `events`.
#[derive(Args)]
pub struct Events {
    /// Only those that match: type=…, event=…, container=…, label=…
    #[arg(short, long, value_parser = filter::parse)]
    filter: Vec<(String, String)>,
    /// Go template, or json
    #[arg(long)]
    format: Option<String>,
    /// Begin with those since a time or a duration ago
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// End with those before a time or a duration ago
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

/// Runs `events`.
pub async fn events(session: &Session, args: Events) -> Outcome {
    let now = jiff::Timestamp::now();
    let time = |text: &Option<String>| {
        text.as_deref().map(|text| moment(text, now)).transpose().map_err(Failure::new)
    };
    let (since, until) = (time(&args.since)?, time(&args.until)?);
    let template = match args.format.as_deref() {
        None | Some("" | "json") => None,
        Some(text) => Some(Template::new(text).map_err(Failure::new)?),
    };
    let call = Call::get("/events")
        .filters(&args.filter)
        .query_some("since", since.as_deref())
        .query_some("until", until.as_deref());
    let body = session.client.send(call).await?.into_body();
    let mut lines = BufReader::new(reader(body)).lines();
    while let Some(text) = lines.next_line().await? {
        if text.trim().is_empty() {
            continue;
        }
        if args.format.as_deref() == Some("json") {
            line(&text)?;
            continue;
        }
        let event: Value = serde_json::from_str(&text)
            .map_err(|error| Failure::new(format!("the engine's event: {error}")))?;
        match &template {
            None => line(plain(&event))?,
            Some(template) => line(template.render(&go_names(event)).map_err(Failure::new)?)?,
        }
    }
    Ok(())
}

fn plain(event: &Value) -> String {
    let actor = event.at_key("Actor");
    let attributes: Vec<_> = actor
        .entries("Attributes")
        .iter()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or("")))
        .collect();
    let tail =
        if attributes.is_empty() { String::new() } else { format!(" ({})", attributes.join(", ")) };
    let nanos = match event.int("timeNano") {
        0 => event.int("time").saturating_mul(1_000_000_000),
        nanos => nanos,
    };
    format!(
        "{} {} {} {}{tail}",
        time::nanos(nanos),
        event.text("Type"),
        event.text("Action"),
        actor.text("ID")
    )
}

/// Templates name the fields as Go does: `.Status`, `.ID`, `.Time`, `.TimeNano`.
fn go_names(mut event: Value) -> Value {
    if let Some(map) = event.as_object_mut() {
        for (json, go) in [
            ("status", "Status"),
            ("id", "ID"),
            ("from", "From"),
            ("scope", "Scope"),
            ("time", "Time"),
            ("timeNano", "TimeNano"),
        ] {
            let value = map.remove(json).unwrap_or_else(|| "".into());
            map.insert(go.to_owned(), value);
        }
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lines() {
        let event = json!({
            "Type": "container", "Action": "die", "timeNano": 1_000_000_005,
            "Actor": {"ID": "abc", "Attributes": {"name": "x", "exitCode": "0"}}
        });
        let text = plain(&event);
        assert!(text.ends_with(" container die abc (exitCode=0, name=x)"), "{text}");
        assert!(text.contains("01.000000005"), "{text}");
    }
}
