//! `hull-floor run --bundle DIR ID`: the kernel's own share of running the default bundle.
//!
//! It makes the same container as a runtime does of that bundle (namespaces, cgroups, mounts,
//! devices, masked paths, capabilities) with the fewest system calls known, and nothing that makes
//! a runtime: it reads no configuration, checks nothing, keeps no state, protects nothing of
//! itself, and gives up at the first error without cleaning up.
#![allow(unsafe_code, reason = "system calls without wrappers; one thread")]

use nix::errno::Errno;
use nix::libc::{self, c_long};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::CloneFlags;
use nix::sys::stat::{Mode, SFlag, makedev, mknod, umask};
use nix::unistd::{chdir, fchdir, pivot_root, setsid, symlinkat};
use std::ffi::{CString, OsString};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

const CGROUPS: &str = "/sys/fs/cgroup";
const HOSTNAME: &[u8] = b"bench";

fn main() -> io::Result<()> {
    let words: Vec<OsString> = std::env::args_os().collect();
    match words.iter().map(|word| word.to_str().unwrap_or_default()).collect::<Vec<_>>()[..] {
        [_, "--version"] => {
            println!("the kernel's own share, by {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        [_, "run", "--bundle", bundle, id] => run(Path::new(bundle), id),
        _ => Err(io::Error::other("usage: hull-floor run --bundle DIR ID")),
    }
}

fn run(bundle: &Path, id: &str) -> io::Result<()> {
    let cgroups = make_cgroups(id)?;
    let tasks: Vec<File> = cgroups
        .iter()
        .map(|path| File::options().write(true).open(path.join("tasks")))
        .collect::<io::Result<_>>()?;
    let namespaces = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS;
    let (pid, pidfd) = clone(namespaces)?;
    if pid == 0 {
        let error = container(&bundle.join("rootfs"), &tasks).unwrap_err();
        eprintln!("hull-floor: {error}");
        // SAFETY: ends the child.
        unsafe { libc::_exit(1) }
    }
    drop(tasks);
    let pidfd = pidfd.ok_or_else(|| io::Error::other("no pidfd"))?;
    let id = nix::sys::wait::Id::PIDFd(std::os::fd::AsFd::as_fd(&pidfd));
    let status = nix::sys::wait::waitid(id, nix::sys::wait::WaitPidFlag::WEXITED)?;
    cgroups.iter().try_for_each(fs::remove_dir)?;
    match status {
        nix::sys::wait::WaitStatus::Exited(_, 0) => Ok(()),
        other => Err(io::Error::other(format!("{other:?}"))),
    }
}

/// A cgroup in each v1 hierarchy; none on a v2 host, where a container needs only one more.
fn make_cgroups(id: &str) -> io::Result<Vec<PathBuf>> {
    let mut made = Vec::new();
    for entry in fs::read_dir(CGROUPS)? {
        let mount = entry?.path();
        if !mount.join("tasks").exists() || mount.is_symlink() {
            continue;
        }
        let path = mount.join(id);
        fs::create_dir(&path)?;
        if mount.ends_with("cpuset") {
            for name in ["cpuset.cpus", "cpuset.mems"] {
                fs::write(path.join(name), fs::read(mount.join(name))?)?;
            }
        }
        if mount.ends_with("devices") {
            fs::write(path.join("devices.deny"), "a")?;
            let mut allow = File::options().write(true).open(path.join("devices.allow"))?;
            for rule in [
                "c *:* m",
                "b *:* m",
                "c 1:3 rwm",
                "c 1:5 rwm",
                "c 1:7 rwm",
                "c 1:8 rwm",
                "c 1:9 rwm",
                "c 5:0 rwm",
                "c 5:2 rwm",
                "c 10:200 rwm",
                "c 136:* rwm",
            ] {
                allow.write_all(rule.as_bytes())?;
            }
        }
        made.push(path);
    }
    Ok(made)
}

/// clone3(2) as a fork; the child gets pid 0.
fn clone(namespaces: CloneFlags) -> nix::Result<(libc::pid_t, Option<OwnedFd>)> {
    let mut pidfd: RawFd = -1;
    let flags = u64::from((namespaces.bits() | libc::CLONE_PIDFD).cast_unsigned());
    let mut args = [0u64; 11];
    args[0] = flags;
    args[1] = (&raw mut pidfd) as u64;
    args[4] = 17; // SIGCHLD
    // SAFETY: without CLONE_VM the child runs on a copy of this stack; the arguments outlive the
    // call.
    let pid = Errno::result(unsafe {
        libc::syscall(libc::SYS_clone3, args.as_ptr(), size_of_val(&args))
    })?;
    // SAFETY: the kernel stored a new descriptor in the parent.
    let pidfd = (pid != 0).then(|| unsafe { OwnedFd::from_raw_fd(pidfd) });
    Ok((libc::pid_t::try_from(pid).unwrap_or_default(), pidfd))
}

/// The container's first process; returns only with an error.
fn container(rootfs: &Path, tasks: &[File]) -> io::Result<std::convert::Infallible> {
    for mut file in tasks {
        file.write_all(b"0")?;
    }
    setsid()?;
    loopback()?;
    umask(Mode::empty());
    let none: Option<&str> = None;
    let (silent, slave) = (None::<&str>, MsFlags::MS_REC | MsFlags::MS_SLAVE);
    mount(none, "/", none, slave, silent)?;
    mount(Some(rootfs), rootfs, none, MsFlags::MS_BIND | MsFlags::MS_REC, silent)?;
    chdir(rootfs)?;
    mounts()?;
    devices()?;
    let old = File::open("/")?;
    pivot_root(".", ".")?;
    fchdir(&old)?;
    umount2(".", MntFlags::MNT_DETACH)?;
    chdir("/")?;
    // SAFETY: a constant string and its length.
    Errno::result(unsafe { libc::sethostname(HOSTNAME.as_ptr().cast(), HOSTNAME.len()) })?;
    protect()?;
    umask(Mode::from_bits_truncate(0o022));
    privileges()?;
    let program = c"/exit";
    nix::unistd::execve(program, &[program], &[] as &[CString]).map_err(Into::into)
}

fn mounts() -> io::Result<()> {
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC | MsFlags::MS_NODEV;
    let none = MsFlags::empty();
    let new = |kind: &str, target: &str, flags, data: &str| {
        mount(Some(kind), target, Some(kind), flags, Some(data))
    };
    new("proc", "proc", none, "")?;
    new("tmpfs", "dev", MsFlags::MS_NOSUID | MsFlags::MS_STRICTATIME, "mode=755,size=65536k")?;
    for below in ["dev/pts", "dev/shm", "dev/mqueue"] {
        fs::create_dir(below)?;
    }
    let pts = "newinstance,ptmxmode=0666,mode=0620,gid=5";
    new("devpts", "dev/pts", MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC, pts)?;
    new("tmpfs", "dev/shm", quiet, "mode=1777,size=65536k")?;
    new("mqueue", "dev/mqueue", quiet, "")?;
    new("sysfs", "sys", quiet | MsFlags::MS_RDONLY, "")?;
    new("tmpfs", "sys/fs/cgroup", quiet, "mode=755")?;
    for entry in fs::read_dir(CGROUPS)? {
        let source = entry?.path();
        if !source.join("tasks").exists() || source.is_symlink() {
            continue;
        }
        let target = Path::new("sys/fs/cgroup").join(source.file_name().unwrap_or_default());
        fs::create_dir(&target)?;
        let tree = open_tree(&source)?;
        set_read_only(&tree)?;
        move_mount(&tree, &target)?;
    }
    Ok(())
}

fn devices() -> nix::Result<()> {
    let mode = Mode::from_bits_truncate(0o666);
    for (name, major, minor) in [
        ("null", 1, 3),
        ("zero", 1, 5),
        ("full", 1, 7),
        ("random", 1, 8),
        ("urandom", 1, 9),
        ("tty", 5, 0),
    ] {
        let path = Path::new("dev").join(name);
        mknod(&path, SFlag::S_IFCHR, mode, makedev(major, minor))?;
    }
    for (target, name) in [
        ("/proc/self/fd", "dev/fd"),
        ("/proc/self/fd/0", "dev/stdin"),
        ("/proc/self/fd/1", "dev/stdout"),
        ("/proc/self/fd/2", "dev/stderr"),
        ("pts/ptmx", "dev/ptmx"),
    ] {
        symlinkat(target, nix::fcntl::AT_FDCWD, name)?;
    }
    Ok(())
}

/// Read-only and masked paths.
fn protect() -> nix::Result<()> {
    for path in ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"] {
        match open_tree(Path::new(path)) {
            Err(Errno::ENOENT) => {}
            tree => {
                let tree = tree?;
                set_read_only(&tree)?;
                move_mount(&tree, Path::new(path))?;
            }
        }
    }
    for path in ["/proc/acpi", "/sys/firmware"] {
        mount(Some("tmpfs"), path, Some("tmpfs"), MsFlags::MS_RDONLY, None::<&str>)?;
    }
    for path in ["/proc/keys", "/proc/timer_list", "/proc/kcore"] {
        match mount(Some("/dev/null"), path, None::<&str>, MsFlags::MS_BIND, None::<&str>) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    set_read_only(&open_path(Path::new("/"))?)
}

/// Three capabilities and no new privileges.
fn privileges() -> nix::Result<()> {
    let kept: u64 = 1 << 5 | 1 << 10 | 1 << 29;
    for capability in (0..=40u32).filter(|bit| kept & 1 << bit == 0) {
        prctl(libc::PR_CAPBSET_DROP, capability.into())?;
    }
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1)?;
    let header: [u32; 2] = [0x2008_0522, 0];
    let low = 1 << 5 | 1 << 10 | 1 << 29;
    let sets: [u32; 6] = [low, low, 0, 0, 0, 0];
    // SAFETY: version 3 takes two triples; both arrays outlive the call.
    Errno::result(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) })
        .map(drop)
}

fn prctl(option: libc::c_int, argument: libc::c_ulong) -> nix::Result<()> {
    let zero: libc::c_ulong = 0;
    // SAFETY: both options take integers.
    Errno::result(unsafe { libc::prctl(option, argument, zero, zero, zero) }).map(drop)
}

/// Sets IFF_UP on `lo` (netdevice(7)).
fn loopback() -> nix::Result<()> {
    // SAFETY: plain integers.
    let socket = Errno::result(unsafe {
        libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0)
    })?;
    let mut request = [0u8; 40];
    request[..2].copy_from_slice(b"lo");
    request[16] = 1;
    // SAFETY: SIOCSIFFLAGS reads a struct ifreq of 40 bytes; the descriptor is closed once.
    unsafe {
        let answer = libc::ioctl(socket, libc::SIOCSIFFLAGS as _, request.as_ptr());
        libc::close(socket);
        Errno::result(answer).map(drop)
    }
}

fn descriptor(answer: c_long) -> nix::Result<OwnedFd> {
    let fd = RawFd::try_from(Errno::result(answer)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: a new descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn c_path(path: &Path) -> nix::Result<CString> {
    CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| Errno::EINVAL)
}

fn open_path(path: &Path) -> nix::Result<OwnedFd> {
    let path = c_path(path)?;
    let flags = libc::O_PATH | libc::O_CLOEXEC;
    // SAFETY: a string that outlives the call.
    descriptor(unsafe { libc::open(path.as_ptr(), flags) }.into())
}

fn open_tree(path: &Path) -> nix::Result<OwnedFd> {
    let path = c_path(path)?;
    let flags = 1 | libc::O_CLOEXEC | 0x8000; // OPEN_TREE_CLONE, AT_RECURSIVE
    // SAFETY: a string that outlives the call.
    descriptor(unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) })
}

fn set_read_only(tree: &OwnedFd) -> nix::Result<()> {
    let attributes: [u64; 4] = [1, 0, 0, 0]; // MOUNT_ATTR_RDONLY
    // SAFETY: the empty path, and a structure whose size is passed with it.
    Errno::result(unsafe {
        let (fd, empty) = (tree.as_raw_fd(), c"".as_ptr());
        let flags = libc::AT_EMPTY_PATH;
        libc::syscall(libc::SYS_mount_setattr, fd, empty, flags, attributes.as_ptr(), 32usize)
    })
    .map(drop)
}

fn move_mount(tree: &OwnedFd, target: &Path) -> nix::Result<()> {
    let target = c_path(target)?;
    // SAFETY: two strings that outlive the call.
    Errno::result(unsafe {
        let (fd, empty) = (tree.as_raw_fd(), c"".as_ptr());
        let flags = 4; // MOVE_MOUNT_F_EMPTY_PATH
        libc::syscall(libc::SYS_move_mount, fd, empty, libc::AT_FDCWD, target.as_ptr(), flags)
    })
    .map(drop)
}
