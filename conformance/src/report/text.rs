//! For a terminal.

use std::fmt::Write;

use super::{Results, Tally};
use crate::case::Case;
use crate::outcome::{Outcome, Word};

/// What is not passed, then a table of the chapters.
pub fn results(results: &Results) -> String {
    let mut text = format!("{}\n", results.host);
    for (column, runtime) in results.columns.iter().zip(results.runtimes) {
        let _ = writeln!(text, "{}: {} ({})", runtime.name, runtime.version, runtime.claimed);
        for (case, outcome) in results.cases.iter().zip(column) {
            describe(&mut text, case, outcome);
        }
        let _ = writeln!(text, "{}: {}\n", runtime.name, Tally::of(column).line());
    }
    matrix(&mut text, results);
    text
}

fn describe(text: &mut String, case: &Case, outcome: &Outcome) {
    if outcome.verdict == Word::Pass {
        return;
    }
    let word = outcome.verdict.text();
    let _ = writeln!(text, "  {word:5} {}: {}", outcome.id, outcome.reason.replace('\n', " "));
    if matches!(outcome.verdict, Word::Fail | Word::Warn) {
        for cite in &case.cites {
            let _ = writeln!(text, "        {} {cite}", case.level().word());
        }
        for seen in &outcome.saw {
            let _ = writeln!(text, "        saw: {}", seen.replace('\n', " "));
        }
    }
}

/// Passed of applicable cases, by chapter and runtime.
fn matrix(text: &mut String, results: &Results) {
    let width = results.chapters().iter().map(|name| name.len()).max().unwrap_or(0).max(8);
    let columns: Vec<usize> = results.runtimes.iter().map(|r| r.name.len().max(9)).collect();
    let _ = write!(text, "{:width$}", "chapter");
    for (runtime, column) in results.runtimes.iter().zip(&columns) {
        let _ = write!(text, "  {:>column$}", runtime.name);
    }
    text.push('\n');
    for chapter in results.chapters() {
        let _ = write!(text, "{chapter:width$}");
        for (at, column) in columns.iter().enumerate() {
            let _ = write!(text, "  {:>column$}", fraction(results.chapter(at, chapter)));
        }
        text.push('\n');
    }
}

/// `passed/applicable`.
pub fn fraction(tally: Tally) -> String {
    let passed = tally.count(Word::Pass);
    let others = [Word::Fail, Word::Warn, Word::Error].map(|word| tally.count(word));
    format!("{passed}/{}", passed + others.iter().sum::<usize>())
}

/// The cases and what they prove.
pub fn list(cases: &[&Case]) -> String {
    let mut text = String::new();
    for case in cases {
        let _ = writeln!(text, "{} ({})", case.id, case.level().word());
        for cite in &case.cites {
            let _ = writeln!(text, "    {cite}");
        }
    }
    text
}

/// The verdict on the suite itself, and whether it is sound.
pub fn self_test(plain: &[Outcome], broken: &[Outcome]) -> (String, bool) {
    let mut text = String::new();
    let (mut caught, mut missed, mut idle, mut already) = (0, 0, 0, 0);
    for (plain, broken) in plain.iter().zip(broken) {
        match (plain.verdict, broken.verdict) {
            (Word::Pass, Word::Fail | Word::Warn) => caught += 1,
            (Word::Pass, other) => {
                missed += 1;
                let (word, id) = (other.text(), &plain.id);
                let _ = writeln!(text, "  {word} on a broken runtime: {id}: {}", broken.reason);
            }
            (Word::Skip, _) => idle += 1,
            (Word::Error, _) => {
                missed += 1;
                let _ = writeln!(text, "  error: {}: {}", plain.id, plain.reason);
            }
            (Word::Fail | Word::Warn, _) => already += 1,
        }
    }
    let _ = writeln!(
        text,
        "{caught} cases fail when the runtime is broken, {already} fail as it is, {missed} can't \
         be shown to fail, {idle} do not apply here"
    );
    (text, missed == 0)
}
