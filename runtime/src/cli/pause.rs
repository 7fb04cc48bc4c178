//! `hull pause` and `hull resume`.

use super::exit_code::ExitCode;
use super::global::Global;
use crate::container::{Store, pause};
use crate::error::Result;

/// Carries `pause` out.
#[inline(never)]
pub fn pause(global: &Global, id: &str) -> Result<ExitCode> {
    pause::pause(&Store::open_for(&global.root, id)?.load(id)?)?;
    Ok(ExitCode::SUCCESS)
}

/// Carries `resume` out.
#[inline(never)]
pub fn resume(global: &Global, id: &str) -> Result<ExitCode> {
    pause::resume(&Store::open_for(&global.root, id)?.load(id)?)?;
    Ok(ExitCode::SUCCESS)
}
