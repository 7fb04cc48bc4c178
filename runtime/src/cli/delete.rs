//! `hull delete`.

use super::args::DeleteArgs;
use super::exit_code::ExitCode;
use super::global::Global;
use crate::container::{Store, delete, id};
use crate::error::{Kind, Result};

/// Carries the command out.
#[inline(never)]
pub fn run(global: &Global, args: &DeleteArgs) -> Result<ExitCode> {
    id::check(&args.id)?;
    match Store::open_for(&global.root, &args.id) {
        Err(error) if args.force && error.kind() == Kind::NotFound => Ok(ExitCode::SUCCESS),
        Err(error) => Err(error),
        Ok(store) => delete::delete(&store, &args.id, args.force).map(|()| ExitCode::SUCCESS),
    }
}
