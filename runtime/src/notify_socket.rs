//! sd_notify(3) for containers: the socket in `NOTIFY_SOCKET` of the runtime, passed on.
//!
//! Runs in the runtime. The container sees a socket of the runtime's, because the manager accepts
//! messages by the sender's cgroup and pid, and knows neither of the container's. Of what the
//! container sends only `READY=1` is passed on, with the pid the manager shall watch.

use crate::console::send_fd;
use crate::error::{At, Error, Result};
use crate::spec::Mount;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, bind, connect, recv, send, socket,
};
use nix::sys::stat::Mode;
use nix::unistd::pipe2;
use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, Permissions, remove_file, set_permissions};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where the container finds the socket's directory.
pub const CONTAINER_DIRECTORY: &str = "/run/notify";
const SOCKET_NAME: &str = "notify.sock";
/// How long the manager may take to read what it was sent before the runtime leaves
/// (sd_notify_barrier(3)); older managers never answer.
const BARRIER_TIMEOUT: u16 = 30_000;

/// `NOTIFY_SOCKET` of this process: the socket of the service manager that wants to hear.
pub fn of_this_process() -> Option<OsString> {
    std::env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty())
}

/// The mount that shows the container of the slot its socket.
pub fn mount(slot: &Path) -> Result<Mount> {
    let source = directory(slot);
    let source = source
        .to_str()
        .ok_or_else(|| Error::config(format!("{} is not UTF-8", source.display())))?;
    Ok(Mount {
        destination: CONTAINER_DIRECTORY.into(),
        source: source.into(),
        options: ["bind", "nosuid", "noexec", "nodev", "ro"].map(String::from).to_vec(),
        ..Mount::default()
    })
}

/// The variable that tells the container's process of its socket.
pub fn variable() -> String {
    format!("NOTIFY_SOCKET={CONTAINER_DIRECTORY}/{SOCKET_NAME}")
}

/// Makes the directory [`mount`] binds.
pub fn make_directory(slot: &Path) -> Result<()> {
    let path = directory(slot);
    // The mode is set afterwards, whatever the caller's umask is.
    DirBuilder::new()
        .create(&path)
        .and_then(|()| set_permissions(&path, Permissions::from_mode(0o755)))
        .at(|| format!("mkdir({})", path.display()))
}

/// Whether `create` made the container a socket's directory.
pub fn is_wanted(slot: &Path) -> bool {
    directory(slot).is_dir()
}

fn directory(slot: &Path) -> PathBuf {
    slot.join("notify")
}

/// Both ends of the way from the container to the manager.
#[derive(Debug)]
pub struct NotifySocket {
    /// Bound in the slot.
    container: OwnedFd,
    /// Connected to the manager.
    manager: OwnedFd,
}

impl NotifySocket {
    /// Binds the socket in the slot and connects to the one of the manager, `host` being the value
    /// of the runtime's `NOTIFY_SOCKET`.
    pub fn bind(slot: &Path, host: &OsStr) -> Result<Self> {
        let manager = datagram_socket(SockFlag::empty())?;
        let address = address(host).at(|| format!("NOTIFY_SOCKET={host:?}"))?;
        connect(manager.as_raw_fd(), &address).at(|| format!("connect({host:?})"))?;
        let path = directory(slot);
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let fd = open(&path, flags, Mode::empty()).at(|| format!("open({})", path.display()))?;
        // By descriptor, because the path may be longer than sun_path.
        let short = Path::new("/proc/self/fd").join(fd.as_raw_fd().to_string()).join(SOCKET_NAME);
        let container = datagram_socket(SockFlag::SOCK_NONBLOCK)?;
        let bound = || format!("bind({}/{SOCKET_NAME})", path.display());
        // One that an earlier start left when it was killed.
        match remove_file(&short) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).at(bound);
            }
            _ => {}
        }
        bind(container.as_raw_fd(), &UnixAddr::new(&short).at(bound)?).at(bound)?;
        // The container's process may be any user.
        set_permissions(&short, Permissions::from_mode(0o777)).at(bound)?;
        Ok(Self { container, manager })
    }

    /// Becomes readable when the container has sent something.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.container.as_fd()
    }

    /// Reads what the container has sent; true when it says that it is ready.
    pub fn receive(&self) -> Result<bool> {
        let mut buffer = [0; 4096];
        loop {
            match recv(self.container.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(length) if says_ready(buffer.get(..length).unwrap_or_default()) => {
                    return Ok(true);
                }
                Ok(_) | Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(false),
                Err(errno) => return Err(errno).at(|| "recv(notify socket)"),
            }
        }
    }

    /// Tells the manager that the service is ready and which process it is.
    pub fn tell_ready(&self, main_pid: u32) -> Result<()> {
        for text in ["READY=1\n".to_owned(), format!("MAINPID={main_pid}\n")] {
            send(self.manager.as_raw_fd(), text.as_bytes(), MsgFlags::MSG_NOSIGNAL)
                .at(|| format!("send({text:?})"))?;
        }
        Ok(())
    }

    /// For a runtime that leaves: waits until the container is ready and the manager knows, or
    /// the container's process has ended.
    pub fn wait(&self, pidfd: BorrowedFd<'_>, pid: u32) -> Result<()> {
        loop {
            let mut fds = [self.fd(), pidfd].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno).at(|| "poll"),
            }
            // Before the look at the process: it may have been ready and have ended since.
            if self.receive()? {
                self.tell_ready(pid)?;
                return self.barrier();
            }
            if fds.get(1).and_then(PollFd::any).unwrap_or(false) {
                return Ok(());
            }
        }
    }

    /// Waits until the manager has read everything sent so far: it closes the descriptor it is
    /// given, in turn (sd_notify_barrier(3)). A manager that does not is no error.
    fn barrier(&self) -> Result<()> {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC).at(|| "pipe2")?;
        send_fd(self.manager.as_fd(), writer.as_fd(), b"BARRIER=1")?;
        drop(writer);
        let mut fds = [PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::from(BARRIER_TIMEOUT)).map(drop).at(|| "poll")
    }
}

fn datagram_socket(flags: SockFlag) -> Result<OwnedFd> {
    socket(AddressFamily::Unix, SockType::Datagram, flags | SockFlag::SOCK_CLOEXEC, None)
        .at(|| "socket(AF_UNIX)")
}

/// A path, or `@name` for an abstract socket (sd_notify(3)).
fn address(host: &OsStr) -> nix::Result<UnixAddr> {
    match host.as_bytes() {
        [b'@', name @ ..] => UnixAddr::new_abstract(name),
        path => UnixAddr::new(path),
    }
}

/// Whether one datagram has the line `READY=1`.
fn says_ready(datagram: &[u8]) -> bool {
    datagram.split(|byte| *byte == b'\n').any(|line| line == b"READY=1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::child;
    use std::os::unix::net::UnixDatagram;
    use std::process::{Child, Command};

    struct Setting {
        _directory: tempfile::TempDir,
        slot: PathBuf,
        manager: UnixDatagram,
        notify: NotifySocket,
    }

    /// A manager, and a slot whose path is too long for an address.
    fn setting() -> Setting {
        let directory = tempfile::tempdir().unwrap();
        let slot = directory.path().join("s".repeat(120));
        std::fs::create_dir(&slot).unwrap();
        make_directory(&slot).unwrap();
        let host = directory.path().join("host.sock");
        let manager = UnixDatagram::bind(&host).unwrap();
        let notify = NotifySocket::bind(&slot, host.as_os_str()).unwrap();
        Setting { _directory: directory, slot, manager, notify }
    }

    /// Sends one message as the container does, at its short path.
    fn say(setting: &Setting, text: &str) {
        let handle = std::fs::File::open(directory(&setting.slot)).unwrap();
        let path = format!("/proc/self/fd/{}/{SOCKET_NAME}", handle.as_raw_fd());
        UnixDatagram::unbound().unwrap().send_to(text.as_bytes(), path).unwrap();
    }

    fn hear(setting: &Setting) -> String {
        let mut buffer = [0; 100];
        let length = setting.manager.recv(&mut buffer).unwrap();
        String::from_utf8(buffer.get(..length).unwrap().to_vec()).unwrap()
    }

    fn sleeper(seconds: &str) -> (Child, OwnedFd) {
        let child = Command::new("/bin/sleep").arg(seconds).spawn().unwrap();
        let pidfd = child::open(i32::try_from(child.id()).unwrap()).unwrap();
        (child, pidfd)
    }

    #[test]
    fn only_ready_counts() {
        let setting = setting();
        for noise in ["", "STATUS=READY=1", "READY=0", "READY=1x"] {
            say(&setting, noise);
        }
        assert!(!setting.notify.receive().unwrap());
        say(&setting, "STATUS=almost");
        say(&setting, "STATUS=done\nREADY=1\n");
        assert!(setting.notify.receive().unwrap());
    }

    #[test]
    fn the_manager_hears_ready_and_pid_and_lets_go() {
        let setting = setting();
        let (mut process, pidfd) = sleeper("100");
        say(&setting, "READY=1\nMAINPID=1\nFDSTORE=1");
        // Nobody takes the barrier's descriptor out of the message; closing the socket drops it.
        let clone = setting.manager.try_clone().unwrap();
        let heard = std::thread::spawn(move || {
            let mut buffer = [0; 100];
            let texts = (0..3).map(|_| {
                let length = clone.recv(&mut buffer).unwrap();
                String::from_utf8(buffer.get(..length).unwrap().to_vec()).unwrap()
            });
            texts.collect::<Vec<_>>()
        });
        setting.notify.wait(pidfd.as_fd(), 42).unwrap();
        assert_eq!(heard.join().unwrap(), ["READY=1\n", "MAINPID=42\n", "BARRIER=1"]);
        process.kill().unwrap();
        process.wait().unwrap();
    }

    #[test]
    fn a_process_that_ends_is_not_waited_for() {
        let setting = setting();
        let (mut process, pidfd) = sleeper("0");
        setting.notify.wait(pidfd.as_fd(), 42).unwrap();
        process.wait().unwrap();
        setting.manager.set_nonblocking(true).unwrap();
        assert!(setting.manager.recv(&mut [0; 10]).is_err());
    }

    #[test]
    fn the_foreground_names_itself() {
        let setting = setting();
        setting.notify.tell_ready(7).unwrap();
        assert_eq!((hear(&setting), hear(&setting)), ("READY=1\n".into(), "MAINPID=7\n".into()));
    }

    #[test]
    fn a_stale_socket_is_replaced_and_open_to_all() {
        let setting = setting();
        let host = setting.manager.local_addr().unwrap();
        let host = host.as_pathname().unwrap().as_os_str();
        let again = NotifySocket::bind(&setting.slot, host).unwrap();
        let path = directory(&setting.slot).join(SOCKET_NAME);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o777);
        say(&setting, "READY=1");
        assert!(again.receive().unwrap());
        assert!(!setting.notify.receive().unwrap());
    }

    #[test]
    fn addresses() {
        let name = address(OsStr::new("@hull/test")).unwrap();
        assert_eq!(name.as_abstract(), Some(&b"hull/test"[..]));
        assert_eq!(address(OsStr::new("/run/x")).unwrap().path(), Some(Path::new("/run/x")));
        assert!(address(OsStr::new(&"x".repeat(200))).is_err());
    }

    #[test]
    fn the_container_is_told() {
        let mount = mount(Path::new("/run/hull/x")).unwrap();
        assert_eq!(mount.source, "/run/hull/x/notify");
        assert_eq!(variable(), format!("NOTIFY_SOCKET={}/notify.sock", mount.destination));
        assert!(mount.options.contains(&"ro".into()));
    }
}
