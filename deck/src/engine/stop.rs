//! Signals, stopping, freezing.

use super::record::{Container, Status};
use super::start::By;
use super::{Engine, signal, sys};
use crate::error::{Error, Result};
use crate::supervise::Task;
use std::path::Path;
use std::time::Duration;

/// Docker's time between the stop signal and SIGKILL.
const TIMEOUT: i64 = 10;
/// How long the kernel may take to end a killed process.
const KILLED: Duration = Duration::from_secs(10);

impl Engine {
    /// A connection to a living container's shim.
    ///
    /// # Errors
    /// The shim is gone.
    pub(super) fn task(&self, container: &Container) -> Result<Task> {
        let _ = self;
        Task::connect(Path::new(&container.state.shim), &container.id)
    }

    /// The container, if it is alive.
    ///
    /// # Errors
    /// 404; 409 in Docker's words when it isn't.
    pub(super) fn alive(&self, reference: &str) -> Result<Container> {
        let container = self.settle(self.find(reference)?)?;
        if container.state.status.is_alive() {
            return Ok(container);
        }
        Err(Error::conflict(format!("container {} is not running", container.id)))
    }

    /// Stops a container: its stop signal, and SIGKILL after `timeout` seconds (-1: never).
    /// Answers whether there was anything to do.
    ///
    /// # Errors
    /// 404; the container can't be ended.
    pub fn stop(&self, reference: &str, sig: Option<&str>, timeout: Option<i64>) -> Result<bool> {
        let id = self.find(reference)?.id;
        let container = {
            let lock = self.lock(&id)?;
            let mut container = self.settled(&id, &lock)?;
            match container.state.status {
                Status::Running | Status::Paused => {}
                Status::Restarting => {
                    container.stopped_by_user = true;
                    container.state.status = Status::Exited;
                    self.save(&container)?;
                    self.emit_container(&container, "stop", &[]);
                    return Ok(true);
                }
                _ => return Ok(false),
            }
            container.stopped_by_user = true;
            self.save(&container)?;
            container
        };
        let asked = sig.filter(|text| !text.is_empty()).unwrap_or(&container.config.stop_signal);
        let number = if asked.is_empty() { 15 } else { signal::parse(asked)? };
        let timeout = timeout.or(container.config.stop_timeout).unwrap_or(TIMEOUT);
        self.end(&container, number, timeout)?;
        // An auto-removed one is gone by now: what it was still makes the event.
        self.emit_container(&container, "stop", &[]);
        Ok(true)
    }

    /// Ends a living container and sees to what follows.
    fn end(&self, container: &Container, number: i32, timeout: i64) -> Result<()> {
        let patience = u64::try_from(timeout).ok().map(Duration::from_secs);
        if patience != Some(Duration::ZERO) || number == 9 {
            self.send(container, number)?;
        }
        if !sys::wait_for_end(container.state.pid, patience)? {
            self.send(container, 9)?;
            if !sys::wait_for_end(container.state.pid, Some(KILLED))? {
                return Err(Error::internal(format!(
                    "container {}: process {} did not end in 10 s after SIGKILL",
                    container.id, container.state.pid
                )));
            }
        }
        self.settle(container.clone()).map(drop)
    }

    /// Sends a signal to a living container; one that just ended is no error.
    fn send(&self, container: &Container, number: i32) -> Result<()> {
        let text = number.to_string();
        match self.task(container).and_then(|mut task| task.kill("", number)) {
            Err(error) if error.status == 404 => return Ok(()),
            // The shim was killed: its container is nobody's child, but still there. Or the shim
            // is gone with its container, whose end somebody else has seen to.
            Err(error) if error.status == 503 => {
                if !super::end::lives(container) {
                    return Ok(());
                }
                sys::send_signal(container.state.pid, number)?;
            }
            other => other?,
        }
        self.emit_container(container, "kill", &[("signal", text.as_str())]);
        Ok(())
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// 400 for no signal, 404, 409 when it doesn't run.
    pub fn kill(&self, reference: &str, sig: &str) -> Result<()> {
        let number = if sig.is_empty() { 9 } else { signal::parse(sig)? };
        let container = self.alive(reference).map_err(|error| match error.status {
            409 => Error::conflict(format!("cannot kill container: {reference}: {error}")),
            _ => error,
        })?;
        let stops = signal::parse(&container.config.stop_signal).unwrap_or(15);
        if number == 9 || number == stops {
            let lock = self.lock(&container.id)?;
            let mut container = self.settled(&container.id, &lock)?;
            if container.state.status.is_alive() {
                container.stopped_by_user = true;
                self.save(&container)?;
            }
        }
        self.send(&container, number)?;
        if number == 9 {
            // Docker answers when it is over.
            self.end(&container, 9, TIMEOUT)?;
        }
        Ok(())
    }

    /// Stops, if it runs, and starts.
    ///
    /// # Errors
    /// Those of both.
    pub fn restart(&self, reference: &str, sig: Option<&str>, timeout: Option<i64>) -> Result<()> {
        let id = self.find(reference)?.id;
        let keep = self.find(&id)?.host.auto_remove;
        if keep {
            self.set_auto_remove(&id, false)?;
        }
        self.stop(&id, sig, timeout)?;
        if keep {
            self.set_auto_remove(&id, true)?;
        }
        self.start(&id, By::User)?;
        let container = self.find(&id)?;
        self.emit_container(&container, "restart", &[]);
        Ok(())
    }

    fn set_auto_remove(&self, id: &str, value: bool) -> Result<()> {
        let _lock = self.lock(id)?;
        let mut container = self.container(id)?;
        container.host.auto_remove = value;
        self.save(&container)
    }

    /// Freezes a container.
    ///
    /// # Errors
    /// 409 when it doesn't run or is frozen.
    pub fn pause(&self, reference: &str) -> Result<()> {
        let (mut container, _lock) = self.alive_locked(reference)?;
        if container.state.status == Status::Paused {
            return Err(Error::conflict(format!("Container {reference} is already paused")));
        }
        self.task(&container)?.pause()?;
        container.state.status = Status::Paused;
        self.save(&container)?;
        self.emit_container(&container, "pause", &[]);
        Ok(())
    }

    /// Thaws a container.
    ///
    /// # Errors
    /// 409 when it isn't frozen.
    pub fn unpause(&self, reference: &str) -> Result<()> {
        let (mut container, _lock) = self.alive_locked(reference)?;
        if container.state.status != Status::Paused {
            return Err(Error::conflict(format!("Container {reference} is not paused")));
        }
        self.task(&container)?.resume()?;
        container.state.status = Status::Running;
        self.save(&container)?;
        self.emit_container(&container, "unpause", &[]);
        Ok(())
    }

    /// A living container and its lock.
    pub(super) fn alive_locked(&self, reference: &str) -> Result<(Container, super::lock::Lock)> {
        let id = self.find(reference)?.id;
        let lock = self.lock(&id)?;
        let container = self.settled(&id, &lock)?;
        if container.state.status.is_alive() {
            return Ok((container, lock));
        }
        Err(Error::conflict(format!("Container {id} is not running")))
    }

    /// Sets the size of a container's terminal.
    ///
    /// # Errors
    /// 409 when it doesn't run.
    pub fn resize(&self, reference: &str, rows: u16, columns: u16) -> Result<()> {
        let container = self.alive(reference)?;
        self.task(&container)?.resize("", rows, columns)
    }
}
