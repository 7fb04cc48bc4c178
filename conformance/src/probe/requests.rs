//! What the probe does on request: `verb:argument`, one attempt each.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::errno::Errno;
use serde_json::{Value, json};

use crate::observation::Tried;
use crate::sys;

/// The most of a file that is reported.
const READ_MAX: u64 = 64 << 10;

/// Does what `request` says.
pub fn attempt(request: &str) -> Tried {
    let (verb, argument) = request.split_once(':').unwrap_or((request, ""));
    match act(verb, argument) {
        Ok(value) => Tried { errno: String::new(), value },
        Err(error) => Tried { errno: name(&error), value: Value::Null },
    }
}

fn name(error: &std::io::Error) -> String {
    error
        .raw_os_error()
        .map_or_else(|| error.to_string(), |number| format!("{:?}", Errno::from_raw(number)))
}

fn act(verb: &str, argument: &str) -> std::io::Result<Value> {
    let done = Value::Bool(true);
    match verb {
        "stat" => stat(Path::new(argument)),
        "read" => read(argument),
        "write" => write(argument).map(|()| done),
        "list" => list(argument),
        "mkdir" => fs::create_dir(argument).map(|()| done),
        "create" => create(argument).map(|()| done),
        "unlink" => fs::remove_file(argument).map(|()| done),
        "chown" => std::os::unix::fs::chown(argument, Some(1), Some(1)).map(|()| done),
        "open" => open(argument, false).map(|()| done),
        "openrw" => open(argument, true).map(|()| done),
        "run" => run(argument),
        "mknod" => mknod(argument).map(|()| done),
        "sethostname" => Ok(nix::unistd::sethostname(argument).map(|()| done)?),
        "call" => call(argument),
        "tiocsti" => Ok(sys::push_input(std::io::stdin().as_fd()).map(|()| done)?),
        "getpid32" => abi::getpid_by_interrupt(),
        "umount" => Ok(nix::mount::umount(argument).map(|()| done)?),
        "remount" => remount(argument).map(|()| done),
        "fill" => Ok(fill(argument)),
        "interface" => interface(argument),
        _ => Err(std::io::Error::other(format!("unknown request {verb}"))),
    }
}

fn stat(path: &Path) -> std::io::Result<Value> {
    let found = fs::symlink_metadata(path)?;
    let kind = found.file_type();
    let word = match () {
        () if kind.is_dir() => "directory",
        () if kind.is_symlink() => "link",
        () if kind.is_char_device() => "c",
        () if kind.is_block_device() => "b",
        () if kind.is_fifo() => "p",
        () if kind.is_socket() => "socket",
        () => "file",
    };
    Ok(json!({
        "kind": word,
        "mode": format!("{:04o}", found.permissions().mode() & 0o7777),
        "uid": found.uid(),
        "gid": found.gid(),
        "device": format!("{}:{}", libc::major(found.rdev()), libc::minor(found.rdev())),
        "size": found.size(),
        "link": fs::read_link(path).map_or(Value::Null, |target| json!(target)),
    }))
}

fn read(path: &str) -> std::io::Result<Value> {
    let mut bytes = Vec::new();
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    file.take(READ_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into())
}

/// `PATH=TEXT`, into an existing file.
fn write(argument: &str) -> std::io::Result<()> {
    let (path, text) = argument.split_once('=').unwrap_or((argument, ""));
    OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
}

/// `PATH` or `PATH=TEXT`: a file that is not there yet.
fn create(argument: &str) -> std::io::Result<()> {
    let (path, text) = argument.split_once('=').unwrap_or((argument, ""));
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}

fn list(path: &str) -> std::io::Result<Value> {
    let entries = fs::read_dir(path)?.collect::<Result<Vec<_>, _>>()?;
    let mut names: Vec<String> =
        entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names.into())
}

fn open(path: &str, write: bool) -> std::io::Result<()> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    OpenOptions::new().read(true).write(write).custom_flags(flags).open(path).map(drop)
}

/// Runs a program with `exit 0`; gives its exit status.
fn run(path: &str) -> std::io::Result<Value> {
    let status = std::process::Command::new(path).args(["exit", "0"]).status()?;
    Ok(json!(status.code()))
}

/// `PATH=MAJOR,MINOR`: a character device.
fn mknod(argument: &str) -> std::io::Result<()> {
    let bad = || std::io::Error::from(std::io::ErrorKind::InvalidInput);
    let (path, numbers) = argument.split_once('=').ok_or_else(bad)?;
    let (major, minor) = numbers.split_once(',').ok_or_else(bad)?;
    let number = |text: &str| text.parse().map_err(|_| bad());
    Ok(sys::device(path, libc::S_IFCHR | 0o600, number(major)?, number(minor)?)?)
}

/// `NUMBER[,A[,B[,C[,D]]]]`: a system call with integers.
fn call(argument: &str) -> std::io::Result<Value> {
    let mut numbers = argument.split(',').filter_map(|word| word.parse().ok());
    let number = numbers.next().unwrap_or(-1);
    let mut arguments = [0_i64; 4];
    for slot in &mut arguments {
        *slot = numbers.next().unwrap_or(0);
    }
    Ok(json!(sys::call(number, arguments)?))
}

/// Makes a mount writable.
fn remount(path: &str) -> std::io::Result<()> {
    use nix::mount::{MsFlags, mount};
    let none: Option<&str> = None;
    Ok(mount(none, path, none, MsFlags::MS_REMOUNT | MsFlags::MS_BIND, none)?)
}

/// Whether an interface is up, and its address.
fn interface(name: &str) -> std::io::Result<Value> {
    let (flags, address) = sys::interface_state(name)?;
    let up = libc::c_int::from(flags) & libc::IFF_UP != 0;
    Ok(json!({"up": up, "address": address.map(|address| address.to_string())}))
}

/// `MEBIBYTES`: touches that much memory; gives the bytes touched.
fn fill(argument: &str) -> Value {
    let mebibytes: usize = argument.parse().unwrap_or(0);
    let memory = vec![1_u8; mebibytes << 20];
    json!(std::hint::black_box(&memory).len())
}

mod abi {
    //! The other system call entry of x86_64.
    #![allow(unsafe_code)]

    use serde_json::{Value, json};

    /// `getpid` by `int 0x80`, number 20 of the 32-bit table.
    #[cfg(target_arch = "x86_64")]
    pub fn getpid_by_interrupt() -> std::io::Result<Value> {
        let result: i64;
        // SAFETY: getpid takes nothing and touches no memory; int 0x80 changes rax and, in the
        // 32-bit entry, r8 to r11.
        unsafe {
            std::arch::asm!(
                "int 0x80",
                inlateout("rax") 20_i64 => result,
                out("r8") _, out("r9") _, out("r10") _, out("r11") _,
            );
        }
        match i32::try_from(result) {
            Ok(errno @ -4095..=-1) => Err(std::io::Error::from_raw_os_error(-errno)),
            _ => Ok(json!(result)),
        }
    }

    /// Only x86_64 has it.
    #[cfg(not(target_arch = "x86_64"))]
    pub fn getpid_by_interrupt() -> std::io::Result<Value> {
        Err(std::io::Error::from_raw_os_error(libc::ENOSYS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_gives_a_value_or_the_errnos_name() {
        assert_eq!(attempt("stat:/dev/null").value["device"], "1:3");
        assert_eq!(attempt("read:/nowhere").errno, "ENOENT");
        assert!(attempt("call:39").worked());
        assert!(attempt("nonsense:").errno.contains("unknown request"));
    }
}
