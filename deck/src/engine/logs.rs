//! Reading a container's log: json-file, its rotated files included.

use super::{Engine, frames, time};
use crate::error::{At, Error, Result};
use serde::Deserialize;
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The longest line that is read: the writer cuts at 16 KiB, escapes make it longer.
const MAX_LINE: u64 = 256 << 10;

/// What is wanted of a log.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Of stdout.
    pub stdout: bool,
    /// Of stderr.
    pub stderr: bool,
    /// Not older: nanoseconds since the epoch.
    pub since: Option<i64>,
    /// Not newer.
    pub until: Option<i64>,
    /// Only so many lines of the end.
    pub tail: Option<usize>,
    /// Each line begins with its time.
    pub timestamps: bool,
    /// Each line begins with the log's labels and variables.
    pub details: bool,
}

/// A line of json-file.
#[derive(Debug, Deserialize)]
struct Line {
    #[serde(default)]
    log: String,
    #[serde(default)]
    stream: String,
    #[serde(default)]
    time: String,
    #[serde(default)]
    attrs: BTreeMap<String, String>,
}

/// A place in a log that goes on.
pub struct Follower {
    path: PathBuf,
    reader: Option<BufReader<File>>,
    wanted: Wanted,
    raw: bool,
    partial: Vec<u8>,
}

impl Engine {
    /// A container's log so far, and where it goes on.
    ///
    /// # Errors
    /// 404; 501 when the container keeps no log.
    pub fn logs(&self, reference: &str, wanted: &Wanted) -> Result<(Vec<u8>, Follower)> {
        let container = self.find(reference)?;
        if container.host.log_config.kind == "none" {
            return Err(Error::unsupported("configured logging driver does not support reading"));
        }
        let path = self.log_path(&container.id);
        let mut follower = Follower {
            path: path.clone(),
            reader: None,
            wanted: wanted.clone(),
            raw: container.config.tty,
            partial: Vec::new(),
        };
        let mut old = rotated(&path);
        // The newest is followed, so it is read through the follower.
        let mut lines: VecDeque<Vec<u8>> = VecDeque::new();
        let mut add = |bytes: Vec<u8>| {
            lines.push_back(bytes);
            if wanted.tail.is_some_and(|tail| lines.len() > tail) {
                lines.pop_front();
            }
        };
        for path in old.drain(..) {
            let Ok(file) = File::open(&path) else { continue };
            let mut reader = BufReader::new(file);
            let mut partial = Vec::new();
            while let Some(line) = next_line(&mut reader, &mut partial)? {
                follower.render(&line).into_iter().for_each(&mut add);
            }
        }
        follower.read(&mut add)?;
        Ok((lines.into_iter().flatten().collect(), follower))
    }
}

impl Follower {
    /// What was written since the last look.
    ///
    /// # Errors
    /// The log can't be read.
    pub fn more(&mut self) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        self.read(&mut |bytes| all.extend_from_slice(&bytes))?;
        Ok(all)
    }

    /// The directory to watch for changes.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether nothing later is wanted.
    pub fn is_over(&self) -> bool {
        self.wanted.until.is_some_and(|until| time::now() > until)
    }

    /// Reads what is there, through rotations.
    fn read(&mut self, add: &mut dyn FnMut(Vec<u8>)) -> Result<()> {
        loop {
            if self.reader.is_none() {
                match File::open(&self.path) {
                    Ok(file) => self.reader = Some(BufReader::new(file)),
                    // Nothing was written yet.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
                    Err(error) => return Err(error).at(|| format!("open {}", self.path.display())),
                }
            }
            let Some(mut reader) = self.reader.take() else { return Ok(()) };
            while let Some(line) = next_line(&mut reader, &mut self.partial)? {
                self.render(&line).into_iter().for_each(&mut *add);
            }
            let here = reader.get_ref().metadata()?;
            let now = std::fs::metadata(&self.path).ok();
            if now.is_some_and(|now| now.ino() != here.ino()) {
                // Rotated away: what was still written to it is read, then the new one.
                while let Some(line) = next_line(&mut reader, &mut self.partial)? {
                    self.render(&line).into_iter().for_each(&mut *add);
                }
                self.partial.clear();
                continue;
            }
            if here.len() < reader.stream_position()? {
                reader.rewind()?;
            }
            self.reader = Some(reader);
            return Ok(());
        }
    }

    /// A line as the client gets it, if it is wanted. A line that can't be read is damaged, and
    /// passed over.
    fn render(&self, line: &[u8]) -> Option<Vec<u8>> {
        let line: Line = serde_json::from_slice(line).ok()?;
        let stream = if line.stream == "stderr" { 2 } else { 1 };
        if !(if stream == 2 { self.wanted.stderr } else { self.wanted.stdout }) {
            return None;
        }
        let at = time::parse_rfc3339(&line.time).unwrap_or_default();
        if self.wanted.since.is_some_and(|since| at < since)
            || self.wanted.until.is_some_and(|until| at > until)
        {
            return None;
        }
        let mut text = String::new();
        if self.wanted.timestamps {
            text.push_str(&time::rfc3339_padded(at));
            text.push(' ');
        }
        if self.wanted.details {
            let pairs = line.attrs.iter().map(|(key, value)| format!("{key}={value}"));
            text.push_str(&pairs.collect::<Vec<_>>().join(","));
            text.push(' ');
        }
        text.push_str(&line.log);
        Some(if self.raw { text.into_bytes() } else { frames::encode(stream, text.as_bytes()) })
    }
}

/// Rotated files, oldest first.
fn rotated(path: &Path) -> Vec<PathBuf> {
    let numbered = (1..).map(|number| PathBuf::from(format!("{}.{number}", path.display())));
    let mut found: Vec<PathBuf> = numbered.take_while(|path| path.is_file()).collect();
    found.reverse();
    found
}

/// The next whole line; what is there of the next one stays in `partial`.
fn next_line(reader: &mut impl BufRead, partial: &mut Vec<u8>) -> Result<Option<Vec<u8>>> {
    let room = MAX_LINE.saturating_sub(partial.len() as u64);
    if room == 0 {
        partial.clear();
    }
    reader.by_ref().take(room.max(1)).read_until(b'\n', partial)?;
    if partial.last() == Some(&b'\n') { Ok(Some(std::mem::take(partial))) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn follower(path: &Path, wanted: Wanted) -> Follower {
        Follower { path: path.into(), reader: None, wanted, raw: true, partial: Vec::new() }
    }

    fn line(text: &str, stream: &str, second: u8) -> String {
        format!(
            "{{\"log\":\"{text}\\n\",\"stream\":\"{stream}\",\"time\":\"1970-01-01T00:00:{second:02}Z\"}}\n"
        )
    }

    #[test]
    fn a_log_is_followed_through_rotation() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.log");
        let wanted = Wanted { stdout: true, since: Some(2 * time::SECOND), ..Wanted::default() };
        let mut follower = follower(&path, wanted);
        assert!(follower.more().unwrap().is_empty());
        let mut file = File::create(&path).unwrap();
        file.write_all(line("early", "stdout", 1).as_bytes()).unwrap();
        file.write_all(line("err", "stderr", 3).as_bytes()).unwrap();
        let last = line("a", "stdout", 4);
        file.write_all(&last.as_bytes()[..9]).unwrap();
        assert!(follower.more().unwrap().is_empty());
        file.write_all(&last.as_bytes()[9..]).unwrap();
        std::fs::rename(&path, directory.path().join("x.log.1")).unwrap();
        std::fs::write(&path, line("b", "stdout", 5)).unwrap();
        assert_eq!(follower.more().unwrap(), b"a\nb\n");
        assert_eq!(rotated(&path), [directory.path().join("x.log.1")]);
    }

    #[test]
    fn damaged_lines_are_passed_over() {
        let wanted = Wanted { stdout: true, timestamps: true, ..Wanted::default() };
        let follower = follower(Path::new("/"), wanted);
        assert_eq!(follower.render(b"garbage\n"), None);
        let shown = follower.render(line("x", "stdout", 7).as_bytes()).unwrap();
        assert_eq!(shown, b"1970-01-01T00:00:07.000000000Z x\n");
    }
}
