//! Reading the engine's answers: fields by Go's names, missing ones as empty; Go's indentation.

use serde_json::Value;

/// What a field that isn't there reads as.
static NOTHING: Value = Value::Null;

/// Access to an answer's fields.
pub trait Fields {
    /// A field; null where it is missing.
    fn at_key(&self, key: &str) -> &Value;
    /// A text; empty where it is missing.
    fn text(&self, key: &str) -> &str;
    /// A whole number; 0 where it is missing.
    fn int(&self, key: &str) -> i64;
    /// A truth; false where it is missing.
    fn truth(&self, key: &str) -> bool;
    /// A list; empty where it is missing.
    fn list(&self, key: &str) -> &[Value];
    /// An object's entries, sorted by name as Go prints maps.
    fn entries(&self, key: &str) -> Vec<(&str, &Value)>;
}

impl Fields for Value {
    fn at_key(&self, key: &str) -> &Value {
        self.get(key).unwrap_or(&NOTHING)
    }

    fn text(&self, key: &str) -> &str {
        self.at_key(key).as_str().unwrap_or("")
    }

    fn int(&self, key: &str) -> i64 {
        let value = self.at_key(key);
        value
            .as_i64()
            .or_else(|| value.as_u64().map(|number| i64::try_from(number).unwrap_or(i64::MAX)))
            .unwrap_or(0)
    }

    fn truth(&self, key: &str) -> bool {
        self.at_key(key).as_bool().unwrap_or(false)
    }

    fn list(&self, key: &str) -> &[Value] {
        self.at_key(key).as_array().map_or(&[], Vec::as_slice)
    }

    fn entries(&self, key: &str) -> Vec<(&str, &Value)> {
        let mut entries: Vec<_> = self
            .at_key(key)
            .as_object()
            .map(|map| map.iter().map(|(name, value)| (name.as_str(), value)).collect())
            .unwrap_or_default();
        entries.sort_by_key(|(name, _)| *name);
        entries
    }
}

/// Labels as Docker's lists show them: `a=b,c=d`.
pub fn pairs(entries: &[(&str, &Value)]) -> String {
    let pair = |(key, value): &(&str, &Value)| format!("{key}={}", value.as_str().unwrap_or(""));
    entries.iter().map(pair).collect::<Vec<_>>().join(",")
}

/// Indents JSON as Go's `json.Indent` does with four spaces: order and spelling stay.
pub fn indent(raw: &str, prefix: &str) -> String {
    let mut out = String::with_capacity(raw.len() * 2);
    let mut depth = 0_usize;
    let (mut quoted, mut escaped, mut opened) = (false, false, false);
    for c in raw.trim().chars() {
        if quoted {
            out.push(c);
            quoted = escaped || c != '"';
            escaped = c == '\\' && !escaped;
            continue;
        }
        if c.is_ascii_whitespace() {
            continue;
        }
        if opened && !matches!(c, '}' | ']') {
            newline(&mut out, prefix, depth);
        }
        match c {
            '{' | '[' => depth += 1,
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                if !opened {
                    newline(&mut out, prefix, depth);
                }
            }
            _ => {}
        }
        opened = matches!(c, '{' | '[');
        out.push(c);
        match c {
            '"' => quoted = true,
            ':' => out.push(' '),
            ',' => newline(&mut out, prefix, depth),
            _ => {}
        }
    }
    out
}

fn newline(out: &mut String, prefix: &str, depth: usize) {
    out.push('\n');
    out.push_str(prefix);
    for _ in 0..depth {
        out.push_str("    ");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn indentation_is_gos() {
        let raw = r#"{"b":[],"a":{"x":"{\"q,"},"l":[1,{}],"n":null}"#;
        let want = "{\n    \"b\": [],\n    \"a\": {\n        \"x\": \"{\\\"q,\"\n    },\n    \
                    \"l\": [\n        1,\n        {}\n    ],\n    \"n\": null\n}";
        assert_eq!(indent(raw, ""), want);
        assert_eq!(indent("[]", ""), "[]");
    }

    #[test]
    fn backslashes_at_the_end_of_a_string() {
        assert_eq!(
            indent(r#"["a\\",{"b":1}]"#, ""),
            "[\n    \"a\\\\\",\n    {\n        \"b\": 1\n    }\n]"
        );
    }

    #[test]
    fn missing_fields_read_as_empty() {
        let value = json!({"a": 1, "m": {"z": "1", "b": "2"}});
        assert_eq!((value.text("a"), value.int("a"), value.truth("x")), ("", 1, false));
        assert!(value.list("a").is_empty());
        assert_eq!(pairs(&value.entries("m")), "b=2,z=1");
    }
}
