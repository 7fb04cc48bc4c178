//! From create to delete.

use super::calls::{Outcome, decode, done, now};
use super::container::{Container, Process, Rest, Restore, no_container, wrong_state};
use super::jobs::{Job, Order, Step};
use super::{Reply, Server};
use crate::cgroup::Cgroup;
use crate::delete::{OPTIONS_FILE, PID_FILE, pid};
use crate::engine::{Engine, Files};
use crate::error::{At, Code, Error, Result};
use crate::io::{Given, Names, Streams};
use crate::options::EngineOptions;
use crate::proto::Status;
use crate::proto::events::{TaskCreate, TaskDelete, TaskIo, TaskStart};
use crate::proto::task::{
    CreateTaskRequest, CreateTaskResponse, DeleteRequest, DeleteResponse, StartRequest,
    StartResponse,
};
use crate::{files, mount};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The longest config.json that is read.
const CONFIG_LIMIT: u64 = 64 << 20;

/// What of config.json matters here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Config {
    process: Confinement,
    linux: Linux,
}

/// Under a security module a container may use no file of the host's, a client's fifo included.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Confinement {
    apparmor_profile: String,
    selinux_label: String,
}

impl Confinement {
    /// Whether a module confines the process.
    pub(super) fn applies(&self) -> bool {
        let profile = !matches!(self.apparmor_profile.as_str(), "" | "unconfined");
        profile || !self.selinux_label.is_empty()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Linux {
    namespaces: Vec<Namespace>,
}

#[derive(Debug, Deserialize)]
struct Namespace {
    r#type: String,
    #[serde(default)]
    path: String,
}

impl Config {
    fn read(bundle: &Path) -> Result<Self> {
        let path = bundle.join("config.json");
        let bytes =
            files::read_bounded(&path, CONFIG_LIMIT).at(|| format!("read {}", path.display()))?;
        serde_json::from_slice(&bytes)
            .map_err(|error| Error::invalid(format!("{}: {error}", path.display())))
    }

    /// Whether init is not the first process of a new pid namespace.
    fn shares_pids(&self) -> bool {
        !self.linux.namespaces.iter().any(|space| space.r#type == "pid" && space.path.is_empty())
    }
}

/// Refuses what can't be carried out.
fn judge(request: &CreateTaskRequest) -> Result<()> {
    if request.id.is_empty() || request.id.contains('/') {
        return Err(Error::invalid(format!("container id {:?} is not a name", request.id)));
    }
    if !request.parent_checkpoint.is_empty() {
        // No engine's restore takes one: the images of a checkpoint lead to their parent themselves.
        return Err(Error::invalid("parent_checkpoint is not supported: give checkpoint alone"));
    }
    Ok(())
}

impl Server {
    pub(super) fn create(&mut self, payload: &[u8], reply: Reply) -> Outcome {
        let request: CreateTaskRequest = decode(payload)?;
        if self.containers.contains_key(&request.id) {
            let text = format!("container {}: already exists", request.id);
            return Err(Error::new(Code::AlreadyExists, text));
        }
        judge(&request)?;
        let bundle = PathBuf::from(&request.bundle);
        let options = EngineOptions::from_any(request.options.as_ref())?;
        let config = Config::read(&bundle)?;
        let json = serde_json::to_vec(&options)
            .map_err(|error| Error::unknown(format!("{OPTIONS_FILE}: {error}")))?;
        // Before anything is made: `delete` needs them should this shim be killed.
        for (name, bytes) in [(OPTIONS_FILE, &json[..]), ("runtime", options.binary().as_bytes())] {
            files::write_whole(&bundle.join(name), bytes).at(|| format!("write {name}"))?;
        }
        let rootfs = bundle.join("rootfs");
        if !request.rootfs.is_empty() {
            make_rootfs(&rootfs)?;
            mount::mount_all(&request.rootfs, &rootfs)?;
        }
        let names = Names {
            stdin: request.stdin.clone(),
            stdout: request.stdout.clone(),
            stderr: request.stderr.clone(),
            terminal: request.terminal,
        };
        let container = Container {
            engine: Engine::new(&options, &self.namespace),
            bundle,
            options,
            cgroup: None,
            oom_kills: 0,
            pressure: None,
            init: Process::new(names),
            execs: BTreeMap::new(),
            frozen: None,
            hidden: true,
            shared_pids: config.shares_pids(),
            rest: Rest::Alive,
            restore: (!request.checkpoint.is_empty())
                .then(|| Restore { image: PathBuf::from(&request.checkpoint) }),
            confined: config.process.applies(),
        };
        self.containers.insert(request.id.clone(), container);
        let opened = self.open_streams(&request.id, "", payload, reply);
        opened.inspect_err(|_| self.undo_create(&request.id))
    }

    /// Opens the streams of a process, and goes on when a logger is ready.
    fn open_streams(&mut self, id: &str, exec_id: &str, payload: &[u8], reply: Reply) -> Outcome {
        let given = self.streams(id, exec_id, None)?;
        self.when_ready(id, exec_id, given, payload, reply)
    }

    /// Opens the streams of a process; `confined` differs from its container's for some execs.
    pub(super) fn streams(
        &mut self,
        id: &str,
        exec_id: &str,
        confined: Option<bool>,
    ) -> Result<Given> {
        let number = self.number();
        let container = self.containers.get(id).ok_or_else(|| no_container(id))?;
        let process = container.process(exec_id).ok_or_else(|| no_container(id))?;
        let streams = Streams {
            names: &process.names,
            owner: container.owner(),
            confined: confined.unwrap_or(container.confined) || container.options.checkpoints(),
            id,
            namespace: &self.namespace,
            bundle: &container.bundle,
            io: number,
        };
        let (io, given) = streams.open(&mut self.poller)?;
        self.ios.insert(number, io);
        if let Some(process) =
            self.containers.get_mut(id).and_then(|container| container.process_mut(exec_id))
        {
            process.io = Some(number);
        }
        Ok(given)
    }

    /// Runs the engine's `create`.
    pub(super) fn create_now(
        &mut self,
        request: &CreateTaskRequest,
        given: Given,
        reply: Reply,
    ) -> Outcome {
        let container =
            self.containers.get(&request.id).ok_or_else(|| no_container(&request.id))?;
        if container.restore.is_some() {
            // Nothing runs until it is started, from the checkpoint.
            self.created_event(request, 0);
            if let Some(container) = self.containers.get_mut(&request.id) {
                container.hidden = false;
            }
            self.process(&request.id, "")?.given = Some(given);
            return now(&CreateTaskResponse { pid: 0 });
        }
        let bundle = container.bundle.clone();
        let io = container.init.io.and_then(|io| self.ios.get(&io));
        let console = io.and_then(crate::io::ProcessIo::console_path);
        let pid_file = bundle.join(PID_FILE);
        let mut order = Order::new(&request.id, "", Step::Create, Some(reply));
        order.streams = Some(given);
        order.request = Some(request.clone());
        self.run_engine(order, |engine, log| {
            let files = Files { bundle: &bundle, pid_file: &pid_file, console: console.as_deref() };
            engine.create(log, files, &request.id)
        })?;
        Ok(None)
    }

    pub(super) fn created(&mut self, job: &Job, outcome: Result<()>) {
        let learned = outcome.and_then(|()| self.learn_init(&job.id));
        match learned {
            Ok(pid) => {
                if let Some(container) = self.containers.get_mut(&job.id) {
                    container.hidden = false;
                }
                if let Some(request) = &job.request {
                    self.created_event(request, pid);
                }
                if let Some(reply) = job.reply {
                    let answer = prost::Message::encode_to_vec(&CreateTaskResponse { pid });
                    self.reply(reply, Ok(answer));
                }
            }
            Err(error) => {
                self.undo_create(&job.id);
                self.answer_done(job.reply, Err(error));
            }
        }
    }

    /// Takes up what an engine has made: the pid, the terminal, the control groups.
    fn learn_init(&mut self, id: &str) -> Result<u32> {
        let container = self.containers.get_mut(id).ok_or_else(|| no_container(id))?;
        let pid = pid(&container.bundle);
        if pid == 0 {
            return Err(Error::unknown(format!("the engine wrote no pid to {PID_FILE}")));
        }
        container.init.pid = pid;
        container.cgroup = Cgroup::of(pid, &self.layout);
        if let Some(cgroup) = &container.cgroup {
            container.oom_kills = cgroup.oom_kills().unwrap_or(0);
            container.pressure = cgroup.pressure();
            self.oom.watch(cgroup, &mut self.poller, &self.log);
        }
        if let Some(io) = container.init.io.and_then(|io| self.ios.get_mut(&io)) {
            io.take_terminal(&mut self.poller)?;
        }
        Ok(pid)
    }

    fn created_event(&mut self, request: &CreateTaskRequest, pid: u32) {
        self.publish(&TaskCreate {
            container_id: request.id.clone(),
            bundle: request.bundle.clone(),
            rootfs: request.rootfs.clone(),
            io: Some(TaskIo {
                stdin: request.stdin.clone(),
                stdout: request.stdout.clone(),
                stderr: request.stderr.clone(),
                terminal: request.terminal,
            }),
            checkpoint: request.checkpoint.clone(),
            pid,
        });
    }

    /// Nothing is left of a container that could not be created.
    pub(super) fn undo_create(&mut self, id: &str) {
        let Some(container) = self.containers.remove(id) else { return };
        self.close_streams(container.init.io);
        if let Err(error) = mount::unmount_all(&container.bundle.join("rootfs")) {
            self.log.warn(&error.to_string());
        }
    }

    pub(super) fn start(&mut self, payload: &[u8], reply: Reply) -> Outcome {
        let request: StartRequest = decode(payload)?;
        let process = self.process(&request.id, &request.exec_id)?;
        if process.busy || process.starting {
            return self.defer((&request.id, &request.exec_id), "Start", payload, reply);
        }
        if process.status != Status::Created {
            return Err(wrong_state("cannot start a process that was started before"));
        }
        if let Some(io) = process.io
            && let Some(io) = self.ios.get_mut(&io)
        {
            io.admit(&mut self.poller);
        }
        if !request.exec_id.is_empty() {
            return self.start_exec(&request, payload, reply);
        }
        if self.container(&request.id)?.restore.is_some() {
            return self.restore(&request.id, reply);
        }
        let id = request.id;
        let order = Order::new(&id, "", Step::Start, Some(reply));
        self.run_engine(order, |engine, log| engine.plain(log, "start", &id))?;
        self.process(&id, "")?.starting = true;
        Ok(None)
    }

    pub(super) fn started(&mut self, job: &Job, outcome: Result<()>) {
        let restored = job.step == Step::Restore;
        let outcome = match outcome {
            Ok(()) if restored => self.learn_init(&job.id).map(drop),
            other => other,
        };
        let Some(container) = self.containers.get_mut(&job.id) else { return };
        container.init.starting = false;
        if let Err(error) = outcome {
            return self.answer_done(job.reply, Err(error));
        }
        container.restore = None;
        container.init.status = Status::Running;
        let pid = container.init.pid;
        self.publish(&TaskStart { container_id: job.id.clone(), pid });
        if let Some(reply) = job.reply {
            self.reply(reply, Ok(prost::Message::encode_to_vec(&StartResponse { pid })));
        }
    }

    pub(super) fn delete(&mut self, payload: &[u8], reply: Reply) -> Outcome {
        let request: DeleteRequest = decode(payload)?;
        let key = (request.id.as_str(), request.exec_id.as_str());
        let container = self.container(key.0)?;
        let frozen = container.frozen.is_some();
        let process = self.process(key.0, key.1)?;
        if process.busy || process.starting {
            return self.defer(key, "Delete", payload, reply);
        }
        match process.status {
            Status::Running if frozen => return Err(wrong_state("cannot delete a paused process")),
            Status::Running => return Err(wrong_state("cannot delete a running process")),
            _ => {}
        }
        // One that was never started has nobody else who could write.
        process.given = None;
        // What the process wrote last is still on its way. One that was never started wrote nothing,
        // and has its streams open until the engine ends it.
        if process.status == Status::Stopped
            && let Some(number) = process.io
            && self.ios.get(&number).is_some_and(|io| !io.is_drained())
        {
            self.timers.after(std::time::Duration::from_secs(10), super::Timer::Drain(number));
            return self.defer(key, "Delete", payload, reply);
        }
        if !request.exec_id.is_empty() {
            return self.delete_exec(&request);
        }
        let id = request.id;
        let order = Order::new(&id, "", Step::Delete, Some(reply));
        // One that was created and never started is ended with it.
        self.run_engine(order, |engine, log| engine.delete(log, false, &id))?;
        Ok(None)
    }

    pub(super) fn deleted(&mut self, job: &Job, outcome: Result<()>) {
        match outcome {
            Err(error) if !error.message().contains("does not exist") => {
                return self.answer_done(job.reply, Err(error));
            }
            _ => {}
        }
        let Some(container) = self.containers.remove(&job.id) else { return };
        if let Some(cgroup) = &container.cgroup {
            self.oom.forget(cgroup);
        }
        for io in container.execs.values().map(|exec| exec.io).chain([container.init.io]) {
            self.close_streams(io);
        }
        let unmounted = mount::unmount_all(&container.bundle.join("rootfs"));
        let exit = container.init.exit.or(container.init.reaped);
        let response = DeleteResponse {
            pid: container.init.pid,
            exit_status: exit.map_or(0, |exit| exit.status),
            exited_at: exit.map(|exit| exit.at),
        };
        self.publish(&TaskDelete {
            container_id: job.id.clone(),
            pid: response.pid,
            exit_status: response.exit_status,
            exited_at: response.exited_at,
            id: String::new(),
        });
        if let Some(reply) = job.reply {
            self.reply(reply, unmounted.map(|()| prost::Message::encode_to_vec(&response)));
        }
    }

    fn delete_exec(&mut self, request: &DeleteRequest) -> Outcome {
        let container = self.container(&request.id)?;
        let Some(exec) = container.execs.remove(&request.exec_id) else { return done() };
        self.close_streams(exec.io);
        now(&DeleteResponse {
            pid: exec.pid,
            exit_status: exec.exit.map_or(0, |exit| exit.status),
            exited_at: exec.exit.map(|exit| exit.at),
        })
    }
}

/// The mount point of the root file system: others may pass through it.
fn make_rootfs(rootfs: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o711).create(rootfs) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(error).at(|| format!("make {}", rootfs.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: &str) -> Config {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_new_pid_namespace_is_told_from_a_joined_one() {
        let own = r#"{"linux":{"namespaces":[{"type":"pid"}]}}"#;
        let joined = r#"{"linux":{"namespaces":[{"type":"pid","path":"/proc/1/ns/pid"}]}}"#;
        assert!(!config(own).shares_pids());
        assert!(config(joined).shares_pids());
        assert!(config("{}").shares_pids());
    }

    #[test]
    fn what_no_engine_can_do_is_refused() {
        let request = |id: &str, parent: &str| CreateTaskRequest {
            id: id.to_owned(),
            parent_checkpoint: parent.to_owned(),
            ..CreateTaskRequest::default()
        };
        assert!(judge(&request("one", "")).is_ok());
        for (id, parent) in [("", ""), ("a/b", ""), ("one", "/images")] {
            assert!(judge(&request(id, parent)).is_err(), "{id:?} {parent:?}");
        }
    }

    #[test]
    fn a_security_module_confines() {
        let applies = |json| config(json).process.applies();
        assert!(applies(r#"{"process":{"apparmorProfile":"cri-containerd.apparmor.d"}}"#));
        assert!(applies(r#"{"process":{"selinuxLabel":"system_u:system_r:container_t:s0"}}"#));
        assert!(!applies(r#"{"process":{"apparmorProfile":"unconfined"}}"#));
        assert!(!applies(r#"{"process":{"args":["x"]}}"#));
    }
}
