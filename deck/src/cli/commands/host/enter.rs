//! `enter`: what `nsenter -t PID -u -i -n -p` does.

use crate::cli::client::{Call, escape};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::json::Fields;
use crate::cli::session::Session;
use clap::Args;
use nix::fcntl::{OFlag, open};
use nix::sched::{CloneFlags, setns};
use nix::sys::stat::Mode;
use serde_json::Value;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

/// Options of `enter`.
#[derive(Args)]
pub struct Enter {
    /// Container, then the command: $SHELL or /bin/sh without one
    #[arg(required = true, trailing_var_arg = true, value_name = "CONTAINER [COMMAND] [ARG]")]
    container_and_command: Vec<String>,
}

/// The namespaces that are entered; files stay the host's.
const NAMESPACES: &[(&str, CloneFlags)] = &[
    ("uts", CloneFlags::CLONE_NEWUTS),
    ("ipc", CloneFlags::CLONE_NEWIPC),
    ("net", CloneFlags::CLONE_NEWNET),
    ("pid", CloneFlags::CLONE_NEWPID),
];

/// Runs `enter`.
pub async fn enter(session: &Session, args: Enter) -> Outcome {
    let Some((container, command)) = args.container_and_command.split_first() else {
        return Ok(());
    };
    let path = format!("/containers/{}/json", escape(container));
    let answer: Value = session.client.json(Call::get(&path)).await?;
    let pid = answer.at_key("State").int("Pid");
    if pid <= 0 {
        return Err(Failure::new(format!("container {container} is not running")));
    }
    let shell = std::env::var("SHELL").unwrap_or_else(|_| "/bin/sh".into());
    let default = [shell];
    let (program, arguments) = command
        .split_first()
        .or_else(|| default.split_first())
        .map_or(("/bin/sh", &[][..]), |(p, a)| (p.as_str(), a));
    join(pid)?;
    // The pid namespace takes effect in children: this process waits for one.
    let status = Command::new(program).args(arguments).status().map_err(|error| {
        let code = if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 };
        Failure::new(format!("run {program}: {error}")).with_code(code)
    })?;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    match u8::try_from(code) {
        Ok(0) => Ok(()),
        Ok(code) => Err(Failure::status(code)),
        Err(_) => Err(Failure::status(u8::MAX)),
    }
}

/// All namespaces are opened before any is joined: the pid means another process, or none, as soon
/// as the container ends.
fn join(pid: i64) -> Outcome {
    let mut files = Vec::new();
    for (name, flag) in NAMESPACES {
        let path = format!("/proc/{pid}/ns/{name}");
        let file = open(path.as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()).map_err(
            |errno| {
                Failure::new(format!(
                    "open {path}: {errno}: is the engine on this host, and are you root?"
                ))
            },
        )?;
        files.push((name, file, flag));
    }
    for (name, file, flag) in files {
        setns(file, *flag).map_err(|errno| {
            Failure::new(format!("enter the {name} namespace of {pid}: {errno}"))
        })?;
    }
    Ok(())
}
