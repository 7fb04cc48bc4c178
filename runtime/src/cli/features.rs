//! `hull features`.

use super::print;
use crate::error::Result;
use crate::features::{Claims, features};
use crate::plan::{mount_options, process};
use std::process::ExitCode;

/// Carries the command out.
pub fn run() -> Result<ExitCode> {
    let claims = Claims {
        mount_options: &mount_options::known(),
        memory_policy_modes: &process::MEMORY_POLICY_MODES.map(|(name, _)| name),
        memory_policy_flags: &process::MEMORY_POLICY_FLAGS.map(|(name, _)| name),
        systemd: false,
        checkpoint: false,
        unsafe_annotations: &[],
    };
    print(&features(&claims)?)?;
    Ok(ExitCode::SUCCESS)
}
