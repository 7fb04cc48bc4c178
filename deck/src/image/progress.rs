//! What pull, push, load and import say while they work: one value is one of Docker's JSON lines.

use crate::image::digest::Digest;
use serde_json::{Value, json};
use std::sync::Arc;

/// Where progress goes. Called from several threads; must not block for long.
pub type Sink = Arc<dyn Fn(Progress) + Send + Sync>;

/// One step of one layer, or of the whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// `{"status":"Pulling from library/nginx","id":"latest"}` and other lines with an id only.
    Status {
        /// The text.
        status: String,
        /// The tag or the layer's short digest.
        id: Option<String>,
    },
    /// A layer changes its state: "Pulling fs layer", "Waiting", "Verifying Checksum",
    /// "Download complete", "Pull complete", "Already exists", "Preparing", "Pushed",
    /// "Layer already exists", "Mounted from …".
    Layer {
        /// The layer's short digest.
        id: String,
        /// The state.
        status: String,
    },
    /// Bytes of a layer: "Downloading", "Extracting", "Pushing", "Loading layer".
    Bytes {
        /// The layer's short digest.
        id: String,
        /// What is done with them.
        status: &'static str,
        /// How many so far.
        current: u64,
        /// Of how many; 0 when unknown.
        total: u64,
    },
    /// `{"stream":"Loaded image: busybox:latest\n"}`.
    Stream(String),
    /// The end of a push: `{"progressDetail":{},"aux":{…}}`.
    Aux {
        /// The tag pushed.
        tag: String,
        /// The manifest's digest.
        digest: Digest,
        /// The manifest's size in bytes.
        size: u64,
    },
}

impl Progress {
    /// A line for the whole.
    pub fn status(status: impl Into<String>) -> Self {
        Self::Status { status: status.into(), id: None }
    }

    /// A layer's new state.
    pub fn layer(id: &str, status: impl Into<String>) -> Self {
        Self::Layer { id: id.to_owned(), status: status.into() }
    }

    /// Docker's JSON for it, without the line's end.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Status { status, id: Some(id) } => json!({"status": status, "id": id}),
            Self::Status { status, id: None } => json!({"status": status}),
            Self::Layer { id, status } => {
                json!({"status": status, "progressDetail": {}, "id": id})
            }
            Self::Bytes { id, status, current, total } => json!({
                "status": status,
                "progressDetail": {"current": current, "total": total},
                "progress": bar(*current, *total),
                "id": id,
            }),
            Self::Stream(text) => json!({"stream": text}),
            Self::Aux { tag, digest, size } => json!({
                "progressDetail": {},
                "aux": {"Tag": tag, "Digest": digest, "Size": size},
            }),
        }
    }
}

/// `[=====>      ]  512B/1.5kB`: what older clients print as it is.
fn bar(current: u64, total: u64) -> String {
    const WIDTH: u128 = 50;
    if total == 0 {
        return bytes(current);
    }
    // At most WIDTH.
    let done = usize::try_from(u128::from(current.min(total)) * WIDTH / u128::from(total));
    let (done, width) = (done.unwrap_or(0), 50);
    let arrow = if done < width { ">" } else { "" };
    let bar = format!("{}{arrow}", "=".repeat(done));
    if current > total {
        return format!("[{}>] {:>8}", "=".repeat(width), bytes(current));
    }
    let bar = if done == width { format!("{bar}>") } else { bar };
    format!("[{bar:<51}] {:>8}/{}", bytes(current), bytes(total))
}

/// Bytes with four digits and a decimal unit, as Docker prints them: `3.072kB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    #[expect(clippy::cast_precision_loss, reason = "four digits are shown")]
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = match value {
        _ if unit == 0 => 0,
        value if value >= 100.0 => 1,
        value if value >= 10.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_look_as_dockers() {
        let layer = Progress::layer("7026a33020b2", "Pulling fs layer").to_json();
        assert_eq!(
            layer.to_string(),
            r#"{"status":"Pulling fs layer","progressDetail":{},"id":"7026a33020b2"}"#
        );
        assert_eq!(bytes(3072), "3.072kB");
        assert_eq!(bytes(512), "512B");
        assert_eq!(bytes(135_039_450), "135MB");
        let line = "[==================================================>]  3.072kB";
        assert_eq!(bar(3072, 162), line);
        assert_eq!(bar(0, 100), format!("[>{}]       0B/100B", " ".repeat(50)));
        assert_eq!(bar(100, 100), format!("[{}>]     100B/100B", "=".repeat(50)));
    }
}
