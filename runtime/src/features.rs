//! `hull features`: what this build can do (runtime-spec `features.md`).
//!
//! Engines decide by this document what they may put into config.json, so every claim here is one
//! the code keeps.

use crate::error::{Error, Kind, Result};
use crate::plan::seccomp::{ACTIONS, ARCHITECTURES, FLAGS, OPERATORS};
use crate::seccomp::compile;
use crate::sys::seccomp::flag_supported;
use oci_spec::runtime::{
    Apparmor, Cgroup, Features, IDMap, IntelRdt, LinuxFeature, LinuxNamespaceType, MemoryPolicy,
    MountExtensions, NetDevices, Seccomp, Selinux,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::HashMap;

/// The oldest version of the specification that is understood.
pub const OCI_VERSION_MIN: &str = "1.0.0";
/// The version of the specification that is implemented.
pub const OCI_VERSION_MAX: &str = "1.3.0";

/// The commit the program was built from, if its builder told.
pub const COMMIT: Option<&str> = option_env!("HULL_COMMIT");

const HOOKS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// What other modules decide.
#[derive(Debug, Clone, Copy)]
pub struct Claims<'a> {
    /// Options of `mounts[].options` that are not the file system's own.
    pub mount_options: &'a [&'a str],
    /// Values of `linux.memoryPolicy.mode`.
    pub memory_policy_modes: &'a [&'a str],
    /// Values of `linux.memoryPolicy.flags`.
    pub memory_policy_flags: &'a [&'a str],
    /// systemd can be asked for cgroups.
    pub systemd: bool,
    /// Containers can be checkpointed.
    pub checkpoint: bool,
    /// Annotations of config.json that change what Hull does; a prefix ends with a period.
    pub unsafe_annotations: &'a [&'a str],
}

/// The document, indented with four spaces as runc's.
pub fn features(claims: &Claims) -> Result<String> {
    let mut features = Features::default();
    features
        .set_oci_version_min(OCI_VERSION_MIN.to_owned())
        .set_oci_version_max(OCI_VERSION_MAX.to_owned())
        .set_hooks(Some(strings(&HOOKS)))
        .set_mount_options(Some(strings(claims.mount_options)))
        .set_linux(Some(linux(claims)?))
        .set_annotations(Some(annotations(claims)))
        .set_potentially_unsafe_config_annotations(Some(strings(claims.unsafe_annotations)));
    // By way of a value, which sorts the annotations.
    let document = serde_json::to_value(features).map_err(|error| failed(&error))?;
    crate::spec::template::indented(&document, b"    ")
}

fn linux(claims: &Claims) -> Result<LinuxFeature> {
    let mut cgroup = Cgroup::default();
    cgroup
        .set_v1(Some(true))
        .set_v2(Some(true))
        .set_systemd(Some(claims.systemd))
        .set_systemd_user(Some(claims.systemd))
        .set_rdma(Some(true));
    let mut apparmor = Apparmor::default();
    apparmor.set_enabled(Some(true));
    let mut selinux = Selinux::default();
    selinux.set_enabled(Some(true));
    let mut rdt = IntelRdt::default();
    rdt.set_enabled(Some(true)).set_schemata(Some(true)).set_monitoring(Some(true));
    let mut policy = MemoryPolicy::default();
    policy
        .set_modes(Some(strings(claims.memory_policy_modes)))
        .set_flags(Some(strings(claims.memory_policy_flags)));
    let mut idmap = IDMap::default();
    idmap.set_enabled(Some(true));
    let mut mounts = MountExtensions::default();
    mounts.set_idmap(Some(idmap));
    let mut net_devices = NetDevices::default();
    net_devices.set_enabled(Some(true));

    let mut linux = LinuxFeature::default();
    linux
        .set_namespaces(Some(namespaces()))
        .set_capabilities(Some(capabilities()))
        .set_cgroup(Some(cgroup))
        .set_seccomp(Some(seccomp()?))
        .set_apparmor(Some(apparmor))
        .set_selinux(Some(selinux))
        .set_intel_rdt(Some(rdt))
        .set_memory_policy(Some(policy))
        .set_mount_extensions(Some(mounts))
        .set_net_devices(Some(net_devices));
    Ok(linux)
}

fn seccomp() -> Result<Seccomp> {
    let operators: Vec<&str> = OPERATORS.iter().map(|&(name, _)| name).collect();
    // A profile may name the others as well, but libseccomp would refuse it.
    let archs: Vec<&str> =
        ARCHITECTURES.iter().filter(|arch| compile::knows(arch)).map(|arch| arch.name).collect();
    let known: Vec<&str> = FLAGS.iter().map(|&(name, _)| name).collect();
    let supported: Vec<&str> =
        FLAGS.iter().filter(|&&(_, flag)| flag_supported(flag)).map(|&(name, _)| name).collect();
    let mut seccomp = Seccomp::default();
    seccomp
        .set_enabled(Some(true))
        .set_actions(Some(names(&ACTIONS)?))
        .set_operators(Some(strings(&operators)))
        .set_archs(Some(names(&archs)?))
        .set_known_flags(Some(strings(&known)))
        .set_supported_flags(Some(strings(&supported)));
    Ok(seccomp)
}

fn namespaces() -> Vec<LinuxNamespaceType> {
    use LinuxNamespaceType::{Cgroup, Ipc, Mount, Network, Pid, Time, User, Uts};
    vec![Cgroup, Ipc, Mount, Network, Pid, Time, User, Uts]
}

/// The capabilities that can be named, in the kernel's order.
fn capabilities() -> Vec<String> {
    let mut all: Vec<_> = caps::all().into_iter().collect();
    all.sort_unstable_by_key(caps::Capability::index);
    all.iter().map(ToString::to_string).collect()
}

fn annotations(claims: &Claims) -> HashMap<String, String> {
    let mut annotations = HashMap::from([
        ("io.github.hull.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("io.github.hull.checkpoint.enabled", claims.checkpoint.to_string()),
        ("io.github.seccomp.libseccomp.version", compile::version()),
    ]);
    annotations.extend(COMMIT.map(|commit| ("io.github.hull.commit", commit.to_owned())));
    annotations.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|&item| item.to_owned()).collect()
}

/// The names as a type of oci-spec.
fn names<T: DeserializeOwned>(list: &[&str]) -> Result<Vec<T>> {
    let parse = |&name: &&str| serde_json::from_value(Value::from(name));
    list.iter().map(parse).collect::<Result<_, _>>().map_err(|error| failed(&error))
}

fn failed(error: &serde_json::Error) -> Error {
    Error::new(Kind::Unsupported, format!("describing the features: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLAIMS: Claims = Claims {
        mount_options: &["bind", "ro"],
        memory_policy_modes: &["MPOL_BIND"],
        memory_policy_flags: &["MPOL_F_STATIC_NODES"],
        systemd: false,
        checkpoint: false,
        unsafe_annotations: &[],
    };

    fn document() -> Value {
        serde_json::from_str(&features(&CLAIMS).unwrap()).unwrap()
    }

    #[test]
    fn has_all_properties_of_the_specification() {
        fn nulls(value: &Value) -> usize {
            match value {
                Value::Null => 1,
                Value::Array(list) => list.iter().map(nulls).sum(),
                Value::Object(map) => map.values().map(nulls).sum(),
                _ => 0,
            }
        }
        let document = document();
        assert_eq!(nulls(&document), 0);
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(
            keys(&document),
            [
                "annotations",
                "hooks",
                "linux",
                "mountOptions",
                "ociVersionMax",
                "ociVersionMin",
                "potentiallyUnsafeConfigAnnotations",
            ]
        );
        assert_eq!(
            keys(&document["linux"]),
            [
                "apparmor",
                "capabilities",
                "cgroup",
                "intelRdt",
                "memoryPolicy",
                "mountExtensions",
                "namespaces",
                "netDevices",
                "seccomp",
                "selinux",
            ]
        );
    }

    #[test]
    fn claims_are_passed_on() {
        let document = document();
        let is = |pointer: &str, expected: Value| {
            assert_eq!(document.pointer(pointer), Some(&expected), "{pointer}");
        };
        is("/mountOptions", serde_json::json!(["bind", "ro"]));
        is("/linux/memoryPolicy/modes", serde_json::json!(["MPOL_BIND"]));
        is("/linux/memoryPolicy/flags", serde_json::json!(["MPOL_F_STATIC_NODES"]));
        is("/linux/cgroup/systemd", false.into());
        is("/linux/cgroup/systemdUser", false.into());
        is("/annotations/io.github.hull.checkpoint.enabled", "false".into());
        is("/annotations/io.github.hull.version", env!("CARGO_PKG_VERSION").into());
        is("/potentiallyUnsafeConfigAnnotations", serde_json::json!([]));
    }

    #[test]
    fn lists_what_the_kernel_and_libseccomp_know() {
        let document = document();
        let list = |pointer: &str| -> Vec<&str> {
            let list = document.pointer(pointer).unwrap().as_array().unwrap();
            list.iter().map(|item| item.as_str().unwrap()).collect()
        };
        let capabilities = list("/linux/capabilities");
        assert_eq!(capabilities.first(), Some(&"CAP_CHOWN"));
        assert_eq!(capabilities.last(), Some(&"CAP_CHECKPOINT_RESTORE"));
        assert_eq!(capabilities.len(), 41);
        let namespaces = ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"];
        assert_eq!(list("/linux/namespaces"), namespaces);
        assert_eq!(list("/linux/seccomp/actions"), ACTIONS);
        let archs = list("/linux/seccomp/archs");
        for arch in ["SCMP_ARCH_X86_64", "SCMP_ARCH_X32", "SCMP_ARCH_S390X"] {
            assert!(archs.contains(&arch), "{archs:?}");
        }
        // These came with Linux 4.14 and 4.17; the fourth with 5.19.
        assert!(list("/linux/seccomp/supportedFlags").starts_with(&[
            "SECCOMP_FILTER_FLAG_TSYNC",
            "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
            "SECCOMP_FILTER_FLAG_LOG",
        ]));
    }

    #[test]
    fn oci_spec_reads_it_and_the_form_is_stable() {
        let text = features(&CLAIMS).unwrap();
        assert!(text.starts_with("{\n    \"annotations\": {\n"));
        assert!(text.ends_with("}\n"));
        assert_eq!(text, features(&CLAIMS).unwrap());
        let features: Features = serde_json::from_str(&text).unwrap();
        assert_eq!(features.oci_version_max(), "1.3.0");
    }
}
