//! Waiting for a container's end, however it comes and whoever sees it first.

use super::record::Container;
use super::{Engine, end, sys};
use crate::error::{Error, Result};
use std::sync::Arc;
use std::time::Duration;

/// A look at least this often, should nobody tell.
const LOOK: Duration = Duration::from_secs(1);

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It doesn't run: may be so already.
    NotRunning,
    /// Its next end.
    NextExit,
    /// It is gone.
    Removed,
}

impl Condition {
    /// Reads the parameter; empty is `not-running`.
    ///
    /// # Errors
    /// 400.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "" | "not-running" => Ok(Self::NotRunning),
            "next-exit" => Ok(Self::NextExit),
            "removed" => Ok(Self::Removed),
            other => Err(Error::invalid(format!("invalid condition: {other:?}"))),
        }
    }
}

/// Waits; answers the exit status. `first` is the container as it was when the wait was asked for.
///
/// # Errors
/// The records fail.
pub async fn wait(engine: Arc<Engine>, first: Container, condition: Condition) -> Result<i64> {
    let mut changes = engine.subscribe()?;
    loop {
        let (worker, id) = (engine.clone(), first.id.clone());
        let look = super::blocking(move || match worker.container(&id) {
            Ok(container) => {
                let container = worker.settle(container)?;
                let gone = condition == Condition::Removed && worker.goes(&container);
                Ok((!gone).then_some(container))
            }
            Err(error) if error.status == 404 => Ok(None),
            Err(error) => Err(error),
        });
        let Some(container) = look.await? else {
            let id = first.id.clone();
            return super::blocking(move || engine.last_exit(&id)).await;
        };
        let over = match condition {
            Condition::NotRunning => !container.state.status.is_alive(),
            Condition::NextExit => container.state.ends > first.state.ends,
            Condition::Removed => false,
        };
        if over {
            return Ok(container.state.exit_code);
        }
        let end = async {
            let fd = if end::lives(&container) {
                sys::pidfd_open(container.state.pid).ok()
            } else {
                None
            };
            match fd.and_then(|fd| sys::async_fd(fd).ok()) {
                Some(fd) => drop(fd.readable().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { tokio::time::sleep(LOOK).await },
            () = end => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

impl Engine {
    /// The exit status of a container that is gone, from the events.
    ///
    /// # Errors
    /// The records fail.
    pub(super) fn last_exit(&self, id: &str) -> Result<i64> {
        let events = self.events(0, 0)?;
        let die = events.iter().rev().map(|(_, event)| event).find(|event| {
            event.actor.id == id && event.kind == "container" && event.action == "die"
        });
        let code = die.and_then(|event| event.actor.attributes.get("exitCode")?.parse().ok());
        Ok(code.unwrap_or(0))
    }
}
