//! How a command ends badly: what the user reads and the status the process exits with.

use crate::Error;

/// The engine refused or failed: Docker's status for `run`, `create` and unusable flags.
pub const ENGINE: u8 = 125;
/// The container's command can't be executed.
pub const NOT_EXECUTABLE: u8 = 126;
/// The container's command is not there.
pub const NOT_FOUND: u8 = 127;
/// What a shell reports for a program that wrote to a closed pipe (128 + SIGPIPE).
const CLOSED_PIPE: u8 = 141;

/// Why a command ends: exit status and message.
#[derive(Debug)]
pub struct Failure {
    /// The exit status.
    pub code: u8,
    /// One line; `None` where everything was said already (a container's own status).
    pub message: Option<String>,
}

/// What commands give back.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// Status 1 and a message.
    pub fn new(message: impl Into<String>) -> Self {
        Self { code: 1, message: Some(message.into()) }
    }

    /// Only a status.
    pub fn status(code: u8) -> Self {
        Self { code, message: None }
    }

    /// The same message with another status.
    #[must_use]
    pub fn with_code(self, code: u8) -> Self {
        Self { code, ..self }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(error.message)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::status(CLOSED_PIPE);
        }
        Self::new(error.to_string())
    }
}

/// Errors of several names given to one command, told one a line as Docker does.
pub fn all(errors: &[String]) -> Outcome {
    if errors.is_empty() { Ok(()) } else { Err(Failure::new(errors.join("\n"))) }
}
