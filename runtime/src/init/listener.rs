//! Loading the filter, and getting its listener out of init (seccomp_unotify(2)).
//!
//! Runs as: init or an exec'd process, as its last step but the execve; the courier as its child.
//!
//! Whoever loads a filter gets its listener, and from then on may not send it: sendmsg(2) may be
//! among the calls that wait for the agent, who does not listen yet. Nor can the runtime always
//! fetch it, since init is not to be looked into (CVE-2016-9962), which the kernel forgives to
//! CAP_SYS_PTRACE in the runtime's own user namespace only (pidfd_getfd(2)). So a courier sends it:
//! a child of init, made before the filter is loaded and so free of it, that shares init's table of
//! descriptors. It ends before init goes on, and takes what it needed out of the table; init makes
//! no other calls than without a listener.

use crate::console::send_fd;
use crate::error::{At, Error, Kind, Result};
use crate::seccomp::Filter;
use crate::spawn::channel::{Channel, Message};
use crate::sys::clone::{CLONE_FILES, Cloned, fork_into};
use crate::sys::exec::exit_child;
use crate::sys::fd::adopt;
use crate::sys::{cap, child};
use nix::libc;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Loads the filter, if there is one; the runtime then has its listener, if it has one.
///
/// # Errors
/// seccomp(2), or no process more may be made for the courier.
pub fn load(filter: Option<&Filter>, channel: &Channel) -> Result<()> {
    let Some(filter) = filter else { return Ok(()) };
    let courier = if filter.notifies() { Some(Courier::call(channel)?) } else { None };
    let listener = filter.load().at(|| "error loading seccomp filter: seccomp(SET_MODE_FILTER)")?;
    match (courier, listener) {
        (Some(courier), Some(listener)) => {
            courier.give(listener)?;
            channel.await_go_on()
        }
        (None, None) => Ok(()),
        _ => Err(Error::new(Kind::Init, "the kernel's answer to seccomp(2) is not as asked for")),
    }
}

/// Init's end of the way to the courier.
struct Courier(Channel);

impl Courier {
    /// Makes the courier and tells the runtime of it, which waits for its end.
    fn call(channel: &Channel) -> Result<Self> {
        let (ours, theirs) = Channel::pair()?;
        let init = nix::unistd::getpid();
        // Nobody can wait for it: waitid(2) comes after the filter. execve(2) takes this back.
        child::reap_by_kernel().at(|| "sigaction(SIGCHLD)")?;
        match fork_into(CLONE_FILES, None, false).at(|| "clone3 for the seccomp listener")? {
            Cloned::Child => {
                // Without init nobody needs it, nor hears of a failure.
                let tied = cap::set_parent_death_signal(libc::SIGKILL).is_ok()
                    && nix::unistd::getppid() == init;
                let carried = tied && carry([ours, theirs], channel).is_ok();
                exit_child(i32::from(!carried));
            }
            Cloned::Parent { pidfd, .. } => {
                // The courier's own: closed here, it would be closed there too.
                std::mem::forget(theirs);
                channel.send(&Message::Courier)?;
                send_fd(channel.as_fd(), pidfd.as_fd(), &[0])?;
                Ok(Self(ours))
            }
        }
    }

    /// The courier closes what is forgotten here: close(2) may be another call for the agent.
    fn give(self, listener: OwnedFd) -> Result<()> {
        let told = self.0.send(&Message::Seccomp(listener.as_raw_fd()));
        std::mem::forget((listener, self));
        told
    }
}

/// Runs as: the courier. Waits for the listener, sends it to the runtime and closes both.
fn carry([inits, own]: [Channel; 2], runtime: &Channel) -> Result<()> {
    let Message::Seccomp(number) = own.receive()? else {
        return Err(Error::new(Kind::Init, "no listener"));
    };
    let listener = adopt(number).at(|| "the listener")?;
    drop((inits, own));
    runtime.give_listener(listener.as_fd())
}
