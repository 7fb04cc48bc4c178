//! A case: data about what it proves, and one function that looks.

use crate::context::Context;
use crate::mutant::Break;
use crate::needs::Need;
use crate::spec::{self, Level};

/// Why a case ended without passing.
#[derive(Debug)]
pub enum Stop {
    /// The runtime did something else than the cited sentence says.
    Fail(String),
    /// The case does not apply here.
    Skip(String),
    /// The suite itself could not do its part.
    Suite(String),
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::Suite(error.to_string())
    }
}

impl From<nix::Error> for Stop {
    fn from(error: nix::Error) -> Self {
        Self::Suite(error.to_string())
    }
}

/// What a case's function returns.
pub type Verdict = Result<(), Stop>;

/// A failure with this text.
pub fn fail<T>(text: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Fail(text.into()))
}

/// Fails with `text` unless `holds`.
pub fn ensure(holds: bool, text: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { fail(text()) }
}

/// Fails unless what was seen is what was wanted.
pub fn equal<S, W>(what: &str, seen: &S, wanted: &W) -> Verdict
where
    S: PartialEq<W> + std::fmt::Debug + ?Sized,
    W: std::fmt::Debug + ?Sized,
{
    ensure(seen == wanted, || format!("{what} is {seen:?}, not {wanted:?}"))
}

type Run = Box<dyn Fn(&mut Context) -> Verdict + Send + Sync>;

/// One thing to look at.
pub struct Case {
    /// `chapter/name`.
    pub id: String,
    /// What it proves: `document:line words of the sentence`, or a source outside the
    /// specification.
    pub cites: Vec<String>,
    /// What must be there for it to apply.
    pub needs: Vec<Need>,
    /// How a runtime must be broken for it to fail.
    pub breaks: Break,
    /// The sentence binds who writes the configuration; a runtime that notices does well.
    pub advice: bool,
    run: Run,
}

impl Case {
    /// The part before the slash.
    pub fn chapter(&self) -> &str {
        self.id.split('/').next().unwrap_or(&self.id)
    }

    /// The ids of the sentences it cites.
    pub fn sentences(&self) -> impl Iterator<Item = &str> {
        self.cites.iter().filter_map(|cite| cite.split(' ').next()).filter(|id| is_spec(id))
    }

    /// MUST when any cited sentence is, or when it stands on something beyond the specification;
    /// SHOULD for advice.
    pub fn level(&self) -> Level {
        let mut levels = self.sentences().filter_map(spec::sentence).map(|found| found.level);
        let beyond = self.sentences().next().is_none();
        if self.advice {
            return Level::Should;
        }
        if beyond || levels.any(|level| level == Level::Must) { Level::Must } else { Level::Should }
    }

    /// Looks.
    pub fn run(&self, context: &mut Context) -> Verdict {
        (self.run)(context)
    }
}

/// Whether a citation's first word names a sentence of the specification.
fn is_spec(word: &str) -> bool {
    word.split_once(".md:").is_some()
}

/// Starts the description of a case.
pub fn case(id: impl Into<String>) -> Builder {
    Builder { id: id.into(), cites: Vec::new(), needs: Vec::new(), advice: false }
}

/// A case being described.
pub struct Builder {
    id: String,
    cites: Vec<String>,
    needs: Vec<Need>,
    advice: bool,
}

impl Builder {
    /// Adds a citation.
    pub fn cites(mut self, cite: impl Into<String>) -> Self {
        self.cites.push(cite.into());
        self
    }

    /// Adds a need.
    pub fn needs(mut self, need: Need) -> Self {
        self.needs.push(need);
        self
    }

    /// Says that the sentence binds who writes the configuration, not the runtime.
    pub fn advice(mut self) -> Self {
        self.advice = true;
        self
    }

    /// Says how a runtime must be broken for the case to fail.
    pub fn breaks(self, breaks: Break) -> Broken {
        Broken { builder: self, breaks }
    }
}

/// A case that lacks only its function.
pub struct Broken {
    builder: Builder,
    breaks: Break,
}

impl Broken {
    /// Completes the case.
    pub fn runs(self, run: impl Fn(&mut Context) -> Verdict + Send + Sync + 'static) -> Case {
        let Builder { id, cites, needs, advice } = self.builder;
        Case { id, cites, needs, breaks: self.breaks, advice, run: Box::new(run) }
    }
}
