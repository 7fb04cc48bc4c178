//! Values in GVariant text format (docs.gtk.org/glib, "GVariant Text Format"), as far as
//! properties of units need them: numbers, booleans, strings, and arrays of one of these.

use crate::systemd::wire::Value;

/// The value that `text` describes; nothing for what is none.
pub fn parse(text: &str) -> Option<Value> {
    let mut rest = text.trim();
    let value = value(&mut rest)?;
    rest.trim().is_empty().then_some(value)
}

/// Takes a value off the begin of `text`.
fn value(text: &mut &str) -> Option<Value> {
    let begin = text.trim_start();
    if let Some(after) = begin.strip_prefix('[') {
        *text = after;
        return array(text);
    }
    if begin.starts_with(['\'', '"']) {
        *text = begin;
        return string(text).map(Value::Str);
    }
    if let Some(after) = begin.strip_prefix("@as") {
        // An empty array says nothing of its type.
        *text = after.trim_start().strip_prefix('[')?.trim_start().strip_prefix(']')?;
        return Some(Value::Array("s".to_owned(), Vec::new()));
    }
    let (word, after) = word(begin);
    *text = after;
    match word {
        "true" => return Some(Value::Bool(true)),
        "false" => return Some(Value::Bool(false)),
        _ => {}
    }
    typed(word, text).or_else(|| untyped(word))
}

/// What is up to the next separator, and the rest.
fn word(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| c.is_whitespace() || ",]".contains(c)).unwrap_or(text.len());
    text.split_at(end)
}

/// A number behind the name of its type.
fn typed(kind: &str, text: &mut &str) -> Option<Value> {
    let (word, after) = word(text.trim_start());
    let value = match kind {
        "byte" => Value::Byte(integer(word)?),
        "int16" => Value::I16(integer(word)?),
        "uint16" => Value::U16(integer(word)?),
        "int32" => Value::I32(integer(word)?),
        "uint32" => Value::U32(integer(word)?),
        "int64" => Value::I64(integer(word)?),
        "uint64" => Value::U64(integer(word)?),
        "double" => Value::Double(word.parse().ok()?),
        "boolean" => Value::Bool(word.parse().ok()?),
        _ => return None,
    };
    *text = after;
    Some(value)
}

/// A decimal, hexadecimal or octal number that fits.
fn integer<T: TryFrom<i128>>(word: &str) -> Option<T> {
    let (negative, digits) = match word.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, word.strip_prefix('+').unwrap_or(word)),
    };
    let (digits, radix) = match digits.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None if digits.len() > 1 && digits.starts_with('0') => (digits, 8),
        None => (digits, 10),
    };
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return None;
    }
    let number = i128::from(u64::from_str_radix(digits, radix).ok()?);
    T::try_from(if negative { -number } else { number }).ok()
}

/// A number without a type: 32 bits, or floating point.
fn untyped(word: &str) -> Option<Value> {
    if let Some(number) = integer(word) {
        return Some(Value::I32(number));
    }
    let decimal = word.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
        && word.contains(['.', 'e', 'E']);
    let number = decimal.then(|| word.parse::<f64>().ok())??;
    number.is_finite().then_some(Value::Double(number))
}

/// A quoted string.
fn string(text: &mut &str) -> Option<String> {
    let mut letters = text.chars();
    let quote = letters.next()?;
    let mut out = String::new();
    loop {
        match letters.next()? {
            letter if letter == quote => break,
            '\0' => return None,
            '\\' => out.push(match letters.next()? {
                'n' => '\n',
                't' => '\t',
                letter @ ('\\' | '\'' | '"') => letter,
                _ => return None,
            }),
            letter => out.push(letter),
        }
    }
    *text = letters.as_str();
    Some(out)
}

/// The elements of an array, and its closing bracket.
fn array(text: &mut &str) -> Option<Value> {
    let mut values: Vec<Value> = Vec::new();
    loop {
        let element = value(text)?;
        if matches!(element, Value::Array(..))
            || values.first().is_some_and(|first| first.signature() != element.signature())
        {
            return None;
        }
        values.push(element);
        *text = text.trim_start();
        if let Some(after) = text.strip_prefix(']') {
            *text = after;
            let signature = values.first()?.signature();
            return Some(Value::Array(signature, values));
        }
        *text = text.strip_prefix(',')?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let strings = |list: &[&str]| {
            let values = list.iter().map(|text| Value::Str((*text).to_owned())).collect();
            Value::Array("s".to_owned(), values)
        };
        for (text, expected) in [
            ("true", Value::Bool(true)),
            ("-5", Value::I32(-5)),
            ("0x10", Value::I32(16)),
            ("uint64 18446744073709551615", Value::U64(u64::MAX)),
            ("byte 7", Value::Byte(7)),
            ("int64 -1", Value::I64(-1)),
            ("1.5", Value::Double(1.5)),
            ("double 3", Value::Double(3.0)),
            ("'it\\'s'", Value::Str("it's".into())),
            ("\"a 'b'\"", Value::Str("a 'b'".into())),
            (" ['a','b' , \"c,]\"] ", strings(&["a", "b", "c,]"])),
            ("@as []", strings(&[])),
            ("[uint32 1, uint32 2]", Value::Array("u".into(), vec![Value::U32(1), Value::U32(2)])),
        ] {
            assert_eq!(parse(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "x",
            "'a",
            "'a' b",
            "[1, 'a']",
            "[[1]]",
            "[",
            "[]",
            "uint16 70000",
            "uint64 -1",
            "99999999999",
            "nan",
            "inf",
            "true false",
            "byte",
            "'\\x'",
            "-",
            "0x",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
