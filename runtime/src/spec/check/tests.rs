use super::*;
use crate::error::At as _;
use crate::spec::load::parse;
use serde_json::{Value, json};

mod accepted;
mod refused;
mod refused_linux;

/// A configuration without problems.
fn good() -> Value {
    json!({
        "ociVersion": "1.3.0",
        "root": {"path": "rootfs"},
        "process": {"user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["sh"]},
        "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}]}
    })
}

/// JSON merge patch (RFC 7396): `null` removes.
fn merge(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (key, value) in patch {
                if value.is_null() {
                    target.remove(key);
                } else {
                    merge(target.entry(key).or_insert_with(|| json!({})), value);
                }
            }
        }
        (target, patch) => *target = patch.clone(),
    }
}

fn patched(patch: &str) -> Vec<u8> {
    let mut config = good();
    merge(&mut config, &serde_json::from_str(patch).unwrap());
    config.to_string().into_bytes()
}

/// The one line a user sees, or nothing.
fn judge(raw: &[u8]) -> String {
    let judged = parse::<Spec>(raw).at(|| "config.json").and_then(|spec| {
        let problems = check(&spec);
        if problems.is_empty() { Ok(()) } else { Err(problems_to_error(&problems)) }
    });
    judged.err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn all_problems_at_once() {
    let raw = patched(r#"{"ociVersion": null, "process": {"cwd": "tmp", "args": []}}"#);
    assert_eq!(
        judge(&raw),
        "config.json: ociVersion: must be set; process.args: args must not be empty; \
         process.cwd: Cwd must be an absolute path, \"tmp\" is not"
    );
}

#[test]
fn a_process_of_exec() {
    let process = parse(br#"{"args": ["ls"], "cwd": "bin", "user": {"uid": 4294967295}}"#).unwrap();
    let problems = check_process(&process, "process.json");
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "process.json.cwd: Cwd must be an absolute path, \"bin\" is not",
            "process.json.user.uid: 4294967295 is not an id"
        ]
    );
}

#[test]
fn things_to_warn_of() {
    let raw = patched(r#"{"mounts": [{"destination": "proc", "type": "proc"}]}"#);
    assert_eq!(judge(&raw), "");
    let warnings: Vec<_> =
        warnings(&parse(&raw).unwrap()).iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        ["mounts[0].destination: \"proc\" is relative, which is deprecated; it is taken from /",]
    );
    assert_eq!(super::warnings(&parse(&patched("{}")).unwrap()), []);
}

#[test]
fn versions() {
    for version in
        ["1.0.0", "1.0.2-dev", "1.99.0", "1.0.0-rc5", "1.2.3-a.b-c.0", "1.0.0+b.01", "1.0.0-0+0"]
    {
        assert_eq!(major(version), Some("1"), "{version}");
    }
    assert_eq!(major("0.5.0-dev"), Some("0"));
    assert_eq!(major("10.0.0"), Some("10"));
    for version in [
        "",
        "1",
        "1.0",
        "1.0.0.0",
        "v1.0.0",
        "01.0.0",
        "1.00.0",
        "1.0.x",
        "1.0.0-",
        "1.0.0-01",
        "1.0.0-a..b",
        "1.0.0+",
        "1.0.0+a_b",
        "1.0.0 ",
        " 1.0.0",
        "1.0.-1",
        "1..0",
        "１.0.0",
    ] {
        assert_eq!(major(version), None, "{version}");
    }
}
