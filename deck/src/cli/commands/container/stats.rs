//! `stats`.

use super::path;
use crate::cli::client::{Call, reader};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::human::{binary, short_id, significant, size};
use crate::cli::json::Fields;
use crate::cli::list::{List, Row};
use crate::cli::output::print;
use crate::cli::session::Session;
use crate::cli::term;
use clap::Args;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};

/// Options of `stats`.
#[derive(Args)]
pub struct Stats {
    /// All containers, not only running ones
    #[arg(short, long)]
    all: bool,
    /// Go template, 'table TEMPLATE', or json
    #[arg(long)]
    format: Option<String>,
    /// Once, not live
    #[arg(long)]
    no_stream: bool,
    /// Don't cut anything
    #[arg(long)]
    no_trunc: bool,
    /// Containers; all running ones without
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
}

const TABLE: &str = "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}";
const HEADINGS: &[(&str, &str)] = &[
    ("ID", "CONTAINER ID"),
    ("CPUPerc", "CPU %"),
    ("MemUsage", "MEM USAGE / LIMIT"),
    ("MemPerc", "MEM %"),
    ("NetIO", "NET I/O"),
    ("BlockIO", "BLOCK I/O"),
];

/// How long the screen stands.
const REFRESH: Duration = Duration::from_secs(1);

/// Runs `stats`.
pub async fn stats(session: &Session, args: Stats) -> Outcome {
    let format = args.format.as_deref().or(session.settings.text("statsFormat")).unwrap_or("");
    let list = List { format, quiet: false, table: TABLE, id: "ID", headings: HEADINGS };
    loop {
        let names = names(session, &args).await?;
        let mut rows = Vec::new();
        for sample in samples(session, &names, args.containers.is_empty()).await? {
            rows.push(row(&sample, args.no_trunc));
        }
        let text = list.text(&rows)?;
        if args.no_stream {
            return print(&text);
        }
        // Home, the new text with each line's rest cleared, then what is below it.
        let text = if term::stdout_is() {
            format!("\x1b[H{}\x1b[J", text.replace('\n', "\x1b[K\n"))
        } else {
            text
        };
        print(&text)?;
        tokio::time::sleep(REFRESH).await;
    }
}

async fn names(session: &Session, args: &Stats) -> Outcome<Vec<String>> {
    if !args.containers.is_empty() {
        return Ok(args.containers.clone());
    }
    let call = Call::get("/containers/json").flag("all", args.all);
    let answer = session.client.json(call).await?;
    Ok(answer.as_array().into_iter().flatten().map(|one| one.text("Id").to_owned()).collect())
}

/// One sample of each. Each stream's second value has the first to compare with: all streams are
/// opened before any is read, so that the wait is shared.
async fn samples(session: &Session, names: &[String], listed: bool) -> Outcome<Vec<Value>> {
    let mut streams = Vec::new();
    for name in names {
        let call = Call::get(&format!("{}/stats", path(name))).query("stream", "1");
        match session.client.send(call).await {
            Ok(response) => streams.push(BufReader::new(reader(response.into_body())).lines()),
            // Gone since it was listed.
            Err(error) if listed && error.status == 404 => {}
            Err(error) => return Err(error.into()),
        }
    }
    let mut samples = Vec::new();
    for mut stream in streams {
        let mut last = None;
        for _ in 0..2 {
            if let Some(text) = stream.next_line().await? {
                let sample: Value = serde_json::from_str(&text)
                    .map_err(|error| Failure::new(format!("the engine's statistics: {error}")))?;
                // A container that doesn't run has nothing to compare.
                let stopped = sample.text("read").starts_with("0001-");
                last = Some(sample);
                if stopped {
                    break;
                }
            }
        }
        samples.extend(last);
    }
    Ok(samples)
}

#[expect(clippy::cast_precision_loss, reason = "few digits are shown")]
fn row(sample: &Value, whole: bool) -> Row {
    let id = sample.text("id");
    let (used, limit) = memory(sample);
    let percent = if limit > 0 { used as f64 / limit as f64 * 100.0 } else { 0.0 };
    let (received, sent) = network(sample);
    let (read, written) = disk(sample);
    let pair = |a: i64, b: i64| format!("{} / {}", size(a as f64, 3), size(b as f64, 3));
    Row::new(json!({
        "BlockIO": pair(read, written),
        "CPUPerc": format!("{:.2}%", cpu(sample)),
        "Container": if whole { id } else { short_id(id) },
        "ID": if whole { id } else { short_id(id) },
        "MemPerc": format!("{percent:.2}%"),
        "MemUsage": format!("{} / {}", binary(used as f64), binary(limit as f64)),
        "Name": sample.text("name").trim_start_matches('/'),
        "NetIO": pair(received, sent),
        "PIDs": significant(sample.at_key("pids_stats").int("current") as f64, 15),
    }))
}

/// Share of one CPU's time since the sample before.
#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
fn cpu(sample: &Value) -> f64 {
    let (now, before) = (sample.at_key("cpu_stats"), sample.at_key("precpu_stats"));
    let total = |stats: &Value| stats.at_key("cpu_usage").int("total_usage");
    let used = total(now) - total(before);
    let passed = now.int("system_cpu_usage") - before.int("system_cpu_usage");
    if used <= 0 || passed <= 0 {
        return 0.0;
    }
    let cpus = match now.int("online_cpus") {
        0 => now.at_key("cpu_usage").list("percpu_usage").len() as f64,
        count => count as f64,
    };
    used as f64 / passed as f64 * cpus * 100.0
}

/// Used memory without the page cache that could go, and the limit.
fn memory(sample: &Value) -> (i64, i64) {
    let memory = sample.at_key("memory_stats");
    let usage = memory.int("usage");
    let stats = memory.at_key("stats");
    // cgroup v1, then v2.
    let cache = ["total_inactive_file", "inactive_file"]
        .iter()
        .find(|key| stats.get(**key).is_some())
        .map_or(0, |key| stats.int(key));
    let used = if cache < usage { usage - cache } else { usage };
    (used, memory.int("limit"))
}

fn network(sample: &Value) -> (i64, i64) {
    let links = sample.entries("networks");
    let sum = |key: &str| links.iter().map(|(_, link)| link.int(key)).sum();
    (sum("rx_bytes"), sum("tx_bytes"))
}

fn disk(sample: &Value) -> (i64, i64) {
    let entries = sample.at_key("blkio_stats").list("io_service_bytes_recursive");
    let sum = |operation: &str| {
        entries
            .iter()
            .filter(|entry| entry.text("op").eq_ignore_ascii_case(operation))
            .map(|entry| entry.int("value"))
            .sum()
    };
    (sum("read"), sum("write"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures() {
        let sample = json!({
            "id": "0123456789abcdef", "name": "/web",
            "cpu_stats": {"cpu_usage": {"total_usage": 300}, "system_cpu_usage": 2000, "online_cpus": 2},
            "precpu_stats": {"cpu_usage": {"total_usage": 100}, "system_cpu_usage": 1000},
            "memory_stats": {"usage": 3 << 20, "limit": 8 << 20, "stats": {"inactive_file": 1 << 20}},
            "networks": {"eth0": {"rx_bytes": 1000, "tx_bytes": 2000}},
            "blkio_stats": {"io_service_bytes_recursive": [
                {"op": "Read", "value": 5}, {"op": "write", "value": 7}, {"op": "Total", "value": 12}]},
            "pids_stats": {"current": 3}
        });
        let fields = row(&sample, false).fields;
        assert_eq!(fields["CPUPerc"], "40.00%");
        assert_eq!(fields["MemUsage"], "2MiB / 8MiB");
        assert_eq!(fields["MemPerc"], "25.00%");
        assert_eq!(fields["NetIO"], "1kB / 2kB");
        assert_eq!(fields["BlockIO"], "5B / 7B");
        assert_eq!(fields["PIDs"], "3");
        assert_eq!(row(&json!({}), false).fields["CPUPerc"], "0.00%");
    }
}
