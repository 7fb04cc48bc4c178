//! Where a process' streams go, in the shim's URIs.

use std::path::Path;

/// The streams of one process as the shim is told them; empty is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stdio {
    /// A terminal instead of pipes.
    pub terminal: bool,
    /// See the shim's documentation of URIs.
    pub stdin: String,
    /// See `stdin`.
    pub stdout: String,
    /// See `stdin`.
    pub stderr: String,
}

/// What is written of the output.
#[derive(Debug, Clone, Copy)]
pub enum Log<'a> {
    /// Docker's json-file with the shim's options: `max-size` in bytes, `max-file`.
    JsonFile(&'a Path, &'a [(&'static str, u64)]),
    /// Nothing.
    None,
}

impl Stdio {
    /// Streams that are logged, and served to those who attach at the socket `attach`.
    ///
    /// `stdin` is whether there is one at all, `once` whether it ends with its first client.
    pub fn served(terminal: bool, log: Log, attach: &Path, stdin: bool, once: bool) -> Self {
        let mut query = vec![format!("attach={}", escape(&attach.display().to_string()))];
        let path = match log {
            Log::JsonFile(path, options) => {
                query.extend(options.iter().map(|(key, value)| format!("{key}={value}")));
                escape(&path.display().to_string())
            }
            Log::None => String::new(),
        };
        if once {
            query.push("stdin-once=1".into());
        }
        let scheme = match log {
            Log::JsonFile(..) => "json-file",
            Log::None => "none",
        };
        let uri = format!("{scheme}://{path}?{}", query.join("&"));
        Self {
            terminal,
            stdin: if stdin { uri.clone() } else { String::new() },
            stdout: uri.clone(),
            stderr: if terminal { String::new() } else { uri },
        }
    }
}

/// Percent encoding of all that isn't plain in a URI's path or query.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.extend(["%".to_string(), format!("{byte:02X}")]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris() {
        let log = Log::JsonFile(Path::new("/l/a b.log"), &[("max-size", 1000)]);
        let stdio = Stdio::served(false, log, Path::new("/s"), true, true);
        let uri = "json-file:///l/a%20b.log?attach=/s&max-size=1000&stdin-once=1";
        assert_eq!(stdio.stdout, uri);
        assert_eq!(stdio.stdin, uri);
        let stdio = Stdio::served(true, Log::None, Path::new("/s"), false, false);
        assert_eq!(stdio.stdout, "none://?attach=/s");
        assert_eq!((stdio.stdin.as_str(), stdio.stderr.as_str()), ("", ""));
    }
}
