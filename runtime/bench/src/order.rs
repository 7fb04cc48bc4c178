//! The order of hull's functions in its binary: those that commands go through lie side by side.
//!
//! The kernel maps a file's pages sixteen at a time, so what counts is in how many such windows the
//! functions lie that a command needs, not how many functions there are. The commands run
//! with a breakpoint at the start of every function (ptrace(2)), which goes when it is reached, and
//! what they went through becomes a linker script. Names lose their hash, so that the script holds for other compilers and later
//! sources too; a function it doesn't know, or that is gone, costs nothing but its place.

use crate::bundle::{Bundle, Kind};
use crate::peer::Peer;
use crate::trace;
use nix::libc::user_regs_struct;
use nix::sys::ptrace::{self, Event, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::mem::offset_of;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::process::Command;

/// A function: where it starts, how long it is, its name for the linker.
type Function = (u64, u64, String);

/// The instruction of a breakpoint: a byte, behind which the process stops.
const INT3: u8 = 0xcc;

/// The linker script for `peer`, a binary with symbols.
///
/// # Errors
/// It has none, or its commands can't be followed.
pub fn script(peer: &Peer, dir: &Path) -> io::Result<String> {
    let functions = functions(&peer.path)?;
    let mut used: BTreeMap<usize, u32> = BTreeMap::new();
    for mut command in commands(peer, dir)? {
        for address in entered(&mut command, &peer.path, &functions)? {
            let after = functions.partition_point(|function| function.0 <= address);
            *used.entry(after - 1).or_default() += 1;
        }
    }
    Ok(written(&functions, &used))
}

/// What most commands need first; at the end the names that stand for many instances of a generic
/// function, of which few are used.
fn written(functions: &[Function], used: &BTreeMap<usize, u32>) -> String {
    let mut instances: HashMap<&str, u32> = HashMap::new();
    for (_, _, name) in functions {
        *instances.entry(name).or_default() += 1;
    }
    let mut order: Vec<(u32, u32, usize)> = used
        .iter()
        .filter_map(|(function, count)| {
            let many = instances.get(functions.get(*function)?.2.as_str())?;
            Some((*many, *count, *function))
        })
        .collect();
    order.sort_by_key(|(many, count, function)| (*many > 1, u32::MAX - count, *function));
    let mut script = String::from(
        "/* Written by `make order`: what commands go through, side by side. */\n\
         SECTIONS\n{\n  .text.order :\n  {\n",
    );
    let mut told = BTreeSet::new();
    for (.., function) in order {
        if let Some((.., name)) = functions.get(function)
            && told.insert(name)
        {
            let _ = writeln!(script, "    *(.text.{name} .text.unlikely.{name})");
        }
    }
    script.push_str("  }\n}\nINSERT BEFORE .text;\n");
    script
}

fn functions(binary: &Path) -> io::Result<Vec<Function>> {
    let output = Command::new("nm").args(["-nS", "--defined-only"]).arg(binary).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let functions: Vec<Function> = text.lines().filter_map(function).collect();
    if functions.is_empty() {
        return Err(io::Error::other(format!("{}: no symbols", binary.display())));
    }
    Ok(functions)
}

/// A line of nm(1): address, size, kind, name.
fn function(line: &str) -> Option<Function> {
    let mut words = line.split_whitespace();
    let (start, length) = (words.next()?, words.next()?);
    if !matches!(words.next()?, "t" | "T" | "w" | "W") {
        return None;
    }
    let hex = |word| u64::from_str_radix(word, 16).ok();
    Some((hex(start)?, hex(length)?, without_hash(words.next()?)))
}

/// `_ZN…17h<16 digits>E` with any hash.
fn without_hash(name: &str) -> String {
    const HASH: usize = 16;
    let hash = name.rfind("17h").filter(|at| {
        name.get(at + 3..at + 3 + HASH).is_some_and(|h| h.bytes().all(|b| b.is_ascii_hexdigit()))
    });
    match hash {
        Some(at) if name.starts_with("_ZN") => format!("{}17h*", &name[..at]),
        _ => name.to_owned(),
    }
}

/// The commands that matter, in an order in which each finds what it needs.
fn commands(peer: &Peer, dir: &Path) -> io::Result<Vec<Command>> {
    let bundle = |name: &str, kind, program| {
        let dir = dir.join(name);
        fs::create_dir_all(&dir)?;
        Bundle::make(&dir, kind, program, &[])
    };
    let lives = bundle("order-lives", Kind::Default, "/wait")?;
    let docker = bundle("order-docker", Kind::Docker, "/exit")?;
    let pid_file = dir.join("order.pid");
    // Compiles the filter, which the second run finds ready.
    peer.run(&docker, "order-2").output()?;
    Ok(vec![
        peer.run(&bundle("order-default", Kind::Default, "/exit")?, "order-1"),
        peer.run(&docker, "order-2"),
        peer.create(&lives, &pid_file, "order-3"),
        peer.command(&["start", "order-3"]),
        peer.command(&["state", "order-3"]),
        peer.command(&["list"]),
        peer.command(&["exec", "order-3", "/exit"]),
        peer.command(&["kill", "order-3", "KILL"]),
        peer.command(&["delete", "--force", "order-3"]),
    ])
}

/// Every function that `command` and its descendants enter, by where it starts, as long as they run
/// `binary`.
fn entered(
    command: &mut Command,
    binary: &Path,
    functions: &[Function],
) -> io::Result<BTreeSet<u64>> {
    let first = trace::start(command, Options::empty())?;
    // `start` has stopped it behind its execve(2).
    let text = Text::of(first, functions)?;
    ptrace::cont(first, None)?;
    let ours = identity(binary)?;
    let mut seen = BTreeSet::new();
    loop {
        let (pid, signal) = match waitpid(None, Some(WaitPidFlag::__WALL)) {
            Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..)) if pid == first => {
                return Ok(seen);
            }
            Ok(WaitStatus::PtraceEvent(pid, _, event)) => {
                if event == Event::PTRACE_EVENT_EXEC as i32 {
                    let exe = format!("/proc/{pid}/exe");
                    if identity(Path::new(&exe)).ok() != Some(ours) {
                        let _ = ptrace::detach(pid, None);
                        continue;
                    }
                    text.set_breakpoints(pid)?;
                }
                (pid, None)
            }
            Ok(WaitStatus::Stopped(pid, Signal::SIGTRAP)) => {
                // It may have been killed meanwhile; then its end is the next thing heard of it.
                if let Ok(Some(address)) = text.pass(pid) {
                    seen.insert(address);
                }
                (pid, None)
            }
            Ok(WaitStatus::Stopped(pid, Signal::SIGSTOP)) => (pid, None),
            Ok(WaitStatus::Stopped(pid, signal)) => (pid, Some(signal)),
            Err(nix::errno::Errno::ECHILD) => return Ok(seen),
            Ok(_) | Err(nix::errno::Errno::EINTR) => continue,
            Err(errno) => return Err(errno.into()),
        };
        // As above.
        let _ = ptrace::cont(pid, signal);
    }
}

/// The code of the binary: as it is, and with a breakpoint where each function starts.
struct Text {
    start: u64,
    code: Vec<u8>,
    breakpoints: Vec<u8>,
}

impl Text {
    /// Reads the code of a process that runs the binary and has executed nothing of it yet, and
    /// sets the breakpoints there.
    fn of(pid: Pid, functions: &[Function]) -> io::Result<Self> {
        let start = functions.iter().map(|function| function.0).min().unwrap_or_default();
        let end = functions.iter().map(|function| function.0 + function.1.max(1)).max();
        let length = usize::try_from(end.unwrap_or_default() - start).map_err(io::Error::other)?;
        let mut code = vec![0; length];
        File::open(format!("/proc/{pid}/mem"))?.read_exact_at(&mut code, start)?;
        let mut breakpoints = code.clone();
        for (address, ..) in functions {
            let at = usize::try_from(address - start).ok();
            if let Some(byte) = at.and_then(|at| breakpoints.get_mut(at)) {
                *byte = INT3;
            }
        }
        let text = Self { start, code, breakpoints };
        text.set_breakpoints(pid)?;
        Ok(text)
    }

    /// In a process that has just executed the binary; what it forks inherits them.
    fn set_breakpoints(&self, pid: Pid) -> io::Result<()> {
        memory(pid)?.write_all_at(&self.breakpoints, self.start)
    }

    /// Takes away the breakpoint that has stopped `pid`, and returns where it was; none if something
    /// else has stopped it.
    fn pass(&self, pid: Pid) -> io::Result<Option<u64>> {
        let counter = offset_of!(user_regs_struct, rip) as ptrace::AddressType;
        let address = ptrace::read_user(pid, counter)?.cast_unsigned().wrapping_sub(1);
        let at = usize::try_from(address.wrapping_sub(self.start)).unwrap_or(usize::MAX);
        let (Some(byte), Some(&INT3)) = (self.code.get(at), self.breakpoints.get(at)) else {
            return Ok(None);
        };
        memory(pid)?.write_all_at(std::slice::from_ref(byte), address)?;
        ptrace::write_user(pid, counter, address.cast_signed())?;
        Ok(Some(address))
    }
}

/// What a traced process' memory is written by, read-only pages too (`proc_pid_mem(5)`).
fn memory(pid: Pid) -> io::Result<File> {
    File::options().write(true).open(format!("/proc/{pid}/mem"))
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(path).map(|file| (file.dev(), file.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_left_out() {
        assert_eq!(without_hash("_ZN4hull4main17h0123456789abcdefE"), "_ZN4hull4main17h*");
        assert_eq!(without_hash("memcpy"), "memcpy");
        assert_eq!(without_hash("_ZN1a17hnothex0123456789E"), "_ZN1a17hnothex0123456789E");
    }

    #[test]
    fn generic_names_come_last_and_common_functions_first() {
        let functions: Vec<Function> =
            [(0, "a"), (1, "many"), (2, "many"), (3, "b"), (4, "unused")]
                .map(|(start, name)| (start, 1, name.to_owned()))
                .into();
        let used = BTreeMap::from([(0, 1), (1, 5), (2, 5), (3, 2)]);
        let script = written(&functions, &used);
        let order: Vec<&str> =
            script.lines().filter_map(|line| line.trim().strip_prefix("*(.text.")).collect();
        let names: Vec<&str> =
            order.iter().filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(names, ["b", "a", "many"]);
    }

    #[test]
    fn lines_of_nm() {
        let line = "0000000000401010 0000000000000020 T main";
        assert_eq!(function(line), Some((0x40_1010, 0x20, "main".to_owned())));
        assert_eq!(function("0000000000401010 0000000000000020 b ARENA"), None);
        assert_eq!(function("0000000000401010 T main"), None);
    }
}
