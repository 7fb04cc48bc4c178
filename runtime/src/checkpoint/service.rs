//! Running `criu swrk` and talking with it.
//!
//! One packet of a SEQPACKET socket is one message. CRIU answers a request with one message, and
//! in between tells of steps it has reached ("notifications"), each of which waits for an answer.

use super::message::{Response, Type, acknowledgement, question};
use crate::cgroup::Join;
use crate::error::{At, Error, Kind, Result};
use crate::foreground::Signals;
use crate::init;
use crate::sys::child::{self, Exit};
use crate::sys::clone::{Cloned, fork_into};
use crate::sys::exec::{Vector, execve, exit_child};
use crate::sys::fd::{adopt, dup_onto, mark_from, open_path, read_bounded};
use crate::sys::process::descriptor_of;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, readlink};
use nix::libc::pid_t;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, send, socketpair,
};
use nix::sys::stat::fstat;
use nix::unistd::{AccessFlags, access, pipe2};
use std::convert::Infallible;
use std::ffi::{CString, OsStr};
use std::io::{IoSliceMut, Read, Seek};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The oldest CRIU that has all of what is used here: external pid namespaces, the notification
/// that lazy pages are served (3.15), LSM profiles given at the restore (3.16).
const OLDEST: (i32, i32) = (3, 16);
/// No message of CRIU's is longer.
const MOST: usize = 64 << 10;
/// As much of a log is read.
const LOG_LIMIT: usize = 16 << 20;

/// What CRIU is started with.
#[derive(Default)]
pub struct Start<'a> {
    /// Standard input and output, if not the runtime's own.
    pub stdio: Option<[BorrowedFd<'a>; 2]>,
    /// Descriptors that it has as [`FIRST_PASSED`] and so on.
    pub passed: Vec<BorrowedFd<'a>>,
    /// Directories that it opens anew once it is prepared, behind those passed: see
    /// [`Criu::directory`].
    pub directories: Vec<BorrowedFd<'a>>,
    /// The cgroups it works in.
    pub join: Option<&'a Join>,
    /// Blocked signals to restore.
    pub signals: Option<&'a Signals>,
    /// What the new process does before it becomes CRIU.
    pub prepare: Option<&'a dyn Fn() -> Result<()>>,
}

/// The number of the first of [`Start::passed`]. 3 is the socket.
pub const FIRST_PASSED: i32 = 4;

/// A running CRIU.
pub struct Criu {
    /// Its pid.
    pub pid: pid_t,
    pidfd: OwnedFd,
    socket: OwnedFd,
    /// What it says before it has a log.
    said: std::fs::File,
}

impl Criu {
    /// Starts CRIU.
    ///
    /// # Errors
    /// It is not installed; the preparation failed.
    pub fn start(start: &Start<'_>) -> Result<Self> {
        let program = find("criu").ok_or_else(|| {
            Error::unsupported("criu is not in $PATH (install the package criu to checkpoint)")
        })?;
        let program =
            CString::new(program.into_os_string().into_vec()).map_err(|_| Errno::EINVAL)?;
        let flags = SockFlag::SOCK_CLOEXEC;
        let (socket, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)
            .at(|| "socketpair(SEQPACKET)")?;
        let said = memfd_create(c"criu", MFdFlags::MFD_CLOEXEC).at(|| "memfd_create")?;
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC).at(|| "pipe2")?;
        let into = start.join.and_then(|join| join.into.as_ref()).map(AsFd::as_fd);
        let (pid, pidfd) = match fork_into(0, into, false).at(|| "clone3(criu)")? {
            Cloned::Child => {
                drop(reader);
                let Err(error) = become_criu(start, &program, theirs.as_fd(), said.as_fd());
                // Nobody hears a failure of this.
                let _ = nix::unistd::write(&writer, error.to_string().as_bytes());
                exit_child(1)
            }
            Cloned::Parent { pid, pidfd } => (pid, pidfd),
        };
        drop((theirs, writer));
        let criu = Self { pid, pidfd, socket, said: said.into() };
        // The pipe ends with execve(2).
        let mut failure = String::new();
        std::fs::File::from(reader).read_to_string(&mut failure).at(|| "read(pipe)")?;
        if !failure.is_empty() {
            child::wait(criu.pidfd.as_fd()).at(|| "waitid(criu)")?;
            return Err(Error::new(Kind::Init, failure));
        }
        criu.check_version()?;
        Ok(criu)
    }

    fn check_version(&self) -> Result<()> {
        let (major, minor, patch) = self.ask(Type::Version)?.version;
        crate::log::debug(format_args!("criu is version {major}.{minor}.{patch}"));
        if (major, minor) < OLDEST {
            return Err(Error::unsupported(format!(
                "criu {major}.{minor} is too old: {}.{} or later is needed",
                OLDEST.0, OLDEST.1
            )));
        }
        Ok(())
    }

    /// A directory that CRIU opened, by its number there, as a descriptor of this process: CRIU
    /// opens what a request names by the requester's number, and can mount only in a directory of
    /// its own mount namespace (mount(2), EINVAL), as it does in the working directory.
    ///
    /// # Errors
    /// pidfd_getfd(2).
    pub fn directory(&self, number: RawFd) -> Result<OwnedFd> {
        descriptor_of(self.pidfd.as_fd(), number).at(|| "pidfd_getfd(criu)")
    }

    /// Asks something that changes nothing.
    ///
    /// # Errors
    /// CRIU can't work here at all.
    pub fn ask(&self, kind: Type) -> Result<Response> {
        self.send(&question(kind))?;
        let (response, _) = self.receive()?;
        if response.is(kind) && response.success {
            return Ok(response);
        }
        Err(self.failure(&response, None))
    }

    /// Lets CRIU carry out a request; `notify` gets each step, with the descriptor that came along.
    ///
    /// # Errors
    /// The step that `notify` did not like, or what CRIU could not do, with its log's own words.
    pub fn carry_out(
        &self,
        request: &[u8],
        log: &Path,
        notify: &mut dyn FnMut(&Response, Option<OwnedFd>) -> Result<()>,
    ) -> Result<Response> {
        self.send(request)?;
        let mut refused = None;
        loop {
            let (response, fd) = self.receive()?;
            if !response.is(Type::Notify) {
                return match refused {
                    Some(error) => Err(error),
                    None if response.success => Ok(response),
                    None => Err(self.failure(&response, Some(log))),
                };
            }
            crate::log::debug(format_args!("criu: {}", response.step));
            let answer = if refused.is_none() { notify(&response, fd) } else { Ok(()) };
            refused = refused.or(answer.err());
            self.send(&acknowledgement(refused.is_none()))?;
        }
    }

    /// Waits for CRIU to end, which it does when it has nothing more to do.
    ///
    /// # Errors
    /// waitid(2).
    pub fn finish(self) -> Result<Exit> {
        let Self { socket, pidfd, .. } = self;
        drop(socket);
        child::wait(pidfd.as_fd()).at(|| "waitid(criu)")
    }

    fn send(&self, message: &[u8]) -> Result<()> {
        loop {
            match send(self.socket.as_raw_fd(), message, MsgFlags::MSG_NOSIGNAL) {
                Err(Errno::EINTR) => {}
                // It has ended: the answer that does not come tells why.
                Ok(_) | Err(Errno::EPIPE) => return Ok(()),
                Err(errno) => return Err(errno).at(|| "send to criu"),
            }
        }
    }

    /// The next message, with a descriptor when one came along.
    fn receive(&self) -> Result<(Response, Option<OwnedFd>)> {
        let mut buffer = vec![0u8; MOST];
        let mut data = [IoSliceMut::new(&mut buffer)];
        let mut space = nix::cmsg_space!([RawFd; 1]);
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let message = loop {
            match recvmsg::<()>(self.socket.as_raw_fd(), &mut data, Some(&mut space), flags) {
                Err(Errno::EINTR) => {}
                other => break other.at(|| "recvmsg(criu)")?,
            }
        };
        let mut received = None;
        for control in message.cmsgs().at(|| "recvmsg(criu)")? {
            if let ControlMessageOwned::ScmRights(fds) = control {
                for fd in fds {
                    received = Some(adopt(fd).at(|| "recvmsg(SCM_RIGHTS)")?);
                }
            }
        }
        let (length, cut) = (message.bytes, message.flags.contains(MsgFlags::MSG_TRUNC));
        if length == 0 {
            let why = self.complaint().unwrap_or_else(|| "it ended without an answer".to_owned());
            return Err(Error::new(Kind::Unsupported, format!("criu does not work here: {why}")));
        }
        if cut {
            return Err(Error::config("criu sent a message that is too long"));
        }
        Ok((Response::read(buffer.get(..length).unwrap_or_default())?, received))
    }

    fn failure(&self, response: &Response, log: Option<&Path>) -> Error {
        let errno = match response.errno {
            0 => String::new(),
            errno => format!(" (errno {errno})"),
        };
        let logged = log.and_then(|path| open_log(path).ok()).and_then(|log| errors(&log));
        let said = Some(response.message.clone()).filter(|message| !message.is_empty());
        let why = logged.or(said).or_else(|| self.complaint());
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        let place = log.map(|path| format!("; see {}", path.display())).unwrap_or_default();
        let text = format!("criu failed{errno}{why}{place}");
        Error::new(Kind::Init, text)
    }

    /// What CRIU wrote to its standard error.
    fn complaint(&self) -> Option<String> {
        let mut text = Vec::new();
        let mut said = &self.said;
        said.rewind().ok()?;
        said.take(1 << 16).read_to_end(&mut text).ok()?;
        errors(&text)
    }
}

fn open_log(path: &Path) -> Result<Vec<u8>> {
    let file = open_path(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK)?;
    Ok(read_bounded(file.as_fd(), LOG_LIMIT)?)
}

/// The last errors of a log: the cause, and what failed because of it. Earlier ones may be such as
/// CRIU could put up with.
fn errors(log: &[u8]) -> Option<String> {
    const KEPT: usize = 3;
    let log = String::from_utf8_lossy(log);
    // `(00.01) Error (criu/cr-dump.c:1): why`
    let lines = log.lines().filter_map(|line| line.split_once("Error ("));
    let lines: Vec<&str> =
        lines.map(|(_, rest)| rest.split_once("): ").map_or(rest, |(_, why)| why).trim()).collect();
    let last = lines.get(lines.len().saturating_sub(KEPT)..).unwrap_or_default();
    (!last.is_empty()).then(|| last.join("; "))
}

/// The new process: on success it is CRIU.
fn become_criu(
    start: &Start<'_>,
    program: &CString,
    socket: BorrowedFd<'_>,
    said: BorrowedFd<'_>,
) -> Result<Infallible> {
    if let Some(join) = start.join {
        init::join_cgroups(&join.tasks)?;
    }
    if let Some(signals) = start.signals {
        signals.restore()?;
    }
    child::default_sigpipe().at(|| "sigaction(SIGPIPE)")?;
    if let Some(prepare) = start.prepare {
        prepare()?;
    }
    let [stdin, stdout] = start.stdio.unwrap_or([0, 1].map(crate::sys::fd::stdio));
    let directories =
        start.directories.iter().map(|fd| open_anew(*fd)).collect::<Result<Vec<_>>>()?;
    let mut wanted = vec![stdin, stdout, said, socket];
    wanted.extend(&start.passed);
    wanted.extend(directories.iter().map(AsFd::as_fd));
    place(&wanted)?;
    let arguments = ["criu", "swrk", "3"].map(|word| CString::new(word).unwrap_or_default());
    let environment = std::env::vars_os().filter_map(|(name, value)| {
        CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).ok()
    });
    let environment = Vector::new(environment.collect());
    execve(program, &Vector::new(arguments.into()), &environment)
        .at(|| format!("exec {}", program.to_string_lossy()))
}

/// The directory at the path of an open one, which must be the same: in another mount namespace it
/// is another mount's.
fn open_anew(directory: BorrowedFd<'_>) -> Result<OwnedFd> {
    let link = format!("/proc/self/fd/{}", directory.as_raw_fd());
    let path = PathBuf::from(readlink(link.as_str()).at(|| format!("readlink({link})"))?);
    let again = open_path(&path, OFlag::O_RDONLY | OFlag::O_DIRECTORY)
        .at(|| format!("open({})", path.display()))?;
    let identity = |fd: BorrowedFd<'_>| fstat(fd).map(|stat| (stat.st_dev, stat.st_ino));
    if identity(directory).at(|| "fstat")? != identity(again.as_fd()).at(|| "fstat")? {
        let what = format!("{} is another directory by now", path.display());
        return Err(Error::new(Kind::Init, what));
    }
    Ok(again)
}

/// Gives the descriptors the numbers of their places in the list, and closes all others at
/// execve(2).
fn place(wanted: &[BorrowedFd<'_>]) -> Result<()> {
    let end = i32::try_from(wanted.len()).map_err(|_| Errno::EMFILE)?;
    // First out of the way: a number that is needed may be another one's present number.
    let away = wanted.iter().map(|fd| {
        let copy = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(end)).at(|| "fcntl(F_DUPFD_CLOEXEC)")?;
        adopt(copy).at(|| "fcntl(F_DUPFD_CLOEXEC)")
    });
    let away = away.collect::<Result<Vec<OwnedFd>>>()?;
    for (fd, number) in away.iter().zip(0..) {
        dup_onto(fd.as_fd(), number).at(|| format!("dup3({number})"))?;
    }
    mark_from(end).at(|| "close_range(CLOEXEC)")
}

/// The first executable file of this name in `$PATH`.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".into());
    std::env::split_paths(&path)
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(OsStr::new(name)))
        .find(|file| file.is_file() && access(file, AccessFlags::X_OK).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_errors_of_a_log_tell_why() {
        let log = b"(00.01) Error (criu/util.c:1): rlimit: no\n(00.02) Running\n\
                    (00.03) Error (criu/a.c:7): Can't look up x\n\
                    (00.04) Error (criu/cr-dump.c:9): Dump files failed with -1\n\
                    (00.05) Error (criu/cr-dump.c:9): Dumping FAILED.\n";
        let why = "Can't look up x; Dump files failed with -1; Dumping FAILED.";
        assert_eq!(errors(log).unwrap(), why);
        assert_eq!(errors(b"(00.01) Running\n"), None);
    }

    #[test]
    fn a_directory_that_was_replaced_is_not_opened_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (path, away) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::create_dir(&path).unwrap();
        let fd = open_path(&path, OFlag::O_RDONLY | OFlag::O_DIRECTORY).unwrap();
        assert!(open_anew(fd.as_fd()).is_ok());
        // A link at its old path leads elsewhere; the open one keeps its own name.
        std::fs::rename(&path, &away).unwrap();
        assert!(open_anew(fd.as_fd()).is_ok());
        std::fs::remove_dir(&away).unwrap();
        assert!(open_anew(fd.as_fd()).is_err());
    }

    #[test]
    fn only_executable_files_count() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program-here").is_none());
    }
}
