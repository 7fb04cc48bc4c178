//! The last steps, common to a container's first process and to `exec`: from a process in the
//! right namespaces to the user's program.
//!
//! Runs as: a child of the runtime inside the container, privileged until
//! [`identity::finish`]. Everything that needs more than read(2), write(2) and execve(2) is done
//! before the filter is loaded, so that a profile need not allow what only the runtime uses.

use super::{identity, listener};
use crate::container::{State, Status, start};
use crate::error::{At, Error, Kind, Result};
use crate::hooks;
use crate::plan::identity::Identity;
use crate::plan::process::ProcessPlan;
use crate::seccomp::Filter;
use crate::spawn::Staged;
use crate::spawn::channel::{Channel, Message};
use crate::spec::Hook;
use crate::sys::exec::{Vector, execve};
use crate::sys::fd::{CWD, close_from, open_at, read_bounded};
use crate::sys::{cap, child, sched};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, ResolveFlag};
use nix::unistd::{AccessFlags, chdir, faccessat};
use std::convert::Infallible;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// What the last steps need.
pub struct Execution<'a> {
    /// argv.
    pub arguments: &'a Vector,
    /// Environment without an added `HOME`.
    pub environment: &'a [CString],
    /// The program.
    pub process: &'a ProcessPlan,
    /// Who it is.
    pub identity: &'a Identity,
    /// The filter.
    pub filter: Option<&'a Filter>,
    /// A trusted /proc.
    pub proc: BorrowedFd<'a>,
    /// Where init waits for `start`; none: executes when the runtime says so.
    pub fifo: Option<&'a OwnedFd>,
    /// startContainer hooks with the state they are told.
    pub hooks: Option<(&'a [Hook], &'a State)>,
    /// Descriptors from 3 on that the program inherits.
    pub preserved: u32,
    /// Highest capability of the kernel.
    pub last_capability: u32,
}

impl<'a> Execution<'a> {
    /// Of a container's first process.
    pub fn of(staged: &'a Staged<'a>) -> Self {
        let hooks = &staged.plan.hooks.start_container;
        Self {
            arguments: &staged.arguments,
            environment: &staged.plan.process.envp,
            process: &staged.plan.process,
            identity: &staged.plan.identity,
            filter: staged.filter.as_ref(),
            proc: staged.proc.as_fd(),
            fifo: staged.fifo.as_ref(),
            hooks: (!hooks.is_empty()).then_some((hooks.as_slice(), &staged.state)),
            preserved: staged.preserved,
            last_capability: staged.last_capability,
        }
    }
}

/// Becomes the user's program.
///
/// # Errors
/// The step that failed.
pub fn execute(execution: &Execution<'_>, channel: &Channel) -> Result<Infallible> {
    let Execution { process, identity, .. } = execution;
    identity::labels(identity, execution.proc)?;
    let environment = environment(execution)?;
    limits(process, channel)?;
    // Usually possible only while privileged (the user may not search the parents), sometimes
    // only as the user (root on a network file system may not).
    let entered = chdir(process.cwd.as_c_str());
    identity::become_user(identity, execution.last_capability)?;
    if entered.is_err() {
        chdir(process.cwd.as_c_str()).at(|| {
            format!("chdir to cwd ({:?}) set in config.json failed", process.cwd.to_string_lossy())
        })?;
    }
    verify_cwd()?;
    identity::act_as(identity)?;
    let path = look_up(process)?;
    close_others(execution, channel)?;
    // Rust programs ignore it, and what is ignored stays so over execve(2).
    child::default_sigpipe().at(|| "sigaction(SIGPIPE)")?;
    cap::set_parent_death_signal(0).at(|| "prctl(PR_SET_PDEATHSIG)")?;
    if execution.fifo.is_some() {
        // It may wait for long, and `kill` must reach it meanwhile.
        child::end_by_signals().at(|| "sigaction")?;
    }
    identity::finish(identity, &|| listener::load(execution.filter, channel))?;
    channel.send(&Message::Ready)?;
    channel.await_execute()?;
    if let Some(fifo) = execution.fifo {
        start::wait(fifo.as_fd())?;
    }
    if let Some((hooks, state)) = execution.hooks {
        // They are waited for.
        child::default_sigchld().at(|| "sigaction(SIGCHLD)")?;
        let json = state.oci_json(Status::Created, nix::unistd::getpid().as_raw());
        let inherited: Vec<String> =
            environment.iter().map(|entry| entry.to_string_lossy().into_owned()).collect();
        let inherited = hooks::DefaultEnv::Exactly(&inherited);
        hooks::run(hooks, "startContainer", &json, inherited)?;
    }
    match execve(&path, execution.arguments, &Vector::new(environment)) {
        Ok(never) => match never {},
        Err(errno) => {
            let text = crate::error::errno_text(errno);
            Err(Error::new(Kind::Execve, format!("exec {}: {text}", path.to_string_lossy())))
        }
    }
}

/// Whatever the runtime has open is out of reach from here on, also while init waits for `start`
/// (CVE-2024-21626): only what is preserved, the channel and the fifo stay.
fn close_others(execution: &Execution<'_>, channel: &Channel) -> Result<()> {
    let first = i32::try_from(3 + execution.preserved).unwrap_or(i32::MAX);
    let fifo = execution.fifo.map_or(channel.number(), AsRawFd::as_raw_fd);
    close_from(first, &mut [channel.number(), fifo]).at(|| "close_range")
}

/// While the process is privileged, and after the last step that needs many descriptors.
fn limits(process: &ProcessPlan, channel: &Channel) -> Result<()> {
    for limit in &process.rlimits {
        match sched::set_rlimit(0, limit.resource, limit.soft, limit.hard) {
            Ok(()) => {}
            Err(Errno::EPERM) => {
                channel.send(&Message::Limits)?;
                return channel.await_go_on();
            }
            Err(errno) => {
                return Err(errno).at(|| {
                    let (soft, hard) = (limit.soft, limit.hard);
                    format!("error setting rlimits: {} (soft {soft}, hard {hard})", limit.name)
                });
            }
        }
    }
    Ok(())
}

/// The working directory must be below the container's root: a descriptor of the host that
/// leaked would make it one of the host's (CVE-2024-21626).
fn verify_cwd() -> Result<()> {
    match nix::unistd::getcwd() {
        Ok(path) if path.is_absolute() => Ok(()),
        Ok(_) | Err(Errno::ENOENT) => Err(Error::config(
            "current working directory is outside of container mount namespace root -- possible container breakout",
        )),
        // A parent the user can't read does not make it another directory.
        Err(Errno::EACCES) => Ok(()),
        Err(errno) => Err(errno).at(|| "getcwd"),
    }
}

/// The environment with `HOME` from the container's /etc/passwd where it is missing.
fn environment(execution: &Execution<'_>) -> Result<Vec<CString>> {
    let mut environment = execution.environment.to_vec();
    if execution.process.needs_home {
        let home = home(execution.identity.uid)?;
        environment.push(CString::new(format!("HOME={home}")).map_err(|_| Errno::EINVAL)?);
    }
    Ok(environment)
}

/// The container's own file: regular, bounded, and never opened in a way that could block
/// (CVE-2024-9676).
fn home(uid: u32) -> Result<String> {
    const MAX: usize = 16 << 20;
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    // The process' root is the container's already.
    let resolve = ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let Ok(file) = open_at(CWD, c"/etc/passwd", flags, 0, resolve) else {
        return Ok("/".to_owned());
    };
    if super::target::kind(&file).at(|| "fstat(/etc/passwd)")? != nix::sys::stat::SFlag::S_IFREG {
        return Err(Error::config("/etc/passwd of the container is not a regular file"));
    }
    let text = read_bounded(file.as_fd(), MAX).at(|| "reading /etc/passwd of the container")?;
    Ok(home_in(&String::from_utf8_lossy(&text), uid).unwrap_or_else(|| "/".to_owned()))
}

/// `name:password:uid:gid:gecos:home:shell` (passwd(5)): the home of the first line with the uid.
pub fn home_in(passwd: &str, uid: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let found = fields.nth(2)?.parse() == Ok(uid);
        let home = fields.nth(2).filter(|home| found && !home.is_empty())?;
        Some(home.to_owned())
    })
}

/// The program's path, looked up as execvp(3) would with the container's own PATH. Texts are the
/// ones Docker and Podman turn into exit codes 126 and 127.
fn look_up(process: &ProcessPlan) -> Result<CString> {
    let name = process.argv.first().ok_or_else(|| Error::config("args must not be empty"))?;
    let text = name.to_string_lossy().into_owned();
    let failed = |what: String| Error::new(Kind::Init, format!("exec: {text:?}: {what}"));
    if name.to_bytes().contains(&b'/') {
        return match executable(name) {
            Ok(()) => Ok(name.clone()),
            Err(Errno::EISDIR) => Err(failed("is a directory".to_owned())),
            Err(Errno::EACCES) => Err(failed("permission denied".to_owned())),
            Err(errno) => Err(failed(format!("stat {text}: {}", crate::error::errno_text(errno)))),
        };
    }
    let mut denied = false;
    let path = process.path.as_deref().unwrap_or(c"");
    for directory in path.to_bytes().split(|byte| *byte == b':') {
        let directory = if directory.is_empty() { b"." } else { directory };
        let Ok(candidate) = CString::new([directory, b"/", name.to_bytes()].concat()) else {
            continue;
        };
        match executable(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(Errno::EACCES) => denied = true,
            Err(_) => {}
        }
    }
    let what = if denied { "permission denied" } else { "executable file not found in $PATH" };
    Err(failed(what.to_owned()))
}

fn executable(path: &CStr) -> std::result::Result<(), Errno> {
    let status = nix::sys::stat::stat(path)?;
    if super::target::file_type(&status) == nix::sys::stat::SFlag::S_IFDIR {
        return Err(Errno::EISDIR);
    }
    faccessat(CWD, path, AccessFlags::X_OK, AtFlags::AT_EACCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\nbad\nu:x:7:7::/home/u:\nw:x:7:7::/other:\ne:x:8:8:::\n";
        assert_eq!(home_in(passwd, 0).as_deref(), Some("/root"));
        assert_eq!(home_in(passwd, 7).as_deref(), Some("/home/u"));
        assert_eq!(home_in(passwd, 8), None);
        assert_eq!(home_in(passwd, 9), None);
    }
}
