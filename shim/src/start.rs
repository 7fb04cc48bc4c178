//! The action `start`: find the group's shim, or make its socket and start it.

use crate::args::Args;
use crate::bootstrap::{Bootstrap, Form};
use crate::error::{At, Error, Result, text};
use crate::options::EngineOptions;
use crate::{files, sys};
use nix::errno::Errno;
use nix::sys::stat::{Mode, umask};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io::{ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The longest config.json that is read.
const CONFIG_LIMIT: u64 = 64 << 20;
/// The longest path a socket can have (unix(7)), without its final zero.
const PATH_LIMIT: usize = 107;

/// The part of config.json that decides which containers share a shim.
#[derive(Debug, Default, Deserialize)]
struct Config {
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// Containers of one pod, or of one explicit group, share a shim.
fn group<'a>(config: &'a Config, id: &'a str) -> &'a str {
    ["io.containerd.runc.v2.group", "io.kubernetes.cri.sandbox-id"]
        .iter()
        .find_map(|key| config.annotations.get(*key))
        .map_or(id, String::as_str)
}

/// The socket of a group, named so that no two daemons, namespaces or groups meet. A container that
/// names no group is one of its own.
pub fn socket_path(dir: &Path, daemon: &str, namespace: &str, group: &str) -> PathBuf {
    let name = format!("{daemon}/{namespace}/{group}");
    dir.join(format!("{:x}", Sha256::digest(name.as_bytes())))
}

/// Starts the shim of the container in the working directory; prints its address.
///
/// # Errors
/// An unreadable config.json or standard input; no socket; the shim can't be started.
pub fn start(args: &Args, input: &[u8], output: &mut dyn Write) -> Result<()> {
    let environment = std::env::var("TTRPC_ADDRESS").unwrap_or_default();
    let bootstrap = Bootstrap::parse(input, args, &environment)?;
    let options = EngineOptions::from_any(bootstrap.options.as_ref())?;
    let config = files::read_bounded(Path::new("config.json"), CONFIG_LIMIT)
        .at(|| "read config.json".to_owned())?;
    let config: Config = serde_json::from_slice(&config)
        .map_err(|error| Error::invalid(format!("config.json: {error}")))?;
    let path = socket_path(
        &bootstrap.socket_dir,
        &bootstrap.grpc_address,
        &args.namespace,
        group(&config, &args.id),
    );
    let address = format!("unix://{}", path.display());
    if let Some(listener) = listen(&path)? {
        let begun = serve_on(args, &bootstrap, &path, listener)
            .and_then(|child| settle(child.id(), &options).inspect_err(|_| end(child)));
        if let Err(error) = begun {
            // Nobody will serve on it.
            let _ = fs::remove_file(&path);
            return Err(error);
        }
    }
    if bootstrap.form == Form::Plain {
        // containerd 1.x reads it when it starts again; every `delete` to find a stale socket.
        files::write_whole(Path::new("address"), address.as_bytes())
            .at(|| "write address".to_owned())?;
    }
    output.write_all(&bootstrap.answer(&address)).at(|| "answer".to_owned())
}

/// Makes the socket; `None` if the group's shim already listens there.
fn listen(path: &Path) -> Result<Option<UnixListener>> {
    if path.as_os_str().len() > PATH_LIMIT {
        let message = format!("socket {}: longer than {PATH_LIMIT} bytes", path.display());
        return Err(Error::invalid(message));
    }
    if let Some(dir) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .at(|| format!("make {}", dir.display()))?;
    }
    // Nobody but the owner may connect, from the first moment on.
    let old = umask(Mode::from_bits_truncate(0o177));
    let bound = bind(path);
    umask(old);
    bound
}

fn bind(path: &Path) -> Result<Option<UnixListener>> {
    for _ in 0..3 {
        match UnixListener::bind(path) {
            Ok(listener) => return Ok(Some(listener)),
            Err(error) if error.kind() == ErrorKind::AddrInUse => {}
            Err(error) => return Err(error).at(|| format!("listen on {}", path.display())),
        }
        if UnixStream::connect(path).is_ok() {
            return Ok(None);
        }
        // Left by a shim that was killed.
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).at(|| format!("remove stale {}", path.display()));
            }
            _ => {}
        }
    }
    Err(Error::unknown(format!("listen on {}: others keep taking it", path.display())))
}

/// Starts this program again as the server, in a process group of its own.
fn serve_on(
    args: &Args,
    bootstrap: &Bootstrap,
    path: &Path,
    listener: UnixListener,
) -> Result<Child> {
    let program = std::env::current_exe().at(|| "find this program".to_owned())?;
    let mut command = Command::new(&program);
    command.args(["-namespace", &args.namespace, "-id", &args.id]);
    command.args(["-address", &bootstrap.grpc_address, "-publish-binary", &args.publish_binary]);
    command.arg("-socket").arg(path);
    if bootstrap.debug {
        command.arg("-debug");
    }
    command.env("TTRPC_ADDRESS", &bootstrap.ttrpc_address);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.process_group(0);
    sys::pass(&mut command, vec![OwnedFd::from(listener)]);
    command.spawn().at(|| format!("start {}", program.display()))
}

/// Puts the server where its options want it, and makes it a likelier victim of the OOM killer
/// than containerd, a less likely one than containers.
fn settle(pid: u32, options: &EngineOptions) -> Result<()> {
    if !options.shim_cgroup.is_empty() {
        crate::cgroup::join(&options.shim_cgroup, pid)?;
    }
    let parent = nix::unistd::getppid();
    let path = format!("/proc/{parent}/oom_score_adj");
    let score = fs::read_to_string(&path).at(|| format!("read {path}"))?;
    let score: i32 = score.trim().parse().unwrap_or(0);
    let path = format!("/proc/{pid}/oom_score_adj");
    fs::write(&path, (score + 1).min(1000).to_string())
        .or_else(|error| if is(&error, Errno::EACCES) { Ok(()) } else { Err(error) })
        .at(|| format!("write {path}"))
}

/// Lowering needs CAP_SYS_RESOURCE: where it is missing the score stays.
fn is(error: &std::io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno as i32)
}

fn end(mut child: Child) {
    if let Err(error) = child.kill().and_then(|()| child.wait()) {
        let errno = error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw);
        eprintln!("end the shim {}: {}", child.id(), text(errno));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_a_group_and_an_explicit_group_comes_first() {
        let mut config = Config::default();
        assert_eq!(group(&config, "c1"), "c1");
        config.annotations.insert("io.kubernetes.cri.sandbox-id".to_owned(), "pod".to_owned());
        assert_eq!(group(&config, "c1"), "pod");
        config.annotations.insert("io.containerd.runc.v2.group".to_owned(), "g".to_owned());
        assert_eq!(group(&config, "c1"), "g");
    }

    #[test]
    fn the_sockets_name_is_the_one_containerds_shim_would_use() {
        let path = socket_path(Path::new("/s"), "/run/c.sock", "ns", "g");
        // printf %s /run/c.sock/ns/g | sha256sum
        let name = "be867259174e4f68b6f2bdc86acf7d0d556b940647ec3eb02b9972c0f538dfdd";
        assert_eq!(path, Path::new("/s").join(name));
        assert_ne!(path, socket_path(Path::new("/s"), "/run/c.sock", "ns", "h"));
    }

    #[test]
    fn a_socket_in_use_is_found_and_a_stale_one_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/s");
        let first = listen(&path).unwrap().expect("a free name");
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        assert!(listen(&path).unwrap().is_none(), "somebody listens");
        drop(first);
        assert!(listen(&path).unwrap().is_some(), "nobody listens any more");
        let long = dir.path().join("x".repeat(120));
        assert!(listen(&long).unwrap_err().message().contains("longer than"));
    }
}
