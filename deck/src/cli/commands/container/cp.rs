//! `cp`: between a container and this host, or a tar stream.

use super::path;
use crate::cli::client::{Call, reader, write_body};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::session::Session;
use crate::cli::unpack::{self, Unpack};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use hyper::Method;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Options of `cp`.
#[derive(Args)]
pub struct Cp {
    /// Keep owners
    #[arg(short, long)]
    archive: bool,
    /// Copy what a link in SOURCE points to
    #[arg(short = 'L', long)]
    follow_link: bool,
    /// Say nothing
    #[arg(short, long)]
    quiet: bool,
    /// CONTAINER:PATH, a path, or - for a tar archive on standard input
    source: String,
    /// CONTAINER:PATH, a path, or - for a tar archive on standard output
    target: String,
}

/// One side of a copy.
#[derive(Debug, PartialEq, Eq)]
enum Side<'a> {
    /// In a container.
    Container(&'a str, &'a str),
    /// On this host.
    Host(&'a str),
    /// A stream.
    Stream,
}

/// `.` and `/` begin a path of this host even where it holds a colon.
fn side(text: &str) -> Side<'_> {
    match text.split_once(':') {
        _ if text == "-" => Side::Stream,
        Some((container, path)) if !text.starts_with(['/', '.']) && !container.is_empty() => {
            Side::Container(container, path)
        }
        _ => Side::Host(text),
    }
}

/// Runs `cp`.
pub async fn cp(session: &Session, args: Cp) -> Outcome {
    match (side(&args.source), side(&args.target)) {
        (Side::Container(..), Side::Container(..)) => {
            Err(Failure::new("copying between containers is not supported"))
        }
        (Side::Container(name, source), Side::Stream) => {
            let call =
                Call::get(&format!("{}/archive", path(name))).query("path", absolute(source));
            let body = session.client.send(call).await?.into_body();
            let mut out = tokio::io::stdout();
            Ok(write_body(body, &mut out).await?)
        }
        (Side::Container(name, source), Side::Host(target)) => {
            from(session, &args, name, source, target).await
        }
        (Side::Stream, Side::Container(name, target)) => {
            put(session, &args, name, &absolute(target), Call::upload, tokio::io::stdin()).await
        }
        (Side::Host(source), Side::Container(name, target)) => {
            into(session, &args, source, name, target).await
        }
        _ => Err(Failure::new("must specify at least one container source")),
    }
}

/// Docker's: a path in a container begins at its root.
fn absolute(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

/// What the engine tells of a path in a container.
struct Stat {
    directory: bool,
    link: Option<String>,
}

async fn stat(session: &Session, name: &str, target: &str) -> crate::Result<Stat> {
    let call = Call::new(Method::HEAD, &format!("{}/archive", path(name))).query("path", target);
    let response = session.client.send(call).await?;
    let header = response.headers().get("x-docker-container-path-stat");
    decode(header.and_then(|value| value.to_str().ok()).unwrap_or(""))
}

fn decode(header: &str) -> crate::Result<Stat> {
    // Go's os.FileMode: the highest bit is a directory, the fifth from it a link.
    const DIRECTORY: u64 = 1 << 31;
    const LINK: u64 = 1 << 27;
    let broken = || crate::Error::internal("the engine's path information can't be read");
    let bytes = STANDARD.decode(header).map_err(|_| broken())?;
    let stat: Value = serde_json::from_slice(&bytes).map_err(|_| broken())?;
    let mode = stat.get("mode").and_then(Value::as_u64).ok_or_else(broken)?;
    let target = stat.get("linkTarget").and_then(Value::as_str).unwrap_or("");
    Ok(Stat {
        directory: mode & DIRECTORY != 0,
        link: (mode & LINK != 0).then(|| target.to_owned()),
    })
}

async fn from(session: &Session, args: &Cp, name: &str, source: &str, target: &str) -> Outcome {
    let mut source = absolute(source);
    if args.follow_link
        && let Some(link) = stat(session, name, &source).await?.link
        && !link.is_empty()
    {
        source = joined(&source, &link);
    }
    let call = Call::get(&format!("{}/archive", path(name))).query("path", &source);
    let response = session.client.send(call).await?;
    let header = response.headers().get("x-docker-container-path-stat");
    let stat = decode(header.and_then(|value| value.to_str().ok()).unwrap_or(""))?;
    let (directory, rename) = place(&source, stat.directory, Path::new(target), target)?;
    let plan = Unpack { directory, rename, owners: args.archive };
    unpack::stream(reader(response.into_body()), plan).await
}

/// A link's target, seen from the directory the link is in.
fn joined(source: &str, link: &str) -> String {
    if link.starts_with('/') {
        return link.to_owned();
    }
    let parent = source.trim_end_matches('/').rsplit_once('/').map_or("", |(parent, _)| parent);
    format!("{parent}/{link}")
}

/// The directory to unpack into, and what the archive's top is to be called (`None`: its
/// content goes straight there).
fn place(
    source: &str,
    source_is_directory: bool,
    target: &Path,
    text: &str,
) -> Outcome<(PathBuf, Option<PathBuf>)> {
    let base = source.trim_end_matches('/').rsplit('/').next().unwrap_or("");
    let contents = source.ends_with("/.") || base.is_empty() || base == ".";
    if target.is_dir() {
        let rename = (!contents).then(|| PathBuf::from(base));
        return Ok((target.to_path_buf(), rename));
    }
    if text.ends_with('/') && !source_is_directory || target.exists() && source_is_directory {
        let reason = if target.exists() { "is not a directory" } else { "does not exist" };
        return Err(Failure::new(format!("destination \"{text}\" {reason}")));
    }
    let parent = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    if !parent.is_dir() {
        return Err(Failure::new(format!(
            "invalid output path: directory {:?} does not exist",
            parent.display().to_string()
        )));
    }
    let Some(last) = target.file_name() else {
        return Err(Failure::new(format!("invalid output path: {text:?}")));
    };
    Ok((parent, Some(PathBuf::from(last))))
}

async fn into(session: &Session, args: &Cp, source: &str, name: &str, target: &str) -> Outcome {
    let target = absolute(target);
    let mut path = PathBuf::from(source);
    if args.follow_link {
        path = std::fs::canonicalize(&path)
            .map_err(|error| Failure::new(format!("{source}: {error}")))?;
    }
    let metadata = std::fs::symlink_metadata(&path)
        .map_err(|error| Failure::new(format!("lstat {source}: {error}")))?;
    let (directory, called) =
        destination(session, name, source, metadata.is_dir(), &target).await?;
    let (receive, send) = tokio::io::duplex(256 * 1024);
    let packing = unpack::pack(path, called, send);
    let sending = put(session, args, name, &directory, Call::upload, receive);
    let (sent, packed) = tokio::join!(sending, packing);
    // A refusal of the engine breaks the pipe: it is the reason, not the pipe.
    sent.and(packed)
}

/// The container's directory, and the name in it (`None`: the source's content goes there).
async fn destination(
    session: &Session,
    name: &str,
    source: &str,
    source_is_directory: bool,
    target: &str,
) -> Outcome<(String, Option<PathBuf>)> {
    let base = Path::new(source).file_name().map(PathBuf::from);
    let contents = source.ends_with("/.") || source == "." || base.is_none();
    let mut there = target.to_owned();
    let mut found = stat(session, name, &there).await;
    if let Ok(Stat { link: Some(link), .. }) = &found {
        there = joined(&there, link);
        found = stat(session, name, &there).await;
    }
    match found {
        Ok(stat) if stat.directory => Ok((there, if contents { None } else { base })),
        Ok(_) if source_is_directory => Err(Failure::new("cannot copy a directory to a file")),
        Ok(_) if target.ends_with('/') => Err(Failure::new("not a directory")),
        Err(error) if error.status != 404 => Err(error.into()),
        Err(_) if target.ends_with('/') && !source_is_directory => {
            Err(Failure::new("no such directory"))
        }
        _ => {
            let bare = there.trim_end_matches('/');
            let (parent, last) = bare.rsplit_once('/').unwrap_or(("", bare));
            let parent = if parent.is_empty() { "/" } else { parent };
            Ok((parent.to_owned(), Some(PathBuf::from(last))))
        }
    }
}

async fn put<R>(
    session: &Session,
    args: &Cp,
    name: &str,
    directory: &str,
    upload: impl FnOnce(Call, R) -> Call,
    reader: R,
) -> Outcome {
    let call = Call::new(Method::PUT, &format!("{}/archive", path(name)))
        .query("path", directory)
        .query("noOverwriteDirNonDir", "true")
        .flag("copyUIDGID", args.archive);
    Ok(session.client.run(upload(call, reader)).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides() {
        assert_eq!(side("web:/etc"), Side::Container("web", "/etc"));
        assert_eq!(side("./a:b"), Side::Host("./a:b"));
        assert_eq!(side("/a:b"), Side::Host("/a:b"));
        assert_eq!(side("a"), Side::Host("a"));
        assert_eq!(side("-"), Side::Stream);
    }

    #[test]
    fn links() {
        assert_eq!(joined("/a/b", "c"), "/a/c");
        assert_eq!(joined("/a/b", "/c"), "/c");
        assert_eq!(joined("/b", "c"), "/c");
    }

    #[test]
    fn places() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("file"), "").unwrap();
        let place = |source: &str, is_directory, name: &str| {
            let path = at(name);
            place(source, is_directory, &path, path.to_str().unwrap())
        };
        let here = directory.path().to_path_buf();
        assert_eq!(place("/etc", true, "").unwrap().1, Some("etc".into()));
        assert_eq!(place("/etc/.", true, "").unwrap().1, None);
        assert_eq!(place("/etc/passwd", false, "new").unwrap(), (here.clone(), Some("new".into())));
        assert_eq!(place("/etc/passwd", false, "file").unwrap(), (here, Some("file".into())));
        assert!(place("/etc", true, "file").is_err());
        assert!(place("/etc/passwd", false, "none/").is_err());
        assert!(place("/etc/passwd", false, "none/new").is_err());
    }
}
