//! One test's cgroups and processes.

use hull::cgroup::{Cgroup, Layout};
use hull::plan::cgroup::{CgroupPlan, Request, plan, update};
use hull::spec::linux::Resources;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A cgroups path nobody else uses; each test has its own below one parent.
pub fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("/hull-test-{}-{number}", std::process::id())
}

/// Says why a test does not run.
pub fn skipped() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("skipped: needs root");
    }
    !root
}

/// The cgroups of one test; removed at its end, also when it fails.
pub struct Fixture {
    pub layout: Layout,
    pub path: String,
    pub cgroup: Option<Cgroup>,
    pub children: Vec<Child>,
}

impl Fixture {
    pub fn try_new(layout: Layout, json: &str) -> (Self, Option<hull::Error>) {
        let path = unique();
        let mut fixture = Self { layout, path, cgroup: None, children: Vec::new() };
        match fixture.create(json) {
            Ok(cgroup) => fixture.cgroup = Some(cgroup),
            Err(error) => return (fixture, Some(error)),
        }
        (fixture, None)
    }

    pub fn new(json: &str) -> Self {
        Self::on(Layout::detect(false).unwrap(), json)
    }

    pub fn on(layout: Layout, json: &str) -> Self {
        let (fixture, error) = Self::try_new(layout, json);
        assert!(error.is_none(), "{error:?}");
        fixture
    }

    pub fn plan(&self, json: &str) -> CgroupPlan {
        let resources: Resources = serde_json::from_str(json).unwrap();
        let request = Request {
            cgroups_path: &self.path,
            id: "id",
            resources: Some(&resources),
            devices: &[],
            rootless: false,
            owner: None,
        };
        plan(&self.layout, &request).unwrap()
    }

    pub fn create(&self, json: &str) -> hull::Result<Cgroup> {
        Cgroup::create(&self.plan(json))
    }

    pub fn cgroup(&self) -> &Cgroup {
        self.cgroup.as_ref().unwrap()
    }

    /// Changes the limits.
    pub fn update(&self, json: &str) -> hull::Result<()> {
        let resources = serde_json::from_str(json).unwrap();
        let (writes, check) = update(&self.layout, &resources).unwrap();
        self.cgroup().update(&writes, check).map(drop)
    }

    pub fn dir(&self, controller: &str) -> PathBuf {
        let paths = self.cgroup().paths();
        paths.get(controller).or_else(|| paths.get("")).unwrap().clone()
    }

    pub fn read(&self, controller: &str, file: &str) -> String {
        std::fs::read_to_string(self.dir(controller).join(file)).unwrap().trim_end().to_owned()
    }

    /// Runs `script` in the cgroup.
    pub fn run(&mut self, script: &str) -> u32 {
        self.run_in(script, &BTreeMap::new(), true)
    }

    /// Runs `script` in the cgroup, or in descendants of it, and in the unified one if `unified`.
    pub fn run_in(&mut self, script: &str, sub: &BTreeMap<String, String>, unified: bool) -> u32 {
        let mut join = self.cgroup().join_sub(sub).unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).stdin(Stdio::null());
        let mut tasks: Vec<std::fs::File> =
            std::mem::take(&mut join.tasks).into_iter().map(Into::into).collect();
        if let (Some(path), true) = (self.cgroup().paths().get(""), unified) {
            // This stands in for clone3(2) into the directory.
            let procs = path.join("cgroup.procs");
            tasks.push(std::fs::OpenOptions::new().write(true).open(procs).unwrap());
        }
        // The child of `Command` has one thread, as that of a runtime.
        spawn_after(&mut command, tasks);
        let child = command.spawn().unwrap();
        let id = child.id();
        self.children.push(child);
        id
    }
}

/// Lets the child of `command` write `0` to each of `tasks` before it executes.
#[allow(unsafe_code, reason = "the standard library's only way into the child")]
fn spawn_after(command: &mut Command, mut tasks: Vec<std::fs::File>) {
    let join = move || tasks.iter_mut().try_for_each(|file| file.write_all(b"0"));
    // SAFETY: the closure makes write(2) calls only.
    unsafe { command.pre_exec(join) };
}

impl Drop for Fixture {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
        }
        if let Some(cgroup) = self.cgroup.take() {
            let _ = cgroup.thaw();
            let _ = cgroup.kill_all();
            for child in &mut self.children {
                let _ = child.wait();
            }
            cgroup.destroy().unwrap();
        }
    }
}

/// All directories of this process' tests that are left over for `path`.
pub fn leftovers(path: &str) -> Vec<PathBuf> {
    let name = path.trim_start_matches('/');
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
        for dir in [entry.path(), entry.path().join(name)] {
            if dir.ends_with(name) && dir.exists() {
                found.push(dir);
            }
        }
    }
    found
}

/// Waits until `condition` holds, a second at most.
pub fn eventually(condition: impl Fn() -> bool) -> bool {
    (0..1000).any(|_| {
        let holds = condition();
        if !holds {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        holds
    })
}

pub fn is_v1() -> bool {
    matches!(Layout::detect(false).unwrap(), Layout::V1 { .. })
}

/// The unified hierarchy of this host alone, without controllers on a hybrid host.
pub fn unified() -> Option<Layout> {
    match Layout::detect(true).unwrap() {
        Layout::V1 { unified, .. } => unified.map(|root| Layout::v2(root, &[], Some("/"))),
        layout @ Layout::V2(_) => Some(layout),
    }
}
