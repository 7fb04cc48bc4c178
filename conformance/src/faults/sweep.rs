//! One operation of a runtime, over and over, each time with a fault at another system call.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};

use super::trace::{self, Fault, Orders, Point, Side, Trace};
use super::{Operation, look, posture};
use crate::case::{Stop, Verdict, ensure, fail};
use crate::container::{Container, parse, worked};
use crate::context::Context;
use crate::process::{self, Exit};
use crate::run::sweep::{clear_cgroups, unmount};
use crate::runtime::read;

/// After this an operation counts as hung.
const LIMIT: Duration = Duration::from_secs(20);

/// The container that must not be touched.
const BYSTANDER: &str = "bystander";

/// What the program in the container tries.
const REQUESTS: [&str; 6] = [
    "stat:/dev/null",
    "call:140,0,0",
    "list:/dev",
    "read:/etc/masked",
    "create:/etc/readonly/new",
    "read:/proc/sys/kernel/msgmax",
];

/// Calls that give no result, or none that could be an error.
const WITHOUT_RESULT: [i64; 12] = [
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_rt_sigreturn,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_set_tid_address,
    libc::SYS_umask,
];

/// Tries `fault` at calls of `operation`: all of them, or as many as the context says.
pub fn run(c: &mut Context, operation: Operation, fault: Fault) -> Verdict {
    configure(c)?;
    let mut sweep = Sweep::prepare(c, operation)?;
    let plain = sweep.plain()?;
    let all = candidates(&plain.calls, fault);
    let points = sample(&all, sweep.c.points);
    let mut wrong = Vec::new();
    for point in &points {
        match sweep.point(*point, fault) {
            Ok(()) => {}
            Err(Stop::Fail(text)) => {
                wrong.push(format!("{}: {text}", describe(*point, &plain.calls)));
                sweep.clear();
            }
            Err(other) => return Err(other),
        }
    }
    sweep.end()?;
    c.tally = Some((points.len() - wrong.len(), points.len()));
    c.saw(format!("{} of {} points survived", points.len() - wrong.len(), points.len()));
    let first = wrong.first().cloned();
    c.notes.extend(wrong);
    first.map_or(Ok(()), fail)
}

/// Something of everything a runtime does for a container.
fn configure(c: &mut Context) -> Verdict {
    std::fs::write(c.rootfs().join("etc/masked"), "secret")?;
    std::fs::create_dir_all(c.rootfs().join("etc/readonly"))?;
    let rule = json!({"names": ["getpriority"], "action": "SCMP_ACT_ERRNO"});
    c.set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}));
    c.set("/linux/maskedPaths", json!(["/etc/masked", "/proc/kcore"]));
    c.set("/linux/readonlyPaths", json!(["/etc/readonly", "/proc/sys"]));
    c.set("/linux/sysctl", json!({"kernel.msgmax": "4242"}));
    c.set("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 200, "hard": 200}]));
    c.set("/process/oomScoreAdj", 100);
    c.set("/process/user/additionalGids", json!([7, 8]));
    c.set("/process/user/umask", 0o027);
    c.set(
        "/linux/devices",
        json!([{
            "path": "/dev/made", "type": "c", "major": 1, "minor": 3, "fileMode": 0o600,
        }]),
    );
    c.set(
        "/linux/resources",
        json!({
            "devices": [
                {"allow": false, "access": "rwm"},
                {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rw"},
            ],
            "pids": {"limit": 64}, "memory": {"limit": 256 << 20}, "cpu": {"shares": 512},
        }),
    );
    c.namespace("network", None);
    c.stay(&REQUESTS);
    Ok(())
}

/// The points at which the fault means something.
fn candidates(calls: &[(Side, u64)], fault: Fault) -> Vec<Point> {
    let mut counts = [0; 2];
    let mut points = Vec::new();
    for (side, number) in calls {
        let nth = counts[*side as usize];
        counts[*side as usize] += 1;
        let without = WITHOUT_RESULT.iter().any(|call| call.cast_unsigned() == *number);
        if fault == Fault::Kill || !without {
            points.push(Point { side: *side, nth });
        }
    }
    points
}

/// At most `most` points, evenly spread.
fn sample(points: &[Point], most: usize) -> Vec<Point> {
    let (have, take) = (points.len(), points.len().min(most));
    (0..take).map(|at| points[(2 * at + 1) * have / (2 * take)]).collect()
}

fn describe(point: Point, calls: &[(Side, u64)]) -> String {
    let of_side = calls.iter().filter(|(side, _)| *side == point.side);
    let number = of_side.map(|(_, number)| *number).nth(point.nth).unwrap_or(u64::MAX);
    let names = include_str!("../../data/x86_64.tsv").lines();
    let mut names = names.filter_map(|line| line.split_once('\t'));
    let name = names.find(|(found, _)| *found == number.to_string()).map_or("?", |(_, name)| name);
    format!("{:?} {name} #{}", point.side, point.nth)
}

struct Sweep<'a> {
    c: &'a Context,
    operation: Operation,
    container: Container,
    bystander: Container,
    bystander_pid: i32,
    program: PathBuf,
    cgroups: Vec<PathBuf>,
    /// What is in the state root when the container is not.
    empty: Vec<PathBuf>,
    /// What the program saw, and what its cgroups held, without any fault.
    wanted: Value,
}

impl<'a> Sweep<'a> {
    fn prepare(c: &'a mut Context, operation: Operation) -> Result<Self, Stop> {
        let own = c.cgroup.clone();
        let handle =
            |c: &Context, id: &str| Container::new(Rc::clone(&c.driver), id.into(), c.bundle());
        c.set("/linux/cgroupsPath", format!("{own}/bystander"));
        c.write()?;
        let bystander = handle(c, BYSTANDER);
        worked("create", &bystander.try_create(&[])?)?;
        bystander.start()?;
        bystander.seen()?;
        c.set("/linux/cgroupsPath", format!("{own}/container"));
        c.write()?;
        let below = format!("{}/container", own.trim_start_matches('/'));
        let cgroups = c.host.hierarchies().into_iter().map(|mount| mount.join(&below)).collect();
        let (container, program) = (handle(c, "container"), c.driver.work.join("probe"));
        let bystander_pid = bystander.pid()?;
        let (empty, wanted) = (Vec::new(), Value::Null);
        Ok(Self {
            c,
            operation,
            container,
            bystander,
            bystander_pid,
            program,
            cgroups,
            empty,
            wanted,
        })
    }

    /// Once without any fault: which calls there are, and what is wanted.
    fn plain(&mut self) -> Result<Trace, Stop> {
        self.lead_up()?;
        let trace = self.traced(None)?;
        ensure(trace.exit == Some(Exit::Code(0)), || {
            format!("{} fails when traced: {}", self.operation.name(), self.errors())
        })?;
        if self.operation == Operation::Create {
            self.container.start()?;
        }
        self.wanted = match self.operation {
            Operation::Create | Operation::Start => self.posture()?,
            Operation::Exec => self.exec_posture()?,
            Operation::Kill | Operation::Delete => Value::Null,
        };
        worked("delete", &self.container.call("delete", &["--force"])?)?;
        self.empty = look::below(&self.c.driver.root(), BYSTANDER);
        self.nothing_left()?;
        Ok(trace)
    }

    /// What comes before the operation.
    fn lead_up(&self) -> Verdict {
        if self.operation == Operation::Create {
            return Ok(());
        }
        let lead = || -> Verdict {
            worked("create", &self.container.try_create(&[])?)?;
            if self.operation == Operation::Start {
                return Ok(());
            }
            self.container.start()?;
            self.container.seen()?;
            if self.operation == Operation::Delete {
                self.container.kill("KILL")?;
                self.container.wait()?;
            }
            Ok(())
        };
        lead().map_err(|stop| match stop {
            Stop::Fail(text) => Stop::Suite(format!("without a fault: {text}")),
            other => other,
        })
    }

    fn point(&self, point: Point, fault: Fault) -> Verdict {
        self.lead_up()?;
        let trace = self.traced(Some((point, fault)))?;
        let Some(exit) = trace.exit else { return fail("it hangs") };
        // What hits init after the runtime's last look at it shows in its state.
        self.truth(exit == Exit::Code(0) && point.side == Side::Runtime)?;
        self.bystander_lives()?;
        let output = self.container.call("delete", &["--force"])?;
        ensure(output.ok(), || format!("delete --force {}", output.summary()))?;
        self.nothing_left()?;
        self.bystander_lives()
    }

    /// `state` is true; an operation that says it worked has worked; a program that runs is
    /// confined as without the fault.
    fn truth(&self, worked: bool) -> Verdict {
        if self.operation == Operation::Kill && worked {
            // The signal is sent; the end comes a moment later.
            process::settles(|children| children == [self.bystander_pid]);
        }
        let status = self.status()?;
        let says = |wanted: &str| {
            let text = || format!("{} says it worked, state {status:?}", self.operation.name());
            ensure(!worked || status == wanted, text)
        };
        match self.operation {
            Operation::Create => {
                says("created")?;
                if status == "created" {
                    let output = self.container.call("start", &[])?;
                    ensure(output.ok() || !worked, || format!("start {}", output.summary()))?;
                    return if output.ok() { self.same(&self.posture()?) } else { Ok(()) };
                }
                Ok(())
            }
            Operation::Start => {
                says("running")?;
                if status == "running" { self.same(&self.posture()?) } else { Ok(()) }
            }
            Operation::Exec => {
                let told = read(&self.file("exec", "out")).contains('{');
                ensure(told || !worked, || "exec says it worked, and nothing ran".into())?;
                if told { self.same(&self.exec_posture()?) } else { Ok(()) }
            }
            Operation::Kill => says("stopped"),
            Operation::Delete if worked => self.nothing_left(),
            Operation::Delete => Ok(()),
        }
    }

    fn status(&self) -> Result<String, Stop> {
        look::status(&self.container, &self.program, self.bystander_pid)
    }

    fn posture(&self) -> Result<Value, Stop> {
        let seen = posture::of(&self.container.seen()?);
        Ok(json!({"program": seen, "cgroups": posture::of_cgroups(&self.cgroups)}))
    }

    fn exec_posture(&self) -> Result<Value, Stop> {
        Ok(posture::of(&parse(&read(&self.file("exec", "out")))?))
    }

    fn same(&self, seen: &Value) -> Verdict {
        posture::difference(&self.wanted, seen)
            .map_or(Ok(()), |text| fail(format!("the program runs with another posture: {text}")))
    }

    fn nothing_left(&self) -> Verdict {
        let root = self.c.driver.root();
        let bystander = (BYSTANDER, self.bystander_pid);
        look::nothing_left((&root, &self.empty), &self.cgroups, &self.c.driver.dir, bystander)
    }

    fn bystander_lives(&self) -> Verdict {
        let state = self.bystander.state()?;
        let runs = state["status"] == "running" && state["pid"] == self.bystander_pid;
        ensure(runs && trace::runs(self.bystander_pid, &self.program), || {
            format!("another container is touched: {state}")
        })
    }

    fn file(&self, name: &str, ending: &str) -> PathBuf {
        self.c.driver.dir.join(format!("{name}.{ending}"))
    }

    /// The file that takes the operation's output.
    fn stream(&self) -> String {
        match self.operation {
            Operation::Create => self.container.id.clone(),
            other => other.name().into(),
        }
    }

    fn errors(&self) -> String {
        read(&self.file(&self.stream(), "err"))
    }

    fn traced(&self, fault: Option<(Point, Fault)>) -> Result<Trace, Stop> {
        let init = match self.operation {
            Operation::Start => Some(self.container.pid()?),
            _ => None,
        };
        let orders = Orders { program: &self.program, init, fault, limit: LIMIT };
        trace::follow(self.command()?, orders)
    }

    fn command(&self) -> Result<Command, Stop> {
        let mut command = self.c.driver.command();
        command.arg("--root").arg(self.c.driver.root()).arg(self.operation.name());
        if self.operation == Operation::Create {
            command.arg("--bundle").arg(self.c.bundle());
            command.arg("--pid-file").arg(self.file(&self.container.id, "pid"));
        }
        command.arg(&self.container.id);
        match self.operation {
            Operation::Exec => command.args(["/probe", "report"]).args(REQUESTS),
            Operation::Kill => command.arg("KILL"),
            _ => &mut command,
        };
        let name = self.stream();
        command.stdin(Stdio::null());
        command.stdout(File::create(self.file(&name, "out"))?);
        command.stderr(File::create(self.file(&name, "err"))?);
        Ok(command)
    }

    /// Takes away what the runtime could not.
    fn clear(&self) {
        let _ = self.container.call("delete", &["--force"]);
        clear_cgroups(&format!("{}/container", self.c.cgroup), &self.c.host, || {
            process::kill_children(&[self.bystander_pid]);
        });
        unmount(&self.c.driver.dir);
        for path in look::below(&self.c.driver.root(), BYSTANDER).iter().rev() {
            if !self.empty.contains(path) {
                // A directory goes once what is in it has gone.
                let _ = std::fs::remove_file(path).or_else(|_| std::fs::remove_dir(path));
            }
        }
    }

    fn end(self) -> Verdict {
        self.bystander_lives()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_spread_evenly() {
        let calls: Vec<(Side, u64)> = (0..100).map(|_| (Side::Runtime, 0)).collect();
        let all = candidates(&calls, Fault::Kill);
        let places = |most| -> Vec<usize> { sample(&all, most).iter().map(|p| p.nth).collect() };
        assert_eq!(places(4), [12, 37, 62, 87]);
        assert_eq!(places(1000).len(), 100);
        assert!(sample(&[], 4).is_empty());
    }

    #[test]
    fn a_call_without_result_cannot_fail() {
        let exit = libc::SYS_exit_group.cast_unsigned();
        let calls = [(Side::Init, 0), (Side::Runtime, exit), (Side::Init, 1)];
        let errors = candidates(&calls, Fault::Error(nix::errno::Errno::EIO));
        assert_eq!(errors, [0, 1].map(|nth| Point { side: Side::Init, nth }));
        assert_eq!(candidates(&calls, Fault::Kill).len(), 3);
        assert_eq!(describe(Point { side: Side::Init, nth: 1 }, &calls), "Init write #1");
    }
}
