//! The rules of runtime-spec that can be judged by config.json alone.
//!
//! Every rule that is broken becomes a [`Problem`], so that a user mends them all at once. What
//! depends on the host (paths that exist, what the kernel supports, limits a cgroup takes) is
//! judged where it is used; so are `linux.resources` and `linux.seccomp`. A comment cites the
//! sentence or the kernel's rule a check stands for.

mod linux;
mod list;
mod mounts;
mod process;
mod sysctl;

pub use linux::{MEMORY_POLICY_FLAGS, MEMORY_POLICY_MODES};
pub use list::parse as parse_list;
pub use process::check_process;
pub use sysctl::path as sysctl_path;

use super::config::{Hook, Hooks, IdMapping, Root};
use super::{Problem, Spec};
use crate::error::Error;

/// The version of the specification these rules are from.
pub use crate::features::OCI_VERSION_MAX as OCI_VERSION;

/// Longest host and domain name, `__NEW_UTS_LEN` (sethostname(2)).
const UTS_LEN: usize = 64;

/// Judges a configuration.
pub fn check(spec: &Spec) -> Vec<Problem> {
    let mut problems = Problems::default();
    version(spec.oci_version.as_deref(), &mut problems);
    root(spec.root.as_ref(), &mut problems);
    match &spec.process {
        // config.md#process: REQUIRED when start is called; init is made ready for it in create.
        None => problems.add("process", "process property must not be empty"),
        Some(process) => process::check(process, "process", &mut problems),
    }
    uts("hostname", &spec.hostname, spec, &mut problems);
    uts("domainname", &spec.domainname, spec, &mut problems);
    mounts::check(spec, &mut problems);
    if let Some(all) = &spec.hooks {
        hooks(all, &mut problems);
    }
    // config.md#annotations: keys MUST NOT be an empty string.
    if spec.annotations.contains_key("") {
        problems.add("annotations", "a key must not be empty");
    }
    if let Some(linux) = &spec.linux {
        linux::check(linux, spec, &mut problems);
    }
    problems.0
}

/// What a user should know about a configuration that is carried out all the same.
pub fn warnings(spec: &Spec) -> Vec<Problem> {
    let mut problems = Problems::default();
    mounts::warnings(&spec.mounts, &mut problems);
    problems.0
}

/// One error of one line that names all problems.
pub fn problems_to_error(problems: &[Problem]) -> Error {
    problems_in("config.json", problems)
}

/// The same of another file.
pub fn problems_in(file: &str, problems: &[Problem]) -> Error {
    let all: Vec<_> = problems.iter().map(Problem::to_string).collect();
    Error::config(format!("{file}: {}", all.join("; ")))
}

/// Collects problems; places are formatted only when there is one.
#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, at: impl Into<String>, what: impl Into<String>) {
        self.0.push(Problem::new(at, what));
    }

    /// A string the kernel gets: it ends at the first NUL there, and would mean something else.
    fn text(&mut self, at: impl FnOnce() -> String, value: &str) -> bool {
        let bad = value.contains('\0');
        if bad {
            self.add(at(), format!("{value:?} contains a NUL byte"));
        }
        !bad
    }

    /// A path that has to be absolute.
    fn absolute(&mut self, at: impl FnOnce() -> String, path: &str) {
        if path.is_empty() {
            self.add(at(), "must not be empty");
        } else if !path.starts_with('/') {
            self.add(at(), format!("{path:?} must be an absolute path"));
        } else {
            self.text(at, path);
        }
    }

    /// One of a set of names.
    fn known(&mut self, at: impl FnOnce() -> String, what: &str, value: &str, names: &[&str]) {
        if !names.contains(&value) {
            self.add(at(), format!("invalid {what} {value:?}"));
        }
    }

    /// A user or group id. -1 as 32 bits means "leave it" to setresuid(2) and its kin: the process
    /// would keep the runtime's id (CVE-2024-40635 and others).
    fn id(&mut self, at: impl FnOnce() -> String, id: u32) {
        if id == u32::MAX {
            self.add(at(), "4294967295 is not an id");
        }
    }

    /// Ranges of ids, with the rules of user_namespaces(7) under which a write to uid_map fails.
    fn mappings(&mut self, at: &str, mappings: &[IdMapping]) {
        for (i, mapping) in mappings.iter().enumerate() {
            let end = |start: u32| u64::from(start) + u64::from(mapping.size);
            if mapping.size == 0 {
                self.add(format!("{at}[{i}].size"), "must not be 0");
            } else if end(mapping.container_id).max(end(mapping.host_id)) > u64::from(u32::MAX) {
                self.add(format!("{at}[{i}]"), "the range goes beyond the last id, 4294967294");
            } else if mappings.iter().take(i).any(|other| overlap(other, mapping)) {
                self.add(format!("{at}[{i}]"), "the range overlaps with one before it");
            }
        }
        if mappings.len() > 340 {
            self.add(at, format!("{} ranges, the kernel takes 340", mappings.len()));
        }
    }
}

fn overlap(a: &IdMapping, b: &IdMapping) -> bool {
    let meet = |x: u32, y: u32| {
        u64::from(x) < u64::from(y) + u64::from(b.size)
            && u64::from(y) < u64::from(x) + u64::from(a.size)
    };
    meet(a.container_id, b.container_id) || meet(a.host_id, b.host_id)
}

/// config.md#specification-version: `ociVersion` is REQUIRED and MUST be SemVer 2.0.0. Minor
/// versions are compatible both ways; of another major version nothing is known, and config.md
/// "Valid values" wants an error for what isn't supported.
fn version(version: Option<&str>, problems: &mut Problems) {
    let at = "ociVersion";
    match version {
        None | Some("") => problems.add(at, "must be set"),
        Some(version) => match major(version) {
            None => problems.add(at, format!("{version:?} is not a SemVer 2.0.0 version")),
            Some("1") => {}
            Some(_) => problems.add(
                at,
                format!("{version:?} is not supported, only 1.x up to {OCI_VERSION} and later"),
            ),
        },
    }
}

/// The major version, if the whole is a version by semver.org's grammar.
fn major(version: &str) -> Option<&str> {
    let (version, build) = split(version, '+');
    let (core, pre_release) = split(version, '-');
    let number = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_digit())
            && (part == "0" || !part.starts_with('0'))
    };
    let identifier = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let pre_release_part = |part: &str| {
        identifier(part) && (number(part) || !part.bytes().all(|b| b.is_ascii_digit()))
    };
    let good = core.split('.').count() == 3
        && core.split('.').all(number)
        && pre_release.is_none_or(|all| all.split('.').all(pre_release_part))
        && build.is_none_or(|all| all.split('.').all(identifier));
    if good { core.split('.').next() } else { None }
}

fn split(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(head, tail)| (head, Some(tail)))
}

/// config.md#root: REQUIRED on Linux, as is its path.
fn root(root: Option<&Root>, problems: &mut Problems) {
    match root {
        None => problems.add("root", "root must be specified"),
        Some(root) if root.path.is_empty() => problems.add("root.path", "must not be empty"),
        Some(root) => {
            problems.text(|| "root.path".into(), &root.path);
        }
    }
}

/// config.md#hostname, #domainname. Without a UTS namespace of its own (or one to join) the
/// container would rename the host (CVE-2022-0811 shows the like).
fn uts(at: &str, name: &str, spec: &Spec, problems: &mut Problems) {
    if name.is_empty() {
        return;
    }
    if !has_namespace(spec, "uts") {
        problems.add(at, format!("unable to set {at} without a private UTS namespace"));
    }
    if name.len() > UTS_LEN {
        problems.add(at, format!("{name:?} is longer than {UTS_LEN} bytes"));
    }
    problems.text(|| at.into(), name);
}

/// Whether the container creates or joins a namespace of a type.
fn has_namespace(spec: &Spec, typ: &str) -> bool {
    spec.linux.as_ref().is_some_and(|linux| linux.namespaces.iter().any(|ns| ns.typ == typ))
}

/// config.md#posix-platform-hooks
fn hooks(hooks: &Hooks, problems: &mut Problems) {
    for (name, list) in hooks.lists() {
        for (i, entry) in list.iter().enumerate() {
            hook(entry, &format!("hooks.{name}[{i}]"), problems);
        }
    }
}

fn hook(hook: &Hook, at: &str, problems: &mut Problems) {
    // "path MUST be absolute."
    problems.absolute(|| format!("{at}.path"), &hook.path);
    // "If set, timeout MUST be greater than zero."
    if let Some(timeout) = hook.timeout.filter(|&timeout| timeout <= 0) {
        problems.add(format!("{at}.timeout"), format!("{timeout} must be greater than zero"));
    }
    for (i, arg) in hook.args.iter().enumerate() {
        problems.text(|| format!("{at}.args[{i}]"), arg);
    }
    // Hooks get their environment as it is written; entries without `=` are theirs to ignore.
    for (i, entry) in hook.env.iter().flatten().enumerate() {
        problems.text(|| format!("{at}.env[{i}]"), entry);
    }
}

#[cfg(test)]
mod tests;
