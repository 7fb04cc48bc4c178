//! Tables of the engine: containers, execs, volumes, events. A record is JSON beside its keys.

use crate::error::{At, Error, Result};
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The tables.
pub const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS containers (
    id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, record TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS execs (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, record TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS execs_by_container ON execs (name);
CREATE TABLE IF NOT EXISTS volumes (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, record TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL, record TEXT NOT NULL);
";

/// Events kept; older ones are forgotten.
const EVENTS: i64 = 8192;

/// A table of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// By id, with their unique name.
    Containers,
    /// By id, with their container's id as name.
    Execs,
    /// By name.
    Volumes,
}

impl Table {
    fn name(self) -> &'static str {
        match self {
            Self::Containers => "containers",
            Self::Execs => "execs",
            Self::Volumes => "volumes",
        }
    }
}

/// Adds a record.
///
/// # Errors
/// 409 when the id or a unique name is taken.
pub fn insert(
    database: &Connection,
    table: Table,
    id: &str,
    name: &str,
    record: &impl Serialize,
) -> Result<()> {
    let statement = format!("INSERT INTO {} (id, name, record) VALUES (?1, ?2, ?3)", table.name());
    let added = database.prepare_cached(&statement)?.execute(params![id, name, text(record)?]);
    match added {
        Ok(_) => Ok(()),
        Err(rusqlite::Error::SqliteFailure(error, _))
            if error.code == rusqlite::ErrorCode::ConstraintViolation =>
        {
            Err(Error::conflict(format!("{name} is already in use")))
        }
        Err(error) => Err(error.into()),
    }
}

/// Replaces a record and its name.
///
/// # Errors
/// 404 when it is gone, 409 when the new name is taken.
pub fn update(
    database: &Connection,
    table: Table,
    id: &str,
    name: &str,
    record: &impl Serialize,
) -> Result<()> {
    let statement = format!("UPDATE {} SET name = ?2, record = ?3 WHERE id = ?1", table.name());
    match database.prepare_cached(&statement)?.execute(params![id, name, text(record)?]) {
        Ok(0) => Err(Error::not_found(format!("{} {id} is gone", table.name()))),
        Ok(_) => Ok(()),
        Err(rusqlite::Error::SqliteFailure(error, _))
            if error.code == rusqlite::ErrorCode::ConstraintViolation =>
        {
            Err(Error::conflict(format!("{name} is already in use")))
        }
        Err(error) => Err(error.into()),
    }
}

/// Removes a record; one that is gone already is no error.
///
/// # Errors
/// The database fails.
pub fn delete(database: &Connection, table: Table, id: &str) -> Result<()> {
    let statement = format!("DELETE FROM {} WHERE id = ?1", table.name());
    database.prepare_cached(&statement)?.execute([id])?;
    Ok(())
}

/// The record with this id.
///
/// # Errors
/// The database fails, or the record can't be read.
pub fn get<T: DeserializeOwned>(
    database: &Connection,
    table: Table,
    id: &str,
) -> Result<Option<T>> {
    let statement = format!("SELECT record FROM {} WHERE id = ?1", table.name());
    one(database, &statement, id)
}

/// The record with this name.
///
/// # Errors
/// As [`get`].
pub fn named<T: DeserializeOwned>(
    database: &Connection,
    table: Table,
    name: &str,
) -> Result<Option<T>> {
    let statement = format!("SELECT record FROM {} WHERE name = ?1", table.name());
    one(database, &statement, name)
}

/// Ids that begin so: at most two, as more make no difference.
///
/// # Errors
/// The database fails.
pub fn beginning(database: &Connection, table: Table, prefix: &str) -> Result<Vec<String>> {
    let statement =
        format!("SELECT id FROM {} WHERE substr(id, 1, length(?1)) = ?1 LIMIT 2", table.name());
    let mut statement = database.prepare_cached(&statement)?;
    let ids = statement.query_map([prefix], |row| row.get(0))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

/// All records.
///
/// # Errors
/// As [`get`].
pub fn all<T: DeserializeOwned>(database: &Connection, table: Table) -> Result<Vec<T>> {
    let statement = format!("SELECT record FROM {}", table.name());
    let mut statement = database.prepare_cached(&statement)?;
    let records = statement.query_map([], |row| row.get::<_, String>(0))?;
    records.map(|record| read(&record?)).collect()
}

/// All records with this name.
///
/// # Errors
/// As [`get`].
pub fn all_named<T: DeserializeOwned>(
    database: &Connection,
    table: Table,
    name: &str,
) -> Result<Vec<T>> {
    let statement = format!("SELECT record FROM {} WHERE name = ?1", table.name());
    let mut statement = database.prepare_cached(&statement)?;
    let records = statement.query_map([name], |row| row.get::<_, String>(0))?;
    records.map(|record| read(&record?)).collect()
}

/// Adds an event and forgets the oldest ones.
///
/// # Errors
/// The database fails.
pub fn add_event(database: &Connection, time: i64, record: &impl Serialize) -> Result<()> {
    database
        .prepare_cached("INSERT INTO events (time, record) VALUES (?1, ?2)")?
        .execute(params![time, text(record)?])?;
    let last = database.last_insert_rowid();
    // In steps, so that most events cost one statement.
    if last % 256 == 0 {
        database.prepare_cached("DELETE FROM events WHERE seq <= ?1")?.execute([last - EVENTS])?;
    }
    Ok(())
}

/// Events after `seq` and not before `since` (nanoseconds), oldest first, with their numbers.
///
/// # Errors
/// As [`get`].
pub fn events<T: DeserializeOwned>(
    database: &Connection,
    seq: i64,
    since: i64,
) -> Result<Vec<(i64, T)>> {
    let mut statement = database.prepare_cached(
        "SELECT seq, record FROM events WHERE seq > ?1 AND time >= ?2 ORDER BY seq",
    )?;
    let rows = statement
        .query_map([seq, since], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
    rows.map(|row| {
        let (seq, record) = row?;
        Ok((seq, read(&record)?))
    })
    .collect()
}

/// The newest event's number; 0 when there is none.
///
/// # Errors
/// The database fails.
pub fn last_event(database: &Connection) -> Result<i64> {
    let mut statement = database.prepare_cached("SELECT COALESCE(MAX(seq), 0) FROM events")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

fn one<T: DeserializeOwned>(
    database: &Connection,
    statement: &str,
    key: &str,
) -> Result<Option<T>> {
    let record: Option<String> =
        database.prepare_cached(statement)?.query_row([key], |row| row.get(0)).optional()?;
    record.as_deref().map(read).transpose()
}

fn read<T: DeserializeOwned>(record: &str) -> Result<T> {
    serde_json::from_str(record)
        .map_err(|error| Error::internal(error.to_string()))
        .at(|| "read a record")
}

fn text(record: &impl Serialize) -> Result<String> {
    serde_json::to_string(record)
        .map_err(|error| Error::internal(error.to_string()))
        .at(|| "write a record")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database() -> Connection {
        let database = Connection::open_in_memory().unwrap();
        database.execute_batch(SCHEMA).unwrap();
        database
    }

    #[test]
    fn names_are_unique_and_prefixes_find() {
        let database = database();
        insert(&database, Table::Containers, "abc1", "web", &1).unwrap();
        insert(&database, Table::Containers, "abd2", "db", &2).unwrap();
        let taken = insert(&database, Table::Containers, "x", "web", &3).unwrap_err();
        assert_eq!(taken.status, 409);
        assert_eq!(named::<i32>(&database, Table::Containers, "db").unwrap(), Some(2));
        assert_eq!(beginning(&database, Table::Containers, "abc").unwrap(), ["abc1"]);
        assert_eq!(beginning(&database, Table::Containers, "ab").unwrap().len(), 2);
        let taken = update(&database, Table::Containers, "abd2", "web", &2).unwrap_err();
        assert_eq!(taken.status, 409);
        delete(&database, Table::Containers, "abc1").unwrap();
        assert_eq!(get::<i32>(&database, Table::Containers, "abc1").unwrap(), None);
        let gone = update(&database, Table::Containers, "abc1", "web", &1).unwrap_err();
        assert_eq!(gone.status, 404);
    }

    #[test]
    fn old_events_are_forgotten() {
        let database = database();
        for time in 0..EVENTS + 512 {
            add_event(&database, time, &time).unwrap();
        }
        let kept = events::<i64>(&database, 0, 0).unwrap();
        assert!(i64::try_from(kept.len()).unwrap() <= EVENTS + 256);
        assert_eq!(kept.last().unwrap().0, last_event(&database).unwrap());
        assert_eq!(events::<i64>(&database, kept.last().unwrap().0 - 1, 0).unwrap().len(), 1);
    }
}
