//! What a container is after a fault, and what is left of it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::trace::runs;
use crate::case::{Stop, Verdict, ensure, fail};
use crate::container::Container;
use crate::process;

/// How long a process may take until it is what the runtime says it is.
const SOON: Duration = Duration::from_secs(20);

/// What the system knows of a container.
#[derive(Debug)]
struct Facts {
    /// Children of the suite that run the container's program, but for the bystander.
    program: Vec<i32>,
    /// Other children.
    waiting: Vec<i32>,
}

fn facts(program: &Path, bystander: i32) -> Facts {
    let living = process::living_children().into_iter().filter(|pid| *pid != bystander);
    let (program, waiting) = living.partition(|pid| runs(*pid, program));
    Facts { program, waiting }
}

/// The status `state` tells, which must be true and in agreement with `list`; empty when the
/// runtime does not know the container, which then must not run.
pub fn status(container: &Container, program: &Path, bystander: i32) -> Result<String, Stop> {
    let deadline = Instant::now() + SOON;
    loop {
        let (status, pid) = told(container)?;
        let listed = listed(container)?;
        let facts = facts(program, bystander);
        let doubt = untrue(&status, pid, &facts).or_else(|| {
            (listed != status).then(|| format!("state tells {status:?}, list {listed:?}"))
        });
        match doubt {
            None => return Ok(status),
            Some(doubt) if Instant::now() > deadline => return fail(doubt),
            // It may just be ending, or beginning.
            Some(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

fn told(container: &Container) -> Result<(String, i32), Stop> {
    let output = container.call("state", &[])?;
    ensure(output.exit.is_some(), || "state hung".into())?;
    if !output.ok() {
        return Ok((String::new(), 0));
    }
    let state: Value = serde_json::from_str(&output.stdout)
        .or_else(|error| fail(format!("state is no JSON: {error}")))?;
    let pid = state["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).unwrap_or(0);
    Ok((state["status"].as_str().unwrap_or("unnamed").to_owned(), pid))
}

fn listed(container: &Container) -> Result<String, Stop> {
    let output = container.list()?;
    ensure(output.ok(), || format!("list {}", output.summary()))?;
    let all: Value = serde_json::from_str(&output.stdout)
        .or_else(|error| fail(format!("list is no JSON: {error}")))?;
    let own = all.as_array().into_iter().flatten().find(|each| each["id"] == *container.id);
    Ok(own.and_then(|own| own["status"].as_str()).unwrap_or_default().to_owned())
}

/// Why a status is not true.
fn untrue(status: &str, pid: i32, facts: &Facts) -> Option<String> {
    let holds = match status {
        "running" => facts.program.contains(&pid),
        "created" => facts.waiting.contains(&pid) && facts.program.is_empty(),
        "stopped" | "creating" | "" => facts.program.is_empty(),
        _ => false,
    };
    (!holds).then(|| format!("state tells {status:?} and pid {pid}, there is {facts:?}"))
}

/// Everything below the state root but the bystander's, as paths.
pub fn below(root: &Path, bystander: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
            if directory == root && entry.file_name() == bystander {
                continue;
            }
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    found.sort();
    found
}

/// No process but the bystander, no cgroup, no mount, and of the state root only what was there.
pub fn nothing_left(
    root: (&Path, &[PathBuf]),
    cgroups: &[PathBuf],
    directory: &Path,
    bystander: (&str, i32),
) -> Verdict {
    let alone = process::settles(|children| children == [bystander.1]);
    ensure(alone, || format!("processes are left: {:?}", process::living_children()))?;
    let more = below(root.0, bystander.0).into_iter().find(|path| !root.1.contains(path));
    if let Some(path) = more {
        return fail(format!("left in the state root: {}", path.display()));
    }
    if let Some(path) = cgroups.iter().find(|path| path.exists()) {
        return fail(format!("a cgroup is left: {}", path.display()));
    }
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    let own = directory.display().to_string();
    match mounts.lines().find(|line| line.contains(&own)) {
        Some(line) => fail(format!("a mount is left: {line}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_true_when_the_processes_are_so() {
        let facts = |program: &[i32], waiting: &[i32]| Facts {
            program: program.to_vec(),
            waiting: waiting.to_vec(),
        };
        assert_eq!(untrue("running", 7, &facts(&[7], &[])), None);
        assert!(untrue("running", 7, &facts(&[], &[7])).is_some());
        assert_eq!(untrue("created", 7, &facts(&[], &[7])), None);
        assert!(untrue("created", 7, &facts(&[7], &[])).is_some());
        assert_eq!(untrue("", 0, &facts(&[], &[7])), None);
        assert!(untrue("stopped", 0, &facts(&[7], &[])).is_some());
        assert!(untrue("well", 7, &facts(&[7], &[])).is_some());
    }
}
