//! Test Anything Protocol, version 14: one numbered line a case, the evidence as YAML below it.

use std::fmt::Write;

use super::Results;
use crate::outcome::{Outcome, Word};

/// The report.
pub fn results(results: &Results) -> String {
    let total: usize = results.columns.iter().map(Vec::len).sum();
    let mut text = format!("TAP version 14\n1..{total}\n");
    let mut number = 0;
    for (runtime, column) in results.runtimes.iter().zip(&results.columns) {
        for outcome in column {
            number += 1;
            line(&mut text, number, &runtime.name, outcome);
        }
    }
    text
}

fn line(text: &mut String, number: usize, runtime: &str, outcome: &Outcome) {
    let ok = !matches!(outcome.verdict, Word::Fail | Word::Error);
    let word = if ok { "ok" } else { "not ok" };
    let runtime = runtime.replace(['\n', '#', '\\'], " ");
    let _ = write!(text, "{word} {number} - {runtime} {}", outcome.id);
    match outcome.verdict {
        Word::Pass => text.push('\n'),
        Word::Skip => {
            let _ = writeln!(text, " # SKIP {}", outcome.reason.replace(['\n', '#'], " "));
        }
        Word::Fail | Word::Warn | Word::Error => {
            let severity = outcome.verdict.text();
            let message = quoted(&outcome.reason);
            let _ = writeln!(text, "\n  ---\n  severity: {severity}\n  message: {message}");
            if !outcome.saw.is_empty() {
                text.push_str("  saw:\n");
            }
            for seen in &outcome.saw {
                let _ = writeln!(text, "    - {}", quoted(seen));
            }
            text.push_str("  ...\n");
        }
    }
}

/// A string as JSON, which YAML takes as it is.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
