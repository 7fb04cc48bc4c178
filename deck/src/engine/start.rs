//! Starting a container: root, networks, spec, shim, process.

use super::lock::Lock;
use super::record::{Container, Status};
use super::{Engine, host_state, time};
use crate::bundle::{self, Host};
use crate::error::{At, Error, Result};
use crate::image::RunConfig;
use crate::supervise::{self, Log, Stdio, Task};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Who wants a container to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// A user: forgets that another one stopped it, and how often it was restarted.
    User,
    /// Its restart policy.
    Policy,
}

impl Engine {
    /// Starts a container. Answers whether there was anything to do (Docker's 304).
    ///
    /// # Errors
    /// 404, 409 when it is paused or being removed; else why it didn't start, in the runtime's
    /// words: clients tell "not found" and "permission denied" by them.
    pub fn start(&self, reference: &str, by: By) -> Result<bool> {
        let id = self.find(reference)?.id;
        let lock = self.lock(&id)?;
        let container = self.settled(&id, &lock)?;
        match container.state.status {
            Status::Running => return Ok(false),
            Status::Paused => {
                return Err(Error::conflict(
                    "cannot start a paused container, try unpause instead",
                ));
            }
            Status::Removing | Status::Dead => {
                return Err(Error::conflict(
                    "container is marked for removal and cannot be started",
                ));
            }
            Status::Created | Status::Restarting | Status::Exited => {}
        }
        self.start_locked(container, by, &lock)?;
        Ok(true)
    }

    /// Starts a container that doesn't run.
    pub(super) fn start_locked(&self, mut container: Container, by: By, lock: &Lock) -> Result<()> {
        if by == By::User {
            container.stopped_by_user = false;
            container.restart_count = 0;
        }
        container.state.generation += 1;
        let result = self.bring_up(&mut container);
        if let Err(error) = result {
            let left = self.tear_down(&container).err();
            let mut error = start_failure(error);
            if let Some(left) = left {
                error.message = format!("{}; clean up: {left}", error.message);
            }
            container.state.status = Status::Exited;
            container.state.exit_code = exit_code(&error.message);
            container.state.error.clone_from(&error.message);
            container.state.finished = time::now();
            if container.state.started == 0 {
                container.state.status = Status::Created;
                container.state.finished = 0;
            }
            clear_run(&mut container);
            self.save(&container)?;
            if container.host.auto_remove {
                self.remove_locked(container, true, lock)?;
            }
            return Err(error);
        }
        Ok(())
    }

    /// All steps; whatever fails, [`Engine::tear_down`] undoes what was done.
    fn bring_up(&self, container: &mut Container) -> Result<()> {
        let bundle = self.config.bundle_dir(&container.id);
        self.prepare_bundle(container, &bundle)?;
        let network = self.join_networks(container)?;
        let rootfs = bundle.join("rootfs");
        let config = RunConfig {
            user: container.config.user.clone(),
            env: container.config.env.clone().unwrap_or_default(),
            entrypoint: container.config.entrypoint.clone(),
            cmd: container.config.cmd.clone(),
            working_dir: container.config.working_dir.clone(),
            ..RunConfig::default()
        };
        let groups = container.host.group_add.clone().unwrap_or_default();
        let identity = bundle::user::resolve(&rootfs, &config.user, &groups)?;
        let host = Host::read()?;
        let wishes = self.wishes(container, network)?;
        let spec = bundle::spec(&bundle::Input {
            image: &config,
            wishes: &wishes,
            identity: &identity,
            rootfs: &rootfs,
            host: &host,
        })?;
        let path = bundle.join("config.json");
        spec.save(&path)
            .map_err(|error| Error::internal(format!("write {}: {error}", path.display())))?;
        self.bring_up_task(container, &bundle)
    }

    /// The shim, and the container's process.
    fn bring_up_task(&self, container: &mut Container, bundle: &Path) -> Result<()> {
        let shim = supervise::launch(&self.config, &container.id, bundle)?;
        container.state.shim = shim.display().to_string();
        let mut task = Task::connect(&shim, &container.id)?;
        let pid = task.create(&self.config, bundle, &self.stdio(container))?;
        container.state.pid = pid;
        container.state.pid_start = host_state::start_time(pid).unwrap_or_default();
        container.state.boot = host_state::boot_id();
        // Recorded before it runs: an exit that is told at once finds whose it is.
        container.state.status = Status::Running;
        container.state.started = time::now();
        container.state.exit_code = 0;
        container.state.error.clear();
        container.state.oom_killed = false;
        container.health = super::health::initial(&container.config);
        self.save(container)?;
        self.hand_over(&container.id, &self.attach_socket(&container.id));
        task.start("")?;
        self.emit_container(container, "start", &[]);
        if container.health.is_some() {
            super::health::watch(&self.config, container)?;
        }
        Ok(())
    }

    /// The bundle with the container's root mounted in it.
    fn prepare_bundle(&self, container: &Container, bundle: &Path) -> Result<()> {
        // What an earlier life left, if its end was never seen.
        self.tear_down(container)?;
        let rootfs = bundle.join("rootfs");
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o711)
            .create(&rootfs)
            .at(|| format!("mkdir {}", rootfs.display()))?;
        self.mount_snapshot(&container.id, &rootfs)?;
        for point in container.mounts.iter().filter(|point| point.kind == "bind") {
            if !Path::new(&point.source).exists() && point.options.is_empty() {
                std::fs::create_dir_all(&point.source)
                    .at(|| format!("error while creating mount source path '{}'", point.source))?;
            }
        }
        Ok(())
    }

    /// Where the streams go.
    fn stdio(&self, container: &Container) -> Stdio {
        let path = self.log_path(&container.id);
        let options = log_options(container);
        let log = if container.host.log_config.kind == "none" {
            Log::None
        } else {
            Log::JsonFile(&path, &options)
        };
        Stdio::served(
            container.config.tty,
            log,
            &self.attach_socket(&container.id),
            container.config.open_stdin,
            container.config.stdin_once,
        )
    }

    /// Where the shim serves those who attach.
    pub(super) fn attach_socket(&self, id: &str) -> PathBuf {
        self.config.bundle_dir(id).join("attach")
    }

    /// The log.
    pub(super) fn log_path(&self, id: &str) -> PathBuf {
        self.config.container_dir(id).join(format!("{id}-json.log"))
    }
}

/// The log's options as numbers; they were checked when the container was made.
fn log_options(container: &Container) -> Vec<(&'static str, u64)> {
    let get = |key: &str| container.host.log_config.config.get(key);
    let size = get("max-size").and_then(|text| super::validate::size(text));
    let files = get("max-file").and_then(|text| text.parse().ok());
    let options = [("max-size", size), ("max-file", files)];
    options.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

/// Forgets what belongs to one run.
pub(super) fn clear_run(container: &mut Container) {
    container.state.pid = 0;
    container.state.pid_start = 0;
    container.state.shim.clear();
    container.ports.clear();
    container.attached.clear();
}

/// The error of a start in Docker's frame; the status that of the user's or the host's fault.
fn start_failure(error: Error) -> Error {
    if error.status != 500 || !error.message.contains("OCI runtime") {
        return error;
    }
    let status = if exit_code(&error.message) == 128 { 500 } else { 400 };
    Error::new(
        status,
        format!(
            "failed to create task for container: failed to create shim task: {}",
            error.message
        ),
    )
}

/// The exit status for a start that failed: shells' words for "not found" and "not executable".
fn exit_code(message: &str) -> i64 {
    if message.contains("executable file not found")
        || message.contains("no such file or directory")
        || message.contains("not a directory")
    {
        127
    } else if message.contains("permission denied") || message.contains("is a directory") {
        126
    } else {
        128
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_follow_the_runtimes_words() {
        assert_eq!(exit_code("exec: \"x\": executable file not found in $PATH"), 127);
        assert_eq!(exit_code("exec: \"/etc\": is a directory"), 126);
        assert_eq!(exit_code("exec: \"/x\": permission denied"), 126);
        assert_eq!(exit_code("cgroup: device busy"), 128);
    }
}
