//! A runtime under test: what it says of itself, and calls of it.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::case::Stop;
use crate::mutant::{self, Break};
use crate::needs::version;
use crate::process::{self, Exit};
use crate::spec;

/// The version of the specification every runtime takes.
const COMMON: &str = "1.0.2";

/// How long a call, or a container's program, may take before it counts as hung.
const LIMIT: Duration = Duration::from_secs(30);

/// The same for a runtime broken on purpose, of which nothing else is expected.
const SHORT: Duration = Duration::from_secs(5);

/// A runtime and what it says of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Runtime {
    /// The program.
    pub path: PathBuf,
    /// The name of its column.
    pub name: String,
    /// First line of `--version`.
    pub version: String,
    /// The newest version of the specification it claims.
    pub claimed: String,
    /// What `features` prints, if it does.
    pub features: Option<Value>,
}

impl Runtime {
    /// Asks the program at `path`.
    pub fn ask(path: &Path) -> Result<Self, String> {
        let path = locate(path).ok_or_else(|| format!("{}: no such runtime", path.display()))?;
        let asked = Command::new(&path).arg("--version").stdin(Stdio::null()).output();
        let asked = asked.map_err(|error| format!("{}: {error}", path.display()))?;
        let text = String::from_utf8_lossy(&asked.stdout).into_owned();
        let features = Command::new(&path).arg("features").stdin(Stdio::null()).output().ok();
        let features: Option<Value> =
            features.and_then(|output| serde_json::from_slice(&output.stdout).ok());
        let from_features = features.as_ref().and_then(|known| known.get("ociVersionMax"));
        let from_text = text.lines().find_map(|line| line.strip_prefix("spec: "));
        // Without `features` a runtime claims nothing in particular: what all of them know.
        let told = from_text.filter(|text| version(text) > version(COMMON)).unwrap_or(COMMON);
        let claimed = from_features.and_then(Value::as_str).unwrap_or(told);
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or("runtime").to_owned();
        let first = text.lines().next().unwrap_or("unknown version").to_owned();
        Ok(Self { claimed: claimed.to_owned(), name, version: first, path, features })
    }

    /// The claimed version, as numbers.
    pub fn spec(&self) -> (u32, u32, u32) {
        version(&self.claimed)
    }

    /// The `ociVersion` of the suite's configurations: what the runtime says it takes, and no more
    /// than the suite knows. Without `features`, the version every runtime takes.
    pub fn config_version(&self) -> &str {
        match &self.features {
            Some(_) if self.spec() <= version(spec::VERSION) => &self.claimed,
            Some(_) => spec::VERSION,
            None => COMMON,
        }
    }
}

/// The program named by a path, or found by its name in `$PATH`.
fn locate(path: &Path) -> Option<PathBuf> {
    if path.components().count() > 1 {
        return path.canonicalize().ok();
    }
    let directories = std::env::var_os("PATH")?;
    std::env::split_paths(&directories).map(|dir| dir.join(path)).find(|found| found.is_file())
}

/// What a call gave.
#[derive(Debug)]
pub struct Output {
    /// How it ended; `None` when it hung and was killed.
    pub exit: Option<Exit>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Whether it exited with 0.
    pub fn ok(&self) -> bool {
        self.exit == Some(Exit::Code(0))
    }

    /// The exit status in words, with the error's text.
    pub fn summary(&self) -> String {
        let end = match self.exit {
            None => "hung".into(),
            Some(Exit::Code(code)) => format!("exit {code}"),
            Some(Exit::Signal(signal)) => format!("killed by signal {signal}"),
            Some(Exit::Unknown) => "ended".into(),
        };
        match self.stderr.trim() {
            "" => end,
            text => format!("{end}: {}", text.lines().next().unwrap_or(text)),
        }
    }
}

/// Calls a runtime for one case.
#[derive(Debug)]
pub struct Driver {
    /// The runtime.
    pub runtime: Runtime,
    /// How the runtime is broken, in the self-test.
    pub broken: Option<Break>,
    /// The directory of all cases.
    pub work: PathBuf,
    /// The case's own directory.
    pub dir: PathBuf,
    /// Another user to call it as.
    pub user: Option<u32>,
    /// Environment added to each call.
    pub env: Vec<(String, String)>,
}

/// Where a call's standard streams go and come from.
#[derive(Default)]
pub struct Streams<'a> {
    /// Standard input, instead of nothing.
    pub stdin: Option<File>,
    /// A name for the files that take the output.
    pub name: &'a str,
}

impl Driver {
    /// How long to wait for what the runtime or a container's program does.
    pub fn patience(&self) -> Duration {
        if self.broken.is_some() { SHORT } else { LIMIT }
    }

    /// Where the runtime keeps its state.
    pub fn root(&self) -> PathBuf {
        self.dir.join("root")
    }

    /// The program as called: the runtime, or what stands in front of it.
    pub fn command(&self) -> Command {
        let mut command = match &self.broken {
            None => Command::new(&self.runtime.path),
            Some(broken) => {
                let mut command = Command::new(self.work.join("mutant"));
                let (name, value) = mutant::environment(&self.runtime.path, broken);
                command.env(name, value);
                command
            }
        };
        command.current_dir(&self.dir).envs(self.env.iter().cloned());
        if let Some(user) = self.user {
            command.uid(user).gid(user).env("HOME", "/").env_remove("XDG_RUNTIME_DIR");
        }
        command
    }

    /// `runtime --root ROOT ARGUMENTS`.
    pub fn call<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<Output, Stop> {
        self.call_with(Streams::default(), arguments)
    }

    /// The same with streams of one's own.
    pub fn call_with<S: AsRef<OsStr>>(
        &self,
        streams: Streams<'_>,
        arguments: &[S],
    ) -> Result<Output, Stop> {
        let mut command = self.command();
        command.arg("--root").arg(self.root()).args(arguments);
        self.finish(command, streams)
    }

    /// Runs a prepared command to its end.
    pub fn finish(&self, mut command: Command, streams: Streams<'_>) -> Result<Output, Stop> {
        let name = if streams.name.is_empty() { "call" } else { streams.name };
        let out = self.dir.join(format!("{name}.out"));
        let err = self.dir.join(format!("{name}.err"));
        command.stdout(self.create(&out)?).stderr(self.create(&err)?);
        command.stdin(streams.stdin.map_or_else(Stdio::null, Stdio::from));
        let child = command.spawn().map_err(|error| {
            Stop::Suite(format!("start {}: {error}", command.get_program().display()))
        })?;
        let pid = i32::try_from(child.id()).unwrap_or(-1);
        let exit = process::wait(pid, self.patience());
        if exit.is_none() {
            process::kill(pid);
            process::wait(pid, LIMIT);
        }
        Ok(Output { exit, stdout: read(&out), stderr: read(&err) })
    }

    /// A file of the case's user.
    fn create(&self, path: &Path) -> Result<File, Stop> {
        let file = File::create(path)?;
        if self.user.is_some() {
            std::os::unix::fs::fchown(&file, self.user, self.user)?;
        }
        Ok(file)
    }
}

/// A file's text, whatever bytes it holds.
pub fn read(path: &Path) -> String {
    std::fs::read(path).map_or_else(|_| String::new(), |b| String::from_utf8_lossy(&b).into_owned())
}
