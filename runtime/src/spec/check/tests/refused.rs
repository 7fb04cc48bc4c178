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
        "config.json: not UTF-8 (RFC 8259) at line 1 column 15"
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
            r#"{"domainname": "a", "linux": {
                "namespaces": [{"type": "uts"}], "sysctl": {"kernel.domainname": "b"}}}"#,
            "linux.sysctl[\"kernel.domainname\"]: conflicts with the domainname property",
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
