//! Probes of health: a short-lived process runs them while the container runs.

use super::exec::ExecRequest;
use super::model::config::ContainerConfig;
use super::record::{Container, Health, Probe, Status};
use super::{Engine, restart, time};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::image::config::Healthcheck;
use std::io::Read;
use std::time::{Duration, Instant};

/// Docker's defaults.
const INTERVAL: i64 = 30 * time::SECOND;
const TIMEOUT: i64 = 30 * time::SECOND;
const START_INTERVAL: i64 = 5 * time::SECOND;
const RETRIES: i64 = 3;
/// Probes kept, and bytes of what each printed.
const KEPT: usize = 5;
const OUTPUT: usize = 4096;

/// The command of a probe, if there is one.
pub fn command(config: &ContainerConfig) -> Option<Vec<String>> {
    let test = config.healthcheck.as_ref()?.test.as_ref()?;
    match test.first()?.as_str() {
        "CMD" if test.len() > 1 => Some(test[1..].to_vec()),
        "CMD-SHELL" if test.len() > 1 => {
            let shell = config.shell.clone().filter(|shell| !shell.is_empty());
            let mut words = shell.unwrap_or_else(|| vec!["/bin/sh".into(), "-c".into()]);
            words.push(test[1].clone());
            Some(words)
        }
        _ => None,
    }
}

/// Health at a start.
pub fn initial(config: &ContainerConfig) -> Option<Health> {
    command(config).map(|_| Health { status: "starting".into(), ..Health::default() })
}

/// Starts the process that probes.
///
/// # Errors
/// It can't be started.
pub fn watch(config: &Config, container: &Container) -> Result<()> {
    let generation = container.state.generation.to_string();
    restart::worker(config, &["health", &container.id, &generation])
}

/// Health after a probe. Failures while starting don't count.
fn judge(health: &mut Health, probe: Probe, check: &Healthcheck, age: i64) {
    let retries = if check.retries > 0 { check.retries } else { RETRIES };
    if probe.exit_code == 0 {
        health.failing_streak = 0;
        health.status = "healthy".into();
    } else if health.status != "starting" || age >= check.start_period {
        health.failing_streak += 1;
        if health.failing_streak >= retries {
            health.status = "unhealthy".into();
        }
    }
    health.log.push(probe);
    if health.log.len() > KEPT {
        health.log.drain(..health.log.len() - KEPT);
    }
}

/// The time between probes.
fn pause(check: &Healthcheck, health: &Health, age: i64) -> i64 {
    let or = |value: i64, default: i64| if value > 0 { value } else { default };
    if health.status == "starting" && age < check.start_period {
        return or(check.start_interval, START_INTERVAL).min(or(check.interval, INTERVAL));
    }
    or(check.interval, INTERVAL)
}

impl Engine {
    /// The work of `deck worker health`: probes until that run of the container is over.
    ///
    /// # Errors
    /// The records fail.
    pub fn probe_health(&self, id: &str, generation: u64) -> Result<()> {
        loop {
            let container = self.container(id)?;
            let (Some(check), Some(health)) = (&container.config.healthcheck, &container.health)
            else {
                return Ok(());
            };
            let age = time::now() - container.state.started;
            let wait = u64::try_from(pause(check, health, age)).unwrap_or_default();
            // A process that ends meanwhile ends this one.
            let ended =
                super::sys::wait_for_end(container.state.pid, Some(Duration::from_nanos(wait)))?;
            let container = self.container(id)?;
            if ended
                || container.state.generation != generation
                || !container.state.status.is_alive()
            {
                return Ok(());
            }
            if container.state.status == Status::Paused {
                continue;
            }
            let probe = self.probe(&container);
            self.record_probe(id, generation, probe)?;
        }
    }

    /// One probe.
    fn probe(&self, container: &Container) -> Probe {
        let start = time::rfc3339(time::now());
        let result = self.run_probe(container);
        let (exit_code, output) = result.unwrap_or_else(|error| (-1, error.message));
        Probe { start, end: time::rfc3339(time::now()), exit_code, output }
    }

    /// Runs the command with its time limit; answers exit status and output.
    fn run_probe(&self, container: &Container) -> Result<(i64, String)> {
        let command = command(&container.config).ok_or_else(|| Error::internal("no probe"))?;
        let given = container.config.healthcheck.as_ref().map_or(0, |check| check.timeout);
        let limit = if given > 0 { given } else { TIMEOUT };
        let limit = Duration::from_nanos(u64::try_from(limit).unwrap_or_default());
        let request = ExecRequest {
            cmd: Some(command),
            attach_stdout: true,
            attach_stderr: true,
            ..ExecRequest::default()
        };
        let id = self.create_exec(&container.id, request)?;
        let (_, stream) = self.start_exec(&id, true, None)?;
        let mut output = Vec::new();
        let over = match stream {
            Some(mut stream) => {
                let until = Instant::now() + limit;
                drain(&mut stream, &mut output, until)
            }
            None => false,
        };
        let text = || String::from_utf8_lossy(&super::frames::payloads(&output)).into_owned();
        if over {
            drop(self.task(container).and_then(|mut task| task.kill(&id, 9)));
            self.finish_exec(&id)?;
            let seconds = limit.as_secs_f64();
            return Ok((-1, format!("Health check exceeded timeout ({seconds}s): {}", text())));
        }
        Ok((self.finish_exec(&id)?, text()))
    }

    /// Writes down what a probe said, unless that run is over.
    fn record_probe(&self, id: &str, generation: u64, probe: Probe) -> Result<()> {
        let _lock = self.lock(id)?;
        let mut container = self.container(id)?;
        if container.state.generation != generation || !container.state.status.is_alive() {
            return Ok(());
        }
        let check = container.config.healthcheck.clone().unwrap_or_default();
        let age = time::now() - container.state.started;
        let Some(health) = &mut container.health else { return Ok(()) };
        let before = health.status.clone();
        judge(health, probe, &check, age);
        let after = health.status.clone();
        self.save(&container)?;
        if before != after {
            self.emit_container(&container, &format!("health_status: {after}"), &[]);
        }
        Ok(())
    }
}

/// Reads to the end, keeping the beginning. Answers whether the time ran out.
fn drain(
    stream: &mut std::os::unix::net::UnixStream,
    output: &mut Vec<u8>,
    until: Instant,
) -> bool {
    let mut piece = [0; 1024];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
            return true;
        }
        match stream.read(&mut piece) {
            Ok(0) => return false,
            Ok(count) if output.len() < OUTPUT => output.extend_from_slice(&piece[..count]),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => {
                return matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(exit_code: i64) -> Probe {
        Probe { exit_code, ..Probe::default() }
    }

    #[test]
    fn failures_in_a_row_make_it_unhealthy() {
        let check = Healthcheck { retries: 2, start_period: 10, ..Healthcheck::default() };
        let mut health = Health { status: "starting".into(), ..Health::default() };
        judge(&mut health, probe(1), &check, 5);
        assert_eq!((health.failing_streak, health.status.as_str()), (0, "starting"));
        judge(&mut health, probe(1), &check, 15);
        judge(&mut health, probe(1), &check, 15);
        assert_eq!(health.status, "unhealthy");
        judge(&mut health, probe(0), &check, 15);
        assert_eq!((health.failing_streak, health.status.as_str()), (0, "healthy"));
        for _ in 0..9 {
            judge(&mut health, probe(0), &check, 15);
        }
        assert_eq!(health.log.len(), KEPT);
    }

    #[test]
    fn commands() {
        let config = |test: &[&str]| ContainerConfig {
            healthcheck: Some(Healthcheck {
                test: Some(test.iter().map(ToString::to_string).collect()),
                ..Healthcheck::default()
            }),
            ..ContainerConfig::default()
        };
        assert_eq!(command(&config(&["CMD", "a", "b"])).unwrap(), ["a", "b"]);
        assert_eq!(command(&config(&["CMD-SHELL", "a b"])).unwrap(), ["/bin/sh", "-c", "a b"]);
        assert_eq!(command(&config(&["NONE"])), None);
        assert_eq!(command(&config(&[])), None);
    }
}
