//! The log: one line per event, in the two formats engines read back.
//!
//! containerd, Docker and Podman pass `--log FILE --log-format json` and take the last entry whose
//! `level` is `error` as the reason of a failure; so the file is made at once, and each entry is one
//! write(2) to a descriptor opened with O_APPEND, whole even when several processes log.

use crate::error::{At, Result};
use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How an entry is written.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `time="…" level=error msg="…"`
    #[default]
    Text,
    /// `{"level":"error","msg":"…","time":"…"}`
    Json,
}

/// How much an entry matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What the command set out to do failed.
    Error,
    /// Something asked for could not be done, or will stop working.
    Warning,
    /// Good to know.
    Info,
    /// For someone who looks for a fault in the runtime.
    Debug,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

struct Log {
    /// `None`: standard error.
    file: Option<File>,
    format: Format,
    /// Entries that matter less are dropped.
    level: Level,
}

static LOG: OnceLock<Log> = OnceLock::new();

/// Opens the log; without a call entries go to standard error as text. A second call changes
/// nothing.
pub fn init(path: Option<&Path>, format: Format, level: Level) -> Result<()> {
    let file = path.map(open).transpose()?;
    LOG.get_or_init(|| Log { file, format, level });
    Ok(())
}

/// The path is the caller's own, so links are followed: `/dev/stderr` and fifos are in use.
fn open(path: &Path) -> Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o644)
        .custom_flags(libc::O_SYNC | libc::O_CLOEXEC | libc::O_NOCTTY)
        .open(path)
        .at(|| format!("open log {path:?}"))
}

/// Whether entries go to a file rather than to standard error.
pub fn has_file() -> bool {
    LOG.get().is_some_and(|log| log.file.is_some())
}

/// Whether entries of `level` are kept, for callers whose message costs something to find out.
pub fn enabled(level: Level) -> bool {
    level <= LOG.get().map_or(Level::Info, |log| log.level)
}

/// Writes an entry of level error.
pub fn error(message: fmt::Arguments<'_>) {
    write(Level::Error, message);
}

/// Writes an entry of level warning.
pub fn warn(message: fmt::Arguments<'_>) {
    write(Level::Warning, message);
}

/// Writes an entry of level info.
pub fn info(message: fmt::Arguments<'_>) {
    write(Level::Info, message);
}

/// Writes an entry of level debug; `message` is formatted only with `--debug`.
pub fn debug(message: fmt::Arguments<'_>) {
    write(Level::Debug, message);
}

fn write(level: Level, message: fmt::Arguments<'_>) {
    if !enabled(level) {
        return;
    }
    let (file, format) =
        LOG.get().map_or((None, Format::Text), |log| (log.file.as_ref(), log.format));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let line = entry(format, level, &message.to_string(), Duration::from_secs(now.as_secs()));
    // A log that can't be written must not stop the container; there is nowhere left to say so.
    let _ = match file {
        Some(mut file) => file.write_all(line.as_bytes()),
        None => std::io::stderr().write_all(line.as_bytes()),
    };
}

/// One entry with its newline.
fn entry(format: Format, level: Level, message: &str, now: Duration) -> String {
    let (level, time) = (level.name(), rfc3339(now));
    match format {
        Format::Text => format!("time=\"{time}\" level={level} msg={}\n", quoted(message)),
        // Go's JSON readers don't care about the order of keys, people who read along do.
        Format::Json => {
            let message = serde_json::Value::from(message);
            format!("{{\"level\":\"{level}\",\"msg\":{message},\"time\":\"{time}\"}}\n")
        }
    }
}

/// The value of a text entry's key: quoted unless it is a plain word.
fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._/@^+".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    let mut out = String::with_capacity(value.len() + 2);
    out.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // Escape sequences of a terminal must not reach one through a message.
            c if c.is_control() => {
                // Writing to a String can't fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The present time, see [`rfc3339`].
pub fn now() -> String {
    // A clock before 1970 is no clock.
    rfc3339(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// A time since the epoch as RFC 3339 in UTC, `2026-11-23T16:01:02Z`, with a fraction of a second
/// as short as possible if there is one.
pub fn rfc3339(since_epoch: Duration) -> String {
    let seconds = since_epoch.as_secs();
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    let mut out = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    if since_epoch.subsec_nanos() != 0 {
        let fraction = format!("{:09}", since_epoch.subsec_nanos());
        out.push('.');
        out.push_str(fraction.trim_end_matches('0'));
    }
    out.push('Z');
    out
}

/// Year, month and day of the Gregorian calendar, `days` after 1970-01-01.
fn civil(days: u64) -> (u64, u64, u64) {
    // Count from 0000-03-01, so that a leap day is the last day of its year and the lengths of the
    // months follow one formula; 719 468 days lie between, an era of 400 years has 146 097.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (seconds, nanos, text) in [
            (0, 0, "1970-01-01T00:00:00Z"),
            (951_827_696, 0, "2000-02-29T12:34:56Z"),
            (1_709_251_199, 0, "2024-02-29T23:59:59Z"),
            (1_709_251_200, 0, "2024-03-01T00:00:00Z"),
            (1_795_449_662, 120_000_000, "2026-11-23T16:01:02.12Z"),
            (4_107_542_399, 1, "2100-02-28T23:59:59.000000001Z"),
            (4_107_542_400, 0, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(Duration::new(seconds, nanos)), text);
        }
    }

    #[test]
    fn entries() {
        let now = Duration::from_secs(1_795_449_662);
        assert_eq!(
            entry(Format::Text, Level::Error, "container does not exist", now),
            "time=\"2026-11-23T16:01:02Z\" level=error msg=\"container does not exist\"\n"
        );
        assert_eq!(
            entry(Format::Json, Level::Warning, "a \"b\"\n\u{1b}[0m\\", now),
            "{\"level\":\"warning\",\"msg\":\"a \\\"b\\\"\\n\\u001b[0m\\\\\",\
             \"time\":\"2026-11-23T16:01:02Z\"}\n"
        );
    }

    #[test]
    fn text_values_are_quoted_when_needed() {
        for (value, text) in [
            ("word", "word"),
            ("/a-b.c@d", "/a-b.c@d"),
            ("", "\"\""),
            ("a=b", "\"a=b\""),
            ("say \"hi\"\n", "\"say \\\"hi\\\"\\n\""),
            ("\u{1b}[31m", "\"\\u001b[31m\""),
            ("größe", "\"größe\""),
        ] {
            assert_eq!(quoted(value), text);
        }
    }

    #[test]
    fn the_file_is_made_at_once_and_appended_to() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.json");
        open(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"");
        open(&path).unwrap().write_all(b"one\n").unwrap();
        open(&path).unwrap().write_all(b"two\n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"one\ntwo\n");
        let error = open(&dir.path().join("no/such")).unwrap_err().to_string();
        assert!(error.starts_with("open log \""), "{error}");
        assert!(error.ends_with(": no such file or directory"), "{error}");
    }

    #[test]
    fn levels_are_ordered() {
        assert!(Level::Error < Level::Warning);
        assert!(Level::Info < Level::Debug);
    }
}
