//! deck beside Docker, Podman, skopeo with umoci, and ctr: a cold pull to what can run, load, save;
//! time and peak memory. By `make deck-images-bench`, with a release build and the machine to
//! itself.

use crate::engines::{Dockerd, podman_in};
use crate::harness::{Guard, Registry, run};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Unpacked bytes of the image, and in how many layers.
const SIZE: u64 = 300 << 20;
const LAYERS: u64 = 6;

/// What a step cost.
#[derive(Clone, Copy)]
struct Cost {
    wall: Duration,
    /// The same, and until a sync(2) after it is over: not everyone waits for the disk.
    durable: Duration,
    /// Largest resident memory of the command, in KiB; of daemons what they grew by is added.
    memory: u64,
}

/// Runs a command and says how large it grew: a process of its own, as the kernel gives the largest
/// of all children only (getrusage(2)).
#[test]
#[ignore = "part of the benchmark"]
fn measured() {
    let Ok(words) = std::env::var("DECK_BENCH_COMMAND") else { return };
    let words: Vec<&str> = words.split('\u{1f}').collect();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null());
    let start = Instant::now();
    let status = command.status().unwrap();
    let wall = start.elapsed();
    assert!(status.success(), "{words:?}");
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN);
    println!("cost {} {}", wall.as_micros(), usage.unwrap().max_rss());
}

/// Costs of commands one after the other, whose daemons are these.
fn cost(commands: &[Command], daemons: &[u32]) -> Cost {
    let before: Vec<u64> = daemons.iter().map(|pid| memory(*pid, "VmRSS")).collect();
    for pid in daemons {
        // Forgets the peak so far (proc(5)).
        fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
    }
    let mut total = Cost { wall: Duration::ZERO, durable: Duration::ZERO, memory: 0 };
    for command in commands {
        let words: Vec<String> = std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|word| word.to_str().unwrap().to_owned())
            .collect();
        let mut runner = Command::new(std::env::current_exe().unwrap());
        runner.args(["--exact", "bench::measured", "--ignored", "--nocapture"]);
        runner.env("DECK_BENCH_COMMAND", words.join("\u{1f}"));
        runner.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = runner.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().find_map(|line| line.split_once("cost ")).map(|(_, rest)| rest);
        let line = line.unwrap_or_else(|| {
            panic!("{words:?}: {text}{}", String::from_utf8_lossy(&output.stderr))
        });
        let (micros, kib) = line.split_once(' ').unwrap();
        total.wall += Duration::from_micros(micros.parse().unwrap());
        total.memory = total.memory.max(kib.parse().unwrap());
    }
    let start = Instant::now();
    nix::unistd::sync();
    total.durable = total.wall + start.elapsed();
    let grown: u64 = daemons
        .iter()
        .zip(before)
        .map(|(pid, before)| memory(*pid, "VmHWM").saturating_sub(before))
        .sum();
    Cost { memory: total.memory + grown, ..total }
}

fn memory(pid: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn command(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    command
}

/// An engine: how it starts from nothing, pulls, loads and saves.
struct Engine {
    name: &'static str,
    daemons: Vec<u32>,
    reset: Box<dyn Fn()>,
    pull: Box<dyn Fn() -> Vec<Command>>,
    load: Box<dyn Fn() -> Vec<Command>>,
    save: Box<dyn Fn() -> Vec<Command>>,
}

/// Layers of this machine's own files, and the archive of an image of them.
fn image(dir: &Path) -> PathBuf {
    let mut lists: Vec<String> = vec![String::new(); usize::try_from(LAYERS).unwrap()];
    let mut taken = 0;
    let mut stack = vec![PathBuf::from("/usr/bin"), "/usr/share".into(), "/usr/lib".into()];
    while let Some(path) = stack.pop() {
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        if meta.is_dir() {
            let mut names: Vec<_> =
                fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()).collect();
            names.sort();
            stack.extend(names);
        } else if meta.is_file() && meta.size() < 20 << 20 && taken < SIZE {
            let at = usize::try_from(taken * LAYERS / SIZE).unwrap();
            writeln!(lists[at], "{}", path.strip_prefix("/").unwrap().display()).unwrap();
            taken += meta.size();
        }
    }
    assert!(taken >= SIZE, "/usr has less than {SIZE} bytes");
    let layers: Vec<Vec<u8>> = lists
        .iter()
        .map(|list| {
            fs::write(dir.join("list"), list).unwrap();
            let path = dir.join("layer.tar");
            let (list, out) = (dir.join("list"), path.display().to_string());
            let list = list.display().to_string();
            run("tar", &["-C", "/", "--hard-dereference", "-cf", &out, "-T", &list]);
            fs::read(&path).unwrap()
        })
        .collect();
    let archive = dir.join("image.tar");
    fs::write(&archive, crate::fixture::docker_archive("bench:1", &layers)).unwrap();
    archive
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.0.id().try_into().unwrap());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

fn containerd(dir: &Path) -> (Ended, String) {
    let dir = dir.join("containerd");
    fs::create_dir(&dir).unwrap();
    let path = dir.display();
    let config = format!(
        "version = 2\nroot = \"{path}/root\"\nstate = \"{path}/state\"\n\
         disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
         [grpc]\n  address = \"{path}/s\"\n[ttrpc]\n  address = \"{path}/t\"\n"
    );
    fs::write(dir.join("config.toml"), config).unwrap();
    let log = fs::File::create(dir.join("log")).unwrap();
    let config = dir.join("config.toml").display().to_string();
    let mut start = command("containerd", &["--config", &config]);
    let child = start.stdout(Stdio::null()).stderr(log).spawn().unwrap();
    let (ended, socket) = (Ended(child), dir.join("s").display().to_string());
    for _ in 0..600 {
        let version = command("ctr", &["-a", &socket, "version"]).output().unwrap();
        if version.status.success() {
            return (ended, socket);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("containerd does not answer");
}

fn deck(dir: &Path, archive: &str, name: &str) -> Engine {
    let program =
        std::env::var("DECK_BENCH_DECK").unwrap_or_else(|_| env!("CARGO_BIN_EXE_deck").into());
    let dir = dir.join("deck");
    let own = dir.clone();
    let call = move |args: &[&str]| {
        let mut call = command(&program, args);
        for (key, sub) in [("DATA", "d"), ("EXEC", "r"), ("CONFIG", "c")] {
            call.env(format!("DECK_{key}_ROOT"), own.join(sub));
        }
        call.env("DECK_HOST", "local");
        call
    };
    let saved = dir.with_extension("saved").display().to_string();
    let (archive, name) = (archive.to_owned(), name.to_owned());
    let (pull, load) = (call.clone(), call.clone());
    Engine {
        name: "deck",
        daemons: Vec::new(),
        reset: Box::new(move || drop(fs::remove_dir_all(&dir))),
        pull: Box::new(move || vec![pull(&["pull", "-q", &name])]),
        load: Box::new(move || vec![load(&["load", "-q", "-i", &archive])]),
        save: Box::new(move || vec![call(&["save", "bench:1", "-o", &saved])]),
    }
}

fn docker(dir: &Path, archive: &str, name: &str) -> (Dockerd, Engine) {
    let docker = Dockerd::start(dir);
    let socket = format!("unix://{}", dir.join("dockerd/s").display());
    let call = move |args: &[&str]| {
        let mut call = command("docker", &["-H", &socket]);
        call.args(args);
        call
    };
    let daemon = docker.child.id();
    let children = fs::read_to_string(format!("/proc/{daemon}/task/{daemon}/children")).unwrap();
    let mut daemons = vec![daemon];
    daemons.extend(children.split_whitespace().map(|pid| pid.parse::<u32>().unwrap()));
    // Go starts children from any thread.
    for task in fs::read_dir(format!("/proc/{daemon}/task")).unwrap() {
        let text = fs::read_to_string(task.unwrap().path().join("children")).unwrap();
        daemons.extend(text.split_whitespace().map(|pid| pid.parse::<u32>().unwrap()));
    }
    daemons.sort_unstable();
    daemons.dedup();
    let saved = dir.join("docker.saved").display().to_string();
    let (archive, name, remote) = (archive.to_owned(), name.to_owned(), name.to_owned());
    let (reset, pull, load) = (call.clone(), call.clone(), call.clone());
    let engine = Engine {
        name: "Docker",
        daemons,
        reset: Box::new(move || {
            let _ = reset(&["rmi", "-f", "bench:1", &remote]).output();
        }),
        pull: Box::new(move || vec![pull(&["pull", "-q", &name])]),
        load: Box::new(move || vec![load(&["load", "-q", "-i", &archive])]),
        save: Box::new(move || vec![call(&["save", "bench:1", "-o", &saved])]),
    };
    (docker, engine)
}

fn podman(dir: &Path, archive: &str, name: &str) -> Engine {
    let own = dir.to_owned();
    let call = move |args: &[&str]| {
        let mut call = podman_in(&own, "overlay");
        call.args(args);
        call
    };
    let saved = dir.join("podman.saved");
    let (archive, name) = (archive.to_owned(), name.to_owned());
    let (reset, pull, load) = (call.clone(), call.clone(), call.clone());
    Engine {
        name: "Podman",
        daemons: Vec::new(),
        reset: Box::new(move || {
            let _ = reset(&["rmi", "-af"]).output();
        }),
        pull: Box::new(move || vec![pull(&["pull", "-q", "--tls-verify=false", &name])]),
        load: Box::new(move || vec![load(&["load", "-q", "-i", &archive])]),
        save: Box::new(move || {
            // It does not overwrite.
            let _ = fs::remove_file(&saved);
            vec![call(&["save", "-q", "-o", saved.to_str().unwrap(), "bench:1"])]
        }),
    }
}

fn skopeo(dir: &Path, archive: &str, name: &str) -> Engine {
    let dir = dir.join("skopeo");
    let (layout, bundle) = (dir.join("layout"), dir.join("bundle"));
    let image = format!("{}:x", layout.display());
    let fetched = move |source: String| {
        let bundle = bundle.display().to_string();
        let target = format!("oci:{image}");
        let copy = ["copy", "-q", "--src-tls-verify=false", &source, &target];
        vec![command("skopeo", &copy), command("umoci", &["unpack", "--image", &image, &bundle])]
    };
    let (archive, name) = (format!("docker-archive:{archive}"), format!("docker://{name}"));
    let load = fetched.clone();
    let saved = dir.with_extension("saved");
    let source = format!("oci:{}:x", layout.display());
    Engine {
        name: "skopeo and umoci",
        daemons: Vec::new(),
        reset: Box::new(move || {
            let _ = fs::remove_dir_all(&dir);
            fs::create_dir(&dir).unwrap();
        }),
        pull: Box::new(move || fetched(name.clone())),
        load: Box::new(move || load(archive.clone())),
        save: Box::new(move || {
            let _ = fs::remove_file(&saved);
            let target = format!("oci-archive:{}", saved.display());
            vec![command("skopeo", &["copy", "-q", &source, &target])]
        }),
    }
}

fn ctr(dir: &Path, archive: &str, name: &str) -> (Ended, Engine) {
    let (child, socket) = containerd(dir);
    let call = move |args: &[&str]| {
        let mut call = command("ctr", &["-a", &socket, "image"]);
        call.args(args);
        call
    };
    let loaded = "docker.io/library/bench:1";
    let saved = dir.join("ctr.saved").display().to_string();
    let (archive, name, remote) = (archive.to_owned(), name.to_owned(), name.to_owned());
    let (reset, pull, load) = (call.clone(), call.clone(), call.clone());
    let engine = Engine {
        name: "ctr",
        daemons: vec![child.0.id()],
        reset: Box::new(move || {
            // Waits for the garbage to be gone: for that of the last name only, and only if there
            // is such an image.
            for name in [loaded, &remote] {
                let _ = reset(&["rm", "--sync", name]).output();
            }
        }),
        pull: Box::new(move || vec![pull(&["pull", "--plain-http", &name])]),
        load: Box::new(move || vec![load(&["import", &archive])]),
        save: Box::new(move || vec![call(&["export", &saved, loaded])]),
    };
    (child, engine)
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}

#[test]
#[ignore = "a benchmark: make deck-images-bench"]
fn images() {
    let rounds = std::env::var("DECK_BENCH_ROUNDS").map_or(5, |text| text.parse().unwrap());
    let home = tempfile::Builder::new().prefix("deck-bench-").tempdir_in("/var/tmp").unwrap();
    let dir = home.path();
    let registry = Registry::start(Guard::None);
    let archive = image(dir);
    let source = format!("docker-archive:{}", archive.display());
    let name = format!("{}/bench:1", registry.host);
    let target = format!("docker://{name}");
    run("skopeo", &["copy", "-q", "--dest-tls-verify=false", &source, &target]);
    let archive = archive.display().to_string();
    let (_dockerd, docker) = docker(dir, &archive, &name);
    let (_containerd, ctr) = ctr(dir, &archive, &name);
    let engines = [
        deck(dir, &archive, &name),
        docker,
        podman(dir, &archive, &name),
        skopeo(dir, &archive, &name),
        ctr,
    ];
    let mut costs: Vec<[Vec<Cost>; 3]> = engines.iter().map(|_| Default::default()).collect();
    for _ in 0..rounds {
        for (engine, costs) in engines.iter().zip(&mut costs) {
            (engine.reset)();
            // What was written before is not to be paid for now.
            nix::unistd::sync();
            costs[0].push(cost(&(engine.pull)(), &engine.daemons));
            (engine.reset)();
            nix::unistd::sync();
            costs[1].push(cost(&(engine.load)(), &engine.daemons));
            nix::unistd::sync();
            costs[2].push(cost(&(engine.save)(), &engine.daemons));
        }
    }
    for engine in &engines {
        (engine.reset)();
    }
    println!("Medians of {rounds} rounds, in turn; the ratio is to deck.\n");
    print!("{}", table(&engines, &costs, "until it returns", |cost| cost.wall));
    println!();
    print!("{}", table(&engines, &costs, "until it is on the disk", |cost| cost.durable));
}

fn table(
    engines: &[Engine],
    costs: &[[Vec<Cost>; 3]],
    what: &str,
    time: fn(&Cost) -> Duration,
) -> String {
    let mut text = format!(
        "| {what} | pull, ms | | load, ms | | save, ms | | peak memory of pull, load, save, MiB |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|\n"
    );
    let wall = |costs: &[Cost]| {
        median(costs.iter().map(|cost| u64::try_from(time(cost).as_millis()).unwrap()).collect())
    };
    for (engine, own) in engines.iter().zip(costs) {
        let mut line = format!("| {} |", engine.name);
        for (step, ours) in own.iter().zip(&costs[0]) {
            let (time, least) = (wall(step), wall(ours).max(1));
            let ratio = time * 10 / least;
            write!(line, " {time} | {}.{} |", ratio / 10, ratio % 10).unwrap();
        }
        let memory: Vec<String> = own
            .iter()
            .map(|step| (median(step.iter().map(|cost| cost.memory).collect()) >> 10).to_string())
            .collect();
        writeln!(text, "{line} {} |", memory.join(", ")).unwrap();
    }
    text
}
