//! `probe hook FILE NAME [EXIT [SECONDS [deaf]]]`: a hook that records how it was called.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use super::surroundings;

/// Appends one line of JSON to the file, sleeps, exits as told.
pub fn main(words: &[String]) -> ExitCode {
    let [file, name, rest @ ..] = words else { return ExitCode::from(99) };
    let deaf = rest.get(2).is_some();
    let mut input = String::new();
    let state = match std::io::stdin().read_to_string(&mut input) {
        Ok(_) if deaf => Value::Null,
        Ok(_) => serde_json::from_str(&input).unwrap_or(Value::String(input)),
        Err(error) => Value::String(error.to_string()),
    };
    let seen = surroundings::observe();
    let container = container(&state);
    let line = json!({
        "hook": name,
        "container": container,
        "state": state,
        "namespaces": seen.namespaces,
        "cwd": seen.cwd,
        "env": seen.env,
        "args": seen.args,
        "ppid": seen.ppid,
        "entries": entries("/"),
    });
    let opened = OpenOptions::new().create(true).append(true).open(file);
    if opened.and_then(|mut file| writeln!(file, "{line}")).is_err() {
        return ExitCode::from(97);
    }
    let number = |at: usize| rest.get(at).and_then(|word| word.parse::<u8>().ok()).unwrap_or(0);
    std::thread::sleep(Duration::from_secs(number(1).into()));
    ExitCode::from(number(0))
}

/// What the process named by the state looks like from the hook.
fn container(state: &Value) -> Value {
    let process = format!("/proc/{}", state["pid"]);
    let read = |file: &str| {
        let bytes = std::fs::read(format!("{process}/{file}")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let mounts = read("mountinfo");
    json!({
        "command": read("cmdline").replace('\0', " ").trim_end(),
        "entries": entries(&format!("{process}/root")),
        "mounts": mounts.lines().filter_map(|line| line.split(' ').nth(4)).collect::<Vec<_>>(),
    })
}

/// The names in a directory: which root the hook stands in.
fn entries(path: &str) -> Vec<String> {
    let Ok(directory) = std::fs::read_dir(path) else { return Vec::new() };
    let names = directory.flatten().map(|entry| entry.file_name());
    names.map(|name| name.to_string_lossy().into_owned()).collect()
}
