//! Attending a process in the foreground. Each test runs alone in a process of its own, because it
//! blocks that process' signals and reaps all its children.

use crate::{alone, command_alone, is_root, run_alone, spawn_blocked};
use hull::console::{HostTerminal, Pty, allocate};
use hull::foreground::{Foreground, Io, Signals, attend, pipes};
use hull::sys::{child, tty};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Attends a shell; `stdio` says what it gets.
fn attend_shell(script: &str, io: Io, stdio: Option<[OwnedFd; 3]>) -> i32 {
    let signals = Signals::block().unwrap();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    if let Some([stdin, stdout, stderr]) = stdio {
        command.stdin(stdin).stdout(stdout).stderr(stderr);
    }
    child::unblock_signals(&mut command);
    let shell = command.spawn().unwrap();
    drop(command);
    let pid = i32::try_from(shell.id()).unwrap();
    let pidfd = child::open(pid).unwrap();
    attend(Foreground { pid, pidfd: pidfd.as_fd() }, &signals, io, None).unwrap()
}

/// Attends a shell behind pipes.
fn attend_pipes(script: &str) -> i32 {
    let owner = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    let (io, theirs) = pipes(owner.0, owner.1).unwrap();
    attend_shell(script, io, Some(theirs))
}

#[test]
fn statuses() {
    if alone() {
        let status = |script| attend_shell(script, Io::Inherited, None);
        assert_eq!(status("exit 7"), 7);
        assert_eq!(status("kill -9 $$"), 137);
        assert_eq!(status("kill -40 $$"), 168);
        return;
    }
    run_alone("foreground::statuses", b"");
}

#[test]
fn signals_are_passed_on() {
    if alone() {
        let script = "trap 'exit 5' TERM; trap 'exit 6' INT; kill -TERM $PPID; sleep 9 > /dev/null 2>&1 & wait";
        assert_eq!(attend_shell(script, Io::Inherited, None), 5);
        // Not these two: the shell would end with 9.
        let script = "trap 'exit 9' URG WINCH; kill -URG $PPID; kill -WINCH $PPID; \
                      sleep 0.3; exit 1";
        assert_eq!(attend_shell(script, Io::Inherited, None), 1);
        return;
    }
    run_alone("foreground::signals_are_passed_on", b"");
}

#[test]
fn orphans_are_reaped_and_the_status_kept() {
    if alone() {
        nix::sys::prctl::set_child_subreaper(true).unwrap();
        let script = "for n in 1 2 3 4 5; do sh -c 'sleep 0.05 & exit'; done; sleep 0.5; exit 4";
        assert_eq!(attend_shell(script, Io::Inherited, None), 4);
        // Nothing is left, not even a zombie.
        assert_eq!(child::peek(), Err(nix::errno::Errno::ECHILD));
        return;
    }
    run_alone("foreground::orphans_are_reaped_and_the_status_kept", b"");
}

#[test]
fn pipes_carry_everything() {
    if alone() {
        assert_eq!(attend_pipes("read line; echo \"<$line>\"; echo oops >&2; cat; exit 3"), 3);
        return;
    }
    let shown = run_alone("foreground::pipes_carry_everything", b"one\ntwo\n");
    assert!(shown.contains("<one>\ntwo\n") && shown.contains("oops\n"), "{shown}");
}

#[test]
fn large_output_arrives_whole_at_a_slow_reader() {
    if alone() {
        assert_eq!(attend_pipes("head -c 3000000 /dev/zero | tr '\\0' x"), 0);
        return;
    }
    let name = "foreground::large_output_arrives_whole_at_a_slow_reader";
    let mut runner = spawn_blocked(command_alone(&[], name).stdout(Stdio::piped()));
    // The process has ended before the last pipe's worth is read.
    std::thread::sleep(Duration::from_millis(300));
    let mut shown = String::new();
    runner.stdout.take().unwrap().read_to_string(&mut shown).unwrap();
    assert!(runner.wait().unwrap().success());
    assert!(shown.contains(&"x".repeat(3_000_000)));
}

#[test]
fn background_processes_do_not_hold_the_caller() {
    if alone() {
        let start = Instant::now();
        assert_eq!(attend_pipes("sleep 20 & echo pid $!; exit 2"), 2);
        assert!(start.elapsed() < Duration::from_secs(10));
        return;
    }
    let shown = run_alone("foreground::background_processes_do_not_hold_the_caller", b"");
    let pid = shown.split("pid ").nth(1).unwrap().lines().next().unwrap();
    let pid = nix::unistd::Pid::from_raw(pid.trim().parse().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::SIGKILL).unwrap();
}

#[test]
fn a_reader_that_leaves_is_noticed() {
    if alone() {
        // The shell gets SIGPIPE, or EPIPE if that is ignored, once nobody reads any more.
        let status = attend_pipes("while echo x; do :; done; exit 9");
        assert!(status == 141 || status == 9, "{status}");
        std::process::exit(42);
    }
    let name = "foreground::a_reader_that_leaves_is_noticed";
    let mut runner = spawn_blocked(command_alone(&[], name).stdout(Stdio::piped()));
    let mut some = [0; 100];
    runner.stdout.take().unwrap().read_exact(&mut some).unwrap();
    assert_eq!(runner.wait().unwrap().code(), Some(42));
}

fn host_pty() -> Pty {
    allocate(File::open("/").unwrap().as_fd()).unwrap()
}

/// Attends a shell on a terminal of its own, shown on the caller's.
fn attend_terminal(script: &str) -> i32 {
    let container = host_pty();
    let stdio = [(); 3].map(|()| container.peer.try_clone().unwrap());
    drop(container.peer);
    let io = Io::Terminal { host: HostTerminal::find().unwrap(), master: container.master };
    attend_shell(script, io, Some(stdio))
}

#[test]
fn a_terminal_is_shown_on_the_callers() {
    if alone() {
        let script = "stty size; echo READY; read line; echo \"<$line>\"; exit 8";
        assert_eq!(attend_terminal(script), 8);
        return;
    }
    if !is_root() {
        return;
    }
    let user = host_pty();
    user.resize(tty::Size { rows: 31, columns: 97 }).unwrap();
    let before = nix::sys::termios::tcgetattr(&user.peer).unwrap();
    let stdio = [(); 3].map(|()| user.peer.try_clone().unwrap());
    let [stdin, stdout, stderr] = stdio;
    let mut runner = command_alone(&[], "foreground::a_terminal_is_shown_on_the_callers");
    let mut runner = spawn_blocked(runner.stdin(stdin).stdout(stdout).stderr(stderr));
    let mut screen = File::from(user.master);
    let mut shown = String::new();
    let mut typed = false;
    while !shown.contains("test result") {
        let mut chunk = [0; 1000];
        let length = screen.read(&mut chunk).unwrap();
        shown += &String::from_utf8_lossy(chunk.get(..length).unwrap());
        if !typed && shown.contains("READY") {
            typed = true;
            let raw = nix::sys::termios::tcgetattr(&user.peer).unwrap();
            assert!(!raw.local_flags.contains(nix::sys::termios::LocalFlags::ICANON));
            // The container's terminal echoes this, the caller's no more.
            screen.write_all(b"hello\r").unwrap();
        }
    }
    assert!(runner.wait().unwrap().success(), "{shown}");
    assert!(shown.contains("31 97\r\nREADY\r\n"), "{shown:?}");
    assert!(shown.contains("hello\r\n<hello>\r\n"), "{shown:?}");
    assert_eq!(nix::sys::termios::tcgetattr(&user.peer).unwrap(), before);
}

#[test]
fn stdin_that_is_no_terminal_will_do() {
    if alone() {
        assert_eq!(attend_terminal("read line; echo \"<$line>\"; exit 3"), 3);
        return;
    }
    if !is_root() {
        return;
    }
    let user = host_pty();
    let mut runner = command_alone(&[], "foreground::stdin_that_is_no_terminal_will_do");
    runner.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(user.peer);
    let mut runner = spawn_blocked(&mut runner);
    runner.stdin.take().unwrap().write_all(b"piped\n").unwrap();
    let output = runner.wait_with_output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && shown.contains("<piped>\n"), "{shown}");
}

#[test]
fn a_process_that_lets_go_of_its_terminal_lives_on() {
    if alone() {
        let script = "exec < /dev/null > /dev/null 2>&1; sleep 0.5; exit 6";
        assert_eq!(attend_terminal(script), 6);
        return;
    }
    if !is_root() {
        return;
    }
    let user = host_pty();
    let mut runner =
        command_alone(&[], "foreground::a_process_that_lets_go_of_its_terminal_lives_on");
    let runner = runner.stdin(Stdio::null()).stdout(Stdio::null()).stderr(user.peer);
    assert!(spawn_blocked(runner).wait().unwrap().success());
}
