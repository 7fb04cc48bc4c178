//! Growing waits between tries.

use super::http::BROKEN;
use crate::error::{Error, Result};
use std::time::Duration;

/// An error after which nothing is tried again, with a status for the engine's clients.
pub fn last(error: Error) -> Error {
    let status = if error.status >= 500 { 500 } else { error.status };
    Error::new(status, error.message)
}

/// Growing waits between tries.
#[derive(Default)]
pub struct Backoff {
    tries: u32,
}

impl Backoff {
    const TRIES: u32 = 5;
    const FIRST: Duration = Duration::from_millis(250);

    /// Waits after an error that may pass, and gives it back when it won't or tries are used up.
    ///
    /// # Errors
    /// The error.
    pub async fn wait(&mut self, error: Error) -> Result<()> {
        let passes = matches!(error.status, 429 | 502..=504 | BROKEN);
        self.tries += 1;
        if !passes || self.tries >= Self::TRIES {
            return Err(last(error));
        }
        tokio::time::sleep(Self::FIRST * 2u32.pow(self.tries - 1)).await;
        Ok(())
    }

    /// Something got through: the next failure is a first one.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}
