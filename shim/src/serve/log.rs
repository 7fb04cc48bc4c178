//! The shim's log: containerd reads it from a fifo in the bundle, and passes it on to its own.

use crate::io::json_log::rfc3339;
use crate::proto::Timestamp;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use std::os::fd::OwnedFd;

/// Where lines go, if anywhere.
#[derive(Debug)]
pub struct Log {
    fifo: Option<OwnedFd>,
    debug: bool,
}

impl Log {
    /// Opens the fifo `log` in the working directory, which is the bundle.
    pub fn open(debug: bool) -> Self {
        let flags = OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        // Without a reader there is nobody to tell.
        Self { fifo: open("log", flags, Mode::empty()).ok(), debug }
    }

    /// Something went wrong that no answer tells.
    pub fn warn(&self, message: &str) {
        self.line("warning", message);
    }

    /// Something that helps to find out what went on.
    pub fn debug(&self, message: &str) {
        if self.debug {
            self.line("debug", message);
        }
    }

    fn line(&self, level: &str, message: &str) {
        let Some(fifo) = &self.fifo else { return };
        let line = format!(
            "time=\"{}\" level={level} msg={message:?} runtime={}\n",
            rfc3339(Timestamp::now()),
            crate::info::NAME
        );
        // A full or closed fifo loses a line: the log is never waited for.
        let _ = nix::unistd::write(fifo, line.as_bytes());
    }
}
