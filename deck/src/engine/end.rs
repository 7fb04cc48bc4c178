//! Ends: what is done when a container's process is gone, whoever sees it first. A shim's event,
//! a look at a container whose shim was killed, and a reboot all come here.

use super::lock::Lock;
use super::record::{Container, Exec, Status};
use super::start::{By, clear_run};
use super::{Engine, host_state, restart, time};
use crate::error::{At, Result};
use crate::store::records::{self, Table};
use crate::supervise::{self, Task};
use nix::mount::{MntFlags, umount2};
use std::path::{Path, PathBuf};

/// The exit status of a container whose end nobody saw.
const UNSEEN: i64 = 255;

impl Engine {
    /// A container as it truly is now: one that ended unseen is ended first.
    ///
    /// # Errors
    /// The records fail.
    pub(super) fn settled(&self, id: &str, lock: &Lock) -> Result<Container> {
        let container = self.container(id)?;
        if !container.state.status.is_alive() || lives(&container) {
            return Ok(container);
        }
        let words = Self::last_words(&container);
        let (code, finished) =
            words.unwrap_or_else(|| (UNSEEN, time::now().max(container.state.started)));
        let ended = self.ended(container, code, finished, lock);
        if words.is_none() {
            // No shim will tell of this end.
            self.after_end();
        }
        ended?;
        self.container(id)
    }

    /// Ends whatever ended unseen: called before containers are listed or looked at.
    ///
    /// # Errors
    /// The records fail.
    pub(super) fn settle(&self, container: Container) -> Result<Container> {
        if !container.state.status.is_alive() || lives(&container) {
            return Ok(container);
        }
        // Whoever holds the lock may be ending it right now.
        let lock = match self.lock(&container.id) {
            Err(error) if error.status == 404 => return Ok(container),
            other => other?,
        };
        match self.settled(&container.id, &lock) {
            // Removed by its own end.
            Err(error) if error.status == 404 => {
                let mut gone = container;
                gone.state.status = Status::Removing;
                gone.state.exit_code = self.last_exit(&gone.id)?;
                Ok(gone)
            }
            other => other,
        }
    }

    /// Exit status and time of an end, from the shim if it still lives.
    fn last_words(container: &Container) -> Option<(i64, i64)> {
        let shim = Path::new(&container.state.shim);
        if container.state.boot != host_state::boot_id() {
            return None;
        }
        let (code, at) =
            Task::connect(shim, &container.id).and_then(|mut task| task.wait("")).ok()?;
        Some((code, at.max(container.state.started)))
    }

    /// Everything that follows an end: clean up, record, tell, restart or remove.
    ///
    /// # Errors
    /// The records fail; the host refuses to clean up.
    pub(super) fn ended(
        &self,
        mut container: Container,
        code: i64,
        finished: i64,
        lock: &Lock,
    ) -> Result<()> {
        let left = self.tear_down(&container);
        container.state.status = Status::Exited;
        container.state.ends += 1;
        container.state.exit_code = code;
        container.state.finished = finished;
        clear_run(&mut container);
        if let Err(error) = left {
            // The next start or the removal tries again, and refuses where that fails too.
            container.state.error = format!("clean up: {error}");
        }
        if let Some(health) = &mut container.health {
            health.status = "unhealthy".into();
        }
        self.end_execs(&container)?;
        let again = restart::after_end(&container);
        if again.is_some() {
            container.state.status = Status::Restarting;
            container.restart_count += 1;
        }
        self.save(&container)?;
        let code_text = code.to_string();
        let span = (finished - container.state.started).max(0) / time::SECOND;
        let more = [("exitCode", code_text.as_str()), ("execDuration", &span.to_string())];
        self.emit_container(&container, "die", &more);
        if let Some(delay) = again {
            return restart::later(&self.config, &container, delay);
        }
        if container.host.auto_remove {
            self.remove_locked(container, true, lock)?;
        }
        Ok(())
    }

    /// Has what networks no longer need taken away, once a container has left them. Nobody waits
    /// for it: the kernel takes tens of milliseconds for a bridge, and who runs one container
    /// after another finds it there.
    fn after_end(&self) {
        match self.networks.is_left() {
            Ok(false) => {}
            Ok(true) => complain("sweep networks", restart::worker(&self.config, &["sweep"])),
            Err(error) => complain::<()>("sweep networks", Err(error)),
        }
    }

    /// An exec can't outlive its container.
    fn end_execs(&self, container: &Container) -> Result<()> {
        let execs: Vec<Exec> = records::all_named(&self.database(), Table::Execs, &container.id)?;
        for exec in execs.into_iter().filter(|exec| exec.started && exec.exit_code.is_none()) {
            self.change_exec(&exec.id, |record| {
                record.exit_code.is_none().then(|| record.end(137))
            })?;
        }
        Ok(())
    }

    /// Takes away everything one run had on the host. It is what a start, an end and a removal
    /// rely on after any crash, so each step is tried whatever the others say, and nothing being
    /// there is fine.
    ///
    /// # Errors
    /// The first step that failed and left something on the host.
    pub(super) fn tear_down(&self, container: &Container) -> Result<()> {
        let bundle = self.config.bundle_dir(&container.id);
        let shim = match container.state.shim.as_str() {
            // A start that was killed before the shim was recorded.
            "" => supervise::socket(&self.config, &container.id),
            socket => Some(PathBuf::from(socket)),
        };
        if let Some(shim) = &shim {
            if supervise::end(shim, &container.id).is_err() && bundle.exists() {
                drop(supervise::clean_up(&self.config, &container.id, &bundle));
            }
            // A killed shim leaves its socket; one that ends has removed it.
            drop(std::fs::remove_file(shim));
        } else if bundle.join("config.json").exists() {
            drop(supervise::clean_up(&self.config, &container.id, &bundle));
        }
        let networks = self
            .networks
            .detach(&container.id)
            .and(crate::net::netns::remove(&self.networks.netns_path(&container.id)));
        let rootfs = bundle.join("rootfs");
        // Once more than it was mounted does no harm.
        while umount2(&rootfs, MntFlags::MNT_DETACH).is_ok() {}
        // Never through a mount that could not be taken away.
        let files = super::root::remove_mount_point(&bundle)
            .at(|| format!("remove {}", rootfs.display()))
            .and_then(|()| {
                absent(std::fs::remove_dir_all(&bundle))
                    .at(|| format!("remove {}", bundle.display()))
            });
        networks.and(files)
    }

    /// What a shim's exit event comes to.
    ///
    /// # Errors
    /// The records fail.
    pub fn exited(&self, id: &str, exec: &str, pid: i32, code: i64, at: i64) -> Result<()> {
        if exec != id && !exec.is_empty() {
            return self.exec_exited(exec, code);
        }
        let ended = self.end_told(id, pid, code, at);
        // Also for one who saw the end first and did not wait for this.
        self.after_end();
        ended
    }

    fn end_told(&self, id: &str, pid: i32, code: i64, at: i64) -> Result<()> {
        let lock = self.lock(id)?;
        let container = self.container(id)?;
        // An event of an earlier life, or of one whose end was seen already.
        if !container.state.status.is_alive() || container.state.pid != pid {
            return Ok(());
        }
        self.ended(container, code, at, &lock)
    }

    /// What a shim's out-of-memory event comes to.
    ///
    /// # Errors
    /// The records fail.
    pub fn out_of_memory(&self, id: &str) -> Result<()> {
        let _lock = self.lock(id)?;
        let mut container = self.container(id)?;
        container.state.oom_killed = true;
        self.save(&container)?;
        self.emit_container(&container, "oom", &[]);
        Ok(())
    }

    /// What is to be done once after each boot, before anything else: what the last boot left is
    /// cleared up, and what ran is started if its policy says so. Called again it does nothing.
    ///
    /// # Errors
    /// The records fail. A container that doesn't start says why in its own record.
    pub fn boot(&self) -> Result<()> {
        // Below the exec root: gone with a reboot, or with everything that ran.
        let path = self.config.exec_root.join("booted");
        let boot = host_state::boot_id();
        if std::fs::read_to_string(&path).is_ok_and(|last| last == boot) {
            return Ok(());
        }
        std::fs::write(&path, boot).at(|| format!("write {}", path.display()))?;
        // One that is being started right now is locked until it lives.
        let alive = |id: &str| {
            self.lock(id)
                .is_ok_and(|_lock| self.container(id).is_ok_and(|container| lives(&container)))
        };
        complain("reconcile networks", self.networks.reconcile(&alive));
        self.sweep_mounts();
        for container in self.containers()? {
            let was = container.state.status;
            let Ok(lock) = self.lock(&container.id) else { continue };
            let Ok(container) = self.settled(&container.id, &lock) else { continue };
            let wanted = restart::after_boot(&container, was);
            if wanted && !container.state.status.is_alive() {
                let name = container.name.clone();
                complain(&format!("start {name}"), self.start_locked(container, By::Policy, &lock));
            }
        }
        Ok(())
    }
}

/// Tells what failed to whoever runs this process, where nothing else can be done about it and
/// something later tries again.
fn complain<T>(what: &str, result: Result<T>) {
    if let Err(error) = result {
        eprintln!("deck: {what}: {error}");
    }
}

/// What isn't there needs no removal.
fn absent(removed: std::io::Result<()>) -> std::io::Result<()> {
    match removed {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Whether a container's process is still the one that was started.
pub(super) fn lives(container: &Container) -> bool {
    let state = &container.state;
    state.boot == host_state::boot_id() && host_state::is_alive(state.pid, state.pid_start)
}
