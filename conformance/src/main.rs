//! `hull-conformance`: which sentences of the OCI runtime specification a runtime keeps.
//!
//! One static binary plays four parts, told apart by the name it is started under: the suite
//! itself; `probe`, the only program in the containers it makes, which reports what it sees;
//! `case`, the process of a single case; and `mutant`, a runtime broken on purpose, which shows that
//! each case can fail.

mod bundle;
mod case;
mod cases;
mod cli;
mod console;
mod container;
mod context;
mod coverage;
mod expected;
mod faults;
mod host;
mod json;
mod kernel;
mod mutant;
mod needs;
mod observation;
mod outcome;
mod probe;
mod process;
mod report;
mod run;
mod runtime;
mod spec;
mod sys;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let name = arguments.first().and_then(|name| Path::new(name).file_name());
    match name.and_then(|name| name.to_str()) {
        Some("probe") => probe::main(&arguments[1..]),
        Some("case") => run::one::main(&arguments[1..]),
        Some("mutant") => mutant::main(&arguments[1..]),
        _ => cli::main(),
    }
}
