//! The system calls neither std nor nix wraps. Every function here gives plain values or an errno.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;

use crate::observation::Scheduler;

fn check(result: libc::c_long) -> Result<libc::c_long, Errno> {
    Errno::result(result)
}

/// A descriptor of the process `pid` (pidfd_open(2)).
pub fn pidfd(pid: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: pidfd_open takes two integers.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })
}

/// Sends `signal` to the process behind a pidfd.
pub fn signal(pidfd: &OwnedFd, signal: i32) -> Result<(), Errno> {
    let info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a null siginfo asks for what kill(2) sends.
    check(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, info, 0) })
        .map(drop)
}

/// Orphans below this process become its children.
pub fn become_subreaper() -> Result<(), Errno> {
    // SAFETY: PR_SET_CHILD_SUBREAPER takes integers.
    Errno::result(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }).map(drop)
}

/// `ioprio_get(2)` of this process.
pub fn ioprio() -> i64 {
    // SAFETY: integers only; 1 is IOPRIO_WHO_PROCESS, 0 the caller.
    unsafe { libc::syscall(libc::SYS_ioprio_get, 1, 0) }
}

/// The execution domain, unchanged.
pub fn personality() -> i64 {
    // SAFETY: 0xffffffff only asks.
    i64::from(unsafe { libc::personality(0xffff_ffff) })
}

/// The layout of `struct sched_attr` (sched_setattr(2)).
#[repr(C)]
#[derive(Default)]
struct SchedAttr {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// `sched_getattr(2)` of this process.
pub fn scheduler() -> Result<Scheduler, Errno> {
    let mut attr = SchedAttr::default();
    // SAFETY: the kernel writes at most the size given, which is the structure's.
    check(unsafe {
        libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attr, size_of::<SchedAttr>(), 0)
    })?;
    Ok(Scheduler {
        policy: attr.policy,
        flags: attr.flags,
        nice: attr.nice,
        priority: attr.priority,
        runtime: attr.runtime,
        deadline: attr.deadline,
        period: attr.period,
    })
}

/// The description of the session keyring (KEYCTL_DESCRIBE, keyctl(2)).
pub fn session_keyring() -> Result<String, Errno> {
    const KEYCTL_DESCRIBE: i32 = 6;
    const KEY_SPEC_SESSION_KEYRING: i32 = -3;
    let mut buffer = [0_u8; 512];
    // SAFETY: the kernel writes at most the buffer's length.
    check(unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            KEYCTL_DESCRIBE,
            KEY_SPEC_SESSION_KEYRING,
            buffer.as_mut_ptr(),
            buffer.len(),
        )
    })?;
    let text = CStr::from_bytes_until_nul(&buffer).map_err(|_| Errno::EINVAL)?;
    Ok(text.to_string_lossy().into_owned())
}

/// Mode with flags, and nodes, of the memory policy.
pub fn mempolicy() -> Result<(i64, Vec<usize>), Errno> {
    let (mut mode, mut nodes) = (0_i32, [0_u64; 16]);
    let bits = nodes.len() * 64;
    // SAFETY: the mask holds `bits` bits.
    check(unsafe {
        libc::syscall(
            libc::SYS_get_mempolicy,
            &raw mut mode,
            nodes.as_mut_ptr(),
            bits,
            std::ptr::null::<u8>(),
            0,
        )
    })?;
    let set = (0..bits).filter(|bit| nodes[bit / 64] >> (bit % 64) & 1 == 1).collect();
    Ok((i64::from(mode), set))
}

/// Columns and rows of the terminal behind a descriptor.
pub fn terminal_size(fd: BorrowedFd<'_>) -> Option<(u16, u16)> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes one winsize.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
    (result == 0).then_some((size.ws_col, size.ws_row))
}

/// Pushes a byte into the input of a terminal (TIOCSTI).
pub fn push_input(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    let byte = b'x';
    // SAFETY: TIOCSTI reads one byte.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCSTI, &raw const byte) }).map(drop)
}

/// The soft and hard limit of a resource's number.
pub fn rlimit(resource: u32) -> Option<(u64, u64)> {
    let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    let none = std::ptr::null::<libc::rlimit64>();
    // SAFETY: the kernel writes one rlimit64; nothing is set.
    let result = unsafe { libc::syscall(libc::SYS_prlimit64, 0, resource, none, &raw mut limit) };
    (result == 0).then_some((limit.rlim_cur, limit.rlim_max))
}

/// Makes a system call by number with small integers, which name no memory.
pub fn call(number: i64, arguments: [i64; 4]) -> Result<i64, Errno> {
    let [a, b, c, d] = arguments;
    // SAFETY: callers pass only integers that the kernel does not follow as addresses of ours, or
    // addresses of page zero, which it refuses with EFAULT.
    check(unsafe { libc::syscall(number, a, b, c, d, 0, 0) })
}

/// Takes ownership of a descriptor that came in a message.
pub fn received(number: RawFd) -> std::fs::File {
    // SAFETY: SCM_RIGHTS has just made the descriptor in this process; nothing else knows it.
    unsafe { std::fs::File::from_raw_fd(number) }
}

/// Makes a device file (mknod(2)).
pub fn device(path: &str, mode: u32, major: u32, minor: u32) -> Result<(), Errno> {
    let path = CString::new(path).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the path is a C string that lives through the call.
    Errno::result(unsafe { libc::mknod(path.as_ptr(), mode, libc::makedev(major, minor)) })
        .map(drop)
}

/// Lets two paths change places (`RENAME_EXCHANGE`, renameat2(2)).
pub fn exchange(one: &Path, other: &Path) -> Result<(), Errno> {
    let text = |path: &Path| CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL);
    let (one, other) = (text(one)?, text(other)?);
    let here = libc::AT_FDCWD;
    // SAFETY: both paths are C strings that live through the call.
    check(unsafe {
        libc::syscall(
            libc::SYS_renameat2,
            here,
            one.as_ptr(),
            here,
            other.as_ptr(),
            libc::RENAME_EXCHANGE,
        )
    })
    .map(drop)
}

/// Begins to trace a process without stopping it (`PTRACE_SEIZE`, ptrace(2)).
pub fn seize(pid: i32) -> Result<(), Errno> {
    // SAFETY: PTRACE_SEIZE takes a pid and two integers.
    check(unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, 0, 0) }).map(drop)
}

/// Makes a persistent TUN device of this name in the caller's network namespace.
pub fn make_tun(name: &str) -> Result<(), Errno> {
    const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
    const TUNSETPERSIST: libc::c_ulong = 0x4004_54cb;
    let path = c"/dev/net/tun";
    // SAFETY: the path is a C string.
    let fd = Errno::result(unsafe { libc::open(path.as_ptr(), libc::O_RDWR | libc::O_CLOEXEC) })?;
    // SAFETY: the kernel has just made this descriptor for us.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut request = interface(name)?;
    request.ifr_ifru.ifru_flags = 0x0001 | 0x1000; // IFF_TUN | IFF_NO_PI
    // SAFETY: TUNSETIFF reads and writes one ifreq.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), TUNSETIFF as _, &raw mut request) })?;
    // SAFETY: TUNSETPERSIST takes an integer.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), TUNSETPERSIST as _, 1) }).map(drop)
}

/// Gives an interface of the caller's network namespace an IPv4 address.
pub fn set_address(name: &str, address: std::net::Ipv4Addr) -> Result<(), Errno> {
    let socket = socket()?;
    let mut request = interface(name)?;
    let octets = address.octets();
    let mut data = [0_i8; 14];
    for (slot, octet) in data[2..6].iter_mut().zip(octets) {
        *slot = octet.cast_signed();
    }
    request.ifr_ifru.ifru_addr = libc::sockaddr { sa_family: 2, sa_data: data };
    // SAFETY: SIOCSIFADDR reads one ifreq.
    Errno::result(unsafe {
        libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFADDR as _, &raw const request)
    })
    .map(drop)
}

/// An interface's flags and IPv4 address in the caller's network namespace.
pub fn interface_state(name: &str) -> Result<(i16, Option<std::net::Ipv4Addr>), Errno> {
    let socket = socket()?;
    let mut request = interface(name)?;
    let ask = |request: &mut libc::ifreq, what| {
        // SAFETY: both requests read and write one ifreq.
        Errno::result(unsafe { libc::ioctl(socket.as_raw_fd(), what, &raw mut *request) })
    };
    ask(&mut request, libc::SIOCGIFFLAGS as _)?;
    // SAFETY: SIOCGIFFLAGS has filled the flags.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    let address = ask(&mut request, libc::SIOCGIFADDR as _).ok().map(|_| {
        // SAFETY: SIOCGIFADDR has filled the address.
        let data = unsafe { request.ifr_ifru.ifru_addr }.sa_data;
        let [a, b, c, d] = [data[2], data[3], data[4], data[5]].map(i8::cast_unsigned);
        std::net::Ipv4Addr::new(a, b, c, d)
    });
    Ok((flags, address))
}

fn socket() -> Result<OwnedFd, Errno> {
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    // SAFETY: integers only.
    let fd = Errno::result(unsafe { libc::socket(libc::AF_INET, kind, 0) })?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A request about the interface `name`, all else zero.
fn interface(name: &str) -> Result<libc::ifreq, Errno> {
    if name.len() >= libc::IFNAMSIZ {
        return Err(Errno::ENAMETOOLONG);
    }
    // SAFETY: ifreq is made of integers and arrays of them: all zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (slot, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *slot = byte.cast_signed();
    }
    Ok(request)
}

/// Maps the ids of a new tmpfs, mounted nowhere, as the user namespace has them (MOUNT_ATTR_IDMAP,
/// mount_setattr(2)).
pub fn idmap_tmpfs(namespace: &std::fs::File) -> Result<(), Errno> {
    const FSCONFIG_CMD_CREATE: i32 = 6;
    let null = std::ptr::null::<libc::c_char>();
    // SAFETY: the name is a C string; 1 is FSOPEN_CLOEXEC.
    let context = owned(unsafe { libc::syscall(libc::SYS_fsopen, c"tmpfs".as_ptr(), 1) })?;
    let context = context.as_raw_fd();
    // SAFETY: the command takes neither key nor value.
    check(unsafe {
        libc::syscall(libc::SYS_fsconfig, context, FSCONFIG_CMD_CREATE, null, null, 0)
    })?;
    // SAFETY: integers only; 1 is FSMOUNT_CLOEXEC.
    let mount = owned(unsafe { libc::syscall(libc::SYS_fsmount, context, 1, 0) })?;
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_IDMAP,
        attr_clr: 0,
        propagation: 0,
        userns_fd: u64::from(namespace.as_raw_fd().cast_unsigned()),
    };
    // SAFETY: the path is a C string; the kernel reads as much of the structure as it is told.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    })
    .map(drop)
}

/// Takes ownership of the descriptor that a system call gave.
fn owned(result: libc::c_long) -> Result<OwnedFd, Errno> {
    let fd = RawFd::try_from(check(result)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Lets `command` have a user namespace of its own, without mappings yet.
pub fn unshare_user_before_exec(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    let unshare = || nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER);
    let unshared = move || unshare().map_err(std::io::Error::from);
    // SAFETY: in the new process it makes one system call and touches nothing else.
    unsafe { command.pre_exec(unshared) };
}

/// Lets `command` be traced by the thread that starts it, from its execve on (PTRACE_TRACEME).
pub fn trace_from_exec(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    let traced = || nix::sys::ptrace::traceme().map_err(std::io::Error::from);
    // SAFETY: in the new process it makes one system call and touches nothing else.
    unsafe { command.pre_exec(traced) };
}
