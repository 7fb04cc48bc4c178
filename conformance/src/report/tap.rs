//! Test Anything Protocol, version 14: one numbered line a case.

use std::fmt::Write;

use super::Results;
use crate::outcome::Word;

/// The report.
pub fn results(results: &Results) -> String {
    let total: usize = results.columns.iter().map(Vec::len).sum();
    let mut text = format!("TAP version 14\n1..{total}\n");
    let mut number = 0;
    for (runtime, column) in results.runtimes.iter().zip(&results.columns) {
        for outcome in column {
            number += 1;
            let ok = !matches!(outcome.verdict, Word::Fail | Word::Error);
            let word = if ok { "ok" } else { "not ok" };
            let _ = write!(text, "{word} {number} - {} {}", runtime.name, outcome.id);
            let reason = outcome.reason.replace(['\n', '#'], " ");
            let _ = match outcome.verdict {
                Word::Pass => writeln!(text),
                Word::Skip => writeln!(text, " # SKIP {reason}"),
                _ => writeln!(text, "\n# {}: {reason}", outcome.verdict.text()),
            };
        }
    }
    text
}
