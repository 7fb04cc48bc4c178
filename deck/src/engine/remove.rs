//! Removing containers.

use super::filter::Filters;
use super::lock::Lock;
use super::record::{Container, Exec, Status};
use super::{Engine, time};
use crate::error::{Error, Result};
use crate::store::records::{self, Table};
use std::time::Duration;

/// How long a list waits for removals to end, in looks of [`LOOK`] each.
const LOOKS: u32 = 20;
/// Between two looks at a removal.
const LOOK: Duration = Duration::from_millis(50);

impl Engine {
    /// Removes a container; with `volumes` the ones made for it alone go too.
    ///
    /// # Errors
    /// 404; 409 when it runs and `force` isn't given.
    pub fn remove(&self, reference: &str, force: bool, volumes: bool) -> Result<()> {
        let found = self.find(reference)?;
        let id = found.id;
        // One that waits for its restart counts as running.
        let alive = |container: &Container| {
            let status = container.state.status;
            status.is_alive() || status == Status::Restarting
        };
        let lock = match self.lock(&id) {
            // A creation or a removal that was cut off: the record is all there is.
            Err(error) if error.status == 404 => self.restore_lock(&id)?,
            other => other?,
        };
        let container = self.settled(&id, &lock)?;
        if alive(&container) && !force {
            let word = match container.state.status {
                Status::Paused => "paused",
                Status::Restarting => "restarting",
                _ => "running",
            };
            let advice = if word == "paused" { "unpause and stop" } else { "stop" };
            return Err(Error::conflict(format!(
                "cannot remove container \"{reference}\": container is {word}: {advice} the \
                 container before removing or force remove"
            )));
        }
        if alive(&container) {
            drop(lock);
            self.kill_for_removal(&id)?;
            let lock = match self.lock(&id) {
                // It removed itself.
                Err(error) if error.status == 404 => return Ok(()),
                other => other?,
            };
            return match self.settled(&id, &lock) {
                Err(error) if error.status == 404 => Ok(()),
                container => self.remove_locked(container?, volumes, &lock),
            };
        }
        self.remove_locked(container, volumes, &lock)
    }

    /// Whether a container is about to be gone: lists leave it out. A removal that was cut off is
    /// done again where nobody else will ask for it; else the container stays, to be removed again.
    pub(super) fn goes(&self, container: &Container) -> bool {
        if container.state.status != Status::Removing {
            return false;
        }
        for _ in 0..LOOKS {
            if self.container(&container.id).is_err_and(|error| error.status == 404) {
                return true;
            }
            // Whoever removes it holds its lock; without a lock file nearly all is done.
            if self.lock_is_free(&container.id) {
                break;
            }
            std::thread::sleep(LOOK);
        }
        container.host.auto_remove && self.remove(&container.id, false, true).is_ok()
    }

    /// Ends a container that is to go; its restart policy has nothing to say.
    fn kill_for_removal(&self, id: &str) -> Result<()> {
        match self.kill(id, "KILL") {
            Err(error) if matches!(error.status, 404 | 409) => Ok(()),
            other => other,
        }
    }

    /// Removes a container that doesn't run. The record goes last: a removal that was killed
    /// halfway can be done again.
    pub(super) fn remove_locked(
        &self,
        mut container: Container,
        volumes: bool,
        _lock: &Lock,
    ) -> Result<()> {
        container.state.status = Status::Removing;
        self.save(&container)?;
        let removed =
            self.tear_down(&container).and_then(|()| self.remove_parts(&container, volumes));
        if let Err(error) = removed {
            container.state.status = Status::Dead;
            container.state.error.clone_from(&error.message);
            self.save(&container)?;
            return Err(error);
        }
        // Not in the loop's head: the database would stay locked for the whole loop.
        let execs: Vec<Exec> = records::all_named(&self.database(), Table::Execs, &container.id)?;
        for exec in execs {
            records::delete(&self.database(), Table::Execs, &exec.id)?;
        }
        self.emit_container(&container, "destroy", &[]);
        records::delete(&self.database(), Table::Containers, &container.id)?;
        self.changes.mark();
        self.sweep_mounts();
        Ok(())
    }

    /// Snapshot, directory, volumes.
    fn remove_parts(&self, container: &Container, volumes: bool) -> Result<()> {
        Self::wait_for(self.images.snapshots().remove(&container.id))?;
        let directory = self.config.container_dir(&container.id);
        match std::fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::internal(format!("remove {}: {error}", directory.display())));
            }
            _ => {}
        }
        if !volumes {
            return Ok(());
        }
        let used = self.used_volumes()?;
        for point in container.mounts.iter().filter(|point| point.anonymous) {
            // Another one may have taken it over with --volumes-from.
            if used.get(&point.name).is_none_or(|users| *users <= 1) {
                self.delete_volume_files(&point.name)?;
                self.emit_volume("destroy", &point.name, &[]);
            }
        }
        Ok(())
    }

    /// Removes stopped containers; answers their ids and the bytes freed.
    ///
    /// # Errors
    /// 400 for filters that mean nothing.
    pub fn prune(&self, filters: &Filters) -> Result<(Vec<String>, u64)> {
        filters.allow(&["until", "label", "label!"])?;
        let now = time::now();
        let until = filters.one("until")?.map(|text| time::parse(text, now)).transpose()?.flatten();
        let (mut ids, mut freed) = (Vec::new(), 0);
        for container in self.containers()? {
            let container = self.settle(container)?;
            let stopped =
                !container.state.status.is_alive() && container.state.status != Status::Restarting;
            if !stopped
                || self.goes(&container)
                || until.is_some_and(|until| container.created >= until)
                || !filters.labels(&container.config.labels)
            {
                continue;
            }
            let size = Self::wait_for(self.images.snapshots().usage(&container.id));
            if self.remove(&container.id, false, false).is_ok() {
                freed += size.unwrap_or_default();
                ids.push(container.id);
            }
        }
        Ok((ids, freed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::engine::list::Wanted;

    fn listed(engine: &Engine) -> Vec<String> {
        let wanted = Wanted { all: true, ..Wanted::default() };
        engine.list(&wanted).unwrap().into_iter().map(|found| found.id).collect()
    }

    #[test]
    fn a_removal_that_was_cut_off_is_listed_and_one_at_work_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str| directory.path().join(name);
        let engine = Engine::open(Config {
            data_root: place("data"),
            exec_root: place("run"),
            config_root: place("etc"),
            runtime: place("hull"),
            shim: place("shim"),
        })
        .unwrap();
        let mut container = Container { id: "c".repeat(64), ..Container::default() };
        container.state.status = Status::Removing;
        std::fs::create_dir_all(engine.config.container_dir(&container.id)).unwrap();
        engine.make_lock(&container.id).unwrap();
        let add = || {
            let name = &container.name;
            records::insert(&engine.database(), Table::Containers, &container.id, name, &container)
                .unwrap();
        };
        add();
        assert_eq!(listed(&engine), [container.id.clone()]);
        // Another one, who has the lock, is done with it since a list read the record.
        let lock = engine.lock(&container.id).unwrap();
        records::delete(&engine.database(), Table::Containers, &container.id).unwrap();
        assert!(engine.goes(&container));
        assert!(listed(&engine).is_empty());
        drop(lock);
        // What is left where the lock file is gone already is listed, too.
        add();
        std::fs::remove_dir_all(engine.config.container_dir(&container.id)).unwrap();
        assert_eq!(listed(&engine), [container.id.clone()]);
    }
}
