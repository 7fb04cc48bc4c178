//! The results as a table and as JSON.

use crate::peer::Peer;
use crate::scenario::Row;
use serde::Serialize;
use std::fmt::Write as _;

/// Everything that was measured, and on what.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Kernel release and version.
    pub kernel: String,
    /// Model of the processors.
    pub processor: String,
    /// How many.
    pub processors: usize,
    /// Repetitions of each figure.
    pub runs: usize,
    /// The runtimes; ratios are of the first.
    pub runtimes: Vec<Peer>,
    /// The figures.
    pub rows: Vec<Row>,
}

impl Report {
    /// Adds what is known of the machine.
    pub fn new(peers: &[Peer], runs: usize, rows: Vec<Row>) -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
        Self {
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            processor: model
                .map_or("unknown", |line| line.trim_start_matches([' ', '\t', ':']))
                .to_owned(),
            processors: std::thread::available_parallelism().map_or(1, Into::into),
            runs,
            runtimes: peers.to_vec(),
            rows,
        }
    }

    /// The figure of `runtime` in the same row of the table as `row`.
    pub fn beside<'a>(&'a self, row: &Row, runtime: &str) -> Option<&'a Row> {
        self.rows.iter().find(|other| {
            other.what == row.what && other.case == row.case && other.runtime == runtime
        })
    }

    /// The rows of the table, by the figures of the runtime that the others are compared with.
    pub fn of_first(&self) -> impl Iterator<Item = &Row> {
        let first = self.runtimes.first().map(|peer| peer.name.clone()).unwrap_or_default();
        self.rows.iter().filter(move |row| row.runtime == first)
    }

    /// Markdown: what was compared, the goals, and a table of medians with quartiles and the first
    /// runtime's ratio to each other one.
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "Kernel {}, {} processors ({}), {} repetitions. Medians, quartiles in brackets; \
             *ratio*: the first runtime's median divided by the other's.\n\n",
            self.kernel, self.processors, self.processor, self.runs
        );
        for peer in &self.runtimes {
            let _ = writeln!(text, "- {}: {} ({} KiB)", peer.name, peer.version, peer.size >> 10);
        }
        let _ = writeln!(text, "\n{}", crate::goals::table(self));
        text.push_str("| | |");
        for (index, peer) in self.runtimes.iter().enumerate() {
            let _ = write!(text, " {} |", peer.name);
            text.push_str(if index > 0 { " *ratio* |" } else { "" });
        }
        text.push_str("\n|---|---|");
        text.push_str(&"--:|".repeat(self.runtimes.len() * 2 - 1));
        text.push('\n');
        for row in self.of_first() {
            let unit = if row.unit.is_empty() { String::new() } else { format!(", {}", row.unit) };
            let _ = write!(text, "| {}{unit} | {} |", row.what, row.case);
            for (index, peer) in self.runtimes.iter().enumerate() {
                let Some(other) = self.beside(row, &peer.name) else {
                    text.push_str(if index > 0 { " | |" } else { " |" });
                    continue;
                };
                let _ = write!(text, " {} |", figures(other));
                if index > 0 {
                    let ratio = row.value.median / other.value.median;
                    let _ = write!(text, " *{ratio:.2}* |");
                }
            }
            text.push('\n');
        }
        text
    }

    /// All of it, for programs.
    ///
    /// # Errors
    /// None: strings and numbers always serialise.
    pub fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }
}

fn figures(row: &Row) -> String {
    let number = |value: f64| {
        if value >= 100.0 || row.unit.is_empty() {
            format!("{value:.0}")
        } else {
            format!("{value:.2}")
        }
    };
    let value = row.value;
    if (value.high - value.low).abs() < f64::EPSILON {
        return number(value.median);
    }
    format!("{} [{}–{}]", number(value.median), number(value.low), number(value.high))
}
