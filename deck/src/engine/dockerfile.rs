//! Dockerfile instructions that change an image's configuration: `commit --change`,
//! `import --change`.

use crate::error::{Error, Result};
use crate::image::RunConfig;
use crate::image::config::Empty;
use std::str::Chars;

/// Applies one instruction.
///
/// # Errors
/// 400 for an instruction that isn't one of these, or is malformed.
pub fn apply(config: &mut RunConfig, text: &str) -> Result<()> {
    let bad = || Error::invalid(format!("{text:?} is not a valid change command"));
    let text = text.trim();
    let (word, rest) = text.split_once(char::is_whitespace).ok_or_else(bad)?;
    let rest = rest.trim();
    // Variables are those before this instruction.
    let env = config.env.clone();
    let one = || whole(rest, &env).ok_or_else(bad);
    let several = || words(rest, &env).ok_or_else(bad);
    match word.to_ascii_uppercase().as_str() {
        "CMD" => config.cmd = Some(command(rest, config.shell.as_deref())),
        "ENTRYPOINT" => config.entrypoint = Some(command(rest, config.shell.as_deref())),
        "ENV" => {
            for (key, value) in pairs(rest, &env).ok_or_else(bad)? {
                let begin = format!("{key}=");
                config.env.retain(|variable| !variable.starts_with(&begin));
                config.env.push(format!("{key}={value}"));
            }
        }
        "LABEL" => config.labels.extend(pairs(rest, &env).ok_or_else(bad)?),
        "EXPOSE" => {
            for port in several()? {
                let (number, protocol) = crate::net::ports::container_port(&port)?;
                config.exposed_ports.insert(format!("{number}/{}", protocol.name()), Empty {});
            }
        }
        "USER" => config.user = one()?,
        "WORKDIR" => {
            let path = one()?;
            let below = if path.starts_with('/') { "" } else { config.working_dir.as_str() };
            config.working_dir = super::mounts::clean(&format!("{below}/{path}"));
        }
        "VOLUME" => {
            let paths = json(rest).map_or_else(several, Ok)?;
            for path in paths {
                config.volumes.insert(path, Empty {});
            }
        }
        "STOPSIGNAL" => {
            let signal = one()?;
            super::signal::parse(&signal)?;
            config.stop_signal = signal;
        }
        "ONBUILD" => config.on_build.get_or_insert_default().push(rest.into()),
        _ => return Err(bad()),
    }
    Ok(())
}

/// A JSON list of words, or a line for the shell.
fn command(text: &str, shell: Option<&[String]>) -> Vec<String> {
    json(text).unwrap_or_else(|| {
        let default = ["/bin/sh".to_string(), "-c".to_string()];
        let mut words = shell.unwrap_or(&default).to_vec();
        words.push(text.into());
        words
    })
}

fn json(text: &str) -> Option<Vec<String>> {
    serde_json::from_str(text).ok()
}

/// `key=value …` with quotes, or `key value`.
fn pairs(text: &str, env: &[String]) -> Option<Vec<(String, String)>> {
    let words = words(text, env)?;
    if !words.first()?.contains('=') {
        let (key, value) = text.split_once(char::is_whitespace)?;
        return Some(vec![(key.into(), whole(value.trim(), env)?)]);
    }
    words
        .into_iter()
        .map(|word| word.split_once('=').map(|(key, value)| (key.into(), value.into())))
        .collect()
}

/// Splits at blanks, which quotes and backslashes keep; `None` for a variable without an end.
fn words(text: &str, env: &[String]) -> Option<Vec<String>> {
    scan(text, env, char::is_whitespace)
}

/// The same without splitting.
fn whole(text: &str, env: &[String]) -> Option<String> {
    scan(text, env, |_| false).map(|words| words.concat())
}

fn scan(text: &str, env: &[String], splits: fn(char) -> bool) -> Option<Vec<String>> {
    let (mut words, mut word, mut open) = (Vec::new(), None::<String>, None);
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, open) {
            ('\\', _) => word.get_or_insert_default().extend(characters.next()),
            (quote @ ('"' | '\''), None) => {
                open = Some(quote);
                word.get_or_insert_default();
            }
            (quote, Some(of)) if quote == of => open = None,
            ('$', None | Some('"')) => {
                word.get_or_insert_default().push_str(&variable(&mut characters, env)?);
            }
            (blank, None) if splits(blank) => words.extend(word.take()),
            (other, _) => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Some(words)
}

/// What stands for `$name`, `${name}`, `${name:-word}`, `${name:+word}`, whose `$` was read.
fn variable(characters: &mut Chars, env: &[String]) -> Option<String> {
    let text = characters.as_str();
    let value = |name: &str| {
        let found = env.iter().find_map(|variable| variable.strip_prefix(name)?.strip_prefix('='));
        found.unwrap_or_default()
    };
    let (length, value) = if let Some(inner) = text.strip_prefix('{') {
        let end = inner.find('}')?;
        let inner = &inner[..end];
        let value = if let Some((name, word)) = inner.split_once(":-") {
            Some(value(name)).filter(|value| !value.is_empty()).unwrap_or(word)
        } else if let Some((name, word)) = inner.split_once(":+") {
            if value(name).is_empty() { "" } else { word }
        } else {
            value(inner)
        };
        (end + 2, value)
    } else {
        let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = text.find(|c| !part(c)).unwrap_or(text.len());
        // A dollar before anything else is one.
        (end, if end == 0 { "$" } else { value(&text[..end]) })
    };
    *characters = text[length..].chars();
    Some(value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions() {
        let mut config = RunConfig::default();
        for change in [
            "CMD [\"a\",\"b\"]",
            "entrypoint run it",
            "ENV A=1 B=\"x y\"",
            "ENV C d e",
            "EXPOSE 80 53/udp",
            "WORKDIR /w",
            "WORKDIR below",
            "LABEL a=b",
            "VOLUME /v",
        ] {
            apply(&mut config, change).unwrap();
        }
        assert_eq!(config.cmd.unwrap(), ["a", "b"]);
        assert_eq!(config.entrypoint.unwrap(), ["/bin/sh", "-c", "run it"]);
        assert_eq!(config.env, ["A=1", "B=x y", "C=d e"]);
        assert_eq!(config.working_dir, "/w/below");
        assert!(config.exposed_ports.contains_key("53/udp"));
        assert!(config.volumes.contains_key("/v"));
        let mut config = RunConfig::default();
        for change in ["RUN x", "CMD", "EXPOSE what", "STOPSIGNAL SIGWHAT"] {
            assert!(apply(&mut config, change).is_err(), "{change}");
        }
    }

    #[test]
    fn variables() {
        let mut config = RunConfig::default();
        for change in [
            "ENV PATH=/bin",
            "ENV PATH=/usr/bin:$PATH OLD=${PATH} NONE=\"$NOSUCH\" QUOTED='$PATH' KEPT=\\$PATH",
            "ENV LINE at $PATH now",
            "ENV A=${NOSUCH:-word} B=${PATH:+set} C=a$ D=${NOSUCH:+set}",
            "WORKDIR ${A}/x",
            "LABEL path=$OLD",
        ] {
            apply(&mut config, change).unwrap();
        }
        assert_eq!(
            config.env,
            [
                "PATH=/usr/bin:/bin",
                "OLD=/bin",
                "NONE=",
                "QUOTED=$PATH",
                "KEPT=$PATH",
                "LINE=at /usr/bin:/bin now",
                "A=word",
                "B=set",
                "C=a$",
                "D="
            ]
        );
        assert_eq!(config.working_dir, "/word/x");
        assert_eq!(config.labels["path"], "/bin");
        assert!(apply(&mut config, "ENV A=${B").is_err());
    }
}
