//! Editing JSON by pointer (RFC 6901).

use serde_json::{Map, Value};

/// Puts `value` at `pointer`, making the objects and, for `-` and `0`, the arrays on the way; `-`
/// appends.
pub fn put(root: &mut Value, pointer: &str, value: Value) {
    let mut place = root;
    for key in pointer.split('/').skip(1).map(unescape) {
        if key == "-" && !place.is_array() {
            *place = Value::Array(Vec::new());
        }
        if key == "0" && place.is_null() {
            *place = Value::Array(vec![Value::Null]);
        }
        place = match place {
            Value::Array(items) => {
                if key == "-" {
                    items.push(Value::Null);
                }
                let end = items.len().saturating_sub(1);
                let at = if key == "-" { Some(end) } else { key.parse().ok() };
                match at.and_then(|at: usize| items.get_mut(at)) {
                    Some(item) => item,
                    None => return,
                }
            }
            other => entry(other, key),
        };
    }
    *place = value;
}

/// The member `key`, made when it is missing; what is no object becomes one.
fn entry(place: &mut Value, key: String) -> &mut Value {
    if !place.is_object() {
        *place = Value::Object(Map::new());
    }
    match place {
        Value::Object(map) => map.entry(key).or_insert(Value::Null),
        other => other,
    }
}

/// Takes away what is at `pointer`.
pub fn remove(root: &mut Value, pointer: &str) -> Option<Value> {
    let (parent, key) = pointer.rsplit_once('/')?;
    match root.pointer_mut(parent)? {
        Value::Object(map) => map.remove(&unescape(key)),
        Value::Array(items) => {
            let at: usize = key.parse().ok()?;
            (at < items.len()).then(|| items.remove(at))
        }
        _ => None,
    }
}

fn unescape(key: &str) -> String {
    key.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn put_makes_the_way_and_appends() {
        let mut root = json!({"list": [1]});
        put(&mut root, "/a/b~1c", json!(true));
        put(&mut root, "/list/-", json!(2));
        put(&mut root, "/list/0", json!(0));
        put(&mut root, "/list/9", json!(9));
        assert_eq!(root, json!({"a": {"b/c": true}, "list": [0, 2]}));
        put(&mut root, "/new/-", json!(3));
        assert_eq!(root["new"], json!([3]));
        put(&mut root, "/first/0/name", json!("x"));
        assert_eq!(root["first"], json!([{"name": "x"}]));
        put(&mut root, "", json!(1));
        assert_eq!(root, json!(1));
    }

    #[test]
    fn remove_takes_members_and_items() {
        let mut root = json!({"a": {"b": 1}, "list": [1, 2]});
        assert_eq!(remove(&mut root, "/a/b"), Some(json!(1)));
        assert_eq!(remove(&mut root, "/list/0"), Some(json!(1)));
        assert_eq!(remove(&mut root, "/list/7"), None);
        assert_eq!(root, json!({"a": {}, "list": [2]}));
    }
}
