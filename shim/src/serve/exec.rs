//! Further processes of a container, and calls that act on running ones.

use super::calls::{Outcome, decode, done};
use super::container::{Process, Restore, no_container, no_process, wrong_state};
use super::jobs::{Job, Order, Step};
use super::lifecycle::Confinement;
use super::{Reply, Server};
use crate::engine::Files;
use crate::error::{At, Code, Error, Result};
use crate::files;
use crate::io::{Given, Names, ProcessIo};
use crate::proto::Status;
use crate::proto::events::{TaskExecAdded, TaskExecStarted, TaskPaused, TaskResumed};
use crate::proto::options::{CHECKPOINT_OPTIONS, CheckpointOptions};
use crate::proto::task::{
    CheckpointTaskRequest, CreateTaskRequest, ExecProcessRequest, KillRequest, PauseRequest,
    StartRequest, StartResponse, UpdateTaskRequest,
};
use nix::errno::Errno;
use nix::sys::signal::{SIGKILL, kill};
use nix::unistd::Pid;
use prost::Message;
use std::io::{Seek, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

impl Server {
    pub(super) fn exec(&mut self, payload: &[u8]) -> Outcome {
        let request: ExecProcessRequest = decode(payload)?;
        let container = self.container(&request.id)?;
        if request.exec_id.is_empty() {
            return Err(Error::invalid("exec id cannot be empty"));
        }
        if container.execs.contains_key(&request.exec_id) || request.exec_id == request.id {
            let text = format!("id {}: already exists", request.exec_id);
            return Err(Error::new(Code::AlreadyExists, text));
        }
        match (container.init.status, container.frozen) {
            (Status::Stopped, _) => return Err(wrong_state("cannot exec in a stopped container")),
            (_, Some(_)) => return Err(wrong_state("cannot exec in a paused state")),
            _ => {}
        }
        let mut process = Process::new(Names {
            stdin: request.stdin,
            stdout: request.stdout,
            stderr: request.stderr,
            terminal: request.terminal,
        });
        let spec = request.spec.map(|spec| spec.value).unwrap_or_default();
        process.spec = with_terminal(&spec, request.terminal)
            .at(|| format!("process of exec {}", request.exec_id))?;
        let kept = process.names.are_kept();
        container.execs.insert(request.exec_id.clone(), process);
        if kept && let Err(error) = self.open_early(&request.id, &request.exec_id) {
            self.container(&request.id)?.execs.remove(&request.exec_id);
            return Err(error);
        }
        self.publish(&TaskExecAdded { container_id: request.id, exec_id: request.exec_id });
        done()
    }

    /// Opens an exec's streams before its start, so that clients can attach in between: what a
    /// short process writes is theirs as well.
    fn open_early(&mut self, id: &str, exec_id: &str) -> Result<()> {
        let given = self.streams(id, exec_id, None)?;
        self.process(id, exec_id)?.given = Some(given);
        Ok(())
    }

    pub(super) fn start_exec(
        &mut self,
        request: &StartRequest,
        payload: &[u8],
        reply: Reply,
    ) -> Outcome {
        let (id, exec_id) = (request.id.as_str(), request.exec_id.as_str());
        let container = self.container(id)?;
        if !container.init.is_alive() {
            let text = format!("container {id} init process is not running");
            return Err(wrong_state(&text));
        }
        let process = container.execs.get_mut(exec_id).ok_or_else(|| no_process(exec_id))?;
        let confined = serde_json::from_slice::<Confinement>(&process.spec)
            .map_err(|error| Error::invalid(format!("process of exec {exec_id}: {error}")))?
            .applies();
        process.starting = true;
        let given = match process.given.take() {
            Some(given) => Ok(given),
            None => self.streams(id, exec_id, Some(confined)),
        };
        let outcome = given.and_then(|given| self.when_ready(id, exec_id, given, payload, reply));
        if outcome.is_err() {
            self.undo_exec(id, exec_id);
        }
        outcome
    }

    /// An exec that could not be started may be tried again, or deleted.
    fn undo_exec(&mut self, id: &str, exec_id: &str) {
        let Ok(process) = self.process(id, exec_id) else { return };
        process.starting = false;
        let io = process.io.take();
        self.close_streams(io);
    }

    /// Runs the engine's `exec`.
    fn exec_now(&mut self, id: &str, exec_id: &str, given: Given, reply: Reply) -> Outcome {
        let number = self.number();
        let container = self.containers.get(id).ok_or_else(|| no_container(id))?;
        let process = container.execs.get(exec_id).ok_or_else(|| no_process(exec_id))?;
        let spec = container.bundle.join(format!("exec{number}.json"));
        let pid_file = container.bundle.join(format!("exec{number}.pid"));
        files::write_whole(&spec, &process.spec).at(|| format!("write {}", spec.display()))?;
        let io = process.io.and_then(|io| self.ios.get(&io));
        let console = io.and_then(ProcessIo::console_path);
        let mut order = Order::new(id, exec_id, Step::Exec, Some(reply));
        order.streams = Some(given);
        order.files = vec![spec.clone(), pid_file.clone()];
        order.pid_file = Some(pid_file.clone());
        let run = self.run_engine(order, |engine, log| {
            engine.exec(log, &spec, &pid_file, console.as_deref(), id)
        });
        if run.is_err() {
            let _ = std::fs::remove_file(&spec);
        }
        run.map(|()| None)
    }

    pub(super) fn exec_started(&mut self, job: &Job, outcome: Result<()>) {
        let (id, exec_id) = (job.id.as_str(), job.exec_id.as_str());
        let learned = outcome.and_then(|()| self.learn_exec(id, exec_id, job.pid));
        let pid = match learned {
            Ok(pid) => pid,
            Err(error) => {
                self.undo_exec(id, exec_id);
                return self.answer_done(job.reply, Err(error));
            }
        };
        self.publish(&TaskExecStarted {
            container_id: id.to_owned(),
            exec_id: exec_id.to_owned(),
            pid,
        });
        if let Some(reply) = job.reply {
            self.reply(reply, Ok(StartResponse { pid }.encode_to_vec()));
        }
    }

    fn learn_exec(&mut self, id: &str, exec_id: &str, pid: u32) -> Result<u32> {
        let container = self.containers.get_mut(id).ok_or_else(|| no_container(id))?;
        let process = container.execs.get_mut(exec_id).ok_or_else(|| no_process(exec_id))?;
        if pid == 0 {
            return Err(Error::unknown("the engine wrote no pid of the exec"));
        }
        process.pid = pid;
        process.starting = false;
        process.status = Status::Running;
        process.spec = Vec::new();
        if let Some(io) = process.io.and_then(|io| self.ios.get_mut(&io)) {
            io.take_terminal(&mut self.poller)?;
        }
        Ok(pid)
    }

    /// Goes on with a start or create at once, or when a logger has said that it is ready.
    pub(super) fn when_ready(
        &mut self,
        id: &str,
        exec_id: &str,
        given: Given,
        payload: &[u8],
        reply: Reply,
    ) -> Outcome {
        let io = self.process_io(id, exec_id);
        if let Some(number) = io
            && self.ios.get(&number).is_some_and(ProcessIo::waits_for_logger)
        {
            self.waiting.insert(
                number,
                super::Waiting {
                    id: id.to_owned(),
                    exec_id: exec_id.to_owned(),
                    given,
                    payload: payload.to_vec(),
                    reply,
                },
            );
            return Ok(None);
        }
        self.go_on(id, exec_id, given, payload, reply)
    }

    fn go_on(
        &mut self,
        id: &str,
        exec_id: &str,
        given: Given,
        payload: &[u8],
        reply: Reply,
    ) -> Outcome {
        if exec_id.is_empty() {
            let request: CreateTaskRequest = decode(payload)?;
            self.create_now(&request, given, reply)
        } else {
            self.exec_now(id, exec_id, given, reply)
        }
    }

    fn process_io(&self, id: &str, exec_id: &str) -> Option<u64> {
        self.containers.get(id)?.process(exec_id)?.io
    }

    /// Something has happened to the streams of a process.
    pub(super) fn stream_changed(&mut self, number: u64) {
        let Some(io) = self.ios.get(&number) else { return };
        if !io.waits_for_logger()
            && let Some(waiting) = self.waiting.remove(&number)
        {
            let (id, exec_id) = (waiting.id.as_str(), waiting.exec_id.as_str());
            let outcome = if io.logger_is_ready() {
                self.go_on(id, exec_id, waiting.given, &waiting.payload, waiting.reply)
            } else {
                Err(Error::unknown("the logger ended before it was ready"))
            };
            if let Err(error) = outcome {
                if exec_id.is_empty() {
                    self.undo_create(id);
                } else {
                    self.undo_exec(id, exec_id);
                }
                self.reply(waiting.reply, Err(error));
            } else if let Ok(Some(payload)) = outcome {
                self.reply(waiting.reply, Ok(payload));
            }
            return;
        }
        if io.is_drained() && !self.deferred.is_empty() {
            let owner = self.containers.iter().find_map(|(id, container)| {
                let mut all = container.execs.iter().map(|(name, exec)| (name.as_str(), exec));
                let exec = all.find(|(_, exec)| exec.io == Some(number)).map(|(name, _)| name);
                let init = (container.init.io == Some(number)).then_some("");
                Some((id.clone(), init.or(exec)?.to_owned()))
            });
            if let Some((id, exec_id)) = owner {
                self.resume_deferred(&id, &exec_id);
            }
        }
    }

    /// Closes the streams of a process that is gone.
    pub(super) fn close_streams(&mut self, number: Option<u64>) {
        let Some(number) = number else { return };
        let Some(io) = self.ios.remove(&number) else { return };
        if let Some(pid) = io.logger {
            signal(pid, nix::sys::signal::SIGTERM);
            self.timers.after(Duration::from_secs(12), super::Timer::KillLogger(pid));
            self.loggers.insert(pid);
        }
        if let Some(hub) = io.close(&mut self.poller) {
            self.leaving.insert(number, hub);
        }
    }

    /// A logger that was asked to end did not.
    pub(super) fn kill_logger(&mut self, pid: u32) {
        if self.loggers.contains(&pid) {
            signal(pid, SIGKILL);
        }
    }

    pub(super) fn restore(&mut self, id: &str, reply: Reply) -> Outcome {
        let container = self.containers.get(id).ok_or_else(|| no_container(id))?;
        let Some(Restore { image }) = container.restore.clone() else { return done() };
        let bundle = container.bundle.clone();
        let work = work_dir(&container.options.criu_work_path, &bundle);
        let io = container.init.io.and_then(|io| self.ios.get(&io));
        let console = io.and_then(ProcessIo::console_path);
        let pid_file = bundle.join(crate::delete::PID_FILE);
        let mut order = Order::new(id, "", Step::Restore, Some(reply));
        order.streams = self.process(id, "")?.given.take();
        self.run_engine(order, |engine, log| {
            let files = Files { bundle: &bundle, pid_file: &pid_file, console: console.as_deref() };
            engine.restore(log, &image, &work, files, id)
        })?;
        self.process(id, "")?.starting = true;
        Ok(None)
    }

    pub(super) fn freeze(&mut self, method: &str, payload: &[u8], reply: Reply) -> Outcome {
        let PauseRequest { id } = decode(payload)?;
        let container = self.container(&id)?;
        if container.init.busy || container.init.starting {
            return self.defer((&id, ""), method, payload, reply);
        }
        let pause = method == "Pause";
        match (container.init.status, container.frozen) {
            (Status::Running, None) if pause => container.frozen = Some(Status::Pausing),
            (Status::Running, Some(_)) if !pause => {}
            (_, Some(_)) if pause => return Err(wrong_state("cannot pause a paused container")),
            (Status::Running, None) => {
                return Err(wrong_state("cannot resume a running process"));
            }
            _ => return Err(wrong_state(&format!("cannot {} it", method.to_lowercase()))),
        }
        let step = if pause { Step::Pause } else { Step::Resume };
        let order = Order::new(&id, "", step, Some(reply));
        let command = if pause { "pause" } else { "resume" };
        let run = self.run_engine(order, |engine, log| engine.plain(log, command, &id));
        if run.is_err() && pause {
            self.container(&id)?.frozen = None;
        }
        run.map(|()| None)
    }

    pub(super) fn frozen(&mut self, job: &Job, outcome: Result<()>) {
        let pause = job.step == Step::Pause;
        if let Some(container) = self.containers.get_mut(&job.id) {
            container.frozen = match (&outcome, pause) {
                (Ok(()), true) | (Err(_), false) => Some(Status::Paused),
                _ => None,
            };
        }
        match (&outcome, pause) {
            (Ok(()), true) => self.publish(&TaskPaused { container_id: job.id.clone() }),
            (Ok(()), false) => self.publish(&TaskResumed { container_id: job.id.clone() }),
            (Err(_), _) => {}
        }
        self.answer_done(job.reply, outcome);
    }

    pub(super) fn kill(&mut self, payload: &[u8], reply: Reply) -> Outcome {
        let request: KillRequest = decode(payload)?;
        let frozen = self.container(&request.id)?.frozen.is_some();
        let process = self.process(&request.id, &request.exec_id)?;
        if process.pid == 0 {
            return Err(wrong_state("process not created"));
        }
        if !request.all || !request.exec_id.is_empty() {
            if !process.is_alive() {
                return Err(Error::new(Code::NotFound, "process already finished: not found"));
            }
            // A frozen one has to be thawed to die, which the engine knows how to.
            if !frozen || !request.exec_id.is_empty() {
                return send(process.pid, request.signal).and_then(|()| done());
            }
        }
        let (id, all, signal) = (request.id, request.all, request.signal);
        let order = Order::new(&id, "", Step::Kill, Some(reply));
        self.run_engine(order, |engine, log| engine.kill(log, all, &id, signal))?;
        Ok(None)
    }

    pub(super) fn killed(&mut self, job: &Job, outcome: Result<()>) {
        let gone = ["process already finished", "container not running", "no such process"];
        let outcome = outcome.map_err(|error| {
            let text = error.message();
            if gone.iter().any(|words| text.contains(words)) || text.contains("does not exist") {
                Error::new(Code::NotFound, format!("{text}: not found"))
            } else {
                error
            }
        });
        self.answer_done(job.reply, outcome);
    }

    pub(super) fn update(&mut self, payload: &[u8], reply: Reply) -> Outcome {
        let request: UpdateTaskRequest = decode(payload)?;
        if self.process(&request.id, "")?.busy {
            return self.defer((&request.id, ""), "Update", payload, reply);
        }
        let resources = request.resources.map(|any| any.value).unwrap_or_default();
        let mut order = Order::new(&request.id, "", Step::Update, Some(reply));
        order.input = Some(in_memory(&resources)?);
        let id = request.id.clone();
        self.run_engine(order, |engine, log| engine.update(log, &id))?;
        Ok(None)
    }

    pub(super) fn checkpoint(&mut self, payload: &[u8], reply: Reply) -> Outcome {
        let request: CheckpointTaskRequest = decode(payload)?;
        let container = self.container(&request.id)?;
        if container.init.busy {
            return self.defer((&request.id, ""), "Checkpoint", payload, reply);
        }
        if container.init.status != Status::Running {
            return Err(wrong_state("cannot checkpoint a container that does not run"));
        }
        let options = match &request.options {
            Some(any) if any.is(CHECKPOINT_OPTIONS) => decode::<CheckpointOptions>(&any.value)?,
            Some(any) if !any.type_url.is_empty() => {
                return Err(Error::invalid(format!("checkpoint options {:?}", any.type_url)));
            }
            _ => CheckpointOptions::default(),
        };
        let image = if options.image_path.is_empty() { &request.path } else { &options.image_path };
        let image = PathBuf::from(image);
        let given = if options.work_path.is_empty() {
            &container.options.criu_work_path
        } else {
            &options.work_path
        };
        let work = work_dir(given, &container.bundle);
        let id = request.id;
        let order = Order::new(&id, "", Step::Checkpoint, Some(reply));
        self.run_engine(order, |engine, log| engine.checkpoint(log, &image, &work, &options, &id))?;
        Ok(None)
    }
}

/// A `process` object whose `terminal` is the request's: clients set only that.
fn with_terminal(spec: &[u8], terminal: bool) -> Result<Vec<u8>> {
    let wrong = |error: serde_json::Error| Error::invalid(error.to_string());
    let mut spec: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(spec).map_err(wrong)?;
    spec.insert("terminal".to_owned(), terminal.into());
    serde_json::to_vec(&spec).map_err(wrong)
}

/// Where criu works: where it is told to, or in the bundle.
fn work_dir(given: &str, bundle: &Path) -> PathBuf {
    if given.is_empty() { bundle.join("criu-work") } else { PathBuf::from(given) }
}

/// A file of these bytes that has no name.
fn in_memory(bytes: &[u8]) -> Result<OwnedFd> {
    use nix::sys::memfd::{MFdFlags, memfd_create};
    let fd = memfd_create(c"input", MFdFlags::MFD_CLOEXEC).at(|| "make a memfd".to_owned())?;
    let mut file = std::fs::File::from(fd);
    file.write_all(bytes).and_then(|()| file.rewind()).at(|| "write a memfd".to_owned())?;
    Ok(file.into())
}

/// Signals a child that has not been waited for: its pid can be nobody else's.
fn send(pid: u32, number: u32) -> Result<()> {
    let raw = i32::try_from(pid).unwrap_or(i32::MAX);
    let number = i32::try_from(number).map_err(|_| Error::invalid(format!("signal {number}")))?;
    // Real-time signals have no name in nix: by number.
    match crate::sys::kill_by_number(raw, number) {
        Ok(()) => Ok(()),
        Err(Errno::ESRCH) => Err(Error::new(Code::NotFound, "process already finished: not found")),
        Err(errno) => Err(errno).at(|| format!("send signal {number} to {pid}")),
    }
}

fn signal(pid: u32, signal: nix::sys::signal::Signal) {
    if let Ok(raw) = i32::try_from(pid) {
        // It may have ended a moment ago.
        let _ = kill(Pid::from_raw(raw), signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_requests_word_on_the_terminal_counts() {
        let spec = with_terminal(br#"{"args":["sh"],"terminal":false}"#, true).unwrap();
        assert_eq!(spec, br#"{"args":["sh"],"terminal":true}"#);
        assert!(with_terminal(b"[]", true).is_err());
        assert!(with_terminal(b"", true).is_err());
    }
}
