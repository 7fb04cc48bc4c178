//! What the process exits with.

/// An exit status; std's own can't be read, which `main` has to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExitCode(pub u8);

impl ExitCode {
    /// Status 0.
    pub const SUCCESS: Self = Self(0);
}
