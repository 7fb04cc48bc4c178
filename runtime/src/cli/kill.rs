//! `hull kill`.

use super::args::KillArgs;
use super::exit_code::ExitCode;
use super::global::Global;
use crate::container::{Store, kill};
use crate::error::{Kind, Result};

/// Carries the command out.
#[inline(never)]
pub fn run(global: &Global, args: &KillArgs) -> Result<ExitCode> {
    let container = Store::open_for(&global.root, &args.id)?.load(&args.id)?;
    match kill::kill(&container, args.signal) {
        // `--all` is obsolete; what is left of it is that nothing to kill is no failure.
        Err(error) if args.all && error.kind() == Kind::State => Ok(ExitCode::SUCCESS),
        other => other.map(|()| ExitCode::SUCCESS),
    }
}
