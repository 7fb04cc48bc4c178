//! The published attack classes of container runtimes, re-enacted without harm: every case acts
//! only on files below its own directory.

mod descriptors;
mod exec;
mod host;
mod paths;
mod privileges;
mod proc;
mod terminal;

use std::path::PathBuf;

use crate::case::{Builder, Case, Stop, Verdict, case, ensure, equal};
use crate::context::Context;

/// The chapter.
pub fn cases() -> Vec<Case> {
    let mut all = descriptors::cases();
    all.extend(paths::cases());
    all.extend(proc::cases());
    all.extend(terminal::cases());
    all.extend(privileges::cases());
    all.extend(exec::cases());
    all.extend(host::cases());
    all
}

fn attack(name: &str, advisories: &str) -> Builder {
    case(format!("security/{name}")).cites(format!("{advisories}: public advisory"))
}

/// A directory of the host that no container may reach.
fn outside(c: &Context) -> Result<PathBuf, Stop> {
    let path = c.driver.dir.join("outside");
    std::fs::create_dir_all(&path)?;
    std::fs::write(path.join("secret"), "secret")?;
    Ok(path)
}

/// The directory is as it was, and nothing is mounted on it.
fn untouched(path: &std::path::Path) -> Verdict {
    let names: Vec<_> = std::fs::read_dir(path)?.flatten().map(|e| e.file_name()).collect();
    equal("the host's directory", &names, &["secret"])?;
    equal("the host's file", std::fs::read_to_string(path.join("secret"))?.as_str(), "secret")?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    let text = path.display().to_string();
    ensure(!mounts.contains(&text), || "something is mounted on the host's directory".into())
}
