//! The `containerd-shim-hull-v2` command.

fn main() -> std::process::ExitCode {
    hull_shim::cli::main()
}
