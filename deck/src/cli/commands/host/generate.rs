//! `generate`: manual pages and completions, out of the documented command tree.

use crate::cli::failure::{Failure, Outcome};
use crate::cli::output::print;
use crate::cli::parser::documented;
use clap::{Args, ValueEnum};
use clap_complete::Shell;
use std::path::PathBuf;

/// What can be generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Manual pages, into --output.
    Man,
    /// Completions for bash.
    Bash,
    /// Completions for fish.
    Fish,
    /// Completions for zsh.
    Zsh,
}

/// Options of `generate`.
#[derive(Args)]
pub struct Generate {
    /// Directory of the manual pages
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// What to generate
    what: What,
}

/// Runs `generate`.
pub fn generate(args: &Generate) -> Outcome {
    let shell = match args.what {
        What::Bash => Shell::Bash,
        What::Fish => Shell::Fish,
        What::Zsh => Shell::Zsh,
        What::Man => {
            let Some(directory) = &args.output else {
                return Err(Failure::new("generate man needs --output DIR"));
            };
            let wrong = |error| Failure::new(format!("write to {}: {error}", directory.display()));
            std::fs::create_dir_all(directory).map_err(wrong)?;
            return clap_mangen::generate_to(documented(), directory).map_err(wrong);
        }
    };
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut documented(), "deck", &mut text);
    print(&String::from_utf8_lossy(&text))
}
