//! Reading a bundle's config.json (runtime-spec `config.md`, `config-linux.md`, `bundle.md`).

pub mod check;
pub mod config;
pub mod joining;
pub mod linux;
pub mod load;
pub mod names;
pub mod template;

pub use config::{Hook, Hooks, IdMapping, Mount, Process, Rlimit, Root, Spec};
pub use linux::Linux;

use std::fmt;

/// A rule of the specification that the configuration breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where, as a path of property names: `process.cwd`, `linux.namespaces[2].type`.
    pub at: String,
    /// What is wrong with the value, with the value.
    pub what: String,
}

impl Problem {
    /// A problem `what` at `at`.
    pub fn new(at: impl Into<String>, what: impl Into<String>) -> Self {
        Self { at: at.into(), what: what.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.what)
    }
}
