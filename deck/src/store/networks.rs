//! Records of networks and of the containers on them: one row each, as JSON.

use crate::error::{Error, Result};
use crate::net::model::Network;
use crate::net::records::{Container, State};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use serde::{Serialize, de::DeserializeOwned};

/// The tables.
pub const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS net_networks (
        position INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL UNIQUE,
        record TEXT NOT NULL
    );
    CREATE TABLE IF NOT EXISTS net_containers (id TEXT PRIMARY KEY, record TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS net_host (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        record TEXT NOT NULL
    );
";

/// Reads everything.
///
/// # Errors
/// The database can't be read, or a record was written by a newer deck.
pub fn read(connection: &Connection) -> Result<State> {
    let networks = rows(connection, "SELECT record FROM net_networks ORDER BY position")?;
    let containers = rows(connection, "SELECT record FROM net_containers ORDER BY id")?;
    let host: Option<String> =
        connection.query_row("SELECT record FROM net_host", [], |row| row.get(0)).optional()?;
    let (forwarding, leftover) = host.map(|text| parse(&text)).transpose()?.unwrap_or_default();
    Ok(State { networks, containers, forwarding, leftover })
}

/// Reads everything, lets `decide` change it, and writes what is different: one transaction, with
/// no other writer in between.
///
/// # Errors
/// `decide`'s error, after which nothing is changed; or the database fails.
pub fn change<T>(
    connection: &Connection,
    decide: impl FnOnce(&mut State) -> Result<T>,
) -> Result<T> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    let before = read(&transaction)?;
    let mut after = before.clone();
    let result = decide(&mut after)?;
    write(&transaction, &before, &after)?;
    transaction.commit()?;
    Ok(result)
}

fn write(connection: &Connection, before: &State, after: &State) -> Result<()> {
    for network in before.networks.iter().filter(|old| after.network(&old.id).is_none()) {
        connection.execute("DELETE FROM net_networks WHERE id = ?", params![network.id])?;
    }
    for network in after.networks.iter().filter(|new| before.network(&new.id).is_none()) {
        insert_network(connection, network)?;
    }
    for container in before.containers.iter().filter(|old| after.container(&old.id).is_none()) {
        connection.execute("DELETE FROM net_containers WHERE id = ?", params![container.id])?;
    }
    for container in after.containers.iter().filter(|new| before.container(&new.id) != Some(new)) {
        put_container(connection, container)?;
    }
    if (&before.forwarding, &before.leftover) != (&after.forwarding, &after.leftover) {
        let sql = "INSERT OR REPLACE INTO net_host (only, record) VALUES (1, ?)";
        connection.execute(sql, params![json(&(&after.forwarding, &after.leftover))?])?;
    }
    Ok(())
}

fn insert_network(connection: &Connection, network: &Network) -> Result<()> {
    let sql = "INSERT INTO net_networks (id, name, record) VALUES (?, ?, ?)";
    connection.execute(sql, params![network.id, network.name, json(network)?])?;
    Ok(())
}

fn put_container(connection: &Connection, container: &Container) -> Result<()> {
    let sql = "INSERT OR REPLACE INTO net_containers (id, record) VALUES (?, ?)";
    connection.execute(sql, params![container.id, json(container)?])?;
    Ok(())
}

fn rows<T: DeserializeOwned>(connection: &Connection, sql: &str) -> Result<Vec<T>> {
    let mut statement = connection.prepare_cached(sql)?;
    let texts = statement.query_map([], |row| row.get::<_, String>(0))?;
    texts.map(|text| parse(&text?)).collect()
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text)
        .map_err(|error| Error::internal(format!("network record in the database: {error}")))
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| Error::internal(format!("write a network record: {error}")))
}
