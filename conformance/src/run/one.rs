//! The process of a single case: it holds everything the case starts, and ends it.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

use crate::case::{Case, Stop};
use crate::context::Context;
use crate::host::Host;
use crate::mutant::Break;
use crate::outcome::Outcome;
use crate::runtime::{Driver, Runtime};
use crate::{cases, process, sys};

/// What the runner tells it.
#[derive(Serialize, Deserialize)]
pub struct Setup {
    /// The case's id.
    pub case: String,
    /// The runtime to look at.
    pub runtime: Runtime,
    /// How it is broken.
    pub broken: Option<Break>,
    /// The directory of all cases.
    pub work: PathBuf,
    /// The case's own directory, empty.
    pub dir: PathBuf,
    /// The case's own cgroup path.
    pub cgroup: String,
    /// The machine.
    pub host: Host,
    /// How many points of a sweep to try.
    pub points: usize,
}

/// Runs the case its argument describes and prints the outcome.
pub fn main(arguments: &[OsString]) -> ExitCode {
    let setup = arguments.first().and_then(|text| text.to_str());
    let Some(setup) = setup.and_then(|text| serde_json::from_str::<Setup>(text).ok()) else {
        eprintln!("case: not for use by hand; see hull-conformance --help");
        return ExitCode::FAILURE;
    };
    let Some(case) = cases::all().into_iter().find(|case| case.id == setup.case) else {
        return ExitCode::FAILURE;
    };
    let outcome = run(&case, setup);
    process::kill_children(&[]);
    match serde_json::to_string(&outcome) {
        // A runner that has gone needs no outcome.
        Ok(text) if writeln!(std::io::stdout(), "{text}").is_ok() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn run(case: &Case, setup: Setup) -> Outcome {
    // Files a case makes have the modes it names.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    let driver = Driver {
        runtime: setup.runtime,
        broken: setup.broken,
        work: setup.work,
        dir: setup.dir,
        user: None,
        env: Vec::new(),
    };
    let ready = sys::become_subreaper().map_err(std::io::Error::from);
    let context = ready.and_then(|()| Context::new(driver, setup.host, setup.cgroup, setup.points));
    let mut context = match context {
        Ok(context) => context,
        Err(error) => {
            let stop = Stop::Suite(format!("prepare the bundle: {error}"));
            return Outcome::new(&case.id, case.level(), Err(stop), Vec::new());
        }
    };
    let verdict = case.run(&mut context);
    let mut outcome = Outcome::new(&case.id, case.level(), verdict, context.notes);
    outcome.error = context.error;
    outcome.tally = context.tally;
    outcome
}
