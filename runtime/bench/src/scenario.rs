//! What is measured: each figure for all runtimes in turn, so that a drift of the machine's speed
//! meets them alike.

use crate::bundle::{Bundle, Kind};
use crate::measure::{self, Cost, Spread, rest, run, spread, urgent};
use crate::peer::Peer;
use crate::pod::Pod;
use crate::trace;
use nix::libc;
use nix::unistd::Pid;
use serde::Serialize;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// One figure of one runtime.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What was measured, such as `run` or `create`.
    pub what: String,
    /// Under which circumstances: the bundle, and more.
    pub case: String,
    /// The runtime's name.
    pub runtime: String,
    /// `ms`, `KiB` or a count.
    pub unit: &'static str,
    /// The figure.
    pub value: Spread,
}

/// How much is done.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Repetitions of each figure.
    pub runs: usize,
    /// Containers alive in the crowd.
    pub crowd: usize,
    /// Additional mounts of the host.
    pub mounts: usize,
}

/// The runtimes, the place, and what was measured so far.
pub struct Bench<'a> {
    /// The runtimes; the first is the one that others are compared with.
    pub peers: &'a [Peer],
    /// A directory for bundles.
    pub dir: PathBuf,
    /// How much is done.
    pub effort: Effort,
    /// A pod to join.
    pub pod: Pod,
    /// The results.
    pub rows: Vec<Row>,
}

impl Bench<'_> {
    /// Everything, in the order of the report.
    ///
    /// # Errors
    /// A runtime that fails at something all of them should do.
    pub fn all(&mut self) -> io::Result<()> {
        for kind in Kind::ALL {
            step(kind.name());
            self.runs(kind, Duration::ZERO, "back to back")?;
            self.commands(kind)?;
            self.counts(kind)?;
        }
        step("isolated runs");
        for kind in Kind::ALL {
            self.runs(kind, Duration::from_millis(100), "100 ms apart")?;
        }
        step("delete --force");
        self.force()?;
        step("memory limits");
        for kind in [Kind::Default, Kind::Docker] {
            self.smallest_limit(kind)?;
        }
        step("eight at once");
        self.parallel(8)?;
        step("host mounts");
        self.host_mounts()?;
        step("a crowd");
        self.crowd()
    }

    fn bundle(&self, name: &str, kind: Kind, program: &str) -> io::Result<Bundle> {
        Bundle::make(&self.dir.join(name), kind, program, &self.pod.namespaces())
    }

    fn push(&mut self, what: &str, case: &str, peer: &Peer, unit: &'static str, all: Vec<f64>) {
        self.rows.push(Row {
            what: what.to_owned(),
            case: case.to_owned(),
            runtime: peer.name.clone(),
            unit,
            value: spread(all),
        });
    }

    /// One figure's repetitions for every runtime in turn.
    fn alternate(
        &mut self,
        what: &str,
        case: &str,
        mut one: impl FnMut(&Peer, usize) -> io::Result<Vec<(&'static str, Cost)>>,
    ) -> io::Result<()> {
        let peers = self.peers;
        let mut all: Vec<Vec<Vec<(&'static str, Cost)>>> = vec![Vec::new(); peers.len()];
        for number in 0..=self.effort.runs {
            for (peer, costs) in peers.iter().zip(&mut all) {
                let cost = one(peer, number)
                    .map_err(|error| io::Error::other(format!("{}: {what}: {error}", peer.name)))?;
                // The first round warms caches up.
                if number > 0 {
                    costs.push(cost);
                }
            }
        }
        for (peer, costs) in peers.iter().zip(all) {
            let names: Vec<&str> = costs.first().into_iter().flatten().map(|one| one.0).collect();
            for (index, name) in names.into_iter().enumerate() {
                let figures = |part: fn(&Cost) -> f64| -> Vec<f64> {
                    costs
                        .iter()
                        .filter_map(|round| round.get(index))
                        .map(|one| part(&one.1))
                        .collect()
                };
                self.push(&format!("{name} cpu"), case, peer, "ms", figures(|cost| cost.cpu));
                self.push(&format!("{name} wall"), case, peer, "ms", figures(|cost| cost.wall));
                #[allow(clippy::cast_precision_loss, reason = "small counts")]
                if name == "run" {
                    let switches = figures(|cost| cost.switches as f64);
                    self.push("run context switches", case, peer, "", switches);
                    let faults = figures(|cost| cost.faults as f64);
                    self.push("run page faults", case, peer, "", faults);
                }
            }
        }
        Ok(())
    }

    fn runs(&mut self, kind: Kind, gap: Duration, how: &str) -> io::Result<()> {
        let bundle = self.bundle("run", kind, "/exit")?;
        self.alternate("run", &format!("{}, {how}", kind.name()), |peer, number| {
            if peer.floor && kind != Kind::Default {
                return Ok(Vec::new());
            }
            rest(gap);
            let mut command = peer.run(&bundle, &format!("bench-run-{number}"));
            urgent(&mut command);
            Ok(vec![("run", run(&mut command)?)])
        })
    }

    /// create, state, start, exec, kill, delete, and all of it.
    fn commands(&mut self, kind: Kind) -> io::Result<()> {
        let bundle = self.bundle("life", kind, "/wait")?;
        let pid_file = self.dir.join("pid");
        self.alternate("the commands", kind.name(), |peer, number| {
            if peer.floor {
                return Ok(Vec::new());
            }
            let id = format!("bench-life-{number}");
            let mut create = peer.create(&bundle, &pid_file, &id);
            let mut costs = vec![("create", run(&mut create)?)];
            let pid = read_pid(&pid_file)?;
            // What init has done so far is part of creating.
            let init = measure::cpu_so_far(pid)?;
            if let Some((_, cost)) = costs.first_mut() {
                cost.cpu += init;
            }
            for (name, words) in [
                ("state", &["state", &id][..]),
                ("start", &["start", &id]),
                ("exec", &["exec", &id, "/exit"]),
                ("kill", &["kill", &id, "KILL"]),
            ] {
                costs.push((name, run(&mut peer.command(words))?));
            }
            let (_, whole) = measure::wait(pid)?;
            costs.push(("delete", run(&mut peer.command(&["delete", &id]))?));
            let mut total = Cost::default();
            for (name, cost) in &costs {
                if !matches!(*name, "state" | "exec") {
                    total.cpu += cost.cpu;
                    total.wall += cost.wall;
                }
            }
            total.cpu += (whole.cpu - init).max(0.0);
            costs.push(("create+start+kill+delete", total));
            Ok(costs)
        })
    }

    /// System calls and peaks of memory.
    fn counts(&mut self, kind: Kind) -> io::Result<()> {
        let once = self.bundle("run", kind, "/exit")?;
        let life = self.bundle("life", kind, "/wait")?;
        let pid_file = self.dir.join("pid");
        for peer in self.peers {
            if peer.floor && kind != Kind::Default {
                continue;
            }
            let counts = trace::count(&mut peer.run(&once, "bench-count"))?;
            #[allow(clippy::cast_precision_loss, reason = "small counts")]
            let one = |count: u64| vec![count as f64];
            self.push("run system calls", kind.name(), peer, "", one(counts.syscalls));
            self.push("run peak memory", kind.name(), peer, "KiB", one(counts.peak));
            if peer.floor {
                continue;
            }
            run(&mut peer.create(&life, &pid_file, "bench-count"))?;
            let init = Pid::from_raw(read_pid(&pid_file)?);
            let peak = trace::peak(init).unwrap_or_default();
            self.push("init before exec, peak memory", kind.name(), peer, "KiB", one(peak));
            run(&mut peer.command(&["delete", "--force", "bench-count"]))?;
            measure::wait(init.as_raw())?;
        }
        Ok(())
    }

    fn force(&mut self) -> io::Result<()> {
        let bundle = self.bundle("life", Kind::Default, "/wait")?;
        let pid_file = self.dir.join("pid");
        self.alternate("delete --force", "default, running", |peer, number| {
            if peer.floor {
                return Ok(Vec::new());
            }
            let id = format!("bench-force-{number}");
            run(&mut peer.create(&bundle, &pid_file, &id))?;
            run(&mut peer.command(&["start", &id]))?;
            // Whoever made the container has to reap its init, or it can't be seen to end.
            let pid = read_pid(&pid_file)?;
            let reaper = reap_in_background(pid);
            let cost = run(&mut peer.command(&["delete", "--force", &id]));
            if cost.is_err() {
                // Or its end would be waited for without one.
                let _ = nix::sys::signal::kill(Pid::from_raw(pid), nix::sys::signal::SIGKILL);
            }
            let _ = reaper.join();
            Ok(vec![("delete --force", cost?)])
        })
    }

    /// The least memory limit under which a container starts, in steps of 8 KiB.
    fn smallest_limit(&mut self, kind: Kind) -> io::Result<()> {
        const STEP: u64 = 8;
        for peer in self.peers.iter().filter(|peer| !peer.floor) {
            let starts = |kib: u64| -> io::Result<bool> {
                let bundle = Bundle::with(
                    &self.dir.join("limit"),
                    kind,
                    "/exit",
                    &self.pod.namespaces(),
                    |config| {
                        config["linux"]["resources"]["memory"] =
                            serde_json::json!({"limit": kib * 1024});
                    },
                )?;
                let (status, _) = measure::run_any(&mut peer.run(&bundle, "bench-limit"))?;
                if status != 0 {
                    let mut clean = peer.command(&["delete", "--force", "bench-limit"]);
                    measure::run_any(&mut clean)?;
                }
                Ok(status == 0)
            };
            let (mut low, mut high) = (0, 16 << 10);
            while high - low > STEP {
                let middle = u64::midpoint(low, high) / STEP * STEP;
                if starts(middle)? { high = middle } else { low = middle }
            }
            #[allow(clippy::cast_precision_loss, reason = "a few thousand")]
            let value = vec![high as f64];
            self.push("smallest memory limit", kind.name(), peer, "KiB", value);
        }
        Ok(())
    }

    /// Containers per second with several being made at the same time.
    fn parallel(&mut self, width: usize) -> io::Result<()> {
        let bundle = self.bundle("run", Kind::Default, "/exit")?;
        let each = self.effort.runs.max(4);
        let mut rates = vec![Vec::new(); self.peers.len()];
        for _ in 0..3 {
            for (number, (peer, rates)) in self.peers.iter().zip(&mut rates).enumerate() {
                let start = Instant::now();
                let done = std::thread::scope(|scope| -> io::Result<()> {
                    let workers: Vec<_> = (0..width)
                        .map(|worker| {
                            let bundle = &bundle;
                            scope.spawn(move || {
                                (0..each).try_for_each(|number| {
                                    let id = format!("bench-many-{worker}-{number}");
                                    run(&mut peer.run(bundle, &id)).map(drop)
                                })
                            })
                        })
                        .collect();
                    workers.into_iter().try_for_each(|worker| {
                        worker.join().map_err(|_| io::Error::other("a worker panicked"))?
                    })
                });
                match done {
                    // A peer that can't do it has no figure; the others' are not lost.
                    Err(error) if number > 0 => {
                        eprintln!("{}: {width} at once: {error}", peer.name);
                        continue;
                    }
                    other => other?,
                }
                #[allow(clippy::cast_precision_loss, reason = "a few hundred")]
                rates.push((width * each) as f64 / start.elapsed().as_secs_f64());
            }
        }
        let peers = self.peers;
        for (peer, rates) in peers.iter().zip(rates).filter(|(_, rates)| !rates.is_empty()) {
            self.push("runs per second", &format!("default, {width} at once"), peer, "/s", rates);
        }
        Ok(())
    }

    /// `run` on a host with many mounts, which every new mount namespace copies.
    fn host_mounts(&mut self) -> io::Result<()> {
        let top = self.dir.join("mounts");
        fs::create_dir_all(&top)?;
        let none: Option<&str> = None;
        for _ in 0..self.effort.mounts {
            let flags = nix::mount::MsFlags::MS_BIND;
            nix::mount::mount(Some(&top), &top, none, flags, none)?;
        }
        let count = self.effort.mounts;
        let bundle = self.bundle("run", Kind::Default, "/exit")?;
        let result =
            self.alternate("run", &format!("default, {count} more host mounts"), |peer, number| {
                let id = format!("bench-mounts-{number}");
                Ok(vec![("run", run(&mut peer.run(&bundle, &id))?)])
            });
        for _ in 0..count {
            nix::mount::umount2(&top, nix::mount::MntFlags::MNT_DETACH)?;
        }
        result
    }

    /// Many containers: making them, `run`, `state` and `list` beside them, removing them.
    fn crowd(&mut self) -> io::Result<()> {
        let crowd = self.effort.crowd;
        let sizes: Vec<usize> = [1, 100, 1000].into_iter().filter(|size| *size <= crowd).collect();
        let peers = self.peers;
        for peer in peers.iter().filter(|peer| !peer.floor) {
            let life = self.bundle("life", Kind::Default, "/wait")?;
            let once = self.bundle("run", Kind::Default, "/exit")?;
            let pid_file = self.dir.join("pid");
            let mut alive = Vec::new();
            let mut made = Cost::default();
            for size in &sizes {
                for number in alive.len()..*size {
                    let id = format!("bench-crowd-{number}");
                    let cost = run(&mut peer.create(&life, &pid_file, &id))?;
                    let started = run(&mut peer.command(&["start", &id]))?;
                    made.wall += cost.wall + started.wall;
                    alive.push((id, read_pid(&pid_file)?));
                }
                for (what, words) in
                    [("run", None), ("state", Some(["state", "bench-crowd-0"])), ("list", None)]
                {
                    let mut costs = Vec::new();
                    for number in 0..self.effort.runs {
                        let mut command = match (what, words) {
                            (_, Some(words)) => peer.command(&words),
                            ("list", None) => peer.command(&["list", "--format", "json"]),
                            _ => peer.run(&once, &format!("bench-beside-{number}")),
                        };
                        costs.push(run(&mut command)?.cpu);
                    }
                    let case = format!("default, {size} alive");
                    self.push(&format!("{what} cpu"), &case, peer, "ms", costs);
                }
            }
            let reapers: Vec<_> =
                alive.iter().map(|(_, pid)| *pid).map(reap_in_background).collect();
            let start = Instant::now();
            for (id, _) in &alive {
                run(&mut peer.command(&["delete", "--force", id]))?;
            }
            let removed = start.elapsed().as_secs_f64() * 1e3;
            for reaper in reapers {
                let _ = reaper.join();
            }
            let case = format!("{} containers", alive.len());
            self.push("create and start all, wall", &case, peer, "ms", vec![made.wall]);
            self.push("delete --force all, wall", &case, peer, "ms", vec![removed]);
        }
        Ok(())
    }
}

fn step(what: &str) {
    eprintln!("measuring: {what}");
}

fn read_pid(file: &Path) -> io::Result<libc::pid_t> {
    fs::read_to_string(file)?.trim().parse().map_err(io::Error::other)
}

/// Reaps an orphan when it ends.
fn reap_in_background(pid: libc::pid_t) -> std::thread::JoinHandle<()> {
    // Its stack is never used: a thousand of them cost nothing.
    std::thread::spawn(move || {
        let _ = measure::wait(pid);
    })
}

/// Removes what an interrupted benchmark may have left of a runtime's containers.
pub fn clean_up(peer: &Peer) {
    let Ok(output) = peer.command(&["list", "--quiet"]).output() else { return };
    for id in String::from_utf8_lossy(&output.stdout).split_whitespace() {
        let mut command: Command = peer.command(&["delete", "--force", id]);
        let _ = command.output();
    }
}
