//! The `hull` command.

fn main() -> std::process::ExitCode {
    hull::cli::main()
}
