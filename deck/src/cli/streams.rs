//! A container's or exec's streams, tied to this process' own: input, output, detach keys, signals,
//! the terminal's size.

use super::client::{Call, Client, Hijacked, escape};
use super::failure::{Failure, Outcome};
use super::frames;
use super::options::create::Attached;
use super::term::keys::{self, Finder};
use super::term::{self, Raw};
use crate::{At, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How input and output are treated.
pub struct Streams {
    /// The stream has a terminal at its other end: raw, not in frames.
    pub tty: bool,
    /// What is attached.
    pub attached: Attached,
    /// The detach keys.
    pub keys: Vec<u8>,
}

/// Why streaming ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// The other side closed the streams.
    Closed,
    /// The user typed the detach keys.
    Detached,
}

/// Refuses a terminal whose input is none.
///
/// # Errors
/// Docker's words.
pub fn check_terminal(tty: bool, stdin: bool) -> Outcome {
    if tty && stdin && !term::stdin_is() {
        return Err(Failure::new("the input device is not a TTY"));
    }
    Ok(())
}

/// The detach keys: the option's, else the configuration's, else Docker's.
///
/// # Errors
/// They can't be meant.
pub fn detach_keys(option: Option<&str>, configured: Option<&str>) -> Result<(String, Vec<u8>)> {
    let text = option.or(configured).unwrap_or(keys::DEFAULT);
    Ok((text.to_owned(), keys::parse(text)?))
}

impl Streams {
    /// Raw mode where the container's terminal takes this one's place.
    ///
    /// # Errors
    /// The mode can't be set.
    pub fn raw(&self) -> Result<Option<Raw>> {
        let wanted = self.tty && self.attached.stdin && term::stdin_is();
        wanted.then(Raw::new).transpose()
    }

    /// Copies both ways until the other side closes or the user detaches.
    ///
    /// # Errors
    /// Reading or writing failed.
    pub async fn copy(&self, stream: Hijacked) -> Result<End> {
        let (from, to) = tokio::io::split(stream);
        let input = async {
            if self.attached.stdin {
                if self.send(to).await? == End::Detached {
                    return Ok(End::Detached);
                }
            } else {
                // The other side must not take a closed half for the end.
                std::mem::forget(to);
            }
            std::future::pending().await
        };
        tokio::select! {
            end = input => end,
            result = self.show(from) => result.map(|()| End::Closed),
        }
    }

    async fn show(&self, from: ReadHalf<Hijacked>) -> Result<()> {
        let (out, err) = (tokio::io::stdout(), tokio::io::stderr());
        if self.tty {
            frames::raw(from, out).await
        } else {
            frames::demultiplex(from, out, err).await
        }
    }

    async fn send(&self, mut to: WriteHalf<Hijacked>) -> Result<End> {
        let mut input = tokio::io::stdin();
        let keys = if self.tty { self.keys.clone() } else { Vec::new() };
        let mut finder = Finder::new(keys);
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let count = input.read(&mut buffer).await.at(|| "read standard input")?;
            if count == 0 {
                // The container sees the end of its input; its output goes on.
                let _ = to.shutdown().await;
                std::mem::forget(to);
                return Ok(End::Closed);
            }
            let (pass, detach) = finder.feed(&buffer[..count]);
            // A container that has ended reads no more: its output tells the rest.
            if to.write_all(&pass).await.is_err() || to.flush().await.is_err() {
                return Ok(End::Closed);
            }
            if detach {
                return Ok(End::Detached);
            }
        }
    }
}

/// Keeps the size of the terminal at `path` (`/containers/ID`, `/exec/ID`) that of this one.
/// Never ends; errors are ignored, as the container may not run yet or no more.
pub async fn follow_size(client: &Client, path: &str) {
    let Ok(mut changes) = signal(SignalKind::window_change()) else {
        return std::future::pending().await;
    };
    loop {
        resize(client, path).await;
        if changes.recv().await.is_none() {
            return std::future::pending().await;
        }
    }
}

async fn resize(client: &Client, path: &str) {
    if let Some((rows, columns)) = term::size() {
        let call = Call::post(&format!("{path}/resize"))
            .query("h", rows.to_string())
            .query("w", columns.to_string());
        drop(client.run(call).await);
    }
}

/// Signals that are passed on to a container.
const SIGNALS: &[(i32, &str)] = &[
    (libc::SIGHUP, "HUP"),
    (libc::SIGINT, "INT"),
    (libc::SIGQUIT, "QUIT"),
    (libc::SIGUSR1, "USR1"),
    (libc::SIGUSR2, "USR2"),
    (libc::SIGTERM, "TERM"),
];

/// Signals to this process, caught from now on.
pub struct Signals(Vec<(Signal, &'static str)>);

impl Signals {
    /// Catches them.
    ///
    /// # Errors
    /// The kernel refuses a handler.
    pub fn catch() -> Result<Self> {
        let mut caught = Vec::new();
        for (number, name) in SIGNALS {
            let stream = signal(SignalKind::from_raw(*number)).at(|| format!("catch SIG{name}"))?;
            caught.push((stream, *name));
        }
        Ok(Self(caught))
    }

    async fn next(&mut self) -> &'static str {
        std::future::poll_fn(|cx| {
            for (stream, name) in &mut self.0 {
                if let std::task::Poll::Ready(Some(())) = stream.poll_recv(cx) {
                    return std::task::Poll::Ready(*name);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }

    /// Passes them on to a container. Never ends.
    pub async fn pass_on(mut self, client: &Client, container: &str) {
        loop {
            let name = self.next().await;
            let path = format!("/containers/{}/kill", escape(container));
            // It may have ended just now.
            drop(client.run(Call::post(&path).query("signal", name)).await);
        }
    }
}
