//! Effects on the kernel: terminals, foreground processes, network devices.
//!
//! Those that need privileges are skipped without them, and say so. Namespaces are made for the
//! test's own thread and end with it.

#![allow(
    clippy::unwrap_used,
    clippy::zombie_processes,
    reason = "helpers of tests fail as tests do; what is attended is reaped by what is tested"
)]

#[path = "effects_root/foreground.rs"]
mod foreground;
#[path = "effects_root/netdev.rs"]
mod netdev;
#[path = "effects_root/terminal.rs"]
mod terminal;

use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SigSet, SigmaskHow};
use std::process::{Child, Command, Output, Stdio};

/// Gives the calling thread new namespaces; false, with the reason printed, where that fails.
fn enter(namespaces: CloneFlags) -> bool {
    if !is_root() {
        return false;
    }
    match unshare(namespaces) {
        Ok(()) => true,
        Err(errno) => {
            eprintln!("skipped: unshare({namespaces:?}): {errno}");
            false
        }
    }
}

/// Whether the test has its privileges; says so if not.
fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("skipped: needs root");
    }
    root
}

/// The variable that tells a test that it runs alone.
const ALONE: &str = "HULL_TEST_ALONE";

/// Whether this is the process in which the test may block signals and reap all children.
fn alone() -> bool {
    std::env::var_os(ALONE).is_some()
}

/// A command that runs the named test alone, in a process with one thread.
fn command_alone(launcher: &[&str], name: &str) -> Command {
    let this = std::env::current_exe().unwrap();
    let (program, arguments) = launcher.split_first().map_or_else(
        || (this.clone().into_os_string(), Vec::new()),
        |(program, rest)| {
            let rest = rest.iter().map(Into::into).chain([this.clone().into_os_string()]);
            ((*program).into(), rest.collect())
        },
    );
    let mut command = Command::new(program);
    command.args(arguments).args([name, "--exact", "--nocapture", "--test-threads=1"]);
    command.env(ALONE, "1");
    command
}

/// Starts a command with all signals blocked. The test runner's main thread, in which no test
/// runs, then leaves those sent to its process to the thread that reads them.
fn spawn_blocked(command: &mut Command) -> Child {
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK).unwrap();
    let child = command.spawn();
    before.thread_set_mask().unwrap();
    child.unwrap()
}

/// Runs the named test alone with this input, and hands back what it printed.
fn run_alone(name: &str, input: &[u8]) -> String {
    use std::io::Write;
    let mut command = command_alone(&[], name);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = spawn_blocked(&mut command);
    // Small, so that a pipe holds it whether or not it is read.
    child.stdin.take().unwrap().write_all(input).unwrap();
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{name}: {stdout}\n{stderr}");
    assert!(stdout.contains("1 passed"), "{name} did not run: {stdout}");
    format!("{stdout}{stderr}")
}
