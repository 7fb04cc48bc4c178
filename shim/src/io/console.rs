//! The terminal of a process: the engine makes it and sends its master to a socket of ours.

use super::open::no_wait;
use crate::error::{At, Error, Result, text};
use crate::sys;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// A socket in the bundle that one master is sent to.
///
/// A bundle's path may be longer than a socket's name can be (unix(7)), so both sides name it
/// through a descriptor of the bundle.
#[derive(Debug)]
pub struct Console {
    listener: UnixListener,
    dir: OwnedFd,
    name: String,
}

impl Console {
    /// Listens on a socket called `name` in `bundle`.
    pub fn listen(bundle: &Path, name: String) -> Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let dir = open(bundle, flags, Mode::empty()).at(|| format!("open {}", bundle.display()))?;
        let path = format!("/proc/self/fd/{}/{name}", dir.as_raw_fd());
        let listener =
            UnixListener::bind(&path).at(|| format!("listen on {name} in the bundle"))?;
        listener.set_nonblocking(true).at(|| "set O_NONBLOCK".to_owned())?;
        Ok(Self { listener, dir, name })
    }

    /// What the engine connects to.
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}/{}", std::process::id(), self.dir.as_raw_fd(), self.name).into()
    }

    /// The master, once the engine has ended: it was sent by then, so nothing is waited for.
    pub fn receive(self) -> Result<OwnedFd> {
        let (socket, _) = self
            .listener
            .accept()
            .map_err(|error| Error::unknown(format!("the engine sent no terminal: {error}")))?;
        let master = sys::receive_descriptor(socket.as_fd())
            .map_err(|errno| Error::unknown(format!("receive the terminal: {}", text(errno))))?;
        no_wait(&master)?;
        Ok(master)
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = fs::remove_file(format!("/proc/self/fd/{}/{}", self.dir.as_raw_fd(), self.name));
    }
}
