//! Who attaches before a container runs: the start hands them their connection to the shim between
//! the container's creation and its first instruction, so that nothing of its output is missed.

use super::Engine;
use std::collections::HashMap;
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
            if let Ok(stream) = UnixStream::connect(socket) {
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
        UnixStream::connect(&socket).at(|| format!("connect to {}", socket.display()))
    }
}
