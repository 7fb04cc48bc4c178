//! The rules: containers, execs, volumes, events, logs, restarts, health.
//!
//! An [`Engine`] is a view on the records and the host, not their owner: several processes have
//! one at the same time, each may be killed at any time, and what they agree on is in the
//! database. Work on one container is serialized by a lock file.
//!
//! Everything here blocks, and is called from blocking threads of a tokio runtime.

pub mod archive;
mod attach;
pub mod bundle;
pub mod changes;
pub mod create;
mod dockerfile;
mod end;
pub mod events;
pub mod exec;
pub mod filter;
mod find;
pub mod frames;
mod health;
mod host_state;
pub mod images;
mod info;
mod inspect;
pub mod list;
mod lock;
pub mod logs;
pub mod model;
pub mod mounts;
pub mod networking;
mod networks;
pub mod publish;
pub mod record;
mod remove;
mod restart;
pub(crate) mod root;
mod signal;
pub mod start;
pub mod stats;
mod stop;
pub mod sys;
mod system;
pub mod text;
pub mod time;
mod top;
pub mod update;
pub mod validate;
pub mod version;
pub mod volume;
pub mod wait;
mod watch;
pub mod wishes;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::image::Images;
use crate::net::Networks;
use crate::store;
use attach::Waiting;
use rusqlite::Connection;
use std::sync::{Mutex, MutexGuard, PoisonError};
use watch::Watch;

/// What answers the API: one a process.
pub struct Engine {
    /// Where things are.
    pub config: Config,
    /// Images and snapshots.
    pub images: Images,
    /// Networks.
    pub networks: Networks,
    database: Mutex<Connection>,
    changes: Watch,
    waiting: Waiting,
}

impl Engine {
    /// Opens the records, making them where they are missing.
    ///
    /// # Errors
    /// The directories or the database can't be made.
    pub fn open(config: Config) -> Result<Self> {
        let database = Mutex::new(store::open(&config)?);
        Ok(Self {
            images: Images::open(&config)?,
            networks: Networks::open(&config)?,
            changes: Watch::open(&config)?,
            waiting: Waiting::default(),
            database,
            config,
        })
    }

    /// The database, for one short piece of work.
    pub(crate) fn database(&self) -> MutexGuard<'_, Connection> {
        // A panic elsewhere leaves no half-done statement: SQLite rolls back.
        self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits on this thread for a future of the image store.
    pub(crate) fn wait_for<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Handle::current().block_on(future)
    }
}

/// Runs work that blocks (disk, processes, mounts) away from the connections.
///
/// # Errors
/// Those of the work; 500 when it died.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::internal(format!("a worker died: {error}"))),
    }
}
