//! The rules: containers, execs, volumes, events, logs, restarts, health.
//!
//! An [`Engine`] is a view on the records and the host, not their owner: several processes have
//! one at the same time, each may be killed at any time, and what they agree on is in the
//! database. Work on one container is serialized by a lock file.

mod system;

use crate::config::Config;
use crate::error::Result;
use crate::store;
use rusqlite::Connection;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What answers the API: one a process.
pub struct Engine {
    /// Where things are.
    pub config: Config,
    database: Mutex<Connection>,
}

impl Engine {
    /// Opens the records, making them where they are missing.
    ///
    /// # Errors
    /// The directories or the database can't be made.
    pub fn open(config: Config) -> Result<Self> {
        let database = Mutex::new(store::open(&config)?);
        Ok(Self { config, database })
    }

    /// The database, for one short piece of work.
    pub(crate) fn database(&self) -> MutexGuard<'_, Connection> {
        // A panic elsewhere leaves no half-done statement: SQLite rolls back.
        self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
