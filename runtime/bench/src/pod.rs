//! Namespaces for a container to join, as those of a pod.

use nix::libc;
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{ForkResult, Pid, fork, pause, pipe, read, write};
use serde_json::{Value, json};
use std::io;

/// A process that keeps network, IPC and UTS namespaces alive.
pub struct Pod(Pid);

impl Pod {
    /// Starts it. To be called while this process has one thread.
    ///
    /// # Errors
    /// fork(2), or unshare(2) in the new process.
    pub fn start() -> io::Result<Self> {
        let (ready, tell) = pipe()?;
        // SAFETY: one thread; the child only makes system calls.
        #[allow(unsafe_code, reason = "fork(2)")]
        match unsafe { fork() }? {
            ForkResult::Child => {
                let flags =
                    CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS;
                let answer = [u8::from(unshare(flags).is_ok())];
                // A benchmark that is killed takes its pod along.
                let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
                let _ = write(&tell, &answer);
                loop {
                    pause();
                }
            }
            ForkResult::Parent { child } => {
                let pod = Self(child);
                let mut answer = [0];
                read(&ready, &mut answer)?;
                if answer == [1] { Ok(pod) } else { Err(io::Error::last_os_error()) }
            }
        }
    }

    /// The namespaces, as config.json names them.
    pub fn namespaces(&self) -> [Value; 3] {
        [("network", "net"), ("ipc", "ipc"), ("uts", "uts")].map(
            |(kind, name)| json!({"type": kind, "path": format!("/proc/{}/ns/{name}", self.0)}),
        )
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGKILL);
        let _ = crate::measure::wait(self.0.as_raw() as libc::pid_t);
    }
}
