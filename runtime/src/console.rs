//! Terminals: the container's pty and the caller's own terminal.
//!
//! [`allocate`] and [`Pty`] are used by init, in the container, after its mounts; the rest by the
//! runtime.

use crate::error::{At, Error, Kind, Result};
use crate::sys::tty::{self, Size};
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr,
    connect, recvmsg, sendmsg, socket,
};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};
use nix::sys::statfs::{DEVPTS_SUPER_MAGIC, fstatfs};
use nix::sys::termios::{OutputFlags, SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use nix::unistd::{Uid, dup2_stderr, dup2_stdin, dup2_stdout, fchown};
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

/// A pty of the container's own devpts.
#[derive(Debug)]
pub struct Pty {
    /// The side of whoever attends the terminal.
    pub master: OwnedFd,
    /// The side of the container.
    pub peer: OwnedFd,
    /// The peer's path in the container, `/dev/pts/N`: a name for people, never to be opened.
    pub name: String,
}

/// Makes a pty in the devpts at `/dev/pts` of the container whose root is `root`.
///
/// Nothing on the way is trusted (CVE-2025-52565 and its kin): no symbolic link is followed, the
/// directory must be devpts, and the peer comes from the master, not from a path. In a devpts the
/// name `ptmx` is the kernel's own and nobody can replace it; a mount on top is not crossed.
pub fn allocate(root: BorrowedFd<'_>) -> Result<Pty> {
    let open_at = |dir: BorrowedFd<'_>, path: &str, flags, resolve| {
        let resolve = resolve | ResolveFlag::RESOLVE_NO_SYMLINKS;
        let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(resolve);
        loop {
            // EAGAIN: a rename or mount elsewhere raced with the lookup (openat2(2)).
            match openat2(dir, path, how) {
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                other => return other.at(|| format!("openat2({path:?})")),
            }
        }
    };
    let devpts =
        open_at(root, "dev/pts", OFlag::O_PATH | OFlag::O_DIRECTORY, ResolveFlag::RESOLVE_IN_ROOT)
            .at(|| "allocating a terminal")?;
    if fstatfs(&devpts).at(|| "fstatfs(\"dev/pts\")")?.filesystem_type() != DEVPTS_SUPER_MAGIC {
        return Err(Error::config("allocating a terminal: /dev/pts is not a devpts mount"));
    }
    let beneath = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_XDEV;
    let master = open_at(devpts.as_fd(), "ptmx", OFlag::O_RDWR | OFlag::O_NOCTTY, beneath)
        .at(|| "allocating a terminal")?;
    tty::unlock(master.as_fd()).at(|| "ioctl(TIOCSPTLCK)")?;
    let number = tty::number(master.as_fd()).at(|| "ioctl(TIOCGPTN)")?;
    let peer = tty::peer(master.as_fd()).at(|| "ioctl(TIOCGPTPEER)")?;
    Ok(Pty { master, peer, name: format!("/dev/pts/{number}") })
}

impl Pty {
    /// Sets the terminal's size.
    pub fn resize(&self, size: Size) -> Result<()> {
        tty::set_size(self.master.as_fd(), size).at(|| "ioctl(TIOCSWINSZ)")
    }

    /// Gives the peer to the user the process will run as, so that it may open its own terminal
    /// by name. The group is what devpts' `gid=` option chose.
    pub fn give_to(&self, uid: u32) -> Result<()> {
        give(self.peer.as_fd(), uid)
    }
}

/// Who gets the master of a container's terminal.
#[derive(Debug)]
pub struct Receiver {
    /// Where it is sent to.
    pub socket: OwnedFd,
    /// The runtime itself shows it on the caller's terminal: see [`clear_onlcr`].
    pub shown: bool,
}

/// Makes `terminal` stdin, stdout, stderr and the controlling terminal of this session leader.
pub fn make_controlling(terminal: BorrowedFd<'_>) -> Result<()> {
    tty::set_controlling(terminal).at(|| "ioctl(TIOCSCTTY)")?;
    dup2_stdin(terminal)
        .and_then(|()| dup2_stdout(terminal))
        .and_then(|()| dup2_stderr(terminal))
        .at(|| "dup2 the terminal")
}

/// Gives stdin, stdout and stderr to the user the process will run as, so that it may open
/// `/dev/stdout` again.
///
/// Pipes, sockets and files only: a device belongs to the host (its /dev/null, the terminal of
/// the caller), and the container's own pty has been given away with [`Pty::give_to`].
pub fn give_stdio(uid: u32) -> Result<()> {
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    for fd in [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()] {
        let stat = fstat(fd).at(|| format!("fstat({})", fd.as_raw_fd()))?;
        if stat.st_uid != uid && !is_device(&stat) {
            give(fd, uid)?;
        }
    }
    Ok(())
}

fn is_device(stat: &FileStat) -> bool {
    let kind = stat.st_mode & SFlag::S_IFMT.bits();
    kind == SFlag::S_IFCHR.bits() || kind == SFlag::S_IFBLK.bits()
}

/// fchown(2), where what cannot be given away stays: the owner is not mapped in the container's
/// user namespace (EPERM), or the file system is read-only.
fn give(fd: BorrowedFd<'_>, uid: u32) -> Result<()> {
    match fchown(fd, Some(Uid::from_raw(uid)), None) {
        Ok(()) | Err(Errno::EPERM | Errno::EROFS) => Ok(()),
        Err(errno) => Err(errno).at(|| format!("fchown({}, {uid})", fd.as_raw_fd())),
    }
}

/// Stops a pty from turning `\n` into `\r\n`: for a terminal whose output goes through another
/// one, ours, which does so itself.
pub fn clear_onlcr(terminal: BorrowedFd<'_>) -> Result<()> {
    let mut mode = tcgetattr(terminal).at(|| "tcgetattr")?;
    mode.output_flags.remove(OutputFlags::ONLCR);
    tcsetattr(terminal, SetArg::TCSANOW, &mode).at(|| "tcsetattr")
}

/// Connects to the stream socket at `path` (`--console-socket`, `--pidfd-socket`).
pub fn connect_socket(path: &Path) -> Result<OwnedFd> {
    let at = || format!("connect({})", path.display());
    let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)
        .at(|| "socket(AF_UNIX)")?;
    let direct = UnixAddr::new(path);
    if let Ok(address) = direct {
        connect(socket.as_raw_fd(), &address).at(at)?;
        return Ok(socket);
    }
    // Longer than sun_path (108 bytes): through its directory's descriptor.
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Errno::EINVAL).at(at);
    };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let directory =
        open(parent, flags, Mode::empty()).at(|| format!("open({})", parent.display()))?;
    let short = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name);
    let address = UnixAddr::new(&short).at(at)?;
    connect(socket.as_raw_fd(), &address).at(at)?;
    Ok(socket)
}

/// Sends one descriptor with some bytes of data over a unix socket.
///
/// The data are the terminal's name for a pty master; `standard` or `setns` for the pidfd of an
/// init or of an exec'd process.
pub fn send_fd(socket: BorrowedFd<'_>, fd: BorrowedFd<'_>, data: &[u8]) -> Result<()> {
    let fds = [fd.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&fds)];
    let data = [IoSlice::new(data)];
    loop {
        match sendmsg::<()>(socket.as_raw_fd(), &data, &rights, MsgFlags::MSG_NOSIGNAL, None) {
            Err(Errno::EINTR) => {}
            other => return other.map(drop).at(|| "sendmsg(SCM_RIGHTS)"),
        }
    }
}

/// Receives one descriptor.
pub fn receive_fd(socket: BorrowedFd<'_>) -> Result<OwnedFd> {
    let (_, fd) = receive(socket)?;
    fd.ok_or_else(|| Error::new(Kind::Init, "no descriptor came with the message"))
}

/// Receives a message, of which there may be less than was sent, with the descriptor in it.
pub fn receive(socket: BorrowedFd<'_>) -> Result<(Vec<u8>, Option<OwnedFd>)> {
    let mut text = vec![0u8; 4096];
    let mut data = [IoSliceMut::new(&mut text)];
    let mut space = nix::cmsg_space!([RawFd; 1]);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = loop {
        match recvmsg::<()>(socket.as_raw_fd(), &mut data, Some(&mut space), flags) {
            Err(Errno::EINTR) => {}
            other => break other.at(|| "recvmsg(SCM_RIGHTS)")?,
        }
    };
    let mut fd = None;
    for control in message.cmsgs().at(|| "recvmsg(SCM_RIGHTS)")? {
        if let ControlMessageOwned::ScmRights(fds) = control
            && let Some(number) = fds.first()
        {
            fd = Some(crate::sys::fd::adopt(*number).at(|| "recvmsg(SCM_RIGHTS)")?);
        }
    }
    let length = message.bytes;
    text.truncate(length);
    Ok((text, fd))
}

/// Sends a pidfd to whoever listens at `path`; `kind` is `standard` for a container's first
/// process and `setns` for one of exec.
pub fn send_pidfd(path: &Path, pidfd: BorrowedFd<'_>, kind: &str) -> Result<()> {
    let socket = connect_socket(path).at(|| "--pidfd-socket")?;
    send_fd(socket.as_fd(), pidfd, kind.as_bytes()).at(|| "--pidfd-socket")
}

/// The terminal of whoever called the runtime.
#[derive(Debug)]
pub struct HostTerminal {
    fd: OwnedFd,
    /// As it was before [`HostTerminal::make_raw`].
    saved: Option<Termios>,
}

impl HostTerminal {
    /// The first of stderr, stdout and stdin that is a terminal (often one or two are
    /// redirected), or else the controlling terminal.
    pub fn find() -> Result<Self> {
        let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
        for fd in [stderr.as_fd(), stdout.as_fd(), stdin.as_fd()] {
            if tcgetattr(fd).is_ok() {
                let fd = fd.try_clone_to_owned().at(|| "fcntl(F_DUPFD_CLOEXEC)")?;
                return Ok(Self { fd, saved: None });
            }
        }
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let fd = open("/dev/tty", flags, Mode::empty()).at(|| "open /dev/tty")?;
        Ok(Self { fd, saved: None })
    }

    /// Passes every key on as it is typed, ^C as well, until this value is dropped.
    ///
    /// Output processing stays on: the container's pty has [`clear_onlcr`], so `\n` becomes
    /// `\r\n` here. To be called once signals are blocked ([`crate::foreground::Signals`]), so that
    /// none can end the process before the terminal is restored.
    pub fn make_raw(&mut self) -> Result<()> {
        let saved = tcgetattr(&self.fd).at(|| "tcgetattr")?;
        let mut raw = saved.clone();
        cfmakeraw(&mut raw);
        raw.output_flags.insert(OutputFlags::OPOST);
        tcsetattr(&self.fd, SetArg::TCSANOW, &raw).at(|| "tcsetattr")?;
        self.saved = Some(saved);
        Ok(())
    }

    /// The terminal's size.
    pub fn size(&self) -> Result<Size> {
        tty::size(self.fd.as_fd()).at(|| "ioctl(TIOCGWINSZ)")
    }
}

impl Drop for HostTerminal {
    fn drop(&mut self) {
        if let Some(saved) = &self.saved {
            // The terminal may have hung up, and then has nothing to restore.
            let _ = tcsetattr(&self.fd, SetArg::TCSANOW, saved);
        }
    }
}

#[cfg(test)]
#[path = "console_tests.rs"]
mod tests;
