//! `probe hunt FILE`: lies in wait for processes that join the container, until FILE is there.
//!
//! Whatever appears in /proc and is not this program is tried once a moment: can it be traced, its
//! program overwritten, its descriptors and its environment seen? Each such chance must be gone
//! before the process is in sight (CVE-2016-9962, CVE-2019-5736). Nothing is written or stopped.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::ExitCode;

use nix::errno::Errno;
use serde_json::json;

/// The program every legitimate process of the suite's containers runs.
const OWN: &str = "/probe";

/// Hunts, then prints one line: how many processes were in sight, and what was in reach.
pub fn main(words: &[String]) -> ExitCode {
    let Some(stop) = words.first() else { return ExitCode::from(99) };
    let own = std::process::id();
    let (mut seen, mut caught) = (BTreeSet::new(), BTreeSet::new());
    while !Path::new(stop).exists() {
        let Ok(entries) = fs::read_dir("/proc") else { return ExitCode::from(98) };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let pids = names.filter_map(|name| name.parse().ok());
        for pid in pids.filter(|pid| *pid != own && *pid != 1) {
            seen.insert(pid);
            caught.extend(reach(pid));
        }
    }
    println!("{}", json!({"seen": seen.len(), "caught": caught}));
    ExitCode::SUCCESS
}

/// What of a process is in reach before it runs this program.
fn reach(pid: u32) -> Vec<String> {
    let mut found = Vec::new();
    let exe = format!("/proc/{pid}/exe");
    match OpenOptions::new().read(true).write(true).open(&exe) {
        Ok(_) => found.push("its program can be opened for writing".to_owned()),
        // Only its running keeps it from being written.
        Err(error) if error.raw_os_error() == Some(libc::ETXTBSY) => {
            found
                .push("only its running keeps its program from being written (ETXTBSY)".to_owned());
        }
        Err(_) => {}
    }
    if fs::read(format!("/proc/{pid}/environ")).is_ok_and(|text| !text.is_empty()) {
        found.push("its environment can be read".into());
    }
    let links = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    found.extend(links.filter_map(|entry| {
        let target = fs::read_link(entry.path()).ok()?.display().to_string();
        target.starts_with('/').then(|| format!("its descriptor of {target}"))
    }));
    if traced(pid) {
        found.push("it can be traced".into());
    }
    // Only what is certain: it ran another program at the end of the attempts too.
    let other = match fs::read_link(&exe) {
        Ok(target) => target != Path::new(OWN),
        Err(error) => error.raw_os_error() == Some(Errno::EACCES as i32),
    };
    if other { found } else { Vec::new() }
}

/// Whether tracing works; the thread's end lets go of the process again.
fn traced(pid: u32) -> bool {
    let Ok(pid) = i32::try_from(pid) else { return false };
    std::thread::spawn(move || crate::sys::seize(pid) == Ok(())).join().unwrap_or(false)
}
