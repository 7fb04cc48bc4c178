//! A registry that does what a test tells it, and remembers what it was asked: one thread a
//! connection, one answer a request.

use crate::fixture::{config, gzip};
use deck::image::Digest;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// What was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Names in small letters.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Asked {
    pub fn authorization(&self) -> Option<&str> {
        self.headers.get("authorization").map(String::as_str)
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Status, headers, body.
    Whole(u16, Vec<(String, String)>, Vec<u8>),
    /// A body that says it has so many bytes, but ends here.
    Cut(Vec<u8>, usize),
    /// A body without an end, in chunks.
    Endless,
    /// A body that says it has so many bytes, and after these nothing comes.
    Stuck(Vec<u8>, usize),
    /// These bytes, and the connection ends.
    Raw(Vec<u8>),
}

impl Answer {
    pub fn ok(kind: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::Whole(200, vec![header("content-type", kind)], body.into())
    }

    pub fn status(status: u16) -> Self {
        Self::Whole(status, Vec::new(), Vec::new())
    }

    pub fn redirect(place: &str) -> Self {
        Self::Whole(307, vec![header("location", place)], Vec::new())
    }
}

pub fn header(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

type Handler = dyn Fn(&Asked) -> Answer + Send + Sync;

/// A server on loopback.
pub struct Server {
    pub host: String,
    pub asked: Arc<Mutex<Vec<Asked>>>,
    /// Bytes of bodies that were sent.
    pub sent: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Server {
    pub fn start(handler: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
        let handler: Arc<Handler> = Arc::new(handler);
        let (asked, sent): (Arc<Mutex<Vec<Asked>>>, Arc<AtomicU64>) = Default::default();
        let stop = Arc::new(AtomicBool::new(false));
        let (log, count, ended) = (Arc::clone(&asked), Arc::clone(&sent), Arc::clone(&stop));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let (handler, log) = (Arc::clone(&handler), Arc::clone(&log));
                let (count, ended) = (Arc::clone(&count), Arc::clone(&ended));
                std::thread::spawn(move || {
                    serve(&client.unwrap(), &*handler, &log, &count, &ended);
                });
            }
        });
        Self { host, asked, sent, stop }
    }

    /// All that was asked so far.
    pub fn log(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(&self.host);
    }
}

fn serve(
    client: &TcpStream,
    handler: &Handler,
    log: &Mutex<Vec<Asked>>,
    sent: &AtomicU64,
    stop: &AtomicBool,
) {
    let mut reader = BufReader::new(client.try_clone().unwrap());
    if let Some(asked) = read(&mut reader) {
        let answer = handler(&asked);
        log.lock().unwrap().push(asked.clone());
        let _ = write(client, &asked, answer, sent, stop);
    }
    let _ = client.shutdown(Shutdown::Both);
}

/// A request; what greets in TLS is told that this is plain, as others tell it.
fn read(reader: &mut BufReader<TcpStream>) -> Option<Asked> {
    // A TLS greeting has no line's end: its first byte tells.
    if reader.fill_buf().ok()?.first()? == &0x16 {
        let _ = reader.get_mut().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        return None;
    }
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(0, |text| text.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { method, path, headers, body })
}

fn write(
    mut client: &TcpStream,
    asked: &Asked,
    answer: Answer,
    sent: &AtomicU64,
    stop: &AtomicBool,
) -> std::io::Result<()> {
    let mut send = |bytes: &[u8]| {
        sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        client.write_all(bytes)
    };
    match answer {
        Answer::Whole(status, headers, body) => {
            let mut head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
            for (name, value) in headers {
                write!(head, "{name}: {value}\r\n").unwrap();
            }
            send(format!("{head}\r\n").as_bytes())?;
            if asked.method != "HEAD" {
                send(&body)?;
            }
        }
        Answer::Cut(body, length) => {
            send(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").as_bytes())?;
            send(&body)?;
        }
        Answer::Stuck(body, length) => {
            send(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").as_bytes())?;
            send(&body)?;
            // Until the client gives up.
            let _ = client.read(&mut [0]);
        }
        Answer::Endless => {
            send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
            let chunk = [b"10000\r\n".as_slice(), &vec![b' '; 0x10000], b"\r\n"].concat();
            while !stop.load(Ordering::Relaxed) {
                send(&chunk)?;
            }
        }
        Answer::Raw(bytes) => send(&bytes)?,
    }
    Ok(())
}

/// An image in memory, as a registry gives it: manifest `m:1` and blobs.
#[derive(Clone)]
pub struct Made {
    pub manifest: Value,
    pub config: Vec<u8>,
    pub layers: Vec<Vec<u8>>,
}

impl Made {
    /// Of plain layers, sent as gzip.
    pub fn new(layers: &[Vec<u8>]) -> Self {
        let config = config(layers);
        let layers: Vec<Vec<u8>> = layers.iter().map(|layer| gzip(layer)).collect();
        let all: Vec<Value> = layers.iter().map(|layer| describe(LAYER, layer)).collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": describe(CONFIG, &config), "layers": all,
        });
        Self { manifest, config, layers }
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.manifest.to_string().into_bytes()
    }

    /// The honest answer.
    pub fn answer(&self, asked: &Asked) -> Answer {
        let path = asked.path.split('?').next().unwrap();
        if path.contains("/manifests/") {
            return Answer::ok(MANIFEST, self.bytes());
        }
        let blobs = self.layers.iter().chain([&self.config]);
        for blob in blobs {
            if path.ends_with(Digest::of(blob).as_str()) {
                return ranged(asked, blob);
            }
        }
        if path == "/v2/" { Answer::ok("application/json", "{}") } else { Answer::status(404) }
    }
}

/// A blob, or the part of it that is asked for.
fn ranged(asked: &Asked, blob: &[u8]) -> Answer {
    let kind = "application/octet-stream";
    let range = asked.headers.get("range").and_then(|text| text.strip_prefix("bytes="));
    let Some(start) = range.and_then(|text| text.trim_end_matches('-').parse::<usize>().ok())
    else {
        return Answer::ok(kind, blob);
    };
    let place = format!("bytes {start}-{}/{}", blob.len() - 1, blob.len());
    Answer::Whole(206, vec![header("content-range", &place)], blob[start..].to_vec())
}

pub fn describe(kind: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": kind, "digest": Digest::of(bytes), "size": bytes.len()})
}
