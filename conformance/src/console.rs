//! The socket over which a runtime sends the master of a container's terminal.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

use crate::case::{Stop, fail};
use crate::container::parse;
use crate::context::Context;
use crate::observation::Observation;

/// A console socket and the wait for what comes over it.
pub struct Console {
    path: String,
    taker: std::thread::JoinHandle<Result<File, Stop>>,
}

impl Console {
    /// Listens in the case's directory; a thread takes the master whenever it comes.
    pub fn new(c: &Context) -> Result<Self, Stop> {
        let path = c.driver.dir.join("console").display().to_string();
        let listener = UnixListener::bind(&path)?;
        if c.driver.user.is_some() {
            std::os::unix::fs::chown(&path, c.driver.user, c.driver.user)?;
        }
        let patience = c.driver.patience();
        let taker = std::thread::spawn(move || {
            let stream = accept(&listener, patience)?;
            stream.set_read_timeout(Some(patience))?;
            master(&stream)
        });
        Ok(Self { path, taker })
    }

    /// The option that names it.
    pub fn options(&self) -> [&str; 2] {
        ["--console-socket", &self.path]
    }

    /// The master that came.
    pub fn master(self) -> Result<File, Stop> {
        self.taker.join().map_err(|_| Stop::Suite("the console's thread died".into()))?
    }
}

/// Takes one connection.
pub fn accept(listener: &UnixListener, patience: Duration) -> Result<UnixStream, Stop> {
    listener.set_nonblocking(true)?;
    let deadline = Instant::now() + patience;
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                return Ok(stream);
            }
            Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(2)),
            Err(_) => return fail("nothing connects to the socket"),
        }
    }
}

fn master(stream: &UnixStream) -> Result<File, Stop> {
    let mut name = [0_u8; 4096];
    let mut control = nix::cmsg_space!([i32; 1]);
    let mut slices = [std::io::IoSliceMut::new(&mut name)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(stream.as_raw_fd(), &mut slices, Some(&mut control), flags)?;
    for each in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = each
            && let Some(number) = numbers.first()
        {
            return Ok(crate::sys::received(*number));
        }
    }
    fail("no descriptor comes over the console socket")
}

/// The probe's report, read from the terminal's master until its line ends or the terminal does.
pub fn report(mut master: File) -> Result<Observation, Stop> {
    let (mut text, mut buffer) = (Vec::new(), [0_u8; 4096]);
    while !text.contains(&b'\n') {
        match master.read(&mut buffer) {
            // EIO: no process has the other side open any more.
            Ok(0) | Err(_) => break,
            Ok(count) => text.extend_from_slice(&buffer[..count]),
        }
    }
    parse(&String::from_utf8_lossy(&text))
}
