//! `hull start`.

use super::global::Global;
use crate::container::{Status, Store, delete, start};
use crate::error::Result;
use crate::hooks;
use std::process::ExitCode;

/// Carries the command out.
pub fn run(global: &Global, id: &str) -> Result<ExitCode> {
    let store = Store::open_for(&global.root, id)?;
    let container = store.load(id)?;
    start::start(&container)?;
    let hooks = container.config()?.spec.hooks.unwrap_or_default();
    if !hooks.poststart.is_empty() {
        let pid = container.state.init_process_pid;
        let json = container.state.oci_json(Status::Running, pid);
        if let Err(error) =
            hooks::run(&hooks.poststart, "poststart", &json, hooks::DefaultEnv::Inherit)
        {
            delete::delete(&store, id, true)?;
            return Err(error);
        }
    }
    Ok(ExitCode::SUCCESS)
}
