//! Out of memory: told by an event before the exit it causes.
//!
//! What is told is a grown count of kills; the kernel's notices only say when to look. One
//! eventfd serves all containers on cgroup v1, one inotify instance on v2. The v1 notice comes
//! before the kill, so the counts are looked at again a little later.
//!
//! systemd removes a scope once it is empty, which may be before its count was looked at. What
//! the group above counts is taken for evidence then ([`vanished`]).

use super::Server;
use super::container::Container;
use super::log::Log;
use super::timers::Timer;
use crate::cgroup::Cgroup;
use crate::poller::{Poller, Source};
use crate::proto::events::TaskOom;
use nix::sys::epoll::EpollFlags;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use nix::sys::signal::SIGKILL;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::time::Duration;

/// When counts are looked at again after a notice.
const AGAIN: [Duration; 3] =
    [Duration::from_millis(20), Duration::from_millis(200), Duration::from_secs(1)];

/// The kernel's notices.
#[derive(Debug, Default)]
pub(super) struct Oom {
    event: Option<EventFd>,
    files: Option<Inotify>,
    watches: BTreeMap<PathBuf, WatchDescriptor>,
}

impl Oom {
    /// Has the kernel tell when memory of a container runs out.
    pub(super) fn watch(&mut self, cgroup: &Cgroup, poller: &mut Poller, log: &Log) {
        let Some(dir) = cgroup.memory() else { return };
        let watched = match cgroup {
            Cgroup::V1(_) => self.watch_v1(dir, poller),
            Cgroup::V2(_) => self.watch_v2(dir, cgroup.pod(), poller),
        };
        if let Err(error) = watched {
            // An exit after an OOM kill is looked at anyway.
            log.warn(&format!("watch for OOM in {}: {error}", dir.display()));
        }
    }

    /// `EVENTFD CONTROLFD` into cgroup.event_control (memory.rst of cgroup v1, section 10).
    fn watch_v1(&mut self, dir: &std::path::Path, poller: &mut Poller) -> Result<(), String> {
        if self.event.is_none() {
            let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
            let event = EventFd::from_value_and_flags(0, flags).map_err(|e| e.to_string())?;
            poller
                .add(&event, EpollFlags::EPOLLIN, Source::OomEvent)
                .map_err(|error| error.to_string())?;
            self.event = Some(event);
        }
        let Some(event) = &self.event else { return Ok(()) };
        // The kernel keeps what it needs of it.
        let control = File::open(dir.join("memory.oom_control")).map_err(|e| e.to_string())?;
        let line =
            format!("{} {}", std::os::fd::AsFd::as_fd(event).as_raw_fd(), control.as_raw_fd());
        fs::write(dir.join("cgroup.event_control"), line).map_err(|error| error.to_string())
    }

    fn watch_v2(
        &mut self,
        dir: &std::path::Path,
        pod: Option<&std::path::Path>,
        poller: &mut Poller,
    ) -> Result<(), String> {
        if self.files.is_none() {
            let files = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)
                .map_err(|error| error.to_string())?;
            poller
                .add(&files, EpollFlags::EPOLLIN, Source::OomFiles)
                .map_err(|error| error.to_string())?;
            self.files = Some(files);
        }
        let Some(files) = &self.files else { return Ok(()) };
        let watch = files
            .add_watch(&dir.join("memory.events"), AddWatchFlags::IN_MODIFY)
            .map_err(|error| error.to_string())?;
        self.watches.insert(dir.to_owned(), watch);
        if let Some(pod) = pod {
            // The same for all of a pod; it goes with the pod.
            files
                .add_watch(&pod.join("memory.events"), AddWatchFlags::IN_MODIFY)
                .map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// A container is gone. On v1 the kernel forgets by itself.
    pub(super) fn forget(&mut self, cgroup: &Cgroup) {
        if let (Cgroup::V2(dir), Some(files)) = (cgroup, &self.files)
            && let Some(watch) = self.watches.remove(dir)
        {
            // Gone with its file already, as a rule.
            let _ = files.rm_watch(watch);
        }
    }

    /// Takes notice of the notices.
    pub(super) fn clear(&mut self) {
        if let Some(event) = &self.event {
            let _ = event.read();
        }
        if let Some(files) = &self.files {
            while files.read_events().is_ok_and(|events| !events.is_empty()) {}
        }
    }
}

impl Server {
    /// Looks at all counts; `again` also a little later.
    pub(super) fn check_oom(&mut self, again: bool) {
        let ids: Vec<String> = self.containers.keys().cloned().collect();
        for id in ids {
            self.check_oom_of(&id);
        }
        if again {
            for delay in AGAIN {
                self.timers.after(delay, Timer::Oom);
            }
        }
    }

    /// Tells of kills that have not been told of.
    pub(super) fn check_oom_of(&mut self, id: &str) {
        let Some(container) = self.containers.get_mut(id) else { return };
        let Some(cgroup) = &container.cgroup else { return };
        let told = match cgroup.oom_kills() {
            Some(kills) => {
                container.pressure = cgroup.pressure();
                kills > std::mem::replace(&mut container.oom_kills, kills)
            }
            None => vanished(container),
        };
        if told {
            self.publish(&TaskOom { container_id: id.to_owned() });
        }
    }
}

/// Whether an OOM kill ended a container whose control group is gone: it was killed, the group
/// above counts more kills than when it was last looked at, and either that is looked at whenever
/// it changes, as with a pod's, or the container had met its limit, which has it looked at.
fn vanished(container: &mut Container) -> bool {
    let killed = container.init.reaped.is_some_and(|exit| exit.status == 128 + SIGKILL as u32);
    let Some(cgroup) = container.cgroup.as_ref().filter(|_| killed) else { return false };
    // Once is enough.
    let Some(seen) = container.pressure.take() else { return false };
    let grown = cgroup.kills_around().is_some_and(|kills| kills > seen.kills_around);
    grown && (seen.limit_met || cgroup.pod().is_some())
}
