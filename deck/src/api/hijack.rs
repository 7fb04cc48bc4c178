//! Taking over a connection: attach and exec.

use super::answer::{self, Answer};
use super::call::Call;
use super::version::Version;
use crate::engine::frames::{self, Reader};
use crate::error::{Error, Result};
use hyper::body::Bytes;
use hyper::ext::ReasonPhrase;
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::os::unix::net::UnixStream as StdStream;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;

/// Media types of streams since API 1.42.
pub const MULTIPLEXED: &str = "application/vnd.docker.multiplexed-stream";
/// See [`MULTIPLEXED`].
pub const RAW: &str = "application/vnd.docker.raw-stream";
/// Since when `Content-Type` tells the streams' form.
const TELLS: Version = Version(1, 42);
/// How long output of the past waits for the client to have read the answer's head alone: Python's
/// reads ahead, and loses what it has read when it takes the connection over. Docker's log comes
/// as much later by itself.
const SETTLE: Duration = Duration::from_millis(50);
/// Detach keys when none are given.
const DETACH: &[u8] = &[16, 17];

/// What of a process' streams goes over a connection.
#[derive(Debug, Clone, Default)]
pub struct Streams {
    /// From the client.
    pub stdin: bool,
    /// To the client.
    pub stdout: bool,
    /// To the client.
    pub stderr: bool,
    /// The process has a terminal: there is one output.
    pub tty: bool,
    /// Output goes out as it is, not in frames.
    pub raw: bool,
    /// Keys that end the connection, when there is a terminal.
    pub detach: Vec<u8>,
}

/// What is sent before the stream, and the process' streams once they are there.
pub struct Source {
    /// Output of the past.
    pub before: Vec<u8>,
    /// The connection to the shim; an error when it won't come.
    pub stream: Box<dyn Future<Output = Result<StdStream>> + Send + Unpin>,
    /// Whether the client reads on the stream why none comes.
    pub tells: bool,
}

/// Answers with the streams: takes the connection over when the client asked for that, else
/// streams the output as the body.
///
/// `after` runs when the process' output has ended, before the client is told.
pub fn answer<F>(mut call: Call, streams: Streams, source: Source, after: F) -> Answer
where
    F: Future<Output = ()> + Send + 'static,
{
    let tells = call.version >= TELLS;
    let media = if streams.raw || !tells { RAW } else { MULTIPLEXED };
    if !call.upgrades() {
        let (sender, body) = answer::channel();
        tokio::spawn(async move {
            let (reader, writer) = tokio::io::duplex(1 << 16);
            let pump = async move {
                drop(pump(writer, streams, source).await);
                after.await;
            };
            tokio::join!(pump, forward(reader, sender));
        });
        return answer::stream(media, body);
    }
    let upgraded = hyper::upgrade::on(&mut call.request);
    tokio::spawn(async move {
        if let Ok(connection) = upgraded.await {
            let (mut reader, mut writer) = tokio::io::split(TokioIo::new(connection));
            if let Ok(true) = both(&mut reader, &mut writer, streams, source).await {
                after.await;
            }
            drop(writer.shutdown().await);
        }
    });
    let mut answer = Response::new(answer::empty(StatusCode::OK).into_body());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("tcp"));
    answer.extensions_mut().insert(ReasonPhrase::from_static(b"UPGRADED"));
    answer
}

/// Sends what comes as a body.
async fn forward(mut reader: impl AsyncRead + Unpin, sender: answer::Sender) {
    let mut piece = vec![0; 1 << 15];
    loop {
        match reader.read(&mut piece).await {
            Ok(0) | Err(_) => return,
            Ok(count) => {
                if sender.send(Bytes::copy_from_slice(&piece[..count])).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Output only.
async fn pump(writer: impl AsyncWrite + Unpin, streams: Streams, source: Source) -> Result<()> {
    let mut writer = writer;
    writer.write_all(&source.before).await?;
    let stream = source.stream.await?;
    stream.set_nonblocking(true)?;
    let (reader, _keep) = UnixStream::from_std(stream)?.into_split();
    output(reader, &mut writer, &streams).await?;
    drop(writer.shutdown().await);
    Ok(())
}

/// Both directions, until the output ends or the client detaches; answers whether it ended.
async fn both(
    client: &mut (impl AsyncRead + Unpin),
    writer: &mut (impl AsyncWrite + Unpin),
    streams: Streams,
    source: Source,
) -> Result<bool> {
    let past = async {
        if !source.before.is_empty() {
            tokio::time::sleep(SETTLE).await;
            writer.write_all(&source.before).await?;
        }
        Ok::<(), Error>(())
    };
    let (tells, raw) = (source.tells, streams.raw);
    // What comes meanwhile is kept by the connection that is waited for.
    let (written, stream) =
        tokio::join!(past, wait_for_stream(client, source.stream, streams.stdin));
    written?;
    let (stream, early) = match stream {
        Err(error) if tells => {
            let text = format!("{}\r\n", error.message).into_bytes();
            let bytes = if raw { text } else { frames::encode(1, &text) };
            writer.write_all(&bytes).await?;
            return Err(error);
        }
        other => other?,
    };
    stream.set_nonblocking(true)?;
    let (reader, mut process) = UnixStream::from_std(stream)?.into_split();
    let input = async {
        if !streams.stdin {
            return std::future::pending::<Result<bool>>().await;
        }
        let detached = copy_input(client, &mut process, &streams, early).await?;
        if detached {
            return Ok(false);
        }
        // The client's end of input is the process', if it is told so; output goes on. A terminal has
        // no end of input.
        if !streams.tty {
            drop(process.shutdown().await);
        }
        std::future::pending().await
    };
    tokio::select! {
        done = output(reader, writer, &streams) => done.map(|()| true),
        done = input => done,
    }
}

/// Waits for the process' streams. What the client says before is kept; one that hangs up before is
/// let go.
async fn wait_for_stream(
    client: &mut (impl AsyncRead + Unpin),
    mut wait: Box<dyn Future<Output = Result<StdStream>> + Send + Unpin>,
    stdin: bool,
) -> Result<(StdStream, Vec<u8>)> {
    let mut early = Vec::new();
    loop {
        let mut piece = [0; 4096];
        tokio::select! {
            stream = &mut wait => return Ok((stream?, early)),
            read = client.read(&mut piece), if early.len() < (1 << 16) && stdin => {
                match read? {
                    0 => return Ok((wait.await?, early)),
                    count => early.extend_from_slice(&piece[..count]),
                }
            }
        }
    }
}

/// From the client to the process. Answers whether the client detached.
async fn copy_input(
    client: &mut (impl AsyncRead + Unpin),
    process: &mut (impl AsyncWrite + Unpin),
    streams: &Streams,
    early: Vec<u8>,
) -> Result<bool> {
    let keys: &[u8] = if streams.tty { &streams.detach } else { &[] };
    let mut matched = 0;
    let mut piece = early;
    loop {
        if !piece.is_empty() {
            let (bytes, detached) = filter_keys(&piece, keys, &mut matched);
            let written = process.write_all(&bytes).await;
            if detached {
                return Ok(true);
            }
            // The process is gone: there may be output of it still.
            if written.is_err() {
                return Ok(false);
            }
        }
        piece.resize(1 << 14, 0);
        let count = client.read(&mut piece).await.unwrap_or(0);
        if count == 0 {
            return Ok(false);
        }
        piece.truncate(count);
    }
}

/// Holds back what may be the beginning of the detach keys. Answers what goes on, and whether the
/// keys are whole.
fn filter_keys(bytes: &[u8], keys: &[u8], matched: &mut usize) -> (Vec<u8>, bool) {
    let mut out = Vec::with_capacity(bytes.len());
    for &byte in bytes {
        if keys.get(*matched) == Some(&byte) {
            *matched += 1;
            if *matched == keys.len() {
                return (out, true);
            }
            continue;
        }
        out.extend_from_slice(&keys[..*matched]);
        *matched = usize::from(keys.first() == Some(&byte));
        if *matched == 0 {
            out.push(byte);
        }
    }
    (out, false)
}

/// From the process to the client: the shim's frames, filtered, or their data when raw.
async fn output(
    mut reader: impl AsyncRead + Unpin,
    writer: &mut (impl AsyncWrite + Unpin),
    streams: &Streams,
) -> Result<()> {
    let mut piece = vec![0; 1 << 15];
    let mut frames = Reader::default();
    loop {
        let count = reader.read(&mut piece).await?;
        if count == 0 {
            return Ok(());
        }
        frames.push(&piece[..count]);
        let mut out = Vec::new();
        while let Some(frame) = frames.next_frame() {
            let wanted = match frame.stream {
                _ if streams.tty => streams.stdout || streams.stderr,
                2 => streams.stderr,
                _ => streams.stdout,
            };
            if wanted && streams.raw {
                out.extend_from_slice(&frame.data);
            } else if wanted {
                out.extend(frames::encode(frame.stream, &frame.data));
            }
        }
        writer.write_all(&out).await?;
        writer.flush().await?;
    }
}

/// Reads `ctrl-p,ctrl-q`; empty is that.
///
/// # Errors
/// 400 for keys nobody has.
pub fn detach_keys(text: &str) -> Result<Vec<u8>> {
    if text.is_empty() {
        return Ok(DETACH.to_vec());
    }
    text.split(',')
        .map(|key| {
            let bad = || Error::invalid(format!("Invalid detach keys ({text}) provided"));
            match key.strip_prefix("ctrl-").map(str::as_bytes) {
                Some([byte @ b'a'..=b'z']) => Ok(byte - b'a' + 1),
                Some([byte @ (b'@' | b'[' | b'\\' | b']' | b'^' | b'_')]) => Ok(byte - b'@'),
                None if key.len() == 1 => Ok(key.as_bytes()[0]),
                _ => Err(bad()),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_detach_only_when_whole() {
        let mut matched = 0;
        let keys = detach_keys("").unwrap();
        assert_eq!(filter_keys(b"a\x10b", &keys, &mut matched), (b"a\x10b".to_vec(), false));
        assert_eq!(filter_keys(b"c\x10", &keys, &mut matched), (b"c".to_vec(), false));
        assert_eq!(filter_keys(b"\x11zz", &keys, &mut matched), (vec![], true));
        assert_eq!(detach_keys("ctrl-x,q").unwrap(), [24, b'q']);
        assert!(detach_keys("ctrl-xx").is_err());
        let mut matched = 0;
        assert_eq!(filter_keys(b"\x10\x10\x11", &keys, &mut matched), (vec![16], true));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn output_is_filtered_or_raw() {
        let bytes = [frames::encode(1, b"out"), frames::encode(2, b"err")].concat();
        let streams = Streams { stdout: true, ..Streams::default() };
        let mut all = Vec::new();
        output(&bytes[..], &mut all, &streams).await.unwrap();
        assert_eq!(all, frames::encode(1, b"out"));
        let mut raw = Vec::new();
        output(&bytes[..], &mut raw, &Streams { tty: true, raw: true, ..streams }).await.unwrap();
        assert_eq!(raw, b"outerr");
        // An exec with a terminal, started by a client without one.
        let mut framed = Vec::new();
        let streams = Streams { stdout: true, tty: true, ..Streams::default() };
        output(&frames::encode(1, b"out")[..], &mut framed, &streams).await.unwrap();
        assert_eq!(framed, frames::encode(1, b"out"));
    }
}
