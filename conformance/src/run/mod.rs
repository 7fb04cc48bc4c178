//! Runs cases: each in a process of its own, several at a time, with a limit.

pub mod one;
pub mod sweep;

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::case::{Case, Stop};
use crate::host::Host;
use crate::kernel::Kernel;
use crate::outcome::Outcome;
use crate::runtime::Runtime;
use crate::{faults, process, sys};

/// How long a case may take.
const LIMIT: Duration = Duration::from_secs(120);

/// The same for a sweep over every system call.
const LONG: Duration = Duration::from_secs(4 * 3600);

/// The directory and the names of one run, removed at its end.
pub struct Workshop {
    dir: PathBuf,
    tag: String,
    host: Host,
    /// How many points of a sweep to try.
    points: Option<usize>,
}

impl Workshop {
    /// Makes the directory and puts the probe and the mutant into it.
    pub fn new(mut host: Host, points: Option<usize>) -> std::io::Result<Self> {
        sys::become_subreaper()?;
        let tag = format!("hull-conformance-{}", std::process::id());
        let dir = std::env::temp_dir().join(&tag);
        std::fs::create_dir(&dir)?;
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o755))?;
        let own = std::env::current_exe()?;
        std::fs::copy(&own, dir.join("probe"))?;
        std::fs::set_permissions(dir.join("probe"), std::fs::Permissions::from_mode(0o755))?;
        // A link, not a copy: it may lie on a file system mounted noexec for others.
        std::fs::hard_link(dir.join("probe"), dir.join("mutant"))?;
        host.kernel = Kernel::look(&dir.join("probe"));
        Ok(Self { dir, tag, host, points })
    }

    /// The machine it runs on.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Runs every job, `width` at a time; outcomes come in the order of the jobs.
    pub fn run(&self, jobs: &[Job<'_>], width: usize) -> Vec<Outcome> {
        let next = AtomicUsize::new(0);
        let live = Mutex::new(Vec::new());
        let done = Mutex::new(BTreeMap::new());
        std::thread::scope(|scope| {
            for _ in 0..width.max(1) {
                scope.spawn(|| {
                    while let Some((at, job)) = take(&next, jobs) {
                        let outcome = self.job(at, job, &live);
                        if let Ok(mut done) = done.lock() {
                            done.insert(at, outcome);
                        }
                    }
                });
            }
        });
        done.into_inner().map_or_else(|_| Vec::new(), |done| done.into_values().collect())
    }

    fn job(&self, at: usize, job: &Job<'_>, live: &Mutex<Vec<i32>>) -> Outcome {
        let started = Instant::now();
        let unmet = job.case.needs.iter().find_map(|need| need.unmet(&self.host, job.runtime));
        if let Some(reason) = unmet {
            return Outcome::new(&job.case.id, job.case.level(), Err(Stop::Skip(reason)), vec![]);
        }
        let dir = self.dir.join(at.to_string());
        let cgroup = format!("/{}/{at}", self.tag);
        let mut outcome = self.isolated(job, &dir, &cgroup, live).unwrap_or_else(|error| {
            let stop = Stop::Suite(format!("start the case: {error}"));
            Outcome::new(&job.case.id, job.case.level(), Err(stop), Vec::new())
        });
        sweep::after(&dir, &cgroup, &self.host, live);
        outcome.ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        outcome
    }

    fn isolated(
        &self,
        job: &Job<'_>,
        dir: &Path,
        cgroup: &str,
        live: &Mutex<Vec<i32>>,
    ) -> std::io::Result<Outcome> {
        std::fs::create_dir(dir)?;
        let setup = one::Setup {
            case: job.case.id.clone(),
            runtime: job.runtime.clone(),
            broken: job.broken.then(|| job.case.breaks.clone()),
            work: self.dir.clone(),
            dir: dir.to_owned(),
            cgroup: cgroup.to_owned(),
            host: self.host.clone(),
            points: self.points.unwrap_or(faults::SAMPLE),
        };
        let mut command = Command::new(self.dir.join("probe"));
        command.arg0("case").arg(serde_json::to_string(&setup)?);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
        let mut child = {
            // Held while the child is made, so that no sweep takes it for an orphan.
            let mut live = live.lock().map_err(|_| std::io::Error::other("a worker died"))?;
            let child = command.spawn()?;
            live.push(i32::try_from(child.id()).unwrap_or(-1));
            child
        };
        let text = finish(&mut child, if self.points.is_some() { LONG } else { LIMIT });
        let pid = i32::try_from(child.id()).unwrap_or(-1);
        if let Ok(mut live) = live.lock() {
            live.retain(|other| *other != pid);
        }
        let stop = match text {
            Ok(text) => match serde_json::from_str(&text) {
                Ok(outcome) => return Ok(outcome),
                Err(_) => Stop::Suite("the case's process died".into()),
            },
            Err(error) => Stop::Fail(error.to_string()),
        };
        Ok(Outcome::new(&job.case.id, job.case.level(), Err(stop), Vec::new()))
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        sweep::all(&self.dir, &self.tag, &self.host);
    }
}

/// A case on a runtime.
pub struct Job<'a> {
    /// The case.
    pub case: &'a Case,
    /// The runtime.
    pub runtime: &'a Runtime,
    /// Whether the runtime is broken as the case says.
    pub broken: bool,
}

fn take<'a, T>(next: &AtomicUsize, jobs: &'a [T]) -> Option<(usize, &'a T)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    jobs.get(at).map(|job| (at, job))
}

/// Reads the outcome and waits; a process that lives on after the limit is killed.
fn finish(child: &mut Child, limit: Duration) -> std::io::Result<String> {
    let pid = i32::try_from(child.id()).unwrap_or(-1);
    let mut text = String::new();
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        let late = receiver.recv_timeout(limit).is_err();
        if late {
            process::kill(pid);
        }
        late
    });
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_string(&mut text)?;
    }
    // The watch may have ended already.
    let _ = sender.send(());
    let late = watch.join().unwrap_or(true);
    child.wait()?;
    if late {
        return Err(std::io::Error::other(format!("not done after {} s", limit.as_secs())));
    }
    Ok(text)
}
