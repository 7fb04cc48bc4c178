//! The engine's command line: runc's, which hull, crun and others share.

use crate::options::EngineOptions;
use crate::proto::options::CheckpointOptions;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// An engine with the options and the state directory it is called with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    /// The program, by name or path.
    pub program: String,
    root: PathBuf,
    systemd_cgroup: bool,
    criu: String,
    no_pivot_root: bool,
    no_new_keyring: bool,
}

/// Files a command that starts a process is told about.
#[derive(Debug, Clone, Copy)]
pub struct Files<'a> {
    /// The bundle.
    pub bundle: &'a Path,
    /// Where the engine writes the new process's pid.
    pub pid_file: &'a Path,
    /// Where the engine sends the terminal's master, if there is a terminal.
    pub console: Option<&'a Path>,
}

impl Engine {
    /// The engine `options` name, for containers of `namespace`.
    pub fn new(options: &EngineOptions, namespace: &str) -> Self {
        Self {
            program: options.binary().to_owned(),
            root: options.root(namespace),
            systemd_cgroup: options.systemd_cgroup,
            criu: options.criu_path.clone(),
            no_pivot_root: options.no_pivot_root,
            no_new_keyring: options.no_new_keyring,
        }
    }

    /// Whether the engine holds state of a container; where it holds none, nothing is left to
    /// delete.
    pub fn knows(&self, id: &str) -> bool {
        self.root.join(id).symlink_metadata().is_ok()
    }

    /// Arguments common to all commands.
    fn global(&self, log: &Path) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec!["--root".into(), self.root.clone().into()];
        words.extend(["--log".into(), log.into(), "--log-format".into(), "json".into()]);
        if self.systemd_cgroup {
            words.push("--systemd-cgroup".into());
        }
        words
    }

    fn command(&self, log: &Path, words: &[&str], id: &str) -> Vec<OsString> {
        let mut line = self.global(log);
        line.extend(words.iter().map(OsString::from));
        line.push(id.into());
        line
    }

    /// `create`.
    pub fn create(&self, log: &Path, files: Files<'_>, id: &str) -> Vec<OsString> {
        let mut line = self.global(log);
        line.push("create".into());
        self.process(&mut line, files);
        line.push(id.into());
        line
    }

    fn process(&self, line: &mut Vec<OsString>, files: Files<'_>) {
        line.extend(["--bundle".into(), files.bundle.into()]);
        line.extend(["--pid-file".into(), files.pid_file.into()]);
        if let Some(console) = files.console {
            line.extend(["--console-socket".into(), console.into()]);
        }
        if self.no_pivot_root {
            line.push("--no-pivot".into());
        }
        if self.no_new_keyring {
            line.push("--no-new-keyring".into());
        }
    }

    /// `start`, `pause`, `resume`.
    pub fn plain(&self, log: &Path, command: &str, id: &str) -> Vec<OsString> {
        self.command(log, &[command], id)
    }

    /// `delete`, by force or not.
    pub fn delete(&self, log: &Path, force: bool, id: &str) -> Vec<OsString> {
        let words: &[&str] = if force { &["delete", "--force"] } else { &["delete"] };
        self.command(log, words, id)
    }

    /// `kill`, of init or of all processes.
    pub fn kill(&self, log: &Path, all: bool, id: &str, signal: u32) -> Vec<OsString> {
        let words: &[&str] = if all { &["kill", "--all"] } else { &["kill"] };
        let mut line = self.command(log, words, id);
        line.push(signal.to_string().into());
        line
    }

    /// `update` with `linux.resources` as JSON on standard input.
    pub fn update(&self, log: &Path, id: &str) -> Vec<OsString> {
        self.command(log, &["update", "--resources=-"], id)
    }

    /// `exec` of the process described in the file `spec`.
    pub fn exec(
        &self,
        log: &Path,
        spec: &Path,
        pid_file: &Path,
        console: Option<&Path>,
        id: &str,
    ) -> Vec<OsString> {
        let mut line = self.global(log);
        line.extend(["exec".into(), "--process".into(), spec.into(), "--detach".into()]);
        line.extend(["--pid-file".into(), pid_file.into()]);
        if let Some(console) = console {
            line.extend(["--console-socket".into(), console.into()]);
        }
        line.push(id.into());
        line
    }

    /// `checkpoint` into the directory `image`.
    pub fn checkpoint(
        &self,
        log: &Path,
        image: &Path,
        work: &Path,
        options: &CheckpointOptions,
        id: &str,
    ) -> Vec<OsString> {
        let mut line = self.criu(log, "checkpoint", image, work);
        if !options.parent_path.is_empty() {
            line.extend(["--parent-path".into(), options.parent_path.clone().into()]);
        }
        for (wanted, flag) in [
            (options.open_tcp, "--tcp-established"),
            (options.external_unix_sockets, "--ext-unix-sk"),
            (options.terminal, "--shell-job"),
            (options.file_locks, "--file-locks"),
            (!options.exit, "--leave-running"),
        ] {
            if wanted {
                line.push(flag.into());
            }
        }
        for namespace in &options.empty_namespaces {
            line.extend(["--empty-ns".into(), namespace.into()]);
        }
        if !options.cgroups_mode.is_empty() {
            line.extend(["--manage-cgroups-mode".into(), options.cgroups_mode.clone().into()]);
        }
        line.push(id.into());
        line
    }

    /// `restore` from the directory `image`.
    pub fn restore(
        &self,
        log: &Path,
        image: &Path,
        work: &Path,
        files: Files<'_>,
        id: &str,
    ) -> Vec<OsString> {
        let mut line = self.criu(log, "restore", image, work);
        line.push("--detach".into());
        self.process(&mut line, files);
        line.push(id.into());
        line
    }

    fn criu(&self, log: &Path, command: &str, image: &Path, work: &Path) -> Vec<OsString> {
        let mut line = self.global(log);
        if !self.criu.is_empty() {
            line.extend(["--criu".into(), self.criu.clone().into()]);
        }
        line.extend([command.into(), "--image-path".into(), image.into()]);
        line.extend(["--work-path".into(), work.into()]);
        line
    }
}

/// The reason in an engine's log: the last entry of level error, or else the last line that is no
/// entry at all. Each line is an object of `level` and `msg`.
pub fn last_error(log: &str) -> Option<String> {
    let mut last = None;
    for line in log.lines().filter(|line| !line.trim().is_empty()) {
        match serde_json::from_str::<serde_json::Value>(line) {
            Ok(entry) => {
                let level = entry["level"].as_str().unwrap_or_default();
                if matches!(level, "error" | "fatal" | "panic") {
                    last = entry["msg"].as_str().map(str::to_owned);
                }
            }
            Err(_) => last = Some(line.to_owned()),
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(words: &[OsString]) -> String {
        words.join(&OsString::from(" ")).into_string().unwrap()
    }

    fn engine(options: &EngineOptions) -> Engine {
        Engine::new(options, "ns")
    }

    #[test]
    fn create_names_everything_the_engine_needs() {
        let options = EngineOptions {
            root: "/r".to_owned(),
            systemd_cgroup: true,
            no_pivot_root: true,
            no_new_keyring: true,
            ..EngineOptions::default()
        };
        let files = Files {
            bundle: Path::new("/b"),
            pid_file: Path::new("/b/init.pid"),
            console: Some(Path::new("/c")),
        };
        assert_eq!(
            line(&engine(&options).create(Path::new("/b/log.json"), files, "c1")),
            "--root /r/ns --log /b/log.json --log-format json --systemd-cgroup create --bundle /b \
             --pid-file /b/init.pid --console-socket /c --no-pivot --no-new-keyring c1"
        );
    }

    #[test]
    fn kill_puts_the_signal_last() {
        let engine = engine(&EngineOptions::default());
        let words = engine.kill(Path::new("/l"), true, "c1", 9);
        assert!(line(&words).ends_with(" kill --all c1 9"), "{words:?}");
    }

    #[test]
    fn a_checkpoint_leaves_running_unless_told_to_exit() {
        let engine = engine(&EngineOptions::default());
        let (log, image, work) = (Path::new("/l"), Path::new("/i"), Path::new("/w"));
        let mut options = CheckpointOptions { open_tcp: true, ..CheckpointOptions::default() };
        let words = engine.checkpoint(log, image, work, &options, "c1");
        assert!(
            line(&words).ends_with(
                "checkpoint --image-path /i --work-path /w --tcp-established --leave-running c1"
            ),
            "{words:?}"
        );
        options.exit = true;
        let words = engine.checkpoint(log, image, work, &options, "c1");
        assert!(!line(&words).contains("--leave-running"));
    }

    #[test]
    fn the_last_error_of_a_log_is_found() {
        let log = r#"{"level":"error","msg":"first","time":"t"}
{"level":"error","msg":"the \"reason\"","time":"t"}
{"level":"info","msg":"bye","time":"t"}
"#;
        assert_eq!(last_error(log).as_deref(), Some("the \"reason\""));
        assert_eq!(last_error("Segmentation fault\n").as_deref(), Some("Segmentation fault"));
        assert_eq!(last_error("\n"), None);
    }
}
