//! From the command line to an action.

use crate::args::{Action, Args, HELP};
use crate::error::{At, Result};
use crate::{delete, info, serve, start, sys};
use std::io::{Read, Write as _, stdin, stdout};
use std::process::ExitCode;

/// The most that is read from standard input.
const INPUT_LIMIT: u64 = 4 << 20;

/// Runs the command; an error is one line on standard error.
pub fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("containerd-shim-hull-v2: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let args = Args::parse(std::env::args().skip(1))?;
    match args.action {
        Action::Start => start::start(&args, &input()?, &mut stdout()),
        Action::Delete => delete::delete(&args, &mut stdout()),
        Action::Info => info::info(&input()?, &mut stdout()),
        Action::Serve => serve::serve(&args, sys::inherited_listener()),
        Action::Version => {
            println!("containerd-shim-hull-v2 {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        Action::Help => stdout().write_all(HELP.as_bytes()).at(|| "print the help".to_owned()),
    }
}

fn input() -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stdin().take(INPUT_LIMIT).read_to_end(&mut bytes).at(|| "read standard input".to_owned())?;
    Ok(bytes)
}
