//! The matrix as a page for documentation.

use std::fmt::Write;

use super::text::fraction;
use super::{Results, Tally};
use crate::outcome::{Outcome, Word};

/// Versions, a table of the chapters, and what did not pass anywhere.
pub fn results(results: &Results) -> String {
    let mut text = String::new();
    for (runtime, column) in results.runtimes.iter().zip(&results.columns) {
        let _ = writeln!(
            text,
            "- **{}**: {}, specification {}: {}",
            runtime.name,
            runtime.version,
            runtime.claimed,
            Tally::of(column).line()
        );
    }
    let names: Vec<&str> = results.runtimes.iter().map(|runtime| runtime.name.as_str()).collect();
    let head = format!("| {} |\n|---|{}\n", names.join(" | "), "---|".repeat(names.len()));
    let _ = write!(text, "\n## Passed of applicable cases\n\n| chapter {head}");
    for chapter in results.chapters() {
        let cells = (0..names.len()).map(|at| fraction(results.chapter(at, chapter)));
        let _ = writeln!(text, "| {chapter} | {} |", cells.collect::<Vec<_>>().join(" | "));
    }
    let _ = write!(text, "\n## Cases not passed by every runtime\n\n| case {head}");
    for (at, case) in results.cases.iter().enumerate() {
        let row: Vec<&Outcome> = results.row(at).collect();
        if row.iter().any(|outcome| !matches!(outcome.verdict, Word::Pass | Word::Skip)) {
            let cells: Vec<&str> = row.iter().map(|outcome| outcome.verdict.text()).collect();
            let _ = writeln!(text, "| {} | {} |", case.id, cells.join(" | "));
        }
    }
    text
}
