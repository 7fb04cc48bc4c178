//! Records of images, containers, networks and volumes: one SQLite database.
//!
//! SQLite, because several deck processes read and write at the same time and any of them may be
//! killed: transactions and crash safety come with it. Blobs and layers stay files.

pub mod images;
pub mod records;

use crate::config::Config;
use crate::error::{At, Result};
use rusqlite::Connection;
use std::time::Duration;

/// Statements that make the tables, by part; each must be repeatable (`IF NOT EXISTS`).
const SCHEMA: &[&str] = &[images::SCHEMA, records::SCHEMA];

/// How long a writer waits for another one.
const BUSY: Duration = Duration::from_secs(30);

/// Opens the database, making it and its tables where they are missing.
///
/// # Errors
/// The directory or the database can't be made.
pub fn open(config: &Config) -> Result<Connection> {
    std::fs::create_dir_all(&config.data_root)
        .at(|| format!("mkdir {}", config.data_root.display()))?;
    let path = config.data_root.join("deck.db");
    let connection = Connection::open(&path).at(|| format!("open {}", path.display()))?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    for statements in SCHEMA {
        connection.execute_batch(statements)?;
    }
    Ok(connection)
}
