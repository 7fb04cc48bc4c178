//! `hull start`.

use super::exit_code::ExitCode;
use super::global::Global;
use crate::container::{Status, Store, delete, start};
use crate::error::{Error, Kind, Result};
use crate::hooks;
use crate::notify_socket::{self, NotifySocket};
use std::os::fd::AsFd;

/// Carries the command out.
#[inline(never)]
pub fn run(global: &Global, id: &str) -> Result<ExitCode> {
    let store = Store::open_for(&global.root, id)?;
    let container = store.load(id)?;
    let notify = match notify_socket::of_this_process() {
        Some(host) if notify_socket::is_wanted(&container.slot.path) => {
            Some(NotifySocket::bind(&container.slot.path, &host)?)
        }
        _ => None,
    };
    let pidfd = container.init_pidfd()?;
    start::start(&container).or_else(|error| fail(&store, id, error))?;
    let pid = container.state.init_process_pid;
    if container.state.poststart {
        let hooks = container.config()?.spec.hooks.clone().unwrap_or_default();
        let json = container.state.oci_json(Status::Running, pid);
        hooks::run(&hooks.poststart, "poststart", &json, hooks::DefaultEnv::Inherit)
            .or_else(|error| fail(&store, id, error))?;
    }
    if let (Some(notify), Some(pidfd)) = (&notify, &pidfd) {
        notify.wait(pidfd.as_fd(), pid.cast_unsigned())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A failing hook ends the container (runtime.md "Lifecycle": startContainer and poststart).
fn fail(store: &Store, id: &str, error: Error) -> Result<()> {
    if error.kind() == Kind::Hook
        && let Err(second) = delete::delete(store, id, true)
    {
        return Err(Error::new(Kind::Hook, format!("{error}; then: {second}")));
    }
    Err(error)
}
