//! The system call filter of a container: the default policy or a profile, resolved for the
//! container's capabilities and this machine; pure.

use super::policy::{Arg, RULES, Rule, When};
use crate::error::{Error, Result};
use serde::Deserialize;
use serde_json::{Value, json};

/// What a profile is resolved for.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// Bounding capabilities, `CAP_…`.
    pub capabilities: &'a [String],
    /// The machine in Go's words: `amd64`.
    pub machine: &'a str,
    /// Kernel release: major and minor.
    pub kernel: (u32, u32),
}

/// The architectures whose calls a kernel of the machine takes, native first: none is left open.
fn arches(machine: &str) -> &'static [&'static str] {
    match machine {
        "amd64" => &["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "arm64" => &["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
        "386" => &["SCMP_ARCH_X86"],
        "arm" => &["SCMP_ARCH_ARM"],
        "s390x" => &["SCMP_ARCH_S390X", "SCMP_ARCH_S390"],
        "ppc64le" => &["SCMP_ARCH_PPC64LE"],
        "riscv64" => &["SCMP_ARCH_RISCV64"],
        "loong64" => &["SCMP_ARCH_LOONGARCH64"],
        _ => &[],
    }
}

impl Target<'_> {
    fn has(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|own| own == capability)
    }

    fn counts(&self, when: When) -> bool {
        let s390 = self.machine == "s390x";
        match when {
            When::Always => true,
            When::With(capabilities) => capabilities.iter().all(|name| self.has(name)),
            When::Without(capability) => !self.has(capability),
            When::On(machines) => machines.contains(&self.machine),
            When::WithoutOn(capability, on) => !self.has(capability) && on == s390,
        }
    }
}

/// The default policy as the spec's `linux.seccomp`.
pub fn default(target: Target) -> Value {
    let rules = RULES.iter().filter(|rule| target.counts(rule.when));
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": libc::EPERM,
        "architectures": arches(target.machine),
        "syscalls": rules.map(rule).collect::<Vec<_>>(),
    })
}

fn rule(rule: &Rule) -> Value {
    let names: Vec<&str> = rule.calls.split_whitespace().collect();
    let mut value = json!({"names": names, "action": "SCMP_ACT_ALLOW"});
    if let Some(errno) = rule.errno {
        value["action"] = json!("SCMP_ACT_ERRNO");
        value["errnoRet"] = json!(errno);
    }
    if let Some(Arg { index, op, value: compared }) = rule.arg {
        // MASKED_EQ takes the mask as value and what the rest must be as second value: none.
        value["args"] = json!([{"index": index, "op": op, "value": compared, "valueTwo": 0}]);
    }
    value
}

/// A profile in Docker's form.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    default_action: String,
    default_errno_ret: Option<u32>,
    #[serde(default)]
    architectures: Option<Vec<String>>,
    #[serde(default)]
    arch_map: Option<Vec<ArchMap>>,
    #[serde(default)]
    flags: Option<Vec<String>>,
    listener_path: Option<String>,
    listener_metadata: Option<String>,
    #[serde(default)]
    syscalls: Option<Vec<ProfileRule>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArchMap {
    architecture: String,
    #[serde(default)]
    sub_architectures: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProfileRule {
    /// The form of Docker before 17.06.
    name: Option<String>,
    #[serde(default)]
    names: Option<Vec<String>>,
    action: String,
    errno_ret: Option<u32>,
    #[serde(default)]
    args: Option<Vec<Value>>,
    #[serde(default)]
    includes: Option<Condition>,
    #[serde(default)]
    excludes: Option<Condition>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Condition {
    #[serde(default)]
    caps: Option<Vec<String>>,
    #[serde(default)]
    arches: Option<Vec<String>>,
    min_kernel: Option<String>,
}

/// A user's profile as the spec's `linux.seccomp`.
///
/// # Errors
/// It is malformed or contradicts itself.
pub fn profile(text: &str, target: Target) -> Result<Value> {
    let invalid = |why: String| Error::invalid(format!("seccomp profile: {why}"));
    let profile: Profile =
        serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
    let listed = profile.architectures.unwrap_or_default();
    let mapped = profile.arch_map.unwrap_or_default();
    if !listed.is_empty() && !mapped.is_empty() {
        return Err(invalid("has both architectures and archMap".to_owned()));
    }
    let native = arches(target.machine).first().copied().unwrap_or_default();
    let mut architectures = listed;
    if let Some(map) = mapped.into_iter().find(|map| map.architecture == native) {
        architectures = vec![map.architecture];
        architectures.extend(map.sub_architectures.unwrap_or_default());
    }
    let mut syscalls = Vec::new();
    for rule in profile.syscalls.unwrap_or_default() {
        let excluded = match &rule.excludes {
            Some(condition) => condition.any(target).map_err(invalid)?,
            None => false,
        };
        let included = match &rule.includes {
            Some(condition) => condition.all(target).map_err(invalid)?,
            None => true,
        };
        if excluded || !included {
            continue;
        }
        let names = match (rule.name, rule.names.unwrap_or_default()) {
            (Some(_), names) if !names.is_empty() => {
                return Err(invalid("a rule has both name and names".to_owned()));
            }
            (Some(name), _) => vec![name],
            (None, names) => names,
        };
        let mut value = json!({"names": names, "action": rule.action});
        if let Some(errno) = rule.errno_ret {
            value["errnoRet"] = json!(errno);
        }
        if let Some(args) = rule.args.filter(|args| !args.is_empty()) {
            value["args"] = json!(args);
        }
        syscalls.push(value);
    }
    let mut value = json!({"defaultAction": profile.default_action, "syscalls": syscalls});
    let mut put = |key: &str, field: Value| value[key] = field;
    if !architectures.is_empty() {
        put("architectures", json!(architectures));
    }
    if let Some(errno) = profile.default_errno_ret {
        put("defaultErrnoRet", json!(errno));
    }
    if let Some(flags) = profile.flags {
        put("flags", json!(flags));
    }
    if let Some(path) = profile.listener_path {
        put("listenerPath", json!(path));
    }
    if let Some(metadata) = profile.listener_metadata {
        put("listenerMetadata", json!(metadata));
    }
    Ok(value)
}

impl Condition {
    /// Whether everything listed is so: what `includes` wants.
    fn all(&self, target: Target) -> Result<bool, String> {
        let arch = self.arches.as_ref().is_none_or(|arches| on(arches, target));
        let caps = self.caps.iter().flatten().all(|name| target.has(name));
        Ok(arch && caps && self.kernel(target)?.unwrap_or(true))
    }

    /// Whether anything listed is so: what `excludes` wants.
    fn any(&self, target: Target) -> Result<bool, String> {
        let arch = self.arches.as_ref().is_some_and(|arches| on(arches, target));
        let caps = self.caps.iter().flatten().any(|name| target.has(name));
        Ok(arch || caps || self.kernel(target)?.unwrap_or(false))
    }

    fn kernel(&self, target: Target) -> Result<Option<bool>, String> {
        let Some(text) = self.min_kernel.as_deref() else { return Ok(None) };
        let parse = || {
            let (major, minor) = text.split_once('.')?;
            Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
        };
        let wanted = parse().ok_or_else(|| format!("minKernel {text:?} is no major.minor"))?;
        Ok(Some(target.kernel >= wanted))
    }
}

fn on(arches: &[String], target: Target) -> bool {
    arches.iter().any(|arch| arch == target.machine)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(capabilities: &[String]) -> Target<'_> {
        Target { capabilities, machine: "amd64", kernel: (6, 1) }
    }

    fn allows(filter: &Value, call: &str) -> bool {
        filter["syscalls"].as_array().unwrap().iter().any(|rule| {
            let named = rule["names"].as_array().unwrap().iter().any(|name| name == call);
            named && rule["action"] == "SCMP_ACT_ALLOW"
        })
    }

    #[test]
    fn capabilities_open_their_calls() {
        let none = default(target(&[]));
        for call in ["mount", "bpf", "reboot", "settimeofday", "io_uring_setup", "keyctl"] {
            assert!(!allows(&none, call), "{call}");
        }
        for call in ["read", "execve", "ptrace", "clone", "arch_prctl", "openat2"] {
            assert!(allows(&none, call), "{call}");
        }
        let admin = ["CAP_SYS_ADMIN".to_owned()];
        let admin = default(target(&admin));
        assert!(allows(&admin, "mount") && allows(&admin, "clone3"));
        let refused = |filter: &Value| {
            filter["syscalls"].as_array().unwrap().iter().any(|rule| rule["errnoRet"] == 38)
        };
        assert!(refused(&none) && !refused(&admin));
        let seccomp: oci_spec::runtime::LinuxSeccomp = serde_json::from_value(none).unwrap();
        assert_eq!(seccomp.architectures().as_ref().unwrap().len(), 3);
    }

    #[test]
    fn profiles_are_resolved() {
        let text = r#"{"defaultAction": "SCMP_ACT_ERRNO",
            "archMap": [{"architecture": "SCMP_ARCH_X86_64",
                         "subArchitectures": ["SCMP_ARCH_X86"]}],
            "syscalls": [
              {"names": ["a"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_X"]}},
              {"names": ["b"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_X"]}},
              {"names": ["c"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "6.2"}},
              {"name": "d", "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64"]}}]}"#;
        let filter = profile(text, target(&[])).unwrap();
        assert!(!allows(&filter, "a") && allows(&filter, "b"));
        assert!(!allows(&filter, "c") && allows(&filter, "d"));
        assert_eq!(filter["architectures"], json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]));
        assert!(profile("{}", target(&[])).is_err());
        let both = r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],
            "archMap":[{"architecture":"SCMP_ARCH_X86_64"}]}"#;
        assert!(profile(both, target(&[])).is_err());
    }
}
