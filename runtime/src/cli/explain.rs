//! `hull explain`.

use super::args::ExplainArgs;
use super::exit_code::ExitCode;
use super::global::Global;
use crate::error::{Error, Result};

/// Carries the command out.
pub fn run(_global: &Global, _args: &ExplainArgs) -> Result<ExitCode> {
    Err(Error::unsupported("explain is not part of this build"))
}
