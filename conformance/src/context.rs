//! What a case's function works with.

use std::fs;
use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::rc::Rc;

use nix::mount::{MsFlags, mount};
use serde_json::{Value, json};

use crate::bundle;
use crate::case::{Stop, Verdict, ensure, fail};
use crate::container::{Container, worked};
use crate::expected;
use crate::host::Host;
use crate::json;
use crate::observation::Observation;
use crate::runtime::{Driver, Output, read};

/// A case's world: a configuration to edit, a runtime to call, a place for notes.
pub struct Context {
    /// Calls of the runtime.
    pub driver: Rc<Driver>,
    /// The machine.
    pub host: Host,
    /// The configuration, until a container is made from it.
    pub config: Value,
    /// The cgroup all containers of the case lie in or below.
    pub cgroup: String,
    /// What was seen, in the order it was.
    pub notes: Vec<String>,
    /// The runtime's answer to bad input, for comparison with the expected one.
    pub error: String,
    /// How many points of a sweep to try.
    pub points: usize,
    /// Points of a sweep survived, of those tried.
    pub tally: Option<(usize, usize)>,
    containers: u32,
}

impl Context {
    /// A world in `driver`'s directory.
    pub fn new(driver: Driver, host: Host, cgroup: String, points: usize) -> std::io::Result<Self> {
        fs::create_dir_all(driver.root())?;
        let euid = driver.user.unwrap_or(host.euid);
        let config = bundle::config(driver.runtime.config_version(), euid, &cgroup);
        let driver = Rc::new(driver);
        let (notes, error) = (Vec::new(), String::new());
        let (tally, containers) = (None, 0);
        let context =
            Self { driver, host, config, cgroup, notes, error, points, tally, containers };
        context.make_bundle()?;
        Ok(context)
    }

    fn make_bundle(&self) -> std::io::Result<()> {
        let user = self.driver.user;
        bundle::rootfs(&self.rootfs(), &self.driver.work.join("probe"), user)?;
        for path in [self.driver.dir.clone(), self.driver.root(), self.bundle()] {
            chown(path, user, user)?;
        }
        // What the self-test puts in the place of a configuration that must be refused.
        fs::write(self.bundle().join("good.json"), self.config.to_string())
    }

    /// Goes on as an ordinary user, in a directory of its own.
    pub fn become_user(&mut self, user: u32) -> Verdict {
        let old = &self.driver;
        let driver = Driver {
            runtime: old.runtime.clone(),
            broken: old.broken.clone(),
            work: old.work.clone(),
            dir: old.dir.join("user"),
            user: Some(user),
            env: Vec::new(),
        };
        fs::create_dir_all(&driver.dir)?;
        *self = Self::new(driver, self.host.clone(), self.cgroup.clone(), self.points)?;
        Ok(())
    }

    /// The bundle's directory.
    pub fn bundle(&self) -> PathBuf {
        self.driver.dir.join("bundle")
    }

    /// The root file system on the host.
    pub fn rootfs(&self) -> PathBuf {
        self.bundle().join("rootfs")
    }

    /// Takes note of something seen.
    pub fn saw(&mut self, what: impl Into<String>) {
        self.notes.push(what.into());
    }

    /// Takes the answer to bad input for comparison with the expected one.
    pub fn told(&mut self, output: &Output) {
        let own = format!("c{}-", std::process::id());
        let names = [
            (self.driver.dir.display().to_string(), "$DIR"),
            (self.driver.work.display().to_string(), "$WORK"),
            (self.cgroup.clone(), "$CGROUP"),
            (own, "$ID-"),
        ];
        self.error = expected::normalise(&output.stderr, &names);
    }

    /// Puts a value into the configuration.
    pub fn set(&mut self, pointer: &str, value: impl Into<Value>) {
        json::put(&mut self.config, pointer, value.into());
    }

    /// Takes a value out of the configuration.
    pub fn remove(&mut self, pointer: &str) {
        json::remove(&mut self.config, pointer);
    }

    /// Lets the probe make these requests, and leave.
    pub fn request(&mut self, requests: &[&str]) {
        self.command("report", requests);
    }

    /// Lets the probe make these requests, and stay.
    pub fn stay(&mut self, requests: &[&str]) {
        self.command("stay", requests);
    }

    fn command(&mut self, verb: &str, requests: &[&str]) {
        let mut arguments = vec!["/probe", verb];
        arguments.extend(requests);
        self.config["process"]["args"] = json!(arguments);
    }

    /// Adds a mount.
    pub fn mount(&mut self, target: &str, fstype: &str, source: &str, options: &[&str]) {
        let mount =
            json!({"destination": target, "type": fstype, "source": source, "options": options});
        self.set("/mounts/-", mount);
    }

    /// Adds a namespace, of its own or at a path.
    pub fn namespace(&mut self, kind: &str, path: Option<&str>) {
        self.leave_namespace(kind);
        let namespace = match path {
            Some(path) => json!({"type": kind, "path": path}),
            None => json!({"type": kind}),
        };
        self.set("/linux/namespaces/-", namespace);
    }

    /// Takes a namespace out of the configuration.
    pub fn leave_namespace(&mut self, kind: &str) {
        if let Some(namespaces) = self.config["linux"]["namespaces"].as_array_mut() {
            namespaces.retain(|namespace| namespace["type"] != kind);
        }
    }

    /// A user namespace of `size` ids from `first`, as root; the ordinary user has one already.
    pub fn user_namespace(&mut self, first: u32, size: u32) {
        if self.host.euid == 0 {
            bundle::add_user_namespace(&mut self.config, first, first, size);
        }
    }

    /// Adds a hook that records its call under `name` and exits with `code`.
    pub fn hook(&mut self, kind: &str, name: &str, code: u8) {
        let inside = kind == "startContainer";
        let program = self.driver.work.join("probe");
        let path = if inside { "/probe".into() } else { program.display().to_string() };
        let log = if inside { "/hooks.log".into() } else { self.hook_log() };
        let args = json!(["probe", "hook", log, name, code.to_string(), "0"]);
        self.set(&format!("/hooks/{kind}/-"), json!({"path": path, "args": args}));
    }

    fn hook_log(&self) -> PathBuf {
        self.driver.dir.join("hooks.log")
    }

    /// What the hooks have recorded: first those in the container's root, then the others.
    pub fn hooks(&self) -> Vec<Value> {
        let texts = [self.rootfs().join("hooks.log"), self.hook_log()].map(|path| read(&path));
        let lines = texts.iter().flat_map(|text| text.lines());
        lines.filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The record of a hook by its name.
    pub fn hooked(&self, name: &str) -> Result<Value, Stop> {
        let found = self.hooks().into_iter().find(|record| record["hook"] == name);
        found.ok_or_else(|| Stop::Fail(format!("the hook {name} was not called")))
    }

    /// Writes config.json.
    pub fn write(&self) -> Result<(), Stop> {
        let path = self.bundle().join("config.json");
        fs::write(&path, self.config.to_string())?;
        // The mutant, which is called as that user too, edits it.
        Ok(chown(&path, self.driver.user, self.driver.user)?)
    }

    /// A handle for a further container of the bundle.
    pub fn handle(&mut self) -> Container {
        self.containers += 1;
        let id = format!("c{}-{}", std::process::id(), self.containers);
        Container::new(Rc::clone(&self.driver), id, self.bundle())
    }

    /// Writes the configuration and creates a container from it.
    pub fn create(&mut self) -> Result<Container, Stop> {
        let (container, output) = self.try_create()?;
        worked("create", &output)?;
        Ok(container)
    }

    /// The same, whatever comes of it.
    pub fn try_create(&mut self) -> Result<(Container, Output), Stop> {
        self.write()?;
        let container = self.handle();
        let output = container.try_create(&[])?;
        Ok((container, output))
    }

    /// Creates and starts a container.
    pub fn start(&mut self) -> Result<Container, Stop> {
        let container = self.create()?;
        container.start()?;
        Ok(container)
    }

    /// Creates and starts a container and gives what its process reports.
    pub fn observe(&mut self) -> Result<Observation, Stop> {
        let container = self.start()?;
        container.seen()
    }

    /// The runtime must refuse the configuration, at create or at start, and leave nothing.
    pub fn refused(&mut self) -> Verdict {
        let (container, output) = self.try_create()?;
        if output.exit.is_none() {
            return fail(format!("create {}", output.summary()));
        }
        let output = if output.ok() { container.call("start", &[])? } else { output };
        self.saw(output.summary());
        ensure(!output.ok(), || "the runtime takes it without an error".into())?;
        ensure(output.exit.is_some(), || "start hung".into())
    }

    /// `create` must refuse the configuration, in one line, and leave nothing.
    pub fn create_refused(&mut self) -> Verdict {
        let (container, output) = self.try_create()?;
        self.saw(output.summary());
        ensure(output.exit.is_some(), || format!("create {}", output.summary()))?;
        ensure(!output.ok(), || "create takes it without an error".into())?;
        self.nothing_left(&container)
    }

    /// The same, where the case itself has mounts in its directory.
    pub fn create_refused_with_mounts(&mut self) -> Verdict {
        let (_, output) = self.try_create()?;
        self.saw(output.summary());
        ensure(!output.ok() && output.exit.is_some(), || "create takes it without an error".into())
    }

    /// A shared tmpfs on the host with another one at `below`, which has a mount flag: a source
    /// for bind mounts.
    pub fn host_tree(&self, flag: &str) -> Result<String, Stop> {
        let source = self.driver.dir.join("tree");
        for path in [source.clone(), source.join("below")] {
            fs::create_dir(&path)?;
            let none: Option<&str> = None;
            mount(Some("tmpfs"), &path, Some("tmpfs"), MsFlags::empty(), none)?;
            mount(none, &path, none, MsFlags::MS_SHARED, none)?;
            let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | mount_flag(flag);
            if path != source && !flag.is_empty() {
                mount(none, &path, none, flags, none)?;
            }
        }
        Ok(source.display().to_string())
    }

    /// Nothing of the container is left: no state, cgroup, mount or process.
    pub fn nothing_left(&self, container: &Container) -> Verdict {
        let left = self.left(&container.id);
        ensure(left.is_empty(), || format!("left behind: {}", left.join(", ")))
    }

    fn left(&self, id: &str) -> Vec<String> {
        let mut left = Vec::new();
        if self.driver.root().join(id).exists() {
            left.push("the state directory".to_owned());
        }
        for hierarchy in self.host.hierarchies() {
            let path = hierarchy.join(self.cgroup.trim_start_matches('/'));
            if path.exists() {
                left.push(format!("the cgroup {}", path.display()));
            }
        }
        let own = self.driver.dir.display().to_string();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        if let Some(mount) = mounts.lines().find(|line| line.contains(&own)) {
            left.push(format!("a mount: {mount}"));
        }
        if let Some(process) = crate::process::living_children().first() {
            left.push(format!("a process: {}", describe(*process)));
        }
        left
    }
}

/// The flag of mount(2) an option stands for.
fn mount_flag(option: &str) -> MsFlags {
    match option {
        "ro" => MsFlags::MS_RDONLY,
        "nosuid" => MsFlags::MS_NOSUID,
        "nodev" => MsFlags::MS_NODEV,
        "noexec" => MsFlags::MS_NOEXEC,
        "noatime" => MsFlags::MS_NOATIME,
        "nodiratime" => MsFlags::MS_NODIRATIME,
        "nosymfollow" => MsFlags::from_bits_retain(libc::MS_NOSYMFOLLOW),
        _ => MsFlags::empty(),
    }
}

/// A process' name, for the report.
fn describe(pid: i32) -> String {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    format!("{pid} ({})", name.trim())
}
