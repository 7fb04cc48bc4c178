//! The one error type: what was tried, on what, and the kernel's answer, as one readable line.
//!
//! Each layer that knows more adds a fragment with [`At::at`]; the fragments are joined by `: `,
//! outermost first, when `main` prints the error once. Fragments are lower case without a final
//! period. Texts of errno values are those Go programs print, because containerd, Docker and
//! Podman choose exit codes by searching for them ("no such file or directory").

use nix::errno::Errno;
use std::fmt;

/// A result with Hull's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure it was; decides nothing but tests and callers may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The command line was wrong.
    Usage,
    /// config.json or another input breaks a rule.
    Config,
    /// No such container.
    NotFound,
    /// The container id is taken.
    Exists,
    /// The container is in the wrong state for the request.
    State,
    /// The kernel refused.
    Kernel(Errno),
    /// A hook failed.
    Hook,
    /// The container's init reported a failure.
    Init,
    /// execve(2) refused the program when all else was done.
    Execve,
    /// The machine lacks what was asked for.
    Unsupported,
}

/// A failure with its context.
#[derive(Debug, Clone)]
pub struct Error {
    kind: Kind,
    message: String,
    /// Innermost first.
    context: Vec<String>,
}

impl Error {
    /// An error of `kind` that says `message`.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), context: Vec::new() }
    }

    /// A rule of the configuration is broken.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(Kind::Config, message)
    }

    /// The machine or this build can't do what was asked.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(Kind::Unsupported, message)
    }

    /// What kind of failure it was.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The kernel's answer, if this is a kernel error.
    pub fn errno(&self) -> Option<Errno> {
        match self.kind {
            Kind::Kernel(errno) => Some(errno),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fragment in self.context.iter().rev() {
            write!(f, "{fragment}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<Errno> for Error {
    fn from(errno: Errno) -> Self {
        Self::new(Kind::Kernel(errno), errno_text(errno))
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        match error.raw_os_error() {
            Some(code) => Errno::from_raw(code).into(),
            None => Self::new(Kind::Kernel(Errno::EIO), error.to_string()),
        }
    }
}

/// Adds what was being done to an error.
pub trait At<T> {
    /// Puts `what()` in front of the error; called only on failure.
    fn at<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T>;
}

impl<T, E: Into<Error>> At<T> for Result<T, E> {
    fn at<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|error| {
            let mut error = error.into();
            error.context.push(what().into());
            error
        })
    }
}

/// The errno's text as Go prints it: lower case.
pub fn errno_text(errno: Errno) -> String {
    let text = match errno {
        // Go and glibc disagree with nix's own table in these.
        Errno::EINVAL => "invalid argument",
        Errno::ELOOP => "too many levels of symbolic links",
        Errno::EOVERFLOW => "value too large for defined data type",
        other => other.desc(),
    };
    let mut chars = text.chars();
    match chars.next() {
        // "RPC struct is bad", ".lib section …" and the like keep their form.
        Some(first) if !text.chars().nth(1).is_some_and(char::is_uppercase) => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_are_outermost_first() {
        let error = Err::<(), _>(Errno::ENOENT)
            .at(|| "openat2(\"/x\")")
            .at(|| "mounting \"/x\"")
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "mounting \"/x\": openat2(\"/x\"): no such file or directory"
        );
        assert_eq!(error.errno(), Some(Errno::ENOENT));
    }

    #[test]
    fn engines_phrases() {
        for (errno, text) in [
            (Errno::ENOENT, "no such file or directory"),
            (Errno::EACCES, "permission denied"),
            (Errno::EPERM, "operation not permitted"),
            (Errno::EISDIR, "is a directory"),
            (Errno::ENOTDIR, "not a directory"),
            (Errno::ESRCH, "no such process"),
            (Errno::EINVAL, "invalid argument"),
        ] {
            assert_eq!(errno_text(errno), text);
        }
    }
}
