//! What this is and runs on: `/version`, `/info`.

use super::model::system::{Component, Platform, Version};
use super::{Engine, version};

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Machine names: the kernel's and Go's.
const MACHINES: &[(&str, &str)] = &[
    ("x86_64", "amd64"),
    ("aarch64", "arm64"),
    ("armv7l", "arm"),
    ("i686", "386"),
    ("ppc64le", "ppc64le"),
    ("riscv64", "riscv64"),
    ("s390x", "s390x"),
    ("loongarch64", "loong64"),
];

/// Kernel release and machine.
pub fn uname() -> (String, String) {
    nix::sys::utsname::uname().map_or_else(
        |_| (String::new(), String::new()),
        |name| {
            (
                name.release().to_string_lossy().into_owned(),
                name.machine().to_string_lossy().into_owned(),
            )
        },
    )
}

/// The kernel's machine name in Go's words.
pub fn architecture(machine: &str) -> String {
    let known = MACHINES.iter().find(|(kernel, _)| *kernel == machine);
    known.map_or(machine, |(_, go)| go).to_string()
}

impl Engine {
    /// The answer of `/version`.
    pub fn version(&self) -> Version {
        let (kernel_version, machine) = uname();
        let arch = architecture(&machine);
        let own = env!("CARGO_PKG_VERSION").to_string();
        let details = [
            ("ApiVersion", version::MAX.to_string()),
            ("Arch", arch.clone()),
            ("Experimental", "false".to_string()),
            ("GitCommit", version::COMMIT.to_string()),
            ("KernelVersion", kernel_version.clone()),
            ("MinAPIVersion", version::MIN.to_string()),
            ("Os", "linux".to_string()),
        ];
        let runtime = runtime_version(&self.config.runtime);
        Version {
            platform: Platform { name: "Hull Deck".into() },
            components: vec![
                Component {
                    name: "Engine".into(),
                    version: own.clone(),
                    details: strings(&details),
                },
                Component {
                    name: name_of(&self.config.runtime),
                    version: runtime.0,
                    details: strings(&[("GitCommit", runtime.1)]),
                },
            ],
            version: own,
            api_version: version::MAX.to_string(),
            min_api_version: version::MIN.to_string(),
            git_commit: version::COMMIT.to_string(),
            go_version: String::new(),
            os: "linux".into(),
            arch,
            kernel_version,
            build_time: String::new(),
        }
    }
}

/// A program's name without its directory.
fn name_of(program: &Path) -> String {
    program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned()
}

/// A map of strings as JSON values.
fn strings(pairs: &[(&str, String)]) -> BTreeMap<String, Value> {
    pairs.iter().map(|(key, value)| ((*key).to_string(), Value::from(value.clone()))).collect()
}

/// Version and commit that the runtime tells about itself; empty when it can't be run.
pub fn runtime_version(runtime: &Path) -> (String, String) {
    let output = Command::new(runtime).arg("--version").output();
    let text = output.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default();
    let mut version = String::new();
    let mut commit = String::new();
    for line in text.lines() {
        if let Some((_, value)) = line.split_once(" version ") {
            version = value.trim().to_string();
        } else if let Some(value) = line.strip_prefix("commit:") {
            commit = value.trim().to_string();
        }
    }
    (version, commit)
}
