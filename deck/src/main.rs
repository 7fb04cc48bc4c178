//! The `deck` command.

fn main() -> std::process::ExitCode {
    // What deck starts itself, before the command line is looked at.
    deck::net::dns::main().or_else(deck::engine::publish::command).unwrap_or_else(deck::cli::main)
}
