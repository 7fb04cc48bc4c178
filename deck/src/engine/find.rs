//! Containers by name, id, or the beginning of an id; their records in the database.

use super::Engine;
use super::lock::gone;
use super::record::Container;
use crate::error::{Error, Result};
use crate::store::records::{self, Table};

impl Engine {
    /// The container a user means: a full id, a name, or the beginning of one id.
    ///
    /// # Errors
    /// 404 when there is none, 400 when several ids begin so.
    pub fn find(&self, reference: &str) -> Result<Container> {
        if reference.is_empty() {
            return Err(Error::invalid("invalid container name or ID: value is empty"));
        }
        let database = self.database();
        if let Some(container) = records::get(&database, Table::Containers, reference)? {
            return Ok(container);
        }
        let name = reference.strip_prefix('/').unwrap_or(reference);
        if let Some(container) = records::named(&database, Table::Containers, name)? {
            return Ok(container);
        }
        let ids = if reference.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            records::beginning(&database, Table::Containers, reference)?
        } else {
            Vec::new()
        };
        match &ids[..] {
            [] => Err(gone(reference)),
            [id] => records::get(&database, Table::Containers, id)?.ok_or_else(|| gone(reference)),
            _ => {
                Err(Error::invalid(format!("Multiple IDs found with provided prefix: {reference}")))
            }
        }
    }

    /// A container by its full id.
    ///
    /// # Errors
    /// 404 when it is gone.
    pub(crate) fn container(&self, id: &str) -> Result<Container> {
        records::get(&self.database(), Table::Containers, id)?.ok_or_else(|| gone(id))
    }

    /// All containers.
    ///
    /// # Errors
    /// The database fails.
    pub(crate) fn containers(&self) -> Result<Vec<Container>> {
        records::all(&self.database(), Table::Containers)
    }

    /// Writes a container's record back and tells everybody. The caller holds its lock.
    ///
    /// # Errors
    /// The database fails; the container is gone.
    pub(crate) fn save(&self, container: &Container) -> Result<()> {
        records::update(
            &self.database(),
            Table::Containers,
            &container.id,
            &container.name,
            container,
        )?;
        self.changes.mark();
        Ok(())
    }
}
