//! `update`: other limits for a container that exists.

use super::{Container, Status, Store};
use crate::cgroup::Layout;
use crate::error::{At, Error, Kind, Result};
use crate::intel_rdt::update::Schemas;
use crate::plan::cgroup::change::Change;
use crate::plan::cgroup::systemd::{limits, prefer_idle};
use crate::plan::cgroup::{UsageCheck, Write};
use crate::spec::linux::Resources;
use crate::systemd::{Manager, Unit};
use crate::{intel_rdt, plan, spec};

/// Sets the limits `request` and the resctrl lines `schemas`: all of them or none.
///
/// # Errors
/// `container not running` when init is gone; values the kernel refuses, after the old ones have
/// been written back.
pub fn update(store: &Store, id: &str, request: &Resources, schemas: &Schemas) -> Result<()> {
    // The state is read again under the lock: another update may have changed it meanwhile.
    let slot = store.load(id)?.slot;
    let _guard = slot.lock()?;
    let mut container = store.load(id)?;
    if container.status()? == Status::Stopped {
        return Err(Error::new(Kind::State, "container not running"));
    }
    let rdt = container.state.intel_rdt.clone();
    let group = schemas.group(rdt.as_ref())?;
    let layout = Layout::detect(false)?;
    let current = current(&container)?;
    let change = Change::new(&current, request);
    let (mut writes, check) = writes(&layout, &change.write)?;
    let unit = container.state.unit.clone();
    let result = tell(unit.as_ref(), &mut writes).and_then(|()| {
        let cgroup = container.cgroup()?;
        let undo = cgroup.update(&writes, check).at(|| "setting the limits")?;
        let saved = intel_rdt::update::write(group, schemas).and_then(|()| {
            container.state.resources = Some(change.after);
            container.slot.save_state(&container.state)
        });
        saved.inspect_err(|_| undo.write_back())
    });
    result.inspect_err(|_| {
        // The error that led here is the one to tell.
        let _ =
            self::writes(&layout, &current).and_then(|(mut old, _)| tell(unit.as_ref(), &mut old));
    })
}

/// Lets systemd know the limits, which it would undo otherwise.
fn tell(unit: Option<&Unit>, writes: &mut Vec<Write>) -> Result<()> {
    let Some(unit) = unit else { return Ok(()) };
    if let Some(warning) = prefer_idle(writes) {
        crate::log::warn(format_args!("{warning}"));
    }
    Manager::connect(unit.user)?.set(&unit.name, &limits(writes))
}

/// The limits in force.
fn current(container: &Container) -> Result<Resources> {
    if let Some(resources) = &container.state.resources {
        return Ok(resources.clone());
    }
    let linux = container.config()?.spec.linux.as_ref();
    Ok(linux.and_then(|linux| linux.resources.clone()).unwrap_or_default())
}

fn writes(layout: &Layout, resources: &Resources) -> Result<(Vec<Write>, Option<UsageCheck>)> {
    plan::cgroup::update(layout, resources).map_err(|found| {
        let error = spec::check::problems_to_error(&found).to_string();
        // The places are those of config.json; the values are the request's.
        Error::config(error.replacen("config.json: ", "", 1))
    })
}
