//! Ends of children: none is lost, and they are told in order.

use super::container::{Container, Exit, Rest};
use super::jobs::{Order, Step};
use super::{Reply, Server};
use crate::proto::events::TaskExit;
use crate::proto::task::WaitResponse;
use crate::proto::{Status, Timestamp};
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use prost::Message;
use std::time::Instant;

/// The answer to a wait.
pub(super) fn answer(exit: Exit) -> Vec<u8> {
    WaitResponse { exit_status: exit.status, exited_at: Some(exit.at) }.encode_to_vec()
}

/// How a child ended, if it has. It is not a child any more then: its pid may be used again.
fn ended(pid: u32) -> Option<u32> {
    let raw = i32::try_from(pid).ok()?;
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG;
    match waitid(Id::Pid(Pid::from_raw(raw)), flags) {
        Ok(WaitStatus::Exited(_, code)) => Some(u32::try_from(code).unwrap_or(255)),
        Ok(WaitStatus::Signaled(_, signal, _)) => {
            Some(128 + u32::try_from(signal as i32).unwrap_or(0))
        }
        // Not a child: an engine that kept its process as its own. Only its absence is known.
        Err(Errno::ECHILD) if kill(Pid::from_raw(raw), None) == Err(Errno::ESRCH) => Some(255),
        _ => None,
    }
}

impl Server {
    /// Waits for whatever has ended.
    pub(super) fn reap(&mut self) {
        loop {
            let jobs: Vec<u32> = self.jobs.keys().copied().collect();
            let mut progress = false;
            for pid in jobs {
                if let Some(status) = ended(pid)
                    && let Some(job) = self.jobs.remove(&pid)
                {
                    self.job_ended(job, status);
                    progress = true;
                }
            }
            progress |= self.reap_processes();
            if !progress {
                break;
            }
        }
        if let Some(pid) = self.events.running()
            && let Some(status) = ended(pid)
        {
            self.events.ended(pid, status, &mut self.poller, &mut self.timers, &self.log);
        }
        self.reap_others();
        self.settle_rest();
    }

    /// Tells of containers whose init waits for others to be gone, which may be now.
    pub(super) fn settle_rest(&mut self) {
        let waits = |container: &Container| {
            matches!(container.rest, Rest::Told(_)) && container.init.reaped.is_some()
        };
        let found = self.containers.iter().filter(|(_, container)| waits(container));
        let ids: Vec<String> = found.map(|(id, _)| id.clone()).collect();
        for id in ids {
            self.settle(&id);
        }
    }

    /// Waits for processes of containers; true if one had ended.
    fn reap_processes(&mut self) -> bool {
        let mut ids = Vec::new();
        for (id, container) in &mut self.containers {
            let mut found = false;
            let all = container.execs.values_mut().chain([&mut container.init]);
            for process in all.filter(|process| process.is_alive()) {
                if let Some(status) = ended(process.pid) {
                    process.reaped = Some(Exit { status, at: Timestamp::now() });
                    found = true;
                }
            }
            if found {
                ids.push(id.clone());
            }
        }
        for id in &ids {
            self.settle(id);
        }
        !ids.is_empty()
    }

    /// Orphans nobody knows, and loggers. Not while an engine runs whose process could be taken
    /// for one: its pid is learned only when the engine has ended.
    fn reap_others(&mut self) {
        for io in self.ios.values_mut() {
            if let Some(pid) = io.logger
                && ended(pid).is_some()
            {
                io.logger = None;
            }
        }
        self.loggers.retain(|pid| ended(*pid).is_none());
        if self.jobs.values().any(|job| job.step.makes_processes()) {
            return;
        }
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        while let Ok(status) = waitid(Id::All, flags) {
            let Some(pid) = status.pid() else { break };
            let pid = u32::try_from(pid.as_raw()).unwrap_or(0);
            if self.is_known(pid) {
                // It ended after it was looked at; its signal is still to come.
                break;
            }
            ended(pid);
        }
    }

    fn is_known(&self, pid: u32) -> bool {
        self.jobs.contains_key(&pid)
            || self.events.running() == Some(pid)
            || self.loggers.contains(&pid)
            || self.ios.values().any(|io| io.logger == Some(pid))
            || self.containers.values().any(|container| {
                container.init.pid == pid && container.init.is_alive()
                    || container.execs.values().any(|exec| exec.pid == pid && exec.is_alive())
            })
    }

    /// Tells the ends that may be told: an exec's after its start, init's after all execs'.
    pub(super) fn settle(&mut self, id: &str) {
        self.check_oom_of(id);
        let Some(container) = self.containers.get_mut(id) else { return };
        let execs: Vec<String> = container
            .execs
            .iter()
            .filter(|(_, exec)| exec.reaped.is_some() && !exec.starting)
            .map(|(name, _)| name.clone())
            .collect();
        for exec in execs {
            self.tell_exit(id, &exec);
        }
        let Some(container) = self.containers.get_mut(id) else { return };
        if container.init.reaped.is_none() || container.init.starting {
            return;
        }
        if container.shared_pids && container.rest_lives() {
            return self.end_rest(id);
        }
        if container.execs.values().any(|exec| exec.starting || exec.is_alive()) {
            return;
        }
        if container.frozen.take().is_some() {
            self.thaw(id);
        }
        self.tell_exit(id, "");
    }

    /// Ends what outlived init. With a pid namespace of its own the kernel has done so already.
    fn end_rest(&mut self, id: &str) {
        let Some(container) = self.containers.get_mut(id) else { return };
        if container.rest != Rest::Alive {
            return;
        }
        container.rest = Rest::Ending;
        let order = Order::new(id, "", Step::EndAll, None);
        let name = id.to_owned();
        let run = self.run_engine(order, |engine, log| engine.kill(log, true, &name, 9));
        if let Err(error) = run {
            self.log.warn(&error.to_string());
            if let Some(container) = self.containers.get_mut(id) {
                container.rest = Rest::Told(Instant::now());
            }
            self.settle(id);
        }
    }

    /// A frozen container whose init was killed has to be thawed to be deleted.
    fn thaw(&mut self, id: &str) {
        let name = id.to_owned();
        let order = Order::new(id, "", Step::Thaw, None);
        let run = self.run_engine(order, |engine, log| engine.plain(log, "resume", &name));
        if let Err(error) = run {
            self.log.warn(&error.to_string());
        }
    }

    fn tell_exit(&mut self, id: &str, exec_id: &str) {
        let Some(container) = self.containers.get_mut(id) else { return };
        let Some(process) = container.process_mut(exec_id) else { return };
        let Some(exit) = process.reaped.take() else { return };
        process.exit = Some(exit);
        process.status = Status::Stopped;
        let event = TaskExit {
            container_id: id.to_owned(),
            id: if exec_id.is_empty() { id.to_owned() } else { exec_id.to_owned() },
            pid: process.pid,
            exit_status: exit.status,
            exited_at: Some(exit.at),
        };
        let waiters: Vec<Reply> = std::mem::take(&mut process.waiters);
        if let Some(io) = process.io.and_then(|io| self.ios.get_mut(&io)) {
            io.process_ended(&mut self.poller);
        }
        self.publish(&event);
        for waiter in waiters {
            self.reply(waiter, Ok(answer(exit)));
        }
    }

    /// Puts an event on its way.
    pub(super) fn publish<E: crate::proto::events::Event>(&mut self, event: &E) {
        self.events.send(event, &mut self.poller, &mut self.timers, &self.log);
    }
}
