//! The command line of the suite.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use crate::case::Case;
use crate::expected::{self, Expected};
use crate::host::Host;
use crate::outcome::{Outcome, Word};
use crate::report::{self, Results};
use crate::run::{Job, Workshop};
use crate::runtime::Runtime;
use crate::{cases, coverage};

/// Which sentences of the OCI runtime specification a runtime keeps.
#[derive(Parser)]
#[command(name = "hull-conformance", version)]
struct Arguments {
    /// A runtime to look at; repeat it for a matrix [default: hull]
    #[arg(long, value_name = "BIN")]
    runtime: Vec<PathBuf>,
    /// Only cases whose id contains one of these words
    #[arg(long, value_name = "WORD")]
    filter: Vec<String>,
    /// How to print the results
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Write the report to this file
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Cases at a time [default: the number of CPUs]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Print the cases and what they prove
    #[arg(long)]
    list: bool,
    /// Print every sentence of the specification with its cases, or why it has none
    #[arg(long)]
    coverage: bool,
    /// Demand these errors of the runtimes, word for word: a case's id, a tab, the error
    #[arg(long, value_name = "FILE")]
    errors: Option<PathBuf>,
    /// Write the errors of the first runtime to this file
    #[arg(long, value_name = "FILE")]
    record_errors: Option<PathBuf>,
    /// System calls to try in each sweep of the chapter `faults`; 0: every one [default: 8]
    #[arg(long, value_name = "N")]
    points: Option<usize>,
    /// Show that each case can fail: run it on the first runtime, broken on purpose
    #[arg(long)]
    self_test: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Tap,
    Junit,
    Json,
    Html,
    Markdown,
}

/// Runs the suite. 0: nothing failed; 1: something did; 2: it could not run.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match act(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("hull-conformance: {error}");
            ExitCode::from(2)
        }
    }
}

fn act(arguments: &Arguments) -> Result<bool, String> {
    let all = cases::all();
    if arguments.coverage {
        let (text, complete) = coverage::report(&all);
        put(arguments, &text)?;
        return Ok(complete);
    }
    let chosen: Vec<&Case> = all.iter().filter(|case| wanted(arguments, case)).collect();
    if chosen.is_empty() {
        return Err("no case has such an id; --list prints them".into());
    }
    if arguments.list {
        put(arguments, &report::text::list(&chosen))?;
        return Ok(true);
    }
    let default = [PathBuf::from("hull")];
    let paths = if arguments.runtime.is_empty() { &default } else { &arguments.runtime[..] };
    let mut runtimes =
        paths.iter().map(|path| Runtime::ask(path)).collect::<Result<Vec<_>, _>>()?;
    report::name_apart(&mut runtimes);
    if arguments.self_test {
        runtimes.truncate(1);
        return self_test(arguments, &chosen, &runtimes[0]);
    }
    compare(arguments, &chosen, &runtimes)
}

fn wanted(arguments: &Arguments, case: &Case) -> bool {
    arguments.filter.is_empty() || arguments.filter.iter().any(|word| case.id.contains(word))
}

fn width(arguments: &Arguments) -> usize {
    let cpus = || std::thread::available_parallelism().map_or(2, usize::from);
    arguments.jobs.unwrap_or_else(cpus)
}

fn workshop(arguments: &Arguments) -> Result<Workshop, String> {
    let points = arguments.points.map(|points| if points == 0 { usize::MAX } else { points });
    Workshop::new(Host::look(), points)
        .map_err(|error| format!("prepare the work directory: {error}"))
}

fn compare(arguments: &Arguments, chosen: &[&Case], runtimes: &[Runtime]) -> Result<bool, String> {
    let expected = arguments.errors.as_deref().map(Expected::read).transpose()?;
    let workshop = workshop(arguments)?;
    let columns = runtimes.iter().map(|runtime| {
        let jobs: Vec<Job> =
            chosen.iter().map(|case| Job { case, runtime, broken: false }).collect();
        let mut column = workshop.run(&jobs, width(arguments));
        if let Some(expected) = &expected {
            expected.compare(&mut column);
        }
        column
    });
    let columns = columns.collect();
    let host = workshop.host().summary();
    let results = Results { cases: chosen.to_vec(), runtimes, columns, host };
    drop(workshop);
    if let (Some(path), Some(first)) = (&arguments.record_errors, results.columns.first()) {
        write(path, &expected::record(first))?;
    }
    let text = match arguments.format {
        Format::Text => report::text::results(&results),
        Format::Tap => report::tap::results(&results),
        Format::Junit => report::junit::results(&results),
        Format::Json => report::json::results(&results),
        Format::Html => report::html::results(&results),
        Format::Markdown => report::markdown::results(&results),
    };
    put(arguments, &text)?;
    let bad = |outcome: &Outcome| matches!(outcome.verdict, Word::Fail | Word::Error);
    Ok(!results.columns.iter().flatten().any(bad))
}

/// Every case must pass on the runtime and fail on the broken one.
fn self_test(arguments: &Arguments, chosen: &[&Case], runtime: &Runtime) -> Result<bool, String> {
    let workshop = workshop(arguments)?;
    let [plain, broken] = [false, true].map(|broken| {
        let jobs: Vec<Job> = chosen.iter().map(|case| Job { case, runtime, broken }).collect();
        workshop.run(&jobs, width(arguments))
    });
    drop(workshop);
    let (text, sound) = report::text::self_test(&plain, &broken);
    put(arguments, &text)?;
    Ok(sound)
}

fn put(arguments: &Arguments, text: &str) -> Result<(), String> {
    use std::io::Write;
    match &arguments.output {
        Some(path) => write(path, text),
        // A reader that has gone away has seen enough.
        None => std::io::stdout().write_all(text.as_bytes()).or(Ok(())),
    }
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("write {}: {error}", path.display()))
}
