use super::{judge, patched};

/// What is appended to `config.json: ` for each patch of a good configuration.
fn table(rows: &[(&str, &str)]) {
    for (patch, expect) in rows {
        assert_eq!(judge(&patched(patch)), format!("config.json: {expect}"), "{patch}");
    }
}

#[test]
fn not_json() {
    for (raw, expect) in [
        ("", "config cannot be null"),
        (" \n", "config cannot be null"),
        ("null", "config cannot be null"),
        (" null\n", "config cannot be null"),
        ("[]", "not a JSON object"),
        ("\"{}\"", "not a JSON object"),
        ("nul", "not a JSON object"),
        ("\u{feff}{}", "begins with a byte order mark, which JSON must not (RFC 8259)"),
        ("{", "EOF while parsing an object at line 1 column 1"),
        ("{\"root\": {\n\"path\": \"a\"", "root: EOF while parsing an object at line 2 column 11"),
        ("{} x", "trailing characters at line 1 column 4"),
        ("{}{}", "trailing characters at line 1 column 3"),
        ("{'a': 1}", "key must be a string at line 1 column 2"),
        ("{\"a\": 1,}", "trailing comma at line 1 column 9"),
        ("{\"a\" 1}", "expected `:` at line 1 column 6"),
        ("{\"a\": 01}", "a: invalid number at line 1 column 8"),
        ("{\"a\": // no\n1}", "a: expected value at line 1 column 7"),
        (
            "{\"hostname\": \"a\tb\"}",
            "hostname: control character (\\u0000-\\u001F) found while parsing a string \
             at line 1 column 16",
        ),
        (
            "{\"hostname\": \"\\ud800\"}",
            "hostname: unexpected end of hex escape at line 1 column 21",
        ),
        ("{\"root\": {}, \"root\": {}}", "duplicate field `root` at line 1 column 19"),
    ] {
        assert_eq!(judge(raw.as_bytes()), format!("config.json: {expect}"), "{raw}");
    }
    assert_eq!(
        judge(b"{\"hostname\": \"\xff\"}"),
        "config.json: hostname: invalid unicode code point at line 1 column 15"
    );
    // No depth of nesting exhausts the stack.
    let deep = format!("{{\"a\": {}", "[".repeat(100_000));
    let end = "config.json: a: EOF while parsing a list at line 1 column 100006";
    assert_eq!(judge(deep.as_bytes()), end);
}

#[test]
fn wrong_types() {
    table(&[
        (
            r#"{"process": {"args": "sh"}}"#,
            "process.args: invalid type: string \"sh\", expected a sequence at line 1 column 101",
        ),
        (
            r#"{"process": {"env": ["A=1", 2]}}"#,
            "process.env[1]: invalid type: integer `2`, expected a string at line 1 column 128",
        ),
        (
            r#"{"process": {"user": {"uid": -1}}}"#,
            "process.user.uid: invalid value: integer `-1`, expected u32 at line 1 column 138",
        ),
    ]);
}

#[test]
fn general() {
    table(&[
        (r#"{"ociVersion": null}"#, "ociVersion: must be set"),
        (r#"{"ociVersion": ""}"#, "ociVersion: must be set"),
        (r#"{"ociVersion": "1.0"}"#, "ociVersion: \"1.0\" is not a SemVer 2.0.0 version"),
        (r#"{"ociVersion": "latest"}"#, "ociVersion: \"latest\" is not a SemVer 2.0.0 version"),
        (
            r#"{"ociVersion": "99.0.0"}"#,
            "ociVersion: \"99.0.0\" is not supported, only 1.x up to 1.3.0 and later",
        ),
        (r#"{"root": null}"#, "root: root must be specified"),
        (r#"{"root": {"path": ""}}"#, "root.path: must not be empty"),
        (r#"{"root": {"path": "a\u0000b"}}"#, "root.path: \"a\\0b\" contains a NUL byte"),
        (r#"{"process": null}"#, "process: process property must not be empty"),
        (
            r#"{"hostname": "h"}"#,
            "hostname: unable to set hostname without a private UTS namespace",
        ),
        (
            r#"{"domainname": "d"}"#,
            "domainname: unable to set domainname without a private UTS namespace",
        ),
        (
            r#"{"hostname": "a\u0000", "linux": {"namespaces": [{"type": "uts"}]}}"#,
            "hostname: \"a\\0\" contains a NUL byte",
        ),
        (
            r#"{"domainname": "0123456789012345678901234567890123456789012345678901234567890123x",
                "linux": {"namespaces": [{"type": "uts"}]}}"#,
            "domainname: \"0123456789012345678901234567890123456789012345678901234567890123x\" \
             is longer than 64 bytes",
        ),
        (r#"{"annotations": {"": "x"}}"#, "annotations: a key must not be empty"),
    ]);
}

#[test]
fn hooks() {
    table(&[
        (r#"{"hooks": {"prestart": [{}]}}"#, "hooks.prestart[0].path: must not be empty"),
        (
            r#"{"hooks": {"createRuntime": [{"path": "/a"}, {"path": "b"}]}}"#,
            "hooks.createRuntime[1].path: \"b\" must be an absolute path",
        ),
        (
            r#"{"hooks": {"createContainer": [{"path": "/a\u0000"}]}}"#,
            "hooks.createContainer[0].path: \"/a\\0\" contains a NUL byte",
        ),
        (
            r#"{"hooks": {"startContainer": [{"path": "/a", "timeout": 0}]}}"#,
            "hooks.startContainer[0].timeout: 0 must be greater than zero",
        ),
        (
            r#"{"hooks": {"poststart": [{"path": "/a", "timeout": -5}]}}"#,
            "hooks.poststart[0].timeout: -5 must be greater than zero",
        ),
        (
            r#"{"hooks": {"poststop": [{"path": "/a", "args": ["a", "\u0000"]}]}}"#,
            "hooks.poststop[0].args[1]: \"\\0\" contains a NUL byte",
        ),
        (
            r#"{"hooks": {"poststop": [{"path": "/a", "env": ["A=\u0000"]}]}}"#,
            "hooks.poststop[0].env[0]: \"A=\\0\" contains a NUL byte",
        ),
    ]);
}

#[test]
fn process() {
    table(&[
        (r#"{"process": {"args": []}}"#, "process.args: args must not be empty"),
        (r#"{"process": {"args": null}}"#, "process.args: args must not be empty"),
        (
            r#"{"process": {"args": ["a", "b\u0000"]}}"#,
            "process.args[1]: \"b\\0\" contains a NUL byte",
        ),
        (
            r#"{"process": {"env": ["A=1", "B"]}}"#,
            "process.env[1]: invalid environment variable \"B\": missing '='",
        ),
        (
            r#"{"process": {"env": ["=1"]}}"#,
            "process.env[0]: invalid environment variable: name cannot be empty",
        ),
        (r#"{"process": {"env": ["A=\u0000"]}}"#, "process.env[0]: \"A=\\0\" contains a NUL byte"),
        (r#"{"process": {"cwd": null}}"#, "process.cwd: Cwd property must not be empty"),
        (
            r#"{"process": {"cwd": "./x"}}"#,
            "process.cwd: Cwd must be an absolute path, \"./x\" is not",
        ),
        (r#"{"process": {"cwd": "/\u0000"}}"#, "process.cwd: \"/\\0\" contains a NUL byte"),
        (
            r#"{"process": {"user": {"uid": 4294967295}}}"#,
            "process.user.uid: 4294967295 is not an id",
        ),
        (
            r#"{"process": {"user": {"gid": 4294967295}}}"#,
            "process.user.gid: 4294967295 is not an id",
        ),
        (
            r#"{"process": {"user": {"additionalGids": [1, 4294967295]}}}"#,
            "process.user.additionalGids[1]: 4294967295 is not an id",
        ),
        (r#"{"process": {"user": {"umask": 512}}}"#, "process.user.umask: 01000 is more than 0777"),
        (
            r#"{"process": {"apparmorProfile": "a\u0000"}}"#,
            "process.apparmorProfile: \"a\\0\" contains a NUL byte",
        ),
        (
            r#"{"process": {"selinuxLabel": "\u0000"}}"#,
            "process.selinuxLabel: \"\\0\" contains a NUL byte",
        ),
        (
            r#"{"process": {"oomScoreAdj": 1001}}"#,
            "process.oomScoreAdj: 1001 is not from -1000 to 1000",
        ),
        (
            r#"{"process": {"rlimits": [{"type": "RLIMIT_FUN", "soft": 1, "hard": 1}]}}"#,
            "process.rlimits[0].type: invalid rlimit \"RLIMIT_FUN\"",
        ),
        (
            r#"{"process": {"rlimits": [{"type": "RLIMIT_CPU"}, {"type": "RLIMIT_CPU"}]}}"#,
            "process.rlimits[1].type: duplicated rlimit \"RLIMIT_CPU\"",
        ),
        (
            r#"{"process": {"rlimits": [{"type": "RLIMIT_CPU", "soft": 2, "hard": 1}]}}"#,
            "process.rlimits[0]: soft limit 2 is above hard limit 1",
        ),
        (
            r#"{"process": {"ioPriority": {"priority": 4}}}"#,
            "process.ioPriority.class: invalid ioPriority class \"\"",
        ),
        (
            r#"{"process": {"ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 8}}}"#,
            "process.ioPriority.priority: 8 is not from 0 to 7",
        ),
        (
            r#"{"process": {"execCPUAffinity": {"initial": "3-1"}}}"#,
            "process.execCPUAffinity.initial: bad CPU list \"3-1\": \"3-1\" is not a range",
        ),
        (
            r#"{"process": {"execCPUAffinity": {"final": "a"}}}"#,
            "process.execCPUAffinity.final: bad CPU list \"a\": \"a\" is not a number up to 65536",
        ),
    ]);
}

#[test]
fn scheduler() {
    let at = "process.scheduler";
    for (scheduler, expect) in [
        (r"{}", ".policy: scheduler policy is required"),
        (r#"{"policy": "FIFO"}"#, ".policy: invalid scheduler policy \"FIFO\""),
        (
            r#"{"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_X"]}"#,
            ".flags[0]: invalid scheduler flag \"SCHED_FLAG_X\"",
        ),
        (r#"{"policy": "SCHED_BATCH", "nice": 20}"#, ".nice: 20 is not from -20 to 19"),
        (r#"{"policy": "SCHED_FIFO"}"#, ".priority: 0 is not from 1 to 99"),
        (r#"{"policy": "SCHED_RR", "priority": 100}"#, ".priority: 100 is not from 1 to 99"),
        (
            r#"{"policy": "SCHED_OTHER", "priority": 1}"#,
            ".priority: can only be specified for SCHED_FIFO or SCHED_RR policy",
        ),
        (
            r#"{"policy": "SCHED_OTHER", "period": 1}"#,
            ": runtime, deadline and period can only be specified for SCHED_DEADLINE policy",
        ),
        (
            r#"{"policy": "SCHED_DEADLINE", "runtime": 3, "deadline": 2}"#,
            ": 0 < runtime <= deadline <= period does not hold",
        ),
        (
            r#"{"policy": "SCHED_DEADLINE", "runtime": 1, "deadline": 3, "period": 2}"#,
            ": 0 < runtime <= deadline <= period does not hold",
        ),
    ] {
        let patch = format!(r#"{{"process": {{"scheduler": {scheduler}}}}}"#);
        assert_eq!(judge(&patched(&patch)), format!("config.json: {at}{expect}"), "{patch}");
    }
}

#[test]
fn mounts() {
    for (mount, expect) in [
        (r#"{"type": "proc"}"#, ".destination: must not be empty"),
        (r#"{"destination": "/\u0000"}"#, ".destination: \"/\\0\" contains a NUL byte"),
        (r#"{"destination": "/", "source": "\u0000"}"#, ".source: \"\\0\" contains a NUL byte"),
        (r#"{"destination": "/", "type": "\u0000"}"#, ".type: \"\\0\" contains a NUL byte"),
        (
            r#"{"destination": "/", "options": ["ro", "\u0000"]}"#,
            ".options[1]: \"\\0\" contains a NUL byte",
        ),
        (r#"{"destination": "/", "options": ["rbind"]}"#, ".source: a bind mount needs a source"),
        (
            r#"{"destination": "/", "source": "/", "options": ["bind", "idmap"]}"#,
            ": an idmap option needs mappings, or a user namespace to take them from",
        ),
        (
            r#"{"destination": "/", "source": "/", "options": ["bind"],
                "uidMappings": [{"containerID": 0, "hostID": 0, "size": 1}]}"#,
            ": id-mapped mounts must have both uid and gid mappings specified",
        ),
        (
            r#"{"destination": "/", "type": "tmpfs",
                "uidMappings": [{"containerID": 0, "hostID": 0, "size": 1}],
                "gidMappings": [{"containerID": 0, "hostID": 0, "size": 1}]}"#,
            ": id-mapped mounts are only supported for bind-mounts",
        ),
        (
            r#"{"destination": "/", "source": "/", "options": ["bind"],
                "uidMappings": [{"containerID": 0, "hostID": 0, "size": 1}],
                "gidMappings": [{"containerID": 0, "hostID": 0, "size": 0}]}"#,
            ".gidMappings[0].size: must not be 0",
        ),
    ] {
        let patch = format!(r#"{{"mounts": [{mount}]}}"#);
        assert_eq!(judge(&patched(&patch)), format!("config.json: mounts[0]{expect}"), "{patch}");
    }
}

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
