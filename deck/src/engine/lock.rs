//! One lock file a container: whoever changes it holds it, in whatever process.

use super::Engine;
use crate::error::{At, Error, Result};
use nix::fcntl::{Flock, FlockArg};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;

/// A held lock; dropping it, or dying, lets go.
pub struct Lock {
    _file: Flock<File>,
}

impl Engine {
    /// Waits for a container's lock.
    ///
    /// # Errors
    /// 404 when the container is gone.
    pub(crate) fn lock(&self, id: &str) -> Result<Lock> {
        let path = self.config.container_dir(id).join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => gone(id),
                _ => Error::internal(format!("open {}: {error}", path.display())),
            })?;
        let file = Flock::lock(file, FlockArg::LockExclusive)
            .map_err(|(_, errno)| errno)
            .at(|| format!("lock {}", path.display()))?;
        Ok(Lock { _file: file })
    }
}

/// What a container that isn't there answers.
pub fn gone(reference: &str) -> Error {
    Error::not_found(format!("No such container: {reference}"))
}
