//! `run` and `exec` in the foreground: passing signals, terminal and output on until the process
//! ends.
//!
//! One thread and one poll(2): signals arrive by signalfd(2), the end of the process by its
//! pidfd, everything else by the descriptors it concerns.

use crate::console::HostTerminal;
use crate::error::{At, Result};
use crate::notify_socket::NotifySocket;
use crate::sys::{child, tty};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc::{self, pid_t};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{Gid, Uid, fchown, pipe2};
use relay::{Copy, Ended};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

mod relay;

/// All signals, blocked and readable.
///
/// To be made before the process is cloned: a SIGCHLD between the clone and a later block would
/// be lost. Dropping it restores the mask.
#[derive(Debug)]
pub struct Signals {
    fd: SignalFd,
    saved: SigSet,
}

impl Signals {
    /// Blocks every signal of the calling process.
    pub fn block() -> Result<Self> {
        let all = SigSet::all();
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let fd = SignalFd::with_flags(&all, flags).at(|| "signalfd")?;
        let saved = all.thread_swap_mask(SigmaskHow::SIG_SETMASK).at(|| "sigprocmask")?;
        Ok(Self { fd, saved })
    }

    /// Restores the mask the caller had: for the cloned child, which inherits the blocked one.
    pub fn restore(&self) -> Result<()> {
        self.saved.thread_set_mask().at(|| "sigprocmask")
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // Cannot fail: the mask came from the kernel.
        let _ = self.restore();
    }
}

/// What becomes of the process' input and output.
#[derive(Debug)]
pub enum Io {
    /// It has the caller's own.
    Inherited,
    /// It has pipes, made by [`pipes`]; these are the other ends.
    Pipes {
        /// Written to.
        stdin: OwnedFd,
        /// Read from.
        stdout: OwnedFd,
        /// Read from.
        stderr: OwnedFd,
    },
    /// It has a terminal of its own, whose keyboard and screen are the caller's.
    Terminal {
        /// The caller's terminal.
        host: HostTerminal,
        /// The container's.
        master: OwnedFd,
    },
}

/// Makes the three pipes: the runtime's ends, and stdin, stdout and stderr for the process.
///
/// They belong to root of the container, so that init, which may be in a user namespace, can pass
/// them on to the process' user.
pub fn pipes(uid: u32, gid: u32) -> Result<(Io, [OwnedFd; 3])> {
    let pipe = || -> Result<(OwnedFd, OwnedFd)> {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC).at(|| "pipe2")?;
        // Both ends are one inode.
        fchown(&reader, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
            .at(|| format!("fchown(pipe, {uid}, {gid})"))?;
        Ok((reader, writer))
    };
    let (their_stdin, stdin) = pipe()?;
    let (stdout, their_stdout) = pipe()?;
    let (stderr, their_stderr) = pipe()?;
    Ok((Io::Pipes { stdin, stdout, stderr }, [their_stdin, their_stdout, their_stderr]))
}

/// The process in the foreground, a child of this one that nobody has waited for.
#[derive(Debug, Clone, Copy)]
pub struct Foreground<'a> {
    /// Its pid.
    pub pid: pid_t,
    /// Its pidfd.
    pub pidfd: BorrowedFd<'a>,
}

/// Attends the process until it ends, and returns its exit status: 128+n for signal n.
///
/// Orphans that become children of this process meanwhile (a subreaper's) are reaped. When the
/// process has said that it is ready, `notify` is told, with this process as the one to watch.
pub fn attend(
    process: Foreground<'_>,
    signals: &Signals,
    io: Io,
    notify: Option<NotifySocket>,
) -> Result<i32> {
    let mut attendant = Attendant { process, signals, copies: Vec::new(), screen: None, notify };
    attendant.connect(io)?;
    attendant.resize();
    while !attendant.turn()? {}
    attendant.drain()?;
    Ok(child::wait(process.pidfd).at(|| "waitid(P_PIDFD)")?.code())
}

struct Attendant<'a> {
    process: Foreground<'a>,
    signals: &'a Signals,
    copies: Vec<Copy>,
    screen: Option<Screen>,
    notify: Option<NotifySocket>,
}

/// A terminal shown on another one.
struct Screen {
    host: HostTerminal,
    master: Rc<OwnedFd>,
}

impl Attendant<'_> {
    fn connect(&mut self, io: Io) -> Result<()> {
        let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
        match io {
            Io::Inherited => {}
            Io::Pipes { stdin: to, stdout: out, stderr: err } => {
                for fd in [&to, &out, &err] {
                    set_nonblocking(fd)?;
                }
                let keyboard = stdin.as_fd().try_clone_to_owned().at(|| "dup(0)")?;
                self.copies = vec![
                    Copy::input(keyboard.into(), to.into()),
                    Copy::output(out.into(), stdout.as_fd())?,
                    Copy::output(err.into(), stderr.as_fd())?,
                ];
            }
            Io::Terminal { mut host, master } => {
                set_nonblocking(&master)?;
                let master = Rc::new(master);
                let keyboard = stdin.as_fd().try_clone_to_owned().at(|| "dup(0)")?;
                self.copies = vec![
                    Copy::input(keyboard.into(), Rc::clone(&master)),
                    Copy::output(Rc::clone(&master), stdout.as_fd())?,
                ];
                host.make_raw()?;
                self.screen = Some(Screen { host, master });
            }
        }
        Ok(())
    }

    /// Waits for something and deals with it; true when the process has ended.
    fn turn(&mut self) -> Result<bool> {
        let [signals, ended, notify, copies @ ..] = self.poll()?;
        if signals {
            self.pass_signals();
        }
        if notify {
            self.pass_ready()?;
        }
        let mut hang_up = false;
        for (copy, ready) in self.copies.iter_mut().zip(copies) {
            let gone = ready && copy.step() == Some(Ended::Sink);
            hang_up |= gone && copy.is_output() && self.screen.is_some();
        }
        if hang_up {
            // Nobody sees the screen any more: to the process as when a terminal window is
            // closed. (The end of the *source* is no reason: a process that has closed its
            // terminal without ending would be killed by the SIGHUP.)
            self.copies.clear();
            self.screen = None;
        }
        Ok(ended)
    }

    /// Which of signals, process, notify socket and copies want attention.
    fn poll(&self) -> Result<[bool; 6]> {
        let nothing = || (self.signals.fd.as_fd(), PollFlags::empty());
        let read = |fd| (fd, PollFlags::POLLIN);
        let copy = |n: usize| self.copies.get(n).and_then(Copy::interest).unwrap_or_else(nothing);
        let notify = self.notify.as_ref().map(NotifySocket::fd);
        let wanted = [
            read(self.signals.fd.as_fd()),
            read(self.process.pidfd),
            notify.map_or_else(nothing, read),
            copy(0),
            copy(1),
            copy(2),
        ];
        let mut fds = wanted.map(|(fd, events)| PollFd::new(fd, events));
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).at(|| "poll"),
        }
        Ok(fds.map(|fd| fd.any().unwrap_or(false)))
    }

    /// Passes signals on to the process; true when one of them may mean "stop now".
    fn pass_signals(&self) -> bool {
        let mut passed = false;
        while let Ok(Some(signal)) = self.signals.fd.read_signal() {
            let number = i32::try_from(signal.ssi_signo).unwrap_or_default();
            match number {
                libc::SIGCHLD => self.reap_orphans(),
                libc::SIGWINCH => self.resize(),
                // Out-of-band data on a socket of ours: not for the process.
                libc::SIGURG => {}
                // Our own write to a reader that has gone, reported by EPIPE as well.
                libc::SIGPIPE if signal.ssi_pid == std::process::id() => {}
                _ => {
                    passed = true;
                    // Fails when the process has ended, or has become another user's.
                    let _ = child::signal(self.process.pidfd, number);
                }
            }
        }
        passed
    }

    /// Reaps every child that has ended but the process itself, whose status is for the end.
    fn reap_orphans(&self) {
        while let Ok(Some(pid)) = child::peek() {
            if pid == self.process.pid || child::reap(pid).is_err() {
                break;
            }
        }
    }

    /// Gives the container's terminal the size of the caller's.
    fn resize(&self) {
        if let Some(screen) = &self.screen {
            // A terminal that has hung up has no size.
            if let Ok(size) = screen.host.size() {
                let _ = tty::set_size(screen.master.as_fd(), size);
            }
        }
    }

    fn pass_ready(&mut self) -> Result<()> {
        if let Some(notify) = &self.notify
            && notify.receive()?
        {
            notify.tell_ready(std::process::id())?;
            self.notify = None;
        }
        Ok(())
    }

    /// Writes out what the process had written when it ended, until that is done or a signal
    /// says that nobody wants to wait for a slow reader.
    fn drain(&mut self) -> Result<()> {
        self.copies.retain(Copy::is_output);
        loop {
            self.copies.retain_mut(|copy| !copy.drain());
            if self.copies.is_empty() {
                return Ok(());
            }
            // What is left waits for its sink.
            let mut fds = vec![PollFd::new(self.signals.fd.as_fd(), PollFlags::POLLIN)];
            let waiting = self.copies.iter().filter_map(Copy::interest);
            fds.extend(waiting.map(|(fd, events)| PollFd::new(fd, events)));
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno).at(|| "poll"),
            }
            if self.pass_signals() {
                return Ok(());
            }
        }
    }
}

fn set_nonblocking(fd: &OwnedFd) -> Result<()> {
    fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map(drop).at(|| "fcntl(F_SETFL)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_is_restored() {
        let before = SigSet::thread_get_mask().unwrap();
        let signals = Signals::block().unwrap();
        assert!(SigSet::thread_get_mask().unwrap().contains(nix::sys::signal::SIGCHLD));
        signals.restore().unwrap();
        assert_eq!(SigSet::thread_get_mask().unwrap(), before);
        let again = Signals::block().unwrap();
        drop(again);
        assert_eq!(SigSet::thread_get_mask().unwrap(), before);
    }
}
