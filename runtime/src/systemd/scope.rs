//! The scope of a container that is being made.

use super::{Keeper, Manager, Unit};
use crate::cgroup::{Cgroup, Join};
use crate::error::{At, Error, Result};
use crate::plan::cgroup::systemd::{Facts, UnitPlan, limits};
use nix::unistd::geteuid;

/// What a plan has to know of the manager.
///
/// # Errors
/// No systemd.
pub fn facts(user: bool) -> Result<Facts> {
    let mut manager = Manager::connect(user)?;
    // The system's manager has the root.
    let control_group = if user { manager.control_group()? } else { String::new() };
    Ok(Facts { user, control_group })
}

/// Stops the unit at its end, unless it is kept.
#[derive(Debug)]
pub struct Scope<'a> {
    plan: &'a UnitPlan,
    keeper: Option<Keeper>,
    kept: bool,
}

impl<'a> Scope<'a> {
    /// Lets systemd make the unit.
    ///
    /// # Errors
    /// systemd refuses.
    pub fn start(plan: &'a UnitPlan) -> Result<Self> {
        let keeper = Keeper::start()?;
        Manager::connect(plan.unit.user)?.start(plan, keeper.pid())?;
        Ok(Self { plan, keeper: Some(keeper), kept: false })
    }

    /// How init gets in. A user may not move processes between the cgroups of a login session and
    /// those of the own manager: systemd does it.
    ///
    /// # Errors
    /// An init that can't wait for that.
    pub fn join(&self, join: Join, waits: bool) -> Result<Join> {
        let join = of_user(join, Some(&self.plan.unit), "");
        if join.unit.is_some() && !waits {
            return Err(Error::unsupported(
                "the systemd cgroup driver needs a user namespace of the container's own when it \
                 is used without privileges",
            ));
        }
        Ok(join)
    }

    /// Init is in: the keeper goes, and what could not be set with two processes is set.
    ///
    /// # Errors
    /// The limits are refused.
    pub fn settle(&mut self, cgroup: Option<&Cgroup>) -> Result<()> {
        self.keeper = None;
        if self.plan.late.is_empty() {
            return Ok(());
        }
        let mut writes = self.plan.late.clone();
        let unit = &self.plan.unit;
        Manager::connect(unit.user)?.set(&unit.name, &limits(&mut writes))?;
        match cgroup {
            Some(cgroup) => cgroup.update(&writes, None).at(|| "setting the limits").map(drop),
            None => Ok(()),
        }
    }

    /// The container stays.
    pub fn keep(&mut self) {
        self.kept = true;
    }
}

impl Drop for Scope<'_> {
    fn drop(&mut self) {
        if !self.kept {
            // Best effort: the error that led here is the one to report.
            let _ = self.plan.unit.stop();
        }
    }
}

/// The way into a cgroup, or the one `below` it, of a unit that may be an ordinary user's.
pub fn of_user(mut join: Join, unit: Option<&Unit>, below: &str) -> Join {
    if let Some(unit) = unit.filter(|unit| unit.user && !geteuid().is_root()) {
        join.into = None;
        join.unit = Some((unit.clone(), format!("/{}", below.trim_matches('/'))));
    }
    join
}
