//! A stand-in for CRIU: it speaks the protocol of `criu swrk`, writes down what it is asked, and
//! dumps and restores nothing but a sleep(1). With it, hull's side is tested where CRIU does not
//! work, and so is what CRIU does only when something is wrong.
//!
//! The stand-in is this test program, started by a script named `criu` in a directory that comes
//! first in `$PATH`; [`stand_in`] is its main function.

use crate::harness::{Container, Outcome};
use hull::checkpoint::wire::{Value, Writer, fields};
use nix::sys::socket::{ControlMessage, MsgFlags, recv, send, sendmsg};
use std::fmt::Write as _;
use std::fs;
use std::io::IoSlice;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Names the stand-in's directory, and so tells this program what it is.
const VARIABLE: &str = "HULL_TEST_CRIU";
/// `criu swrk 3`
const SOCKET: i32 = 3;

const DUMP: u64 = 1;
const RESTORE: u64 = 2;
const PRE_DUMP: u64 = 4;
const NOTIFY: u64 = 6;
const FEATURES: u64 = 9;
const VERSION: u64 = 10;

/// The stand-in for the containers of one test.
pub struct Criu {
    dir: PathBuf,
}

impl Criu {
    /// Installs the stand-in beside the bundle of `container`.
    pub fn new(container: &Container) -> Self {
        let this = std::env::current_exe().unwrap();
        let line = format!("exec {} --exact criu::stand_in --nocapture", this.display());
        container.script("criu-bin/criu", &line);
        let criu = Self { dir: container.path("criu-bin") };
        criu.set("version", "4 2 1");
        criu
    }

    /// Says how it behaves: `version`, `fail` (a message), `terminal`, `features`.
    pub fn set(&self, name: &str, value: &str) {
        fs::write(self.dir.join(name), value).unwrap();
    }

    /// Calls the runtime with this CRIU.
    #[track_caller]
    pub fn call(&self, container: &Container, args: &[&str]) -> Outcome {
        let mut command = container.command(args);
        let path = format!("{}:{}", self.dir.display(), std::env::var("PATH").unwrap());
        command.env("PATH", path).env(VARIABLE, &self.dir);
        container.wait(command, "")
    }

    /// The options of the last request, a line each: `NUMBER=VALUE`, `NUMBER:KEY=VALUE`.
    pub fn asked(&self) -> Vec<String> {
        let text = fs::read_to_string(self.dir.join("request")).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

/// The stand-in's main function; as a test it has nothing to do.
#[test]
fn stand_in() {
    let Some(dir) = std::env::var_os(VARIABLE).map(PathBuf::from) else { return };
    let text = |name: &str| fs::read_to_string(dir.join(name)).ok();
    loop {
        let request = receive();
        let Some((kind, opts)) = request else { return };
        match kind {
            VERSION => {
                let version = text("version").unwrap();
                let mut numbers = version.split(' ').map(|number| number.parse().unwrap());
                answer(kind, true, |it| {
                    it.message(10, |it| {
                        for field in [1, 2, 4] {
                            it.signed(field, numbers.next().unwrap());
                        }
                    });
                });
            }
            FEATURES => answer(kind, true, |it| {
                let on = text("features").is_some();
                it.message(8, |it| {
                    it.switch(1, on);
                    it.switch(2, on);
                });
            }),
            _ => {
                fs::write(dir.join("request"), describe(&opts)).unwrap();
                if let Some(message) = text("fail") {
                    return answer(kind, false, |it| it.text(9, message));
                }
                let done = match kind {
                    DUMP | PRE_DUMP => dump(kind, &opts),
                    RESTORE => mounts_in_images(&opts) && restore(&dir),
                    other => panic!("request {other}"),
                };
                return answer(kind, done, |_| ());
            }
        }
    }
}

/// The type of the next request and its options.
fn receive() -> Option<(u64, Vec<u8>)> {
    let mut buffer = vec![0; 1 << 16];
    let length = recv(SOCKET, &mut buffer, MsgFlags::empty()).unwrap();
    let (mut kind, mut opts) = (0, Vec::new());
    fields(&buffer[..length], |field, value| {
        match (field, value) {
            (1, Value::Number(number)) => kind = number,
            (2, Value::Bytes(bytes)) => opts = bytes.to_vec(),
            // An acknowledgement: its outcome in place of options.
            (3, Value::Number(number)) => opts = vec![u8::try_from(number).unwrap()],
            _ => {}
        }
        Ok(())
    })
    .unwrap();
    (length > 0).then_some((kind, opts))
}

fn answer(kind: u64, success: bool, fill: impl FnOnce(&mut Writer)) {
    let mut out = Writer::default();
    out.number(1, kind);
    out.number(2, u64::from(success));
    fill(&mut out);
    // The runtime may have gone away.
    let _ = send(SOCKET, &out.into_bytes(), MsgFlags::MSG_NOSIGNAL);
}

/// Tells of a step; whether the runtime says that it went well.
fn notify(step: &str, pid: i32, fd: Option<i32>) -> bool {
    let mut out = Writer::default();
    out.number(1, NOTIFY);
    out.number(2, 1);
    out.message(5, |it| {
        it.text(1, step);
        it.signed(2, pid);
    });
    let (bytes, fds) = (out.into_bytes(), [fd.unwrap_or(0)]);
    let rights = [ControlMessage::ScmRights(&fds)];
    let rights = if fd.is_some() { &rights[..] } else { &[] };
    sendmsg::<()>(SOCKET, &[IoSlice::new(&bytes)], rights, MsgFlags::empty(), None).unwrap();
    receive().is_some_and(|(kind, outcome)| kind == NOTIFY && outcome == [1])
}

fn dump(kind: u64, opts: &[u8]) -> bool {
    let (mut pid, mut stays) = (0, kind == PRE_DUMP);
    fields(opts, |field, value| {
        match field {
            2 => pid = value.signed().unwrap(),
            3 => stays = true,
            _ => {}
        }
        Ok(())
    })
    .unwrap();
    let heard = notify("pre-dump", pid, None) && notify("status-ready", pid, None);
    if !stays {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL).unwrap();
    }
    heard
}

/// Mounts and unmounts in the directory of images, as CRIU does in its working directory for the
/// control groups: the kernel allows it in a directory of one's own mount namespace only.
fn mounts_in_images(opts: &[u8]) -> bool {
    let mut number = None;
    fields(opts, |field, value| {
        if field == 1 {
            number = value.signed();
        }
        Ok(())
    })
    .unwrap();
    // By the requester's number, as CRIU opens it.
    let images = format!("/proc/{}/fd/{}", nix::unistd::getppid(), number.unwrap());
    std::env::set_current_dir(images).unwrap();
    let yard = Path::new(".criu.cgyard");
    fs::create_dir(yard).unwrap();
    let none = None::<&str>;
    let mounted = nix::mount::mount(none, yard, Some("tmpfs"), nix::mount::MsFlags::empty(), none);
    let done = mounted.and_then(|()| nix::mount::umount(yard)).is_ok();
    fs::remove_dir(yard).unwrap();
    done
}

/// "Restores" a process with a network namespace of its own, as containers have.
#[allow(clippy::zombie_processes, reason = "what was restored outlives criu")]
fn restore(dir: &Path) -> bool {
    let sleep = ["--net", "sleep", "1000"];
    let mut command = Command::new("unshare");
    let null = || Stdio::null();
    let mut child =
        command.args(sleep).stdin(null()).stdout(null()).stderr(null()).spawn().unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
    while namespace(&pid.to_string()) == namespace("self") {
        std::thread::yield_now();
    }
    let mut steps = vec![("pre-restore", None), ("setup-namespaces", None)];
    let pty = nix::pty::openpty(None, None).unwrap();
    if dir.join("terminal").exists() {
        steps.push(("orphan-pts-master", Some(pty.master.as_raw_fd())));
    }
    steps.extend([("post-restore", None), ("post-resume", None)]);
    let heard = steps.into_iter().all(|(step, fd)| notify(step, pid, fd));
    if !heard {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    heard
}

/// Options as lines.
fn describe(opts: &[u8]) -> String {
    let mut lines = String::new();
    fields(opts, |field, value| {
        let inner = match (field, value) {
            (11 | 23 | 25 | 27 | 39, Value::Bytes(bytes)) => Some(bytes),
            _ => None,
        };
        let text = |value: Value<'_>| match value {
            Value::Number(number) => number.to_string(),
            Value::Bytes(_) => value.text(),
        };
        match inner {
            None => writeln!(lines, "{field}={}", text(value)).unwrap(),
            Some(bytes) => {
                let mut parts = Vec::new();
                fields(bytes, |_, value| {
                    parts.push(text(value));
                    Ok(())
                })?;
                writeln!(lines, "{field}:{}", parts.join("=")).unwrap();
            }
        }
        Ok(())
    })
    .unwrap();
    lines
}
