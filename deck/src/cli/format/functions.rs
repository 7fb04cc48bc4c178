//! The functions of Docker's templates and Go's own.

use super::eval::truth;
use super::print::{plain, printf};
use serde_json::Value;
use std::cmp::Ordering;

/// A value's Go type, for errors.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// Calls a function.
///
/// # Errors
/// There is no such function, or it can't take these arguments.
pub fn call(name: &str, arguments: Vec<Value>) -> Result<Value, String> {
    let wrong = |what: &str| Err(format!("error calling {name}: {what}"));
    let text = |index: usize| arguments.get(index).map(plain).unwrap_or_default();
    let count = arguments.len();
    let wanted = match name {
        "json" | "lower" | "upper" | "title" | "len" | "not" => 1..=1,
        "split" | "join" | "truncate" | "ne" | "lt" | "le" | "gt" | "ge" => 2..=2,
        "pad" => 3..=3,
        "eq" => 2..=usize::MAX,
        "and" | "or" | "index" | "slice" | "printf" => 1..=usize::MAX,
        _ => 0..=usize::MAX,
    };
    if !wanted.contains(&count) {
        return Err(format!(
            "wrong number of args for {name}: want {} got {count}",
            wanted.start()
        ));
    }
    Ok(match name {
        "json" => serde_json::to_string(&arguments[0]).map_err(|error| error.to_string())?.into(),
        "lower" => text(0).to_lowercase().into(),
        "upper" => text(0).to_uppercase().into(),
        "title" => title(&text(0)).into(),
        "split" => text(0).split(&text(1)).map(str::to_owned).collect::<Vec<_>>().into(),
        "join" => match &arguments[0] {
            Value::Array(list) => list.iter().map(plain).collect::<Vec<_>>().join(&text(1)).into(),
            Value::Null => "".into(),
            other => return wrong(&format!("can't join {}", kind(other))),
        },
        "truncate" => {
            let width = whole(&arguments[1]).unwrap_or(0);
            text(0).chars().take(width).collect::<String>().into()
        }
        "pad" => {
            let space = |index: usize| " ".repeat(whole(&arguments[index]).unwrap_or(0).min(4096));
            format!("{}{}{}", space(1), text(0), space(2)).into()
        }
        "len" => match &arguments[0] {
            Value::String(text) => text.len().into(),
            Value::Array(list) => list.len().into(),
            Value::Object(map) => map.len().into(),
            Value::Null => 0.into(),
            other => return wrong(&format!("len of type {}", kind(other))),
        },
        "index" => return index(&arguments),
        "slice" => return slice(&arguments),
        "not" => (!truth(&arguments[0])).into(),
        "and" => choose(arguments, false),
        "or" => choose(arguments, true),
        "eq" => arguments[1..].iter().any(|other| same(&arguments[0], other)).into(),
        "ne" => (!same(&arguments[0], &arguments[1])).into(),
        "lt" | "le" | "gt" | "ge" => {
            let Some(order) = order(&arguments[0], &arguments[1]) else {
                return wrong("incompatible types for comparison");
            };
            match name {
                "lt" => order == Ordering::Less,
                "le" => order != Ordering::Greater,
                "gt" => order == Ordering::Greater,
                _ => order != Ordering::Less,
            }
            .into()
        }
        "print" => sprint(&arguments).into(),
        "println" => (arguments.iter().map(plain).collect::<Vec<_>>().join(" ") + "\n").into(),
        "printf" => printf(&text(0), &arguments[1..])?.into(),
        _ => return Err(format!("function {name:?} not defined")),
    })
}

/// Each word's first letter large (Go's strings.Title).
fn title(text: &str) -> String {
    let mut inside = false;
    text.chars()
        .map(|c| {
            let first = !inside;
            inside = c.is_alphanumeric() || c == '_' || c == '\'';
            if first { c.to_uppercase().next().unwrap_or(c) } else { c }
        })
        .collect()
}

/// The first argument whose truth is `wanted`, else the last (`and`, `or`).
fn choose(arguments: Vec<Value>, wanted: bool) -> Value {
    let mut last = Value::Null;
    for value in arguments {
        let found = truth(&value) == wanted;
        last = value;
        if found {
            break;
        }
    }
    last
}

fn whole(value: &Value) -> Option<usize> {
    value.as_u64().and_then(|number| usize::try_from(number).ok())
}

fn index(arguments: &[Value]) -> Result<Value, String> {
    let mut value = &arguments[0];
    for key in &arguments[1..] {
        value = match (value, key) {
            (Value::Array(list), key) => {
                let found = whole(key).and_then(|index| list.get(index));
                found.ok_or_else(|| {
                    format!("error calling index: index out of range: {}", plain(key))
                })?
            }
            (Value::Object(map), Value::String(key)) => match map.get(key) {
                Some(value) => value,
                None => return Ok("".into()),
            },
            (Value::Null, _) => return Err("error calling index: index of untyped nil".into()),
            (other, _) => {
                return Err(format!(
                    "error calling index: can't index item of type {}",
                    kind(other)
                ));
            }
        };
    }
    Ok(value.clone())
}

fn slice(arguments: &[Value]) -> Result<Value, String> {
    let length = match &arguments[0] {
        Value::String(text) => text.len(),
        Value::Array(list) => list.len(),
        other => return Err(format!("error calling slice: can't slice {}", kind(other))),
    };
    let start = arguments.get(1).map_or(Some(0), whole);
    let end = arguments.get(2).map_or(Some(length), whole);
    let outside = || "error calling slice: index out of range".to_owned();
    let (Some(start), Some(end)) = (start, end) else { return Err(outside()) };
    match &arguments[0] {
        Value::String(text) => text.get(start..end).map(Value::from),
        Value::Array(list) => list.get(start..end).map(|part| Value::from(part.to_vec())),
        _ => None,
    }
    .ok_or_else(outside)
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        _ => a == b,
    }
}

fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64()?.partial_cmp(&b.as_f64()?),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

/// Go's Sprint: a space between two operands when neither is a string.
fn sprint(values: &[Value]) -> String {
    let mut out = String::new();
    for (index, value) in values.iter().enumerate() {
        if index > 0 && !value.is_string() && !values[index - 1].is_string() {
            out.push(' ');
        }
        out.push_str(&plain(value));
    }
    out
}
