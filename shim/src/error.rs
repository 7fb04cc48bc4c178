//! The one error type: what was tried, on what, and the kernel's answer, with the gRPC code that
//! tells a caller what kind of failure it was.

use nix::errno::Errno;
use std::fmt;

/// A result with the shim's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// gRPC's status codes, as far as containerd gives them a meaning
/// (<https://grpc.github.io/grpc/core/md_doc_statuscodes.html>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Code {
    /// Anything without a better code.
    Unknown = 2,
    /// The request makes no sense.
    InvalidArgument = 3,
    /// The caller's time limit passed.
    DeadlineExceeded = 4,
    /// No such container or process.
    NotFound = 5,
    /// The id is taken.
    AlreadyExists = 6,
    /// A message is over the limit.
    ResourceExhausted = 8,
    /// The container is in the wrong state for the request.
    FailedPrecondition = 9,
    /// No such method.
    Unimplemented = 12,
    /// The other side is gone.
    Unavailable = 14,
}

impl Code {
    /// The code of a status that came over the wire.
    pub fn from_wire(code: i32) -> Self {
        [
            Self::InvalidArgument,
            Self::DeadlineExceeded,
            Self::NotFound,
            Self::AlreadyExists,
            Self::ResourceExhausted,
            Self::FailedPrecondition,
            Self::Unimplemented,
            Self::Unavailable,
        ]
        .into_iter()
        .find(|known| *known as i32 == code)
        .unwrap_or(Self::Unknown)
    }
}

/// A failure: its code and one readable line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    code: Code,
    message: String,
}

impl Error {
    /// An error of `code` that says `message`.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// Something failed that a caller can't tell apart from other failures.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self::new(Code::Unknown, message)
    }

    /// The request, or something in it, is wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, message)
    }

    /// What kind of failure it was.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The line without the code.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// Says what was tried when a result is an error.
pub trait At<T> {
    /// Puts `what()` and a colon before the error's line.
    ///
    /// # Errors
    /// Those of `self`.
    fn at(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> At<T> for Result<T> {
    fn at(self, what: impl FnOnce() -> String) -> Self {
        self.map_err(|error| Error::new(error.code, format!("{}: {error}", what())))
    }
}

impl<T> At<T> for Result<T, Errno> {
    fn at(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|errno| Error::unknown(format!("{}: {}", what(), text(errno))))
    }
}

impl<T> At<T> for std::io::Result<T> {
    fn at(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| {
            let text = error.raw_os_error().map(|raw| text(Errno::from_raw(raw)));
            Error::unknown(format!("{}: {}", what(), text.unwrap_or_else(|| error.to_string())))
        })
    }
}

/// An errno in the words Go programs use, which containerd's callers search for.
pub fn text(errno: Errno) -> String {
    errno.desc().to_lowercase()
}
