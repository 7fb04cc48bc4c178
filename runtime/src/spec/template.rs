//! The config.json of `hull spec`: what runc's `spec` writes but for the hostname, because tools
//! and test suites start from that.

use crate::error::{Error, Kind, Result};
use oci_spec::runtime::{
    Capabilities, Capability, Linux, LinuxCapabilities, LinuxDeviceCgroup, LinuxIdMapping,
    LinuxIdMappingBuilder, LinuxNamespace, LinuxNamespaceType, LinuxResources, Mount,
    PosixRlimitBuilder, PosixRlimitType, Process, Root, Spec, User,
};
use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{PrettyFormatter, Serializer};

/// The properties in the order people expect; the rest is sorted.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "ociVersion")]
    oci_version: &'a Value,
    process: &'a Value,
    root: &'a Value,
    hostname: &'a Value,
    mounts: &'a Value,
    linux: &'a Value,
}

/// The template, for a container that root or `rootless` users run. With cgroup v2 it has a cgroup
/// namespace: the whole hierarchy would be shown otherwise.
pub fn template(rootless: bool, cgroup_v2: bool) -> Result<String> {
    let mut spec =
        serde_json::to_value(spec(rootless, cgroup_v2)?).map_err(|error| failed(&error))?;
    // oci-spec keeps capabilities in hash sets; without this the text would change on each run.
    if let Some(Value::Object(sets)) = spec.pointer_mut("/process/capabilities") {
        for set in sets.values_mut().filter_map(Value::as_array_mut) {
            set.sort_unstable_by(|a, b| a.as_str().cmp(&b.as_str()));
        }
    }
    let document = Document {
        oci_version: &spec["ociVersion"],
        process: &spec["process"],
        root: &spec["root"],
        hostname: &spec["hostname"],
        mounts: &spec["mounts"],
        linux: &spec["linux"],
    };
    indented(&document, b"\t")
}

/// JSON with a line per item.
pub fn indented(document: &impl Serialize, indent: &[u8]) -> Result<String> {
    let mut out = Vec::with_capacity(8192);
    let formatter = PrettyFormatter::with_indent(indent);
    document
        .serialize(&mut Serializer::with_formatter(&mut out, formatter))
        .map_err(|error| failed(&error))?;
    out.push(b'\n');
    String::from_utf8(out).map_err(|error| failed(&error))
}

fn spec(rootless: bool, cgroup_v2: bool) -> Result<Spec> {
    let mut root = Root::default();
    root.set_path("rootfs".into()).set_readonly(Some(true));
    let mut spec = Spec::default();
    spec.set_version(crate::features::OCI_VERSION_MAX.to_owned())
        .set_process(Some(process()?))
        .set_root(Some(root))
        .set_hostname(Some("hull".to_owned()))
        .set_annotations(None)
        .set_mounts(Some(mounts(rootless)))
        .set_linux(Some(linux(rootless, cgroup_v2)?));
    Ok(spec)
}

fn process() -> Result<Process> {
    let limit = PosixRlimitBuilder::default()
        .typ(PosixRlimitType::RlimitNofile)
        .hard(1024_u64)
        .soft(1024_u64)
        .build()
        .map_err(|error| failed(&error))?;
    let set =
        Capabilities::from([Capability::AuditWrite, Capability::Kill, Capability::NetBindService]);
    let mut capabilities = LinuxCapabilities::default();
    capabilities
        .set_bounding(Some(set.clone()))
        .set_effective(Some(set.clone()))
        .set_inheritable(None)
        .set_permitted(Some(set))
        .set_ambient(None);
    let mut process = Process::default();
    process
        .set_terminal(Some(true))
        .set_user(User::default())
        .set_args(Some(vec!["sh".to_owned()]))
        .set_env(Some(strings(&[
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "TERM=xterm",
        ])))
        .set_cwd("/".into())
        .set_capabilities(Some(capabilities))
        .set_rlimits(Some(vec![limit]))
        .set_no_new_privileges(Some(true));
    Ok(process)
}

fn mounts(rootless: bool) -> Vec<Mount> {
    // A user namespace without group 5 can't give the terminals to tty, nor may it mount a sysfs
    // of a network namespace that is not its own.
    let gid: &[&str] = if rootless { &[] } else { &["gid=5"] };
    let pts = [&["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"], gid].concat();
    let sys = if rootless {
        mount("/sys", "none", "/sys", &["rbind", "nosuid", "noexec", "nodev", "ro"])
    } else {
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"])
    };
    let shm = ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"];
    let cgroup = ["nosuid", "noexec", "nodev", "relatime", "ro"];
    vec![
        mount("/proc", "proc", "proc", &[]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount("/dev/pts", "devpts", "devpts", &pts),
        mount("/dev/shm", "tmpfs", "shm", &shm),
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        sys,
        mount("/sys/fs/cgroup", "cgroup", "cgroup", &cgroup),
    ]
}

fn mount(destination: &str, typ: &str, source: &str, options: &[&str]) -> Mount {
    let mut mount = Mount::default();
    mount
        .set_destination(destination.into())
        .set_typ(Some(typ.to_owned()))
        .set_source(Some(source.into()))
        .set_options((!options.is_empty()).then(|| strings(options)));
    mount
}

fn linux(rootless: bool, cgroup_v2: bool) -> Result<Linux> {
    use LinuxNamespaceType::{Cgroup, Ipc, Mount, Network, Pid, User, Uts};
    let all = [
        (Pid, true),
        (Network, !rootless),
        (Ipc, true),
        (Uts, true),
        (Mount, true),
        (Cgroup, cgroup_v2),
        (User, rootless),
    ];
    let namespaces = all.into_iter().filter(|(_, wanted)| *wanted);
    let mut linux = Linux::default();
    linux
        .set_namespaces(Some(namespaces.map(|(typ, _)| namespace(typ)).collect()))
        .set_masked_paths(Some(strings(&[
            "/proc/acpi",
            "/proc/asound",
            "/proc/kcore",
            "/proc/keys",
            "/proc/latency_stats",
            "/proc/timer_list",
            "/proc/timer_stats",
            "/proc/sched_debug",
            "/sys/firmware",
            "/proc/scsi",
        ])))
        .set_readonly_paths(Some(strings(&[
            "/proc/bus",
            "/proc/fs",
            "/proc/irq",
            "/proc/sys",
            "/proc/sysrq-trigger",
        ])));
    if rootless {
        linux
            .set_uid_mappings(Some(vec![mapping(nix::unistd::geteuid().as_raw())?]))
            .set_gid_mappings(Some(vec![mapping(nix::unistd::getegid().as_raw())?]))
            .set_resources(None);
    } else {
        linux.set_resources(Some(resources()));
    }
    Ok(linux)
}

fn namespace(typ: LinuxNamespaceType) -> LinuxNamespace {
    let mut namespace = LinuxNamespace::default();
    namespace.set_typ(typ);
    namespace
}

/// The caller becomes root in the container.
fn mapping(host_id: u32) -> Result<LinuxIdMapping> {
    LinuxIdMappingBuilder::default()
        .host_id(host_id)
        .container_id(0_u32)
        .size(1_u32)
        .build()
        .map_err(|error| failed(&error))
}

/// No device but the default ones.
fn resources() -> LinuxResources {
    let mut rule = LinuxDeviceCgroup::default();
    rule.set_allow(false).set_typ(None).set_access(Some("rwm".to_owned()));
    let mut resources = LinuxResources::default();
    resources.set_devices(Some(vec![rule]));
    resources
}

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|&item| item.to_owned()).collect()
}

fn failed(error: &dyn std::error::Error) -> Error {
    Error::new(Kind::Unsupported, format!("writing JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What runc's `spec` writes, with the properties in which the rootless one differs.
    fn expected(pts: &Value, sys: &Value, linux: &Value) -> Value {
        let capabilities = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
        json!({
            "ociVersion": "1.3.0",
            "process": {
                "terminal": true,
                "user": {"uid": 0, "gid": 0},
                "args": ["sh"],
                "env": [
                    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                    "TERM=xterm",
                ],
                "cwd": "/",
                "capabilities": {
                    "bounding": capabilities,
                    "effective": capabilities,
                    "permitted": capabilities,
                },
                "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
                "noNewPrivileges": true,
            },
            "root": {"path": "rootfs", "readonly": true},
            "hostname": "hull",
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
                 "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
                {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": pts},
                {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
                 "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
                {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
                 "options": ["nosuid", "noexec", "nodev"]},
                sys,
                {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
                 "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]},
            ],
            "linux": linux,
        })
    }

    /// `linux`, with the properties both templates have.
    fn expected_linux(mut linux: Value) -> Value {
        linux["maskedPaths"] = json!([
            "/proc/acpi",
            "/proc/asound",
            "/proc/kcore",
            "/proc/keys",
            "/proc/latency_stats",
            "/proc/timer_list",
            "/proc/timer_stats",
            "/proc/sched_debug",
            "/sys/firmware",
            "/proc/scsi",
        ]);
        linux["readonlyPaths"] =
            json!(["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]);
        linux
    }

    fn parse(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_default() {
        let sys = json!({"destination": "/sys", "type": "sysfs", "source": "sysfs",
            "options": ["nosuid", "noexec", "nodev", "ro"]});
        let linux = expected_linux(json!({
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "namespaces": [
                {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"},
                {"type": "mount"},
            ],
        }));
        let pts = json!(["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]);
        assert_eq!(parse(&template(false, false).unwrap()), expected(&pts, &sys, &linux));
    }

    #[test]
    fn rootless() {
        let sys = json!({"destination": "/sys", "type": "none", "source": "/sys",
            "options": ["rbind", "nosuid", "noexec", "nodev", "ro"]});
        let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        let linux = expected_linux(json!({
            "uidMappings": [{"containerID": 0, "hostID": uid, "size": 1}],
            "gidMappings": [{"containerID": 0, "hostID": gid, "size": 1}],
            "namespaces": [
                {"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"},
                {"type": "user"},
            ],
        }));
        let pts = json!(["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]);
        assert_eq!(parse(&template(true, false).unwrap()), expected(&pts, &sys, &linux));
    }

    #[test]
    fn with_cgroup_v2_its_root_is_the_containers_own() {
        let kinds = |rootless| {
            let template = parse(&template(rootless, true).unwrap());
            let list = template["linux"]["namespaces"].as_array().unwrap().clone();
            list.iter().map(|each| each["type"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(kinds(false), ["pid", "network", "ipc", "uts", "mount", "cgroup"]);
        assert_eq!(kinds(true), ["pid", "ipc", "uts", "mount", "cgroup", "user"]);
    }

    #[test]
    fn the_form_is_stable_and_both_readers_take_it() {
        for rootless in [false, true] {
            let text = template(rootless, rootless).unwrap();
            assert!(text.starts_with("{\n\t\"ociVersion\": \"1.3.0\",\n\t\"process\": {\n\t\t\""));
            assert!(text.ends_with("\n}\n"));
            assert_eq!(text, template(rootless, rootless).unwrap());
            let spec: Spec = serde_json::from_str(&text).unwrap();
            assert_eq!(spec, super::spec(rootless, rootless).unwrap());
            let own: crate::spec::Spec = serde_json::from_str(&text).unwrap();
            assert_eq!(own.hostname, "hull");
        }
    }
}
