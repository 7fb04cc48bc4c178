//! docs/spec-coverage.md names every property of config.json, every command and every flag, and
//! each of its rows names a test that exists.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "coverage/unsafe_code.rs"]
mod unsafe_code;

use hull::cli::entries::ENTRIES;
use hull::cli::help;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Objects whose keys are no properties.
const MAPS: [&str; 6] = ["annotations", "sysctl", "unified", "rdma", "netDevices", "timeOffsets"];

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/spec-coverage.md");
    fs::read_to_string(path).unwrap()
}

/// What stands between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// All Rust sources of this package, with their paths.
fn sources(directory: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
}

#[test]
fn every_row_names_a_test_that_exists() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = Vec::new();
    for directory in ["src", "tests"] {
        sources(&top.join(directory), &mut all);
    }
    let exists = |name: &str| {
        let (place, function) = name.rsplit_once("::").unwrap_or(("", name));
        let head = format!("fn {function}()");
        let of_place = |path: &Path| {
            let text = path.to_str().unwrap().trim_end_matches(".rs").trim_end_matches("_tests");
            let text = text.trim_end_matches("/tests").trim_end_matches("/mod");
            let text = text.trim_end_matches("/main");
            text.ends_with(&place.replace("::", "/"))
        };
        all.iter().any(|(path, text)| of_place(path) && text.contains(&head))
    };
    let page = page();
    let mut rows = 0;
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let proof = line.trim_end_matches('|').rsplit('|').next().unwrap();
        assert!(quoted(proof).next().is_some(), "no test: {line}");
        for name in quoted(proof) {
            assert!(exists(name), "{name} is no test: {line}");
        }
        rows += 1;
    }
    assert!(rows > 100, "{rows} rows");
    assert!(!exists("mounts::no_such_test") && exists("mounts::options_of_a_tmpfs"));
}

#[test]
fn every_property_and_flag_has_a_row() {
    let page = page();
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let told: BTreeSet<&str> = rows
        .filter_map(|line| line.split('|').nth(1))
        .flat_map(quoted)
        .flat_map(|name| name.split(['.', ' ']))
        .map(|name| name.trim_end_matches("[]"))
        .collect();
    let everything = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/everything.json");
    let everything: Value = serde_json::from_slice(&fs::read(everything).unwrap()).unwrap();
    let mut keys = BTreeSet::new();
    collect(&everything, &mut keys);
    // Of those that exclude or repeat others one is in that file.
    let others = ["nice", "throttleReadIOPSDevice", "throttleWriteBpsDevice"];
    keys.extend(others.map(str::to_owned));
    let mut missing: Vec<String> = keys.into_iter().filter(|key| !told.contains(&**key)).collect();
    for entry in &ENTRIES {
        missing.extend((!told.contains(entry.name())).then(|| entry.title.to_owned()));
    }
    let globals = help::global_definition();
    let commands = ENTRIES.iter().map(help::entry_definition).chain([globals]);
    for command in commands {
        for flag in command.get_arguments().filter(|flag| !flag.is_hide_set()) {
            let long = format!("--{}", flag.get_long().unwrap());
            missing.extend((!told.contains(&*long)).then_some(long));
        }
    }
    assert!(missing.is_empty(), "docs/spec-coverage.md says nothing of {missing:?}");
}

fn collect(value: &Value, keys: &mut BTreeSet<String>) {
    match value {
        Value::Array(list) => list.iter().for_each(|value| collect(value, keys)),
        Value::Object(map) => {
            for (key, value) in map {
                keys.insert(key.clone());
                if !MAPS.contains(&key.as_str()) {
                    collect(value, keys);
                }
            }
        }
        _ => {}
    }
}
