//! Records of images, containers, networks and volumes: one SQLite database.
//!
//! SQLite, because several deck processes read and write at the same time and any of them may be
//! killed: transactions and crash safety come with it. Blobs and layers stay files.

pub mod images;
pub mod networks;
pub mod records;

use crate::config::Config;
use crate::error::{At, Result};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::time::Duration;

/// Statements that make the tables, by part; each must be repeatable (`IF NOT EXISTS`).
const SCHEMA: &[&str] = &[images::SCHEMA, networks::SCHEMA, records::SCHEMA];

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
    set_wal(&connection)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Most processes live for one command, and each would be the last to close: two synced writes
    // and the making of a new log by the next. The log is taken over when it is long instead; one
    // that is left is read through by whoever comes first.
    connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.pragma_update(None, "wal_autocheckpoint", 250)?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    for statements in SCHEMA {
        connection.execute_batch(statements)?;
    }
    Ok(connection)
}

/// Turns on the write-ahead log. Only the first process has to; the change itself does not wait for
/// others by the busy timeout.
fn set_wal(connection: &Connection) -> Result<()> {
    let start = std::time::Instant::now();
    loop {
        let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
        if mode == "wal" {
            return Ok(());
        }
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error) if is_busy(&error) && start.elapsed() < BUSY => {
                std::thread::sleep(Duration::from_millis(10));
            }
            result => result?,
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    let busy = [rusqlite::ErrorCode::DatabaseBusy, rusqlite::ErrorCode::DatabaseLocked];
    error.sqlite_error_code().is_some_and(|code| busy.contains(&code))
}

/// A transaction that will write. It takes the writer's place at once, waiting its turn: one that
/// reads first and then finds another writer before it fails without waiting
/// (SQLITE_BUSY_SNAPSHOT).
pub fn write(connection: &mut Connection) -> Result<Transaction<'_>> {
    Ok(connection.transaction_with_behavior(TransactionBehavior::Immediate)?)
}
