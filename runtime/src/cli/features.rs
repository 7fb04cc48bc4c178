//! `hull features`.

use super::exit_code::ExitCode;
use super::print;
use crate::error::Result;
use crate::features::{Claims, features};
use crate::plan::cgroup::systemd;
use crate::plan::mount_options;
use crate::spec::check;

/// Carries the command out.
#[inline(never)]
pub fn run() -> Result<ExitCode> {
    let claims = Claims {
        mount_options: &mount_options::known(),
        memory_policy_modes: &check::MEMORY_POLICY_MODES,
        memory_policy_flags: &check::MEMORY_POLICY_FLAGS,
        systemd: true,
        checkpoint: true,
        unsafe_annotations: &[systemd::ANNOTATION],
    };
    print(&features(&claims)?)?;
    Ok(ExitCode::SUCCESS)
}
