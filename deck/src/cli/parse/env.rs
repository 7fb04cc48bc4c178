//! Environment variables and labels: from options and from files.

use std::collections::BTreeMap;

/// One `-e`: a bare name takes the caller's value; where there is none it stays bare, which takes
/// the image's variable out.
///
/// # Errors
/// There is no name.
pub fn variable(text: &str, lookup: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let (name, value) = match text.split_once('=') {
        Some((name, _)) => (name, None),
        None => (text, lookup(text)),
    };
    if name.is_empty() {
        return Err(format!("invalid environment variable: {text}"));
    }
    Ok(value.map_or_else(|| text.to_owned(), |value| format!("{name}={value}")))
}

/// The lines of an `--env-file`; bare names the caller doesn't have are left out.
///
/// # Errors
/// A line has no name, or white space in it.
pub fn file(text: &str, lookup: impl Fn(&str) -> Option<String>) -> Result<Vec<String>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut variables = Vec::new();
    for line in text.lines().map(str::trim_start) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (line.trim_end(), lookup(line.trim_end())),
        };
        if name.is_empty() {
            return Err(format!("no variable name on line '{line}'"));
        }
        if name.contains(char::is_whitespace) {
            return Err(format!("variable '{name}' contains whitespaces"));
        }
        variables.extend(value.map(|value| format!("{name}={value}")));
    }
    Ok(variables)
}

/// `key=value` options as a map; a bare key has an empty value; later ones win.
pub fn map<'t>(texts: impl IntoIterator<Item = &'t String>) -> BTreeMap<String, String> {
    let pair = |text: &String| {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        (key.to_owned(), value.to_owned())
    };
    texts.into_iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        (name == "HERE").then(|| "yes".into())
    }

    #[test]
    fn variables() {
        assert_eq!(variable("A=b=c", lookup), Ok("A=b=c".into()));
        assert_eq!(variable("HERE", lookup), Ok("HERE=yes".into()));
        assert_eq!(variable("GONE", lookup), Ok("GONE".into()));
        assert_eq!(variable("E=", lookup), Ok("E=".into()));
        assert!(variable("=x", lookup).is_err());
        assert!(variable("", lookup).is_err());
    }

    #[test]
    fn files() {
        let text = "# note\n\nA=1 # kept\n  B=two words\nHERE\nGONE\n";
        assert_eq!(file(text, lookup).unwrap(), ["A=1 # kept", "B=two words", "HERE=yes"]);
        assert!(file("A B=1", lookup).is_err());
        assert!(file("=1", lookup).is_err());
    }

    #[test]
    fn labels() {
        let map = map(&["a=1".into(), "b".into(), "a=2=3".into()]);
        assert_eq!(map["a"], "2=3");
        assert_eq!(map["b"], "");
    }
}
