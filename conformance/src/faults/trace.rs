//! Follows a command and its children system call by system call (ptrace(2)), and at one of the
//! calls kills the process or makes the call fail.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::case::Stop;
use crate::process::{self, Exit};
use crate::{faults::registers, sys};

/// Whose system calls are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The command's own process, with its threads.
    Runtime,
    /// Its children, up to the container's program, and an init that waits for it.
    Init,
}

/// Children and tracees of this thread, not of others (waitpid(2)).
const OWN: WaitPidFlag = WaitPidFlag::__WALL.union(WaitPidFlag::__WNOTHREAD);

/// Signals by which the processor ends a program.
const CRASH: [Signal; 4] = [Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGILL, Signal::SIGFPE];

/// What happens at a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process is killed before the call.
    Kill,
    /// The call gives this error and is not made, unless it is close(2).
    Error(Errno),
}

/// A system call: whose, and how many of that side's come before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// Whose call.
    pub side: Side,
    /// Its place.
    pub nth: usize,
}

/// What was seen.
#[derive(Debug)]
pub struct Trace {
    /// How the command ended; `None` when it hung and was killed.
    pub exit: Option<Exit>,
    /// The calls before the fault, or all: whose, and the number in the table of system calls.
    pub calls: Vec<(Side, u64)>,
    /// Whether the fault's point was reached.
    pub hit: bool,
}

/// What to follow and what to do.
#[derive(Clone, Copy)]
pub struct Orders<'a> {
    /// The container's program: a process is followed until it runs it.
    pub program: &'a Path,
    /// An init that waits for the command, to be followed too.
    pub init: Option<i32>,
    /// What to do, and where.
    pub fault: Option<(Point, Fault)>,
    /// After this the command counts as hung.
    pub limit: Duration,
}

/// Runs `command` to its end as ordered. A process still followed then goes on by itself.
pub fn follow(command: Command, orders: Orders<'_>) -> Result<Trace, Stop> {
    let followed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let (sender, receiver) = channel();
        let shared = &followed;
        // A thread's tracees are let go when it ends (ptrace(2), PTRACE_DETACH).
        let tracer = scope.spawn(move || {
            let traced = Tracer::start(command, orders, shared).and_then(Tracer::run);
            // Nobody listens any more once the time is up.
            let _ = sender.send(());
            traced
        });
        let late = receiver.recv_timeout(orders.limit).is_err();
        if late {
            let pids = followed.lock().map(|pids| pids.clone()).unwrap_or_default();
            pids.into_iter().for_each(process::kill);
        }
        let traced = tracer.join().map_err(|_| Stop::Suite("the tracer died".into()))?;
        let mut trace = traced.map_err(|errno| Stop::Suite(format!("ptrace: {errno}")))?;
        trace.exit = trace.exit.filter(|_| !late);
        Ok(trace)
    })
}

#[derive(Clone, Copy)]
struct Task {
    side: Side,
    /// The process the thread belongs to.
    process: i32,
    /// Between the entry and the exit of a system call.
    inside: bool,
}

struct Tracer<'a> {
    orders: Orders<'a>,
    shared: &'a Mutex<Vec<i32>>,
    main: i32,
    /// The waiting init, as long as it is neither gone nor the container's program.
    waiting: Option<i32>,
    tasks: HashMap<i32, Task>,
    counts: [usize; 2],
    /// The task whose call is being made to fail.
    failing: Option<(i32, Errno)>,
    trace: Trace,
}

impl<'a> Tracer<'a> {
    fn start(
        mut command: Command,
        orders: Orders<'a>,
        shared: &'a Mutex<Vec<i32>>,
    ) -> Result<Self, Errno> {
        let options = Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK;
        sys::trace_from_exec(&mut command);
        let child = command.spawn().map_err(|error| errno(&error))?;
        let main = i32::try_from(child.id()).unwrap_or(-1);
        seize(Pid::from_raw(main), options)?;
        let trace = Trace { exit: None, calls: Vec::new(), hit: false };
        let (tasks, counts) = (HashMap::new(), [0; 2]);
        let mut tracer =
            Self { orders, shared, main, waiting: None, tasks, counts, failing: None, trace };
        tracer.take(main);
        if let Some(init) = orders.init {
            ptrace::seize(Pid::from_raw(init), options)?;
            tracer.take(init);
            tracer.waiting = Some(init);
            ptrace::interrupt(Pid::from_raw(init))?;
        }
        Ok(tracer)
    }

    fn take(&mut self, tid: i32) -> Task {
        let process = process_of(tid).unwrap_or(tid);
        let side = if process == self.main { Side::Runtime } else { Side::Init };
        let task = Task { side, process, inside: false };
        self.tasks.insert(tid, task);
        if let Ok(mut shared) = self.shared.lock() {
            shared.push(process);
        }
        task
    }

    fn run(mut self) -> Result<Trace, Errno> {
        while !self.done() {
            match waitpid(None, Some(OWN)) {
                Ok(status) => self.see(status),
                Err(Errno::EINTR) => {}
                Err(Errno::ECHILD) => break,
                Err(errno) => return Err(errno),
            }
        }
        Ok(self.trace)
    }

    /// The command has ended, and so has what it has set going.
    fn done(&self) -> bool {
        match self.trace.exit {
            None => false,
            // An init that was not let go waits for ever.
            Some(exit) => self.waiting.is_none() || exit != Exit::Code(0),
        }
    }

    fn see(&mut self, status: WaitStatus) {
        match status {
            WaitStatus::Exited(pid, code) => self.ended(pid.as_raw(), Exit::Code(code)),
            WaitStatus::Signaled(pid, signal, _) => {
                self.ended(pid.as_raw(), Exit::Signal(signal as i32));
            }
            WaitStatus::PtraceSyscall(pid) => self.called(pid.as_raw()),
            WaitStatus::PtraceEvent(pid, _, event) => self.event(pid.as_raw(), event),
            // The first process of a pid namespace would survive its own crash while it is traced
            // (force_sig in kernel/signal.c).
            WaitStatus::Stopped(pid, signal) if CRASH.contains(&signal) => {
                self.forget(pid.as_raw());
                // Killed meanwhile: then there is nothing to let go.
                let _ = ptrace::detach(pid, signal);
            }
            WaitStatus::Stopped(pid, signal) => {
                let tid = pid.as_raw();
                if !self.tasks.contains_key(&tid) {
                    self.take(tid);
                }
                self.resume(tid, Some(signal));
            }
            _ => {}
        }
    }

    fn ended(&mut self, tid: i32, exit: Exit) {
        self.forget(tid);
        if tid == self.main {
            self.trace.exit = Some(exit);
        }
    }

    fn forget(&mut self, tid: i32) {
        self.tasks.remove(&tid);
        self.waiting = self.waiting.filter(|waiting| *waiting != tid);
    }

    fn event(&mut self, tid: i32, event: i32) {
        if event == libc::PTRACE_EVENT_EXEC {
            // A thread that executes takes its process' number over.
            if let Ok(former) = ptrace::getevent(Pid::from_raw(tid)) {
                self.tasks.remove(&i32::try_from(former).unwrap_or(tid));
            }
            self.take(tid).inside = true;
            if let Some(task) = self.tasks.get_mut(&tid) {
                task.inside = true;
            }
            if runs(tid, self.orders.program) {
                self.forget(tid);
                // Killed meanwhile: then there is nothing to let go.
                let _ = ptrace::detach(Pid::from_raw(tid), None);
                return;
            }
        } else if !self.tasks.contains_key(&tid) {
            self.take(tid);
        }
        self.resume(tid, None);
    }

    /// At the entry or the exit of a system call.
    fn called(&mut self, tid: i32) {
        let pid = Pid::from_raw(tid);
        let Some(task) = self.tasks.get_mut(&tid) else { return self.resume(tid, None) };
        task.inside = !task.inside;
        let task = *task;
        if !task.inside {
            if let Some((_, errno)) = self.failing.take_if(|(failing, _)| *failing == tid) {
                // Killed meanwhile, it needs no result.
                let _ = registers::fail(pid, errno);
            }
        } else if !self.trace.hit && self.enters(pid, task) {
            return;
        }
        self.resume(tid, None);
    }

    /// Counts a call; `true` when the process is killed at it.
    fn enters(&mut self, pid: Pid, task: Task) -> bool {
        let count = &mut self.counts[task.side as usize];
        let point = Point { side: task.side, nth: *count };
        *count += 1;
        // Killed meanwhile, it makes no call.
        let Ok(number) = registers::number(pid) else { return false };
        self.trace.calls.push((task.side, number));
        let Some((_, fault)) = self.orders.fault.filter(|(at, _)| *at == point) else {
            return false;
        };
        self.trace.hit = true;
        match fault {
            Fault::Kill => process::kill(task.process),
            Fault::Error(errno) => {
                // close(2): whatever it says, the descriptor is closed.
                let made = number == libc::SYS_close.cast_unsigned();
                if made || registers::skip(pid).is_ok() {
                    self.failing = Some((pid.as_raw(), errno));
                }
            }
        }
        fault == Fault::Kill
    }

    /// Lets it go on; without further stops for its calls when there is nothing to do any more.
    fn resume(&mut self, tid: i32, signal: Option<Signal>) {
        let pid = Pid::from_raw(tid);
        let idle = self.trace.hit && self.failing.is_none_or(|(failing, _)| failing != tid);
        // Killed meanwhile: its end is told next.
        let _ = if idle { ptrace::cont(pid, signal) } else { ptrace::syscall(pid, signal) };
    }
}

/// From PTRACE_TRACEME to PTRACE_SEIZE, of a process that has just been executed: only of the latter
/// a child that is let go before its first step goes on. The other's would stay stopped.
fn seize(pid: Pid, options: Options) -> Result<(), Errno> {
    waitpid(pid, Some(OWN))?;
    ptrace::detach(pid, Signal::SIGSTOP)?;
    waitpid(pid, Some(OWN | WaitPidFlag::WUNTRACED))?;
    ptrace::seize(pid, options)?;
    kill(pid, Signal::SIGCONT)
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

/// The process a thread belongs to.
fn process_of(tid: i32) -> Option<i32> {
    let status = std::fs::read_to_string(format!("/proc/{tid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Tgid:")?.trim().parse().ok())
}

/// Whether the process runs this program, under whatever name.
pub fn runs(pid: i32, program: &Path) -> bool {
    let identity = |path: &Path| path.metadata().map(|found| (found.dev(), found.ino())).ok();
    let own = identity(&PathBuf::from(format!("/proc/{pid}/exe")));
    own.is_some() && own == identity(program)
}

#[cfg(test)]
#[cfg(target_arch = "x86_64")]
mod tests {
    use super::*;

    fn orders(fault: Option<(Point, Fault)>) -> Orders<'static> {
        let limit = Duration::from_secs(60);
        Orders { program: Path::new("/nowhere"), init: None, fault, limit }
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).stdout(std::process::Stdio::null());
        command
    }

    #[test]
    fn calls_of_both_sides_are_seen() {
        let trace = follow(shell("(cd /); exit 3"), orders(None)).unwrap();
        assert_eq!(trace.exit, Some(Exit::Code(3)));
        let chdir = libc::SYS_chdir.cast_unsigned();
        assert!(trace.calls.contains(&(Side::Init, chdir)), "{:?}", trace.calls);
        assert!(!trace.calls.contains(&(Side::Runtime, chdir)));
    }

    #[test]
    fn the_chosen_call_fails_or_is_the_last() {
        let plain = follow(shell("cd / || exit 7"), orders(None)).unwrap();
        let chdir = libc::SYS_chdir.cast_unsigned();
        let nth = plain.calls.iter().position(|(_, number)| *number == chdir).unwrap();
        let point = Point { side: Side::Runtime, nth };
        let fault = |fault| follow(shell("cd / 2>&- || exit 7"), orders(Some((point, fault))));
        // With its redirection the shell makes other calls first: it is told by the exit alone.
        let failed =
            follow(shell("cd / || exit 7"), orders(Some((point, Fault::Error(Errno::EIO)))));
        assert_eq!(failed.unwrap().exit, Some(Exit::Code(7)));
        let killed = fault(Fault::Kill).unwrap();
        assert_eq!(killed.exit, Some(Exit::Signal(libc::SIGKILL)));
        assert!(killed.hit);
    }

    #[test]
    fn what_hangs_is_ended() {
        let limit = Duration::from_millis(50);
        let trace = follow(shell("sleep 600"), Orders { limit, ..orders(None) }).unwrap();
        assert_eq!(trace.exit, None);
    }
}
