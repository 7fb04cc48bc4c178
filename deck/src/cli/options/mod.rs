//! The options of `run` and `create`, by concern, and what of the API's request each decides.

pub mod bundle;
pub mod create;
pub mod health;
pub mod isolation;
pub mod network;
pub mod process;
pub mod resources;
pub mod storage;

use serde_json::{Map, Value};

/// A part of the request.
pub type Part = Map<String, Value>;

/// Sets a member unless the value is Docker's "not given": null, empty, false or 0.
pub fn put(part: &mut Part, name: &str, value: impl Into<Value>) {
    let value = value.into();
    let given = match &value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
    };
    if given {
        part.insert(name.to_owned(), value);
    }
}
