//! The errors a runtime is expected to give for bad input, word for word.
//!
//! A file has one line a case: its id, a tab, the error. What differs between two runs (names of
//! directories, containers and cgroups, positions in config.json) stands in it as `$NAME`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use crate::outcome::{Outcome, Word};

/// Stands for the end of a line within an error.
const LINE_END: &str = "\u{2424}";

/// Errors by the case's id.
pub struct Expected(BTreeMap<String, String>);

impl Expected {
    /// Reads a file of such lines.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("read {}: {error}", path.display()))?;
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let pairs = lines.filter_map(|line| line.split_once('\t'));
        Ok(Self(pairs.map(|(id, error)| (id.to_owned(), error.to_owned())).collect()))
    }

    /// Fails each outcome whose error is another one, or that has none here.
    pub fn compare(&self, outcomes: &mut [Outcome]) {
        for outcome in outcomes.iter_mut().filter(|outcome| !outcome.error.is_empty()) {
            let wanted = self.0.get(&outcome.id).map_or("", String::as_str);
            if wanted != outcome.error && outcome.verdict == Word::Pass {
                outcome.verdict = Word::Fail;
                outcome.reason = format!("the error is {:?}, not {wanted:?}", outcome.error);
            }
        }
    }
}

/// The file for these outcomes.
pub fn record(outcomes: &[Outcome]) -> String {
    let mut text = String::from(
        "# Errors of hull by case; written by `make conformance-errors`, read by `make conformance`.\n",
    );
    for outcome in outcomes.iter().filter(|outcome| !outcome.error.is_empty()) {
        let _ = writeln!(text, "{}\t{}", outcome.id, outcome.error);
    }
    text
}

/// An error without what differs between two runs.
pub fn normalise(error: &str, names: &[(String, &str)]) -> String {
    let mut text = error.trim_end().replace('\n', LINE_END).replace('\t', " ");
    for (name, placeholder) in names {
        text = text.replace(name, placeholder);
    }
    for word in ["line ", "column "] {
        text = without_number_after(&text, word);
    }
    text
}

/// `column 17` as `column $N`.
fn without_number_after(text: &str, word: &str) -> String {
    let mut parts = text.split(word);
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|letter: char| letter.is_ascii_digit());
        let number = if rest.len() < part.len() { "$N" } else { "" };
        let _ = write!(result, "{word}{number}{rest}");
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Stop;
    use crate::spec::Level;

    const HULL: &str = include_str!("../data/hull-errors.tsv");

    fn outcome(error: &str) -> Outcome {
        let mut outcome = Outcome::new("a/b", Level::Must, Ok(()), Vec::new());
        outcome.error = error.into();
        outcome
    }

    #[test]
    fn another_error_is_a_failure() {
        let expected = Expected([("a/b".to_owned(), "one".to_owned())].into());
        let mut outcomes = [outcome("one"), outcome("two"), outcome("")];
        expected.compare(&mut outcomes);
        let words = outcomes.map(|outcome| outcome.verdict);
        assert_eq!(words, [Word::Pass, Word::Fail, Word::Pass]);
    }

    #[test]
    fn a_failure_stays_what_it_is() {
        let mut failed = [outcome("two")];
        failed[0].verdict = Word::Fail;
        failed[0].reason = "left behind".into();
        Expected(BTreeMap::new()).compare(&mut failed);
        assert_eq!(failed[0].reason, "left behind");
        let skipped = Outcome::new("a/b", Level::Must, Err(Stop::Skip("x".into())), Vec::new());
        assert_eq!(record(&[skipped]).lines().count(), 1);
    }

    #[test]
    fn names_and_positions_are_left_out() {
        let names = [("/tmp/x/7".to_owned(), "$DIR")];
        assert_eq!(
            normalise("open /tmp/x/7/bundle: bad at line 1 column 605\n", &names),
            "open $DIR/bundle: bad at line $N column $N"
        );
        assert_eq!(normalise("command line is empty", &[]), "command line is empty");
    }

    #[test]
    fn hulls_errors_are_single_lines_of_known_cases() {
        let known: Vec<String> = crate::cases::all().into_iter().map(|case| case.id).collect();
        let lines = HULL.lines().filter(|line| !line.starts_with('#'));
        let mut count = 0;
        for (id, error) in lines.filter_map(|line| line.split_once('\t')) {
            assert!(known.iter().any(|each| each == id), "{id} is no case");
            assert!(!error.contains(LINE_END), "{id}: {error}");
            count += 1;
        }
        assert!(count >= 300, "{count}");
    }
}
