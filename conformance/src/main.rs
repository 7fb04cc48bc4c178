//! The `hull-conformance` command.

fn main() {}
