//! Hooks (config.md "POSIX-platform Hooks", runtime.md "Lifecycle").
//!
//! Runs as: the runtime for prestart, createRuntime, poststart and poststop; init for
//! createContainer and startContainer. Both have one thread, so starting a process is safe in
//! either. A hook is a program of the host's administrator or, for startContainer, of the image:
//! whatever it does, it cannot block the runtime beyond its timeout, fill its memory or leave it
//! waiting for pipes that a background child keeps open.

use crate::error::{At, Error, Kind, Result};
use crate::spec::Hook;
use crate::sys::child;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc::pid_t;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::Signal;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How much of each output stream is kept, from its end, for the error message.
const KEPT: usize = 64 * 1024;

/// The environment of a hook whose configuration has none.
#[derive(Debug, Clone, Copy)]
pub enum DefaultEnv<'a> {
    /// That of this process: what Go's os/exec does for the hooks of the runtime.
    Inherit,
    /// Exactly these variables: startContainer hooks get those of the container's process.
    Exactly(&'a [String]),
}

/// Runs the hooks of one point in the lifecycle in order, up to the first that fails.
///
/// `name` is the point's name in config.json, `state` the container's state as JSON.
///
/// # Errors
/// `Kind::Hook`: it could not be started, failed, or ran past its timeout.
pub fn run(hooks: &[Hook], name: &str, state: &[u8], default_env: DefaultEnv<'_>) -> Result<()> {
    for (n, hook) in hooks.iter().enumerate() {
        run_one(hook, state, default_env).map_err(|error| {
            Error::new(Kind::Hook, format!("error running {name} hook #{n}: {error}"))
        })?;
    }
    Ok(())
}

fn run_one(hook: &Hook, state: &[u8], default_env: DefaultEnv<'_>) -> Result<()> {
    let deadline = deadline(hook)?;
    let mut program = command(hook, state, default_env)?;
    let mut process = program.spawn().at(|| format!("exec {:?}", hook.path))?;
    let watched = watch(&mut process, deadline);
    if !matches!(watched, Ok(Outcome::Ended(..))) {
        // Fails only for a process that has been waited for, which this one has not.
        let _ = process.kill();
    }
    let exit = process.wait().at(|| "wait")?;
    let (stdout, stderr) = match watched? {
        Outcome::Ended(stdout, stderr) => (stdout, stderr),
        Outcome::TimedOut => {
            let seconds = hook.timeout.unwrap_or_default();
            let text = format!("hook ran past specified timeout of {seconds}.0s");
            return Err(Error::new(Kind::Hook, text));
        }
    };
    let how = match (exit.code(), exit.signal()) {
        (Some(0), _) => return Ok(()),
        (Some(status), _) => format!("exit status {status}"),
        (None, signal) => {
            let signal = signal.unwrap_or_default();
            format!("signal: {}", signal_text(signal))
        }
    };
    let text = format!("{how}, stdout: {}, stderr: {}", stdout.text(), stderr.text());
    Err(Error::new(Kind::Hook, text))
}

/// As Go's programs name signals, which readers of such errors know.
fn signal_text(signal: i32) -> String {
    let text = match Signal::try_from(signal) {
        Ok(Signal::SIGHUP) => "hangup",
        Ok(Signal::SIGINT) => "interrupt",
        Ok(Signal::SIGQUIT) => "quit",
        Ok(Signal::SIGILL) => "illegal instruction",
        Ok(Signal::SIGABRT) => "aborted",
        Ok(Signal::SIGBUS) => "bus error",
        Ok(Signal::SIGFPE) => "floating point exception",
        Ok(Signal::SIGKILL) => "killed",
        Ok(Signal::SIGSEGV) => "segmentation fault",
        Ok(Signal::SIGPIPE) => "broken pipe",
        Ok(Signal::SIGALRM) => "alarm clock",
        Ok(Signal::SIGTERM) => "terminated",
        Ok(Signal::SIGSYS) => "bad system call",
        Ok(other) => other.as_str(),
        Err(_) => return signal.to_string(),
    };
    text.to_owned()
}

/// When the hook is to be killed.
fn deadline(hook: &Hook) -> Result<Option<Instant>> {
    let Some(timeout) = hook.timeout else { return Ok(None) };
    // config.md: "If set, timeout MUST be greater than zero."
    let seconds = u64::try_from(timeout).ok().filter(|seconds| *seconds > 0);
    let seconds = seconds.ok_or_else(|| {
        Error::config(format!("timeout must be greater than zero, not {timeout}"))
    })?;
    // Beyond what the clock can tell is as good as never.
    Ok(Instant::now().checked_add(Duration::from_secs(seconds)))
}

/// The hook as a command. std resets SIGPIPE, which it ignores itself; all other descriptors of
/// this process are close-on-exec.
fn command(hook: &Hook, state: &[u8], default_env: DefaultEnv<'_>) -> Result<Command> {
    let mut command = Command::new(&hook.path);
    if let Some((first, rest)) = hook.args.split_first() {
        command.arg0(first).args(rest);
    }
    let env = match (&hook.env, default_env) {
        (Some(env), _) => Some(env.as_slice()),
        (None, DefaultEnv::Exactly(env)) => Some(env),
        (None, DefaultEnv::Inherit) => None,
    };
    if let Some(env) = env {
        command.env_clear();
        for variable in env {
            match variable.split_once('=') {
                Some((name, value)) if !name.is_empty() => command.env(name, value),
                _ => return Err(Error::config(format!("env {variable:?} is not NAME=value"))),
            };
        }
    }
    command.stdin(stdin(state)?).stdout(Stdio::piped()).stderr(Stdio::piped());
    child::unblock_signals(&mut command);
    Ok(command)
}

/// The state as a file in memory: unlike a pipe it needs nobody to feed it while the hook runs,
/// and a hook that does not read it makes no difference.
fn stdin(state: &[u8]) -> Result<File> {
    // MFD_NOEXEC_SEAL (Linux 6.3), required where sysctl vm.memfd_noexec is 2.
    let no_exec = MFdFlags::from_bits_retain(8);
    let flags = MFdFlags::MFD_CLOEXEC;
    let fd = memfd_create(c"state", flags | no_exec)
        .or_else(|errno| match errno {
            Errno::EINVAL => memfd_create(c"state", flags),
            other => Err(other),
        })
        .at(|| "memfd_create")?;
    let mut file = File::from(fd);
    file.write_all(state).and_then(|()| file.rewind()).at(|| "write the state")?;
    Ok(file)
}

enum Outcome {
    /// The hook has ended (and is a zombie); its stdout and stderr.
    Ended(Tail, Tail),
    TimedOut,
}

/// Reads the hook's output until it ends or the deadline passes.
///
/// The end of the hook counts, not that of its pipes: a background child may keep those open for
/// as long as it likes.
fn watch(child: &mut Child, deadline: Option<Instant>) -> Result<Outcome> {
    let pid = pid_t::try_from(child.id()).map_err(|_| Errno::ESRCH)?;
    let pidfd = child::open(pid).at(|| format!("pidfd_open({pid})"))?;
    let mut stdout = Stream::new(child.stdout.take().map(OwnedFd::from))?;
    let mut stderr = Stream::new(child.stderr.take().map(OwnedFd::from))?;
    loop {
        let timeout = match deadline {
            None => PollTimeout::NONE,
            Some(deadline) => match deadline.checked_duration_since(Instant::now()) {
                // Rounded up, or the last millisecond would be spent in a busy loop.
                Some(left) if !left.is_zero() => {
                    PollTimeout::try_from(left + Duration::from_millis(1))
                        .unwrap_or(PollTimeout::MAX)
                }
                _ => return Ok(Outcome::TimedOut),
            },
        };
        let ended = {
            let mut fds = vec![PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
            let pipes = [stdout.fd(), stderr.fd()].into_iter().flatten();
            fds.extend(pipes.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
            match poll(&mut fds, timeout) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno).at(|| "poll"),
            }
            fds.first().and_then(PollFd::any).unwrap_or(false)
        };
        // Asked before reading, so whatever the hook wrote is in the pipes by now.
        stdout.read()?;
        stderr.read()?;
        if ended {
            return Ok(Outcome::Ended(stdout.tail, stderr.tail));
        }
    }
}

/// One output pipe.
struct Stream {
    file: Option<File>,
    tail: Tail,
}

impl Stream {
    fn new(fd: Option<OwnedFd>) -> Result<Self> {
        if let Some(fd) = &fd {
            fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).at(|| "fcntl(F_SETFL)")?;
        }
        Ok(Self { file: fd.map(File::from), tail: Tail::default() })
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_ref().map(AsFd::as_fd)
    }

    /// Takes what is there, at most one pipe's worth, so that a hook (or its background child)
    /// that writes without end cannot keep the runtime here.
    fn read(&mut self) -> Result<()> {
        const PIPE_CAPACITY: usize = 64 * 1024;
        let mut chunk = [0; 4096];
        for _ in 0..PIPE_CAPACITY / chunk.len() {
            let Some(file) = &mut self.file else { break };
            match file.read(&mut chunk) {
                Ok(0) => self.file = None,
                Ok(length) => self.tail.push(chunk.get(..length).unwrap_or_default()),
                Err(error) => match error.kind() {
                    std::io::ErrorKind::WouldBlock => break,
                    std::io::ErrorKind::Interrupted => {}
                    _ => return Err(error).at(|| "read the hook's output"),
                },
            }
        }
        Ok(())
    }
}

/// The last [`KEPT`] bytes of a stream.
#[derive(Default)]
struct Tail(Vec<u8>);

impl Tail {
    fn push(&mut self, data: &[u8]) {
        self.0.extend_from_slice(data);
        // Cut at twice the length, so that each byte is moved at most once.
        if self.0.len() >= 2 * KEPT {
            self.0.drain(..self.0.len() - KEPT);
        }
    }

    fn text(&self) -> String {
        let start = self.0.len().saturating_sub(KEPT);
        String::from_utf8_lossy(self.0.get(start..).unwrap_or_default()).into_owned()
    }
}

#[cfg(test)]
#[path = "hooks_tests.rs"]
mod tests;
