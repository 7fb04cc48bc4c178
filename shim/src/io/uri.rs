//! What a request's `stdin`, `stdout` and `stderr` name (docs/shim.md).

use crate::error::{Error, Result};
use std::path::PathBuf;

/// Where a stream goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Nowhere: /dev/null.
    Null,
    /// A named pipe of the client's.
    Fifo(PathBuf),
    /// A file, appended to.
    File(PathBuf),
    /// A program that reads both outputs, with its arguments.
    Logger {
        /// The program.
        program: PathBuf,
        /// Keys and values, in order.
        arguments: Vec<String>,
        /// `binary-v2`: ready is a byte written, not only an end of file.
        says_ready: bool,
    },
    /// Docker's way: a log of JSON lines, clients that attach, or both.
    Kept(Kept),
}

/// `json-file://` and `none://`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// The log; none for `none://`.
    pub log: Option<PathBuf>,
    /// Rotate before the log is longer than this many bytes; 0 is never.
    pub max_size: u64,
    /// How many files rotation keeps, the current one included.
    pub max_files: u32,
    /// The socket clients attach to.
    pub attach: Option<PathBuf>,
    /// Close the container's input when a client that was attached closes its own.
    pub stdin_once: bool,
}

impl Target {
    /// Reads a stream's name.
    ///
    /// # Errors
    /// A scheme or parameter that is not known, a path that is not absolute.
    pub fn parse(name: &str) -> Result<Self> {
        if name.is_empty() {
            return Ok(Self::Null);
        }
        let (scheme, rest) = name.split_once("://").unwrap_or(("fifo", name));
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let absolute = || {
            let path = PathBuf::from(decode(path)?);
            if path.is_absolute() {
                return Ok(path);
            }
            Err(Error::invalid(format!("stream {name:?}: the path is not absolute")))
        };
        match scheme {
            // A name without a scheme is taken as it is, whatever is in it.
            "fifo" if !name.contains("://") => Ok(Self::Fifo(name.into())),
            "fifo" => absolute().map(Self::Fifo),
            "file" => absolute().map(Self::File),
            "binary" | "binary-v2" => Ok(Self::Logger {
                program: absolute()?,
                arguments: words(query)?,
                says_ready: scheme == "binary-v2",
            }),
            "json-file" => kept(Some(absolute()?), query, name),
            "none" => kept(None, query, name),
            _ => Err(Error::invalid(format!("stream {name:?}: unknown scheme {scheme:?}"))),
        }
    }
}

fn kept(log: Option<PathBuf>, query: &str, name: &str) -> Result<Target> {
    let wrong = |key: &str| Error::invalid(format!("stream {name:?}: {key} makes no sense"));
    let mut kept = Kept { log, max_files: 1, ..Kept::default() };
    for (key, value) in pairs(query)? {
        match key.as_str() {
            "max-size" => kept.max_size = value.parse().map_err(|_| wrong("max-size"))?,
            "max-file" => {
                kept.max_files =
                    value.parse().ok().filter(|n| *n > 0).ok_or_else(|| wrong("max-file"))?;
            }
            "attach" => {
                let path = PathBuf::from(&value);
                kept.attach = Some(path);
                if !value.starts_with('/') {
                    return Err(wrong("attach"));
                }
            }
            "stdin-once" => kept.stdin_once = value == "1",
            _ => return Err(wrong(&key)),
        }
    }
    Ok(Target::Kept(kept))
}

/// Arguments of a logger: each key, and its value unless that is empty.
fn words(query: &str) -> Result<Vec<String>> {
    let mut words = Vec::new();
    for (key, value) in pairs(query)? {
        words.push(key);
        if !value.is_empty() {
            words.push(value);
        }
    }
    Ok(words)
}

fn pairs(query: &str) -> Result<Vec<(String, String)>> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(&key.replace('+', " "))?, decode(&value.replace('+', " "))?))
        })
        .collect()
}

/// Undoes percent encoding (RFC 3986 section 2.1).
fn decode(text: &str) -> Result<String> {
    let wrong = || Error::invalid(format!("percent encoding in {text:?}"));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = after.get(..2).and_then(|two| str::from_utf8(two).ok()).ok_or_else(wrong)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| wrong())?);
        rest = &after[2..];
    }
    if bytes.contains(&0) {
        return Err(wrong());
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_are_fifos_and_empty_ones_nothing() {
        assert_eq!(Target::parse("").unwrap(), Target::Null);
        assert_eq!(Target::parse("/run/f/1%20").unwrap(), Target::Fifo("/run/f/1%20".into()));
        assert_eq!(Target::parse("fifo:///f%20x").unwrap(), Target::Fifo("/f x".into()));
    }

    #[test]
    fn loggers_get_keys_and_values_as_arguments() {
        let target = Target::parse("binary:///bin/log?--id=a%2Fb&flag").unwrap();
        let Target::Logger { program, arguments, says_ready } = target else { panic!() };
        assert_eq!(program, std::path::Path::new("/bin/log"));
        assert_eq!(arguments, ["--id", "a/b", "flag"]);
        assert!(!says_ready);
    }

    #[test]
    fn dockers_log_is_read_with_all_its_words() {
        let target = Target::parse(
            "json-file:///c/c-json.log?max-size=1000&max-file=3&attach=/c/a.sock&stdin-once=1",
        );
        let kept = Kept {
            log: Some("/c/c-json.log".into()),
            max_size: 1000,
            max_files: 3,
            attach: Some("/c/a.sock".into()),
            stdin_once: true,
        };
        assert_eq!(target.unwrap(), Target::Kept(kept));
        let none = Target::parse("none://?attach=/a.sock").unwrap();
        assert!(matches!(none, Target::Kept(Kept { log: None, attach: Some(_), .. })));
    }

    #[test]
    fn nonsense_is_refused() {
        for name in [
            "file://relative",
            "http://example/x",
            "binary://",
            "json-file:///l?max-file=0",
            "json-file:///l?max-size=big",
            "json-file:///l?colour=red",
            "none://?attach=a.sock",
            "file:///a%zz",
            "file:///a%00",
        ] {
            assert!(Target::parse(name).is_err(), "{name}");
        }
    }
}
