//! Results, in the forms people and programs read.

pub mod html;
pub mod json;
pub mod junit;
pub mod markdown;
pub mod tap;
pub mod text;

use std::collections::HashMap;

use crate::case::Case;
use crate::outcome::{Outcome, Word};
use crate::runtime::Runtime;

/// The outcomes of every case on every runtime.
pub struct Results<'a> {
    /// The rows.
    pub cases: Vec<&'a Case>,
    /// The columns.
    pub runtimes: &'a [Runtime],
    /// By runtime, then by case.
    pub columns: Vec<Vec<Outcome>>,
    /// Kernel, cgroup version and user of the run.
    pub host: String,
}

/// How many cases ended how.
#[derive(Clone, Copy, Default)]
pub struct Tally {
    /// By outcome, in the order of `Word`.
    counts: [usize; 5],
}

impl Tally {
    /// Counts outcomes.
    pub fn of<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> Self {
        let mut tally = Self::default();
        for outcome in outcomes {
            tally.counts[outcome.verdict as usize] += 1;
        }
        tally
    }

    /// How many ended so.
    pub fn count(self, word: Word) -> usize {
        self.counts[word as usize]
    }

    /// `12 passed, 1 failed …`.
    pub fn line(self) -> String {
        let named = [
            (Word::Pass, "passed"),
            (Word::Fail, "failed"),
            (Word::Warn, "warned"),
            (Word::Skip, "skipped"),
            (Word::Error, "could not be run"),
        ];
        let shown = named
            .iter()
            .filter(|(word, _)| self.count(*word) > 0 || matches!(word, Word::Pass | Word::Fail));
        let parts: Vec<String> =
            shown.map(|(word, text)| format!("{} {text}", self.count(*word))).collect();
        parts.join(", ")
    }
}

impl Results<'_> {
    /// The chapters in the order of the cases.
    pub fn chapters(&self) -> Vec<&str> {
        let mut chapters: Vec<&str> = Vec::new();
        for case in &self.cases {
            if !chapters.contains(&case.chapter()) {
                chapters.push(case.chapter());
            }
        }
        chapters
    }

    /// A runtime's outcomes in a chapter.
    pub fn chapter(&self, column: usize, chapter: &str) -> Tally {
        let outcomes = self.cases.iter().zip(&self.columns[column]);
        Tally::of(outcomes.filter(|(case, _)| case.chapter() == chapter).map(|(_, each)| each))
    }

    /// The outcomes of the case in row `at`.
    pub fn row(&self, at: usize) -> impl Iterator<Item = &Outcome> {
        self.columns.iter().filter_map(move |column| column.get(at))
    }
}

/// Numbers the columns of runtimes with the same name.
pub fn name_apart(runtimes: &mut [Runtime]) {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for runtime in runtimes {
        let count = seen.entry(runtime.name.clone()).or_default();
        *count += 1;
        if *count > 1 {
            runtime.name = format!("{}#{count}", runtime.name);
        }
    }
}
