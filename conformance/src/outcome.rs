//! What came of a case on a runtime.

use serde::{Deserialize, Serialize};

use crate::case::{Stop, Verdict};
use crate::spec::Level;

/// The five ways a case ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Word {
    /// The sentence is kept.
    Pass,
    /// A MUST is broken.
    Fail,
    /// A SHOULD is not followed.
    Warn,
    /// The case does not apply.
    Skip,
    /// The suite could not do its part.
    Error,
}

impl Word {
    /// As printed.
    pub fn text(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Warn => "warn",
            Self::Skip => "skip",
            Self::Error => "error",
        }
    }
}

/// A case's end, with its evidence.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// The case.
    pub id: String,
    /// How it ended.
    pub verdict: Word,
    /// Why it did not pass.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What the case saw.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub saw: Vec<String>,
    /// The runtime's answer to bad input, without what differs between two runs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error: String,
    /// Points of a sweep survived, of those tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tally: Option<(usize, usize)>,
    /// Milliseconds it took.
    pub ms: u64,
}

impl Outcome {
    /// The outcome of a verdict at a level.
    pub fn new(id: &str, level: Level, verdict: Verdict, saw: Vec<String>) -> Self {
        let (verdict, reason) = match verdict {
            Ok(()) => (Word::Pass, String::new()),
            Err(Stop::Fail(reason)) if level == Level::Should => (Word::Warn, reason),
            Err(Stop::Fail(reason)) => (Word::Fail, reason),
            Err(Stop::Skip(reason)) => (Word::Skip, reason),
            Err(Stop::Suite(reason)) => (Word::Error, reason),
        };
        Self { id: id.into(), verdict, reason, saw, error: String::new(), tally: None, ms: 0 }
    }
}
