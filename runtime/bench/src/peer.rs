//! The runtimes that are compared, by their common command line.

use crate::bundle::Bundle;
use serde::Serialize;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A runtime.
#[derive(Debug, Clone, Serialize)]
pub struct Peer {
    /// How it is called in the results.
    pub name: String,
    /// The first line of its `--version`.
    pub version: String,
    /// Its binary.
    pub path: PathBuf,
    /// Size of the binary in bytes.
    pub size: u64,
    /// Not a runtime but the kernel's own share: it knows `run` alone.
    pub floor: bool,
    #[serde(skip)]
    root: PathBuf,
}

impl Peer {
    /// The runtime at `path`, with a state directory of its own below `dir`.
    ///
    /// # Errors
    /// It can't be executed.
    pub fn find(path: &Path, dir: &Path) -> io::Result<Self> {
        let path = path.canonicalize()?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let output = Command::new(&path).arg("--version").stdin(Stdio::null()).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(Self {
            version: text.lines().next().unwrap_or_default().to_owned(),
            size: path.metadata()?.len(),
            root: dir.join(format!("state-{name}")),
            floor: name == "hull-floor",
            name,
            path,
        })
    }

    /// A runtime that is never executed.
    #[cfg(test)]
    pub fn named(name: &str, version: &str, path: PathBuf) -> Self {
        let (name, version) = (name.to_owned(), version.to_owned());
        Self { name, version, root: path.clone(), path, size: 0, floor: false }
    }

    /// A command of it.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        if !self.floor {
            command.arg("--root").arg(&self.root);
        }
        command.args(words);
        command
    }

    /// `run` of a bundle's container.
    pub fn run(&self, bundle: &Bundle, id: &str) -> Command {
        let path = bundle.path.to_string_lossy();
        self.command(&["run", "--bundle", &path, id])
    }

    /// `create` of a bundle's container.
    pub fn create(&self, bundle: &Bundle, pid_file: &Path, id: &str) -> Command {
        let path = bundle.path.to_string_lossy();
        self.command(&["create", "--bundle", &path, "--pid-file", &pid_file.to_string_lossy(), id])
    }
}
