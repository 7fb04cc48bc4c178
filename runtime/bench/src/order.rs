//! The order of hull's functions in its binary: those that commands go through lie side by side.
//!
//! The kernel maps a file's pages sixteen at a time, so what counts is in how many such windows the
//! functions lie that a command needs, not how many functions there are. The commands run with a
//! breakpoint at the start of every function (ptrace(2)), which goes when it is reached, and what
//! they went through becomes a linker script. Names lose their hash, so that the script holds for
//! other compilers and later sources too; a function it doesn't know, or that is gone, costs nothing
//! but its place.

use crate::bundle::{Bundle, Kind};
use crate::peer::Peer;
use crate::trace;
use nix::libc::user_regs_struct;
use nix::sys::ptrace::{self, Event, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde_json::Value;
use std::collections::hash_map::{Entry, HashMap};
use std::collections::{BTreeMap, BTreeSet};
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

/// The linker script for `peer`, a binary with symbols; `pod` has namespaces to join.
///
/// # Errors
/// It has none, or its commands can't be followed.
pub fn script(peer: &Peer, dir: &Path, pod: &[Value]) -> io::Result<String> {
    let functions = functions(&peer.path)?;
    let (mut executed, mut forked) = (Vec::new(), Vec::new());
    for mut command in commands(peer, dir, pod)? {
        for (image, is_fork) in entered(&mut command, &peer.path, &functions)? {
            if is_fork { &mut forked } else { &mut executed }.push(image);
        }
    }
    // The runtime itself needs the most.
    executed.append(&mut forked);
    Ok(written(&functions, &executed))
}

/// The functions of the first process first, behind them what the second one needs besides, and so
/// on: each finds what it needs in few places, the first one in the fewest. Among those, what most
/// processes need; at the end the names that stand for many instances of a generic function, of
/// which few are used.
fn written(functions: &[Function], images: &[BTreeSet<usize>]) -> String {
    let mut instances: HashMap<&str, u32> = HashMap::new();
    for (_, _, name) in functions {
        *instances.entry(name).or_default() += 1;
    }
    let mut used: BTreeMap<usize, (usize, u32)> = BTreeMap::new();
    for (first, image) in images.iter().enumerate() {
        for function in image {
            used.entry(*function).or_insert((first, 0)).1 += 1;
        }
    }
    let mut order: Vec<_> = used
        .into_iter()
        .filter_map(|(function, (first, count))| {
            let many = instances.get(functions.get(function)?.2.as_str())?;
            Some((*many > 1, first, u32::MAX - count, function))
        })
        .collect();
    order.sort_unstable();
    let mut script = String::from(BEGIN);
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

/// The C library's start, and what it has written in assembly, have no sections of their own.
const BEGIN: &str = "/* Written by `make order`: what commands go through, side by side. */
SECTIONS
{
  .text.order :
  {
    *crt1.o(.text .text.*)
    *.lo(.text)
";

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

/// A name as rustc mangles it, with any version of any crate: `Cs<base 62>_` (The rustc book,
/// "v0 Symbol Format", disambiguator).
fn without_hash(name: &str) -> String {
    let mut parts = name.split("Cs");
    let mut pattern = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        pattern.push_str("Cs");
        match part.split_once('_') {
            Some((hash, rest)) if hash.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                pattern.push_str("*_");
                pattern.push_str(rest);
            }
            _ => pattern.push_str(part),
        }
    }
    pattern
}

/// The commands that matter, in an order in which each finds what it needs.
fn commands(peer: &Peer, dir: &Path, pod: &[Value]) -> io::Result<Vec<Command>> {
    let bundle = |name: &str, kind, program| {
        let dir = dir.join(name);
        fs::create_dir_all(&dir)?;
        Bundle::make(&dir, kind, program, pod)
    };
    let lives = bundle("order-lives", Kind::Default, "/wait")?;
    let docker = bundle("order-docker", Kind::Docker, "/exit")?;
    let kubernetes = bundle("order-kubernetes", Kind::Kubernetes, "/exit")?;
    let pid_file = dir.join("order.pid");
    // Compiles the filter, which the second run finds ready.
    peer.run(&docker, "order-2").output()?;
    Ok(vec![
        peer.run(&bundle("order-default", Kind::Default, "/exit")?, "order-1"),
        peer.run(&docker, "order-2"),
        peer.run(&kubernetes, "order-4"),
        peer.create(&lives, &pid_file, "order-3"),
        peer.command(&["start", "order-3"]),
        peer.command(&["state", "order-3"]),
        peer.command(&["list"]),
        peer.command(&["exec", "order-3", "/exit"]),
        peer.command(&["kill", "order-3", "KILL"]),
        peer.command(&["delete", "--force", "order-3"]),
    ])
}

/// The functions that `command` and its descendants enter as long as they run `binary`, by process;
/// one that executes the binary anew is another process here. With each, whether it was forked.
fn entered(
    command: &mut Command,
    binary: &Path,
    functions: &[Function],
) -> io::Result<Vec<(BTreeSet<usize>, bool)>> {
    let first = trace::start(command, Options::empty())?;
    // `start` has stopped it behind its execve(2).
    let text = Text::of(first, functions)?;
    ptrace::cont(first, None)?;
    let ours = identity(binary)?;
    let mut images = vec![(BTreeSet::new(), false)];
    let mut image_of = HashMap::from([(first, 0)]);
    loop {
        let (pid, signal) = match waitpid(None, Some(WaitPidFlag::__WALL)) {
            Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..)) if pid == first => {
                return Ok(images);
            }
            Ok(WaitStatus::PtraceEvent(pid, _, event)) => {
                if event == Event::PTRACE_EVENT_EXEC as i32 {
                    let exe = format!("/proc/{pid}/exe");
                    if identity(Path::new(&exe)).ok() != Some(ours) {
                        let _ = ptrace::detach(pid, None);
                        continue;
                    }
                    text.set_breakpoints(pid)?;
                    image_of.insert(pid, images.len());
                    images.push((BTreeSet::new(), false));
                }
                (pid, None)
            }
            Ok(WaitStatus::Stopped(pid, Signal::SIGTRAP)) => {
                // It may have been killed meanwhile; then its end is the next thing heard of it.
                if let Ok(Some(address)) = text.pass(pid)
                    && let Some((image, _)) = image_of.get(&pid).and_then(|at| images.get_mut(*at))
                {
                    image.insert(functions.partition_point(|one| one.0 <= address) - 1);
                }
                (pid, None)
            }
            // How a new process announces itself. It has inherited only the breakpoints that its
            // parent had not reached.
            Ok(WaitStatus::Stopped(pid, Signal::SIGSTOP)) => {
                if let Entry::Vacant(new) = image_of.entry(pid) {
                    text.set_breakpoints(pid)?;
                    new.insert(images.len());
                    images.push((BTreeSet::new(), true));
                }
                (pid, None)
            }
            Ok(WaitStatus::Stopped(pid, signal)) => (pid, Some(signal)),
            Err(nix::errno::Errno::ECHILD) => return Ok(images),
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
        let name = "_RNvXs_NtCs2Nb3gJ4iU0I_5alloc3vecINtB4_3VecpENtCsaz6eC2DG7lh_4core";
        let any = "_RNvXs_NtCs*_5alloc3vecINtB4_3VecpENtCs*_4core";
        assert_eq!(without_hash(name), any);
        assert_eq!(without_hash("memcpy"), "memcpy");
        assert_eq!(without_hash("endsinCs"), "endsinCs");
    }

    #[test]
    fn the_first_process_comes_first_and_generic_names_last() {
        let functions: Vec<Function> =
            [(0, "second"), (1, "many"), (2, "many"), (3, "first"), (4, "both"), (5, "unused")]
                .map(|(start, name)| (start, 1, name.to_owned()))
                .into();
        let images = [BTreeSet::from([1, 3, 4]), BTreeSet::from([0, 2, 4])];
        let script = written(&functions, &images);
        let order: Vec<&str> =
            script.lines().filter_map(|line| line.trim().strip_prefix("*(.text.")).collect();
        let names: Vec<&str> =
            order.iter().filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(names, ["both", "first", "second", "many"]);
    }

    #[test]
    fn lines_of_nm() {
        let line = "0000000000401010 0000000000000020 T main";
        assert_eq!(function(line), Some((0x40_1010, 0x20, "main".to_owned())));
        assert_eq!(function("0000000000401010 0000000000000020 b ARENA"), None);
        assert_eq!(function("0000000000401010 T main"), None);
    }
}
