//! Docker's json-file log: a line of JSON for each line of output, in files that rotate.

use super::uri::Kept;
use crate::error::{At, Result};
use crate::proto::Timestamp;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Longer lines are cut, as Docker cuts them (`daemon/logger/copier.go`).
const LINE_LIMIT: usize = 16 * 1024;

/// The log of one process.
#[derive(Debug)]
pub struct JsonLog {
    path: PathBuf,
    file: File,
    size: u64,
    max_size: u64,
    max_files: u32,
    /// What came of each stream's current line.
    lines: [Vec<u8>; 2],
}

impl JsonLog {
    /// Opens the log at `path`, to be appended to.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn open(path: &Path, kept: &Kept) -> Result<Self> {
        let file = open(path).at(|| format!("open log {}", path.display()))?;
        let size = file.metadata().at(|| format!("look at {}", path.display()))?.len();
        Ok(Self {
            path: path.to_owned(),
            file,
            size,
            max_size: kept.max_size,
            max_files: kept.max_files,
            lines: [Vec::new(), Vec::new()],
        })
    }

    /// Takes output of a stream (1 or 2); whole lines are written.
    ///
    /// # Errors
    /// Those of write(2) and rename(2); what could not be written is lost, as in Docker.
    pub fn write(&mut self, stream: u8, mut bytes: &[u8], now: Timestamp) -> std::io::Result<()> {
        let index = usize::from(stream != 1);
        let mut line = std::mem::take(&mut self.lines[index]);
        let mut out = Vec::new();
        while !bytes.is_empty() {
            let room = LINE_LIMIT - line.len();
            let end = bytes.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
            match end {
                Some(end) if end <= room => {
                    line.extend_from_slice(&bytes[..end]);
                    bytes = &bytes[end..];
                    entry(&mut out, stream, &line, now);
                    line.clear();
                }
                _ => {
                    let taken = room.min(bytes.len());
                    line.extend_from_slice(&bytes[..taken]);
                    bytes = &bytes[taken..];
                    if line.len() == LINE_LIMIT {
                        entry(&mut out, stream, &line, now);
                        line.clear();
                    }
                }
            }
        }
        if line.is_empty() {
            line = Vec::new();
        }
        self.lines[index] = line;
        self.append(&out)
    }

    /// Writes what is left of a stream's last line, when the stream has ended.
    ///
    /// # Errors
    /// Those of write(2).
    pub fn finish(&mut self, stream: u8, now: Timestamp) -> std::io::Result<()> {
        let line = std::mem::take(&mut self.lines[usize::from(stream != 1)]);
        if line.is_empty() {
            return Ok(());
        }
        let mut out = Vec::new();
        entry(&mut out, stream, &line, now);
        self.append(&out)
    }

    fn append(&mut self, entries: &[u8]) -> std::io::Result<()> {
        for entry in entries.split_inclusive(|byte| *byte == b'\n') {
            let length = entry.len() as u64;
            if self.max_size > 0 && self.size > 0 && self.size + length > self.max_size {
                self.rotate()?;
            }
            self.file.write_all(entry)?;
            self.size += length;
        }
        Ok(())
    }

    /// Moves `log` to `log.1`, that to `log.2`, and so on; the last goes.
    fn rotate(&mut self) -> std::io::Result<()> {
        let name = |number: u32| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..self.max_files).rev() {
            let from = if number == 1 { self.path.clone() } else { name(number - 1) };
            match fs::rename(&from, name(number)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if self.max_files <= 1 {
            self.file.set_len(0)?;
        } else {
            self.file = open(&self.path)?;
        }
        self.size = 0;
        Ok(())
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
        .open(path)
}

/// One line of the log.
fn entry(out: &mut Vec<u8>, stream: u8, line: &[u8], now: Timestamp) {
    out.extend_from_slice(b"{\"log\":");
    quote(out, &String::from_utf8_lossy(line));
    let stream = if stream == 1 { "stdout" } else { "stderr" };
    out.extend_from_slice(format!(",\"stream\":\"{stream}\",\"time\":\"").as_bytes());
    out.extend_from_slice(rfc3339(now).as_bytes());
    out.extend_from_slice(b"\"}\n");
}

/// A JSON string with the escapes Go's encoder uses, which readers of logs compare with.
fn quote(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for letter in text.chars() {
        match letter {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\u{0}'..='\u{1f}' => {
                out.extend_from_slice(format!("\\u{:04x}", u32::from(letter)).as_bytes());
            }
            _ => out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

/// RFC 3339 in UTC with as many digits of the second as it needs, Go's RFC3339Nano.
pub fn rfc3339(time: Timestamp) -> String {
    let (days, second) = (time.seconds.div_euclid(86_400), time.seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    if time.nanos > 0 {
        let digits = format!(".{:09}", time.nanos);
        text.push_str(digits.trim_end_matches('0'));
    }
    text.push('Z');
    text
}

/// Year, month and day of a day counted from 1970-01-01, in eras of 400 years that begin in
/// March.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp { seconds: 1_700_000_000, nanos: 120_000_000 };

    fn log(dir: &Path, max_size: u64, max_files: u32) -> JsonLog {
        let kept = Kept { max_size, max_files, ..Kept::default() };
        JsonLog::open(&dir.join("log"), &kept).unwrap()
    }

    fn texts(path: &Path) -> Vec<(String, String)> {
        fs::read_to_string(path)
            .unwrap()
            .lines()
            .map(|line| {
                let entry: serde_json::Value = serde_json::from_str(line).unwrap();
                let field = |name: &str| entry[name].as_str().unwrap().to_owned();
                (field("stream"), field("log"))
            })
            .collect()
    }

    #[test]
    fn a_line_has_the_bytes_docker_writes() {
        let dir = tempfile::tempdir().unwrap();
        log(dir.path(), 0, 1).write(1, b"a <b> \"c\"\t\x01\n", NOW).unwrap();
        let text = fs::read_to_string(dir.path().join("log")).unwrap();
        assert_eq!(
            text,
            "{\"log\":\"a \\u003cb\\u003e \\\"c\\\"\\t\\u0001\\n\",\"stream\":\"stdout\",\
             \"time\":\"2023-11-14T22:13:20.12Z\"}\n"
        );
    }

    #[test]
    fn lines_wait_for_their_end_and_streams_do_not_mix() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(dir.path(), 0, 1);
        log.write(1, b"one ", NOW).unwrap();
        log.write(2, b"err\nrest", NOW).unwrap();
        log.write(1, b"line\n", NOW).unwrap();
        log.finish(2, NOW).unwrap();
        log.finish(1, NOW).unwrap();
        let expect = [("stderr", "err\n"), ("stdout", "one line\n"), ("stderr", "rest")];
        let texts = texts(&dir.path().join("log"));
        let texts: Vec<_> = texts.iter().map(|(s, t)| (s.as_str(), t.as_str())).collect();
        assert_eq!(texts, expect);
    }

    #[test]
    fn long_lines_are_cut_at_sixteen_kibibytes() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(dir.path(), 0, 1);
        let mut line = vec![b'x'; LINE_LIMIT + 3];
        line.push(b'\n');
        for piece in line.chunks(1000) {
            log.write(1, piece, NOW).unwrap();
        }
        let lengths: Vec<_> =
            texts(&dir.path().join("log")).iter().map(|(_, text)| text.len()).collect();
        assert_eq!(lengths, [LINE_LIMIT, 4]);
    }

    #[test]
    fn files_rotate_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(dir.path(), 200, 3);
        for number in 0..10 {
            log.write(1, format!("line {number}\n").as_bytes(), NOW).unwrap();
        }
        let mut names: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["log", "log.1", "log.2"]);
        let last = texts(&dir.path().join("log"));
        assert_eq!(last.last().unwrap().1, "line 9\n");
        assert!(fs::metadata(dir.path().join("log.1")).unwrap().len() <= 200);
    }

    #[test]
    fn days_are_told_apart() {
        let at = |seconds| rfc3339(Timestamp { seconds, nanos: 0 });
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(at(4_102_444_799), "2099-12-31T23:59:59Z");
        assert_eq!(rfc3339(Timestamp { seconds: 1, nanos: 5 }), "1970-01-01T00:00:01.000000005Z");
    }
}
