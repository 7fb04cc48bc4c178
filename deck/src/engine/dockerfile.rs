//! Dockerfile instructions that change an image's configuration: `commit --change`,
//! `import --change`.

use crate::error::{Error, Result};
use crate::image::RunConfig;
use crate::image::config::Empty;

/// Applies one instruction.
///
/// # Errors
/// 400 for an instruction that isn't one of these, or is malformed.
pub fn apply(config: &mut RunConfig, text: &str) -> Result<()> {
    let bad = || Error::invalid(format!("{text:?} is not a valid change command"));
    let text = text.trim();
    let (word, rest) = text.split_once(char::is_whitespace).ok_or_else(bad)?;
    let rest = rest.trim();
    match word.to_ascii_uppercase().as_str() {
        "CMD" => config.cmd = Some(command(rest, config.shell.as_deref())),
        "ENTRYPOINT" => config.entrypoint = Some(command(rest, config.shell.as_deref())),
        "ENV" => {
            for (key, value) in pairs(rest).ok_or_else(bad)? {
                let begin = format!("{key}=");
                config.env.retain(|variable| !variable.starts_with(&begin));
                config.env.push(format!("{key}={value}"));
            }
        }
        "LABEL" => config.labels.extend(pairs(rest).ok_or_else(bad)?),
        "EXPOSE" => {
            for port in rest.split_ascii_whitespace() {
                let (number, protocol) = crate::net::ports::container_port(port)?;
                config.exposed_ports.insert(format!("{number}/{}", protocol.name()), Empty {});
            }
        }
        "USER" => config.user = rest.into(),
        "WORKDIR" => {
            let below = if rest.starts_with('/') { "" } else { config.working_dir.as_str() };
            config.working_dir = super::mounts::clean(&format!("{below}/{rest}"));
        }
        "VOLUME" => {
            for path in json(rest).unwrap_or_else(|| words(rest)) {
                config.volumes.insert(path, Empty {});
            }
        }
        "STOPSIGNAL" => {
            super::signal::parse(rest)?;
            config.stop_signal = rest.into();
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
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let words = words(text);
    if !words.first()?.contains('=') {
        let (key, value) = text.split_once(char::is_whitespace)?;
        return Some(vec![(key.into(), value.trim().into())]);
    }
    words
        .into_iter()
        .map(|word| word.split_once('=').map(|(key, value)| (key.into(), value.into())))
        .collect()
}

/// Splits at blanks; quotes and backslashes keep them.
fn words(text: &str) -> Vec<String> {
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
            (blank, None) if blank.is_whitespace() => words.extend(word.take()),
            (other, _) => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
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
}
