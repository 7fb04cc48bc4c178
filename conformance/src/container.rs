//! A container of a case, through the runtime's command line.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::case::{Stop, Verdict, ensure, fail};
use crate::observation::Observation;
use crate::process::{self, Exit};
use crate::runtime::{Driver, Output, Streams, read};

/// A container, or the attempt at one; deleted when dropped.
pub struct Container {
    driver: Rc<Driver>,
    /// Its id.
    pub id: String,
    /// Its bundle.
    pub bundle: PathBuf,
    deleted: bool,
}

impl Container {
    /// A handle; nothing is called yet.
    pub fn new(driver: Rc<Driver>, id: String, bundle: PathBuf) -> Self {
        Self { driver, id, bundle, deleted: false }
    }

    fn pid_file(&self) -> PathBuf {
        self.driver.dir.join(format!("{}.pid", self.id))
    }

    /// `create`.
    pub fn try_create(&self, options: &[&str]) -> Result<Output, Stop> {
        let (bundle, file) = (text(&self.bundle), text(&self.pid_file()));
        let mut arguments = vec!["create", "--bundle", &bundle, "--pid-file", &file];
        arguments.extend(options);
        arguments.push(&self.id);
        self.driver.call_with(Streams { name: &self.id, ..Streams::default() }, &arguments)
    }

    /// `run`, in the foreground unless the options say otherwise.
    pub fn try_run(&self, options: &[&str]) -> Result<Output, Stop> {
        let (bundle, file) = (text(&self.bundle), text(&self.pid_file()));
        let mut arguments = vec!["run", "--bundle", &bundle, "--pid-file", &file];
        arguments.extend(options);
        arguments.push(&self.id);
        self.driver.call_with(Streams { name: &self.id, ..Streams::default() }, &arguments)
    }

    /// Any operation that takes the id after its options.
    pub fn call(&self, verb: &str, options: &[&str]) -> Result<Output, Stop> {
        let mut arguments = vec![verb];
        arguments.extend(options);
        arguments.push(&self.id);
        self.driver.call(&arguments)
    }

    /// `list` of all containers, as JSON.
    pub fn list(&self) -> Result<Output, Stop> {
        self.driver.call(&["list", "--format", "json"])
    }

    /// Any operation with words after the id.
    pub fn call_after(&self, verb: &str, words: &[&str]) -> Result<Output, Stop> {
        let mut arguments = vec![verb, &self.id];
        arguments.extend(words);
        self.driver.call(&arguments)
    }

    /// `start`, which must work.
    pub fn start(&self) -> Verdict {
        worked("start", &self.call("start", &[])?)
    }

    /// `kill`, which must work.
    pub fn kill(&self, signal: &str) -> Verdict {
        worked("kill", &self.call_after("kill", &[signal])?)
    }

    /// `delete`, which must work.
    pub fn delete(&mut self) -> Verdict {
        worked("delete", &self.call("delete", &[])?)?;
        self.deleted = true;
        Ok(())
    }

    /// `state`, which must work and print JSON.
    pub fn state(&self) -> Result<Value, Stop> {
        let output = self.call("state", &[])?;
        worked("state", &output)?;
        serde_json::from_str(&output.stdout)
            .or_else(|error| fail(format!("state is no JSON: {error}")))
    }

    /// The status `state` tells.
    pub fn status(&self) -> Result<String, Stop> {
        Ok(self.state()?["status"].as_str().unwrap_or_default().to_owned())
    }

    /// `exec ID WORDS…` in the foreground.
    pub fn exec(&self, options: &[&str], words: &[&str]) -> Result<Output, Stop> {
        let mut arguments = vec!["exec"];
        arguments.extend(options);
        arguments.push(&self.id);
        arguments.extend(words);
        let name = format!("{}-exec", self.id);
        self.driver.call_with(Streams { name: &name, ..Streams::default() }, &arguments)
    }

    /// What a probe sees that `exec` runs.
    pub fn exec_seen(&self, options: &[&str], requests: &[&str]) -> Result<Observation, Stop> {
        let mut words = vec!["/probe", "report"];
        words.extend(requests);
        let output = self.exec(options, &words)?;
        worked("exec", &output)?;
        parse(&output.stdout)
    }

    /// The pid in the pid file.
    pub fn pid(&self) -> Result<i32, Stop> {
        let text = read(&self.pid_file());
        text.trim().parse().or_else(|_| fail(format!("the pid file holds {text:?}")))
    }

    /// Waits until the container's process ends.
    pub fn wait(&self) -> Result<Exit, Stop> {
        let pid = self.pid()?;
        process::wait(pid, self.driver.patience())
            .ok_or_else(|| Stop::Fail(format!("the container's process {pid} does not end")))
    }

    /// What the container's process has printed.
    pub fn output(&self) -> String {
        read(&self.driver.dir.join(format!("{}.out", self.id)))
    }

    /// Waits for the probe's report.
    pub fn seen(&self) -> Result<Observation, Stop> {
        let deadline = Instant::now() + self.driver.patience();
        loop {
            let output = self.output();
            if output.contains('\n') {
                return parse(&output);
            }
            if Instant::now() > deadline {
                return fail("the container's program reports nothing");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The directory of a controller's cgroup of the container's process.
    pub fn cgroup(&self, host: &crate::host::Host, controller: &str) -> Result<PathBuf, Stop> {
        let lines = read(Path::new(&format!("/proc/{}/cgroup", self.pid()?)));
        let path = |wanted: &str| {
            lines.lines().find_map(|line| {
                let mut fields = line.splitn(3, ':').skip(1);
                let names = fields.next()?;
                (names.split(',').any(|name| name == wanted)).then(|| fields.next())?
            })
        };
        let found = match host.cgroup_v1.get(controller) {
            Some(mount) => path(controller).map(|path| join(mount, path)),
            None => host.cgroup_v2.as_deref().zip(path("")).map(|(mount, path)| join(mount, path)),
        };
        found.ok_or_else(|| Stop::Fail(format!("the process is in no {controller} cgroup")))
    }

    /// A file of that cgroup, without its line end.
    pub fn cgroup_file(
        &self,
        host: &crate::host::Host,
        controller: &str,
        file: &str,
    ) -> Result<String, Stop> {
        let path = self.cgroup(host, controller)?.join(file);
        std::fs::read_to_string(&path)
            .map(|text| text.trim_end().to_owned())
            .or_else(|error| fail(format!("{}: {error}", path.display())))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if !self.deleted {
            // What resists is found by the runner's sweep.
            let _ = self.call("delete", &["--force"]);
        }
    }
}

fn join(mount: &Path, path: &str) -> PathBuf {
    mount.join(path.trim_start_matches('/'))
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Fails unless the operation exited with 0.
pub fn worked(verb: &str, output: &Output) -> Verdict {
    ensure(output.ok(), || format!("{verb} failed: {}", output.summary()))
}

/// The observation on the first line that is one.
pub fn parse(output: &str) -> Result<Observation, Stop> {
    let line = output.lines().find(|line| line.starts_with('{')).unwrap_or(output);
    serde_json::from_str(line).or_else(|error| {
        let start: String = output.chars().take(200).collect();
        fail(format!("no report from the container's program ({error}): {start:?}"))
    })
}
