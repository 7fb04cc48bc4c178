//! The process: command, environment, directory, user, privileges and limits; pure.

use super::Input;
use super::wishes::{Ulimit, Wishes};
use crate::error::{Error, Result};
use crate::image::RunConfig;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The search path of images that name none: Docker's.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where the init is mounted: Docker's place.
pub const INIT: &str = "/sbin/docker-init";

/// `process` of the spec.
pub fn process(input: &Input, capabilities: &[String]) -> Result<Value> {
    let (wishes, identity) = (input.wishes, input.identity);
    let mut args = command(input.image, wishes)?;
    if wishes.init.is_some() {
        args.splice(0..0, [INIT.to_owned(), "--".to_owned()]);
    }
    let root = identity.uid == 0;
    // A program of another user gains none by exec: what its permitted set would hold is empty.
    let held = if root { capabilities } else { &[] };
    let mut process = json!({
        "terminal": wishes.tty,
        "user": {
            "uid": identity.uid,
            "gid": identity.gid,
            "additionalGids": identity.groups,
        },
        "args": args,
        "env": environment(input),
        "cwd": directory(input.image, wishes)?,
        "capabilities": {
            "bounding": capabilities,
            "effective": held,
            "permitted": held,
            "inheritable": [],
            "ambient": [],
        },
        "noNewPrivileges": wishes.security.no_new_privileges,
    });
    let mut put = |key: &str, value: Value| process[key] = value;
    if let Some((height, width)) = wishes.console_size.filter(|_| wishes.tty) {
        put("consoleSize", json!({"height": height, "width": width}));
    }
    if let Some(adjustment) = wishes.oom_score_adj {
        if !(-1000..=1000).contains(&adjustment) {
            let message =
                format!("invalid value {adjustment}, range for oom score adj is [-1000, 1000]");
            return Err(Error::invalid(message));
        }
        put("oomScoreAdj", json!(adjustment));
    }
    if !wishes.ulimits.is_empty() {
        put("rlimits", rlimits(&wishes.ulimits)?);
    }
    if let Some(profile) = wishes.security.apparmor.as_ref().filter(|name| *name != "unconfined") {
        put("apparmorProfile", json!(profile));
    }
    if let Some(label) = &wishes.security.selinux_process {
        put("selinuxLabel", json!(label));
    }
    Ok(process)
}

/// Entrypoint and command: a new entrypoint drops the image's command (image-spec conversion.md,
/// and Docker's merge).
pub fn command(image: &RunConfig, wishes: &Wishes) -> Result<Vec<String>> {
    let entrypoint = wishes.entrypoint.as_ref().or(image.entrypoint.as_ref());
    let cmd = match (&wishes.cmd, &wishes.entrypoint) {
        (Some(cmd), _) => Some(cmd),
        (None, Some(_)) => None,
        (None, None) => image.cmd.as_ref(),
    };
    let parts = [entrypoint, cmd].into_iter().flatten().flatten();
    let args: Vec<String> = parts.cloned().collect();
    match args.first() {
        None => Err(Error::invalid("no command specified")),
        Some(first) if first.is_empty() => Err(Error::invalid("the command's name is empty")),
        Some(_) => Ok(args),
    }
}

/// The image's environment, overridden by the wishes', on top of what Docker always gives.
fn environment(input: &Input) -> Vec<String> {
    let wishes = input.wishes;
    let mut env: Vec<String> = vec![PATH.to_owned()];
    if !wishes.hostname.is_empty() {
        env.push(format!("HOSTNAME={}", wishes.hostname));
    }
    if wishes.tty {
        env.push("TERM=xterm".to_owned());
    }
    for entry in input.image.env.iter().chain(&wishes.env) {
        set(&mut env, entry);
    }
    if let Some(home) = &input.identity.home
        && !env.iter().any(|entry| entry.starts_with("HOME="))
    {
        env.push(format!("HOME={home}"));
    }
    env
}

/// `NAME=value` replaces, a bare `NAME` takes away.
fn set(env: &mut Vec<String>, entry: &str) {
    let Some((name, _)) = entry.split_once('=') else {
        env.retain(|old| old.split('=').next() != Some(entry));
        return;
    };
    match env.iter_mut().find(|old| old.split('=').next() == Some(name)) {
        Some(old) => entry.clone_into(old),
        None => env.push(entry.to_owned()),
    }
}

/// The working directory: absolute, a relative one of an image starts at the root.
fn directory(image: &RunConfig, wishes: &Wishes) -> Result<PathBuf> {
    if let Some(path) = &wishes.working_dir {
        if !path.starts_with('/') {
            let message = format!(
                "the working directory {path:?} is invalid, it needs to be an absolute path"
            );
            return Err(Error::invalid(message));
        }
        return Ok(PathBuf::from(path));
    }
    Ok(Path::new("/").join(&image.working_dir))
}

fn rlimits(ulimits: &[Ulimit]) -> Result<Value> {
    const NAMES: &[&str] = &[
        "as",
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    ];
    let mut list = Vec::new();
    let mut seen = Vec::new();
    for ulimit in ulimits {
        let name = ulimit.name.to_ascii_lowercase();
        let name = name.strip_prefix("rlimit_").unwrap_or(&name).to_owned();
        if !NAMES.contains(&name.as_str()) {
            return Err(Error::invalid(format!("invalid ulimit type: {:?}", ulimit.name)));
        }
        if seen.contains(&name) {
            return Err(Error::invalid(format!("ulimit {name} is given twice")));
        }
        // -1, and all below, is RLIM_INFINITY.
        let value = |value: i64| u64::try_from(value).unwrap_or(u64::MAX);
        let (soft, hard) = (value(ulimit.soft), value(ulimit.hard));
        if soft > hard {
            return Err(Error::invalid(format!(
                "ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"
            )));
        }
        let kind = format!("RLIMIT_{}", name.to_ascii_uppercase());
        list.push(json!({"type": kind, "soft": soft, "hard": hard}));
        seen.push(name);
    }
    Ok(Value::Array(list))
}
