//! Locks between processes: flock on files that go away with the last holder.
//!
//! The kernel lets go of them when a process dies, however it dies.

use crate::error::{At, Result};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::fs::File;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Between two tries. A blocking flock can't be cancelled with the future that waits for it.
const RETRY: Duration = Duration::from_millis(20);

/// A held lock.
pub struct Lock {
    _file: Flock<File>,
    /// The file to remove: exclusive locks of single blobs and layers.
    path: Option<PathBuf>,
}

impl Lock {
    /// Shared; waits for an exclusive holder, which is brief (a sweep).
    pub fn shared(path: &Path) -> Result<Self> {
        let file = Flock::lock(open(path)?, FlockArg::LockShared)
            .map_err(|(_, errno)| errno)
            .at(|| format!("lock {}", path.display()))?;
        Ok(Self { _file: file, path: None })
    }

    /// Exclusive, or `None` when somebody holds it.
    pub fn try_exclusive(path: &Path) -> Result<Option<Self>> {
        loop {
            let file = match Flock::lock(open(path)?, FlockArg::LockExclusiveNonblock) {
                Ok(file) => file,
                Err((_, Errno::EWOULDBLOCK)) => return Ok(None),
                Err((_, errno)) => return Err(errno).at(|| format!("lock {}", path.display())),
            };
            // The holder before us may have removed the file we locked.
            let held = file.metadata()?;
            match std::fs::symlink_metadata(path) {
                Ok(now) if now.ino() == held.ino() => {
                    let keep = path.file_name().is_some_and(|name| name == "store");
                    let path = (!keep).then(|| path.to_owned());
                    return Ok(Some(Self { _file: file, path }));
                }
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).at(|| format!("lock {}", path.display())),
            }
        }
    }

    /// Waits for what `attempt` tries, telling the first failure by `busy`.
    pub async fn wait(
        mut attempt: impl FnMut() -> Result<Option<Self>>,
        busy: impl FnOnce(),
    ) -> Result<Self> {
        if let Some(lock) = attempt()? {
            return Ok(lock);
        }
        busy();
        loop {
            tokio::time::sleep(RETRY).await;
            if let Some(lock) = attempt()? {
                return Ok(lock);
            }
        }
    }

    /// As [`Self::wait`], on a blocking thread.
    pub fn wait_blocking(mut attempt: impl FnMut() -> Result<Option<Self>>) -> Result<Self> {
        loop {
            if let Some(lock) = attempt()? {
                return Ok(lock);
            }
            std::thread::sleep(RETRY);
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // Still held: who opened it meanwhile sees another inode, or none, and tries again.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn open(path: &Path) -> Result<File> {
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .at(|| format!("open {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time_and_no_file_after() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("layer-x");
        let first = Lock::try_exclusive(&path).unwrap();
        assert!(first.is_some());
        assert!(Lock::try_exclusive(&path).unwrap().is_none());
        drop(first);
        assert!(!path.exists());
        assert!(Lock::try_exclusive(&path).unwrap().is_some());
    }

    #[test]
    fn sharers_keep_the_sweep_away() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        let (one, two) = (Lock::shared(&path).unwrap(), Lock::shared(&path).unwrap());
        assert!(Lock::try_exclusive(&path).unwrap().is_none());
        drop(one);
        assert!(Lock::try_exclusive(&path).unwrap().is_none());
        drop(two);
        assert!(Lock::try_exclusive(&path).unwrap().is_some());
        assert!(path.exists());
    }
}
