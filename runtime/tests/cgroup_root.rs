//! Real cgroups, made and removed under a name of this test's own. Needs root; without it the tests
//! say so and pass.

use hull::cgroup::{Cgroup, Layout};
use hull::plan::cgroup::{Request, plan, update};
use hull::spec::linux::Resources;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{Mode, mkdirat};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A cgroups path nobody else uses; each test has its own below one parent.
fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("/hull-test-{}-{number}", std::process::id())
}

/// Says why a test does not run.
fn skipped() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("skipped: needs root");
    }
    !root
}

/// The cgroups of one test; removed at its end, also when it fails.
struct Fixture {
    layout: Layout,
    path: String,
    cgroup: Option<Cgroup>,
    children: Vec<Child>,
}

impl Fixture {
    fn try_new(json: &str) -> (Self, Option<hull::Error>) {
        let layout = Layout::detect(false).unwrap();
        let path = unique();
        let mut fixture = Self { layout, path, cgroup: None, children: Vec::new() };
        match fixture.create(json) {
            Ok(cgroup) => fixture.cgroup = Some(cgroup),
            Err(error) => return (fixture, Some(error)),
        }
        (fixture, None)
    }

    fn new(json: &str) -> Self {
        let (fixture, error) = Self::try_new(json);
        assert!(error.is_none(), "{error:?}");
        fixture
    }

    fn create(&self, json: &str) -> hull::Result<Cgroup> {
        let resources: Resources = serde_json::from_str(json).unwrap();
        let request = Request {
            cgroups_path: &self.path,
            id: "id",
            resources: Some(&resources),
            devices: &[],
            rootless: false,
            owner: None,
        };
        Cgroup::create(&plan(&self.layout, &request).unwrap())
    }

    fn cgroup(&self) -> &Cgroup {
        self.cgroup.as_ref().unwrap()
    }

    /// Changes the limits.
    fn update(&self, json: &str) -> hull::Result<()> {
        let resources = serde_json::from_str(json).unwrap();
        let (writes, check) = update(&self.layout, &resources).unwrap();
        self.cgroup().update(&writes, check)
    }

    fn dir(&self, controller: &str) -> PathBuf {
        let paths = self.cgroup().paths();
        paths.get(controller).or_else(|| paths.get("")).unwrap().clone()
    }

    fn read(&self, controller: &str, file: &str) -> String {
        std::fs::read_to_string(self.dir(controller).join(file)).unwrap().trim_end().to_owned()
    }

    /// Runs `script` in the cgroup, or in descendants of it.
    fn run(&mut self, script: &str, sub: &BTreeMap<String, String>) -> u32 {
        let join = self.cgroup().join_sub(sub).unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).stdin(Stdio::null());
        let mut tasks: Vec<std::fs::File> = join.tasks.into_iter().map(Into::into).collect();
        if tasks.is_empty() {
            // Where all is cgroup v2 this stands in for clone3(2) into the directory.
            let procs = self.dir("").join("cgroup.procs");
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
fn leftovers(path: &str) -> Vec<PathBuf> {
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
fn eventually(condition: impl Fn() -> bool) -> bool {
    (0..1000).any(|_| {
        let holds = condition();
        if !holds {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        holds
    })
}

fn is_v1() -> bool {
    matches!(Layout::detect(false).unwrap(), Layout::V1 { .. })
}

#[test]
fn makes_limits_joins_and_removes() {
    if skipped() {
        return;
    }
    let mut fixture = Fixture::new(
        r#"{"memory":{"limit":33554432},"pids":{"limit":7},"cpu":{"shares":512,"quota":50000}}"#,
    );
    assert_eq!(fixture.read("pids", "pids.max"), "7");
    if is_v1() {
        assert_eq!(fixture.read("memory", "memory.limit_in_bytes"), "33554432");
        assert_eq!(fixture.read("cpu", "cpu.shares"), "512");
        assert_eq!(fixture.read("cpu", "cpu.cfs_quota_us"), "50000");
        assert_ne!(fixture.read("cpuset", "cpuset.cpus"), "");
        assert!(fixture.read("devices", "devices.list").contains("c 1:3 rwm"));
        assert!(!fixture.read("devices", "devices.list").contains("a *:* rwm"));
    }
    let pid = fixture.run("exec sleep 100", &BTreeMap::new());
    let own = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    for line in own.lines().filter(|line| !line.starts_with("0::")) {
        assert!(line.ends_with(&fixture.path), "{line}");
    }
    assert_eq!(fixture.cgroup().pids(false).unwrap(), [i32::try_from(pid).unwrap()]);
    let stats = fixture.cgroup().stats().unwrap();
    assert_eq!((stats.pids.current, stats.pids.limit), (1, 7));
    assert_eq!(stats.memory.usage.limit, 33_554_432);
    assert!(stats.memory.usage.usage > 0 && stats.cpu.usage.total > 0);
    let path = fixture.path.clone();
    drop(fixture);
    assert_eq!(leftovers(&path), [PathBuf::new(); 0]);
}

#[test]
fn devices_are_denied_that_no_rule_allows() {
    if skipped() {
        return;
    }
    let mut fixture = Fixture::new(
        r#"{"devices":[{"allow":false,"access":"rwm"},
            {"allow":true,"type":"c","major":1,"minor":11,"access":"w"}]}"#,
    );
    // /dev/kmsg (1:11) may be written, not read; a loop control device (10:237) not touched.
    let script = "exec 2>/dev/null; dir=$(mktemp -d); mknod $dir/kmsg c 1 11; mknod $dir/x c 10 237
        a=no; b=no; c=no; d=no
        (: <$dir/kmsg) && a=yes; (: >>$dir/kmsg) && b=yes; (: <$dir/x) && c=yes
        (: <>/dev/null) && d=yes
        rm -r $dir; [ $a$b$c$d = nonoyes ] ; [ $a$b$c$d = noyesnoyes ]";
    fixture.run(script, &BTreeMap::new());
    let status = fixture.children[0].wait().unwrap();
    assert!(status.success(), "{status}");
}

#[test]
fn freezes_and_thaws() {
    if skipped() || !is_v1() && !Path::new("/sys/fs/cgroup/cgroup.kill").exists() {
        return;
    }
    let mut fixture = Fixture::new("{}");
    fixture.run("while :; do :; done", &BTreeMap::new());
    assert!(!fixture.cgroup().is_frozen().unwrap());
    fixture.cgroup().freeze().unwrap();
    assert!(fixture.cgroup().is_frozen().unwrap());
    let used = || fixture.cgroup().stats().unwrap().cpu.usage.total;
    let before = used();
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert_eq!(used(), before);
    fixture.cgroup().thaw().unwrap();
    assert!(!fixture.cgroup().is_frozen().unwrap());
    assert!(eventually(|| used() > before));
}

#[test]
fn a_cgroup_in_use_or_frozen_is_refused_and_left_alone() {
    if skipped() {
        return;
    }
    let mut fixture = Fixture::new("{}");
    fixture.run("exec sleep 100", &BTreeMap::new());
    let error = fixture.create("{}").unwrap_err();
    assert_eq!(error.to_string(), "container's cgroup is not empty: 1 process(es) found");
    fixture.cgroup().kill_all().unwrap();
    fixture.children[0].wait().unwrap();
    fixture.cgroup().freeze().unwrap();
    let error = fixture.create("{}").unwrap_err();
    assert_eq!(error.to_string(), "container's cgroup unexpectedly frozen");
    fixture.cgroup().thaw().unwrap();
    assert!(fixture.cgroup().exists());
    // An empty one is taken over, and undoing that does not remove it.
    let taken = fixture.create(r#"{"pids":{"limit":3}}"#).unwrap();
    assert_eq!(fixture.read("pids", "pids.max"), "3");
    taken.undo().unwrap();
    assert!(fixture.cgroup().exists());
}

#[test]
fn failure_leaves_nothing() {
    if skipped() {
        return;
    }
    // More CPUs than any host has.
    let (fixture, error) = Fixture::try_new(r#"{"cpu":{"cpus":"8000"}}"#);
    let error = error.unwrap().to_string();
    assert!(error.contains("cpuset.cpus") && error.contains("8000"), "{error}");
    assert_eq!(leftovers(&fixture.path), [PathBuf::new(); 0]);
}

#[test]
fn undo_removes_parents_it_made_and_no_others() {
    if skipped() {
        return;
    }
    let mut outer = Fixture::new("{}");
    let parent = outer.path.clone();
    outer.path = format!("{parent}/a/b");
    let inner = outer.create("{}").unwrap();
    let path = outer.dir("devices").join("a/b");
    assert!(path.exists());
    inner.undo().unwrap();
    assert!(!path.exists() && !outer.dir("devices").join("a").exists());
    assert!(outer.cgroup().exists());
    outer.path = parent;
}

#[test]
fn updates_all_or_nothing() {
    if skipped() {
        return;
    }
    let fixture =
        Fixture::new(r#"{"memory":{"limit":33554432},"pids":{"limit":7},"cpu":{"shares":512}}"#);
    fixture.update(r#"{"memory":{"limit":67108864},"pids":{"limit":8}}"#).unwrap();
    assert_eq!(fixture.read("pids", "pids.max"), "8");
    // The period is far too long; memory and shares are written before it and taken back.
    let json = r#"{"memory":{"limit":16777216},"cpu":{"shares":100,"period":99999999}}"#;
    let error = fixture.update(json).unwrap_err().to_string();
    assert!(error.contains("99999999"), "{error}");
    if is_v1() {
        assert_eq!(fixture.read("memory", "memory.limit_in_bytes"), "67108864");
        assert_eq!(fixture.read("cpu", "cpu.shares"), "512");
        // Both in the order that does not fit at first, up and down.
        for (limit, swap) in [(134_217_728_i64, 268_435_456_i64), (33_554_432, 67_108_864)] {
            fixture.update(&format!(r#"{{"memory":{{"limit":{limit},"swap":{swap}}}}}"#)).unwrap();
            assert_eq!(fixture.read("memory", "memory.limit_in_bytes"), limit.to_string());
            assert_eq!(fixture.read("memory", "memory.memsw.limit_in_bytes"), swap.to_string());
        }
        fixture.update(r#"{"memory":{"limit":-1}}"#).unwrap();
        assert!(fixture.read("memory", "memory.memsw.limit_in_bytes").len() > 18);
    }
}

#[test]
fn kills_and_removes_what_a_container_nested_deeply() {
    if skipped() {
        return;
    }
    let mut fixture = Fixture::new("{}");
    let pid = fixture.run("exec sleep 100", &BTreeMap::new());
    // Deeper than a path can be long: 30 levels of 200 bytes.
    let name = "n".repeat(200);
    let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut dir = open(&fixture.dir("devices"), flags, Mode::empty()).unwrap();
    for _ in 0..30 {
        mkdirat(&dir, name.as_str(), Mode::S_IRWXU).unwrap();
        dir = openat(&dir, name.as_str(), flags, Mode::empty()).unwrap();
    }
    let procs = openat(&dir, "cgroup.procs", OFlag::O_WRONLY, Mode::empty()).unwrap();
    std::fs::File::from(procs).write_all(pid.to_string().as_bytes()).unwrap();
    drop(dir);
    assert_eq!(fixture.cgroup().pids(false).unwrap(), [0; 0]);
    assert_eq!(fixture.cgroup().pids(true).unwrap(), [i32::try_from(pid).unwrap()]);
    fixture.cgroup().kill_all().unwrap();
    fixture.children[0].wait().unwrap();
    let path = fixture.path.clone();
    drop(fixture);
    assert_eq!(leftovers(&path), [PathBuf::new(); 0]);
}

#[test]
fn exec_joins_sub_cgroups() {
    if skipped() || !is_v1() {
        return;
    }
    let mut fixture = Fixture::new("{}");
    std::fs::create_dir(fixture.dir("pids").join("sub")).unwrap();
    let sub = BTreeMap::from([("pids".to_owned(), "sub".to_owned())]);
    let pid = fixture.run("exec sleep 100", &sub);
    let own = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let path = &fixture.path;
    let line = |controller: &str| {
        own.lines().find(|line| line.contains(&format!(":{controller}:"))).unwrap().to_owned()
    };
    assert!(line("pids").ends_with(&format!("{path}/sub")));
    assert!(line("memory").ends_with(path));
    let outside = BTreeMap::from([("pids".to_owned(), "../x".to_owned())]);
    let error = fixture.cgroup().join_sub(&outside).unwrap_err().to_string();
    assert_eq!(error, "bad sub cgroup path: ../x");
    let missing = BTreeMap::from([("pids".to_owned(), "none".to_owned())]);
    let error = fixture.cgroup().join_sub(&missing).unwrap_err().to_string();
    assert!(error.contains("none/tasks") && error.contains("no such file"), "{error}");
}

#[test]
fn removal_of_a_cgroup_with_processes_ends_with_an_error() {
    if skipped() {
        return;
    }
    let mut fixture = Fixture::new("{}");
    fixture.run("exec sleep 100", &BTreeMap::new());
    let error = fixture.cgroup().destroy().unwrap_err().to_string();
    assert!(error.contains("1 process(es) left"), "{error}");
}

#[test]
fn removal_waits_for_the_killed() {
    if skipped() {
        return;
    }
    let mut fixture = Fixture::new("{}");
    for _ in 0..8 {
        fixture.run("while :; do :; done", &BTreeMap::new());
    }
    fixture.cgroup().kill_all().unwrap();
    // Their parent has not even waited for them.
    fixture.cgroup().destroy().unwrap();
    assert!(!fixture.cgroup().exists());
}
