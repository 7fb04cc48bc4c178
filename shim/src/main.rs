//! The `containerd-shim-hull-v2` command.

fn main() {}
