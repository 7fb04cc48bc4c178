//! The Task service of one container's shim.

use super::{NAMESPACE, Stdio, options};
use crate::config::Config;
use crate::error::{Error, Result};
use hull_shim::error::{Code, Error as ShimError};
use hull_shim::proto::task::{
    CloseIoRequest, CreateTaskRequest, CreateTaskResponse, DeleteRequest, DeleteResponse,
    ExecProcessRequest, KillRequest, PauseRequest, PidsRequest, PidsResponse, ResizePtyRequest,
    ResumeRequest, SERVICE_V3, ShutdownRequest, StartRequest, StartResponse, StateRequest,
    StateResponse, StatsRequest, StatsResponse, UpdateTaskRequest, WaitRequest, WaitResponse,
};
use hull_shim::proto::types::{Any, Empty};
use hull_shim::ttrpc::Client;
use prost::Message;
use std::path::Path;
use std::time::Duration;

/// For calls that wait for nothing but the shim and the runtime.
const LIMIT: Duration = Duration::from_secs(60);
/// Type URLs of JSON payloads (containerd's typeurl).
const PROCESS: &str = "types.containerd.io/opencontainers/runtime-spec/1/Process";
const RESOURCES: &str = "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources";

/// A connection to a container's shim. Exec ids are empty for the container's own process.
pub struct Task {
    client: Client,
    id: String,
}

impl Task {
    /// Connects to the shim at `socket`.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn connect(socket: &Path, id: &str) -> Result<Self> {
        let client = Client::connect(socket, NAMESPACE).map_err(|error| failed(&error))?;
        Ok(Self { client, id: id.into() })
    }

    fn call<A: Message, B: Message + Default>(&mut self, method: &str, argument: &A) -> Result<B> {
        self.client.call(SERVICE_V3, method, argument, Some(LIMIT)).map_err(|error| failed(&error))
    }

    fn tell<A: Message>(&mut self, method: &str, argument: &A) -> Result<()> {
        self.call::<A, Empty>(method, argument).map(drop)
    }

    /// Creates the container of a bundle; answers its process.
    ///
    /// # Errors
    /// The runtime's words.
    pub fn create(&mut self, config: &Config, bundle: &Path, stdio: &Stdio) -> Result<i32> {
        let request = CreateTaskRequest {
            id: self.id.clone(),
            bundle: bundle.display().to_string(),
            terminal: stdio.terminal,
            stdin: stdio.stdin.clone(),
            stdout: stdio.stdout.clone(),
            stderr: stdio.stderr.clone(),
            options: Some(options(config)),
            ..CreateTaskRequest::default()
        };
        let answer: CreateTaskResponse = self.call("Create", &request)?;
        pid(answer.pid)
    }

    /// Starts the container's process or an exec's; answers its pid.
    ///
    /// # Errors
    /// The runtime's words.
    pub fn start(&mut self, exec: &str) -> Result<i32> {
        let request = StartRequest { id: self.id.clone(), exec_id: exec.into() };
        let answer: StartResponse = self.call("Start", &request)?;
        pid(answer.pid)
    }

    /// Registers an exec; `process` is the spec's process object in JSON.
    ///
    /// # Errors
    /// The shim's words.
    pub fn exec(&mut self, exec: &str, process: Vec<u8>, stdio: &Stdio) -> Result<()> {
        self.tell(
            "Exec",
            &ExecProcessRequest {
                id: self.id.clone(),
                exec_id: exec.into(),
                terminal: stdio.terminal,
                stdin: stdio.stdin.clone(),
                stdout: stdio.stdout.clone(),
                stderr: stdio.stderr.clone(),
                spec: Some(Any { type_url: PROCESS.into(), value: process }),
            },
        )
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// 404 when the process is gone.
    pub fn kill(&mut self, exec: &str, signal: i32) -> Result<()> {
        self.tell(
            "Kill",
            &KillRequest {
                id: self.id.clone(),
                exec_id: exec.into(),
                signal: signal.unsigned_abs(),
                all: false,
            },
        )
    }

    /// Waits for a process' end without a limit; answers its exit status.
    ///
    /// # Errors
    /// 404 when the shim doesn't know it; the shim died.
    pub fn wait(&mut self, exec: &str) -> Result<(i64, i64)> {
        let request = WaitRequest { id: self.id.clone(), exec_id: exec.into() };
        let answer: WaitResponse =
            self.client.call(SERVICE_V3, "Wait", &request, None).map_err(|error| failed(&error))?;
        Ok((i64::from(answer.exit_status), nanoseconds(answer.exited_at)))
    }

    /// What the shim knows of a process.
    ///
    /// # Errors
    /// 404 when it doesn't know it.
    pub fn state(&mut self, exec: &str) -> Result<StateResponse> {
        self.call("State", &StateRequest { id: self.id.clone(), exec_id: exec.into() })
    }

    /// Removes a process that ended.
    ///
    /// # Errors
    /// The runtime's words.
    pub fn delete(&mut self, exec: &str) -> Result<(i64, i64)> {
        let request = DeleteRequest { id: self.id.clone(), exec_id: exec.into() };
        let answer: DeleteResponse = self.call("Delete", &request)?;
        Ok((i64::from(answer.exit_status), nanoseconds(answer.exited_at)))
    }

    /// Lets the shim end when it has nothing left.
    ///
    /// # Errors
    /// It is gone already.
    pub fn shutdown(&mut self) -> Result<()> {
        self.tell("Shutdown", &ShutdownRequest { id: self.id.clone(), now: false })
    }

    /// Processes of the container.
    ///
    /// # Errors
    /// The shim's words.
    pub fn pids(&mut self) -> Result<Vec<i32>> {
        let answer: PidsResponse = self.call("Pids", &PidsRequest { id: self.id.clone() })?;
        answer.processes.iter().map(|process| pid(process.pid)).collect()
    }

    /// Sets a terminal's size.
    ///
    /// # Errors
    /// There is no terminal.
    pub fn resize(&mut self, exec: &str, rows: u16, columns: u16) -> Result<()> {
        self.tell(
            "ResizePty",
            &ResizePtyRequest {
                id: self.id.clone(),
                exec_id: exec.into(),
                width: columns.into(),
                height: rows.into(),
            },
        )
    }

    /// Ends a process' stdin.
    ///
    /// # Errors
    /// The shim's words.
    pub fn close_stdin(&mut self, exec: &str) -> Result<()> {
        let (id, exec_id) = (self.id.clone(), exec.into());
        self.tell("CloseIO", &CloseIoRequest { id, exec_id, stdin: true })
    }

    /// Freezes the container.
    ///
    /// # Errors
    /// The runtime's words.
    pub fn pause(&mut self) -> Result<()> {
        self.tell("Pause", &PauseRequest { id: self.id.clone() })
    }

    /// Thaws the container.
    ///
    /// # Errors
    /// The runtime's words.
    pub fn resume(&mut self) -> Result<()> {
        self.tell("Resume", &ResumeRequest { id: self.id.clone() })
    }

    /// Sets limits; `resources` is the spec's `linux.resources` in JSON.
    ///
    /// # Errors
    /// The runtime's words.
    pub fn update(&mut self, resources: Vec<u8>) -> Result<()> {
        self.tell(
            "Update",
            &UpdateTaskRequest {
                id: self.id.clone(),
                resources: Some(Any { type_url: RESOURCES.into(), value: resources }),
                ..UpdateTaskRequest::default()
            },
        )
    }

    /// Cgroup figures: a v1 or v2 metrics message.
    ///
    /// # Errors
    /// The shim's words.
    pub fn stats(&mut self) -> Result<Any> {
        let answer: StatsResponse = self.call("Stats", &StatsRequest { id: self.id.clone() })?;
        answer.stats.ok_or_else(|| Error::internal("the shim told no figures"))
    }
}

/// A process id that can be one.
fn pid(pid: u32) -> Result<i32> {
    i32::try_from(pid).map_err(|_| Error::internal(format!("the shim told pid {pid}")))
}

/// A time of the shim's.
pub fn nanoseconds(time: Option<hull_shim::proto::types::Timestamp>) -> i64 {
    time.map_or(0, |time| {
        time.seconds.saturating_mul(1_000_000_000).saturating_add(i64::from(time.nanos))
    })
}

/// The shim's error in the API's terms.
fn failed(error: &ShimError) -> Error {
    let status = match error.code() {
        Code::NotFound => 404,
        Code::AlreadyExists | Code::FailedPrecondition => 409,
        Code::InvalidArgument => 400,
        Code::Unimplemented => 501,
        Code::Unavailable => 503,
        _ => 500,
    };
    Error::new(status, error.message())
}
