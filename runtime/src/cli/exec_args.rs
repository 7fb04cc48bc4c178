//! What `exec` takes: a whole process object, or changes to that of config.json.

use super::flags::{Operands, path, process_flags, switch, usage, value};
use crate::error::Result;
use clap::{Arg, ArgAction, ArgMatches};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Arguments of `exec`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecArgs {
    /// Container id.
    pub id: String,
    /// argv; empty only with `process`.
    pub command: Vec<String>,
    /// File with a process object; the other options that describe a process are then ignored.
    pub process: Option<PathBuf>,
    /// Unix socket that gets the terminal's master end.
    pub console_socket: Option<PathBuf>,
    /// Unix socket that gets a pidfd of the process.
    pub pidfd_socket: Option<PathBuf>,
    /// File that gets the pid.
    pub pid_file: Option<PathBuf>,
    /// Working directory.
    pub cwd: Option<String>,
    /// Added to the environment, `NAME=value`.
    pub env: Vec<String>,
    /// A terminal is made for the process.
    pub tty: bool,
    /// User, and group unless it stays as configured.
    pub user: Option<(u32, Option<u32>)>,
    /// Added to the supplementary groups.
    pub additional_gids: Vec<u32>,
    /// Return as soon as the process runs.
    pub detach: bool,
    /// SELinux label.
    pub process_label: Option<String>,
    /// AppArmor profile.
    pub apparmor: Option<String>,
    /// Sets `noNewPrivileges`; it is never cleared from here.
    pub no_new_privs: bool,
    /// Added to the capabilities.
    pub cap: Vec<String>,
    /// How many descriptors after standard error the process gets.
    pub preserve_fds: u32,
    /// Cgroups below the container's, by controller; the empty name is cgroup v2.
    pub cgroup: BTreeMap<String, String>,
    /// A paused container is no error.
    pub ignore_paused: bool,
}

/// The flags.
pub(super) fn flags() -> Vec<Arg> {
    let list = |long, name, help| value(long, name, help).action(ArgAction::Append);
    let mut flags = vec![
        value("cwd", "DIR", "Working directory in the container"),
        list("env", "NAME=VALUE", "Add to the environment").short('e'),
        switch("tty", "Make a terminal for the process").short('t'),
        value("user", "UID[:GID]", "User and group, by number").short('u'),
        list("additional-gids", "GID", "Add a supplementary group").short('g'),
        path("process", "FILE", "Read the whole process object from FILE").short('p'),
        switch("detach", "Return as soon as the process runs").short('d'),
        value("process-label", "LABEL", "SELinux label"),
        value("apparmor", "PROFILE", "AppArmor profile"),
        switch("no-new-privs", "Set no_new_privs"),
        list("cap", "CAP", "Add a capability").short('c'),
        list("cgroup", "[CONTROLLER:]PATH", "Cgroup below the container's to run in"),
        switch("ignore-paused", "Don't mind a paused container"),
    ];
    flags.extend(process_flags());
    flags
}

/// Takes the arguments from what clap read.
pub(super) fn read(matches: &mut ArgMatches, operands: &mut Operands) -> Result<ExecArgs> {
    let id = operands.one();
    let command: Vec<_> = operands.rest.by_ref().collect();
    let process = matches.remove_one("process");
    if command.is_empty() && process.is_none() {
        return Err(usage("exec args cannot be empty"));
    }
    Ok(ExecArgs {
        id,
        command,
        process,
        console_socket: matches.remove_one("console-socket"),
        pidfd_socket: matches.remove_one("pidfd-socket"),
        pid_file: matches.remove_one("pid-file"),
        cwd: matches.remove_one("cwd"),
        env: all(matches, "env"),
        tty: matches.get_flag("tty"),
        user: matches.remove_one::<String>("user").map(|text| user(&text)).transpose()?,
        additional_gids: all(matches, "additional-gids")
            .iter()
            .map(|text| id_number(text, "additional-gids"))
            .collect::<Result<_>>()?,
        detach: matches.get_flag("detach"),
        process_label: matches.remove_one("process-label"),
        apparmor: matches.remove_one("apparmor"),
        no_new_privs: matches.get_flag("no-new-privs"),
        cap: all(matches, "cap"),
        preserve_fds: matches.remove_one("preserve-fds").unwrap_or(0),
        cgroup: cgroups(&all(matches, "cgroup"))?,
        ignore_paused: matches.get_flag("ignore-paused"),
    })
}

fn all(matches: &mut ArgMatches, name: &str) -> Vec<String> {
    matches.remove_many(name).map(Iterator::collect).unwrap_or_default()
}

/// A user or group id. -1 as 32 bits means "leave it" to setresuid(2) and would keep root.
fn id_number(text: &str, what: &str) -> Result<u32> {
    match text.parse() {
        Ok(u32::MAX) | Err(_) => {
            Err(usage(format!("bad {what}: {text:?} is not a number from 0 to 4294967294")))
        }
        Ok(id) => Ok(id),
    }
}

fn user(text: &str) -> Result<(u32, Option<u32>)> {
    match text.split_once(':') {
        Some((uid, gid)) => Ok((id_number(uid, "uid")?, Some(id_number(gid, "gid")?))),
        None => Ok((id_number(text, "uid")?, None)),
    }
}

/// `--cgroup` values: one path for cgroup v2, or `controller[,controller...]:path` for v1.
fn cgroups(values: &[String]) -> Result<BTreeMap<String, String>> {
    let mut out = BTreeMap::new();
    for value in values {
        let (controllers, path) = match value.split_once(':') {
            Some(halves) => halves,
            None if values.len() == 1 => {
                out.insert(String::new(), value.clone());
                continue;
            }
            None => {
                return Err(usage(format!(
                    "invalid --cgroup argument: {value} (missing <controller>: prefix)"
                )));
            }
        };
        for controller in controllers.split(',') {
            if controller.is_empty() {
                return Err(usage(format!(
                    "invalid --cgroup argument: {value} (empty <controller> prefix)"
                )));
            }
            if out.insert(controller.to_owned(), path.to_owned()).is_some() {
                return Err(usage(format!(
                    "invalid --cgroup argument(s): controller {controller} specified multiple times"
                )));
            }
        }
    }
    Ok(out)
}
