//! `-v`: `[SOURCE:]TARGET[:OPTIONS]`.

use std::path::{Component, Path};

/// What one `-v` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Volume {
    /// A new volume at this path.
    Anonymous(String),
    /// Goes to the engine as it stands: a volume by name, or a directory with an absolute path.
    Bind(String),
}

/// Options the API knows behind the second colon.
const OPTIONS: &[&str] = &[
    "ro",
    "rw",
    "z",
    "Z",
    "nocopy",
    "private",
    "rprivate",
    "shared",
    "rshared",
    "slave",
    "rslave",
    "rbind",
    "consistent",
    "cached",
    "delegated",
];

/// Reads one `-v`; relative sources are taken below `here`.
///
/// # Errors
/// Docker's words and what can't be meant.
pub fn parse(text: &str, here: &Path) -> Result<Volume, String> {
    let parts: Vec<&str> = text.split(':').collect();
    if parts.iter().any(|part| part.is_empty()) {
        return Err("invalid empty volume spec".into());
    }
    let (source, target, options) = match parts.as_slice() {
        [target] => return absolute(target).map(|()| Volume::Anonymous((*target).into())),
        [source, target] => (*source, *target, ""),
        [source, target, options] => (*source, *target, *options),
        _ => return Err(format!("invalid volume specification: '{text}'")),
    };
    absolute(target)?;
    if !options.is_empty() && !options.split(',').all(|option| OPTIONS.contains(&option)) {
        return Err(format!("invalid mode: {options}"));
    }
    let colon = if options.is_empty() { "" } else { ":" };
    let source = if source.starts_with('.') { resolved(here, source) } else { source.to_owned() };
    Ok(Volume::Bind(format!("{source}:{target}{colon}{options}")))
}

/// `source` below `here` without `.` and `..`.
fn resolved(here: &Path, source: &str) -> String {
    let mut path = String::new();
    for part in here.join(source).components() {
        match part {
            Component::ParentDir => path.truncate(path.rfind('/').unwrap_or(0)),
            Component::Normal(name) => {
                path.push('/');
                path.push_str(&name.to_string_lossy());
            }
            _ => {}
        }
    }
    if path.is_empty() { "/".into() } else { path }
}

fn absolute(target: &str) -> Result<(), String> {
    let reason = if !target.starts_with('/') {
        "not an absolute path"
    } else if target.trim_matches('/').is_empty() {
        "the destination can't be '/'"
    } else {
        return Ok(());
    };
    Err(format!("invalid volume specification: '{target}': {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(text: &str) -> Result<Volume, String> {
        parse(text, Path::new("/home/me"))
    }

    #[test]
    fn forms() {
        let made = |text: &str| Ok(Volume::Bind(text.into()));
        assert_eq!(bind("/data"), Ok(Volume::Anonymous("/data".into())));
        assert_eq!(bind("vol:/data"), made("vol:/data"));
        assert_eq!(bind("/a:/b:ro,z"), made("/a:/b:ro,z"));
        assert_eq!(bind("./x:/b"), made("/home/me/x:/b"));
        assert_eq!(bind("../x:/b"), made("/home/x:/b"));
        assert_eq!(bind("../../..:/b"), made("/:/b"));
    }

    #[test]
    fn nonsense() {
        for text in
            ["", "data", "/", "a:b", "a:/", ":/b", "a::ro", "/a:/b:xx", "/a:/b:ro:x", "/a:ro"]
        {
            assert!(bind(text).is_err(), "{text}");
        }
    }
}
