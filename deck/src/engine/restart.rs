//! Restart policies. The decisions are pure; waiting is a short-lived process' business.

use super::Engine;
use super::record::{Container, Status};
use super::start::By;
use crate::config::Config;
use crate::error::{At, Result};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The first pause, doubled with each restart.
const FIRST: Duration = Duration::from_millis(100);
/// The longest pause.
const LAST: Duration = Duration::from_secs(60);
/// A container that ran this long begins anew.
const STEADY: i64 = 10 * super::time::SECOND;

/// Whether a container that just ended is started again, and after which pause.
pub fn after_end(container: &Container) -> Option<Duration> {
    if container.stopped_by_user {
        return None;
    }
    let policy = &container.host.restart_policy;
    let again = match policy.name.as_str() {
        "always" | "unless-stopped" => true,
        "on-failure" => {
            let most = policy.maximum_retry_count;
            container.state.exit_code != 0
                && (most == 0 || i64::from(container.restart_count) < most)
        }
        _ => false,
    };
    again.then(|| {
        let ran = container.state.finished - container.state.started;
        if ran > STEADY { FIRST } else { pause(container.restart_count) }
    })
}

/// The pause before the n-th restart.
fn pause(count: u32) -> Duration {
    FIRST.saturating_mul(1_u32 << count.min(16)).min(LAST)
}

/// Whether a container is started when the host comes up; `was` is what it did before.
pub fn after_boot(container: &Container, was: Status) -> bool {
    match container.host.restart_policy.name.as_str() {
        "always" => !matches!(was, Status::Created),
        "unless-stopped" => !container.stopped_by_user && !matches!(was, Status::Created),
        "on-failure" => was == Status::Restarting,
        _ => false,
    }
}

/// Starts a container again after a pause, from a process of its own that ends with it.
///
/// # Errors
/// The process can't be started.
pub fn later(config: &Config, container: &Container, delay: Duration) -> Result<()> {
    let generation = container.state.generation.to_string();
    let delay = delay.as_millis().to_string();
    worker(config, &["restart", &container.id, &generation, &delay])
}

/// Starts `deck worker …`, detached from whoever starts it.
///
/// # Errors
/// It can't be started.
pub fn worker(config: &Config, arguments: &[&str]) -> Result<()> {
    use std::os::unix::process::CommandExt;
    let deck = std::env::current_exe().at(|| "find this program")?;
    let mut command = Command::new(&deck);
    command
        .arg("worker")
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs(config.environment())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    command.spawn().map(drop).at(|| format!("start {} worker", deck.display()))
}

impl Engine {
    /// The work of `deck worker restart`: unless somebody did anything to the container meanwhile.
    ///
    /// # Errors
    /// It doesn't start.
    pub fn restart_later(&self, id: &str, generation: u64, delay: Duration) -> Result<()> {
        std::thread::sleep(delay);
        let lock = self.lock(id)?;
        let container = self.container(id)?;
        if container.state.status != Status::Restarting || container.state.generation != generation
        {
            return Ok(());
        }
        self.start_locked(container, By::Policy, &lock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(policy: &str, most: i64, code: i64, count: u32) -> Container {
        let mut container = Container::default();
        container.host.restart_policy.name = policy.into();
        container.host.restart_policy.maximum_retry_count = most;
        container.state.exit_code = code;
        container.restart_count = count;
        container
    }

    #[test]
    fn policies() {
        assert!(after_end(&container("no", 0, 1, 0)).is_none());
        assert!(after_end(&container("always", 0, 0, 9)).is_some());
        assert!(after_end(&container("on-failure", 0, 0, 0)).is_none());
        assert!(after_end(&container("on-failure", 2, 1, 1)).is_some());
        assert!(after_end(&container("on-failure", 2, 1, 2)).is_none());
        let mut stopped = container("always", 0, 0, 0);
        stopped.stopped_by_user = true;
        assert!(after_end(&stopped).is_none());
        assert!(after_boot(&stopped, Status::Exited));
        stopped.host.restart_policy.name = "unless-stopped".into();
        assert!(!after_boot(&stopped, Status::Exited));
    }

    #[test]
    fn pauses_grow_to_a_minute() {
        assert_eq!(pause(0), FIRST);
        assert_eq!(pause(3), FIRST * 8);
        assert_eq!(pause(40), LAST);
        let mut steady = container("always", 0, 0, 9);
        steady.state.finished = STEADY + 1;
        assert_eq!(after_end(&steady), Some(FIRST));
    }
}
