//! The `deck` command.

fn main() -> std::process::ExitCode {
    deck::cli::main()
}
