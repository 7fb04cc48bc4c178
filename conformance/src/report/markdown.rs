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
    points(&mut text, results, &head);
    text
}

/// Points of the sweeps that were survived, of those tried.
fn points(text: &mut String, results: &Results, head: &str) {
    let told = |tally: Option<(usize, usize)>| {
        tally.map_or("–".to_owned(), |(survived, tried)| format!("{survived}/{tried}"))
    };
    let mut rows = String::new();
    for (at, case) in results.cases.iter().enumerate() {
        let tallies: Vec<_> = results.row(at).map(|outcome| outcome.tally).collect();
        if tallies.iter().any(Option::is_some) {
            let cells: Vec<String> = tallies.into_iter().map(told).collect();
            let _ = writeln!(rows, "| {} | {} |", case.id, cells.join(" | "));
        }
    }
    if !rows.is_empty() {
        let _ = write!(text, "\n## System calls survived\n\n| fault {head}{rows}");
    }
}
