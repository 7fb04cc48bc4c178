use super::{judge, patched};

/// Patches of `linux`.
fn linux(rows: &[(&str, &str)]) {
    for (linux, expect) in rows {
        let patch = format!(r#"{{"linux": {linux}}}"#);
        assert_eq!(judge(&patched(&patch)), format!("config.json: linux.{expect}"), "{patch}");
    }
}

#[test]
fn namespaces() {
    linux(&[
        (r#"{"namespaces": [{}]}"#, "namespaces[0].type: namespace \"\" does not exist"),
        (
            r#"{"namespaces": [{"type": "net"}]}"#,
            "namespaces[0].type: namespace \"net\" does not exist",
        ),
        (
            r#"{"namespaces": [{"type": "pid"}, {"type": "ipc"}, {"type": "pid", "path": "/x"}]}"#,
            "namespaces[2]: malformed spec file: duplicated ns \"pid\"",
        ),
        (
            r#"{"namespaces": [{"type": "pid", "path": "proc/1/ns/pid"}]}"#,
            "namespaces[0].path: \"proc/1/ns/pid\" must be an absolute path",
        ),
        (
            r#"{"namespaces": [{"type": "pid", "path": "/\u0000"}]}"#,
            "namespaces[0].path: \"/\\0\" contains a NUL byte",
        ),
        (
            r#"{"timeOffsets": {"monotonic": {"secs": 1}}}"#,
            "timeOffsets: time namespace offsets specified, but time namespace isn't enabled in \
             the config",
        ),
        (
            r#"{"namespaces": [{"type": "time", "path": "/x"}], "timeOffsets": {"boottime": {}}}"#,
            "timeOffsets: time namespace enabled, but both namespace path and time offsets \
             specified",
        ),
        (
            r#"{"namespaces": [{"type": "time"}], "timeOffsets": {"realtime": {"secs": 1}}}"#,
            "timeOffsets: clock \"realtime\" has no offset, only monotonic and boottime",
        ),
        (
            r#"{"namespaces": [{"type": "time"}],
                "timeOffsets": {"boottime": {"nanosecs": 1000000000}}}"#,
            "timeOffsets.boottime.nanosecs: 1000000000 is more than 999999999",
        ),
    ]);
}

#[test]
fn user_namespace() {
    let one = r#"[{"containerID": 0, "hostID": 1000, "size": 1}]"#;
    linux(&[
        (
            &format!(r#"{{"uidMappings": {one}, "gidMappings": {one}}}"#),
            "uidMappings: user namespace mappings specified, but user namespace isn't enabled in \
             the config",
        ),
        (
            &format!(r#"{{"namespaces": [{{"type": "user"}}], "uidMappings": {one}}}"#),
            "gidMappings: user namespaces enabled, but no gid mappings found",
        ),
        (
            &format!(
                r#"{{"namespaces": [{{"type": "user"}}], "uidMappings": {one},
                    "gidMappings": [{{"containerID": 1, "hostID": 1, "size": 1}}]}}"#
            ),
            "gidMappings: user namespaces enabled, but no mapping found for gid 0; \
             process.user.gid: cannot setgid to unmapped gid 0 in user namespace"
                .split("; ")
                .next()
                .unwrap(),
        ),
        (
            &format!(
                r#"{{"namespaces": [{{"type": "user"}}], "gidMappings": {one}, "uidMappings":
                    [{{"containerID": 0, "hostID": 4294967295, "size": 1}}]}}"#
            ),
            "uidMappings[0]: the range goes beyond the last id, 4294967294",
        ),
        (
            &format!(
                r#"{{"namespaces": [{{"type": "user"}}], "gidMappings": {one}, "uidMappings":
                    [{{"containerID": 0, "hostID": 7, "size": 9}},
                     {{"containerID": 9, "hostID": 15, "size": 1}}]}}"#
            ),
            "uidMappings[1]: the range overlaps with one before it",
        ),
    ]);
    let patch = format!(
        r#"{{"process": {{"user": {{"uid": 1, "gid": 2, "additionalGids": [0, 3]}}}},
            "linux": {{"namespaces": [{{"type": "user"}}],
                       "uidMappings": {one}, "gidMappings": {one}}}}}"#
    );
    assert_eq!(
        judge(&patched(&patch)),
        "config.json: process.user.uid: cannot setuid to unmapped uid 1 in user namespace; \
         process.user.gid: cannot setgid to unmapped gid 2 in user namespace; \
         process.user.additionalGids[1]: gid 3 is not mapped in user namespace"
    );
}

#[test]
fn devices() {
    for (device, expect) in [
        (r#"{"type": "c", "major": 1, "minor": 3}"#, ".path: must not be empty"),
        (
            r#"{"type": "c", "major": 1, "minor": 3, "path": "dev/x"}"#,
            ".path: \"dev/x\" must be an absolute path",
        ),
        (
            r#"{"type": "a", "major": 1, "minor": 3, "path": "/x"}"#,
            ".type: invalid device type \"a\"",
        ),
        (r#"{"major": 1, "minor": 3, "path": "/x"}"#, ".type: invalid device type \"\""),
        (r#"{"type": "c", "minor": 3, "path": "/x"}"#, ".major: must be set"),
        (r#"{"type": "b", "major": 3, "path": "/x"}"#, ".minor: must be set"),
        (
            r#"{"type": "u", "major": -1, "minor": 0, "path": "/x"}"#,
            ".major: -1 is not from 0 to 4095",
        ),
        (
            r#"{"type": "c", "major": 1, "minor": 1048576, "path": "/x"}"#,
            ".minor: 1048576 is not from 0 to 1048575",
        ),
        (r#"{"type": "p", "path": "/x", "uid": 4294967295}"#, ".uid: 4294967295 is not an id"),
        (r#"{"type": "p", "path": "/x", "gid": 4294967295}"#, ".gid: 4294967295 is not an id"),
    ] {
        linux(&[(&format!(r#"{{"devices": [{device}]}}"#), &format!("devices[0]{expect}"))]);
    }
}

#[test]
fn network_devices() {
    linux(&[(
        r#"{"netDevices": {"eth0": {}}}"#,
        "netDevices: unable to move network devices without a NET namespace",
    )]);
    for (devices, expect) in [
        (r#"{"": {}}"#, r#"[""]: invalid network device name """#),
        (r#"{"a/b": {}}"#, r#"["a/b"]: invalid network device name "a/b""#),
        (r#"{"a": {"name": "b:c"}}"#, r#"["a"]: invalid network device name "b:c""#),
        (r#"{"a": {"name": "b c"}}"#, r#"["a"]: invalid network device name "b c""#),
        (r#"{"a": {"name": ".."}}"#, r#"["a"]: invalid network device name "..""#),
        (
            r#"{"sixteen-bytes-xx": {}}"#,
            r#"["sixteen-bytes-xx"]: invalid network device name "sixteen-bytes-xx""#,
        ),
        (
            r#"{"a": {"name": "x"}, "b": {"name": "x"}}"#,
            r#"["b"]: another network device becomes "x" as well"#,
        ),
    ] {
        let patch =
            format!(r#"{{"namespaces": [{{"type": "network"}}], "netDevices": {devices}}}"#);
        linux(&[(&patch, &format!("netDevices{expect}"))]);
    }
}

#[test]
fn sysctls() {
    for (sysctl, expect) in [
        (r#"{"net": "1"}"#, r#"["net"]: not the name of a kernel parameter"#),
        (r#"{"net/../a": "1"}"#, r#"["net/../a"]: not the name of a kernel parameter"#),
        (
            r#"{"net.core.somaxconn": "1"}"#,
            r#"["net.core.somaxconn"]: not allowed in the host's network namespace"#,
        ),
        (r#"{"kernel/sem": "1"}"#, r#"["kernel/sem"]: not allowed in the host's ipc namespace"#),
        (
            r#"{"fs.mqueue.msg_max": "1"}"#,
            r#"["fs.mqueue.msg_max"]: not allowed in the host's ipc namespace"#,
        ),
        (
            r#"{"kernel.domainname": "d"}"#,
            r#"["kernel.domainname"]: not allowed in the host's uts namespace"#,
        ),
        (
            r#"{"kernel.hostname": "h"}"#,
            r#"["kernel.hostname"]: conflicts with the hostname property"#,
        ),
        (
            r#"{"user.max_user_namespaces": "1"}"#,
            r#"["user.max_user_namespaces"]: not allowed in the host's user namespace"#,
        ),
        (
            r#"{"kernel.core_pattern": "|/x"}"#,
            r#"["kernel.core_pattern"]: not in a separate kernel namespace"#,
        ),
        (r#"{"vm.swappiness": "1"}"#, r#"["vm.swappiness"]: not in a separate kernel namespace"#),
    ] {
        linux(&[(&format!(r#"{{"sysctl": {sysctl}}}"#), &format!("sysctl{expect}"))]);
    }
    linux(&[(
        r#"{"namespaces": [{"type": "ipc"}], "sysctl": {"kernel.sem": "\u0000"}}"#,
        r#"sysctl["kernel.sem"]: "\0" contains a NUL byte"#,
    )]);
}

#[test]
fn the_rest_of_linux() {
    linux(&[
        (
            r#"{"rootfsPropagation": "all"}"#,
            "rootfsPropagation: rootfsPropagation=all is not supported",
        ),
        (r#"{"maskedPaths": ["proc"]}"#, "maskedPaths[0]: \"proc\" must be an absolute path"),
        (r#"{"readonlyPaths": [""]}"#, "readonlyPaths[0]: must not be empty"),
        (
            r#"{"namespaces": [], "maskedPaths": ["/proc/kcore"]}"#,
            "maskedPaths: unable to restrict sys entries without a private MNT namespace",
        ),
        (r#"{"cgroupsPath": "/a\u0000"}"#, "cgroupsPath: \"/a\\0\" contains a NUL byte"),
        (r#"{"mountLabel": "\u0000"}"#, "mountLabel: \"\\0\" contains a NUL byte"),
        (r#"{"intelRdt": {"closID": "a/b"}}"#, "intelRdt.closID: invalid intelRdt.ClosID \"a/b\""),
        (r#"{"intelRdt": {"closID": ".."}}"#, "intelRdt.closID: invalid intelRdt.ClosID \"..\""),
        (
            r#"{"intelRdt": {"memBwSchema": "L3:0=1"}}"#,
            "intelRdt.memBwSchema: \"L3:0=1\" must begin with MB: and be one line",
        ),
        (
            r#"{"intelRdt": {"schemata": ["MB:0=1", "a\nb"]}}"#,
            "intelRdt.schemata[1]: \"a\\nb\" must not contain newlines",
        ),
        (r#"{"memoryPolicy": {}}"#, "memoryPolicy.mode: invalid memory policy mode \"\""),
        (
            r#"{"memoryPolicy": {"mode": "INTERLEAVE", "nodes": "0"}}"#,
            "memoryPolicy.mode: invalid memory policy mode \"INTERLEAVE\"",
        ),
        (
            r#"{"memoryPolicy": {"mode": "MPOL_PREFERRED", "flags": ["x"]}}"#,
            "memoryPolicy.flags[0]: invalid memory policy flag \"x\"",
        ),
        (
            r#"{"memoryPolicy": {"mode": "MPOL_DEFAULT", "nodes": "0-7"}}"#,
            "memoryPolicy.nodes: memory policy mode requires 0 nodes but got 8",
        ),
        (
            r#"{"memoryPolicy": {"mode": "MPOL_BIND"}}"#,
            "memoryPolicy.nodes: memory policy mode requires at least one node but got 0",
        ),
        (
            r#"{"memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0-9876543210"}}"#,
            "memoryPolicy.nodes: invalid memory policy nodes \"0-9876543210\": \"9876543210\" is \
             not a number up to 65536",
        ),
        (
            r#"{"personality": {"domain": "SVR4"}}"#,
            "personality.domain: invalid personality domain \"SVR4\"",
        ),
        (
            r#"{"personality": {"domain": "LINUX", "flags": ["X"]}}"#,
            "personality.flags: no flags are supported, [\"X\"] neither",
        ),
    ]);
}
