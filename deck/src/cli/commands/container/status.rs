//! How a container's end becomes this process' exit status.

use crate::cli::client::{Call, Client};
use crate::cli::failure::{ENGINE, Failure, NOT_EXECUTABLE, NOT_FOUND, Outcome};
use crate::cli::json::Fields;
use crate::{At, Result};
use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::Incoming;
use serde_json::Value;

/// A wait that has begun: it sees the container's next end, however soon that comes.
pub struct Waiting(Response<Incoming>);

impl Waiting {
    /// Begins to wait for `condition`: `next-exit`, `removed`, `not-running`.
    ///
    /// # Errors
    /// There is no such container.
    pub async fn begin(client: &Client, container: &str, condition: &str) -> Result<Self> {
        let path = format!("{}/wait", super::path(container));
        let call = Call::post(&path).query("condition", condition);
        Ok(Self(client.send(call).await?))
    }

    /// The exit code, when it is there.
    ///
    /// # Errors
    /// The engine couldn't wait.
    pub async fn end(self) -> Outcome<i64> {
        let body = self.0.into_body().collect().await.map_err(crate::Error::from)?.to_bytes();
        let answer: Value = serde_json::from_slice(&body).at(|| "the engine's answer")?;
        let message = answer.at_key("Error").text("Message");
        if message.is_empty() { Ok(answer.int("StatusCode")) } else { Err(Failure::new(message)) }
    }
}

/// A container's exit code as this process' own.
///
/// # Errors
/// Any code but 0.
pub fn exit(code: i64) -> Outcome {
    if code == 0 {
        return Ok(());
    }
    Err(Failure::status(u8::try_from(code & 0xff).unwrap_or(u8::MAX)))
}

/// Docker's codes for a container that can't be started, by the runtime's words.
pub fn refused(failure: Failure) -> Failure {
    let text = failure.message.clone().unwrap_or_default();
    let any = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let code = if any(&["executable file not found", "no such file or directory"]) {
        NOT_FOUND
    } else if any(&["permission denied", "Permission denied", "is a directory"]) {
        NOT_EXECUTABLE
    } else {
        ENGINE
    };
    failure.with_code(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes() {
        let code = |text: &str| refused(Failure::new(text)).code;
        assert_eq!(code("exec: \"x\": executable file not found in $PATH"), 127);
        assert_eq!(code("exec: \"/etc\": permission denied"), 126);
        assert_eq!(code("No such image: x"), 125);
        assert!(exit(0).is_ok());
        assert_eq!(exit(137).unwrap_err().code, 137);
    }
}
