//! Terminals: `--console-socket`, a terminal in the foreground, `--pidfd-socket`.

use crate::harness::{Container, Outcome, code, eventually};
use crate::needs::{Kind, lacks};
use nix::cmsg_space;
use nix::poll::{PollFd, PollFlags, poll};
use nix::pty::openpty;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use serde_json::json;
use std::fs::{self, File};
use std::io::{IoSliceMut, Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Accepts one connection in the background and takes the descriptor that comes with it.
pub fn receiver(path: &std::path::Path) -> JoinHandle<(String, OwnedFd)> {
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        assert!(readable(&listener));
        let (stream, _) = listener.accept().unwrap();
        let mut data = [0_u8; 256];
        let mut space = cmsg_space!([RawFd; 1]);
        let mut buffers = [IoSliceMut::new(&mut data)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let message =
            recvmsg::<()>(stream.as_raw_fd(), &mut buffers, Some(&mut space), flags).unwrap();
        let fd = message.cmsgs().unwrap().find_map(|entry| match entry {
            ControlMessageOwned::ScmRights(fds) => fds.first().copied(),
            _ => None,
        });
        let length = message.bytes;
        let text = String::from_utf8_lossy(&data[..length]).into_owned();
        (text, own(fd.expect("a descriptor")))
    })
}

/// Takes over a descriptor that came by SCM_RIGHTS.
#[allow(unsafe_code)] // nix hands received descriptors over as numbers.
pub fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: recvmsg(2) just installed this descriptor for us; nobody else knows its number.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Waits ten seconds at most for something to read.
fn readable(fd: &impl AsFd) -> bool {
    let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    assert_ne!(poll(&mut fds, 10_000_u16).unwrap(), 0, "nothing to read within ten seconds");
    true
}

/// Reads a pty master until `end` was seen or the other side is gone.
fn read_until(master: &mut File, end: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0_u8; 1024];
    let limit = Instant::now() + Duration::from_secs(20);
    while !text.contains(end) && readable(master) {
        assert!(Instant::now() < limit, "no end of {text}");
        match master.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(n) => text.push_str(&String::from_utf8_lossy(&buffer[..n])),
        }
    }
    text
}

/// A container with a terminal that runs a shell script.
fn terminal(script: &str) -> Container {
    Container::sh(script).edit(|s| s["process"]["terminal"] = json!(true))
}

/// A child that does not outlive a failing test.
struct Kept(std::process::Child);

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a host script under a terminal of its own; gives what the terminal showed.
fn under_pty(c: &Container, script: &str, input: &str) -> Outcome {
    c.save();
    let pty = openpty(None, None).unwrap();
    let mut command = std::process::Command::new("setsid");
    command.args(["--ctty", "--wait", "sh", "-c", script]).current_dir(c.path(""));
    let runtime = crate::harness::runtime();
    command.env("rt", format!("{} --root {}", runtime.display(), c.text("state")));
    command.env("id", &c.id);
    command.stdin(pty.slave.try_clone().unwrap()).stdout(pty.slave.try_clone().unwrap());
    command.stderr(pty.slave);
    let mut child = Kept(command.spawn().unwrap());
    drop(command);
    let mut master = File::from(pty.master);
    master.write_all(input.as_bytes()).unwrap();
    let out = read_until(&mut master, "\0never");
    Outcome { code: code(child.0.wait().unwrap()), out, err: String::new() }
}

#[test]
fn a_console_socket_receives_the_terminal() {
    let c = terminal("tty; test -t 0 && test -t 1 && test -t 2 && echo all-three");
    let socket = c.path("console.sock");
    let receiver = receiver(&socket);
    c.create_with(&["--console-socket", socket.to_str().unwrap()]).ok();
    let (_, fd) = receiver.join().unwrap();
    let mut master = File::from(fd);
    c.call(&["start", &c.id]).ok();
    let text = read_until(&mut master, "all-three");
    assert!(text.starts_with("/dev/pts/0") || text.starts_with("/dev/console"), "{text}");
    assert!(text.contains("all-three"), "{text}");
}

#[test]
fn the_terminal_carries_input_and_is_the_controlling_one() {
    let c = terminal("read line </dev/tty; echo got-$line; echo end");
    let socket = c.path("console.sock");
    let receiver = receiver(&socket);
    c.run_with(&["-d", "--console-socket", socket.to_str().unwrap()]).ok();
    let mut master = File::from(receiver.join().unwrap().1);
    master.write_all(b"salt\n").unwrap();
    let text = read_until(&mut master, "end");
    assert!(text.contains("got-salt"), "{text}");
}

#[test]
fn console_size_is_set() {
    let c = terminal("stty size; echo end")
        .edit(|s| s["process"]["consoleSize"] = json!({"height": 33, "width": 77}));
    let socket = c.path("console.sock");
    let receiver = receiver(&socket);
    c.run_with(&["-d", "--console-socket", socket.to_str().unwrap()]).ok();
    let mut master = File::from(receiver.join().unwrap().1);
    assert!(read_until(&mut master, "end").contains("33 77"));
}

#[test]
fn dev_console_is_the_terminal() {
    let c = terminal("echo by-console >/dev/console; stat -c %t:%T /dev/console; echo end");
    let socket = c.path("console.sock");
    let receiver = receiver(&socket);
    c.run_with(&["-d", "--console-socket", socket.to_str().unwrap()]).ok();
    let mut master = File::from(receiver.join().unwrap().1);
    let text = read_until(&mut master, "end");
    assert!(text.contains("by-console") && text.contains("88:0"), "{text}");
}

#[test]
fn a_detached_terminal_needs_a_console_socket() {
    lacks!(Kind::Crun(..) => "goes on without");
    let c = terminal("true");
    c.create_with(&[]).fails();
    c.run_with(&["--detach"]).fails();
    assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
}

#[test]
fn a_console_socket_without_a_terminal_is_refused() {
    lacks!(Kind::Crun(..) => "ignores it");
    let c = Container::new(&["true"]);
    let _receiver = UnixListener::bind(c.path("console.sock")).unwrap();
    c.create_with(&["--console-socket", &c.text("console.sock")]).fails();
}

#[test]
fn run_with_a_terminal_in_the_foreground() {
    let c = terminal("test -t 1 && echo terminal; exit 5");
    let outcome = under_pty(&c, "$rt run $id", "");
    assert!(outcome.out.contains("terminal"), "{}", outcome.out);
    assert_eq!(outcome.code, 5);
}

#[test]
fn a_foreground_terminal_passes_input_and_window_size() {
    lacks!(Kind::Crun(1, ..9) => "sets no size before the first SIGWINCH");
    // The window size may come a moment after the program's start.
    let c = terminal(
        "until [ \"$(stty size)\" ] 2>/dev/null; do sleep 0.01; done; stty size; read line; echo got-$line",
    );
    let outcome = under_pty(&c, "stty rows 44 cols 99; $rt run $id", "salt\n");
    assert!(outcome.out.contains("44 99"), "{}", outcome.out);
    assert!(outcome.out.contains("got-salt"), "{}", outcome.out);
}

#[test]
fn the_callers_terminal_is_as_before() {
    let c = terminal("true");
    let outcome =
        under_pty(&c, "a=$(stty -g); $rt run $id; [ \"$a\" = \"$(stty -g)\" ] && echo same", "");
    assert!(outcome.out.contains("same"), "{}", outcome.out);
}

#[test]
fn exec_with_a_terminal() {
    let c = Container::sleeping().up();
    let outcome = under_pty(&c, "$rt exec -t $id sh -c 'tty; exit 6'", "");
    assert!(outcome.out.contains("/dev/pts/0"), "{}", outcome.out);
    assert_eq!(outcome.code, 6);
}

#[test]
fn exec_detached_with_a_console_socket() {
    let c = Container::sleeping().up();
    let socket = c.path("console.sock");
    let receiver = receiver(&socket);
    let socket = socket.to_str().unwrap();
    let options = ["--tty", "--detach", "--console-socket", socket];
    c.exec_with(&options, &["sh", "-c", "tty; echo end"]).ok();
    let text = read_until(&mut File::from(receiver.join().unwrap().1), "end");
    assert!(text.contains("/dev/pts/"), "{text}");
}

#[test]
fn a_pidfd_socket_receives_the_first_process() {
    lacks!(
        Kind::Runc(1, ..2) => "`--pidfd-socket` came with 1.2",
        Kind::Crun(..) => "has no `--pidfd-socket`",
    );
    let c = Container::sleeping();
    let socket = c.path("pidfd.sock");
    let receiver = receiver(&socket);
    c.create_with(&["--pidfd-socket", socket.to_str().unwrap()]).ok();
    let (data, fd) = receiver.join().unwrap();
    assert_eq!(data, "standard");
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd())).unwrap();
    assert!(info.contains(&format!("Pid:\t{}\n", c.pid())), "{info}");
}

#[test]
fn a_pidfd_socket_receives_an_execs_process() {
    lacks!(
        Kind::Runc(1, ..2) => "`--pidfd-socket` came with 1.2",
        Kind::Crun(..) => "has no `--pidfd-socket`",
    );
    let c = Container::sleeping().up();
    let socket = c.path("pidfd.sock");
    let receiver = receiver(&socket);
    let pid_file = c.text("exec.pid");
    let options = ["-d", "--pid-file", &pid_file, "--pidfd-socket", socket.to_str().unwrap()];
    c.exec_with(&options, &["sleep", "1000"]).ok();
    let (data, fd) = receiver.join().unwrap();
    assert_eq!(data, "setns");
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd())).unwrap();
    let pid = fs::read_to_string(pid_file).unwrap();
    assert!(info.contains(&format!("Pid:\t{pid}\n")), "{info}");
}

#[test]
fn sessions_are_the_containers_own() {
    lacks!(Kind::Crun(1, ..9) => "now and then an error of its own gets in between");
    // CVE-2017-5226: no way to the caller's terminal through a shared session.
    let c = terminal("cut -d' ' -f6 /proc/self/stat; ps -o sid | tail -n1; echo end");
    let outcome = under_pty(&c, "$rt run $id", "");
    assert!(outcome.out.trim_start().starts_with('1'), "{}", outcome.out);
    eventually("gone", || c.leftovers().is_empty());
}
