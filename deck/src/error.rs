//! The one error of deck: what a user reads, and the HTTP status the API answers with.

use std::fmt;

/// What can go wrong, as the API tells it.
#[derive(Debug)]
pub struct Error {
    /// HTTP status of the API's answer.
    pub status: u16,
    /// One line: what was tried, on what, and why it failed.
    pub message: String,
}

/// The result of everything that can fail here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with a status.
    pub fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// 400: the request can't be meant.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }

    /// 404: there is no such thing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, message)
    }

    /// 409: the thing is in a state that forbids it.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(409, message)
    }

    /// 501: known, and not supported.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(501, message)
    }

    /// 500: the host, the disk or another program failed.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(500, message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::internal(error.to_string())
    }
}

impl From<nix::errno::Errno> for Error {
    fn from(errno: nix::errno::Errno) -> Self {
        std::io::Error::from(errno).into()
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::internal(format!("metadata database: {error}"))
    }
}

/// Says what was tried; the status stays.
pub trait At<T> {
    /// Puts `what` in front of the message.
    ///
    /// # Errors
    /// The error it was called on, with the context.
    fn at<S: fmt::Display>(self, what: impl FnOnce() -> S) -> Result<T>;
}

impl<T, E: Into<Error>> At<T> for Result<T, E> {
    fn at<S: fmt::Display>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|error| {
            let error = error.into();
            Error { message: format!("{}: {}", what(), error.message), ..error }
        })
    }
}
