//! Values as Go's `fmt` prints them.

use serde_json::Value;
use std::fmt::Write as _;

/// `%v`. Objects whose names are all Go's exported ones were structs: `{a b}`; others are maps:
/// `map[k:v]`.
pub fn plain(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".into(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            let items: Vec<_> = list.iter().map(plain).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Object(map) if is_struct(value) => {
            let items: Vec<_> = map.values().map(plain).collect();
            format!("{{{}}}", items.join(" "))
        }
        Value::Object(map) => {
            let mut items: Vec<_> =
                map.iter().map(|(key, value)| format!("{key}:{}", plain(value))).collect();
            items.sort();
            format!("map[{}]", items.join(" "))
        }
    }
}

/// Was this object a Go struct? Their fields start with capitals; the keys of Docker's maps
/// (labels, ports, networks' names) do not all.
pub fn is_struct(value: &Value) -> bool {
    value.as_object().is_some_and(|map| {
        !map.is_empty()
            && map.keys().all(|key| {
                key.starts_with(|c: char| c.is_ascii_uppercase())
                    && key.chars().all(|c| c.is_ascii_alphanumeric())
            })
    })
}

/// A template's output of a value at the top: Go writes nil so.
pub fn printed(value: &Value) -> String {
    if value.is_null() { "<no value>".into() } else { plain(value) }
}

/// `printf`.
///
/// # Errors
/// A verb this subset doesn't know.
pub fn printf(format: &str, values: &[Value]) -> Result<String, String> {
    let mut out = String::new();
    let mut values = values.iter();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut flags = String::new();
        while let Some(&flag) = chars.peek()
            && "-+# 0".contains(flag)
        {
            flags.push(flag);
            chars.next();
        }
        let width = digits(&mut chars);
        let precision = if chars.next_if_eq(&'.').is_some() {
            Some(digits(&mut chars).unwrap_or(0))
        } else {
            None
        };
        let Some(verb) = chars.next() else {
            out.push_str("%!(NOVERB)");
            break;
        };
        if verb == '%' {
            out.push('%');
            continue;
        }
        let Some(value) = values.next() else {
            let _ = write!(out, "%!{verb}(MISSING)");
            continue;
        };
        let text = verb_text(verb, &flags, precision, value)?;
        pad(&mut out, &text, &flags, width.unwrap_or(0));
    }
    Ok(out)
}

fn digits(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<usize> {
    let mut text = String::new();
    while let Some(digit) = chars.next_if(char::is_ascii_digit) {
        text.push(digit);
    }
    // Wider than any line: a template can't make us fill memory.
    text.parse::<usize>().ok().map(|width| width.min(4096))
}

fn verb_text(
    verb: char,
    flags: &str,
    precision: Option<usize>,
    value: &Value,
) -> Result<String, String> {
    let text = plain(value);
    Ok(match (verb, value) {
        ('s' | 'v', _) => match precision {
            Some(count) => text.chars().take(count).collect(),
            None => text,
        },
        ('q', Value::String(text)) => format!("{text:?}"),
        ('t', Value::Bool(_)) => text,
        ('d', Value::Number(number)) if number.is_i64() || number.is_u64() => {
            if flags.contains('+') && !text.starts_with('-') { format!("+{text}") } else { text }
        }
        ('x' | 'X', Value::Number(number)) if number.is_i64() || number.is_u64() => {
            let number = number.as_i64().unwrap_or(i64::MAX);
            if verb == 'x' { format!("{number:x}") } else { format!("{number:X}") }
        }
        ('x', Value::String(text)) => text.bytes().fold(String::new(), |mut out, byte| {
            let _ = write!(out, "{byte:02x}");
            out
        }),
        ('f' | 'g' | 'e', Value::Number(number)) => {
            let number = number.as_f64().unwrap_or(0.0);
            match verb {
                'f' => format!("{number:.*}", precision.unwrap_or(6)),
                _ => precision.map_or_else(
                    || number.to_string(),
                    |p| crate::cli::human::significant(number, p),
                ),
            }
        }
        ('d' | 'q' | 't' | 'x' | 'X' | 'f' | 'g' | 'e', _) => format!("%!{verb}({text})"),
        _ => return Err(format!("printf: %{verb} is not supported")),
    })
}

fn pad(out: &mut String, text: &str, flags: &str, width: usize) {
    let fill = width.saturating_sub(text.chars().count());
    let spaces = |out: &mut String, c: char| out.extend(std::iter::repeat_n(c, fill));
    if flags.contains('-') {
        out.push_str(text);
        spaces(out, ' ');
    } else {
        spaces(out, if flags.contains('0') { '0' } else { ' ' });
        out.push_str(text);
    }
}
