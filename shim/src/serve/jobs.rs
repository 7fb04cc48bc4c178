//! Engines at work: each is a child with a log of its own, and a step that follows its end.

use super::container::Rest;
use super::timers::Timer;
use super::{Reply, Server};
use crate::delete::read_pid;
use crate::engine::{Engine, last_error};
use crate::error::{At, Error, Result};
use crate::io::Given;
use crate::proto::task::CreateTaskRequest;
use crate::{files, sys};
use std::ffi::OsString;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// The longest log that is read.
const LOG_LIMIT: u64 = 1 << 20;
/// How long a killed process may take to be gone: one in the kernel can't be hurried.
const REST_LIMIT: Duration = Duration::from_secs(2);

/// What an engine was run for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Create,
    Start,
    Restore,
    Exec,
    Delete,
    Pause,
    Resume,
    Update,
    Checkpoint,
    Kill,
    /// After init's end, of a container that shares its pid namespace.
    EndAll,
    /// A paused container whose init was killed.
    Thaw,
}

impl Step {
    /// Whether the engine makes processes whose pids are learned only when it has ended.
    pub(super) fn makes_processes(self) -> bool {
        matches!(self, Self::Create | Self::Start | Self::Restore | Self::Exec)
    }

    /// Whether other calls on the process wait for this one.
    fn occupies(self) -> bool {
        !matches!(self, Self::Kill | Self::EndAll | Self::Thaw)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Start => "start",
            Self::Restore => "restore",
            Self::Exec => "exec",
            Self::Delete => "delete",
            Self::Pause => "pause",
            Self::Resume | Self::Thaw => "resume",
            Self::Update => "update",
            Self::Checkpoint => "checkpoint",
            Self::Kill | Self::EndAll => "kill",
        }
    }
}

/// An engine that runs.
#[derive(Debug)]
pub(super) struct Job {
    pub id: String,
    pub exec_id: String,
    pub step: Step,
    pub reply: Option<Reply>,
    program: String,
    log: PathBuf,
    /// Files that were made for the engine.
    files: Vec<PathBuf>,
    /// Where the engine writes a pid.
    pid_file: Option<PathBuf>,
    /// That pid, 0 until the engine has ended.
    pub pid: u32,
    /// What a create was asked with.
    pub request: Option<CreateTaskRequest>,
}

/// What to run.
pub(super) struct Order<'a> {
    pub id: &'a str,
    pub exec_id: &'a str,
    pub step: Step,
    pub reply: Option<Reply>,
    /// Standard streams; /dev/null otherwise.
    pub streams: Option<Given>,
    pub input: Option<OwnedFd>,
    pub files: Vec<PathBuf>,
    pub pid_file: Option<PathBuf>,
    pub request: Option<CreateTaskRequest>,
}

impl<'a> Order<'a> {
    /// An order without streams or files.
    pub fn new(id: &'a str, exec_id: &'a str, step: Step, reply: Option<Reply>) -> Self {
        Self {
            id,
            exec_id,
            step,
            reply,
            streams: None,
            input: None,
            files: Vec::new(),
            pid_file: None,
            request: None,
        }
    }
}

impl Server {
    /// Runs an engine; `line` makes its arguments, given where it is to log.
    pub(super) fn run_engine(
        &mut self,
        order: Order<'_>,
        line: impl FnOnce(&Engine, &Path) -> Vec<OsString>,
    ) -> Result<()> {
        let number = self.number();
        let Some(container) = self.containers.get_mut(order.id) else {
            return Err(super::container::no_container(order.id));
        };
        // The first one keeps the name that people look for.
        let log = match order.step {
            Step::Create => container.bundle.join("log.json"),
            _ => container.bundle.join(format!("log{number}.json")),
        };
        let mut command = sys::command(&container.engine.program);
        command.args(line(&container.engine, &log)).current_dir(&container.bundle);
        if let Some(given) = order.streams {
            command.stdin(given.stdin).stdout(given.stdout).stderr(given.stderr);
        } else {
            command.stdin(order.input.map_or_else(Stdio::null, Stdio::from));
            command.stdout(Stdio::null()).stderr(Stdio::null());
        }
        // An engine that goes on when this shim is dead would race with the clean-up.
        sys::die_with_parent(&mut command);
        let child = command.spawn().at(|| format!("run {:?}", container.engine.program))?;
        if let Some(process) = container.process_mut(order.exec_id)
            && order.step.occupies()
        {
            process.busy = true;
        }
        let job = Job {
            id: order.id.to_owned(),
            exec_id: order.exec_id.to_owned(),
            step: order.step,
            reply: order.reply,
            program: container.engine.program.clone(),
            log,
            files: order.files,
            pid_file: order.pid_file,
            pid: 0,
            request: order.request,
        };
        self.jobs.insert(child.id(), job);
        Ok(())
    }

    /// An engine has ended with `status`.
    pub(super) fn job_ended(&mut self, mut job: Job, status: u32) {
        job.pid = job.pid_file.as_deref().map_or(0, read_pid);
        let job = &job;
        let said = files::read_bounded(&job.log, LOG_LIMIT).unwrap_or_default();
        if job.step != Step::Create {
            let _ = fs::remove_file(&job.log);
        }
        for file in &job.files {
            let _ = fs::remove_file(file);
        }
        let outcome = if status == 0 { Ok(()) } else { Err(job.failure(&said, status)) };
        if let Some(container) = self.containers.get_mut(&job.id)
            && let Some(process) = container.process_mut(&job.exec_id)
            && job.step.occupies()
        {
            process.busy = false;
        }
        match job.step {
            Step::Create => self.created(job, outcome),
            Step::Start | Step::Restore => self.started(job, outcome),
            Step::Exec => self.exec_started(job, outcome),
            Step::Delete => self.deleted(job, outcome),
            Step::Pause | Step::Resume => self.frozen(job, outcome),
            Step::Update | Step::Checkpoint => self.answer_done(job.reply, outcome),
            Step::Kill => self.killed(job, outcome),
            Step::EndAll | Step::Thaw => {
                if let Err(error) = outcome {
                    self.log.debug(&error.to_string());
                }
                if let Some(container) = self.containers.get_mut(&job.id)
                    && job.step == Step::EndAll
                {
                    container.rest = Rest::Told(Instant::now() + REST_LIMIT);
                    self.timers.after(REST_LIMIT, Timer::Rest);
                }
            }
        }
        self.settle(&job.id);
        self.resume_deferred(&job.id, &job.exec_id);
    }

    /// Answers a call that has nothing to tell but success.
    pub(super) fn answer_done(&mut self, reply: Option<Reply>, outcome: Result<()>) {
        if let Some(reply) = reply {
            self.reply(reply, outcome.map(|()| Vec::new()));
        }
    }
}

impl Job {
    fn failure(&self, said: &[u8], status: u32) -> Error {
        let reason = last_error(&String::from_utf8_lossy(said)).unwrap_or_else(|| {
            if status > 128 {
                format!("{} was killed by signal {}", self.program, status - 128)
            } else {
                format!("{} did not terminate successfully: exit status {status}", self.program)
            }
        });
        Error::unknown(format!("OCI runtime {} failed: {reason}", self.step.name()))
    }
}
