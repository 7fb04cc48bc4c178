use super::{good, judge, patched};

/// What the field writes, or the specification allows, and a strict reader might refuse.
#[test]
fn accepted() {
    assert_eq!(judge(good().to_string().as_bytes()), "");
    for patch in [
        r#"{"ociVersion": "1.0.2-dev"}"#,
        r#"{"ociVersion": "1.99.0", "someday": {"new": true}}"#,
        r#"{"linux": {"unknown": 1}, "windows": {"x": []}}"#,
        r#"{"root": {"path": "/abs", "readonly": true}}"#,
        r#"{"process": {"args": [""], "env": ["A=", "B==", "A=2"]}}"#,
        r#"{"process": {"capabilities": {"bounding": ["CAP_NO_SUCH"]}}}"#,
        r#"{"process": {"consoleSize": {"height": 0, "width": 0}}}"#,
        r#"{"process": {"user": {"umask": 511, "additionalGids": [4294967294]}}}"#,
        r#"{"process": {"oomScoreAdj": -1000}}"#,
        r#"{"process": {"scheduler": {"policy": "SCHED_ISO"}}}"#,
        r#"{"process": {"scheduler": {"policy": "SCHED_IDLE", "nice": 30}}}"#,
        r#"{"process": {"scheduler": {"policy": "SCHED_DEADLINE", "runtime": 1, "deadline": 2}}}"#,
        r#"{"process": {"ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 7}}}"#,
        r#"{"process": {"execCPUAffinity": {"initial": "0-3,7", "final": ""}}}"#,
        r#"{"process": {"rlimits": [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]}}"#,
        r#"{"hostname": "", "domainname": ""}"#,
        r#"{"domainname": "a", "linux": {
            "namespaces": [{"type": "uts"}], "sysctl": {"kernel.domainname": "a"}}}"#,
        r#"{"hostname": "h", "linux": {"namespaces": [{"type": "uts", "path": "/proc/1/ns/uts"}]}}"#,
        r#"{"annotations": {"k": ""}}"#,
        r#"{"mounts": [{"destination": "proc", "type": "proc"}]}"#,
        r#"{"mounts": [{"destination": "/x", "source": "rel", "options": ["rbind", "a=b"]}]}"#,
        r#"{"hooks": {"poststop": [{"path": "/bin/true", "env": ["PLAIN"], "timeout": 1}]}}"#,
        r#"{"linux": {"rootfsPropagation": "rslave"}}"#,
        r#"{"linux": {"devices": [{"type": "p", "path": "/fifo", "major": -5}]}}"#,
        r#"{"linux": {"devices": [{"type": "c", "path": "/d", "major": 1, "minor": 3,
            "fileMode": 8630}]}}"#,
        r#"{"linux": {"personality": {"domain": "LINUX32", "flags": []}}}"#,
        r#"{"linux": {"memoryPolicy": {"mode": "MPOL_PREFERRED"}}}"#,
        r#"{"linux": {"memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0"}}}"#,
        r#"{"linux": {"intelRdt": {"closID": "/", "memBwSchema": "MB:0=20"}}}"#,
        r#"{"linux": {"namespaces": [{"type": "time"}], "timeOffsets": {"boottime": {"secs": -1}}}}"#,
        r#"{"linux": {"namespaces": [{"type": "network"}],
            "sysctl": {"net.ipv4.ip_forward": "1", "net/core/somaxconn": "2"},
            "netDevices": {"eth0": {}, "eth1": {"name": "veth%d"}, "eth2": {"name": "veth%d"}}}}"#,
        r#"{"linux": {"namespaces": [{"type": "user"}],
            "uidMappings": [{"containerID": 0, "hostID": 0, "size": 4294967295}],
            "gidMappings": [{"containerID": 0, "hostID": 5, "size": 1},
                            {"containerID": 1, "hostID": 6, "size": 9}]},
            "process": {"user": {"uid": 77, "gid": 9}},
            "mounts": [{"destination": "/x", "source": "/x", "options": ["bind", "idmap"]}]}"#,
        // containerd and CRI-O give the mappings of a namespace that is joined.
        r#"{"linux": {"namespaces": [{"type": "user", "path": "/proc/1/ns/user"}],
            "uidMappings": [{"containerID": 0, "hostID": 0, "size": 1}]}}"#,
        // Go's encoder writes nil slices and maps as null.
        r#"{"linux": {"x": null}}"#,
    ] {
        assert_eq!(judge(&patched(patch)), "", "{patch}");
    }
}

#[test]
fn nulls_are_absent() {
    let raw = br#"{"ociVersion": "1.0.0", "root": {"path": "r", "readonly": null}, "mounts": null,
        "hooks": null, "annotations": null, "hostname": null, "linux": {"namespaces": null,
        "devices": null, "sysctl": null, "maskedPaths": null, "seccomp": null},
        "process": {"args": ["sh"], "cwd": "/", "env": null, "rlimits": null, "user": null}}"#;
    assert_eq!(judge(raw), "");
}
