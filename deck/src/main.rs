//! The `deck` command.

fn main() -> std::process::ExitCode {
    deck::engine::publish::command().unwrap_or_else(deck::cli::main)
}
