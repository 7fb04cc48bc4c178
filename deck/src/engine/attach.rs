//! Who attaches before a container runs: the start hands them their connection to the shim between
//! the container's creation and its first instruction, so that nothing of its output is missed.

use super::Engine;
use std::collections::HashMap;
use std::fs::OpenOptions;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot::{Receiver, Sender, channel};

/// Those who wait, by container.
#[derive(Default)]
pub struct Waiting(Mutex<HashMap<String, Vec<Sender<UnixStream>>>>);

impl Waiting {
    fn map(&self) -> MutexGuard<'_, HashMap<String, Vec<Sender<UnixStream>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// Waits for a container's next start in this process.
    pub fn await_start(&self, id: &str) -> Receiver<UnixStream> {
        let (sender, receiver) = channel();
        let mut map = self.waiting.map();
        let list = map.entry(id.into()).or_default();
        list.retain(|sender| !sender.is_closed());
        list.push(sender);
        receiver
    }

    /// Gives all who wait for a container their connection.
    pub(super) fn hand_over(&self, id: &str, socket: &Path) {
        let waiting = self.waiting.map().remove(id).unwrap_or_default();
        for sender in waiting {
            if let Ok(stream) = reach(socket) {
                // One that went away meanwhile needs nothing.
                drop(sender.send(stream));
            }
        }
    }

    /// Connects to a living container's streams.
    ///
    /// # Errors
    /// 409 when it doesn't run.
    pub fn connect(&self, reference: &str) -> crate::error::Result<UnixStream> {
        use crate::error::At;
        let container = self.alive(reference)?;
        let socket = self.attach_socket(&container.id);
        reach(&socket).at(|| format!("connect to {}", socket.display()))
    }
}

/// Connects to a socket whose path may be longer than a socket's name can be (unix(7)).
pub(super) fn reach(socket: &Path) -> std::io::Result<UnixStream> {
    let (Some(directory), Some(name)) = (socket.parent(), socket.file_name()) else {
        return Err(std::io::ErrorKind::InvalidInput.into());
    };
    let directory = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_DIRECTORY)
        .open(directory)?;
    let short = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string());
    UnixStream::connect(short.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_long_path_is_reached() {
        let root = tempfile::tempdir().unwrap();
        let long = root.path().join("d".repeat(120));
        std::fs::create_dir(&long).unwrap();
        let _listener = UnixListener::bind(root.path().join("s")).unwrap();
        std::fs::rename(root.path().join("s"), long.join("s")).unwrap();
        assert!(UnixStream::connect(long.join("s")).is_err());
        reach(&long.join("s")).unwrap();
        assert!(reach(&long.join("none")).is_err());
    }
}
