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
    /// Makes the lock file of a new container.
    ///
    /// # Errors
    /// The disk fails.
    pub(super) fn make_lock(&self, id: &str) -> Result<()> {
        let path = self.config.container_dir(id).join("lock");
        let made =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        made.map(drop).at(|| format!("make {}", path.display()))
    }

    /// The lock of a container whose directory is gone: for its removal.
    ///
    /// # Errors
    /// 404 when the record is gone too; the disk fails.
    pub(super) fn restore_lock(&self, id: &str) -> Result<Lock> {
        let directory = self.config.container_dir(id);
        std::fs::create_dir_all(&directory).at(|| format!("mkdir {}", directory.display()))?;
        self.make_lock(id)?;
        let lock = self.lock(id)?;
        match self.container(id) {
            Err(error) if error.status == 404 => {
                // Another one's removal was just not over.
                drop(std::fs::remove_dir_all(&directory));
                Err(error)
            }
            other => other.map(|_| lock),
        }
    }

    /// Waits for a container's lock.
    ///
    /// # Errors
    /// 404 when the container is gone.
    pub(crate) fn lock(&self, id: &str) -> Result<Lock> {
        let path = self.config.container_dir(id).join("lock");
        // It is made with the container: made here, it would appear in what is being removed.
        let file =
            OpenOptions::new().write(true).open(&path).map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => gone(id),
                _ => Error::internal(format!("open {}: {error}", path.display())),
            })?;
        let file = Flock::lock(file, FlockArg::LockExclusive)
            .map_err(|(_, errno)| errno)
            .at(|| format!("lock {}", path.display()))?;
        Ok(Lock { _file: file })
    }

    /// Whether a container's lock file is there and nobody holds it.
    pub(super) fn lock_is_free(&self, id: &str) -> bool {
        let path = self.config.container_dir(id).join("lock");
        let file = OpenOptions::new().write(true).open(path);
        file.is_ok_and(|file| Flock::lock(file, FlockArg::LockExclusiveNonblock).is_ok())
    }
}

/// What a container that isn't there answers.
pub fn gone(reference: &str) -> Error {
    Error::not_found(format!("No such container: {reference}"))
}
