//! What the kernel can do, tried without any runtime.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::observation::Observation;
use crate::sys;

/// What not every kernel has, looked up once; the error of the first try where it has not.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Kernel {
    /// System calls by `int 0x80` from a 64-bit process.
    pub interrupt: Option<String>,
    /// Id-mapped mounts of a tmpfs (since Linux 6.3), which is what cases make; tried as root.
    pub idmap: Option<String>,
}

impl Kernel {
    /// Tries; `probe` is the suite's program of that name.
    pub fn look(probe: &Path) -> Self {
        let error = |tried: io::Result<()>| tried.err().map(|error| error.to_string());
        Self { interrupt: error(interrupt(probe)), idmap: error(idmap(probe)) }
    }
}

/// In a process of its own: a kernel without that entry may answer with SIGSEGV.
fn interrupt(probe: &Path) -> io::Result<()> {
    const REQUEST: &str = "getpid32:";
    let output = Command::new(probe).args(["report", REQUEST]).stdin(Stdio::null()).output()?;
    if !output.status.success() {
        return Err(io::Error::other(output.status.to_string()));
    }
    let tried = serde_json::from_slice::<Observation>(&output.stdout)?.tried(REQUEST);
    if tried.worked() { Ok(()) } else { Err(io::Error::other(tried.errno)) }
}

fn idmap(probe: &Path) -> io::Result<()> {
    let mut command = Command::new(probe);
    command.arg("stay").stdin(Stdio::null()).stdout(Stdio::null());
    sys::unshare_user_before_exec(&mut command);
    let mut owner = command.spawn()?;
    let tried = idmap_by(owner.id());
    owner.kill()?;
    owner.wait()?;
    tried
}

/// Maps the ids of a new tmpfs as the user namespace of a process has them.
fn idmap_by(pid: u32) -> io::Result<()> {
    for map in ["uid_map", "gid_map"] {
        fs::write(format!("/proc/{pid}/{map}"), "0 2000 3000")?;
    }
    let namespace = File::open(format!("/proc/{pid}/ns/user"))?;
    Ok(sys::idmap_tmpfs(&namespace)?)
}
