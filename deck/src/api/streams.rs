//! Answers that are made while they are sent: logs that are followed, figures, archives.

use super::answer::{self, Answer, Sender};
use super::blocking;
use super::call::Call;
use crate::engine::logs::Follower;
use crate::engine::{Engine, sys};
use crate::error::{Error, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// A look at a followed log at least this often.
const LOOK: Duration = Duration::from_secs(1);
/// Figures come each second.
const STATS: Duration = Duration::from_secs(1);

/// Sends a log's further lines until the container ends and all is sent.
pub async fn follow(
    engine: Arc<Engine>,
    id: String,
    mut follower: Follower,
    sender: Sender,
) -> Result<()> {
    let directory = follower.path().parent().map(std::path::Path::to_path_buf);
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
    if let Some(directory) = directory {
        let flags =
            AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
        inotify.add_watch(&directory, flags)?;
    }
    let watched = sys::async_fd(inotify.as_fd().try_clone_to_owned()?)?;
    let mut changes = engine.subscribe()?;
    loop {
        // First whether it lives, then what there is: what came before the end is not missed.
        let (worker, name) = (engine.clone(), id.clone());
        let alive = blocking(move || Ok(worker.is_alive(&name))).await?;
        let more = follower.more()?;
        if !more.is_empty() && sender.send(Bytes::from(more)).await.is_err() {
            return Ok(());
        }
        if !alive || follower.is_over() {
            return Ok(());
        }
        tokio::select! {
            ready = watched.readable() => {
                let mut ready = ready?;
                drop(inotify.read_events());
                ready.clear_ready();
            }
            changed = changes.changed() => changed.map_err(|_| Error::internal("no watcher"))?,
            () = sender.closed() => return Ok(()),
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// `GET /containers/{id}/stats`.
pub async fn stats(call: Call, id: &str) -> Result<Answer> {
    let engine = call.engine.clone();
    let name = id.to_string();
    let (stream, one_shot) = (call.flag_or("stream", true), call.flag("one-shot"));
    let worker = engine.clone();
    let mut last = blocking(move || worker.stats(&name, None)).await?;
    if !stream && one_shot {
        return answer::ok(&last);
    }
    let (sender, body) = answer::channel();
    let name = id.to_string();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(STATS).await;
            let (worker, name) = (engine.clone(), name.clone());
            let Ok(now) = blocking(move || worker.stats(&name, Some(last))).await else { return };
            let Ok(mut line) = serde_json::to_vec(&now) else { return };
            line.push(b'\n');
            if sender.send(Bytes::from(line)).await.is_err() || !stream {
                return;
            }
            last = now;
        }
    });
    Ok(answer::stream("application/json", body))
}

/// `GET /containers/{id}/export`.
pub async fn export(call: Call, id: &str) -> Result<Answer> {
    let (engine, name) = (call.engine.clone(), id.to_string());
    let container = blocking(move || engine.find(&name)).await?;
    let (sender, body) = answer::channel();
    let engine = call.engine.clone();
    tokio::task::spawn_blocking(move || {
        // An error in the middle ends the body early: the client sees no end of the archive.
        drop(engine.export(&container.id, ChannelWriter(sender)));
    });
    Ok(answer::stream("application/octet-stream", body))
}

/// `/containers/{id}/archive`: `cp`.
pub async fn archive(call: Call, id: &str) -> Result<Answer> {
    let path = call.text("path");
    if path.is_empty() {
        return Err(Error::invalid("missing parameter: path"));
    }
    let id = id.to_string();
    let engine = call.engine.clone();
    match *call.method() {
        Method::HEAD => {
            let stat = blocking(move || engine.stat_path(&id, &path)).await?;
            with_stat(answer::empty(StatusCode::OK), &stat)
        }
        Method::GET => {
            let (sender, body) = answer::channel();
            let worker = engine.clone();
            let (name, place) = (id.clone(), path.clone());
            let stat = blocking(move || worker.stat_path(&name, &place)).await?;
            tokio::task::spawn_blocking(move || {
                drop(engine.read_archive(&id, &path, ChannelWriter(sender)));
            });
            with_stat(answer::stream("application/x-tar", body), &stat)
        }
        _ => {
            let keep = call.flag("noOverwriteDirNonDir");
            let reader = body_reader(call.request.into_body());
            blocking(move || engine.write_archive(&id, &path, keep, reader)).await?;
            Ok(answer::empty(StatusCode::OK))
        }
    }
}

/// The header that tells what a path is.
fn with_stat(mut answer: Answer, stat: &impl serde::Serialize) -> Result<Answer> {
    let json = serde_json::to_vec(stat).map_err(|error| Error::internal(error.to_string()))?;
    let value = HeaderValue::from_str(&STANDARD.encode(json))
        .map_err(|error| Error::internal(error.to_string()))?;
    answer.headers_mut().insert(HeaderName::from_static("x-docker-container-path-stat"), value);
    Ok(answer)
}

/// Writes into a body from a blocking thread.
pub struct ChannelWriter(pub Sender);

impl Write for ChannelWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // Small writes of archives are gathered by the channel's backlog, large ones are split.
        let piece = &bytes[..bytes.len().min(1 << 16)];
        self.0
            .blocking_send(Bytes::copy_from_slice(piece))
            .map_err(|_| std::io::Error::from(std::io::ErrorKind::BrokenPipe))?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Reads a body from a blocking thread.
pub struct BodyReader {
    chunks: mpsc::Receiver<Result<Bytes, String>>,
    current: Bytes,
}

/// Makes a request's body readable by blocking code.
pub fn body_reader(mut body: Incoming) -> BodyReader {
    let (sender, chunks) = mpsc::channel(16);
    tokio::spawn(async move {
        while let Some(frame) = body.frame().await {
            let chunk = match frame {
                Ok(frame) => match frame.into_data() {
                    Ok(data) => Ok(data),
                    Err(_) => continue,
                },
                Err(error) => Err(error.to_string()),
            };
            if sender.send(chunk).await.is_err() {
                return;
            }
        }
    });
    BodyReader { chunks, current: Bytes::new() }
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.current.is_empty() {
            match self.chunks.blocking_recv() {
                None => return Ok(0),
                Some(Ok(chunk)) => self.current = chunk,
                Some(Err(error)) => return Err(std::io::Error::other(error)),
            }
        }
        let count = buffer.len().min(self.current.len());
        buffer[..count].copy_from_slice(&self.current.split_to(count));
        Ok(count)
    }
}
