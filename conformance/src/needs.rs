//! What a case needs before it means anything.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::host::Host;
use crate::runtime::Runtime;

/// A need.
#[derive(Clone, Debug)]
pub enum Need {
    /// The suite runs as root.
    Root,
    /// The controllers are cgroup v1's.
    CgroupV1,
    /// The controllers are cgroup v2's.
    CgroupV2,
    /// A cgroup controller of either version.
    Controller(&'static str),
    /// A runtime that every user can execute.
    ForEveryone,
    /// A path on the host.
    File(&'static str),
    /// A path that must not be on the host.
    NoFile(&'static str),
    /// The runtime claims this version of the specification, or a later one.
    Spec(&'static str),
    /// `features`, when it answers at all, has this value at, or in the array at, the pointer.
    Claim(&'static str, Value),
    /// The runtime has the `features` command.
    Features,
    /// The processor is x86_64.
    X86,
    /// The kernel takes system calls by `int 0x80` from a 64-bit process.
    Interrupt,
    /// The kernel has namespaces of this kind, by its name in /proc/PID/ns.
    Namespace(&'static str),
    /// The kernel can map the ids of a tmpfs.
    Idmap,
}

impl Need {
    /// Why the need is not met; `None` when it is.
    pub fn unmet(&self, host: &Host, runtime: &Runtime) -> Option<String> {
        match self {
            Self::Root => (host.euid != 0).then(|| "needs root".into()),
            Self::CgroupV1 => (!host.is_v1()).then(|| "needs cgroup v1".into()),
            Self::CgroupV2 => host.cgroup_v2.is_none().then(|| "needs cgroup v2".into()),
            Self::Controller(name) => (!host.has_controller(name))
                .then(|| format!("this machine lacks the cgroup controller {name}")),
            Self::ForEveryone => (!executable(&runtime.path))
                .then(|| format!("an ordinary user can't execute {}", runtime.path.display())),
            Self::File(path) => {
                (!Path::new(path).exists()).then(|| format!("this machine lacks {path}"))
            }
            Self::NoFile(path) => {
                Path::new(path).exists().then(|| format!("this machine has {path}"))
            }
            Self::Spec(since) => (runtime.spec() < version(since))
                .then(|| format!("since {since}; the runtime claims {}", runtime.claimed)),
            Self::Claim(pointer, wanted) => claim(runtime.features.as_ref()?, pointer, wanted),
            Self::Features => {
                runtime.features.is_none().then(|| "the runtime has no `features`".into())
            }
            Self::X86 => (!cfg!(target_arch = "x86_64")).then(|| "needs x86_64".into()),
            Self::Interrupt => (host.kernel.interrupt.as_ref())
                .map(|error| format!("this kernel takes no system call by int 0x80: {error}")),
            Self::Namespace(link) => (!Path::new("/proc/self/ns").join(link).exists())
                .then(|| format!("this kernel lacks {link} namespaces")),
            Self::Idmap => (host.kernel.idmap.as_ref())
                .map(|error| format!("this kernel can't map the ids of a tmpfs: {error}")),
        }
    }
}

/// Absence of the property means nothing is known (features.md): the case is run then.
fn claim(features: &Value, pointer: &str, wanted: &Value) -> Option<String> {
    let claimed = match features.pointer(pointer)? {
        Value::Null => return None,
        Value::Array(items) => items.contains(wanted),
        other => other == wanted,
    };
    (!claimed).then(|| format!("`features` does not claim {wanted} at {pointer}"))
}

/// Whether others may execute the file and enter every directory on the way.
fn executable(path: &Path) -> bool {
    path.ancestors()
        .all(|each| each.metadata().is_ok_and(|found| found.permissions().mode() & 0o001 != 0))
}

/// Major, minor and patch number; what follows them is left out.
pub fn version(text: &str) -> (u32, u32, u32) {
    let core = text.split(['-', '+']).next().unwrap_or(text);
    let mut numbers = core.split('.').map(|word| word.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next(), next())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert!(version("1.10.0") > version("1.9.3"));
        assert_eq!(version("1.0.2-dev"), (1, 0, 2));
    }

    #[test]
    fn only_a_denied_claim_is_a_reason() {
        let features = json!({"linux": {"namespaces": ["pid"], "a": null, "b": false}});
        assert!(claim(&features, "/linux/namespaces", &json!("pid")).is_none());
        assert!(claim(&features, "/linux/namespaces", &json!("time")).is_some());
        assert!(claim(&features, "/linux/a", &json!(true)).is_none());
        assert!(claim(&features, "/linux/b", &json!(true)).is_some());
        assert!(claim(&features, "/other", &json!(true)).is_none());
    }
}
