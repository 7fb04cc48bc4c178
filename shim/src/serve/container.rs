//! What is known of containers and their processes.

use super::Reply;
use crate::cgroup::{Cgroup, Pressure};
use crate::engine::Engine;
use crate::error::{Code, Error, Result};
use crate::io::open::Owner;
use crate::io::{Given, Names};
use crate::options::EngineOptions;
use crate::proto::{Status, Timestamp};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code, or 128 and the signal that killed it.
    pub status: u32,
    /// When it was waited for.
    pub at: Timestamp,
}

/// A container's init, or an exec.
#[derive(Debug)]
pub struct Process {
    /// 0 before it runs.
    pub pid: u32,
    /// Created, running or stopped.
    pub status: Status,
    /// It has ended, but that has not been told: others' ends, or its own start, come first.
    pub reaped: Option<Exit>,
    /// It has ended, and that has been told.
    pub exit: Option<Exit>,
    /// Who waits for its end.
    pub waiters: Vec<Reply>,
    /// Its streams' names.
    pub names: Names,
    /// Its streams.
    pub io: Option<u64>,
    /// What its engine will be given, where that is open before the engine runs.
    pub given: Option<Given>,
    /// An exec's `process` object, until it is started.
    pub spec: Vec<u8>,
    /// An engine works on it; other calls wait.
    pub busy: bool,
    /// It is being started: its end is not to be told before its start.
    pub starting: bool,
}

impl Process {
    /// A process that does not run yet.
    pub fn new(names: Names) -> Self {
        Self {
            pid: 0,
            status: Status::Created,
            reaped: None,
            exit: None,
            waiters: Vec::new(),
            names,
            io: None,
            given: None,
            spec: Vec::new(),
            busy: false,
            starting: false,
        }
    }

    /// It runs, as far as the kernel is concerned.
    pub fn is_alive(&self) -> bool {
        self.pid != 0 && self.reaped.is_none() && self.exit.is_none()
    }
}

/// What becomes of processes that outlive init.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// Init runs, or nothing has been done about them.
    Alive,
    /// An engine is ending them.
    Ending,
    /// They have been told to end; they have until then.
    Told(Instant),
}

/// What a container is to be restored from.
#[derive(Debug, Clone)]
pub struct Restore {
    /// The checkpoint.
    pub image: PathBuf,
}

/// A container.
#[derive(Debug)]
pub struct Container {
    /// Its bundle.
    pub bundle: PathBuf,
    /// The options it was created with.
    pub options: EngineOptions,
    /// How its engine is called.
    pub engine: Engine,
    /// Its control groups, once it has a process.
    pub cgroup: Option<Cgroup>,
    /// How many OOM kills have been told.
    pub oom_kills: u64,
    /// What was last seen of its memory, on cgroup v2.
    pub pressure: Option<Pressure>,
    /// Its init.
    pub init: Process,
    /// Its execs.
    pub execs: BTreeMap<String, Process>,
    /// Frozen, or about to be.
    pub frozen: Option<Status>,
    /// It is not created yet: nobody may know of it.
    pub hidden: bool,
    /// Its init shares a pid namespace: the kernel does not end the others with it.
    pub shared_pids: bool,
    /// What becomes of the others when init has ended.
    pub rest: Rest,
    /// It starts from a checkpoint.
    pub restore: Option<Restore>,
    /// The container's processes may not use files of the host's.
    pub confined: bool,
}

impl Container {
    /// A process by its exec id; empty is init.
    pub fn process(&self, exec_id: &str) -> Option<&Process> {
        if exec_id.is_empty() { Some(&self.init) } else { self.execs.get(exec_id) }
    }

    /// The same, to be changed.
    pub fn process_mut(&mut self, exec_id: &str) -> Option<&mut Process> {
        if exec_id.is_empty() { Some(&mut self.init) } else { self.execs.get_mut(exec_id) }
    }

    /// The status to tell of a process: a frozen one's is that of its container.
    pub fn status(&self, process: &Process) -> Status {
        match (process.status, self.frozen) {
            (Status::Running, Some(frozen)) => frozen,
            (status, _) => status,
        }
    }

    /// Whether init's end has to wait for processes that outlive it.
    pub fn rest_lives(&self) -> bool {
        match self.rest {
            Rest::Told(until) => {
                let left = self.cgroup.as_ref().is_some_and(|cgroup| !cgroup.pids().is_empty());
                left && Instant::now() < until
            }
            Rest::Alive | Rest::Ending => self.shared_pids,
        }
    }

    /// Who streams are given to.
    pub fn owner(&self) -> Owner {
        Owner { uid: self.options.io_uid, gid: self.options.io_gid }
    }
}

/// An error for a container that is not there.
pub fn no_container(id: &str) -> Error {
    Error::new(Code::NotFound, format!("container {id:?} not created: not found"))
}

/// An error for an exec that is not there.
pub fn no_process(exec_id: &str) -> Error {
    Error::new(Code::NotFound, format!("process does not exist {exec_id}: not found"))
}

/// An error for a call that does not fit the state.
pub fn wrong_state(what: &str) -> Error {
    Error::new(Code::FailedPrecondition, format!("{what}: failed precondition"))
}

impl super::Server {
    /// A container that has been created.
    pub(super) fn container(&mut self, id: &str) -> Result<&mut Container> {
        self.containers
            .get_mut(id)
            .filter(|container| !container.hidden)
            .ok_or_else(|| no_container(id))
    }

    /// A process of a container that has been created.
    pub(super) fn process(&mut self, id: &str, exec_id: &str) -> Result<&mut Process> {
        self.container(id)?.process_mut(exec_id).ok_or_else(|| no_process(exec_id))
    }
}
