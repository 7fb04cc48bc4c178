//! The only program in the containers of the suite. It reports what it sees and judges nothing.
//!
//! `probe report [REQUEST…]` prints the observation and exits; `probe stay [REQUEST…]` prints it
//! and waits for signals; `probe exit N`; `probe hook FILE NAME [EXIT]` records a hook's call;
//! `probe hunt FILE` lies in wait for processes that join.

mod hook;
mod hunt;
mod requests;
mod surroundings;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use nix::sys::signal::{SigSet, Signal};

/// Runs the probe with its arguments.
pub fn main(arguments: &[OsString]) -> ExitCode {
    let words: Vec<String> =
        arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let (verb, rest) = match words.split_first() {
        Some((verb, rest)) => (verb.as_str(), rest),
        None => ("report", &[][..]),
    };
    match verb {
        "report" => report(rest),
        "stay" => stay(rest),
        "exit" => ExitCode::from(rest.first().and_then(|code| code.parse().ok()).unwrap_or(0)),
        "hook" => hook::main(rest),
        "hunt" => {
            let code = report(&[]);
            if code == ExitCode::SUCCESS { hunt::main(rest) } else { code }
        }
        other => {
            eprintln!("probe: unknown verb {other}");
            ExitCode::from(99)
        }
    }
}

fn report(requests: &[String]) -> ExitCode {
    let mut seen = surroundings::observe();
    for request in requests {
        seen.tries.insert(request.clone(), requests::attempt(request));
    }
    let Ok(mut text) = serde_json::to_vec(&seen) else { return ExitCode::from(98) };
    text.push(b'\n');
    match std::io::stdout().write_all(&text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(97),
    }
}

/// Reports, then names each signal on a line of its own until SIGTERM.
fn stay(requests: &[String]) -> ExitCode {
    let mut signals = SigSet::all();
    for fatal in [Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGILL, Signal::SIGFPE, Signal::SIGSYS] {
        signals.remove(fatal);
    }
    if signals.thread_set_mask().is_err() {
        return ExitCode::from(96);
    }
    let code = report(requests);
    loop {
        match signals.wait() {
            Ok(Signal::SIGTERM) => return code,
            Ok(other) => println!("{other}"),
            Err(_) => return ExitCode::from(95),
        }
    }
}
