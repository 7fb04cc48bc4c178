//! Terminals: a container's own devpts, and controlling terminals.

use crate::{alone, command_alone, enter, is_root};
use hull::console::{allocate, give_stdio, make_controlling};
use nix::mount::{MsFlags, mount};
use nix::sched::CloneFlags;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};

/// A root with a devpts of its own, in a mount namespace of this thread.
fn container_root() -> Option<tempfile::TempDir> {
    if !enter(CloneFlags::CLONE_NEWNS) {
        return None;
    }
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    let root = tempfile::tempdir().unwrap();
    // The directory goes with the namespace, except for itself.
    mount(Some("tmpfs"), root.path(), Some("tmpfs"), MsFlags::empty(), none).unwrap();
    let pts = root.path().join("dev/pts");
    std::fs::create_dir_all(&pts).unwrap();
    let options = Some("newinstance,ptmxmode=0666,mode=0620");
    mount(Some("devpts"), &pts, Some("devpts"), MsFlags::empty(), options).unwrap();
    Some(root)
}

fn leave(root: &tempfile::TempDir) {
    nix::mount::umount2(root.path(), nix::mount::MntFlags::MNT_DETACH).unwrap();
}

#[test]
fn the_pty_is_the_containers_own() {
    let Some(root) = container_root() else { return };
    let directory = File::open(root.path()).unwrap();
    let pty = allocate(directory.as_fd()).unwrap();
    assert_eq!(pty.name, "/dev/pts/0");
    let peer = nix::sys::stat::fstat(&pty.peer).unwrap();
    let inside = nix::sys::stat::stat(&root.path().join("dev/pts/0")).unwrap();
    assert_eq!((peer.st_dev, peer.st_ino), (inside.st_dev, inside.st_ino));
    pty.give_to(1234).unwrap();
    let owner = nix::sys::stat::stat(&root.path().join("dev/pts/0")).unwrap();
    assert_eq!(owner.st_uid, 1234);
    assert_eq!(allocate(directory.as_fd()).unwrap().name, "/dev/pts/1");
    leave(&root);
}

#[test]
fn a_mount_over_ptmx_is_not_crossed() {
    let Some(root) = container_root() else { return };
    let ptmx = root.path().join("dev/pts/ptmx");
    mount(Some(Path::new("/dev/null")), &ptmx, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .unwrap();
    let error = allocate(File::open(root.path()).unwrap().as_fd()).unwrap_err();
    assert_eq!(error.errno(), Some(nix::errno::Errno::EXDEV));
    leave(&root);
}

#[test]
fn a_session_gets_its_terminal() {
    if alone() {
        let pty = allocate(File::open("/").unwrap().as_fd()).unwrap();
        assert!(File::open("/dev/tty").is_err());
        make_controlling(pty.peer.as_fd()).unwrap();
        let terminal = File::open("/dev/tty").unwrap();
        let session = nix::sys::termios::tcgetsid(&terminal).unwrap();
        assert_eq!(session, nix::unistd::getpid());
        for fd in 0..3 {
            let target = std::fs::read_link(format!("/proc/self/fd/{fd}")).unwrap();
            assert_eq!(target, Path::new(&pty.name));
        }
        // What is printed from here on goes to the terminal.
        std::process::exit(42);
    }
    if !is_root() {
        return;
    }
    let name = "terminal::a_session_gets_its_terminal";
    let status = command_alone(&["/usr/bin/setsid", "--wait"], name)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(42));
}

#[test]
fn pipes_are_given_away_but_devices_are_not() {
    if alone() {
        give_stdio(1234).unwrap();
        let owner =
            |fd: i32| nix::sys::stat::stat(format!("/proc/self/fd/{fd}").as_str()).unwrap().st_uid;
        assert_eq!((owner(1), owner(2)), (1234, 1234));
        assert_eq!(owner(0), 0);
        return;
    }
    if !is_root() {
        return;
    }
    let mut command: Command =
        command_alone(&[], "terminal::pipes_are_given_away_but_devices_are_not");
    let zero = File::open("/dev/zero").unwrap();
    let output = command.stdin(zero).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
