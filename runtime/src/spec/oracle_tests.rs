//! The reader beside that of the oci-spec crate: both must find the same in the same file.

use crate::spec::check::check;
use crate::spec::config::{Capabilities, Hook, IdMapping, Process};
use crate::spec::linux::{Linux, Memory, Seccomp};
use crate::spec::load::parse;
use crate::spec::{Mount, Spec};
use serde_json::{Value, json};

const FILES: [(&str, &str); 5] = [
    ("docker", include_str!("../../tests/data/docker.json")),
    ("everything", include_str!("../../tests/data/everything.json")),
    ("kubernetes", include_str!("../../tests/data/kubernetes.json")),
    ("minimal", include_str!("../../tests/data/minimal.json")),
    ("rootless", include_str!("../../tests/data/rootless.json")),
];

/// Other values for a property of `everything`.
const CHANGES: [(&str, &str); 10] = [
    ("/process/user/uid", "4294967294"),
    ("/process/rlimits/0/hard", "0"),
    ("/process/env", r#"["U=\u00fc\ud83d\ude00", "Q=\"\\\n"]"#),
    ("/process/terminal", "false"),
    ("/process/capabilities", "{}"),
    ("/linux/resources/memory/limit", "9223372036854775807"),
    ("/linux/resources/memory/swap", "-9223372036854775808"),
    ("/linux/seccomp/syscalls/1/args/0/value", "18446744073709551615"),
    ("/linux/namespaces", r#"[{"type": "user", "path": "/proc/1/ns/user"}]"#),
    ("/mounts", "[]"),
];

/// What our reader found, by JSON pointer.
fn ours(spec: &Spec) -> Vec<(String, Value)> {
    let mut out = Vec::new();
    let mut put = |at: &str, value: Value| out.push((at.to_owned(), value));
    put("/ociVersion", json!(spec.oci_version));
    put("/hostname", json!(spec.hostname));
    put("/domainname", json!(spec.domainname));
    put("/annotations", json!(spec.annotations));
    put("/root/path", json!(spec.root.as_ref().unwrap().path));
    put("/root/readonly", json!(spec.root.as_ref().unwrap().readonly));
    put("/mounts", spec.mounts.iter().map(mount).collect());
    if let Some(hooks) = &spec.hooks {
        put("/hooks/prestart", hooks.prestart.iter().map(hook).collect());
        put("/hooks/createRuntime", hooks.create_runtime.iter().map(hook).collect());
        put("/hooks/createContainer", hooks.create_container.iter().map(hook).collect());
        put("/hooks/startContainer", hooks.start_container.iter().map(hook).collect());
        put("/hooks/poststart", hooks.poststart.iter().map(hook).collect());
        put("/hooks/poststop", hooks.poststop.iter().map(hook).collect());
    }
    put("/process", process(spec.process.as_ref().unwrap()));
    put("/linux", linux(spec.linux.as_ref().unwrap()));
    out
}

fn mappings(mappings: &[IdMapping]) -> Value {
    let entry =
        |m: &IdMapping| json!({"containerID": m.container_id, "hostID": m.host_id, "size": m.size});
    mappings.iter().map(entry).collect()
}

fn mount(m: &Mount) -> Value {
    json!({"destination": m.destination, "type": m.typ, "source": m.source, "options": m.options,
        "uidMappings": mappings(&m.uid_mappings), "gidMappings": mappings(&m.gid_mappings)})
}

fn hook(h: &Hook) -> Value {
    json!({"path": h.path, "args": h.args, "env": h.env, "timeout": h.timeout})
}

fn process(p: &Process) -> Value {
    let capabilities = |c: &Capabilities| {
        let sorted = |set: &[String]| {
            let mut set = set.to_vec();
            set.sort();
            set
        };
        json!({"bounding": sorted(&c.bounding), "effective": sorted(&c.effective),
            "inheritable": sorted(&c.inheritable), "permitted": sorted(&c.permitted),
            "ambient": sorted(&c.ambient)})
    };
    let rlimits: Value =
        p.rlimits.iter().map(|r| json!({"type": r.typ, "hard": r.hard, "soft": r.soft})).collect();
    json!({
        "terminal": p.terminal, "args": p.args, "env": p.env, "cwd": p.cwd, "rlimits": rlimits,
        "consoleSize": p.console_size.map(|c| json!({"height": c.height, "width": c.width})),
        "user": {"uid": p.user.uid, "gid": p.user.gid, "umask": p.user.umask,
            "additionalGids": p.user.additional_gids},
        "capabilities": p.capabilities.as_ref().map(capabilities),
        "noNewPrivileges": p.no_new_privileges, "apparmorProfile": p.apparmor_profile,
        "oomScoreAdj": p.oom_score_adj, "selinuxLabel": p.selinux_label,
        "scheduler": p.scheduler.as_ref().map(|s| json!({"policy": s.policy, "nice": s.nice,
            "priority": s.priority, "flags": s.flags, "runtime": s.runtime,
            "deadline": s.deadline, "period": s.period})),
        "ioPriority": p.io_priority.as_ref().map(|i| json!({"class": i.class,
            "priority": i.priority})),
        "execCPUAffinity": p.exec_cpu_affinity.as_ref().map(|a| json!({"initial": a.initial,
            "final": a.last})),
    })
}

fn linux(l: &Linux) -> Value {
    let namespaces: Value =
        l.namespaces.iter().map(|n| json!({"type": n.typ, "path": n.path})).collect();
    let devices: Value = l
        .devices
        .iter()
        .map(|d| {
            json!({"path": d.path, "type": d.typ, "major": d.major, "minor": d.minor,
                "fileMode": d.file_mode, "uid": d.uid, "gid": d.gid})
        })
        .collect();
    let names = |map: Vec<(&String, Value)>| -> Value {
        map.into_iter().map(|(k, v)| (k.clone(), v)).collect::<serde_json::Map<_, _>>().into()
    };
    json!({
        "uidMappings": mappings(&l.uid_mappings), "gidMappings": mappings(&l.gid_mappings),
        "sysctl": l.sysctl, "cgroupsPath": l.cgroups_path, "namespaces": namespaces,
        "devices": devices, "rootfsPropagation": l.rootfs_propagation,
        "maskedPaths": l.masked_paths, "readonlyPaths": l.readonly_paths,
        "mountLabel": l.mount_label, "resources": resources(l),
        "seccomp": l.seccomp.as_ref().map(seccomp),
        "netDevices": names(l.net_devices.iter().map(|(k, d)| (k, json!({"name": d.name}))).collect()),
        "intelRdt": l.intel_rdt.as_ref().map(|r| json!({"closID": r.clos_id,
            "schemata": r.schemata, "l3CacheSchema": r.l3_cache_schema,
            "memBwSchema": r.mem_bw_schema, "enableMonitoring": r.enable_monitoring})),
        "memoryPolicy": l.memory_policy.as_ref().map(|p| json!({"mode": p.mode,
            "nodes": p.nodes, "flags": p.flags})),
        "personality": l.personality.as_ref().map(|p| json!({"domain": p.domain,
            "flags": p.flags})),
        "timeOffsets": names(l.time_offsets.iter()
            .map(|(k, o)| (k, json!({"secs": o.secs, "nanosecs": o.nanosecs}))).collect()),
    })
}

fn resources(l: &Linux) -> Value {
    let Some(r) = &l.resources else { return Value::Null };
    let memory = |m: &Memory| {
        json!({"limit": m.limit, "reservation": m.reservation, "swap": m.swap,
            "kernel": m.kernel, "kernelTCP": m.kernel_tcp, "swappiness": m.swappiness,
            "disableOOMKiller": m.disable_oom_killer, "useHierarchy": m.use_hierarchy,
            "checkBeforeUpdate": m.check_before_update})
    };
    let devices: Value = r
        .devices
        .iter()
        .map(|d| {
            json!({"allow": d.allow, "type": d.typ, "major": d.major, "minor": d.minor,
                "access": d.access})
        })
        .collect();
    json!({
        "devices": devices, "memory": r.memory.as_ref().map(memory),
        "cpu": r.cpu.as_ref().map(|c| json!({"shares": c.shares, "quota": c.quota,
            "burst": c.burst, "period": c.period, "realtimeRuntime": c.realtime_runtime,
            "realtimePeriod": c.realtime_period, "cpus": c.cpus, "mems": c.mems,
            "idle": c.idle})),
        "pids": r.pids.as_ref().map(|p| json!({"limit": p.limit})),
        "blockIO": r.block_io.as_ref().map(|b| json!({"weight": b.weight,
            "leafWeight": b.leaf_weight})),
        "network": r.network.as_ref().map(|n| json!({"classID": n.class_id})),
        "unified": r.unified,
    })
}

fn seccomp(s: &Seccomp) -> Value {
    let syscalls: Value = s
        .syscalls
        .iter()
        .map(|rule| {
            let args: Value = rule
                .args
                .iter()
                .map(|a| json!({"index": a.index, "value": a.value, "valueTwo": a.value_two, "op": a.op}))
                .collect();
            json!({"names": rule.names.iter().collect::<Vec<_>>(), "action": rule.action, "errnoRet": rule.errno_ret,
                "args": args})
        })
        .collect();
    json!({"defaultAction": s.default_action, "defaultErrnoRet": s.default_errno_ret,
        "architectures": s.architectures, "flags": s.flags, "listenerPath": s.listener_path,
        "listenerMetadata": s.listener_metadata, "syscalls": syscalls})
}

/// Absent, `null`, empty and zero are one: the readers differ in how they keep what isn't there.
fn nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_u64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.values().all(nothing),
        Value::Bool(true) => false,
    }
}

/// Whether everything we found is what the oracle found.
fn compare(at: &str, ours: &Value, theirs: &Value) {
    match (ours, theirs) {
        (Value::Object(map), Value::Object(other)) => {
            for (key, value) in map {
                compare(&format!("{at}/{key}"), value, other.get(key).unwrap_or(&Value::Null));
            }
        }
        (Value::Array(list), Value::Array(other)) if at.contains("/capabilities/") => {
            let mut other = other.clone();
            other.sort_by_key(ToString::to_string);
            assert_eq!(*list, other, "{at}");
        }
        (Value::Array(list), Value::Array(other)) => {
            assert_eq!(list.len(), other.len(), "{at}");
            for (i, (value, other)) in list.iter().zip(other).enumerate() {
                compare(&format!("{at}/{i}"), value, other);
            }
        }
        (ours, theirs) if nothing(ours) && nothing(theirs) => {}
        (ours, theirs) => assert_eq!(ours, theirs, "{at}"),
    }
}

fn judge(name: &str, text: &str) {
    let spec: Spec = parse(text.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
    let oracle: oci_spec::runtime::Spec =
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
    let oracle = serde_json::to_value(oracle).unwrap();
    for (at, value) in ours(&spec) {
        let theirs = oracle.pointer(&at).unwrap_or(&Value::Null);
        compare(&format!("{name}{at}"), &value, theirs);
    }
}

#[test]
fn files_read_alike_and_are_good() {
    for (name, text) in FILES {
        judge(name, text);
        let problems = check(&parse(text.as_bytes()).unwrap());
        assert_eq!(problems, [], "{name}");
    }
}

#[test]
fn changes_read_alike() {
    for (at, value) in CHANGES {
        let mut config: Value = serde_json::from_str(FILES[1].1).unwrap();
        let place = config.pointer_mut(at).unwrap();
        *place = serde_json::from_str(value).unwrap();
        judge(&at.replace('/', "."), &config.to_string());
    }
}

#[test]
fn the_comparison_finds_differences() {
    let same = json!({"a": [1, {"b": "x"}]});
    compare("", &same, &json!({"a": [1, {"b": "x"}], "only theirs": 1}));
    for other in [json!({"a": [1]}), json!({"a": [2, {"b": "x"}]}), json!({"a": [1, {"b": ""}]})] {
        assert!(std::panic::catch_unwind(|| compare("", &same, &other)).is_err());
    }
}
