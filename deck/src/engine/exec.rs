//! Further processes in a running container.

use super::attach::reach;
use super::record::{Container, Exec};
use super::{Engine, text, time};
use crate::bundle;
use crate::error::{At, Error, Result};
use crate::store;
use crate::store::records::{self, Table};
use crate::supervise::{Log, Stdio};
use serde::Deserialize;
use serde_json::{Value, json};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// How long the record of an exec that ended is kept, as long as Docker's.
const KEPT: i64 = 5 * 60 * time::SECOND;

/// Capabilities in the order of their numbers (capability.h).
const CAPABILITIES: &[&str] = &[
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// The body of `POST /containers/{id}/exec`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the Engine API's fields under their own names")]
pub struct ExecRequest {
    pub user: String,
    pub privileged: bool,
    pub tty: bool,
    pub console_size: Option<[u16; 2]>,
    pub attach_stdin: bool,
    pub attach_stderr: bool,
    pub attach_stdout: bool,
    #[serde(alias = "detachKeys")]
    pub detach_keys: String,
    pub env: Vec<String>,
    pub working_dir: String,
    #[serde(deserialize_with = "super::model::words")]
    pub cmd: Option<Vec<String>>,
}

impl Engine {
    /// Registers an exec; answers its id.
    ///
    /// # Errors
    /// 400 without a command, 404, 409 when the container doesn't run.
    pub fn create_exec(&self, reference: &str, request: ExecRequest) -> Result<String> {
        let command = request.cmd.unwrap_or_default();
        if command.is_empty() {
            return Err(Error::invalid("No exec command specified"));
        }
        let container = self.executable(reference)?;
        self.forget_execs(&container.id)?;
        let exec = Exec {
            id: text::new_id()?,
            container: container.id.clone(),
            command,
            env: request.env,
            user: request.user,
            working_dir: request.working_dir,
            tty: request.tty,
            privileged: request.privileged,
            stdin: request.attach_stdin,
            stdout: request.attach_stdout,
            stderr: request.attach_stderr,
            detach_keys: request.detach_keys,
            console_size: request.console_size.filter(|size| *size != [0, 0]),
            generation: container.state.generation,
            ..Exec::default()
        };
        records::insert(&self.database(), Table::Execs, &exec.id, &container.id, &exec)?;
        let action = format!("exec_create: {}", exec.command.join(" "));
        self.emit_container(&container, &action, &[("execID", &exec.id)]);
        Ok(exec.id)
    }

    /// A container that something can be started in.
    fn executable(&self, reference: &str) -> Result<Container> {
        let container = self.alive(reference)?;
        if container.state.status == super::record::Status::Paused {
            return Err(Error::conflict(format!(
                "Container {reference} is paused, unpause the container before exec"
            )));
        }
        Ok(container)
    }

    /// An exec.
    ///
    /// # Errors
    /// 404.
    pub fn exec(&self, id: &str) -> Result<Exec> {
        records::get(&self.database(), Table::Execs, id)?
            .ok_or_else(|| Error::not_found(format!("No such exec instance: {id}")))
    }

    /// Changes an exec's record with no other writer in between. Answers what `change` says;
    /// nothing is written where that is nothing, or where the exec is gone.
    ///
    /// # Errors
    /// The database fails.
    pub(super) fn change_exec<T>(
        &self,
        id: &str,
        change: impl FnOnce(&mut Exec) -> Option<T>,
    ) -> Result<Option<T>> {
        let changed = {
            let mut database = self.database();
            let transaction = store::write(&mut database)?;
            let Some(mut exec) = records::get::<Exec>(&transaction, Table::Execs, id)? else {
                return Ok(None);
            };
            let changed = change(&mut exec);
            if changed.is_some() {
                records::update(&transaction, Table::Execs, id, &exec.container, &exec)?;
                transaction.commit()?;
            }
            changed
        };
        self.changes.mark();
        Ok(changed)
    }

    /// Forgets execs of a container that ended long ago: nobody asks for them any more.
    fn forget_execs(&self, container: &str) -> Result<()> {
        let database = self.database();
        let execs: Vec<Exec> = records::all_named(&database, Table::Execs, container)?;
        let before = time::now() - KEPT;
        for exec in execs.iter().filter(|exec| exec.ended != 0 && exec.ended < before) {
            records::delete(&database, Table::Execs, &exec.id)?;
        }
        Ok(())
    }

    /// An exec that can be started, and its container.
    ///
    /// # Errors
    /// 404, 409 when it was started already or the container is gone.
    pub fn startable_exec(&self, id: &str) -> Result<(Exec, Container)> {
        let exec = self.exec(id)?;
        if exec.started {
            return Err(Error::conflict(format!("Error: Exec command {id} is already running")));
        }
        let container = self.executable(&exec.container)?;
        if container.state.generation != exec.generation {
            return Err(Error::conflict(format!("Container {} has restarted", container.id)));
        }
        Ok((exec, container))
    }

    /// Starts an exec; with `attach` answers its streams.
    ///
    /// # Errors
    /// 404, 409 when it was started already or the container is gone; the runtime's words.
    pub fn start_exec(
        &self,
        id: &str,
        attach: bool,
        size: Option<[u16; 2]>,
    ) -> Result<(Exec, Option<UnixStream>)> {
        let (mut exec, container) = self.startable_exec(id)?;
        exec.console_size = size.filter(|size| *size != [0, 0]).or(exec.console_size);
        let process = self.exec_process(&container, &exec)?;
        let socket = self.exec_socket(&container.id, id);
        let stdio = Stdio::served(exec.tty, Log::None, &socket, exec.stdin && attach, true);
        let mut task = self.task(&container)?;
        exec.started = true;
        // Two clients may start it at the same time: one does.
        let first = self.change_exec(id, |record| {
            (!record.started).then(|| {
                record.started = true;
                record.console_size = exec.console_size;
            })
        })?;
        if first.is_none() {
            return Err(Error::conflict(format!("Error: Exec command {id} is already running")));
        }
        let action = format!("exec_start: {}", exec.command.join(" "));
        self.emit_container(&container, &action, &[("execID", id)]);
        let started = task.exec(id, process, &stdio).and_then(|()| {
            if !attach {
                exec.pid = task.start(id)?;
                return Ok(None);
            }
            // The shim listens since it knows the exec: who is there before the start misses nothing.
            let stream = reach(&socket).at(|| format!("connect to {}", socket.display()))?;
            exec.pid = task.start(id)?;
            Ok(Some(stream))
        });
        match started {
            Ok(stream) => {
                // Its end may have been recorded while it was being started.
                self.change_exec(id, |record| {
                    record.pid = exec.pid;
                    exec.exit_code = record.exit_code;
                    Some(())
                })?;
                Ok((exec, stream))
            }
            Err(error) => {
                let code = exec_failure(&error.message);
                self.change_exec(id, |record| {
                    record.end(code);
                    Some(())
                })?;
                drop(task.delete(id));
                let status = if error.message.contains("OCI runtime") { 400 } else { error.status };
                Err(Error::new(status, error.message))
            }
        }
    }

    /// Waits for an exec's end and records it.
    ///
    /// # Errors
    /// The records fail.
    pub fn finish_exec(&self, id: &str) -> Result<i64> {
        let exec = self.exec(id)?;
        if let Some(code) = exec.exit_code {
            return Ok(code);
        }
        let container = self.container(&exec.container)?;
        let waited = self.task(&container).and_then(|mut task| {
            let (code, _) = task.wait(id)?;
            drop(task.delete(id));
            Ok(code)
        });
        let code = match waited {
            Ok(code) => code,
            // Another one was told first, or the shim is gone with all in it.
            Err(_) => self.exec(id)?.exit_code.unwrap_or(137),
        };
        self.exec_exited(id, code)?;
        Ok(code)
    }

    /// Records an exec's end.
    ///
    /// # Errors
    /// The records fail.
    pub(super) fn exec_exited(&self, id: &str, code: i64) -> Result<()> {
        // The shim's event and a client that waited both tell it.
        let first = self.change_exec(id, |record| {
            record.exit_code.is_none().then(|| {
                record.end(code);
                record.clone()
            })
        })?;
        let Some(exec) = first else { return Ok(()) };
        if let Ok(container) = self.container(&exec.container) {
            drop(self.task(&container).and_then(|mut task| task.delete(id)));
            let code = code.to_string();
            let more = [("execID", id), ("exitCode", code.as_str())];
            self.emit_container(&container, "exec_die", &more);
        }
        drop(std::fs::remove_file(self.exec_socket(&exec.container, id)));
        Ok(())
    }

    /// Sets the size of an exec's terminal.
    ///
    /// # Errors
    /// 404, 409 when it doesn't run.
    pub fn resize_exec(&self, id: &str, rows: u16, columns: u16) -> Result<()> {
        let exec = self.exec(id)?;
        let container = self.alive(&exec.container)?;
        self.task(&container)?.resize(id, rows, columns)
    }

    /// Where the shim serves an exec's streams.
    fn exec_socket(&self, container: &str, id: &str) -> PathBuf {
        self.config.bundle_dir(container).join(&id[..12.min(id.len())])
    }

    /// The process object of an exec: the container's, with what was asked for over it.
    fn exec_process(&self, container: &Container, exec: &Exec) -> Result<Vec<u8>> {
        let path = self.config.bundle_dir(&container.id).join("config.json");
        let text = std::fs::read(&path).at(|| format!("read {}", path.display()))?;
        let mut spec: Value = serde_json::from_slice(&text)
            .map_err(|error| Error::internal(format!("{}: {error}", path.display())))?;
        let mut process = spec["process"].take();
        let root = PathBuf::from(format!("/proc/{}/root", container.state.pid));
        adapt(&mut process, container, exec, &root)?;
        serde_json::to_vec(&process).map_err(|error| Error::internal(error.to_string()))
    }
}

/// Changes the container's process object to an exec's.
fn adapt(process: &mut Value, container: &Container, exec: &Exec, root: &Path) -> Result<()> {
    process["args"] = json!(exec.command);
    process["terminal"] = json!(exec.tty);
    match exec.console_size {
        Some([height, width]) if exec.tty => {
            process["consoleSize"] = json!({ "height": height, "width": width });
        }
        _ => {
            if let Some(object) = process.as_object_mut() {
                object.remove("consoleSize");
            }
        }
    }
    let env: Vec<String> = process["env"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|variable| variable.as_str().map(str::to_string))
        .filter(|variable| {
            exec.tty || container.config.tty == exec.tty || !variable.starts_with("TERM=")
        })
        .collect();
    let mut env = super::create::merge_env(&env, exec.env.clone());
    env.retain(|variable| variable.contains('='));
    if exec.tty && !env.iter().any(|variable| variable.starts_with("TERM=")) {
        env.push("TERM=xterm".into());
    }
    if !exec.working_dir.is_empty() {
        process["cwd"] = json!(exec.working_dir);
    }
    if !exec.user.is_empty() {
        let groups = container.host.group_add.clone().unwrap_or_default();
        let identity = bundle::user::resolve(root, &exec.user, &groups)?;
        let (uid, gid, groups) = (identity.uid, identity.gid, identity.groups);
        process["user"] = json!({ "uid": uid, "gid": gid, "additionalGids": groups });
        if let Some(home) = identity.home {
            env.retain(|variable| !variable.starts_with("HOME="));
            env.push(format!("HOME={home}"));
        }
        if uid == 0 {
            // The container's own user may have none; its bounds are what root may have.
            let bounds = process["capabilities"]["bounding"].clone();
            process["capabilities"]["effective"] = bounds.clone();
            process["capabilities"]["permitted"] = bounds;
        }
    }
    process["env"] = json!(env);
    if exec.privileged {
        let all = all_capabilities();
        for set in ["bounding", "effective", "permitted"] {
            process["capabilities"][set] = json!(all);
        }
        process["noNewPrivileges"] = json!(false);
    }
    Ok(())
}

/// Every capability this kernel has.
fn all_capabilities() -> Vec<String> {
    let last = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap_or_default();
    let last = last.trim().parse().unwrap_or(40);
    CAPABILITIES.iter().take(last + 1).map(|name| format!("CAP_{name}")).collect()
}

/// The exit status of an exec that didn't start.
fn exec_failure(message: &str) -> i64 {
    let not_found = ["executable file not found", "no such file or directory"];
    if not_found.iter().any(|words| message.contains(words)) { 127 } else { 126 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exec_changes_the_containers_process() {
        let mut process = json!({
            "args": ["x"], "env": ["A=1", "TERM=xterm"], "cwd": "/w", "user": {"uid": 5},
            "capabilities": {"bounding": ["CAP_KILL"]}
        });
        let exec = Exec {
            command: vec!["ls".into()],
            env: vec!["A=2".into()],
            working_dir: "/tmp".into(),
            ..Exec::default()
        };
        let container = Container::default();
        adapt(&mut process, &container, &exec, Path::new("/")).unwrap();
        assert_eq!(process["args"], json!(["ls"]));
        assert_eq!(process["env"], json!(["TERM=xterm", "A=2"]));
        assert_eq!(process["cwd"], json!("/tmp"));
        assert_eq!(process["user"], json!({"uid": 5}));
        assert_eq!(process["terminal"], json!(false));
    }
}
