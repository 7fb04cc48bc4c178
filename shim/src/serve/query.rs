//! Calls that only look.

use super::Server;
use super::calls::{Outcome, now};
use super::container::{no_process, wrong_state};
use crate::proto::options::{PROCESS_DETAILS, ProcessDetails};
use crate::proto::task::{PidsResponse, StateRequest, StateResponse, StatsResponse};
use crate::proto::{Any, ProcessInfo};

impl Server {
    pub(super) fn state(&mut self, request: &StateRequest) -> Outcome {
        let container = self.container(&request.id)?;
        let process =
            container.process(&request.exec_id).ok_or_else(|| no_process(&request.exec_id))?;
        let names = process.names.clone();
        now(&StateResponse {
            id: request.id.clone(),
            bundle: container.bundle.to_string_lossy().into_owned(),
            pid: process.pid,
            status: container.status(process) as i32,
            stdin: names.stdin,
            stdout: names.stdout,
            stderr: names.stderr,
            terminal: names.terminal,
            exit_status: process.exit.map_or(0, |exit| exit.status),
            exited_at: process.exit.map(|exit| exit.at),
            exec_id: request.exec_id.clone(),
        })
    }

    pub(super) fn pids(&mut self, id: &str) -> Outcome {
        let container = self.container(id)?;
        let known = || {
            let all = container.execs.values().chain([&container.init]);
            all.filter(|process| process.is_alive()).map(|process| process.pid)
        };
        let mut pids = match &container.cgroup {
            Some(cgroup) => cgroup.pids(),
            None => known().collect(),
        };
        if pids.is_empty() && container.init.pid != 0 {
            // Ended and not deleted. A containerd that starts again takes a shim without
            // processes for a leak, and with it would go the exit status nobody has asked for.
            pids.push(container.init.pid);
        }
        pids.sort_unstable();
        let info = |pid: u32| {
            let exec = container.execs.iter().find(|(_, exec)| exec.pid == pid);
            exec.map(|(exec_id, _)| {
                Any::pack(PROCESS_DETAILS, &ProcessDetails { exec_id: exec_id.clone() })
            })
        };
        let processes = pids.into_iter().map(|pid| ProcessInfo { pid, info: info(pid) }).collect();
        now(&PidsResponse { processes })
    }

    pub(super) fn stats(&mut self, id: &str) -> Outcome {
        let container = self.container(id)?;
        let Some(cgroup) = &container.cgroup else {
            return Err(wrong_state("the container has no control group of its own"));
        };
        now(&StatsResponse { stats: Some(cgroup.stats()) })
    }
}
