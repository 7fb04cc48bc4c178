use super::*;
use nix::cmsg_space;
use nix::sys::socket::{ControlMessageOwned, recvmsg};
use std::fs::File;
use std::io::IoSliceMut;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

/// A pty of the host, as terminals of users are; its ptmx is often for root alone.
fn host_pty() -> Option<Pty> {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return None;
    }
    Some(allocate(File::open("/").unwrap().as_fd()).unwrap())
}

#[test]
fn a_pty_has_its_own_peer() {
    let Some(pty) = host_pty() else { return };
    let peer = std::fs::read_link(format!("/proc/self/fd/{}", pty.peer.as_raw_fd())).unwrap();
    assert_eq!(peer, Path::new(&pty.name));
    pty.resize(Size { rows: 10, columns: 20 }).unwrap();
    assert_eq!(tty::size(pty.peer.as_fd()), Ok(Size { rows: 10, columns: 20 }));
}

#[test]
fn newlines_stay_alone() {
    let Some(pty) = host_pty() else { return };
    clear_onlcr(pty.master.as_fd()).unwrap();
    nix::unistd::write(&pty.peer, b"a\nb").unwrap();
    let mut buffer = [0; 16];
    let length = nix::unistd::read(&pty.master, &mut buffer).unwrap();
    assert_eq!(buffer.get(..length), Some(&b"a\nb"[..]));
}

#[test]
fn raw_mode_ends_with_its_guard() {
    let Some(pty) = host_pty() else { return };
    let before = tcgetattr(&pty.peer).unwrap();
    let mut terminal = HostTerminal { fd: pty.peer.try_clone().unwrap(), saved: None };
    terminal.make_raw().unwrap();
    let raw = tcgetattr(&pty.peer).unwrap();
    assert_ne!(raw.local_flags, before.local_flags);
    assert!(raw.output_flags.contains(OutputFlags::OPOST | OutputFlags::ONLCR));
    drop(terminal);
    assert_eq!(tcgetattr(&pty.peer).unwrap(), before);
}

#[test]
fn a_directory_that_is_no_devpts_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let allocate = || {
        let directory = File::open(root.path()).unwrap();
        allocate(directory.as_fd()).unwrap_err().to_string()
    };
    assert!(allocate().contains("openat2(\"dev/pts\"): no such file or directory"));
    std::fs::create_dir(root.path().join("dev")).unwrap();
    // The host's devpts through a link, and a look-alike.
    std::os::unix::fs::symlink("/dev/pts", root.path().join("dev/pts")).unwrap();
    assert!(allocate().contains("too many levels of symbolic links"));
    std::fs::remove_file(root.path().join("dev/pts")).unwrap();
    std::fs::create_dir(root.path().join("dev/pts")).unwrap();
    std::fs::write(root.path().join("dev/pts/ptmx"), "").unwrap();
    assert!(allocate().contains("not a devpts mount"));
}

#[test]
fn a_descriptor_travels_with_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let long = directory.path().join("d".repeat(100));
    std::fs::create_dir(&long).unwrap();
    let handle = File::open(&long).unwrap();
    let short = format!("/proc/self/fd/{}/console.sock", handle.as_raw_fd());
    let listener = UnixListener::bind(short).unwrap();
    let socket = connect_socket(&long.join("console.sock")).unwrap();
    let file = File::open(&long).unwrap();
    send_fd(socket.as_fd(), file.as_fd(), b"/dev/pts/0").unwrap();
    let (received, _) = listener.accept().unwrap();
    let (name, target) = receive(&received);
    assert_eq!(name, "/dev/pts/0");
    assert_eq!(target, long);
}

/// Data of one message, and what its descriptor refers to.
fn receive(socket: &UnixStream) -> (String, PathBuf) {
    let mut text = [0; 64];
    let mut space = cmsg_space!([std::os::fd::RawFd; 1]);
    let mut parts = [IoSliceMut::new(&mut text)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags).unwrap();
    let length = message.bytes;
    let fds = message.cmsgs().unwrap().find_map(|part| match part {
        ControlMessageOwned::ScmRights(fds) => Some(fds),
        _ => None,
    });
    let target = std::fs::read_link(format!("/proc/self/fd/{}", fds.unwrap().first().unwrap()));
    (String::from_utf8(text.get(..length).unwrap().to_vec()).unwrap(), target.unwrap())
}

#[test]
fn sockets_that_are_not_there() {
    let missing = connect_socket(Path::new("/nonexistent/x.sock")).unwrap_err().to_string();
    assert_eq!(missing, "connect(/nonexistent/x.sock): no such file or directory");
    let long = format!("/nonexistent/{}/x.sock", "d".repeat(120));
    let missing = connect_socket(Path::new(&long)).unwrap_err().to_string();
    assert!(missing.ends_with("no such file or directory"), "{missing}");
}
