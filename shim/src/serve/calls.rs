//! Calls of the Task service, by name.

use super::container::no_process;
use super::{Deferred, Reply, Server};
use crate::error::{Code, Error, Result};
use crate::proto::Empty;
use crate::proto::rpc::Request;
use crate::proto::task::{
    CloseIoRequest, ConnectRequest, ConnectResponse, PidsRequest, ResizePtyRequest, SERVICE_V2,
    SERVICE_V3, ShutdownRequest, StateRequest, StatsRequest, WaitRequest,
};
use crate::ttrpc::{Frame, Kind};
use prost::Message;

/// What a call leads to: an answer at once, or later.
pub(super) type Outcome = Result<Option<Vec<u8>>>;

/// An answer at once.
#[expect(clippy::unnecessary_wraps, reason = "the last word of calls, which may fail")]
pub(super) fn now(message: &impl Message) -> Outcome {
    Ok(Some(message.encode_to_vec()))
}

/// The answer that says nothing.
pub(super) fn done() -> Outcome {
    now(&Empty {})
}

/// Reads a request.
pub(super) fn decode<M: Message + Default>(payload: &[u8]) -> Result<M> {
    M::decode(payload).map_err(|error| Error::invalid(format!("request: {error}")))
}

impl Server {
    pub(super) fn frame(&mut self, connection: u64, frame: Frame) {
        let reply = Reply { connection, stream: frame.stream };
        if frame.kind != Kind::Request {
            self.log.debug("a frame that is no request was passed over");
            return;
        }
        let Some(payload) = frame.payload else {
            let error = Error::new(Code::ResourceExhausted, "a message has at most 4 MiB");
            return self.reply(reply, Err(error));
        };
        match decode::<Request>(&payload) {
            Ok(request) if [SERVICE_V2, SERVICE_V3].contains(&request.service.as_str()) => {
                self.call(&request.method, &request.payload, reply);
            }
            Ok(request) => {
                let text = format!("service {} method {}", request.service, request.method);
                self.reply(reply, Err(Error::new(Code::Unimplemented, text)));
            }
            Err(error) => self.reply(reply, Err(error)),
        }
    }

    pub(super) fn call(&mut self, method: &str, payload: &[u8], reply: Reply) {
        let outcome = match method {
            "Create" => {
                self.idle.is_over();
                self.create(payload, reply)
            }
            "Start" => self.start(payload, reply),
            "Delete" => self.delete(payload, reply),
            "Exec" => self.exec(payload),
            "Pause" | "Resume" => self.freeze(method, payload, reply),
            "Kill" => self.kill(payload, reply),
            "Update" => self.update(payload, reply),
            "Checkpoint" => self.checkpoint(payload, reply),
            "State" => decode(payload).and_then(|request: StateRequest| self.state(&request)),
            "Pids" => decode(payload).and_then(|request: PidsRequest| self.pids(&request.id)),
            "Stats" => decode(payload).and_then(|request: StatsRequest| self.stats(&request.id)),
            "Wait" => decode(payload).and_then(|request: WaitRequest| self.wait(&request, reply)),
            "ResizePty" => decode(payload).and_then(|request| self.resize(&request)),
            "CloseIO" => decode(payload).and_then(|request| self.close_io(&request)),
            "Connect" => decode(payload).and_then(|request| self.connect(&request)),
            "Shutdown" => decode(payload).and_then(|_: ShutdownRequest| {
                if self.containers.is_empty() {
                    self.end();
                }
                done()
            }),
            _ => Err(Error::new(Code::Unimplemented, format!("method {method}"))),
        };
        match outcome {
            Ok(None) => {}
            Ok(Some(payload)) => self.reply(reply, Ok(payload)),
            Err(error) => self.reply(reply, Err(error)),
        }
    }

    /// Puts a call off while an engine works on the process; the call is made again later.
    #[expect(clippy::unnecessary_wraps, reason = "the last word of calls, which may fail")]
    pub(super) fn defer(
        &mut self,
        (id, exec_id): (&str, &str),
        method: &str,
        payload: &[u8],
        reply: Reply,
    ) -> Outcome {
        self.deferred.push(Deferred {
            id: id.to_owned(),
            exec_id: exec_id.to_owned(),
            method: method.to_owned(),
            payload: payload.to_vec(),
            reply,
        });
        Ok(None)
    }

    /// Makes the calls again that were put off for a process.
    pub(super) fn resume_deferred(&mut self, id: &str, exec_id: &str) {
        let (mine, others) = std::mem::take(&mut self.deferred)
            .into_iter()
            .partition(|call| call.id == id && call.exec_id == exec_id);
        self.deferred = others;
        let mine: Vec<Deferred> = mine;
        for call in mine {
            self.call(&call.method, &call.payload, call.reply);
        }
    }

    fn resize(&mut self, request: &ResizePtyRequest) -> Outcome {
        let process = self.process(&request.id, &request.exec_id)?;
        if let Some(io) = process.io.and_then(|io| self.ios.get(&io)) {
            io.resize(request.width, request.height)?;
        }
        done()
    }

    fn close_io(&mut self, request: &CloseIoRequest) -> Outcome {
        let process = self.process(&request.id, &request.exec_id)?;
        if request.stdin
            && let Some(io) = process.io.and_then(|io| self.ios.get_mut(&io))
        {
            io.close_input(&mut self.poller);
        }
        done()
    }

    fn connect(&mut self, request: &ConnectRequest) -> Outcome {
        // Also for a container that is not there: whoever asks wants the shim's pid.
        let task_pid = self.container(&request.id).map_or(0, |container| container.init.pid);
        now(&ConnectResponse { shim_pid: std::process::id(), task_pid, version: String::new() })
    }

    fn wait(&mut self, request: &WaitRequest, reply: Reply) -> Outcome {
        let process = self
            .container(&request.id)?
            .process_mut(&request.exec_id)
            .ok_or_else(|| no_process(&request.exec_id))?;
        if process.exit.is_none() {
            process.waiters.push(reply);
        }
        Ok(process.exit.map(super::exits::answer))
    }
}
