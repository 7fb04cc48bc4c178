//! `check`: what this host offers containers, and how to mend what is missing.

use super::probe;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::output::print;
use crate::cli::{table, term};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// How the answer is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Options of `check`.
#[derive(Args)]
pub struct Check {
    /// How to print: table or json
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

/// How well one thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is there.
    Good,
    /// It is missing; something is slower, or one feature is not offered.
    Missing,
    /// It is missing, and containers don't run without it.
    Needed,
}

/// One line of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub what: &'static str,
    /// How it stands.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What to do; empty where nothing is to be done.
    pub mend: String,
}

/// Runs `check`: fails where something needed is missing.
pub fn check(args: &Check) -> Outcome {
    let findings = probe::all();
    let needed = findings.iter().filter(|finding| finding.state == State::Needed).count();
    match args.format {
        Format::Table => print(&text(&findings, term::colours()))?,
        Format::Json => {
            let list: Vec<Value> = findings.iter().map(entry).collect();
            let text = serde_json::to_string_pretty(&list).unwrap_or_default();
            print(&format!("{text}\n"))?;
        }
    }
    match needed {
        0 => Ok(()),
        1 => Err(Failure::new("this host can't run containers yet: one thing is missing")),
        count => Err(Failure::new(format!(
            "this host can't run containers yet: {count} things are missing"
        ))),
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::Good => "ok",
        State::Missing => "missing",
        State::Needed => "NEEDED",
    }
}

fn entry(finding: &Finding) -> Value {
    json!({
        "what": finding.what,
        "state": word(finding.state).to_lowercase(),
        "found": finding.found,
        "mend": finding.mend,
    })
}

fn text(findings: &[Finding], colours: bool) -> String {
    let mut lines = String::from("WHAT\tSTATE\tFOUND\tTO MEND IT\n");
    for finding in findings {
        let _ = writeln!(
            lines,
            "{}\t{}\t{}\t{}",
            finding.what,
            word(finding.state),
            finding.found,
            finding.mend
        );
    }
    let text = table::align(&lines);
    if !colours {
        return text;
    }
    // Colours after aligning: they take no room.
    let mut painted = String::new();
    for (line, state) in
        text.lines().zip(std::iter::once(None).chain(findings.iter().map(|f| Some(f.state))))
    {
        let colour = match state {
            None => "\x1b[1m",
            Some(State::Good) => "",
            Some(State::Missing) => "\x1b[33m",
            Some(State::Needed) => "\x1b[31m",
        };
        let end = if colour.is_empty() { "" } else { "\x1b[0m" };
        let _ = writeln!(painted, "{colour}{}{end}", line.trim_end());
    }
    painted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(state: State) -> Finding {
        Finding { what: "overlay", state, found: "no".into(), mend: "modprobe overlay".into() }
    }

    #[test]
    fn each_finding_is_a_line() {
        let text = text(&[finding(State::Good), finding(State::Needed)], false);
        assert_eq!(text.lines().count(), 3);
        assert!(text.contains("NEEDED"));
        assert!(!text.contains('\x1b'));
    }

    #[test]
    fn programs_read_the_same() {
        assert_eq!(entry(&finding(State::Missing))["state"], "missing");
        assert_eq!(entry(&finding(State::Needed))["mend"], "modprobe overlay");
    }
}
