//! `binary://`: a program of the user's that reads a container's output.

use crate::error::{At, Result};
use crate::sys;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;

/// What a logger is told.
#[derive(Debug)]
pub struct Start<'a> {
    /// The program.
    pub program: &'a Path,
    /// Its arguments.
    pub arguments: &'a [String],
    /// The container whose output it is.
    pub id: &'a str,
    /// The container's namespace.
    pub namespace: &'a str,
}

impl Start<'_> {
    /// Starts the program with stdout, stderr and the pipe to say ready on at 3, 4 and 5; returns
    /// its pid. It outlives the shim if need be: what the container wrote is still read.
    pub fn run(&self, streams: [OwnedFd; 3]) -> Result<u32> {
        let mut command = sys::command(self.program);
        command
            .args(self.arguments)
            .env("CONTAINER_ID", self.id)
            .env("CONTAINER_NAMESPACE", self.namespace)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        sys::pass(&mut command, streams.into());
        // Its end is learned as that of every child: by SIGCHLD.
        command.spawn().map(|child| child.id()).at(|| format!("start {}", self.program.display()))
    }
}
